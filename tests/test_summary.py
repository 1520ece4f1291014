"""The gate, the recorder and the summary: from constructed calls to figures that can be checked by hand."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.load.gate import Gate, share
from grpclab.load.recorder import Recorder, Records
from grpclab.load.summary import (
    PERCENTILES,
    Window,
    histogram,
    percentile,
    percentiles,
    summarise,
    timeline,
)

OK, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 4, 14

# ---- constructed calls ---------------------------------------------------------------------------------------


def records(calls: Sequence[tuple[float, float, int]]) -> Records:
    """Calls as (start, end, status)."""
    recorder = Recorder()
    for start, end, status in calls:
        recorder.record(start, end, status)
    return recorder.records()


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
    recorder, calls = Recorder(), 0
    free = [(0.0, caller) for caller in range(callers)]
    ended = []
    while free:
        now, caller = heapq.heappop(free)
        if gate.admit(now):
            end = now + service_s[calls % len(service_s)]
            calls += 1
            ended.append((end, now))
            heapq.heappush(free, (end, caller))
    for end, start in sorted(ended):
        recorder.record(start, end, OK)
    return recorder.records()


# ---- the gate ------------------------------------------------------------------------------------------------


def test_warm_up_calls_are_admitted_and_not_counted() -> None:
    gate = Gate(opens_at=10, requests=2)
    assert [gate.admit(now) for now in (9.0, 9.5, 9.999)] == [True] * 3
    assert gate.admitted == 0


def test_a_call_that_starts_as_the_window_opens_belongs_to_it() -> None:
    gate = Gate(opens_at=10, requests=2)
    assert gate.admit(10.0)
    assert gate.admitted == 1


def test_a_window_of_requests_admits_exactly_that_many() -> None:
    gate = Gate(opens_at=10, requests=3)
    assert [gate.admit(10 + i) for i in range(5)] == [True, True, True, False, False]
    assert (gate.admitted, gate.closed) == (3, True)


def test_no_call_starts_as_the_window_closes() -> None:
    gate = Gate(opens_at=10, closes_at=12)
    assert gate.admit(11.999)
    assert not gate.admit(12.0)
    assert gate.closed


def test_of_two_bounds_the_first_one_reached_closes_the_window() -> None:
    by_time = Gate(opens_at=10, closes_at=12, requests=100)
    assert [by_time.admit(now) for now in (10, 11, 12)] == [True, True, False]
    by_count = Gate(opens_at=10, closes_at=12, requests=1)
    assert [by_count.admit(now) for now in (10, 11)] == [True, False]


def test_a_closed_gate_stays_closed_even_for_warm_up() -> None:
    gate = Gate(opens_at=10)
    gate.close()
    assert not gate.admit(9)
    assert not gate.admit(11)
    assert gate.admitted == 0


@settings(deadline=None)
@given(st.integers(0, 10**9), st.integers(1, 300))
def test_shares_are_whole_complete_and_as_equal_as_can_be(total: int, parts: int) -> None:
    shares = share(total, parts)
    assert sum(shares) == total
    assert len(shares) == parts
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)


# ---- the recorder --------------------------------------------------------------------------------------------


def test_a_record_keeps_start_latency_and_status_in_17_bytes() -> None:
    found = records([(1.0, 1.5, OK), (1.25, 3.0, UNAVAILABLE)])
    assert found.start_s.tolist() == [1.0, 1.25]
    assert found.latency_s.tolist() == [0.5, 1.75]
    assert found.end_s.tolist() == [1.5, 3.0]
    assert found.status.tolist() == [0, 14]
    assert sum(a.itemsize for a in (found.start_s, found.latency_s, found.status)) == 17


def test_records_are_a_copy_of_what_was_there() -> None:
    recorder = Recorder()
    recorder.record(1, 2, OK)
    before = recorder.records()
    recorder.record(2, 3, OK)
    assert (len(before), len(recorder.records())) == (1, 2)
    assert len(Records.empty()) == 0


def test_records_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    for name, stored in {"some": records([(1.0, 1.5, OK), (1.2, 2.5, 4)]), "none": Records.empty()}.items():
        stored.save(tmp_path / name)
        loaded = Records.load(tmp_path / name)
        for column in ("start_s", "latency_s", "status"):
            ours, theirs = getattr(stored, column), getattr(loaded, column)
            assert ours.tolist() == theirs.tolist()
            assert ours.dtype == theirs.dtype


# ---- the window ----------------------------------------------------------------------------------------------


def test_a_window_of_requests_ends_when_that_many_calls_have_ended_in_it() -> None:
    # one caller, 0.5 s a call; the call from 9.75 crosses the border and stands for the last one
    calls = back_to_back(8.75, 11.75, 0.5)
    found = window(calls, requests=4)
    assert len(found.measured) == 4  # from 10.25, 10.75, 11.25, 11.75
    assert found.closed_at == 11.75  # ends 10.25, 10.75, 11.25, 11.75
    assert found.throughput_rps == pytest.approx(4 / 1.75)


def test_without_warm_up_the_window_ends_with_its_last_call() -> None:
    found = window(back_to_back(10.0, 11.5, 0.5), requests=4)
    assert found.closed_at == 12.0
    assert found.throughput_rps == pytest.approx(2.0)


def test_a_window_of_time_ends_when_it_was_told_to() -> None:
    # 20 calls start in [10, 12); the last ends at 12.05: measured, but not part of the throughput
    found = window(back_to_back(9.95, 11.95, 0.1), closes_at=12.0)
    assert len(found.measured) == 20
    assert found.closed_at == 12.0
    assert found.throughput_rps == pytest.approx(20 / 2)
    assert summarise([found]).requests == 20


def test_a_window_with_both_bounds_ends_with_the_first_one() -> None:
    calls = back_to_back(10.0, 10.9, 0.1)
    assert window(calls, requests=5, closes_at=99.0).closed_at == pytest.approx(10.5)
    slow = back_to_back(10.0, 11.5, 0.5)
    assert window(slow, requests=500, closes_at=11.75).closed_at == 11.75


def test_an_interrupted_window_ends_with_its_last_call() -> None:
    # a window of a minute, ended by Ctrl-C after two seconds: 2 requests a second, not 4 a minute
    found = window(back_to_back(10.0, 11.5, 0.5), closes_at=70.0)
    assert found.closed_at == 12.0
    assert found.throughput_rps == pytest.approx(2.0)


def test_borders_belong_to_one_side_only() -> None:
    calls = [
        (9.0, 10.0, OK),  # ends as the window opens: warm-up
        (10.0, 11.0, OK),  # starts as it opens: measured
        (9.999, 10.5, OK),  # starts just before: warm-up, though it ends inside
        (11.0, 12.0, OK),  # ends as it closes: counted
        (11.5, 12.5, OK),  # ends after: measured, not counted
    ]
    found = window(calls, closes_at=12.0)
    assert found.measured.start_s.tolist() == [10.0, 11.0, 11.5]
    assert found.throughput_rps == pytest.approx(3 / 2)  # 10.5, 11.0, 12.0


def test_a_window_in_which_nothing_ended_has_no_length_and_no_throughput() -> None:
    for calls in ([], [(8.0, 9.0, OK)]):
        for bounds in ({"requests": 5}, {"closes_at": 12.0}):
            found = window(calls, **bounds)
            assert found.closed_at == found.opened_at
            assert found.throughput_rps == 0.0


def test_failed_calls_are_no_throughput() -> None:
    calls = back_to_back(10.0, 10.9, 0.1) + back_to_back(10.0, 10.9, 0.1, UNAVAILABLE)
    assert window(calls, closes_at=11.0).throughput_rps == pytest.approx(10.0)


@settings(deadline=None, max_examples=50)
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
    found = Window(records=calls, opened_at=warmup_s, requests=requests, closes_at=None)
    assert gate.admitted == len(found.measured) == requests
    # c callers that never rest: c = throughput x mean latency; off by what crosses the two borders
    busy = callers * (found.closed_at - warmup_s)
    ended = (calls.end_s > warmup_s) & (calls.end_s <= found.closed_at)
    assert ended.sum() >= requests
    assert abs(calls.latency_s[ended].sum() - busy) <= callers * max(service_s) * 2
    assert found.throughput_rps == pytest.approx(ended.sum() / (found.closed_at - warmup_s))


# ---- the summary ---------------------------------------------------------------------------------------------


def test_latencies_are_those_of_the_calls_that_started_in_the_window() -> None:
    found = summarise([window([(9.0, 10.9, OK), (10.0, 10.2, OK), (10.2, 10.8, OK)], requests=2)])
    assert found.requests == 2
    assert found.latency_min_s == pytest.approx(0.2)
    assert found.latency_max_s == pytest.approx(0.6)
    assert found.latency_mean_s == pytest.approx(0.4)


def test_errors_are_counted_by_status_and_stay_in_the_latencies_of_all_calls() -> None:
    good = [(10.0, 10.001 + i * 1e-5, OK) for i in range(40)]
    late = [(10.0, 12.0, DEADLINE_EXCEEDED)] * 30
    gone = [(10.0, 11.0, UNAVAILABLE)] * 2
    found = summarise([window(good + late + gone, requests=72)])
    assert (found.requests, found.errors) == (72, 32)
    assert found.errors_by_status == {"DEADLINE_EXCEEDED": 30, "UNAVAILABLE": 2}
    assert found.latency_max_s == pytest.approx(2.0)
    assert found.latency["p50"] == pytest.approx(0.001 + 35e-5)
    assert found.latency_ok["p50"] == pytest.approx(0.001 + 19e-5)


def test_workers_add_up_and_their_percentiles_are_those_of_all_calls_together() -> None:
    quick = window(back_to_back(10.0, 10.99, 0.01), requests=100)
    slow = window(back_to_back(10.0, 11.8, 0.2), requests=10)
    found = summarise([quick, slow])
    assert found.requests == 110
    assert found.window_s == pytest.approx(2.0)
    assert found.throughput_rps == pytest.approx(100 + 5)
    assert found.latency["p50"] == pytest.approx(0.01)
    assert found.latency["p90"] == pytest.approx(0.01)  # the 99th of 110
    assert found.latency_max_s == pytest.approx(0.2)


def test_a_window_without_calls_has_no_latencies_and_no_errors() -> None:
    found = summarise([window([], requests=5)])
    assert (found.requests, found.errors, found.throughput_rps) == (0, 0, 0.0)
    missing = [found.latency_mean_s, found.latency_min_s, found.latency_max_s, *found.latency.values()]
    assert all(math.isnan(value) for value in missing)
    assert HdrHistogram.decode(found.histogram).get_total_count() == 0


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
    found = percentiles(np.linspace(0.001, 0.1, 2500))
    assert not math.isnan(found["p99"])
    assert math.isnan(found["p999"])


def test_percentiles_have_their_nearest_rank_at_every_number_of_calls() -> None:
    for name, exact in {"p50": "0.5", "p90": "0.9", "p95": "0.95", "p99": "0.99", "p999": "0.999"}.items():
        q = Fraction(exact)
        for n in [*range(10, 1300), 2500, 9_999, 10_000, 10_001, 20_000]:
            found = percentile(np.arange(1.0, n + 1), PERCENTILES[name])
            rank = math.ceil(n * q)
            if n - rank < 10:
                assert math.isnan(found), (name, n)
            else:
                assert found == rank, (name, n)


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 10), min_size=20, max_size=200))
def test_percentiles_lie_between_the_extremes_and_in_order(latency: list[float]) -> None:
    found = [v for v in percentiles(np.array(latency)).values() if not math.isnan(v)]
    assert found == sorted(found)
    assert set(found) <= set(latency)


# ---- the histogram -------------------------------------------------------------------------------------------


def test_the_histogram_holds_every_call_and_agrees_with_the_percentiles_to_three_digits() -> None:
    latency = np.random.default_rng(5).lognormal(-6, 1.2, 20_000)
    decoded = HdrHistogram.decode(histogram(latency))
    assert decoded.get_total_count() == 20_000
    for q in PERCENTILES.values():
        microseconds = decoded.get_value_at_percentile(q * 100)
        assert microseconds / 1e6 == pytest.approx(percentile(latency, q), rel=1e-3, abs=1e-6)


def test_the_histogram_keeps_what_is_outside_its_range_at_its_ends() -> None:
    decoded = HdrHistogram.decode(histogram(np.array([0.0, 0.01, 7200.0])))
    assert decoded.get_total_count() == 3
    assert decoded.get_min_value() == 1
    assert decoded.get_max_value() == pytest.approx(3.6e9, rel=1e-3)


# ---- the timeline --------------------------------------------------------------------------------------------


def test_the_timeline_counts_calls_where_they_ended_warm_up_at_negative_times() -> None:
    calls = [(9.5, 9.85, OK), (9.9, 10.05, OK), (10.0, 10.08, UNAVAILABLE), (10.1, 10.35, OK)]
    found = timeline([window(calls, requests=2)])
    assert found["t_s"] == [-0.2, -0.1, 0.0, 0.1, 0.2, 0.3]
    assert found["completed"] == [1, 0, 2, 0, 0, 1]
    assert found["errors"] == [0, 0, 1, 0, 0, 0]
    assert found["latency_max_s"][2] == pytest.approx(0.15)
    assert found["latency_p50_s"][2] == pytest.approx((0.15 + 0.08) / 2)
    assert [math.isnan(v) for v in found["latency_max_s"]] == [False, True, False, True, True, False]


def test_the_timeline_of_several_workers_is_on_one_clock_and_loses_no_call() -> None:
    first = window(back_to_back(9.0, 11.0, 0.07), requests=5)
    second = window(back_to_back(9.5, 12.0, 0.13, UNAVAILABLE), requests=5)
    found = timeline([first, second])
    assert sum(found["completed"]) == len(first.records) + len(second.records)
    assert sum(found["errors"]) == len(second.records)
    assert len({len(column) for column in found.values()}) == 1


def test_the_timeline_of_no_calls_has_columns_and_no_rows() -> None:
    assert timeline([window([], requests=1)]) == {
        "t_s": [],
        "completed": [],
        "errors": [],
        "latency_p50_s": [],
        "latency_max_s": [],
    }
