"""Slices that do not go as planned: workers that are late or die, calls that hang, nothing left to send, Ctrl-C."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from grpclab.errors import MeasurementError, StorageError, WorkerError
from grpclab.factors.config import ClientConfig, ServerConfig
from grpclab.load.calls.method import CallSpec
from grpclab.load.calls.payloads import PAYLOAD_FOLDER
from grpclab.load.core.arrivals import planned
from grpclab.load.core.slices import SliceLengths, alone, outlasting
from grpclab.load.generator import Generator
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.system.accounting import is_stopped
from grpclab.system.allowance import Allowance
from grpclab.testing import FaultSpec, fault_server
from tests.support.generator_help import counting, load, slices_until, stretches
from tests.support.processes import until

SHORT = SliceLengths(ramp_s=0.01, counted_s=0.03)
BOTH = pytest.mark.parametrize("engine", ["wire", "grpcio"])


@pytest.fixture(scope="module")
def slow_server() -> Iterator[RunningServer]:
    """It answers after a quarter of a second."""
    with launch(ServerConfig(implementation="asyncio", handler_wait_ms="250")) as server:
        yield server


# ---- workers -------------------------------------------------------------------------------------------------


def test_a_late_worker_makes_its_slice_invalid_and_not_the_run(quick_server: RunningServer) -> None:
    with Generator(load(engine="wire", concurrency=4, workers=2), quick_server.target) as generator:
        generator.warm_up()
        late = generator.pids[1]
        os.kill(late, signal.SIGSTOP)
        assert until(lambda: is_stopped(late))
        threading.Timer(0.5, os.kill, (late, signal.SIGCONT)).start()
        first = generator.slice(SHORT)
        others = [generator.slice(SHORT) for _ in range(8)]
        valid = [each for each in others if not each.invalid]
        assert first.invalid.endswith("late")
        assert first.late_s > 0.002
        if valid:  # on a busy machine there may be none
            run = generator.close_slices()
            assert run.summary.requests == sum(each.started for each in valid)


def test_a_slice_in_which_the_generator_was_stopped_does_not_count(quick_server: RunningServer) -> None:
    with Generator(load(engine="wire", concurrency=4), quick_server.target) as generator:
        generator.warm_up()
        (pid,) = generator.pids
        threading.Timer(0.3, os.kill, (pid, signal.SIGSTOP)).start()
        threading.Timer(0.8, os.kill, (pid, signal.SIGCONT)).start()
        each = generator.slice(SliceLengths(ramp_s=0.01, counted_s=1.2))
    assert each.invalid.startswith("the load generator stalled for")
    assert not each.exhausted


def test_a_worker_that_is_killed_ends_the_slices(quick_server: RunningServer, ours: Callable[[], list[int]]) -> None:
    with Generator(load(concurrency=4, workers=2), quick_server.target) as generator:
        generator.slice(SHORT)
        os.kill(generator.pids[1], signal.SIGKILL)
        with pytest.raises(WorkerError, match="killed by SIGKILL"):
            generator.slice(SHORT)
    assert ours() == []


def test_records_that_cannot_be_written_are_one_clear_line(quick_server: RunningServer) -> None:
    with Generator(load(concurrency=4), quick_server.target) as generator:
        shutil.rmtree(generator._workers._folder)
        with pytest.raises(StorageError, match=r"records cannot be written to .* set TMPDIR to a folder"):
            generator.slice(SHORT)
        generator._workers._folder.mkdir()


def test_ctrl_c_ends_a_slice_and_everything(slow_server: RunningServer, ours: Callable[[], list[int]]) -> None:
    interrupt = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))

    def interrupted() -> None:
        with Generator(load(concurrency=4, workers=2), slow_server.target) as generator:
            interrupt.start()
            generator.slice(SliceLengths(ramp_s=0.01, counted_s=30.0))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ours() == []


# ---- calls that last -----------------------------------------------------------------------------------------


@BOTH
def test_a_slice_waits_for_calls_that_are_longer_than_it_is(slow_server: RunningServer, engine: str) -> None:
    with Generator(load(engine=engine, concurrency=3), slow_server.target) as generator:
        slices_until(generator, SliceLengths(ramp_s=0.0, counted_s=0.05), 1)
        (each,), (figures,) = counting(generator.finish_slices()), stretches(generator)
        run = generator.close_slices()
    assert (each.started, figures.started, figures.counted_ok, figures.errors) == (3, 3, 0, 0)
    assert each.tail_ended_at - each.closed_at > 0.15
    assert run.summary.latency_min_s > 0.25
    assert run.silence[0] > 0.15
    assert outlasting([each])


@BOTH
def test_calls_that_hang_are_given_up_and_counted(slow_server: RunningServer, engine: str) -> None:
    client = ClientConfig(deadline_s=None)
    with Generator(load(client, engine=engine, concurrency=3), slow_server.target) as generator:
        generator.open_slices(drain_s=0.05)
        slices = counting(slices_until(generator, SliceLengths(ramp_s=0.0, counted_s=0.05), 2))
        figures = stretches(generator)
        run = generator.close_slices()
    assert [each.started for each in slices] == [3, 3]
    assert [(each.started, each.errors) for each in figures] == [(3, 3), (3, 3)]
    assert run.summary.not_ended == 6
    assert sum(failure.calls for failure in run.failures) == 6
    assert run.summary.throughput_rps == 0.0
    assert run.calls_made >= 6


@BOTH
def test_only_failures_of_counted_calls_are_told(engine: str) -> None:
    client = ClientConfig(deadline_s=0.02)
    config = load(client, engine=engine, concurrency=4)
    # This server leaves deadlines to its clients: C-core's ends a call by its own clock, with a status of its own.
    hanging = FaultSpec(service_time="constant:60s", pacing="timer")
    with fault_server(hanging) as server, Generator(config, server.target) as generator:
        slices = counting(slices_until(generator, SHORT, 2, started=1))
        run = generator.close_slices()
    assert run.summary.errors_by_status == {"DEADLINE_EXCEEDED": run.summary.requests}
    assert sum(failure.calls for failure in run.failures) == run.summary.errors == sum(each.started for each in slices)
    assert run.calls_made > run.summary.requests
    assert all(0 <= failure.first_s <= run.summary.window_s for failure in run.failures)


def test_a_warm_up_in_which_calls_last_tells_how_long_they_do(slow_server: RunningServer) -> None:
    with Generator(load(warmup_s=0.1, concurrency=2), slow_server.target) as generator:
        warmup = generator.warm_up()
    assert warmup.latency_p50_s > 0.2
    assert warmup.throughput_rps > 1
    assert "more than the limit of 2 s" in alone({"slow": dataclasses.replace(warmup, latency_p99_s=1.0)}, {})["slow"]


# ---- nothing left to send ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_slices_end_where_the_requests_may_not_repeat(quick_server: RunningServer, workers: int) -> None:
    payloads = PAYLOAD_FOLDER.write([b"" for _ in range(4000)], repeat=False)
    call = CallSpec(path="/greet.Greeter/SayHello", payload=b"", payloads=payloads)
    config = load(engine="wire", concurrency=4, workers=workers)
    with Generator(config, quick_server.target, call=call) as generator:
        first = generator.slice(SHORT)
        last = generator.slice(SliceLengths(ramp_s=0.01, counted_s=30.0))
        after = generator.slice(SHORT)
        made = generator.calls_made
        if not first.invalid:
            run = generator.close_slices()
            assert run.ran_out
            assert "all 4,000 requests" in run.stopped_because
    assert last.exhausted
    assert "all 4,000 requests" in last.invalid
    assert (after.exhausted, after.calls, after.invalid) == (True, 0, last.invalid)
    assert 2000 <= made <= 4000


def test_slices_keep_to_what_was_allowed(quick_server: RunningServer) -> None:
    allowance = Allowance(rate_rps=1e6, calls=300, time_s=60.0)
    with Generator(load(engine="wire", concurrency=4), quick_server.target, allowance=allowance) as generator:
        last = generator.slice(SliceLengths(ramp_s=0.01, counted_s=30.0))
        assert generator.spent == generator.calls_made == 300
        with pytest.raises(MeasurementError, match="--max-calls=300"):
            generator.close_slices()
    assert last.exhausted


# ---- open loops ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "workers", "arrival"), [("wire", 1, "poisson"), ("grpcio", 1, "constant")])
def test_an_open_loop_sends_one_schedule_whose_time_stands_still(
    quick_server: RunningServer, engine: str, workers: int, arrival: Any
) -> None:
    config = load(engine=engine, rate_rps=300.0, arrival=arrival, workers=workers)
    with Generator(config, quick_server.target) as generator:
        warmup = generator.warm_up()
        slices = slices_until(generator, SliceLengths(ramp_s=0.05, counted_s=0.2), 3)
        run = generator.close_slices()
    records = run.windows[0].records
    assert len(records) == warmup.calls + sum(each.calls for each in slices)
    # The gaps between the calls of one slice are those of the schedule, one after the other.
    drawn = planned(300.0, arrival, starts_at=0.0, seed=1)
    expected = np.array([next(drawn) for _ in range(2 * len(records) + 10)])
    sent = np.sort(records.start_s)
    at, ended_at = warmup.calls, -math.inf
    for each in slices:
        moments = sent[(sent >= each.started_at) & (sent < each.drained_at)]
        offsets = expected - expected[:, None]
        gaps = moments - moments[0]
        first = next(
            row for row in range(at, len(expected)) if np.allclose(offsets[row, row : row + len(gaps)], gaps, atol=1e-6)
        )
        assert (expected[at:first] > ended_at).all(), "nothing is left out but what was due in a tail that had ended"
        at = first + len(gaps)
        ended_at = expected[first] + each.closed_at - moments[0]
    assert run.planned == run.summary.requests == sum(each.started for each in counting(slices))
    assert run.offered_rps == 300.0


def test_calls_that_are_planned_in_a_stretch_count_however_long_they_wait() -> None:
    """A server that takes one call at a time, at more than it can take: the queue is in the latencies."""
    with launch(ServerConfig(implementation="sync", threads=1, handler_wait_ms="20")) as server:
        with Generator(load(engine="wire", rate_rps=100.0, max_in_flight=4), server.target) as generator:
            (each,) = counting(slices_until(generator, SliceLengths(ramp_s=0.05, counted_s=0.4), 1))
            (figures,) = stretches(generator)
            run = generator.close_slices()
        server.stop()
    assert run.summary.requests == run.planned == pytest.approx(40, abs=1)
    assert run.summary.latency_max_s > 0.3
    assert each.started == figures.started
    assert figures.under_way_closed > figures.under_way_opened
    assert run.held_back
    assert server.calls == run.calls_made
