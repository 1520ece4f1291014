"""How a load is divided over its workers, and when its window opens and closes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import FactorError
from grpclab.factors.config import ClientConfig, LoadConfig, TrialConfig
from grpclab.load.core.bounds import MOST_BEGINNINGS, SILENCE_S, Bounds, auto_workers, plan_bounds, split, staggered


def config(client: ClientConfig | None = None, **levels: Any) -> TrialConfig:
    return TrialConfig(client=client or ClientConfig(), load=LoadConfig(**levels))


def parts(divided: TrialConfig, name: str) -> list[Any]:
    return [part.flat()[name] for part in split(divided)]


# ---- dividing ------------------------------------------------------------------------------------------------


def test_a_closed_loop_divides_callers_calls_and_connections_exactly() -> None:
    divided = config(ClientConfig(pooling="pool", connections=5), workers=3, concurrency=50, requests=101)
    assert parts(divided, "load.concurrency") == [17, 17, 16]
    assert parts(divided, "load.requests") == [34, 34, 33]
    assert parts(divided, "client.connections") == [2, 2, 1]


def test_an_open_loop_divides_its_bound_and_leaves_its_calls_to_the_schedule() -> None:
    divided = config(workers=3, rate_rps=100.0, max_in_flight=10, requests=2, concurrency=1)
    assert parts(divided, "load.max_in_flight") == [4, 3, 3]
    assert parts(divided, "load.rate_rps") == [100.0] * 3, "the rate is that of all together"
    assert parts(divided, "load.requests") == [2, 2, 2], "fewer calls than workers are no error"


@pytest.mark.parametrize(
    ("levels", "name"),
    [
        ({"concurrency": 3}, "load.concurrency=3"),
        ({"requests": 3}, "load.requests=3"),
        ({"rate_rps": 10.0, "max_in_flight": 3}, "load.max_in_flight=3"),
    ],
)
def test_less_to_divide_than_workers_is_refused(levels: dict[str, Any], name: str) -> None:
    with pytest.raises(FactorError, match=rf"{name} cannot be divided among load\.workers=4: use fewer workers"):
        split(config(workers=4, **levels))


def test_automatic_workers_are_one_for_each_core_that_has_something_to_do() -> None:
    assert auto_workers(config(), [0, 1, 2]) == 3
    assert auto_workers(config(concurrency=2), [0, 1, 2]) == 2
    assert auto_workers(config(ClientConfig(pooling="pool", connections=1)), [0, 1, 2]) == 1
    assert auto_workers(config(concurrency=1, rate_rps=5.0), [0, 1, 2]) == 3


# ---- the window ----------------------------------------------------------------------------------------------


def test_a_closed_loop_opens_after_its_warm_up_and_closes_when_its_time_is_over_if_it_has_one() -> None:
    timed = plan_bounds(LoadConfig(warmup_s=0.5, duration_s=2.0), 100.0, 1)
    assert (timed.starts_at, timed.opens_at, timed.closes_at) == (100.0, 100.5, 102.5)
    assert plan_bounds(LoadConfig(warmup_s=0.5), 100.0, 1).closes_at is None
    assert plan_bounds(LoadConfig(warmup_s=0.5), 100.0, 1, warmup_s=3.0).opens_at == 103.0


def test_an_open_loop_of_so_many_calls_closes_when_the_next_one_would_be_due() -> None:
    bounds = plan_bounds(LoadConfig(rate_rps=10.0, requests=20, warmup_s=0.5), 100.0, 1)
    assert bounds.due is not None
    assert (bounds.due.first, bounds.due.count) == (5, 20)
    assert bounds.closes_at is not None
    assert bounds.closes_at - bounds.opens_at == pytest.approx(2.0)


def test_of_calls_and_time_an_open_loop_ends_with_what_is_first() -> None:
    short = plan_bounds(LoadConfig(rate_rps=10.0, requests=20, duration_s=1.0, warmup_s=0), 100.0, 1)
    assert short.due is not None
    assert short.due.count == 10
    assert short.closes_at == short.opens_at + 1.0


def test_another_rate_takes_the_place_of_the_configurations() -> None:
    bounds = plan_bounds(LoadConfig(requests=None, duration_s=2.0, warmup_s=0), 100.0, 1, rate_rps=50.0)
    assert bounds.rate_rps == 50.0
    assert bounds.due is not None
    assert bounds.due.count == 100


def test_a_long_schedule_starts_later_since_it_is_drawn_before() -> None:
    load = LoadConfig(rate_rps=100_000.0, requests=1_000_000, warmup_s=0)
    assert plan_bounds(load, 100.0, 1).starts_at == pytest.approx(100.05)


def cut(cut_at: float) -> Bounds:
    """Ten calls a second from 100 on, of which 100.5 to 102.5 count; cut short."""
    bounds = plan_bounds(LoadConfig(rate_rps=10.0, requests=None, duration_s=2.0, warmup_s=0.5), 100.0, 1)
    bounds.cut_at = cut_at
    return bounds


@pytest.mark.parametrize(("cut_at", "due"), [(float("inf"), 20), (103.0, 20), (101.55, 11), (100.2, 0)])
def test_of_a_window_that_is_cut_short_only_what_was_due_by_then_was_planned(cut_at: float, due: int) -> None:
    assert cut(cut_at).planned("constant", 1) == due


def test_a_window_that_ends_by_the_clock_is_waited_for_no_longer_than_its_calls_may_go_on() -> None:
    for levels in ({"rate_rps": 1000.0, "requests": 5000, "max_in_flight": 10}, {"requests": None, "duration_s": 5.0}):
        for deadline_s in (2.0, 300.0, None):
            trial = config(ClientConfig(deadline_s=deadline_s), **{"warmup_s": 0} | levels)
            patience_s = plan_bounds(trial.load, 0.0, 1).patience_s(trial, 3.0)
            assert patience_s == pytest.approx(5 + 3 + SILENCE_S, abs=0.1)


def test_a_number_of_calls_is_waited_for_as_long_as_their_deadlines_allow() -> None:
    trial = config(ClientConfig(deadline_s=2.0), requests=500, concurrency=5, warmup_s=0)
    assert plan_bounds(trial.load, 0.0, 1).patience_s(trial, 3.0) > 2.0 * 500 / 5


# ---- callers that begin one after the other ------------------------------------------------------------------


@given(st.integers(2, 10_000), st.floats(0.001, 60.0))
def test_callers_begin_evenly_over_a_time_and_all_of_them_do(callers: int, over_s: float) -> None:
    changes = staggered(callers, starts_at=5.0, over_s=over_s)
    assert 2 <= len(changes) <= MOST_BEGINNINGS
    moments, numbers = zip(*changes, strict=True)
    assert moments[0] == 5.0
    assert all(5.0 <= moment < 5.0 + over_s for moment in moments)
    assert list(numbers) == sorted(set(numbers))
    assert numbers[-1] == callers
    gaps = {round((after - before) / over_s * len(changes), 6) for before, after in itertools.pairwise(moments)}
    assert gaps == {1.0}


def test_one_caller_and_those_that_have_no_time_begin_at_once() -> None:
    assert staggered(1, starts_at=0.0, over_s=1.0) == []
    assert staggered(64, starts_at=0.0, over_s=0.0) == []


@pytest.mark.parametrize("phase", [0.03, 0.5, 0.97])
def test_callers_that_do_not_begin_together_count_for_what_they_are_wherever_a_stretch_begins(phase: float) -> None:
    """8 calls at a time, 84.5 ms each, for 4.95 times as long: 39.6 of them. All together they are 32 or 40."""
    turn_s, opened = 0.0845, (2 + phase) * 0.0845
    closed = opened + 4.95 * turn_s

    def counted(begins: list[float]) -> int:
        return sum(opened < begin + n * turn_s <= closed for begin in begins for n in range(1, 12))

    assert counted([moment for moment, _ in staggered(8, starts_at=0.0, over_s=turn_s)]) in (39, 40)
    assert counted([0.0] * 8) in (32, 40)
