"""Service times, stalls and errors of the reference server: what is drawn, and how time is mapped. All pure."""

from __future__ import annotations

import math
from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import UsageError
from grpclab.factors.service_time import CHUNK, parse_milliseconds, parse_service_time
from grpclab.servers.reference.disturbances import (
    Mishap,
    Stall,
    Stalls,
    check_shares,
    outcomes,
    parse_mishap,
    parse_stall,
)

N = 100_000

# ---- distributions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "mean_s", "median_s"),
    [
        ("none", 0.0, 0.0),
        ("constant:1ms", 0.001, 0.001),
        ("exponential:2ms", 0.002, 0.002 * math.log(2)),
        ("uniform:1ms,3ms", 0.002, 0.002),
        ("lognormal:2ms,0.5", 0.002 * math.exp(0.125), 0.002),
        ("lognormal:2ms,0", 0.002, 0.002),
    ],
)
def test_the_mean_and_the_median_are_those_of_the_law(text: str, mean_s: float, median_s: float) -> None:
    law = parse_service_time(text)
    drawn = list(islice(law.draws(seed=1), N))
    assert law.mean_s == pytest.approx(mean_s)
    assert np.mean(drawn) == pytest.approx(mean_s, rel=0.02)
    assert np.median(drawn) == pytest.approx(median_s, rel=0.02)
    assert min(drawn) >= 0


@pytest.mark.parametrize(
    ("text", "same", "as_it_is_kept"),
    [
        ("5", "constant:5ms", "5"),
        ("exponential:2", "exponential:2ms", "exponential:2"),
        ("lognormal:1.5s,0.5", "lognormal:1500ms,0.5", "lognormal:1500,0.5"),
        ("uniform:200us,3", "uniform:0.2ms,3ms", "uniform:0.2,3"),
    ],
)
def test_a_time_without_a_unit_is_in_milliseconds(text: str, same: str, as_it_is_kept: str) -> None:
    law, with_unit = parse_milliseconds(text), parse_service_time(same)
    assert list(islice(law.draws(seed=1), 100)) == pytest.approx(list(islice(with_unit.draws(seed=1), 100)))
    assert law.mean_s == pytest.approx(with_unit.mean_s)
    assert law.text == as_it_is_kept == parse_milliseconds(law.text).text


def test_a_uniform_time_stays_within_its_bounds() -> None:
    drawn = list(islice(parse_service_time("uniform:1ms,3ms").draws(seed=3), N))
    assert 0.001 <= min(drawn) < 0.00101
    assert 0.00299 < max(drawn) < 0.003


def test_the_same_seed_draws_the_same_times_and_another_one_others() -> None:
    law = parse_service_time("exponential:2ms")
    first, again, other = (list(islice(law.draws(seed), 2 * CHUNK)) for seed in (7, 7, 8))
    assert first == again
    assert first != other
    assert first[:CHUNK] != first[CHUNK:]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gamma:1ms",
        "none:1ms",
        "constant",
        "constant:1",
        "constant:1ms,2ms",
        "exponential:-1ms",
        "uniform:3ms,1ms",
        "uniform:3ms",
        "lognormal:2ms",
        "lognormal:0ms,1",
        "lognormal:2ms,-1",
        "lognormal:2ms,1,1",
        "lognormal:2ms,nan",
        "lognormal:1e305s,10",
    ],
)
def test_what_is_no_law_is_refused_in_one_line_that_shows_how(text: str) -> None:
    with pytest.raises(UsageError, match=r"invalid --service-time=.*: expected constant:1ms, ") as refusal:
        parse_service_time(text)
    assert "\n" not in str(refusal.value)


# ---- stalls ------------------------------------------------------------------------------------------------------


def test_a_stall_holds_what_falls_into_it_until_its_end_and_nothing_else() -> None:
    stalls = Stalls([parse_stall("1s@3s")])
    due = [0.0, 2.999, 3.0, 3.5, 3.999, 4.0, 5.0]
    assert [stalls.release(at) for at in due] == [0.0, 2.999, 4.0, 4.0, 4.0, 4.0, 5.0]
    assert not Stalls([])
    assert Stalls([]).release(3.5) == 3.5


def test_one_stall_may_lead_into_the_next() -> None:
    stalls = Stalls(map(parse_stall, ["2s@4s", "1s@3s", "100ms@10s"]))
    assert [stalls.release(at) for at in (2.9, 3.1, 4.1, 6.0, 10.0)] == [2.9, 6.0, 6.0, 6.0, 10.1]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.001, 10)), max_size=5),
    st.floats(0, 120),
    st.floats(0, 120),
)
def test_a_release_is_never_early_never_inside_a_stall_and_keeps_the_order(
    spans: list[tuple[float, float]], one: float, other: float
) -> None:
    found = [Stall(begin, begin + lasts) for begin, lasts in spans]
    stalls = Stalls(found)
    first, second = stalls.release(min(one, other)), stalls.release(max(one, other))
    assert min(one, other) <= first <= second
    assert not any(stall.begins_s <= first < stall.ends_s for stall in found)


@pytest.mark.parametrize("text", ["1s", "1s@", "@3s", "1@3", "0s@1s", "1s@-1s", "soon"])
def test_what_is_no_stall_is_refused_in_one_line_that_shows_how(text: str) -> None:
    with pytest.raises(UsageError, match=r"invalid --stall=.*: expected a duration and a start, e.g. 1s@3s"):
        parse_stall(text)


# ---- errors ------------------------------------------------------------------------------------------------------


def test_statuses_come_in_their_shares_and_the_same_for_the_same_seed() -> None:
    mishaps = [parse_mishap("1%:UNAVAILABLE"), parse_mishap(" 2.5% : internal ")]
    assert mishaps == [Mishap(0.01, 14), Mishap(0.025, 13)]
    drawn = Counter(islice(outcomes(mishaps, seed=1), N))
    assert set(drawn) == {0, 13, 14}
    assert drawn[14] / N == pytest.approx(0.01, rel=0.15)
    assert drawn[13] / N == pytest.approx(0.025, rel=0.15)
    assert list(islice(outcomes(mishaps, 5), 500)) == list(islice(outcomes(mishaps, 5), 500))


def test_no_errors_all_errors_and_none_at_all() -> None:
    assert set(islice(outcomes([], 1), 10)) == {0}
    assert set(islice(outcomes([Mishap(1.0, 8)], 1), N)) == {8}
    assert set(islice(outcomes([Mishap(0.0, 8)], 1), N)) == {0}


@pytest.mark.parametrize(
    "text", ["1%", "1:UNAVAILABLE", "1%:OK", "101%:INTERNAL", "-1%:INTERNAL", "1%:BROKEN", "nan%:INTERNAL"]
)
def test_what_is_no_error_is_refused_in_one_line_that_shows_how(text: str) -> None:
    with pytest.raises(UsageError, match=r"invalid --error=.*: expected a share and a status, e.g. 1%:UNAVAILABLE"):
        parse_mishap(text)


def test_more_than_all_calls_cannot_fail() -> None:
    check_shares([Mishap(0.5, 1), Mishap(0.5, 2)])
    with pytest.raises(UsageError, match="add up to 110%: reduce them to at most 100% in total"):
        check_shares([Mishap(0.6, 1), Mishap(0.5, 2)])
