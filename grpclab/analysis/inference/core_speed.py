"""Throughput at an even speed of the server's core: what a yardstick beside the load takes out of a ratio. Pure.

On a machine that others use too, a core loses up to half of its speed for moments shorter than a slice. Such moments
hit one side of a comparison and not the other. The yardstick (:mod:`grpclab.study.yardstick`) is a small fixed loop on
the server's cores; how long it takes says how fast they were during each slice. In a group,

    ln throughput = level(member) + pass + slope * ln speed + noise

with one slope, from what is left of both without their means of each member and each pass: it owes nothing to
differences between members. A member's throughput at an even speed is its whole throughput times

    mean over its slices of (throughput / speed ** slope)  /  mean over its slices of throughput.

Nothing is left out or weighted, so a server's own pauses count in full. A reading that a server slows down itself would
be a bias; the loop is run once untimed before it is timed, so that it does not depend on what the server left in the
core's caches.

Sources: analysis of covariance, Fisher, Statistical Methods for Research Workers (1932), ch. 8; duet benchmarking,
Bulej et al., ICPE 2020.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EVEN: Mapping[str, str] = {"throughput_rps": "throughput_even_rps"}
"""Metrics whose comparisons use the value at an even speed, and the column that holds it."""
FEWEST_READINGS = 8
"""The speed during a stretch needs so many readings."""
FEWEST_SLICES = 6
"""A member needs so many slices."""
MOST_SLOPE = 2.0
"""The slope lies between 0 and this: a core of half the speed leaves a server a quarter of its throughput at least."""
_SWEEPS = 8
"""In a group in which every pass has every member, one would do."""


@dataclass(frozen=True, kw_only=True)
class SpeedOfSlice:
    """A slice of a member: its throughput, and the speed of the server's cores during its counted stretch."""

    pass_number: int
    member: str
    throughput_rps: float
    speed: float


def speed_of(readings: Sequence[Floats], opened: float, closed: float) -> float:
    """The speed of cores between two moments: loops per second of the yardstick, the mean over readings and cores.

    `readings` has an array (shape: readings, 2) for each core: when the timed loop began, and how long it took, in
    seconds. NaN where a core has fewer than FEWEST_READINGS.
    """
    speeds = []
    for of_core in readings:
        first, last = np.searchsorted(of_core[:, 0], [opened, closed])
        if last - first < FEWEST_READINGS:
            return math.nan
        speeds.append(float(np.mean(1 / of_core[first:last, 1])))
    return math.exp(sum(map(math.log, speeds)) / len(speeds)) if speeds else math.nan


def slope_of(
    throughputs: npt.ArrayLike, speeds: npt.ArrayLike, *, members: Sequence[object], passes: Sequence[object]
) -> float:
    """The slope of ln throughput over ln speed within members and passes, between 0 and MOST_SLOPE.

    All arrays have the shape slices; a member has a name of its own in each group, a pass a number. 0 without spread.
    """
    throughput = _without_means(np.log(throughputs), members, passes)
    speed = _without_means(np.log(speeds), members, passes)
    spread = float((speed**2).sum())
    return min(MOST_SLOPE, max(0.0, float((throughput * speed).sum()) / spread)) if spread > 1e-12 else 0.0


def even_throughputs(slices: Iterable[SpeedOfSlice], whole: Mapping[str, float]) -> dict[str, float]:
    """The throughput of each member of a group at an even speed, from its slices and its `whole` throughput.

    Their geometric mean over the members stays what it is. Nothing for a group in which a member has fewer than
    FEWEST_SLICES slices whose speed is known.
    """
    known = [each for each in slices if each.member in whole and each.throughput_rps > 0 and each.speed > 0]
    members = [each.member for each in known]
    numbers = Counter(members)
    if len(whole) < 2 or min(numbers[name] for name in whole) < FEWEST_SLICES or min(whole.values()) <= 0:
        return {}
    throughputs = np.array([each.throughput_rps for each in known])
    speeds = np.array([each.speed for each in known])
    slope = slope_of(throughputs, speeds, members=members, passes=[each.pass_number for each in known])
    even = throughputs / speeds**slope
    factors = {}
    for name in whole:
        own = np.array([member == name for member in members])
        factors[name] = float(even[own].mean() / throughputs[own].mean())
    middle = math.exp(sum(map(math.log, factors.values())) / len(factors))
    return {name: value * factors[name] / middle for name, value in whole.items()}


def _without_means(values: Floats, members: Sequence[object], passes: Sequence[object]) -> Floats:
    """The values without their means of each member and each pass, both at once."""
    left = np.asarray(values, dtype=np.float64)
    places = [np.unique([str(each) for each in of], return_inverse=True)[1] for of in (members, passes)]
    for _ in range(_SWEEPS):
        for at in places:
            left = left - (np.bincount(at, weights=left) / np.bincount(at))[at]
    return left
