"""Schedules of concurrency: how they are written, when callers begin and stop, and how workers share them."""

from __future__ import annotations

import asyncio
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grpclab.errors import FactorError, UsageError
from grpclab.factors.channel_args import cannot_act
from grpclab.factors.config import ClientConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.core.bounds import auto_workers, caller_changes, connections, split
from grpclab.load.core.concurrency import concurrency_levels
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.engines.loops import ClosedLoop
from grpclab.load.plan import load_plan
from grpclab.status import OK
from grpclab.study.designs.expected_times import ExpectedTimes
from grpclab.study.designs.grouping import not_interleaved
from grpclab.testing.virtual import VirtualLoop, run
from tests.support.net import PER_CALL, POOL, Bench, on_a_net

MS = 1 / 1024


def config(word: str, **levels: Level) -> TrialConfig:
    """The load of a schedule, over 10 s."""
    return TrialConfig().replace({"load.duration_s": 10.0, "load.requests": None, **concurrency_levels(word), **levels})


def changes(word: str) -> list[tuple[float, int]]:
    return caller_changes(config(word).load)


# ---- as it is written ----------------------------------------------------------------------------------------


def test_steps_are_held_each_for_its_time() -> None:
    assert changes("5:20:5@10s") == [(0, 5), (10, 10), (20, 15), (30, 20)]
    assert changes("9:2:3@500ms") == [(0, 9), (0.5, 6), (1, 3)]


def test_a_ramp_begins_or_stops_one_caller_at_a_time_where_the_line_meets_its_number() -> None:
    assert changes("2:6@8s") == [(0, 2), (2, 3), (4, 4), (6, 5), (8, 6)]
    assert changes("6:2@8s") == [(0, 6), (2, 5), (4, 4), (6, 3), (8, 2)]
    assert changes("4:4@8s") == [(0, 4)]


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 40), st.integers(1, 50))
def test_any_steps_come_back_as_whole_numbers(start: int, stop: int, step: int, hold: int) -> None:
    found = changes(f"{start}:{stop}:{step}@{hold}s")
    sign = 1 if stop > start else -1
    expected = list(range(start, stop + sign, sign * step))
    assert [callers for _, callers in found] == expected
    assert [at for at, _ in found] == pytest.approx([hold * number for number in range(len(expected))])


@pytest.mark.parametrize(
    "word",
    [
        *("5:", "5@1s", "5:50", "5:50:5", "0:5@1s", "5:0@1s", "5:50:0@1s", "5:x@1s", "1:5000:1@1s", "5:9@0s", "5:9@x"),
        pytest.param("9" * 5000 + ":5@1s", id="more digits than Python reads"),
    ],
)
def test_what_is_no_schedule_is_refused_in_one_line(word: str) -> None:
    with pytest.raises(UsageError, match="invalid -c") as refused:
        concurrency_levels(word, "-c")
    assert "\n" not in str(refused.value)


def test_a_load_lasts_as_long_as_its_schedule_where_nothing_else_ends_it() -> None:
    found, notes = load_plan(concurrency_levels("5:50:5@2s"))
    assert (found.load.duration_s, found.load.requests, found.load.concurrency) == (20.0, None, 50)
    assert "the load lasts 20 s, as long as the concurrency schedule" in notes
    assert load_plan({**concurrency_levels("5:50:5@2s"), "load.requests": 9})[0].load.duration_s is None


def test_the_shape_acts_in_a_closed_loop_and_on_the_rate_of_an_open_one() -> None:
    assert "load.arrival" not in cannot_act(config("2:6@8s"))
    assert "load.arrival" in cannot_act(TrialConfig().replace({"load.arrival": "poisson"}))
    assert caller_changes(config("2:6@8s", **{"load.rate_rps": 100.0}).load) == []
    assert "load changes during the window" in not_interleaved("chatter", ExpectedTimes.of(config("2:6@8s")))
    with pytest.raises(UsageError, match="add --rate"):
        load_plan({"load.arrival": "gamma:0.5"})


# ---- divided over workers ----------------------------------------------------------------------------------------


@given(st.integers(3, 90), st.integers(3, 90), st.integers(1, 3))
def test_the_workers_have_as_many_as_are_asked_for_together(start: int, stop: int, workers: int) -> None:
    load = config(f"{start}:{stop}@8s").load
    parts = [
        caller_changes(load, concurrency=load.concurrency, opens_at=5.0, worker=worker, workers=workers)
        for worker in range(workers)
    ]
    whole = caller_changes(load, opens_at=5.0)
    assert whole[0][0] == 5.0
    assert [sum(part[at][1] for part in parts) for at in range(len(whole))] == [callers for _, callers in whole]
    assert min(callers for part in parts for _, callers in part) >= 1


def test_there_are_no_more_workers_than_callers() -> None:
    assert auto_workers(config("2:6@8s"), range(8)) == 2
    with pytest.raises(FactorError, match=r"2 calls in flight cannot be divided among load\.workers=3"):
        split(config("2:6@8s", **{"load.workers": 3}))
    assert connections(config("2:6:2@8s", **{"client.pooling": "per_call"})) == 6
    assert connections(config("6:2:2@8s", **{"client.pooling": "per_call"})) == 6


# ---- exact on a given clock ----------------------------------------------------------------------------------------


def in_flight(records: Records, at: float) -> int:
    return int(((records.start_s <= at) & (records.end_s > at)).sum())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 7))
def test_as_many_calls_are_in_flight_as_the_schedule_says_at_every_moment(
    tmp_path: Path, levels: list[int], service: int
) -> None:
    planned = [(1.0 + number / 4, callers) for number, callers in enumerate(levels)]

    async def main(loop: VirtualLoop) -> Records:
        async def call(start_s: float, recorder: Recorder) -> tuple[int, float]:
            await asyncio.sleep(service * MS)
            return OK, math.nan

        recorder = Recorder(tmp_path / "calls")
        gate = Gate(opens_at=1.0, closes_at=1.0 + len(levels) / 4)
        await ClosedLoop([call], 99, planned, gate=gate, recorder=recorder, clock=loop.time).run()
        recorder.close()
        return Records.load(tmp_path / "calls")

    records = run(main)
    assert in_flight(records, 0.5) == levels[0], "the first holds in the warm-up"
    for before, (at, callers) in itertools.pairwise([(0.0, levels[0]), *planned]):
        assert callers <= in_flight(records, at) <= max(before[1], callers), "those that are wanted begin at once"
        assert in_flight(records, at + service * MS) == callers, "the calls of those that are not have ended by then"


@pytest.mark.parametrize("client", [None, POOL, PER_CALL])
def test_engine_wire_changes_its_callers_at_the_planned_moments(path: Path, client: ClientConfig | None) -> None:
    planned = [(0.0, 2), (0.5, 6), (1.0, 3)]

    async def main(bench: Bench) -> Records:
        bench.net.service_s = 8 * MS
        if client is not PER_CALL:
            await bench.engine.connect(5)
        began = bench.loop.time()
        recorder = Recorder(bench.path)
        gate = Gate(opens_at=began, closes_at=began + 1.5)
        moved = [(began + at, callers) for at, callers in planned]
        await bench.engine.run(gate, recorder, 99, moved)
        recorder.close()
        found = Records.load(bench.path)
        return Records(start_s=found.start_s - began, latency_s=found.latency_s, status=found.status)

    records = on_a_net(main, path, client)
    assert set(np.unique(records.status)) == {OK}
    assert [in_flight(records, at) for at in (0.25, 0.5 + MS, 0.75, 1.25)] == [2, 6, 6, 3]
