"""A number of calls goes from the command line to the wire in one direction: each room hands it to one below it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import nbformat
import pytest

from grpclab.cli import commands
from grpclab.study import runner
from grpclab.system.paths import notebook
from grpclab.testing import fake_target
from tests.support.traced import value_trace

REQUESTS = 1012
ORDERED, SENT = "load/workers.py:order", "load/core/gate.py:admit"
"""Where a window is ordered from the generator's processes, and where one of them makes a call."""


def ways_to_the_load(traces: Path) -> set[tuple[str, ...]]:
    """The rooms on every way by which the value came to the load, each stay once; of a thread and a process those
    since it began."""
    found = value_trace.receipts(traces, ORDERED)
    ways = [value_trace.way(found, receipt) for receipt in found.values() if receipt.room == "load"]
    return {tuple(room for room, _ in itertools.groupby(receipt.room for receipt in way)) for way in ways}


def in_this_process(_folder: Path, variables: Mapping[str, str | int | bool]) -> str:
    """Execute the trial's notebook here, to the cell that measures; the study ends with it."""
    namespace: dict[str, object] = {}
    for cell in nbformat.read(notebook("trial"), as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source, namespace)
            if "parameters" in cell.metadata.get("tags", ()):
                namespace |= variables
            if "run()" in cell.source:
                raise KeyboardInterrupt
    return ""


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    folder = tmp_path / "traces"
    folder.mkdir()
    return folder


def assert_sent(traces: Path) -> None:
    """A process of the generator began a window of so many calls, and no room above `load` was asked there."""
    lines = [path.read_text().splitlines() for path in traces.iterdir() if SENT in path.read_text()]
    assert lines
    assert {line.split()[1].partition("/")[0] for line in itertools.chain(*lines)} <= {"load", "http2"}


def test_a_bench_hands_its_calls_down_to_the_wire(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fake_target() as target, value_trace.traced(REQUESTS, traces):
        assert commands.main(["bench", target.address, "-n", str(REQUESTS), "-q"]) == 0
    assert ways_to_the_load(traces) == {("cli", "load"), ("load",)}
    assert_sent(traces)
    assert f"{REQUESTS:,}" in capsys.readouterr().out


@pytest.mark.usefixtures("capsys")
def test_a_study_hands_its_calls_down_to_the_wire(
    traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.setattr(runner, "execute_trial", in_this_process)
    words = f"--design quick --blocks 1 --engine wire --profile false --requests {REQUESTS}".split()
    with value_trace.traced(REQUESTS, traces):
        assert commands.main(["study", *words]) == 130
    assert ways_to_the_load(traces) == {("cli", "study", "load"), ("study", "load"), ("load",)}
    assert_sent(traces)
