"""Processes that are stopped inside the window, in real processes: the result says who it was."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from grpclab.calibration import disturbing
from grpclab.calibration.disturber import MODULE, Done, Order, Ready
from grpclab.errors import WorkerError
from grpclab.load.generator import Generator
from grpclab.load.run import GENERATOR_BOUND, LoadProgress, LoadRun
from grpclab.servers.process.launcher import RunningServer
from grpclab.system.accounting import is_stopped
from grpclab.system.interference import SERVER
from grpclab.system.notices import kinds
from grpclab.system.subprocesses import Child, receive_all, receive_any
from tests.support.generator_help import load
from tests.support.processes import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc")

STOP_S = 0.25


def stopped_in_window(generator: Generator, pids: list[int]) -> LoadRun:
    """A window of calls in which these processes are stopped, until the generator has looked at them several times."""
    looks: list[float] = []
    stopped: list[float] = []

    def stop_and_end(progress: LoadProgress) -> str | None:
        if not stopped and progress.calls >= 20:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            stopped.append(time.perf_counter())
        return "enough" if looks and not any(map(is_stopped, pids)) else None

    def go_on() -> None:
        if stopped:
            looks.append(time.perf_counter())
        if len(looks) >= 5 and looks[-1] - stopped[0] >= STOP_S:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    try:
        return generator.measure(tick=go_on, every_s=0, stop_when=stop_and_end)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("loop", ["closed", "open"])
@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_stop_inside_the_window_is_marked_by_the_one_who_was_stopped(
    quick_server: RunningServer, engine: str, loop: str
) -> None:
    levels: dict[str, Any] = {"rate_rps": 300.0, "max_in_flight": 5000} if loop == "open" else {"concurrency": 8}
    config = load(engine=engine, requests=None, duration_s=60, **levels)
    with Generator(config, quick_server.target) as generator:
        generator.beside[SERVER] = quick_server.pids
        server = stopped_in_window(generator, quick_server.pids)
        worker = stopped_in_window(generator, generator.pids)
    assert server.stopped_because == worker.stopped_because == "enough"
    assert "server-stopped" in kinds(server.notices)
    assert "generator-stopped" not in kinds(server.notices)
    assert server.summary.latency_max_s > 0.8 * STOP_S
    assert "generator-stopped" in kinds(worker.notices)
    assert "server-stopped" not in kinds(worker.notices)
    assert worker.limited_by("shared") == GENERATOR_BOUND
    if loop == "open":  # the calls that were due meanwhile count from when they were due
        latency = server.windows[0].measured.latency_s
        assert (latency > STOP_S / 2).sum() > 0.25 * STOP_S * 300


COORDINATOR = """
import json, os, sys, time
from grpclab.calibration.disturber import MODULE, Done, Order, Ready
from grpclab.system.subprocesses import Child, receive_all, receive_any
from grpclab.errors import WorkerError
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.load.generator import Generator
from grpclab.system.notices import kinds
config = TrialConfig(load=LoadConfig(requests=None, duration_s=1.0, warmup_s=0.1, concurrency=8))
with Child(MODULE, name="disturber") as hand, Generator(config, sys.argv[1]) as generator:
    hand.receive(60, Ready)
    moments = []
    def stop():
        moments.append(time.perf_counter() + 0.1)
        hand.send(Order(kind="stop", at=moments[0], seconds=0.6, pids=(os.getpid(),)))
    run = generator.measure(on_open=stop)
    hand.receive(60, Done)
ends = run.windows[0].records.end_s - moments[0]
print(json.dumps({
    "meanwhile": int(((ends > 0.1) & (ends < 0.5)).sum()),
    "window_s": run.summary.window_s,
    "notices": kinds(run.notices),
}))
"""


def test_the_process_that_waits_for_the_workers_may_be_stopped_and_they_go_on(quick_server: RunningServer) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", COORDINATOR, quick_server.target],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    document = json.loads(ran.stdout)
    assert document["meanwhile"] > 20
    assert document["window_s"] == pytest.approx(1.0, abs=0.01)
    assert "unwatched" in document["notices"]


def test_whoever_was_stopped_goes_on_when_the_one_who_ordered_it_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as sleeper:
        try:
            hand = Child(MODULE, name="disturber")
            hand.receive(60, Ready)
            hand.send(Order(kind="stop", at=time.perf_counter(), seconds=60.0, pids=(sleeper.pid,)))
            assert until(lambda: is_stopped(sleeper.pid))
            assert hand.popen.stdin is not None
            hand.popen.stdin.close()
            assert until(lambda: not is_stopped(sleeper.pid))
            hand.abandon()
        finally:
            os.kill(sleeper.pid, signal.SIGCONT)
            sleeper.kill()


@pytest.mark.parametrize("kind", ["burn", "memory", "fsync"])
def test_a_disturbance_lasts_as_long_as_it_was_asked_for(kind: str) -> None:
    with Child(MODULE, name="disturber") as hand:
        hand.receive(60, Ready)
        end = time.perf_counter() + 0.1
        hand.send(Order(kind=kind, at=end - 0.1, seconds=0.1))
        done = hand.receive(60, Done)
        assert done.began_s < end <= done.ended_s


# ---- the wall clock --------------------------------------------------------------------------------------------

LIBRARY = next((path for path in disturbing.FAKETIME if path.exists()), None)
needs_faketime = pytest.mark.skipif(LIBRARY is None, reason="libfaketime is missing: apt-get install libfaketime")


@needs_faketime
def test_the_wall_clock_that_is_set_is_that_of_our_child_alone(tmp_path: Path) -> None:
    assert LIBRARY is not None
    clock = tmp_path / "clock"
    clock.write_text("+3600")
    code = "import time; print(time.time(), time.monotonic())"
    env = {**os.environ, **disturbing.faked(LIBRARY, clock)}
    wall, monotonic = map(float, subprocess.check_output([sys.executable, "-c", code], env=env, text=True).split())
    assert wall - time.time() == pytest.approx(3600, abs=60)
    assert monotonic - time.monotonic() == pytest.approx(0, abs=60)


@needs_faketime
@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_wall_clock_set_by_an_hour_inside_the_window_changes_no_figure(
    quick_server: RunningServer, tmp_path: Path, engine: str
) -> None:
    assert LIBRARY is not None
    clock = tmp_path / "clock"
    clock.write_text("+0")
    config = load(engine=engine, requests=None, duration_s=0.5, rate_rps=200.0)
    env = disturbing.faked(LIBRARY, clock)

    def set_clock() -> None:
        clock.write_text(f"+{disturbing.CLOCK_STEP_S}")

    with Generator(config, quick_server.target, env=env) as generator:
        run = generator.measure(on_open=set_clock)
    assert run.summary.requests == run.planned
    assert run.summary.errors == 0
    assert run.summary.window_s == pytest.approx(0.5, abs=1e-6)
    assert 0 < run.summary.latency_max_s < 60


def test_what_a_child_said_while_its_parent_was_stopped_is_no_silence() -> None:
    with Child(MODULE, name="disturber") as hand:
        pipe = hand.popen.stdout
        assert pipe is not None
        assert until(lambda: select.select([pipe], [], [], 0)[0])
        assert list(receive_any([hand], 0.0, Ready, every_s=1.0)) == [(hand, Ready())]
        assert list(receive_any([hand], 0.0, Ready, every_s=1.0)) == []
        hand.send(Order(kind="burn", at=0.0, seconds=0.0))
        assert until(lambda: select.select([pipe], [], [], 0)[0])
        (done,) = receive_all([hand], 0.0, Done)
        assert done.ended_s >= done.began_s
        with pytest.raises(WorkerError):
            receive_all([hand], 0.0, Done)
