"""The generator: watching a window, and the ways in which it may end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from grpclab.errors import ServerError, StorageError, TargetError, WorkerError
from grpclab.factors.config import ClientConfig, ServerConfig
from grpclab.load.generator import Generator
from grpclab.load.run import LoadProgress
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.testing import FaultSpec, fault_server
from tests.support.generator_help import Pooling, by_status, load
from tests.support.processes import until

# ---- watching it ---------------------------------------------------------------------------------------------


def test_the_running_figures_are_told_and_cost_the_result_nothing(quick_server: RunningServer) -> None:
    reports: list[LoadProgress] = []
    config = load(requests=None, duration_s=60.0, warmup_s=0.1, workers=2)
    with Generator(config, quick_server.target) as generator:
        run = generator.measure(progress=reports.append, stop_when=lambda _: "told" if len(reports) >= 3 else None)
    assert run.stopped_because == "told"
    assert [p.calls for p in reports] == sorted(p.calls for p in reports)
    assert 0 < reports[-1].calls <= run.summary.requests + config.load.concurrency
    assert all(p.elapsed_s > 0 for p in reports)
    assert {p.errors for p in reports} == {0}


@pytest.mark.parametrize("rate_rps", [None, 200.0])
def test_whoever_watches_may_end_the_window_with_a_reason(quick_server: RunningServer, rate_rps: float | None) -> None:
    config = load(requests=None, duration_s=60, rate_rps=rate_rps, workers=2)
    with Generator(config, quick_server.target) as generator:
        run = generator.measure(stop_when=lambda progress: "enough" if progress.calls >= 50 else None)
        soon = generator.measure(stop_when=lambda progress: "at once")
    assert run.stopped_because == "enough"
    assert by_status(soon).pop("NOT_ENDED", 0) == soon.unsent, "every call that was sent has ended"
    assert by_status(soon).keys() <= {"OK", "NOT_ENDED"}
    assert not run.interrupted
    assert run.summary.requests >= 50
    assert run.summary.window_s < 60
    if rate_rps is not None:
        assert 0 <= run.planned - run.sent - run.unsent <= 2, "what was due until then"
        if run.lateness["max"] < 0.002:
            assert not any("had not been sent" in limit for limit in run.limits)


# ---- what goes wrong -----------------------------------------------------------------------------------------


def test_a_deadline_shorter_than_the_handler_is_counted_as_such() -> None:
    config = load(ClientConfig(deadline_s=0.015), requests=30, concurrency=5, method="SayHelloStream")
    # This server leaves deadlines to its clients: C-core's ends a call by its own clock, with a status of its own.
    slow = FaultSpec(stream_interval_ms=60_000, pacing="timer")
    with fault_server(slow) as server, Generator(config, server.target) as generator:
        run = generator.measure()
    assert by_status(run) == {"OK": 0, "DEADLINE_EXCEEDED": 30}
    assert run.summary.throughput_rps == 0
    assert run.summary.latency_min_s >= 0.015, "a failed call has a latency, too"


def test_rejected_calls_are_counted_beside_the_good_ones() -> None:
    server_config = ServerConfig(max_concurrent_rpcs=2, stream_messages=2, stream_interval_ms=50)
    config = load(requests=100, concurrency=20, method="SayHelloStream")
    with launch(server_config) as server:
        with Generator(config, server.target) as generator:
            run = generator.measure()
        server.stop()
    counts = by_status(run)
    assert set(counts) == {"OK", "RESOURCE_EXHAUSTED"}
    assert sum(counts.values()) == 100
    assert server.calls == counts["OK"]
    assert server.high_water == 2


@pytest.mark.parametrize("pooling", ["per_call", "shared", "pool"])
def test_a_server_killed_in_mid_run_is_seen_as_errors_and_the_run_ends(pooling: Pooling) -> None:
    # Calls of 200 ms: a hundred are inside when the window opens, and those that follow wait for one pause or two.
    config = load(ClientConfig(pooling=pooling), requests=250, concurrency=100, warmup_s=0.1, workers=2)
    with launch(ServerConfig(implementation="asyncio", handler_wait_ms="200")) as server:
        with Generator(config, server.target) as generator:
            run = generator.measure(on_open=lambda: os.kill(server.pids[0], signal.SIGKILL))
        with pytest.raises(ServerError, match="killed by SIGKILL"):
            server.require_alive()
    counts = by_status(run)
    assert sum(counts.values()) == 250
    assert counts["UNAVAILABLE"] > 0


def test_a_target_that_nobody_serves_is_told(ours: Callable[[], list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grpclab.load.workers.CONNECT_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"127.0.0.1:{taken.getsockname()[1]}"
    with (
        pytest.raises(TargetError, match=rf"no server responded at {target}.*grpclab serve") as error,
        Generator(load(workers=2), target),
    ):
        pass
    assert "\n" not in str(error.value)
    assert ours() == []


def test_a_worker_that_is_killed_ends_the_run_and_leaves_nothing(
    quick_server: RunningServer, ours: Callable[[], list[int]]
) -> None:
    config = load(requests=None, duration_s=60, workers=2)
    with Generator(config, quick_server.target) as generator:
        assert sorted(ours()) == sorted(generator.pids)
        with pytest.raises(WorkerError, match=r"load worker 2 of 2 \(pid \d+\) was killed by SIGKILL"):
            generator.measure(on_open=lambda: os.kill(generator.pids[1], signal.SIGKILL))
    assert ours() == []


def test_a_worker_that_is_killed_between_two_windows_is_told(quick_server: RunningServer) -> None:
    with Generator(load(requests=10), quick_server.target) as generator:
        generator.measure()
        os.kill(generator.pids[0], signal.SIGKILL)
        with pytest.raises(WorkerError, match="killed by SIGKILL"):
            generator.measure()


def test_records_that_cannot_be_written_are_one_clear_line(quick_server: RunningServer) -> None:
    with Generator(load(requests=None, duration_s=60), quick_server.target) as generator:
        shutil.rmtree(generator._workers._folder)
        with pytest.raises(StorageError, match=r"records cannot be written to .* set TMPDIR to a folder"):
            generator.measure()
        generator._workers._folder.mkdir()


# ---- Ctrl-C --------------------------------------------------------------------------------------------------


def interrupt_when(condition: Callable[[], bool]) -> Callable[[], None]:
    """A tick that does what Ctrl-C does, once."""
    left = [True]

    def tick() -> None:
        if left and condition():
            left.clear()
            raise KeyboardInterrupt

    return tick


def test_ctrl_c_keeps_what_was_measured_and_judges_it_over_the_time_it_took(
    quick_server: RunningServer,
) -> None:
    before = quick_server.usage().cpu_s
    tick = interrupt_when(lambda: quick_server.usage().cpu_s > before + 0.05)
    with Generator(load(requests=None, duration_s=60), quick_server.target) as generator:
        run = generator.measure(tick=tick, every_s=0, keep_on_interrupt=True)
    assert run.interrupted
    assert run.summary.requests > 0
    assert run.summary.window_s < 60
    ends = np.concatenate([window.records.end_s for window in run.windows])
    assert run.summary.throughput_rps == pytest.approx(len(ends) / run.summary.window_s)


def test_ctrl_c_waits_for_the_worker_that_still_runs_and_has_not_lost_the_one_that_ended(
    quick_server: RunningServer,
) -> None:
    def second_still_works() -> bool:
        """Stop the second worker, wait until the first has said its result, and let the second one go on."""
        ticks.append(1)
        if len(ticks) == 1:
            os.kill(generator.pids[1], signal.SIGSTOP)
        if len(ticks) < 30:
            return False
        os.kill(generator.pids[1], signal.SIGCONT)
        return True

    ticks: list[int] = []
    with Generator(load(requests=20, concurrency=2, workers=2), quick_server.target) as generator:
        run = generator.measure(tick=interrupt_when(second_still_works), every_s=0, keep_on_interrupt=True)
    assert run.interrupted
    assert len(run.windows[0].measured) == 10


def test_ctrl_c_ends_everything_where_nobody_wants_to_keep_it(
    quick_server: RunningServer, ours: Callable[[], list[int]]
) -> None:
    config = load(requests=None, duration_s=60, workers=2)
    with pytest.raises(KeyboardInterrupt), Generator(config, quick_server.target) as generator:
        generator.measure(tick=interrupt_when(lambda: True))
    assert ours() == []


# ---- load without a record -----------------------------------------------------------------------------------


def test_the_background_load_runs_with_the_block_and_ends_with_it(quick_server: RunningServer) -> None:
    server = psutil.Process(quick_server.pids[0])
    with Generator(load(requests=10, workers=2), quick_server.target) as generator:
        before = quick_server.usage().cpu_s
        with generator.background():
            assert until(lambda: quick_server.usage().cpu_s > before + 0.1)
        assert until(lambda: server.cpu_percent(interval=0.1) < 5)
        assert by_status(generator.measure()) == {"OK": 10}


def test_the_background_load_ends_by_itself_when_its_time_is_over(quick_server: RunningServer) -> None:
    server = psutil.Process(quick_server.pids[0])
    with Generator(load(requests=10), quick_server.target) as generator:
        before = quick_server.usage().cpu_s
        with generator.background(limit_s=0.2):
            assert until(lambda: quick_server.usage().cpu_s > before + 0.02)
            assert until(lambda: server.cpu_percent(interval=0.1) < 5)
        assert by_status(generator.measure()) == {"OK": 10}
