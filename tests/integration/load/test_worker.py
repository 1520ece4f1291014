"""A worker process alone: what it is told and what it answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.load.calls.method import greeting
from grpclab.load.core.arrivals import plan_window, planned
from grpclab.load.core.recorder import Records
from grpclab.servers.process.launcher import RunningServer
from grpclab.system.subprocesses import Child
from tests.support.processes import until

ANSWER_S = 30.0
ANSWERS = {
    *("cpu_s", "spin_s", "busy_s", "loop_s", "waited_s", "admitted", "unsent", "still_s"),
    *("held", "bound_hits", "connections_lost", "outage_s", "traffic", "failures", "encodings"),
}


@contextlib.contextmanager
def worker(target: str, *, engine: str = "wire", **setup: Any) -> Iterator[Child]:
    """A worker that has been told its configuration."""
    config = TrialConfig(load=LoadConfig(engine=engine, concurrency=4))
    with Child("grpclab.load.worker", name="worker") as child:
        child.send(
            settings=config.differences(TrialConfig()),
            target=target,
            roots=None,
            call=greeting(config.load).to_json(),
            **{"residence": False, "spin": False, "worker": 0, "workers": 1, "seed": 1, "connect_timeout_s": 5.0}
            | setup,
        )
        yield child


def window(**bounds: Any) -> dict[str, Any]:
    """A window that starts at once, as a command; times count from now."""
    now = time.perf_counter()
    times = {"starts_at": 0.0, "opens_at": 0.0, "closes_at": None} | bounds
    absolute = {
        name: None if times[name] is None else now + times[name] for name in ("starts_at", "opens_at", "closes_at")
    }
    return (
        {"requests": None, "rate_rps": None, "record": None, "progress": False, "drain_s": 3.0, "watch_s": []}
        | bounds
        | absolute
    )


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_closed_loop_is_measured_from_the_opening_on(
    quick_server: RunningServer, tmp_path: Path, engine: str
) -> None:
    with worker(quick_server.target, engine=engine) as child:
        assert child.receive(ANSWER_S) == {"ready": True}
        command = window(opens_at=0.2, requests=50, record=str(tmp_path / "calls"))
        child.send(**command)
        answer = child.receive(ANSWER_S)
    assert set(answer) == ANSWERS
    assert answer["admitted"] == 50
    assert answer["spin_s"] == 0.0
    assert 0 < answer["cpu_s"] <= answer["busy_s"] * 3
    records = Records.load(tmp_path / "calls")
    assert (records.start_s >= command["opens_at"]).sum() == 50
    assert (records.start_s < command["opens_at"]).any(), "the warm-up is recorded as well"
    assert records.start_s.min() >= command["starts_at"]
    assert not records.late_s.any()


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_an_open_loop_sends_its_part_of_the_schedule(quick_server: RunningServer, tmp_path: Path, engine: str) -> None:
    with worker(quick_server.target, engine=engine, worker=1, workers=3, seed=5) as child:
        child.receive(ANSWER_S)
        command = window(starts_at=0.1, opens_at=0.3, closes_at=0.8, rate_rps=300.0, record=str(tmp_path / "calls"))
        child.send(**command)
        answer = child.receive(ANSWER_S)
    records = Records.load(tmp_path / "calls")
    starts_at, opens_at, closes_at = (command[name] for name in ("starts_at", "opens_at", "closes_at"))
    schedule = planned(300.0, "constant", starts_at=starts_at, seed=5, worker=1, workers=3)
    assert sorted(records.start_s.tolist()) == [due for due, _ in zip(schedule, records.start_s, strict=False)]
    due = plan_window(300.0, "constant", starts_at=starts_at, seed=5, opens_at=opens_at, closes_at=closes_at)
    mine = due.of_worker(1, 3)
    assert int((records.start_s >= opens_at).sum()) == answer["admitted"] == mine
    assert (records.late_s > 0).all()


def test_spinning_is_counted_apart(quick_server: RunningServer) -> None:
    with worker(quick_server.target, spin=True) as child:
        child.receive(ANSWER_S)
        child.send(**window(closes_at=0.5, rate_rps=1000.0))
        answer = child.receive(ANSWER_S)
    assert answer["spin_s"] > 0
    assert answer["spin_s"] <= answer["busy_s"]


@pytest.mark.parametrize("rate_rps", [None, 0.01, 200.0])
def test_a_window_is_ended_by_a_word_however_far_the_next_call_is(
    quick_server: RunningServer, rate_rps: float | None
) -> None:
    with worker(quick_server.target) as child:
        child.receive(ANSWER_S)
        child.send(**window(rate_rps=rate_rps))
        time.sleep(0.1)
        child.send(close=time.perf_counter(), drain_s=1.0)
        assert set(child.receive(ANSWER_S)) == ANSWERS
        child.send(**window(requests=10))
        assert child.receive(ANSWER_S)["admitted"] == 10, "and the next one is not"


def test_running_figures_are_told_where_they_are_wanted(quick_server: RunningServer) -> None:
    with worker(quick_server.target) as child:
        child.receive(ANSWER_S)
        child.send(**window(opens_at=0.3, closes_at=1.5, progress=True))
        told = [child.receive(ANSWER_S)]
        while "progress" in told[-1]:
            told.append(child.receive(ANSWER_S))
    reports = [message["progress"] for message in told[:-1]]
    assert len(reports) >= 2
    calls = [report["calls"] for report in reports]
    assert calls == sorted(calls)
    assert calls[-1] <= told[-1]["admitted"] + 4, "counted from the opening on; four may have been under way"
    assert all(report["errors"] == 0 for report in reports)
    assert all(np.isnan(report["latency_p99_s"]) or report["latency_p99_s"] > 0 for report in reports)
    assert set(told[-1]) == ANSWERS


def test_records_that_cannot_be_written_are_told_and_the_worker_goes_on(
    quick_server: RunningServer, tmp_path: Path
) -> None:
    with worker(quick_server.target) as child:
        child.receive(ANSWER_S)
        child.send(**window(closes_at=60.0, record=str(tmp_path / "missing" / "calls")))
        answer = child.receive(ANSWER_S)  # long before the minute is over
        assert answer["kind"] == "storage"
        assert "cannot be written" in answer["error"]
        child.send(**window(requests=10))
        assert child.receive(ANSWER_S)["admitted"] == 10


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_target_that_nobody_serves_is_told(engine: str) -> None:
    with worker("127.0.0.1:1", engine=engine, connect_timeout_s=0.2) as child:
        answer = child.receive(ANSWER_S)
        assert answer["kind"] == "target"
        assert "nothing answers at 127.0.0.1:1" in answer["error"]


def test_a_worker_ends_with_its_lifeline(quick_server: RunningServer) -> None:
    with worker(quick_server.target) as child:
        child.receive(ANSWER_S)
        child.send(**window(rate_rps=100.0))
        assert child.popen.stdin is not None
        child.popen.stdin.close()
        assert until(lambda: not child.alive)


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_worker_that_is_stopped_while_it_ends_says_nothing(capfd: pytest.CaptureFixture[str], engine: str) -> None:
    for _ in range(3):  # it has not ended yet when its answer is read, and is told to
        with worker("127.0.0.1:1", engine=engine, connect_timeout_s=0.2) as child:
            child.receive(ANSWER_S)
    assert capfd.readouterr().err == ""
