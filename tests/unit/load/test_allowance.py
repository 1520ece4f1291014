"""What may be sent to another machine: the ceilings that are asked for, and the gate that keeps them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import MeasurementError, UsageError
from grpclab.load.core.budget import Budget, RationedGate
from grpclab.system.allowance import CALLS, RATE, TIME, Allowance, SharedAllowance, allowed

SOME = Allowance(rate_rps=10, calls=100, time_s=60)


def budget(allowance: Allowance = SOME, *, ends_at: float = math.inf, cost: int = 1) -> Budget:
    return Budget(allowance, ends_at=ends_at, cost=cost)


def taken(left: Budget, moments: list[float]) -> list[str]:
    """The ceiling that each call met, or nothing where it was sent."""
    found = []
    for moment in moments:
        ceiling = left.refusal(moment)
        if not ceiling:
            left.spend()
        found.append(ceiling)
    return found


def test_calls_beside_the_load_are_taken_from_it_until_none_is_left() -> None:
    shared = SharedAllowance(Allowance(rate_rps=10, calls=2, time_s=60), now=0)
    shared.take_call(1)
    assert (shared.left_of_calls().calls, shared.left(1).calls) == (1, 1)
    shared.take_call(2)
    for ask in (lambda: shared.take_call(3), shared.left_of_calls):
        with pytest.raises(MeasurementError, match="--max-calls=2"):
            ask()


def test_a_steady_rate_at_the_ceiling_is_kept_up_to_the_last_call() -> None:
    assert taken(budget(), [i / 10 for i in range(101)]) == [""] * 100 + [CALLS]


def test_no_more_than_a_seconds_worth_of_calls_comes_at_once() -> None:
    assert taken(budget(), [5.0] * 11) == [""] * 10 + [RATE]


def test_nothing_is_sent_when_the_time_is_over() -> None:
    assert taken(budget(ends_at=7.0), [6.9, 7.0]) == ["", TIME]


def test_a_call_that_may_be_sent_twice_counts_as_two() -> None:
    assert taken(budget(Allowance(rate_rps=1000, calls=7, time_s=1), cost=2), [0.0] * 4) == [""] * 3 + [CALLS]


@given(
    st.lists(st.floats(0, 20), max_size=200).map(sorted),
    st.integers(1, 50),
    st.floats(0.5, 50),
    st.integers(1, 2),
)
def test_no_span_of_time_has_more_than_the_ceiling_and_a_second(
    moments: list[float], calls: int, rate_rps: float, cost: int
) -> None:
    left = budget(Allowance(rate_rps=rate_rps, calls=calls, time_s=1), cost=cost)
    sent = [at for at, ceiling in zip(moments, taken(left, moments), strict=True) if not ceiling]
    assert len(sent) * cost <= calls
    for first, begin in enumerate(sent):
        for last in range(first, len(sent)):
            allowed_calls = max(rate_rps, cost) + rate_rps * (sent[last] - begin)
            assert (last - first + 1) * cost <= allowed_calls + 1e-6


def test_a_gate_closes_at_a_ceiling_and_says_which() -> None:
    left = budget(Allowance(rate_rps=100, calls=3, time_s=60))
    warm = RationedGate(opens_at=5.0, budget=left)
    assert [warm.admit(at) for at in (4.0, 6.0)] == [True, True]
    gate = RationedGate(opens_at=6.0, budget=left)
    assert [gate.admit(at) for at in (7.0, 8.0, 9.0)] == [True, False, False]
    assert (gate.ceiling, gate.ran_out_at, gate.admitted, gate.closed) == (CALLS, 8.0, 1, True)


def test_a_window_that_is_over_meets_no_ceiling() -> None:
    gate = RationedGate(opens_at=0.0, requests=1, budget=budget(Allowance(rate_rps=100, calls=1, time_s=60)))
    assert [gate.admit(1.0), gate.admit(2.0)] == [True, False]
    assert (gate.ceiling, gate.ran_out_at) == ("", None)


@pytest.mark.parametrize("workers", [1, 3, 7, 200])
def test_the_parts_of_workers_are_the_whole(workers: int) -> None:
    parts = [SOME.of_worker(index, workers) for index in range(workers)]
    assert sum(part.calls for part in parts) == SOME.calls
    assert sum(part.rate_rps for part in parts) == pytest.approx(SOME.rate_rps)


def test_a_rate_above_the_ceiling_is_refused() -> None:
    SOME.check_rate(10)
    with pytest.raises(UsageError, match=r"^invalid --rate=11: expected at most 10, the value of --max-rate"):
        SOME.check_rate(11)


def test_all_three_ceilings_are_asked_for() -> None:
    assert allowed(remote=False) is None
    assert allowed(remote=True, rate_rps=10, calls=100, time_s=60) == SOME
    with pytest.raises(UsageError, match=r"add --max-rate, --max-time$"):
        allowed(remote=True, calls=7)
    with pytest.raises(UsageError, match=r"^--max-time requires --allow-remote"):
        allowed(remote=False, time_s=7)
    with pytest.raises(UsageError, match=r"^invalid --max-rate=0"):
        allowed(remote=True, rate_rps=0, calls=1, time_s=1)


def test_loads_that_share_an_allowance_have_what_the_others_left() -> None:
    shared = SharedAllowance(SOME, now=5.0)
    shared.spend(70)
    left = shared.left(25.0)
    assert (left.calls, left.time_s, left.rate_rps) == (30, 40.0, 10)
    assert left.reached(CALLS) == "the load has reached its limit --max-calls=100"
    assert left.of_worker(0, 3).reached(TIME) == "the load has reached its limit --max-time=60"
    assert shared.over(65.0).endswith("--max-time=60")
    shared.spend(30)
    with pytest.raises(MeasurementError, match=r"--max-calls=100"):
        shared.left(26.0)
