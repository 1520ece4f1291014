"""The order of the calls of a mix: by weight exactly, by seed, and spread evenly."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.load.core.call_order import MOST_CARDS, PIECE, deck, drawn_order, shares

WEIGHTS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def drawn(weights: Sequence[float], seed: int, count: int, worker: int = 0) -> list[int]:
    return list(itertools.islice(drawn_order(weights, seed, worker), count))


@given(WEIGHTS, st.sampled_from([1.0, 0.5, 0.1, 100.0]))
def test_a_deck_has_each_call_as_often_as_its_weight_says(weights: list[int], unit: float) -> None:
    cards = deck([float(f"{weight * unit:.6g}") for weight in weights])
    counts = np.bincount(cards, minlength=len(weights))
    smallest = counts.sum()
    assert (counts * sum(weights) == np.array(weights) * smallest).all()
    assert smallest <= sum(weights)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8))
def test_weights_that_are_no_small_whole_numbers_are_met_to_within_a_card(weights: list[float]) -> None:
    cards = deck(weights)
    counts = np.bincount(cards, minlength=len(weights))
    assert counts.min() >= 1
    wanted = np.array(shares(weights)) * len(cards)
    assert len(cards) <= MOST_CARDS + len(weights)
    assert (np.abs(counts - wanted) <= 1 + len(weights)).all()


@given(WEIGHTS, st.integers(0, 2**31))
def test_after_every_deck_the_weights_are_exact(weights: list[int], seed: int) -> None:
    length = len(np.tile(deck(weights), -(-PIECE // len(deck(weights)))))
    for decks in (1, 3):
        counts = Counter(drawn(weights, seed, decks * length))
        assert {number: counts[number] * sum(weights) for number in range(len(weights))} == {
            number: weight * decks * length for number, weight in enumerate(weights)
        }


@given(WEIGHTS, st.integers(0, 2**31), st.integers(1, 2000))
def test_after_any_number_of_calls_no_weight_is_off_by_more_than_a_piece(
    weights: list[int], seed: int, count: int
) -> None:
    counts = Counter(drawn(weights, seed, count))
    for number, share in enumerate(shares(weights)):
        assert abs(counts[number] - share * count) <= PIECE / 2


@pytest.mark.parametrize("worker", [0, 1, 7])
def test_a_mix_of_70_20_10_keeps_its_weights_within_one_percent_over_20_000_calls(worker: int) -> None:
    counts = Counter(drawn([70, 20, 10], 1, 20_000, worker))
    assert counts == {0: 14_000, 1: 4_000, 2: 2_000}


def test_the_order_is_the_seeds_and_the_workers() -> None:
    first = drawn([70, 20, 10], 1, 1000)
    assert drawn([70, 20, 10], 1, 1000) == first
    assert drawn([70, 20, 10], 2, 1000) != first
    assert drawn([70, 20, 10], 1, 1000, worker=1) != first


def test_the_order_is_shuffled_and_not_a_pattern() -> None:
    order = drawn([1, 1], 3, 4000)
    pairs = Counter(itertools.pairwise(order))
    assert all(800 < count < 1200 for count in pairs.values()), "each follows each about as often"
    assert len(pairs) == 4


def test_a_call_of_its_own_is_always_made() -> None:
    assert drawn([3], 1, 5) == [0] * 5
