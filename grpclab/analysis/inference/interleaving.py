"""How many times narrower an interval is for the slices being interleaved.

The slices of both sides cover the same seconds, so they also hold what a comparison without interleaving would have
seen: one side's first half of the passes against the other's second half, as two windows that follow each other. In
each group of each block, with a and b the means of ln throughput over a half of the passes,

    together    b(first) - a(first),   b(second) - a(second)
    apart       b(second) - a(first),  b(first) - a(second)

rest on the same servers, the same counted time (half of what the study has) and the same number of slices; only the
time between the two sides differs. The standard deviations over the groups of either kind (both contrasts pooled) stand
for the widths of the two intervals, and their quotient is the number. What one pair of servers is by chance is in both,
as it is in an interval over fresh servers, and no slices cancel it. The quotient errs to the low side: fresh servers
that are measured one after the other have their starts and warm-ups in between as well, seconds in which a machine
changes further, and their windows are twice as long. It errs to the high side only as far as what both sides see
changes from pass to pass rather than over seconds: that evens out over the whole of a group better than over a half.

Sources: randomized multiple interleaved trials, Abedi & Brecht, ICPE 2017; split halves, Spearman and Brown, 1910.
Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grpclab.analysis.inference.core_speed import EVEN, slope_of
from grpclab.analysis.inference.ratios import CONFIDENCE, column, numbers

FEWEST_GROUPS = 4
"""A spread over fewer groups says nothing."""
FEWEST_PASSES = 4
"""Two in each half."""
_RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Narrowing:
    """The sd of ln ratio over groups with the slices interleaved and without, over half of the passes each.

    `times` is without over with: so many times narrower is the interval. `low` and `high` are its 95 % interval by
    the bootstrap over groups (percentiles, fixed seed).
    """

    together: float
    apart: float
    groups: int
    low: float
    high: float

    @property
    def times(self) -> float:
        """How many times narrower the interval is than without interleaving."""
        return self.apart / self.together

    def sentence(self) -> str:
        """The number first, in a sentence about an interval, and what it rests on."""
        doubt = "" if self.low > 1 else f", a factor that {self.groups} groups cannot distinguish from 1"
        known = f"95% interval {self.low:.1f} to {self.high:.1f}, {self.groups} groups"
        return (
            f"because the two sides take turns, the interval is {self.times:.1f} times narrower ({known}){doubt}; if "
            "the sides were measured half a group apart, the ratio of the same servers would vary by "
            f"{100 * self.apart:.1f}% instead of {100 * self.together:.1f}%"
        )


def narrowing(slices: pd.DataFrame, baseline: str, candidate: str, metric: str = "throughput_rps") -> Narrowing | None:
    """How many times narrower interleaving made the interval of a comparison; None where too little is known.

    `slices` has one row a slice (``slices.parquet`` of every group that holds both): block, group, pass, member, valid
    and the metric, whose values must be positive. Without `block` and `group` all slices are those of one group.
    """
    contrasts = np.array(list(_contrasts(slices, baseline, candidate, metric)), dtype=np.float64)
    if len(contrasts) < FEWEST_GROUPS:
        return None
    together, apart = _spread(contrasts[:, :2]), _spread(contrasts[:, 2:])
    if not together > 0:
        return None
    rng = np.random.default_rng(0)
    drawn = [contrasts[rng.integers(0, len(contrasts), len(contrasts))] for _ in range(_RESAMPLES)]
    quotients = [_spread(d[:, 2:]) / spread for d in drawn if (spread := _spread(d[:, :2])) > 0]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = (float(end) for end in np.percentile(quotients, [tail, 100 - tail]))
    return Narrowing(together=together, apart=apart, groups=len(contrasts), low=low, high=high)


def slices_spread(slices: pd.DataFrame, baseline: str, candidate: str, metric: str = "throughput_rps") -> float:
    """The part of the sd of a block's ln ratio that comes from within it: sd over passes / sqrt(passes), pooled.

    It falls with the counted time, as what a process start brings does not. NaN where it is not known. Throughputs are
    taken at an even speed of the servers' cores, as comparisons do.
    """
    values = numbers(slices, metric)
    if metric in EVEN and "core_speed" in slices:
        values = _at_even_speed(slices, values)
    variances = [
        float(differences.var(ddof=1)) / len(differences)
        for differences in _differences(slices.assign(**{metric: values}), baseline, candidate, metric)
        if len(differences) >= FEWEST_PASSES
    ]
    return math.sqrt(sum(variances) / len(variances)) if variances else math.nan


def _at_even_speed(slices: pd.DataFrame, values: pd.Series[float]) -> pd.Series[float]:
    """The values divided by what the speed of the cores did to them, where that is known."""
    speeds = numbers(slices, "core_speed")
    known = column(slices, "valid").eq(True) & speeds.gt(0) & values.gt(0)
    if not known.any():
        return values
    rows = slices[known]
    members = list(zip(*(column(rows, name) for name in ("block", "group", "member")), strict=True))
    passes = list(zip(*(column(rows, name) for name in ("block", "group", "pass")), strict=True))
    slope = slope_of(values[known], speeds[known], members=members, passes=passes)
    return values.where(~known, values / speeds**slope)


def _differences(slices: pd.DataFrame, baseline: str, candidate: str, metric: str) -> Iterator[pd.Series[float]]:
    for table in _tables(slices, baseline, candidate, metric):
        yield table[candidate] - table[baseline]


def _contrasts(slices: pd.DataFrame, baseline: str, candidate: str, metric: str) -> Iterator[list[float]]:
    """Two contrasts together, two apart, of each group with passes enough."""
    for table in _tables(slices, baseline, candidate, metric):
        if len(table) < FEWEST_PASSES:
            continue
        half = len(table) // 2
        (a_first, b_first), (a_second, b_second) = (
            (float(part[baseline].mean()), float(part[candidate].mean()))
            for part in (table.iloc[:half], table.iloc[-half:])
        )
        yield [b_first - a_first, b_second - a_second, b_second - a_first, b_first - a_second]


def _tables(slices: pd.DataFrame, baseline: str, candidate: str, metric: str) -> Iterator[pd.DataFrame]:
    """The ln metric of both sides by pass, of each group of each block; passes that lack a side are left out."""
    values = numbers(slices, metric)
    keep = column(slices, "valid").eq(True) & values.gt(0) & column(slices, "member").isin([baseline, candidate])
    rows = pd.DataFrame(
        {
            "block": numbers(slices, "block").fillna(0),
            "group": numbers(slices, "group").fillna(0),
            "pass": numbers(slices, "pass"),
            "member": column(slices, "member"),
            "value": np.log(values.where(values.gt(0))),
        }
    )[keep]
    table = rows.pivot_table(index=["block", "group", "pass"], columns="member", values="value", aggfunc="mean")
    if {baseline, candidate} <= set(table.columns):
        sides = table[[baseline, candidate]].dropna().sort_index()
        yield from (group for _, group in sides.groupby(level=["block", "group"]))


def _spread(contrasts: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """The root of the mean variance of the columns over the rows."""
    return float(np.sqrt(contrasts.var(axis=0, ddof=1).mean()))
