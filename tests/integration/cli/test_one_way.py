"""A value goes through the rooms in one direction.

A number of calls comes from the command line to the wire: each room hands it to one below it. A stored latency comes
from the room of studies to the report, and both may have `analysis` compute with it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
import pytest

from grpclab.cli import commands
from grpclab.study import measured_study
from grpclab.study.runner import Study
from grpclab.system.paths import notebook
from grpclab.testing import fake_target
from grpclab.testing.synthetic import synthetic_study
from tests.support.traced import value_trace

REQUESTS = 1012
LATENCY_S = 0.0123457
THREADS = """
headline = "server.threads=64"
profile = false
blocks = 6
[factors]
server.threads = [4, 64]
"""
ORDERED = "load/workers.py:order"
"""Where a window is ordered from the generator's processes."""
SENT, SENT_IN_SLICES = "load/core/gate.py:admit", "load/sliced_worker.py:_load"
"""Where one of them makes a call: of a window of so many, and of a slice, of which there are until so many counted."""


def ways_to_the_load(traces: Path) -> set[tuple[str, ...]]:
    """The rooms on every way by which the value came to the load, each stay once; of a thread and a process those
    since it began."""
    found = value_trace.until(value_trace.receipts(traces), ORDERED)
    return {rooms(value_trace.way(found, receipt)) for receipt in found.values() if receipt.room == "load"}


def rooms(receipts: Iterable[value_trace.Receipt]) -> tuple[str, ...]:
    """The rooms of some receipts, each stay once."""
    return tuple(room for room, _ in itertools.groupby(receipt.room for receipt in receipts))


def in_this_process(_folder: Path, variables: Mapping[str, str | int | bool]) -> str:
    """Execute the notebook of a group here, to the cell that measures; the study ends with it."""
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


def assert_sent(traces: Path, where: str) -> None:
    """A process of the generator began to make so many calls, and no room above `load` was asked there."""
    lines = [path.read_text().splitlines() for path in traces.iterdir() if where in path.read_text()]
    assert lines
    assert {line.split()[1].partition("/")[0] for line in itertools.chain(*lines)} <= {"load", "http2"}


def test_a_bench_hands_its_calls_down_to_the_wire(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with fake_target() as target, value_trace.traced(REQUESTS, traces):
        assert commands.main(["bench", target.address, "-n", str(REQUESTS), "-q"]) == 0
    assert ways_to_the_load(traces) == {("cli", "load"), ("load",)}
    assert_sent(traces, SENT)
    assert f"{REQUESTS:,}" in capsys.readouterr().out


@pytest.mark.usefixtures("capsys")
@pytest.mark.long
def test_a_study_hands_its_calls_down_to_the_wire(
    traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    monkeypatch.setattr(measured_study, "execute_trial", in_this_process)
    words = f"--design quick --blocks 1 --engine wire --profile false --requests {REQUESTS}".split()
    with value_trace.traced(REQUESTS, traces):
        assert commands.main(["study", *words]) == 130
    assert ways_to_the_load(traces) == {("cli", "study", "load"), ("study", "load"), ("load",)}
    assert_sent(traces, SENT_IN_SLICES)


@pytest.mark.long
def test_a_latency_goes_from_the_stored_trial_to_the_figures(
    traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    (tmp_path / "threads.toml").write_text(THREADS)
    synthetic_study(Study.described(tmp_path / "threads.toml", root=tmp_path), {})
    (stored, *_) = sorted((tmp_path / "results").glob("*/trials/*/result.json"))
    result = json.loads(stored.read_text())
    stored.write_text(json.dumps(result | {"metrics": {**result["metrics"], "latency_p50_s": LATENCY_S}}))
    with value_trace.traced(LATENCY_S, traces):
        assert commands.main(["report", stored.parents[2].name]) == 0
    found = value_trace.receipts(traces)
    assert {rooms(value_trace.way(found, receipt)) for receipt in found.values()} == {
        ("study",),
        ("study", "analysis"),
        ("report",),
        ("report", "analysis"),
        ("cli",),
        ("cli", "report"),  # the table at the end
    }
    stays = [room for room, _ in itertools.groupby(receipt.room for receipt in found.values())]
    assert "study" not in stays[stays.index("report") :]
    assert "report: " in capsys.readouterr().out
