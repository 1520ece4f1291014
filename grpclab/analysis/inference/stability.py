"""Whether a study stood on firm ground: drift of the machine over the blocks, blocks that stand apart. Pure.

Both are told and nothing is dropped for them: ratios are taken within blocks, which cancels a drift, and a block that
stands apart is in the ratio and its interval.

Sources: least squares on block means; Grubbs, Technometrics 11 (1969), 1-21, for one outlier in a normal sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

from grpclab.analysis.inference.pairing import block_ratios
from grpclab.analysis.inference.ratios import CONFIDENCE, column, numbers, valid_trials

METRIC = "throughput_rps"
FEWEST_BLOCKS = 4
"""A line through three points has one degree of freedom: its interval says nothing."""
APART = 0.01
"""A block stands apart where chance would set one so far off in fewer than so many studies."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Throughput of the last block over that of the first, by a line through all of them, with its 95 % interval."""

    ratio: float
    low: float
    high: float
    blocks: int

    def matters(self, delta: float) -> bool:
        """Whether the machine changed, by more than the smallest effect of interest."""
        beyond = self.ratio > 1 + delta or self.ratio < 1 - delta
        return beyond and (self.low > 1 or self.high < 1)


def drift(trials: pd.DataFrame) -> Drift | None:
    """The drift of the closed loops' throughput over a study; None where there are too few blocks.

    Of every trial ln throughput is taken, less the mean of its configuration; the means of these over each block
    are what the line goes through.
    """
    rows = valid_trials(trials)
    value, block = numbers(rows, METRIC), numbers(rows, "block")
    usable = (value > 0) & block.notna() & numbers(rows, "load.rate_rps").isna()
    if not usable.any():
        return None
    logs = np.log(value[usable])
    centred = logs - logs.groupby(column(rows, "configuration")[usable]).transform("mean")
    means = centred.groupby(block[usable]).mean()
    if len(means) < FEWEST_BLOCKS:
        return None
    at, level = means.index.to_numpy(dtype=float), means.to_numpy(dtype=float)
    line = scipy.stats.linregress(at, level)
    length = float(at[-1] - at[0])
    half = float(scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(means) - 2)) * float(line.stderr)
    ends = [math.exp((float(line.slope) + side * half) * length) for side in (-1, 0, 1)]
    return Drift(low=ends[0], ratio=ends[1], high=ends[2], blocks=len(means))


def outlier_p(values: npt.ArrayLike) -> tuple[int, float]:
    """Which of the values (shape: blocks) lies farthest from their mean, and Grubbs's p that chance put one so far.

    (-1, NaN) below 4 values, or where they do not differ.
    """
    sample = np.asarray(values, dtype=np.float64)
    n = sample.size
    spread = float(sample.std(ddof=1)) if n >= FEWEST_BLOCKS else 0.0
    if not spread > 1e-12:
        return -1, math.nan
    far = np.abs(sample - sample.mean()) / spread
    at = int(far.argmax())
    g2 = float(far[at]) ** 2
    room = (n - 1) ** 2 - n * g2
    t = math.sqrt(n * (n - 2) * g2 / room) if room > 1e-12 else math.inf
    return at, min(1.0, 2 * n * float(scipy.stats.t.sf(t, n - 2)))


def block_apart(trials: pd.DataFrame, *, scenario: str, metric: str, baseline: str, candidate: str) -> str:
    """The block whose ratio stands apart from the others', in a sentence; "" for none."""
    frame = block_ratios(trials, scenario=scenario, metric=metric, baseline=baseline, candidate=candidate)
    ratios = frame["ratio"].to_numpy(dtype=np.float64)
    at, p = outlier_p(np.log(ratios))
    if not p < APART:
        return ""
    others = float(np.exp(np.log(np.delete(ratios, at)).mean()))
    return (
        f"block {int(frame['block'].iloc[at])} is an outlier with {ratios[at]:.2f}×, while the other "
        f"{len(ratios) - 1} blocks give {others:.2f}×; the outlier is included in the ratio and the interval, so "
        "check what else was running at that time"
    )


def drift_warning(trials: pd.DataFrame, delta: float) -> str:
    """That the machine changed during the study, where it did; "" else."""
    trend = drift(trials)
    if trend is None or not trend.matters(delta):
        return ""
    word = "slower" if trend.ratio < 1 else "faster"
    return (
        f"the machine became {word} during the study: throughput in the last block is {trend.ratio:.2f}× that of the "
        f"first ({100 * CONFIDENCE:.0f} % interval {trend.low:.2f} to {trend.high:.2f}, {trend.blocks} blocks); the "
        "change does not affect ratios, which are taken within blocks, but does affect absolute figures"
    )
