"""The circuit breaker by its own clock: when it opens, half-opens and closes, whatever order calls end in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grpclab.load.engines.circuit_breaker import CircuitBreaker

OPEN_S = 4.0


def opened(failures: int = 3) -> CircuitBreaker:
    """A breaker that has just opened, at 0."""
    breaker = CircuitBreaker(failures, OPEN_S)
    for _ in range(failures):
        fail(breaker, 0.0)
    return breaker


def fail(breaker: CircuitBreaker, now: float) -> None:
    leave = breaker.admit(now)
    assert leave is not None
    breaker.ended(leave, now, failed=True)


def succeed(breaker: CircuitBreaker, now: float) -> None:
    leave = breaker.admit(now)
    assert leave is not None
    breaker.ended(leave, now, failed=False)


def test_failures_that_are_not_in_a_row_do_not_open_it() -> None:
    breaker = CircuitBreaker(3, OPEN_S)
    for _ in range(10):
        fail(breaker, 0.0)
        fail(breaker, 0.0)
        succeed(breaker, 0.0)
    assert breaker.admit(0.0) is not None


def test_it_opens_after_so_many_failures_and_half_opens_for_one_probe_at_a_time() -> None:
    breaker = opened()
    assert breaker.admit(0.0) is None
    assert breaker.admit(OPEN_S - 0.001) is None
    probe = breaker.admit(OPEN_S)
    assert probe is not None
    assert [breaker.admit(OPEN_S + later) for later in range(20)] == [None] * 20
    breaker.ended(probe, 30.0, failed=True)
    assert breaker.admit(30.0 + OPEN_S - 0.001) is None, "a probe that fails opens it again"
    succeed(breaker, 30.0 + OPEN_S)
    assert [breaker.admit(40.0) is None for _ in range(20)] == [False] * 20


def test_a_probe_that_is_given_up_leaves_its_place_to_another() -> None:
    breaker = opened()
    probe = breaker.admit(OPEN_S)
    assert probe is not None
    breaker.abandoned(probe)
    succeed(breaker, OPEN_S)
    assert breaker.admit(OPEN_S) is not None


def test_calls_from_before_it_opened_neither_close_it_nor_open_it_for_longer() -> None:
    breaker = CircuitBreaker(1, OPEN_S)
    late = [breaker.admit(0.0) for _ in range(3)]
    fail(breaker, 0.0)
    for leave, failed in zip(late, (False, True, True), strict=True):
        assert leave is not None
        breaker.ended(leave, 3.0, failed=failed)
    assert breaker.admit(3.0) is None
    assert breaker.admit(OPEN_S) is not None


moves = st.lists(
    st.tuples(st.sampled_from(["call", "answer", "fail", "give up", "wait"]), st.integers(0, 7)), max_size=60
)


@given(moves, st.integers(1, 4))
def test_while_it_is_not_closed_at_most_one_call_of_its_own_is_under_way(
    steps: list[tuple[str, int]], failures: int
) -> None:
    """Against a model that says from the outside which calls may go."""
    breaker, now = CircuitBreaker(failures, OPEN_S), 0.0
    under_way: list[tuple[int, int]] = []
    """The leave of each call, and the period of the model in which it began."""
    period, in_row, opens_at = 0, 0, -1.0
    for move, number in steps:
        if move == "wait":
            now += number
        elif move == "call":
            leave = breaker.admit(now)
            probing = any(began == period for _, began in under_way)
            assert (leave is not None) == (opens_at < 0 or (now >= opens_at and not probing))
            if leave is not None:
                under_way.append((leave, period))
        elif under_way:
            leave, began = under_way.pop(number % len(under_way))
            if move == "give up":
                breaker.abandoned(leave)
                continue
            failed = move == "fail"
            breaker.ended(leave, now, failed=failed)
            if began != period:
                continue
            in_row = in_row + 1 if failed else 0
            if failed and (opens_at >= 0 or in_row >= failures):
                period, in_row, opens_at = period + 1, 0, now + OPEN_S
            elif not failed and opens_at >= 0:
                period, in_row, opens_at = period + 1, 0, -1.0
