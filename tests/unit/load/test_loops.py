"""The loops in virtual time: with the clock and the transport given, every figure is exact."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.core.summary import percentiles, summarise
from grpclab.load.core.worker_window import Window
from grpclab.load.engines.engine import Counters
from grpclab.load.engines.loops import Caller, CallFunction, OpenLoop, shrink
from grpclab.metrics import PERCENTILES
from grpclab.status import OK
from grpclab.testing.virtual import VirtualLoop, pacer, run
from tests.support.queues import Queue, evenly, send

MS = 1 / 1024
"""A millisecond of this clock, so that sums are exact."""


async def call_again(loop: VirtualLoop, path: Path, call: CallFunction, gate: Gate, *, callers: int = 1) -> Records:
    """A closed loop to its end, and what was recorded."""
    recorder = Recorder(path)
    await asyncio.gather(*(Caller(call, gate, recorder, loop.time).run() for _ in range(callers)))
    recorder.close()
    return Records.load(path)


def queued(planned: list[float], service_s: list[float]) -> list[float]:
    """When each call ends in a server that takes one after the other (Lindley's recursion)."""
    ends, free = [], 0.0
    for due, service in zip(planned, service_s, strict=True):
        free = max(free, due) + service
        ends.append(free)
    return ends


# ---- the open loop -------------------------------------------------------------------------------------------


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps=st.lists(st.integers(0, 20), min_size=1000, max_size=1000),
    service=st.lists(st.integers(1, 18), min_size=1000, max_size=1000),
)
def test_every_latency_and_every_percentile_is_exact(tmp_path: Path, gaps: list[int], service: list[int]) -> None:
    planned = [float(x) * MS for x in np.cumsum(gaps)]
    service_s = [x * MS for x in service]

    async def main(loop: VirtualLoop) -> Records:
        gate = Gate(opens_at=0.0, requests=1000)
        return await send(loop, tmp_path / "calls", Queue(loop, service_s), itertools.chain(planned, [1e9]), gate)

    records = run(main)
    exact = np.array(queued(planned, service_s)) - np.array(planned)
    assert np.array_equal(records.start_s, planned)
    assert np.array_equal(records.latency_s, exact)
    assert not records.late_s.any()
    assert records.residence_s is not None
    assert np.array_equal(records.residence_s, service_s)
    summary = summarise([Window(records=records, opened_at=0.0, requests=None, closes_at=1e9, held_open=True)])
    ordered = np.sort(exact)
    assert summary.latency["p50"] == ordered[499]
    assert summary.latency["p99"] == ordered[989]
    decoded = HdrHistogram.decode(summary.histogram)
    for name in ("p50", "p90", "p95", "p99"):
        microseconds = decoded.get_value_at_percentile(PERCENTILES[name] * 100)
        assert microseconds == pytest.approx(summary.latency[name] * 1e6, rel=1e-3, abs=1)


def test_a_stall_of_the_server_shows_in_an_open_loop_and_hides_from_a_closed_one(tmp_path: Path) -> None:
    # 10 s at 256 calls a second, a millisecond each; from second 4 to second 5 the server does nothing
    def stalled(loop: VirtualLoop) -> Queue:
        return Queue(loop, [MS], stall_at=4.0, stall_s=1.0)

    async def opened(loop: VirtualLoop) -> Records:
        gate = Gate(opens_at=0.0, closes_at=10.0)
        return await send(loop, tmp_path / "open", stalled(loop), evenly(1 / 256), gate)

    async def closed(loop: VirtualLoop) -> Records:
        return await call_again(loop, tmp_path / "closed", stalled(loop), Gate(opens_at=0.0, closes_at=10.0))

    open_loop, closed_loop_ = run(opened), run(closed)
    assert len(open_loop) == 2560
    # The call due k/256 s into the stall waits for its end and for the k calls before it, a millisecond each.
    waits = [1 - k / 256 + (k + 1) * MS for k in range(342)]
    exact = np.sort([MS] * (2560 - 341) + waits[:341])
    tails = percentiles(open_loop.latency_s)
    assert tails["p99"] == exact[math.ceil(2560 * 0.99) - 1]
    assert 0.85 < tails["p99"] < 0.95
    assert open_loop.latency_s.max() == 1 + MS
    hidden = percentiles(closed_loop_.latency_s)
    assert hidden["p50"] == hidden["p99"] == MS
    assert closed_loop_.latency_s.max() == 1 + MS, "one call, of more than nine thousand"


def test_warm_up_is_the_schedules_first_part_and_is_not_counted(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> Records:
        gate = Gate(opens_at=0.5, requests=64)
        records = await send(loop, tmp_path / "calls", Queue(loop, [MS]), evenly(1 / 64), gate)
        assert gate.admitted == 64
        return records

    records = run(main)
    assert len(records) == 32 + 64
    assert int((records.start_s >= 0.5).sum()) == 64


def test_a_generator_that_wakes_late_sends_at_once_what_is_due_and_says_how_late(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> Records:
        async def block() -> None:  # the loop is busy with something else from 0.25 to 0.5
            await asyncio.sleep(0.25)
            loop.selector.now += 0.25

        blocking = asyncio.create_task(block())
        await asyncio.sleep(0)
        gate = Gate(opens_at=0.0, closes_at=1.0)
        records = await send(loop, tmp_path / "calls", Queue(loop, [0.0]), evenly(1 / 16, first=1 / 32), gate)
        await blocking
        return records

    records = run(main)
    assert len(records) == 16, "none is dropped"
    late = {start: late for start, late in zip(records.start_s.tolist(), records.late_s.tolist(), strict=True) if late}
    assert late == {due: 0.5 - due for due in (9 / 32, 11 / 32, 13 / 32, 15 / 32)}
    assert np.array_equal(records.latency_s, records.late_s), "the latency counts from the planned time"


# ---- the bound of calls in flight ----------------------------------------------------------------------------


def test_calls_beyond_the_bound_wait_in_order_are_counted_and_none_is_dropped(tmp_path: Path) -> None:
    # 100 calls, 1 ms apart; two at a time, each 10 ms: they are through after 500 ms instead of 100
    counters = Counters()

    async def main(loop: VirtualLoop) -> tuple[Records, int]:
        inside = [0, 0]

        async def call(start_s: float, recorder: Recorder) -> tuple[int, float]:
            inside[0] += 1
            inside[1] = max(inside)
            await asyncio.sleep(10 * MS)
            inside[0] -= 1
            return OK, math.nan

        gate = Gate(opens_at=0.0, requests=100)
        records = await send(loop, tmp_path / "calls", call, evenly(MS), gate, max_in_flight=2, counters=counters)
        return records, inside[1]

    records, high_water = run(main)
    assert high_water == 2
    assert len(records) == 100
    assert counters.bound_hits == 98
    assert sorted(records.start_s.tolist()) == [number * MS for number in range(100)]
    pairs = [(number, number // 2 * 10 * MS + number % 2 * MS) for number in range(100)]
    assert np.sort(records.late_s).tolist() == sorted(sent - number * MS for number, sent in pairs)


def test_a_bound_that_is_touched_and_not_passed_is_no_hit(tmp_path: Path) -> None:
    counters = Counters()

    async def main(loop: VirtualLoop) -> Records:
        gate = Gate(opens_at=0.0, requests=50)
        return await send(
            loop, tmp_path / "calls", Queue(loop, [MS]), evenly(2 * MS), gate, max_in_flight=1, counters=counters
        )

    assert len(run(main)) == 50
    assert counters.bound_hits == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    service=st.integers(0, 12),
    bound=st.integers(1, 5),
)
def test_with_any_bound_every_call_is_made_once_and_never_too_many_at_a_time(
    tmp_path: Path, gaps: list[int], service: int, bound: int
) -> None:
    planned = [float(x) * MS for x in np.cumsum(gaps)]

    async def main(loop: VirtualLoop) -> tuple[Records, Queue]:
        server = Queue(loop, [service * MS])
        gate = Gate(opens_at=0.0, requests=len(planned))
        schedule = itertools.chain(planned, itertools.repeat(1e9))
        return await send(loop, tmp_path / "calls", server, schedule, gate, max_in_flight=bound), server

    records, server = run(main)
    assert sorted(records.start_s.tolist()) == planned
    assert server.high_water <= bound
    assert (records.late_s >= 0).all()


# ---- how it ends ---------------------------------------------------------------------------------------------


def ends_at(
    tmp_path: Path, planned: Iterator[float], gate: Gate, *, close_at: float | None = None
) -> tuple[int, float]:
    """How many calls there were, and when the loop was over."""

    async def main(loop: VirtualLoop) -> tuple[int, float]:
        if close_at is not None:
            loop.call_at(close_at, gate.close)
        records = await send(loop, tmp_path / "calls", Queue(loop, [MS]), planned, gate)
        return len(records), loop.time()

    return run(main)


def test_it_ends_with_its_last_call_and_does_not_wait_for_one_that_is_not_to_come(tmp_path: Path) -> None:
    assert ends_at(tmp_path, evenly(1.0), Gate(opens_at=0.0, requests=3)) == (3, 2 + MS)
    far = itertools.chain([0.0, 1.0], itertools.repeat(3600.0))
    assert ends_at(tmp_path, far, Gate(opens_at=0.0, closes_at=2.0)) == (2, 1 + MS)


def test_a_window_in_which_nothing_is_due_ends_at_once(tmp_path: Path) -> None:
    assert ends_at(tmp_path, evenly(1.0, first=5.0), Gate(opens_at=0.0, closes_at=2.0)) == (0, 0.0)


def test_a_window_that_is_closed_from_outside_ends_soon_however_far_the_next_call_is(tmp_path: Path) -> None:
    calls, over = ends_at(tmp_path, evenly(3600.0), Gate(opens_at=0.0), close_at=10.0)
    assert calls == 1
    assert 10.0 <= over <= 10.25


def test_what_a_call_raises_ends_the_loop(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        async def call(start_s: float, recorder: Recorder) -> tuple[int, float]:
            if start_s < 2.0:
                await asyncio.sleep(60)
            raise LookupError("a bug")

        await send(loop, tmp_path / "calls", call, evenly(1.0), Gate(opens_at=0.0))

    with pytest.raises(LookupError, match="a bug"):
        run(main)


def test_calls_are_dealt_out_to_the_connections_in_turn(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        made: list[int] = []

        def connection(number: int) -> CallFunction:
            async def call(start_s: float, recorder: Recorder) -> tuple[int, float]:
                made.append(number)
                return OK, math.nan

            return call

        recorder = Recorder()
        await OpenLoop(
            [connection(number) for number in range(3)],
            evenly(MS),
            gate=Gate(opens_at=0.0, requests=7),
            recorder=recorder,
            pacer=pacer(loop),
            max_in_flight=10,
            counters=Counters(),
            clock=loop.time,
        ).run()
        return made

    assert run(main) == [0, 1, 2, 0, 1, 2, 0]


# ---- the closed loop -----------------------------------------------------------------------------------------


def test_a_closed_loop_keeps_so_many_in_flight_and_waits_for_the_last(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> tuple[Records, Queue]:
        server = Queue(loop, [MS])
        return await call_again(loop, tmp_path / "calls", server, Gate(opens_at=0.0, requests=100), callers=5), server

    records, server = run(main)
    assert server.high_water == 5
    assert len(records) == 100
    assert records.latency_s.tolist() == [MS * min(n + 1, 5) for n in range(100)]
    assert not records.late_s.any()


def test_callers_become_fewer_where_any_change_has_fewer_than_the_one_before() -> None:
    assert not shrink([])
    assert not shrink([(0.0, 1), (0.1, 2), (0.2, 2), (0.3, 9)])
    assert shrink([(0.0, 1), (0.1, 5), (0.2, 4), (0.3, 9)])
