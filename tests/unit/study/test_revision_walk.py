"""The search among revisions names the first slow one wherever it is, or the range in which it lies."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from grpclab.study.revision_walk import Outcome, RevisionWalk

LONGEST = 60


def walked(last: int, slow_from: int, unknown: frozenset[int] = frozenset()) -> RevisionWalk:
    """The end of a search in which everything from one number on is slow, and nothing can be said of some."""
    walk = RevisionWalk(last=last)
    while (number := walk.next) is not None:
        assert walk.good < number < walk.slow
        assert number not in walk.outcomes, "none is compared twice"
        outcome: Outcome = "unknown" if number in unknown else "slow" if number >= slow_from else "good"
        walk = walk.with_outcome(number, outcome)
    return walk


@given(last=st.integers(1, LONGEST), place=st.floats(0, 1))
def test_the_first_slow_one_is_named_wherever_it_is(last: int, place: float) -> None:
    slow_from = 1 + round(place * (last - 1))
    walk = walked(last, slow_from)
    assert (walk.found, walk.slow, list(walk.suspects)) == (True, slow_from, [slow_from])
    assert len(walk.outcomes) <= math.ceil(math.log2(last))
    assert len(walk.outcomes) <= RevisionWalk(last=last).steps_left


@given(last=st.integers(1, LONGEST), place=st.floats(0, 1), unknown=st.frozensets(st.integers(1, LONGEST)))
def test_with_gaps_it_is_among_the_suspects_and_named_if_it_and_its_parent_are_known(
    last: int, place: float, unknown: frozenset[int]
) -> None:
    slow_from = 1 + round(place * (last - 1))
    unknown -= {last}
    walk = walked(last, slow_from, unknown)
    assert slow_from in walk.suspects
    assert walk.found == (not unknown & {slow_from - 1, slow_from})
    between = set(walk.suspects) - {walk.slow}
    assert between <= unknown, "what could have been compared was"


def test_two_neighbours_need_no_step() -> None:
    walk = RevisionWalk(last=1)
    assert (walk.next, walk.found, walk.steps_left) == (None, True, 0)
