"""The passes over a group: their order, how often each member is visited, and what cannot be up together."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.study.passes import APART_S, Counted, Goal, Visits, few_left, left, memory_reason, order

NAMES = ["hub", "b", "c", "d", "e", "f"]
members = st.integers(2, 6).map(lambda count: NAMES[:count])
slice_s = st.floats(0.02, 4.0)


@given(visited=members, slice_s=slice_s, seed=st.integers(0, 1000))
def test_the_two_sides_of_a_comparison_begin_at_most_a_second_apart_or_next_to_each_other(
    visited: list[str], slice_s: float, seed: int
) -> None:
    drawn = order(visited, "hub", slice_s, random.Random(seed))
    hubs = [at for at, name in enumerate(drawn) if name == "hub"]
    for at, name in enumerate(drawn):
        if name != "hub":
            places = min(abs(at - hub) for hub in hubs)
            assert places == 1 or places * slice_s <= APART_S


@given(visited=members, slice_s=slice_s, seed=st.integers(0, 1000))
def test_each_candidate_is_visited_once_in_a_pass(visited: list[str], slice_s: float, seed: int) -> None:
    drawn = Counter(order(visited, "hub", slice_s, random.Random(seed)))
    assert all(drawn[name] == 1 for name in visited[1:])
    assert 1 <= drawn["hub"] <= math.ceil((len(visited) - 1) / 2)


def test_the_hub_is_visited_once_where_a_pass_is_short() -> None:
    assert Counter(order(NAMES, "hub", 0.15, random.Random(1)))["hub"] == 1


def test_every_order_of_two_comes_up() -> None:
    drawn = {tuple(order(["hub", "b"], "hub", 0.1, random.Random(seed))) for seed in range(50)}
    assert drawn == {("hub", "b"), ("b", "hub")}


def test_the_same_seed_draws_the_same_order() -> None:
    assert order(NAMES, "hub", 0.1, random.Random("7/0")) == order(NAMES, "hub", 0.1, random.Random("7/0"))


def passed(needed: dict[str, int], at_most: int = 10**6) -> list[list[str]]:
    """The passes until nobody needs a slice."""
    visits = Visits("hub")
    found: list[list[str]] = []
    needed = dict(needed)
    while len(found) < at_most and (due := visits.due(needed)):
        found.append(due)
        for name in due:
            needed[name] = max(0, needed[name] - 1)
    return found


@given(needed=st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_each_member_gets_the_slices_that_it_needs_in_as_many_passes_as_the_slowest(needed: list[int]) -> None:
    wanted = dict(zip(NAMES, needed, strict=False))
    found = passed(wanted)
    counts = Counter(name for due in found for name in due)
    assert len(found) == max(needed)
    assert all(counts[name] == count for name, count in wanted.items() if name != "hub")
    assert counts["hub"] == len(found)


@given(few=st.integers(1, 20), many=st.integers(20, 80))
def test_a_member_that_needs_fewer_slices_is_visited_at_even_distances(few: int, many: int) -> None:
    found = passed({"hub": 1, "b": many, "c": few})
    at = [number for number, due in enumerate(found) if "c" in due]
    gaps = [b - a for a, b in itertools.pairwise(at)]
    assert all(gap <= math.ceil((many - 1) / max(1, few - 1)) + 1 for gap in gaps)


def test_nobody_waits_for_one_that_needs_more_passes_than_there_is_time_for() -> None:
    due = Visits("hub")
    counts = Counter(name for _ in range(10) for name in due.due({"hub": 10, "b": 10, "c": 1_000_000}, 10))
    assert counts == {"hub": 10, "b": 10, "c": 10}


def test_a_member_needs_its_counted_time_and_its_calls() -> None:
    goal = Goal(counted_s=1.0, calls=2500, most_s=20.0)
    assert left(goal, Counted(), 0.1, expected_rps=1_000_000) == 10
    assert left(goal, Counted(), 0.1, expected_rps=500) == 50
    assert left(goal, Counted(counted_s=1.0, calls=2500), 0.1, math.nan) == 0
    assert left(goal, Counted(counted_s=1.0, calls=2000), 0.1, math.nan) == 3


def test_a_member_is_visited_for_its_longest_time_and_no_longer() -> None:
    goal = Goal(counted_s=1.0, calls=2500, most_s=2.0)
    assert left(goal, Counted(), 0.1, expected_rps=0.0) == 20
    assert left(goal, Counted(counted_s=2.0, calls=3), 0.1, math.nan) == 0


def test_servers_take_at_most_half_of_the_memory_that_is_free() -> None:
    assert memory_reason({"a": 100.0, "b": 100.0, "c": math.nan}, 400.0) == ""
    assert "more than half" in memory_reason({"a": 100.0, "b": 101.0}, 400.0)


@pytest.mark.parametrize(("names", "few"), [(["hub"], True), (["b", "c"], True), (["hub", "c"], False)])
def test_a_hub_and_a_candidate_are_interleaved(names: list[str], few: bool) -> None:
    assert few_left(names, "hub") == few
