"""Slices: their lengths, what counts in them, and an open loop's schedule whose time stands still between them."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.load.core.arrivals import StandingSchedule, count_stretches, planned
from grpclab.load.core.recorder import Records
from grpclab.load.core.slices import (
    CLOSED_MOST_S,
    OPEN_MOST_S,
    Slice,
    StretchFigures,
    WarmUp,
    alone,
    closed_lengths,
    growing,
    open_lengths,
    outlasting,
    ramp_of,
    stretch_figures,
    undisturbed,
    why_none_counts,
)
from grpclab.load.core.summary import longest_silence, most_in_flight, summarise, timeline
from grpclab.load.core.worker_window import SliceBounds, SlicedWindow, Window
from grpclab.load.local_ports import PortWatch, local_ports
from grpclab.status import NOT_ENDED
from tests.support.slices import made_slice

OK, UNAVAILABLE = 0, 14

# ---- lengths -------------------------------------------------------------------------------------------------


def warmup(p50_s: float, p99_s: float) -> WarmUp:
    return WarmUp(calls=1000, latency_p50_s=p50_s, latency_p99_s=p99_s, throughput_rps=1000.0)


latencies = st.floats(min_value=1e-5, max_value=5.0)
warmups = st.builds(lambda p50, more: warmup(p50, p50 + more), latencies, latencies)


@given(st.lists(warmups, min_size=1, max_size=6))
def test_one_length_suits_the_slowest_of_a_group(members: list[WarmUp]) -> None:
    lengths = closed_lengths(members)
    assert lengths.ramp_s == max([0.025, *(2 * each.latency_p99_s for each in members)])
    assert lengths.counted_s == max([0.075, min(0.25, lengths.ramp_s), *(5 * each.latency_p50_s for each in members)])
    assert all(closed_lengths([each]).ramp_s <= lengths.ramp_s for each in members)


@given(st.lists(st.tuples(warmups, st.floats(min_value=1, max_value=1e5)), min_size=1, max_size=6))
def test_a_stretch_of_an_open_loop_holds_two_hundred_calls_and_ten_tails(members: list[tuple[WarmUp, float]]) -> None:
    known, rates = zip(*members, strict=True)
    lengths = open_lengths(known, rates)
    assert lengths.counted_s >= 1
    assert all(lengths.counted_s * rate >= 199.999 for rate in rates)
    assert all(lengths.counted_s >= 10 * each.latency_p99_s for each in known)


def test_what_needs_long_slices_is_measured_alone_and_says_why() -> None:
    members = {
        "quick": warmup(0.01, 0.02),
        "slow": warmup(0.3, 0.4),
        "hung": warmup(math.nan, math.nan),
        "open": warmup(0.01, 0.02),
        "rare": warmup(0.01, 0.02),
    }
    reasons = alone(members, {"quick": None, "slow": None, "hung": None, "open": 500.0, "rare": 20.0})
    assert set(reasons) == {"slow", "hung", "rare"}
    assert f"the limit of {CLOSED_MOST_S:g} s" in reasons["slow"]
    assert f"the limit of {OPEN_MOST_S:g} s" in reasons["rare"]
    with pytest.raises(ValueError, match="calls completed"):
        closed_lengths([members["hung"]])


# ---- figures of a stretch ------------------------------------------------------------------------------------


def records(calls: Sequence[tuple[float, float, int]]) -> Records:
    """Calls as (start, end, status), in the order of their ends."""
    start, end, status = np.array(sorted(calls, key=lambda c: c[1]), dtype=np.float64).reshape(-1, 3).T
    return Records(start_s=start, latency_s=end - start, status=status.astype(np.uint8))


def sliced(calls: Sequence[tuple[float, float, int]], stretches: Sequence[tuple[float, float]]) -> SlicedWindow:
    """The window of stretches, each in a slice that has a second of ramp and a second after it."""
    bounds = [
        SliceBounds(started_at=opened - 1, opened_at=opened, closed_at=closed, drained_at=closed + 1)
        for opened, closed in stretches
    ]
    return SlicedWindow.of(records(calls), bounds)


calls_of_a_run = st.lists(
    st.tuples(st.integers(0, 4000), st.integers(1, 900), st.sampled_from([OK, OK, OK, UNAVAILABLE])), max_size=60
).map(lambda rows: [(start / 100, (start + length) / 100, status) for start, length, status in rows])


@given(calls_of_a_run, st.integers(1001, 2999))
def test_two_slices_cut_from_one_record_are_the_window_that_they_make_up(
    calls: list[tuple[float, float, int]], cut: int
) -> None:
    whole = summarise([sliced(calls, [(10.0, 30.0)])])
    parts = summarise([sliced(calls, [(10.0, cut / 100), (cut / 100, 30.0)])])
    assert parts.window_s == pytest.approx(20.0)
    assert parts.throughput_rps == pytest.approx(whole.throughput_rps)
    for name in ("requests", "errors", "ended", "latency", "latency_ok", "histogram", "errors_by_status"):
        assert str(getattr(parts, name)) == str(getattr(whole, name)), name


@given(calls_of_a_run)
def test_a_slice_of_a_record_without_later_calls_is_a_window(calls: list[tuple[float, float, int]]) -> None:
    calls = [call for call in calls if call[0] < 30.0]
    of_slice = summarise([sliced(calls, [(10.0, 30.0)])])
    window = Window(records=records(calls), opened_at=10.0, requests=None, closes_at=30.0, held_open=True)
    of_window = summarise([window])
    assert of_slice.throughput_rps == pytest.approx(of_window.throughput_rps)
    for name in ("requests", "errors", "ended", "latency", "histogram"):
        assert str(getattr(of_slice, name)) == str(getattr(of_window, name)), name


@given(calls_of_a_run)
def test_the_figures_of_a_worker_are_those_of_the_summary(calls: list[tuple[float, float, int]]) -> None:
    rows = records(calls)
    figures = StretchFigures.of(rows.start_s, rows.latency_s, rows.status, opened_at=10.0, closed_at=30.0)
    summary = summarise([sliced(calls, [(10.0, 30.0)])])
    assert (figures.started, figures.errors) == (summary.requests, summary.errors)
    assert figures.counted_ok == pytest.approx(summary.throughput_rps * 20.0)
    assert figures.under_way_closed - figures.under_way_opened == sum(
        (10.0 < start <= 30.0) - (10.0 < end <= 30.0) for start, end, _ in calls
    )


@given(st.lists(calls_of_a_run, min_size=1, max_size=4))
def test_the_figures_of_each_slice_are_found_in_the_records_of_all(runs: list[list[tuple[float, float, int]]]) -> None:
    """A warm-up, and slices after it: whatever is in one, the others do not see."""
    slices, rows, expected = [], [(-5.0, -4.0, OK)], []
    for number, calls in enumerate(runs):
        own = [(start + 1000 * number, end + 1000 * number, status) for start, end, status in calls if start >= 5.0]
        opened_at, closed_at = 1000.0 * number + 10.0, 1000.0 * number + 30.0
        slices.append(made_slice(number, opened_at - 5.0, opened_at=opened_at, closed_at=closed_at))
        alone = records(own)
        expected.append(
            StretchFigures.of(alone.start_s, alone.latency_s, alone.status, opened_at=opened_at, closed_at=closed_at)
        )
        rows += own
    found = records(rows)
    assert str(stretch_figures(found.start_s, found.latency_s, found.status, slices)) == str(expected)


def test_ramp_tail_and_the_time_between_slices_do_not_count() -> None:
    calls = [
        (9.2, 9.9, OK),  # in the ramp
        (9.9, 10.5, OK),  # ends in the first stretch
        (10.5, 11.2, UNAVAILABLE),  # starts in it
        (11.2, 11.9, OK),  # in the tail
        (20.0, 20.4, OK),
        (20.4, 20.8, OK),
        (20.8, 22.9, OK),  # starts in the second stretch, and is waited for
    ]
    window = sliced(calls, [(10.0, 11.0), (20.0, 22.0)])
    summary = summarise([window])
    assert (summary.requests, summary.errors, summary.ended) == (4, 1, 3)
    assert summary.window_s == 3.0
    assert summary.throughput_rps == 1.0
    assert summary.latency_max_s == pytest.approx(2.1)
    assert len(window.measured) == 4
    assert window.since_opening(np.array([10.5, 20.0, 21.0])).tolist() == [0.5, 1.0, 2.0]
    assert (window.since_opening(np.array([9.0, 12.0, 19.5, 25.0])) < 0).all()
    assert sum(timeline([window])["completed"]) == 3


def test_a_silence_is_one_within_a_slice() -> None:
    steady = [(start / 10, (start + 1) / 10, OK) for start in (*range(90, 120), *range(190, 196)) for _ in range(2)]
    hung = [(19.6, 20.9, OK)] * 2
    window = sliced([*steady, *hung], [(10.0, 11.0), (19.2, 20.0)])
    silence_s, at_s = longest_silence([window])
    assert silence_s == pytest.approx(1.3), "not the 7 s between the slices"
    assert at_s == pytest.approx(1.4), "of counted time"
    assert most_in_flight([window]) == 2


def test_a_call_that_was_given_up_is_under_way_to_the_end_of_its_slice_and_no_longer() -> None:
    calls = [(10.5, 11.9, NOT_ENDED), (9.5, 11.8, NOT_ENDED), (20.1, 20.2, OK), (20.2, 20.3, OK)]
    window = sliced(calls, [(10.0, 11.0), (20.0, 21.0)])
    summary = summarise([window])
    assert (summary.requests, summary.not_ended, summary.not_ended_before) == (3, 2, 1)
    assert summary.stalled_s == pytest.approx(0.5)
    assert longest_silence([window])[0] == 0.0
    assert most_in_flight([window]) == 2


# ---- open loops ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arrival", ["constant", "poisson"])
def test_a_schedule_that_stands_still_leaves_nothing_out_and_sends_nothing_twice(arrival: str) -> None:
    drawn = list(itertools.islice(planned(100.0, arrival, starts_at=0.0, seed=7), 400))
    schedule = StandingSchedule(planned(100.0, arrival, starts_at=0.0, seed=7))
    sent, at_s = [], 0.0
    for starts_at, length_s in ((1000.0, 1.25), (2000.5, 0.5), (3000.0, 1.0)):
        due = schedule.resume(at_s, starts_at)
        moment = next(due)
        while moment < starts_at + length_s:
            sent.append(moment - starts_at + at_s)
            moment = next(due)
        assert schedule.due == moment
        at_s += length_s
    assert sent == pytest.approx([when for when in drawn if when < 2.75])


@pytest.mark.parametrize("arrival", ["constant", "poisson"])
def test_the_planned_calls_of_stretches_are_counted_as_they_are_sent(arrival: str) -> None:
    slices = [(0.0, 1000.1), (1.3, 2000.7), (61.9, 3000.3)]
    stretches = [(at_s, starts_at, starts_at + 0.1, starts_at + 1.1) for at_s, starts_at in slices]
    schedule = StandingSchedule(planned(300.0, arrival, starts_at=0.0, seed=3))
    sent = 0
    for at_s, starts_at, opened_at, closed_at in stretches:
        due = itertools.takewhile(lambda when, end=closed_at: when < end, schedule.resume(at_s, starts_at))  # type: ignore[misc]
        sent += sum(when >= opened_at for when in due)
    assert count_stretches(300.0, arrival, 3, stretches) == sent
    assert sent == pytest.approx(900, abs=120)


def one_slice(
    *, opened: int = 5, closed: int = 5, longest_s: float = 0.01, invalid: str = "", started: int = 200
) -> Slice:
    figures: dict[str, Any] = {"under_way_opened": opened, "under_way_closed": closed, "longest_s": longest_s}
    figures["started"] = started
    return made_slice(opened_at=0.1, closed_at=1.1, tail_ended_at=1.2, drained_at=1.3, invalid=invalid, **figures)


def test_a_queue_that_grows_and_a_call_that_outlasts_its_slice_are_reasons_to_measure_alone() -> None:
    steady = [one_slice(opened=opened, closed=closed) for opened, closed in ((5, 6), (6, 5), (4, 5), (5, 7), (6, 4))]
    assert not growing(steady)
    assert "4 of 5 slices" in growing([*[one_slice(closed=40)] * 4, one_slice()])
    assert not growing([one_slice(closed=40, invalid="late")] * 4)
    assert not outlasting(steady)
    assert "2 s" in outlasting([one_slice(longest_s=2.0)])


def queue(rng: np.random.Generator, *, threads: int, use: float, exponential: bool) -> Slice:
    """A slice of 200 calls in a second, which come at random to so many threads of this utilisation, none before."""
    service_s, ramp_s = use * threads / 200, max(0.025, 6 * use * threads / 200)
    arrivals = np.cumsum(rng.exponential(1 / 200, int(300 * (1 + ramp_s))))
    work = rng.exponential(service_s, len(arrivals)) if exponential else np.full(len(arrivals), service_s)
    free, ends = [0.0] * threads, []
    for at, lasts in zip(arrivals.tolist(), work.tolist(), strict=True):
        ends.append(max(at, heapq.heappop(free)) + lasts)
        heapq.heappush(free, ends[-1])
    under_way = [int(((arrivals <= moment) & (np.array(ends) > moment)).sum()) for moment in (ramp_s, ramp_s + 1.0)]
    return one_slice(opened=under_way[0], closed=under_way[1], started=200)


@pytest.mark.parametrize(("threads", "exponential"), [(1, True), (1, False), (2, False)])
@pytest.mark.parametrize("count", [1, 4, 8])
def test_a_queue_that_stands_still_is_hardly_ever_called_growing(threads: int, exponential: bool, count: int) -> None:
    rng = np.random.default_rng(18)
    drawn = [queue(rng, threads=threads, use=0.4, exponential=exponential) for _ in range(400)]
    loads = [[drawn[at] for at in rng.integers(0, len(drawn), count)] for _ in range(2000)]
    assert sum(bool(growing(load)) for load in loads) <= 20, "1%"


@pytest.mark.parametrize(("threads", "exponential"), [(1, True), (1, False), (2, False)])
def test_a_queue_that_grows_is_nearly_always_found(threads: int, exponential: bool) -> None:
    rng = np.random.default_rng(18)
    drawn = [queue(rng, threads=threads, use=1.1, exponential=exponential) for _ in range(400)]
    loads = [[drawn[at] for at in rng.integers(0, len(drawn), 4)] for _ in range(2000)]
    assert sum(bool(growing(load)) for load in loads) >= 1940, "97%"


# ---- ports ---------------------------------------------------------------------------------------------------


def test_ports_are_refused_before_they_run_out_and_come_back() -> None:
    watch = PortWatch(1000)
    watch.note(0.0, 500)
    assert not watch.refusal(1.0, 300)
    watch.note(1.0, 300)
    assert "800 of 1,000 local ports" in watch.refusal(2.0, 300)
    assert not watch.refusal(60.5, 300), "those of the first slice are free again"
    assert not PortWatch(None).refusal(0.0, 10**9)


@pytest.mark.parametrize(
    ("reuse", "target", "remote", "ports"),
    [
        ("2", "127.0.0.1:50051", False, None),
        ("2", "10.0.0.7:50051", True, 28232),
        ("0", "127.0.0.1:50051", False, 28232),
        ("1", "10.0.0.7:50051", True, None),
        ("0", "unix:/run/server.sock", False, None),
    ],
)
def test_ports_are_watched_where_the_kernel_does_not_use_them_again_at_once(
    monkeypatch: pytest.MonkeyPatch, reuse: str, target: str, remote: bool, ports: int | None
) -> None:
    files = {"tcp_tw_reuse": reuse + "\n", "ip_local_port_range": "32768\t60999\n"}
    monkeypatch.setattr("grpclab.load.local_ports.read_text", lambda path: files[path.name])
    assert local_ports(target, remote=remote) == ports


# ---- why none counts -------------------------------------------------------------------------------------------


def test_reasons_that_differ_only_by_their_times_are_said_once() -> None:
    still = "the load generator stalled for {}, as if it had been stopped"
    reasons = [
        still.format("521 ms"),
        "",
        still.format("1.2 s"),
        "it ended early",
        still.format("850 µs"),
    ]
    assert why_none_counts(reasons) == f"{still.format('521 ms')} (and 2 more like it); it ended early"
    assert why_none_counts(["", ""]) == ""


STILL = WarmUp(calls=10, latency_p50_s=0.254, latency_p99_s=1.25, throughput_rps=40.0)
QUIET = WarmUp(calls=900, latency_p50_s=0.009, latency_p99_s=0.012, throughput_rps=6000.0)


@pytest.mark.parametrize(
    ("warmups", "taken"),
    [((QUIET,), QUIET), ((STILL, QUIET), QUIET), ((STILL, STILL), STILL)],
    ids=["as it is", "disturbed once", "slow"],
)
def test_one_stall_in_a_warm_up_does_not_choose_how_its_configuration_is_measured(
    warmups: tuple[WarmUp, ...], taken: WarmUp
) -> None:
    made = iter(warmups)
    assert undisturbed(lambda: next(made), None) == taken
    assert next(made, None) is None


@pytest.mark.parametrize("numbers", [range(8), range(3, 16), range(100)])
def test_a_stretch_of_callers_in_step_holds_as_many_turns_as_its_length_has(numbers: range) -> None:
    turn_s, turns, callers = 0.083, 4.5, 8
    ends = turn_s * np.arange(1, 40)
    counted = []
    for number in numbers:
        opened = ramp_of(number, 0.166, turn_s)
        counted.append(callers * int(((ends >= opened) & (ends < opened + turns * turn_s)).sum()))
    assert set(counted) == {callers * 4, callers * 5}
    assert np.mean(counted) == pytest.approx(callers * turns, rel=0.03)


@given(st.integers(-1, 10_000), st.floats(0, 2), st.floats(0, 2))
def test_a_ramp_is_never_shorter_and_less_than_a_turn_longer(number: int, ramp_s: float, turn_s: float) -> None:
    assert ramp_s <= ramp_of(number, ramp_s, turn_s) <= ramp_s + turn_s
