"""The order in which the calls of a mix are made, drawn by their weights and a seed. Pure.

It is dealt from a deck that holds each call as often as its weight says. The deck is spread evenly and shuffled in
pieces of PIECE cards, so that after every piece the weights are those asked for, to within a few cards, and after
every deck exactly.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

PIECE = 100
"""Cards that are shuffled at a time."""
MOST_CARDS = 10_000
"""A deck of weights that are no small whole numbers has so many cards: each weight is then off by 0.01% at most."""

Cards = npt.NDArray[np.uint8]


def deck(weights: Sequence[float]) -> Cards:
    """(n,) The numbers of the calls, spread evenly, each as often as its weight says and once at least.

    `weights` are above 0. The deck is the smallest one that has them exactly, or has about MOST_CARDS cards.
    """
    exact = [Fraction(str(weight)) for weight in weights]
    parts = [int(weight * math.lcm(*(each.denominator for each in exact))) for weight in exact]
    counts = [part // math.gcd(*parts) for part in parts]
    if (total := sum(counts)) > MOST_CARDS:
        counts = [max(1, round(MOST_CARDS * count / total)) for count in counts]
    numbers = np.repeat(np.arange(len(counts), dtype=np.uint8), counts)
    places = np.concatenate([(np.arange(count) + 0.5) / count for count in counts])
    return numbers[np.argsort(places, kind="stable")]


def drawn_order(weights: Sequence[float], seed: int, worker: int = 0) -> Iterator[int]:
    """Return the numbers of the calls that one worker makes, one after the other, without end.

    Each worker has an order of its own, in which the weights hold.
    """
    cards = deck(weights)
    cards = np.tile(cards, math.ceil(PIECE / len(cards)))
    return itertools.chain.from_iterable(_pieces(cards, np.random.default_rng([seed, worker])))


def _pieces(cards: Cards, rng: np.random.Generator) -> Iterator[list[int]]:
    for first in itertools.cycle(range(0, len(cards), PIECE)):
        piece: list[int] = rng.permutation(cards[first : first + PIECE]).tolist()
        yield piece


def shares(weights: Sequence[float]) -> list[float]:
    """Return the share of each call in the whole, of 1."""
    total = math.fsum(weights)
    return [weight / total for weight in weights]
