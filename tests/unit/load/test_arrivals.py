"""The schedule of an open loop: what every worker gets is together exactly what was drawn, whatever their number."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.errors import FactorError, UsageError
from grpclab.load.core import arrivals
from grpclab.load.core.arrivals import ScheduledRate, count_between, parse_rates, plan_window, planned, schedule_note

ARRIVALS = st.sampled_from(["constant", "poisson"])
RATES = st.floats(0.01, 1e6)


def first(count: int, schedule: Iterator[float]) -> list[float]:
    return list(itertools.islice(schedule, count))


@settings(max_examples=50)
@given(ARRIVALS, RATES, st.integers(1, 9), st.integers(0, 2**31), st.integers(1, 6000))
def test_the_workers_schedules_are_together_the_single_one(
    arrival: str, rate_rps: float, workers: int, seed: int, count: int
) -> None:
    single = first(count, planned(rate_rps, arrival, starts_at=1000.0, seed=seed))
    for worker in range(workers):
        part = planned(rate_rps, arrival, starts_at=1000.0, seed=seed, worker=worker, workers=workers)
        assert first(len(single[worker::workers]), part) == single[worker::workers]


@settings(max_examples=50)
@given(RATES, st.floats(0, 1e6), st.integers(0, 10**6))
def test_a_constant_schedule_has_no_drift(rate_rps: float, starts_at: float, number: int) -> None:
    schedule = planned(rate_rps, "constant", starts_at=starts_at, seed=1, worker=number, workers=number + 1)
    exact = Fraction(starts_at) + number / Fraction(rate_rps)
    assert next(schedule) == pytest.approx(float(exact), rel=4e-16)


def test_a_constant_schedule_begins_at_once() -> None:
    assert first(4, planned(4.0, "constant", starts_at=100.0, seed=1)) == [100.0, 100.25, 100.5, 100.75]


@pytest.mark.parametrize("rate_rps", [0.5, 40.0, 5000.0])
def test_poisson_gaps_are_exponential_with_the_mean_of_the_rate(rate_rps: float) -> None:
    count = 200_000
    times = np.array([0.0, *first(count, planned(rate_rps, "poisson", starts_at=0.0, seed=7))])
    gaps = np.diff(times) * rate_rps
    assert gaps.min() >= 0
    # five standard errors: of the mean 1 / sqrt(n), of the variance sqrt(8 / n), of a share at most 0.5 / sqrt(n)
    assert gaps.mean() == pytest.approx(1, abs=5 / count**0.5)
    assert gaps.var() == pytest.approx(1, abs=5 * (8 / count) ** 0.5)
    assert (gaps > 2).mean() == pytest.approx(np.exp(-2), abs=2.5 / count**0.5)


def test_a_seed_draws_the_same_schedule_again_and_another_one_another() -> None:
    one, same, other = (first(100, planned(50.0, "poisson", starts_at=5.0, seed=seed)) for seed in (1, 1, 2))
    assert one == same
    assert one != other


@pytest.mark.parametrize("arrival", ["constant", "poisson"])
@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_the_schedule_does_not_depend_on_how_much_is_drawn_at_a_time(
    monkeypatch: pytest.MonkeyPatch, arrival: str, chunk: int
) -> None:
    expected = first(10_000, planned(300.0, arrival, starts_at=77.0, seed=3))
    monkeypatch.setattr(arrivals, "CHUNK", chunk)
    assert first(10_000, planned(300.0, arrival, starts_at=77.0, seed=3)) == expected


# ---- the window ----------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    arrival=ARRIVALS,
    rate_rps=st.floats(1, 5000),
    seed=st.integers(0, 1000),
    warmup_s=st.floats(0, 3),
    duration_s=st.none() | st.floats(0.01, 3),
    requests=st.none() | st.integers(1, 6000),
    workers=st.integers(1, 5),
)
def test_a_window_holds_the_arrivals_that_a_walk_through_the_schedule_finds(
    *,
    arrival: str,
    rate_rps: float,
    seed: int,
    warmup_s: float,
    duration_s: float | None,
    requests: int | None,
    workers: int,
) -> None:
    if duration_s is None and requests is None:
        requests = 100
    opens_at = 50.0 + warmup_s
    closes_at = None if duration_s is None else opens_at + duration_s
    arrivals = plan_window(
        rate_rps, arrival, starts_at=50.0, seed=seed, opens_at=opens_at, closes_at=closes_at, requests=requests
    )
    belonging = [0] * workers
    for number, due in enumerate(planned(rate_rps, arrival, starts_at=50.0, seed=seed)):
        if due < opens_at:
            continue
        if sum(belonging) == requests or (closes_at is not None and due >= closes_at):
            assert arrivals.closes_at == (due if closes_at is None else min(due, closes_at))
            break
        assert number == arrivals.first + sum(belonging)
        belonging[number % workers] += 1
    assert arrivals.count == sum(belonging)
    assert [arrivals.of_worker(worker, workers) for worker in range(workers)] == belonging


def test_what_is_due_as_the_window_opens_belongs_to_it_and_what_is_due_as_it_closes_does_not() -> None:
    schedule = {"starts_at": 0.0, "seed": 1}
    assert count_between(10.0, "constant", opens_at=1.0, closes_at=2.0, **schedule) == 10  # type: ignore[arg-type]
    assert count_between(10.0, "constant", opens_at=1.0, closes_at=2.05, **schedule) == 11  # type: ignore[arg-type]
    assert count_between(10.0, "constant", opens_at=1.0, closes_at=1.0, **schedule) == 0  # type: ignore[arg-type]


def test_a_window_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an end"):
        plan_window(10.0, "constant", starts_at=0.0, seed=1, opens_at=1.0)


# ---- what a person writes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rates", "hold_s"),
    [
        ("500", [500.0], None),
        ("500.0", [500.0], None),
        (" 2.5 ", [2.5], None),
        ("1e3", [1000.0], None),
        ("500@10s", [500.0], 10.0),
        ("500:2000:500@5s", [500.0, 1000.0, 1500.0, 2000.0], 5.0),
        ("500:2000:500", [500.0, 1000.0, 1500.0, 2000.0], None),
        ("100:250:100@500ms", [100.0, 200.0], 0.5),
        ("0.1:0.3:0.1@2m", [0.1, 0.2, 0.3], 120.0),
        ("300:100:100@5", [300.0, 200.0, 100.0], 5.0),
        ("300:100:-100@1.5s", [300.0, 200.0, 100.0], 1.5),
        ("700:700:1@1s", [700.0], 1.0),
    ],
)
def test_a_rate_or_a_schedule_of_rates_is_read(text: str, rates: list[float], hold_s: float | None) -> None:
    steps = parse_rates(text)
    assert [step.rate_rps for step in steps] == pytest.approx(rates)
    assert {step.hold_s for step in steps} == {hold_s}
    assert isinstance(steps[0], ScheduledRate)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a rate, e.g. 500, FROM:TO:STEP@HOLD"),
        ("fast", "a number instead of 'fast'"),
        ("500:5000", "expected a duration after a ramp"),
        ("500:5000:500@", "expected a rate"),
        ("500:5000:500@5d", "a time, e.g. 500ms"),
        ("500:lots:500@5s", "a number instead of 'lots'"),
        ("500:5000:0@5s", "other than 0"),
        ("500@0s", "a hold time of 0.01 to 86,400 s"),
        ("500@100us", "a hold time of 0.01 to 86,400 s"),
        ("500@1.2.3s", "a time, e.g. 500ms"),
        ("nan", "a number instead of 'nan'"),
        ("1:1e6:1@1s", "at most 1,000 rates (there are 1,000,000)"),
        ("1:1e308:1e-10@1s", "at most 1,000 rates"),
        ("-1e308:1e308:1@1s", "at most 1,000 rates"),
    ],
)
def test_what_is_no_rate_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_rates(text)
    assert str(refusal.value).startswith(f"invalid --rate={text}: expected ")
    assert why in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("1:50:5", "46/s"),
        ("50:1:5", "5/s"),
        ("10:100:1000@1s", "a single rate of 10/s"),
        ("0.1:0.35:0.1", "0.3/s"),
    ],
)
def test_a_schedule_that_does_not_end_where_it_says_is_noted(text: str, end: str) -> None:
    assert f"{end}: " in schedule_note(text)


@pytest.mark.parametrize("text", ["500", "500@5s", "1:51:5", "0.1:0.3:0.1", "50:50:5", "500:100:-200"])
def test_a_schedule_that_ends_where_it_says_is_not(text: str) -> None:
    assert schedule_note(text) == ""


@pytest.mark.parametrize("text", ["0", "-5", "1e9", "500:0:100@1s"])
def test_a_rate_outside_the_range_of_the_factor_is_refused(text: str) -> None:
    with pytest.raises(FactorError, match=r"invalid load\.rate_rps=.*: expected number from 0\.01 to 10,000,000"):
        parse_rates(text)
