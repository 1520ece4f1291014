"""A running window: calls count before they have ended, and a generator that stands still is noticed."""

from __future__ import annotations

import asyncio
import time

import pytest

from grpclab.load.core.running import BEAT_S, STILL_S, Heartbeat, Tally
from grpclab.load.output.progress import progress_text
from grpclab.load.run import LoadProgress
from grpclab.load.worker_usage import beat, beside
from grpclab.status import OK


def test_only_calls_of_the_window_that_succeeded_are_tallied() -> None:
    tally = Tally(opens_at=10.0, limits_s=[0.1, 0.5])
    tally.add([9.0, 10.0, 11.0, 12.0], [9.0, 0.2, 0.6, 9.0], [OK, OK, OK, 14])
    assert (tally.succeeded, tally.longest_s, tally.slow) == (2, 0.6, [2, 1])


def test_a_call_under_way_is_as_old_as_the_window_at_most() -> None:
    running = Tally(opens_at=10.0, limits_s=[1.0, 5.0]).running([2.0, 12.0, 13.5], now=14.0)
    assert (running.under_way, running.oldest_s, running.youngest_s) == (3, 4.0, 0.5)
    assert running.overdue == (2, 0)


def test_what_is_added_to_a_copy_is_not_in_the_tally() -> None:
    tally = Tally(limits_s=[0.1])
    tally.copy().add([1.0], [0.2], [OK])
    assert (tally.succeeded, tally.slow) == (0, [0])


def beats(*moments: float, opens_at: float = 0.0, closes_at: float = 100.0) -> float:
    heartbeat = Heartbeat(opens_at=opens_at, closes_at=closes_at)
    for moment in moments:
        heartbeat.beat(moment)
    return heartbeat.still_s


def test_gaps_between_beats_are_the_time_for_which_a_generator_stood_still() -> None:
    assert beats(1.0, 1.05, 1.10, 6.15, 6.20) == pytest.approx(5.0)
    assert beats(1.0, 1.0 + BEAT_S + 0.9 * STILL_S, 1.5) == 0.0, "short gaps are ordinary"


def test_a_short_gap_in_which_the_process_did_nothing_counts_as_well() -> None:
    def gap(cpu_s: float) -> float:
        heartbeat = Heartbeat(opens_at=0.0)
        heartbeat.beat(1.0, 0.5)
        heartbeat.beat(1.1, 0.5 + cpu_s)
        return heartbeat.still_s

    assert gap(cpu_s=0.001) == pytest.approx(0.1 - BEAT_S), "it was stopped for a tenth of a second"
    assert gap(cpu_s=0.09) == 0.0, "it was at work"


def test_a_stop_that_lasts_to_the_end_counts() -> None:
    async def stopped() -> float:
        heartbeat = Heartbeat(opens_at=0.0)
        async with beside(beat(heartbeat)):
            await asyncio.sleep(0)
            time.sleep(3 * BEAT_S)  # the loop, and nothing runs after it but the end
        return heartbeat.still_s

    assert asyncio.run(stopped()) > BEAT_S


def test_only_what_lies_in_the_window_counts() -> None:
    assert beats(1.0, 9.0, opens_at=5.0) == pytest.approx(4.0 - BEAT_S)
    assert beats(1.0, 9.0, closes_at=4.0) == pytest.approx(3.0 - BEAT_S)
    assert beats(1.0, 4.0, opens_at=5.0) == 0.0


def test_the_line_of_progress_tells_of_calls_that_go_on_after_the_window() -> None:
    progress = LoadProgress(elapsed_s=5.0, calls=10, errors=0, latency_p99_s=0.1, over=True, under_way=7)
    assert progress_text(progress, duration_s=4.0).endswith("the window is over, 7 calls still in progress")
