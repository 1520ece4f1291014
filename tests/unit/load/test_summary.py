"""The summary: from constructed calls to figures that can be checked by hand."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.load.core.gate import Gate
from grpclab.load.core.hdr_slots import HDR_DIGITS, HDR_HIGHEST_US, HDR_LOWEST_US
from grpclab.load.core.recorder import Records
from grpclab.load.core.summary import (
    histogram,
    lateness,
    longest_silence,
    most_in_flight,
    percentile,
    percentiles,
    summarise,
    timeline,
)
from grpclab.load.core.worker_window import Window
from grpclab.metrics import PERCENTILES
from grpclab.status import ENDED_BY_CLIENT, NOT_ENDED

OK, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 4, 14

# ---- constructed calls ---------------------------------------------------------------------------------------


def records(calls: Sequence[tuple[float, float, int]]) -> Records:
    """Calls as (start, end, status)."""
    start, end, status = np.array(calls, dtype=np.float64).reshape(-1, 3).T
    return Records(start_s=start, latency_s=end - start, status=status.astype(np.uint8))


def window(
    calls: Sequence[tuple[float, float, int]],
    *,
    opened_at: float = 10.0,
    requests: int | None = None,
    closes_at: float | None = None,
) -> Window:
    return Window(records=records(calls), opened_at=opened_at, requests=requests, closes_at=closes_at)


def back_to_back(first: float, last: float, each: float, status: int = OK) -> list[tuple[float, float, int]]:
    """One caller: the first call starts at `first`, the last at `last`."""
    count = round((last - first) / each) + 1
    return [(first + i * each, first + (i + 1) * each, status) for i in range(count)]


def closed_loop(gate: Gate, *, callers: int, service_s: Sequence[float]) -> Records:
    """A closed loop on a clock of its own; call k takes ``service_s[k % len(service_s)]``."""
    calls = 0
    free = [(0.0, caller) for caller in range(callers)]
    ended = []
    while free:
        now, caller = heapq.heappop(free)
        if gate.admit(now):
            end = now + service_s[calls % len(service_s)]
            calls += 1
            ended.append((end, now))
            heapq.heappush(free, (end, caller))
    return records([(start, end, OK) for end, start in sorted(ended)])


# ---- the window ----------------------------------------------------------------------------------------------


def test_a_window_of_requests_ends_when_that_many_calls_have_ended_in_it() -> None:
    # one caller, 0.5 s a call; the call from 9.75 crosses the border and stands for the last one
    calls = back_to_back(8.75, 11.75, 0.5)
    measured = window(calls, requests=4)
    assert len(measured.measured) == 4  # from 10.25, 10.75, 11.25, 11.75
    assert measured.closed_at == 11.75  # ends 10.25, 10.75, 11.25, 11.75
    assert measured.throughput_rps == pytest.approx(4 / 1.75)


def test_without_warm_up_the_window_ends_with_its_last_call() -> None:
    measured = window(back_to_back(10.0, 11.5, 0.5), requests=4)
    assert measured.closed_at == 12.0
    assert measured.throughput_rps == pytest.approx(2.0)


def test_a_window_of_time_ends_when_it_was_told_to() -> None:
    # 20 calls start in [10, 12); the last ends at 12.05: measured, but not part of the throughput
    measured = window(back_to_back(9.95, 11.95, 0.1), closes_at=12.0)
    assert len(measured.measured) == 20
    assert measured.closed_at == 12.0
    assert measured.throughput_rps == pytest.approx(20 / 2)
    assert summarise([measured]).requests == 20


def test_a_window_with_both_bounds_ends_with_the_first_one() -> None:
    calls = back_to_back(10.0, 10.9, 0.1)
    assert window(calls, requests=5, closes_at=99.0).closed_at == pytest.approx(10.5)
    slow = back_to_back(10.0, 11.5, 0.5)
    assert window(slow, requests=500, closes_at=11.75).closed_at == 11.75


def test_an_interrupted_window_ends_with_its_last_call() -> None:
    # a window of a minute, ended by Ctrl-C after two seconds: 2 requests a second, not 4 a minute
    measured = window(back_to_back(10.0, 11.5, 0.5), closes_at=70.0)
    assert measured.closed_at == 12.0
    assert measured.throughput_rps == pytest.approx(2.0)


def test_borders_belong_to_one_side_only() -> None:
    calls = [
        (9.0, 10.0, OK),  # ends as the window opens: warm-up
        (10.0, 11.0, OK),  # starts as it opens: measured
        (9.999, 10.5, OK),  # starts just before: warm-up, though it ends inside
        (11.0, 12.0, OK),  # ends as it closes: counted
        (11.5, 12.5, OK),  # ends after: measured, not counted
    ]
    measured = window(calls, closes_at=12.0)
    assert measured.measured.start_s.tolist() == [10.0, 11.0, 11.5]
    assert measured.throughput_rps == pytest.approx(3 / 2)  # 10.5, 11.0, 12.0


def test_a_window_in_which_nothing_ended_has_no_length_and_no_throughput() -> None:
    for calls in ([], [(8.0, 9.0, OK)]):
        for bounds in ({"requests": 5}, {"closes_at": 12.0}):
            measured = window(calls, **bounds)
            assert measured.closed_at == measured.opened_at
            assert measured.throughput_rps == 0.0


def test_failed_calls_are_no_throughput() -> None:
    calls = back_to_back(10.0, 10.9, 0.1) + back_to_back(10.0, 10.9, 0.1, UNAVAILABLE)
    assert window(calls, closes_at=11.0).throughput_rps == pytest.approx(10.0)


@settings(max_examples=50)
@given(
    callers=st.integers(1, 20),
    per_caller=st.integers(5, 40),
    service_s=st.lists(st.floats(0.01, 0.1), min_size=1, max_size=5),
    warmup_s=st.floats(0.3, 1.0),
)
def test_a_closed_loop_measures_its_requests_and_the_throughput_that_littles_law_gives(
    callers: int, per_caller: int, service_s: list[float], warmup_s: float
) -> None:
    requests = callers * per_caller
    gate = Gate(opens_at=warmup_s, requests=requests)
    calls = closed_loop(gate, callers=callers, service_s=service_s)
    measured = Window(records=calls, opened_at=warmup_s, requests=requests, closes_at=None)
    assert gate.admitted == len(measured.measured) == requests
    # c callers that never rest: c = throughput x mean latency; off by what crosses the two borders
    busy = callers * (measured.closed_at - warmup_s)
    ended = (calls.end_s > warmup_s) & (calls.end_s <= measured.closed_at)
    assert ended.sum() >= requests
    assert abs(calls.latency_s[ended].sum() - busy) <= callers * max(service_s) * 2
    assert measured.throughput_rps == pytest.approx(ended.sum() / (measured.closed_at - warmup_s))


# ---- an open loop --------------------------------------------------------------------------------------------


def open_window(
    planned: Sequence[float], late_s: Sequence[float], latency_s: Sequence[float], *, closes_at: float = 12.0
) -> Window:
    """A window from 10.0 on whose calls were planned then, and sent so much later."""
    calls = Records(
        start_s=np.array(planned, dtype=np.float64),
        latency_s=np.array(latency_s, dtype=np.float64),
        status=np.zeros(len(planned), dtype=np.uint8),
        late_s=np.array(late_s, dtype=np.float64),
    )
    return Window(records=calls, opened_at=10.0, requests=None, closes_at=closes_at, held_open=True)


def test_the_window_of_an_open_loop_lasts_as_long_as_its_schedule() -> None:
    # 10 calls in 2 s, the last of which ends at 11.81: five a second, not ten in 1.81 s
    planned = [10.0 + 0.2 * i for i in range(10)]
    measured = open_window(planned, [0.0] * 10, [0.01] * 10)
    assert measured.closed_at == 12.0
    assert measured.throughput_rps == pytest.approx(5.0)
    assert open_window([], [], []).throughput_rps == 0.0


def test_calls_that_end_after_an_open_loop_has_closed_are_measured_and_no_throughput() -> None:
    measured = open_window([10.0, 11.0, 11.9], [0.0] * 3, [0.5, 0.5, 0.5])
    assert summarise([measured]).requests == 3
    assert measured.throughput_rps == pytest.approx(2 / 2)


def test_a_late_call_belongs_to_the_window_in_which_it_was_planned() -> None:
    measured = open_window([9.9, 10.1], [0.3, 0.0], [0.4, 0.1])
    assert measured.measured.start_s.tolist() == [10.1]


def test_latencies_count_from_the_planned_times_and_beside_them_from_the_actual_ones() -> None:
    # a stall of half a second: the calls that were due meanwhile went out after it
    count = 40
    late = [0.0] * 20 + [0.5] * 20
    summary = summarise([open_window([10.0 + 0.01 * i for i in range(count)], late, [x + 0.001 for x in late])])
    assert summary.latency["p50"] == pytest.approx(0.001)
    assert summary.latency_max_s == pytest.approx(0.501)
    assert summary.latency_uncorrected["p50"] == pytest.approx(0.001)
    every = [open_window([10.0] * count, [0.5] * count, [0.501] * count)]
    assert summarise(every).latency["p50"] == pytest.approx(0.501)
    assert summarise(every).latency_uncorrected["p50"] == pytest.approx(0.001)
    assert lateness(every)["p50"] == 0.5
    assert lateness(every)["max"] == 0.5
    assert math.isnan(lateness(every)["p99"]), "40 calls carry no p99"


def test_in_a_closed_loop_nothing_is_late() -> None:
    summary = summarise([window(back_to_back(10.0, 10.9, 0.01), requests=91)])
    assert repr(summary.latency_uncorrected) == repr(summary.latency)


def test_messages_are_those_of_the_calls_of_the_window() -> None:
    calls = records([(9.0, 10.5, OK), (10.0, 10.5, OK)])
    gaps = np.concatenate([np.full(30, 9.0), np.linspace(0.001, 0.030, 30)])
    starts = np.repeat([9.0, 10.0], 30)
    streams = Records(
        start_s=calls.start_s,
        latency_s=calls.latency_s,
        status=calls.status,
        message_s=gaps,
        message_start_s=starts,
        message_first=np.arange(60) % 2 == 0,
    )
    one = Window(records=streams, opened_at=10.0, requests=None, closes_at=None)
    summary = summarise([one, one])
    assert summary.messages == 60
    assert summary.first_message["p50"] == pytest.approx(0.015)
    assert summary.message_gap["p50"] == pytest.approx(0.016)
    assert len(one.measured.message_s) == len(one.measured.message_first) == 30
    none = summarise([window([(10.0, 10.1, OK)])])
    assert (none.messages, none.first_message, none.message_gap) == (0, {}, {})
    assert (none.message_age, none.message_reply, none.messages_sent) == ({}, {}, 0)


def test_the_clocks_of_a_message_are_those_of_the_window_and_apart() -> None:
    calls = records([(9.0, 10.5, OK), (10.0, 10.5, OK)])
    streams = Records(
        start_s=calls.start_s,
        latency_s=calls.latency_s,
        status=calls.status,
        message_s=np.full(40, 0.5),
        message_start_s=np.repeat([9.0, 10.0], 20),
        message_first=np.zeros(40, np.bool_),
        message_age_s=np.repeat([9.0, 0.25], 20),
        message_reply_s=np.repeat([9.0, 0.125], 20),
        sent_start_s=np.array([9.0, 10.0]),
        sent_messages=np.array([100.0, 7.0]),
    )
    summary = summarise([Window(records=streams, opened_at=10.0, requests=None, closes_at=None)])
    assert (summary.messages, summary.messages_sent) == (20, 7)
    assert (summary.message_age["p50"], summary.message_reply["p50"]) == (0.25, 0.125)
    assert [times.percentiles for times in summary.message_times][1:] == [
        summary.message_gap,
        summary.message_age,
        summary.message_reply,
    ]


def test_a_stream_that_the_client_ends_as_planned_is_a_success() -> None:
    calls = [(10.0, 10.5, OK), (10.0, 10.6, ENDED_BY_CLIENT), (10.0, 10.7, UNAVAILABLE)]
    measured = window(calls, closes_at=12.0)
    summary = summarise([measured])
    assert (summary.succeeded, summary.errors, summary.ended_by_client) == (2, 1, 1)
    assert summary.errors_by_status == {"UNAVAILABLE": 1}
    assert summary.judged == 2
    assert measured.throughput_rps == pytest.approx(2 / 0.7)


# ---- the summary ---------------------------------------------------------------------------------------------


def test_latencies_are_those_of_the_calls_that_started_in_the_window() -> None:
    summary = summarise([window([(9.0, 10.9, OK), (10.0, 10.2, OK), (10.2, 10.8, OK)], requests=2)])
    assert summary.requests == 2
    assert summary.latency_min_s == pytest.approx(0.2)
    assert summary.latency_max_s == pytest.approx(0.6)
    assert summary.latency_mean_s == pytest.approx(0.4)


def test_errors_are_counted_by_status_and_stay_in_the_latencies_of_all_calls() -> None:
    good = [(10.0, 10.001 + i * 1e-5, OK) for i in range(40)]
    late = [(10.0, 12.0, DEADLINE_EXCEEDED)] * 30
    gone = [(10.0, 11.0, UNAVAILABLE)] * 2
    summary = summarise([window(good + late + gone, requests=72)])
    assert (summary.requests, summary.errors) == (72, 32)
    assert summary.errors_by_status == {"DEADLINE_EXCEEDED": 30, "UNAVAILABLE": 2}
    assert summary.latency_max_s == pytest.approx(2.0)
    assert summary.latency["p50"] == pytest.approx(0.001 + 35e-5)
    assert summary.latency_ok["p50"] == pytest.approx(0.001 + 19e-5)


def test_workers_add_up_and_their_percentiles_are_those_of_all_calls_together() -> None:
    quick = window(back_to_back(10.0, 10.99, 0.01), requests=100)
    slow = window(back_to_back(10.0, 11.8, 0.2), requests=10)
    summary = summarise([quick, slow])
    assert summary.requests == 110
    assert summary.window_s == pytest.approx(2.0)
    assert summary.throughput_rps == pytest.approx(100 + 5)
    assert summary.latency["p50"] == pytest.approx(0.01)
    assert summary.latency["p90"] == pytest.approx(0.01)  # the 99th of 110
    assert summary.latency_max_s == pytest.approx(0.2)


def test_a_window_without_calls_has_no_latencies_and_no_errors() -> None:
    summary = summarise([window([], requests=5)])
    assert (summary.requests, summary.errors, summary.throughput_rps) == (0, 0, 0.0)
    missing = [summary.latency_mean_s, summary.latency_min_s, summary.latency_max_s, *summary.latency.values()]
    assert all(math.isnan(value) for value in missing)
    assert HdrHistogram.decode(summary.histogram).get_total_count() == 0


# ---- percentiles ---------------------------------------------------------------------------------------------


def test_percentiles_are_observed_values() -> None:
    milliseconds = np.arange(1, 10_001) / 1000
    assert percentiles(np.random.default_rng(1).permutation(milliseconds)) == {
        "p50": 5.0,
        "p90": 9.0,
        "p95": 9.5,
        "p99": 9.9,
        "p999": 9.99,
    }


@pytest.mark.parametrize(("name", "fewest"), [("p50", 20), ("p90", 100), ("p95", 200), ("p99", 1000)])
def test_a_percentile_needs_10_calls_beyond_it(name: str, fewest: int) -> None:
    q = PERCENTILES[name]
    assert not math.isnan(percentile(np.arange(float(fewest)), q))
    assert math.isnan(percentile(np.arange(float(fewest - 1)), q))
    assert math.isnan(percentile(np.array([]), q))


def test_2500_requests_carry_a_p99_and_no_p999() -> None:
    tails = percentiles(np.linspace(0.001, 0.1, 2500))
    assert not math.isnan(tails["p99"])
    assert math.isnan(tails["p999"])


def test_percentiles_have_their_nearest_rank_at_every_number_of_calls() -> None:
    for name, exact in {"p50": "0.5", "p90": "0.9", "p95": "0.95", "p99": "0.99", "p999": "0.999"}.items():
        q = Fraction(exact)
        for n in [*range(10, 1300), 2500, 9_999, 10_000, 10_001, 20_000]:
            value = percentile(np.arange(1.0, n + 1), PERCENTILES[name])
            rank = math.ceil(n * q)
            if n - rank < 10:
                assert math.isnan(value), (name, n)
            else:
                assert value == rank, (name, n)


@given(st.lists(st.floats(1e-6, 10), min_size=20, max_size=200))
def test_percentiles_lie_between_the_extremes_and_in_order(latency: list[float]) -> None:
    tails = [v for v in percentiles(np.array(latency)).values() if not math.isnan(v)]
    assert tails == sorted(tails)
    assert set(tails) <= set(latency)


# ---- the histogram -------------------------------------------------------------------------------------------


def test_the_histogram_holds_every_call_and_agrees_with_the_percentiles_to_three_digits() -> None:
    latency = np.random.default_rng(5).lognormal(-6, 1.2, 20_000)
    decoded = HdrHistogram.decode(histogram(latency))
    assert decoded.get_total_count() == 20_000
    for q in PERCENTILES.values():
        microseconds = decoded.get_value_at_percentile(q * 100)
        assert microseconds / 1e6 == pytest.approx(percentile(latency, q), rel=1e-3, abs=1e-6)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 4000), max_size=50))
def test_the_histogram_is_what_one_call_after_the_other_gives(latency: list[float]) -> None:
    one_by_one = HdrHistogram(HDR_LOWEST_US, HDR_HIGHEST_US, HDR_DIGITS)
    for value in latency:
        one_by_one.record_value(min(max(round(value * 1e6), HDR_LOWEST_US), HDR_HIGHEST_US))
    assert histogram(np.array(latency, dtype=np.float64)) == one_by_one.encode().decode()


def test_the_histogram_keeps_what_is_outside_its_range_at_its_ends() -> None:
    decoded = HdrHistogram.decode(histogram(np.array([0.0, 0.01, 7200.0])))
    assert decoded.get_total_count() == 3
    assert decoded.get_min_value() == 1
    assert decoded.get_max_value() == pytest.approx(3.6e9, rel=1e-3)


# ---- the timeline --------------------------------------------------------------------------------------------


def test_the_timeline_counts_calls_where_they_ended_warm_up_at_negative_times() -> None:
    calls = [(9.5, 9.85, OK), (9.9, 10.05, OK), (10.0, 10.08, UNAVAILABLE), (10.1, 10.35, OK)]
    columns = timeline([window(calls, requests=2)])
    assert columns["t_s"] == [-0.2, -0.1, 0.0, 0.1, 0.2, 0.3]
    assert columns["completed"] == [1, 0, 2, 0, 0, 1]
    assert columns["errors"] == [0, 0, 1, 0, 0, 0]
    assert columns["latency_max_s"][2] == pytest.approx(0.15)
    assert columns["latency_p50_s"][2] == pytest.approx((0.15 + 0.08) / 2)
    assert [math.isnan(v) for v in columns["latency_max_s"]] == [False, True, False, True, True, False]


def test_the_timeline_of_several_workers_is_on_one_clock_and_loses_no_call() -> None:
    first = window(back_to_back(9.0, 11.0, 0.07), requests=5)
    second = window(back_to_back(9.5, 12.0, 0.13, UNAVAILABLE), requests=5)
    columns = timeline([first, second])
    assert sum(columns["completed"]) == len(first.records) + len(second.records)
    assert sum(columns["errors"]) == len(second.records)
    assert len({len(column) for column in columns.values()}) == 1


def test_the_timeline_of_no_calls_has_columns_and_no_rows() -> None:
    assert timeline([window([], requests=1)]) == {
        "t_s": [],
        "completed": [],
        "errors": [],
        "latency_p50_s": [],
        "latency_max_s": [],
    }


# ---- calls under way -----------------------------------------------------------------------------------------


def test_the_most_calls_under_way_are_those_of_all_workers_from_the_opening_on() -> None:
    busy_before = [(1.0, 2.0, OK), (1.0, 2.0, OK), (1.0, 2.0, OK)]
    first = window([*busy_before, (9.0, 11.0, OK), (10.5, 12.0, OK)])
    second = window([(10.6, 10.9, OK), (11.0, 13.0, UNAVAILABLE)])
    assert most_in_flight([first]) == 2
    assert most_in_flight([first, second]) == 3


def test_a_call_that_starts_when_another_ends_is_not_under_way_with_it() -> None:
    assert most_in_flight([window(back_to_back(9.0, 12.0, 0.25))]) == 1
    assert most_in_flight([window([])]) == 0


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(1, 30)).map(lambda call: (call[0] / 4, (call[0] + call[1]) / 4, OK)),
        min_size=1,
        max_size=30,
    )
)
def test_the_most_calls_under_way_agree_with_counting_at_every_moment(calls: list[tuple[float, float, int]]) -> None:
    moments = [10.0 + quarter / 4 for quarter in range(60)]
    counted = max(sum(start <= at < end for start, end, _ in calls) for at in moments)
    assert most_in_flight([window(calls)]) == counted


# ---- silence -------------------------------------------------------------------------------------------------


def test_a_silence_begins_with_the_second_call_under_way() -> None:
    calls = [(10.0, 10.5, OK), (10.0, 10.6, OK), (11.0, 14.0, OK), (12.0, 14.1, OK)]
    assert longest_silence([window(calls)]) == pytest.approx((2.0, 2.0))


def test_of_one_call_at_a_time_and_of_none_there_is_no_silence() -> None:
    assert longest_silence([window(back_to_back(10.0, 20.0, 2.0))]) == (0.0, 0.0)
    assert longest_silence([window([])]) == (0.0, 0.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.integers(1, 20), st.sampled_from([OK, NOT_ENDED])).map(
            lambda call: (call[0] / 4, (call[0] + call[1]) / 4, call[2])
        ),
        max_size=12,
    ),
    st.integers(0, 5),
)
def test_a_silence_agrees_with_looking_at_every_moment(calls: list[tuple[float, float, int]], opened_at: int) -> None:
    silence_s, _ = longest_silence([window(calls[::2], opened_at=opened_at), window(calls[1::2], opened_at=opened_at)])
    ends = sorted({end for _, end, status in calls if status == OK and end > opened_at})
    longest = run = 0
    for step in range(opened_at * 4, int(max(ends, default=0) * 4)):
        at = step / 4
        under_way = sum(start <= at and (end > at or status == NOT_ENDED) for start, end, status in calls)
        run = 1 if at in ends else run + 1
        run = run if under_way >= 2 else 0
        longest = max(longest, run)
    assert silence_s == pytest.approx(longest / 4)
