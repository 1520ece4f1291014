"""The gate: which calls may start, and which of them belong to the window."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from grpclab.load.core.budget import Budget, RationedGate
from grpclab.load.core.gate import Gate, SuppliedGate, share
from grpclab.system.allowance import Allowance


def test_calls_of_a_tail_are_admitted_and_not_counted() -> None:
    gate = Gate(opens_at=10.0, counts_until=12.0)
    assert [gate.admit(now) for now in (9.0, 10.0, 11.9, 12.0, 13.0)] == [True] * 5
    assert gate.admitted == 2


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


def test_a_gate_is_full_once_all_of_its_calls_have_started() -> None:
    gate = Gate(opens_at=10, requests=2)
    fullness = [(gate.admit(now), gate.full) for now in (9, 10, 11, 12)]
    assert fullness == [(True, False), (True, False), (True, True), (False, True)]
    assert not Gate(opens_at=10, closes_at=12).full


def test_a_call_belongs_to_the_window_by_its_planned_time_however_late_it_is_asked_for() -> None:
    gate = Gate(opens_at=10, closes_at=12)
    assert [gate.admit(planned) for planned in (9.9, 10.0, 11.9, 12.0)] == [True, True, True, False]
    assert gate.admitted == 2


@given(st.integers(0, 10**9), st.integers(1, 300))
def test_shares_are_whole_complete_and_as_equal_as_can_be(total: int, parts: int) -> None:
    shares = share(total, parts)
    assert sum(shares) == total
    assert len(shares) == parts
    assert max(shares) - min(shares) <= 1
    assert shares == sorted(shares, reverse=True)


MOMENTS = st.integers(min_value=0, max_value=12)
BATCHES = st.lists(st.tuples(MOMENTS, st.integers(min_value=1, max_value=5)), min_size=1, max_size=8).map(sorted)


@given(
    batches=BATCHES,
    bounds=st.fixed_dictionaries(
        {
            "opens_at": MOMENTS,
            "closes_at": st.none() | MOMENTS,
            "requests": st.none() | st.integers(min_value=1, max_value=6),
            "counts_until": MOMENTS,
        }
    ),
    kind=st.sampled_from(["any", "supplied", "rationed"]),
)
def test_a_batch_is_admitted_like_its_calls_one_by_one(
    batches: list[tuple[int, int]], bounds: dict[str, Any], kind: str
) -> None:
    def gate() -> Gate:
        if kind == "any":
            return Gate(**bounds)
        if kind == "supplied":
            return SuppliedGate(**bounds, supply=4)
        return RationedGate(**bounds, budget=Budget(Allowance(rate_rps=2, calls=7, time_s=20), ends_at=10))

    together, one_by_one = gate(), gate()
    for now, calls in batches:
        assert together.admit_batch(now, calls) == sum(one_by_one.admit(now) for _ in range(calls))
    assert (together.admitted, together.full) == (one_by_one.admitted, one_by_one.full)
    if isinstance(together, SuppliedGate) and isinstance(one_by_one, SuppliedGate):
        assert together.started == one_by_one.started
