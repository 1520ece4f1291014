"""A worker process alone: its orders and its answers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpclab.errors import StorageError, TargetError, WorkerError
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.load.calls.method import greeting
from grpclab.load.core.arrivals import plan_window, planned
from grpclab.load.core.recorder import Records
from grpclab.load.worker_messages import (
    Connect,
    Connected,
    EndWindow,
    Failed,
    MeasureWindow,
    WindowEnded,
    WindowProgress,
    WorkerAnswer,
)
from grpclab.servers.process.launcher import RunningServer
from grpclab.system.subprocesses import Child
from grpclab.system.transport import PLAINTEXT
from tests.support.processes import until

ANSWER_S = 120.0


@contextlib.contextmanager
def worker(target: str, *, engine: str = "wire", **setup: Any) -> Iterator[Child]:
    """A worker that has been sent its part of the load."""
    config = TrialConfig(load=LoadConfig(engine=engine, concurrency=4))
    order = Connect(
        config=config,
        target=target,
        security=PLAINTEXT,
        call=greeting(config.load),
        residence=False,
        spin=False,
        worker=0,
        workers=1,
        callers=4,
        seed=1,
        connect_timeout_s=60.0,
    )
    with Child("grpclab.load.worker", name="worker") as child:
        child.send(replace(order, **setup))
        yield child


@contextlib.contextmanager
def connected(target: str, **setup: Any) -> Iterator[Child]:
    """A worker whose engine is connected."""
    with worker(target, **setup) as child:
        child.receive(ANSWER_S, Connected)
        yield child


def window(
    *, starts_at: float = 0.0, opens_at: float = 0.0, closes_at: float | None = None, **order: Any
) -> MeasureWindow:
    """A window whose times count from now; it starts at once unless `starts_at` is later."""
    now = time.perf_counter()
    begun = MeasureWindow(
        starts_at=now + starts_at,
        opens_at=now + opens_at,
        closes_at=None if closes_at is None else now + closes_at,
        requests=None,
        rate_rps=None,
        record=None,
        progress=False,
        drain_s=3.0,
        watch_s=(),
    )
    return replace(begun, **order)


def measured(child: Child, order: MeasureWindow) -> WindowEnded:
    child.send(order)
    return child.receive(ANSWER_S, WindowEnded)


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_closed_loop_is_measured_from_the_opening_on(
    quick_server: RunningServer, tmp_path: Path, engine: str
) -> None:
    with connected(quick_server.target, engine=engine) as child:
        order = window(opens_at=1.0, requests=50, record=tmp_path / "calls")
        answer = measured(child, order)
    assert answer.admitted == 50
    assert answer.spin_s == 0.0
    assert 0 < answer.cpu_s <= answer.busy_s * 3
    records = Records.load(tmp_path / "calls")
    assert (records.start_s >= order.opens_at).sum() == 50
    assert (records.start_s < order.opens_at).any(), "the warm-up is recorded as well"
    assert records.start_s.min() >= order.starts_at
    assert not records.late_s.any()


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_an_open_loop_sends_its_part_of_the_schedule(quick_server: RunningServer, tmp_path: Path, engine: str) -> None:
    with connected(quick_server.target, engine=engine, worker=1, workers=3, seed=5) as child:
        order = window(starts_at=0.1, opens_at=0.3, closes_at=0.8, rate_rps=300.0, record=tmp_path / "calls")
        answer = measured(child, order)
    records = Records.load(tmp_path / "calls")
    assert order.closes_at is not None
    schedule = planned(300.0, "constant", starts_at=order.starts_at, seed=5, worker=1, workers=3)
    assert sorted(records.start_s.tolist()) == [due for due, _ in zip(schedule, records.start_s, strict=False)]
    due = plan_window(
        300.0, "constant", starts_at=order.starts_at, seed=5, opens_at=order.opens_at, closes_at=order.closes_at
    )
    assert int((records.start_s >= order.opens_at).sum()) == answer.admitted == due.of_worker(1, 3)
    assert (records.late_s > 0).all()


def test_spinning_is_counted_apart(quick_server: RunningServer) -> None:
    with connected(quick_server.target, spin=True) as child:
        answer = measured(child, window(closes_at=0.6, rate_rps=1000.0))
    assert 0 < answer.spin_s <= answer.busy_s


@pytest.mark.parametrize("rate_rps", [None, 0.01, 200.0])
def test_a_window_is_ended_by_a_word_however_far_the_next_call_is(
    quick_server: RunningServer, rate_rps: float | None
) -> None:
    with connected(quick_server.target) as child:
        child.send(window(rate_rps=rate_rps))
        time.sleep(0.1)
        child.send(EndWindow(cut_at=time.perf_counter(), drain_s=1.0))
        child.receive(ANSWER_S, WindowEnded)
        assert measured(child, window(requests=10)).admitted == 10, "and the next one is not"


def test_running_figures_are_reported_where_they_are_wanted(quick_server: RunningServer) -> None:
    with connected(quick_server.target) as child:
        child.send(window(opens_at=0.3, closes_at=60.0, progress=True))
        reports = [child.receive(ANSWER_S, WindowProgress) for _ in range(2)]
        child.send(EndWindow(cut_at=time.perf_counter(), drain_s=1.0))
        while isinstance(answer := child.receive(ANSWER_S, WorkerAnswer), WindowProgress):
            reports.append(answer)
    assert isinstance(answer, WindowEnded)
    calls = [report.calls for report in reports]
    assert calls == sorted(calls)
    assert calls[-1] <= answer.admitted + 4, "counted from the opening on; four may have been under way"
    assert all(report.errors == 0 for report in reports)
    assert all(np.isnan(report.latency_p99_s) or report.latency_p99_s > 0 for report in reports)


def test_records_that_cannot_be_written_are_reported_and_the_worker_goes_on(
    quick_server: RunningServer, tmp_path: Path
) -> None:
    with connected(quick_server.target) as child:
        child.send(window(closes_at=60.0, record=tmp_path / "missing" / "calls"))
        answer = child.receive(ANSWER_S, Failed)  # long before the minute is over
        assert answer.kind == "storage"
        assert isinstance(answer.error, StorageError)
        assert "cannot be written" in answer.text
        assert measured(child, window(requests=10)).admitted == 10


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_target_that_nobody_serves_is_reported(engine: str) -> None:
    with worker("127.0.0.1:1", engine=engine, connect_timeout_s=0.2) as child:
        answer = child.receive(ANSWER_S, Failed)
        assert answer.kind == "target"
        assert isinstance(answer.error, TargetError)
        assert "no server responded at 127.0.0.1:1" in answer.text


def test_a_worker_ends_with_its_lifeline(quick_server: RunningServer) -> None:
    with connected(quick_server.target) as child:
        child.send(window(rate_rps=100.0))
        assert child.popen.stdin is not None
        child.popen.stdin.close()
        assert until(lambda: not child.alive)


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_worker_that_is_stopped_while_it_ends_says_nothing(capfd: pytest.CaptureFixture[str], engine: str) -> None:
    for _ in range(3):  # it has not ended yet when its answer is read, and is told to
        with worker("127.0.0.1:1", engine=engine, connect_timeout_s=0.2) as child:
            child.receive(ANSWER_S, Failed)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("line", ['{"message": "Connected"}', '{"message": "WindowEnded", "cpu_s": 1.0}', "[]"])
def test_an_answer_of_another_kind_is_the_workers_error(line: str, tmp_path: Path) -> None:
    (tmp_path / "odd_child.py").write_text(f"print('\\x1e' + {line!r}, flush=True)\ninput()\n")
    with (
        Child("odd_child", name="worker", env={"PYTHONPATH": str(tmp_path)}) as child,
        pytest.raises(WorkerError, match="sent no WindowEnded"),
    ):
        child.receive(ANSWER_S, WindowEnded)
