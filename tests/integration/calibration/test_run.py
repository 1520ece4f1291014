"""The calibration in real processes: programs that end with us, and the whole notebook once at tiny size."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

from grpclab.calibration import echo, generators, lateness, page, relay, servers
from grpclab.calibration.echo_peer import EchoListening, EchoServe
from grpclab.calibration.experiments import EXPERIMENTS
from grpclab.calibration.generators import CASES
from grpclab.calibration.plan import core_plan
from grpclab.calibration.program import ProgramEnded, ProgramStarted, kept
from grpclab.calibration.store import Results
from grpclab.errors import MissingDependencyError
from grpclab.report import write_index
from grpclab.servers.process.serving import free_port
from grpclab.system.subprocesses import Child
from tests.support.go_programs import go_program
from tests.support.notebook_runs import papermill
from tests.support.processes import gone, until

needs_nghttp2 = pytest.mark.skipif(
    shutil.which("nghttpd") is None or shutil.which("h2load") is None,
    reason="nghttpd or h2load is missing: apt-get install nghttp2-client nghttp2-server",
)


# ---- other programs --------------------------------------------------------------------------------------------

KEEP = """
import time
from grpclab.calibration.program import ProgramEnded, ProgramStarted, kept
with kept("sleep", "60", hint="") as keeper:
    print(keeper.receive(60, ProgramStarted).pid, flush=True)
    time.sleep(60)
"""


def test_a_program_ends_with_us_even_when_we_are_killed(ours: Callable[[], list[int]]) -> None:
    parent = subprocess.Popen([sys.executable, "-c", KEEP], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        program = psutil.Process(int(parent.stdout.readline()))
    assert not gone(program)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert until(lambda: gone(program) and not ours())


def test_a_program_ends_with_its_block_and_tells_what_it_used() -> None:
    with kept("sleep", "60", hint="") as keeper:
        program = psutil.Process(keeper.receive(60, ProgramStarted).pid)
    assert until(lambda: gone(program))
    with kept("echo", "hello", hint="") as keeper:
        keeper.receive(60, ProgramStarted)
        end = keeper.receive(60, ProgramEnded)
    assert end.output == "hello\n"
    assert end.code == 0
    assert end.cpu_s >= 0


def test_a_missing_program_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(MissingDependencyError, match="no-such-program is not installed: get it"):
        kept("no-such-program", hint="get it")


@needs_nghttp2
def test_nghttpd_serves_a_framed_greeting_and_is_gone_afterwards(ours: Callable[[], list[int]]) -> None:
    with servers.nghttpd() as server:
        assert not gone(psutil.Process(server.pid))
        reply = (server.folder / servers.SAY_HELLO).read_bytes()
        assert reply[:1] == b"\0"
        assert int.from_bytes(reply[1:5], "big") == len(reply) - 5
    assert until(lambda: not ours())


@needs_nghttp2
def test_a_port_that_is_taken_is_left_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "START_TIMEOUT_S", 5.0)
    with servers.nghttpd() as first:
        taken = int(first.target.rpartition(":")[2])
        ports = iter([taken, free_port()])
        monkeypatch.setattr(servers, "free_port", lambda: next(ports))
        with servers.nghttpd() as second:
            assert second.target != first.target


@needs_nghttp2
def test_without_ghz_the_comparison_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "ghz" else found(name))
    with pytest.raises(MissingDependencyError, match=r"ghz is not installed: go install github\.com/bojand/ghz"):
        generators.measure(core_plan(), rounds=1, seconds=0.05, seed=1)


@needs_nghttp2
@pytest.mark.long
def test_the_engine_h2load_and_ghz_run_on_the_same_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    ghz = go_program("github.com/bojand/ghz/cmd/ghz", "latest")
    monkeypatch.setenv("PATH", str(ghz.parent), prepend=os.pathsep)
    frame = generators.measure(core_plan(), rounds=2, seconds=0.05, seed=1)
    rows = frame.groupby(["server", "in_flight", "tool"]).size()
    assert rows.to_dict() == {(case.server, case.in_flight, tool): 2 for case in CASES for tool in case.tools}
    assert frame["errors"].sum() == 0
    assert (frame["rps"] > 0).all()


# ---- the whole, at tiny size -----------------------------------------------------------------------------------


LONG = {"verdicts", "crashes", "disturbances", "interleaving", "slices", "deciding"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the notebook has been run once."""
    folder = tmp_path_factory.mktemp("lab")
    # These take minutes: test_compare, test_crash_safety, test_stopped and test_deciding have them small.
    only = ",".join(name for name in EXPERIMENTS if name not in LONG)
    run = papermill("calibration", folder, "-p", "rounds", "1", "-p", "scale", "0.05", "-p", "only", only)
    assert run.returncode == 0, run.stderr
    (folder / "said.txt").write_text(run.stderr)
    return folder


def frame_of(root: Path, name: str) -> pd.DataFrame:
    frame = Results(root).frame(name)
    assert frame is not None, Results(root).about().notes
    return frame


@pytest.mark.long
def test_everything_that_can_be_measured_here_is(root: Path) -> None:
    notes = Results(root).about().notes
    without_nghttp2 = shutil.which("nghttpd") is None or shutil.which("h2load") is None
    without_ghz = without_nghttp2 or shutil.which("ghz") is None
    missing = {"ceiling": without_nghttp2, "requests": without_nghttp2, "generators": without_ghz}
    assert set(notes) == LONG | {name for name, is_missing in missing.items() if is_missing}
    assert notes["crashes"].startswith("not selected")
    assert {path.stem for path in Results(root).folder.glob("*.parquet")} == set(EXPERIMENTS) - set(notes)


@pytest.mark.long
def test_the_report_is_one_file_that_loads_nothing_and_the_path_is_said(root: Path) -> None:
    path = Results(root).report
    assert f"report: {path}" in (root / "said.txt").read_text()
    html = path.read_text()
    links = re.findall(r"(?:src|href|srcset)=[\"']?([^\"'> ]+)", html)
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    for name in EXPERIMENTS:
        assert (f'<section id="{name}">' in html) == (name not in LONG), "what was not asked for takes no place"


@pytest.mark.long
def test_the_report_can_be_made_again_without_measuring_and_is_no_study(root: Path) -> None:
    path = Results(root).report
    before = path.read_text()
    path.unlink()
    assert page.write(Results(root)).read_text() == before
    assert path.name not in write_index(path.parent).read_text()


@needs_nghttp2
@pytest.mark.long
def test_all_three_generators_were_heard_and_every_call_succeeded(root: Path) -> None:
    frame = frame_of(root, "ceiling")
    assert sorted(frame["tool"]) == ["grpcio", "h2load", "wire"]
    assert (frame["rps"] > 0).all()
    assert frame["errors"].sum() == 0


@pytest.mark.long
def test_no_call_is_measured_shorter_than_it_was(root: Path) -> None:
    frame = frame_of(root, "truth")
    assert len(frame) in (100, 101), "0.1 s at 1,000/s; rounding decides on which side of its end the last call falls"
    assert (frame["latency_s"] >= frame["residence_s"]).all()


@pytest.mark.long
def test_in_the_stall_all_of_the_schedule_waits_and_few_of_the_callers_do(root: Path) -> None:
    frame = frame_of(root, "stall")
    slow = frame[frame["latency_s"] > frame["stall_s"] / 2].groupby("mode").size()
    counts = frame.groupby("mode").size()
    assert {counts["open"], counts["bounded"]} <= {200, 201}, "the last call falls on either side of the end"
    assert slow["open"] >= 10
    assert counts["closed"] > 0


@pytest.mark.long
def test_every_planned_call_was_sent(root: Path) -> None:
    frame = frame_of(root, "lateness")
    assert (frame["sent"] == frame["planned"]).all()
    assert len(frame) == len(lateness.RATES_RPS) * len(lateness.PACINGS) + 1 + len(lateness.SHAPES)


@pytest.mark.long
def test_memory_the_link_the_echo_and_the_engines_were_measured(root: Path) -> None:
    assert frame_of(root, "memory")["calls"].max() >= 7500
    link = frame_of(root, "link")
    assert link["errors"].sum() == 0
    assert relay.far_s(link) > relay.RTT_MS / 1e3
    trips = frame_of(root, "echo")["rtt_s"]
    assert trips.is_monotonic_increasing
    assert trips.iloc[0] > 0
    found = frame_of(root, "agreement")
    assert found["errors"].sum() == 0
    assert len(found) == 4


def test_a_child_of_ours_that_echoes_says_where(ours: Callable[[], list[int]]) -> None:
    with Child(echo.PEER, name="the echo") as peer:
        peer.send(EchoServe())
        assert peer.receive(60, EchoListening).port > 0
    assert until(lambda: not ours())
