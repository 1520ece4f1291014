"""Comparisons of a server with itself, resampled: how often an interval holds 1, and where the mean lies. Pure.

Blocks are drawn with replacement, and the two sides of each are exchanged at random, so that the true ratio is 1
whatever the blocks were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import CONFIDENCE, Floats, t_quantile
from grpclab.calibration.claims import Claim

BLOCKS = (6, 12, 30)
"""The blocks of the comparisons that are drawn."""
DRAWS = 10_000
GOAL = (0.93, 0.97)
"""From and to: the share of the intervals that hold 1."""
ERRORS = 3.0
"""The mean, not exchanged, lies within so many standard errors of 0."""
FEWEST = 12
"""Fewer blocks say nothing about either."""


def finite(ln_ratios: npt.ArrayLike) -> Floats:
    """The values that are known."""
    values = np.asarray(ln_ratios, dtype=np.float64)
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)


def coverage(ln_ratios: npt.ArrayLike, blocks: int, *, draws: int = DRAWS, seed: int = 1) -> float:
    """The share of 95 % intervals that hold 1, over comparisons of so many blocks drawn from these; NaN of none."""
    values = finite(ln_ratios)
    if not len(values):
        return math.nan
    rng = np.random.default_rng([seed, blocks])
    drawn = rng.choice(values, (draws, blocks)) * rng.choice((-1.0, 1.0), (draws, blocks))
    half = t_quantile((1 + CONFIDENCE) / 2, blocks - 1) * drawn.std(axis=1, ddof=1) / math.sqrt(blocks)
    return float(np.mean(np.abs(drawn.mean(axis=1)) <= half))


def standard_errors(ln_ratios: npt.ArrayLike) -> float:
    """The mean, in standard errors of itself; NaN below two blocks."""
    values = finite(ln_ratios)
    if len(values) < 2 or not values.std() > 0:
        return math.nan
    return float(values.mean() / values.std(ddof=1) * math.sqrt(len(values)))


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A standard deviation over so many blocks, with its 95 % interval: s sqrt(f / chi2), f degrees of freedom."""

    sd: float
    low: float
    high: float
    blocks: int

    @classmethod
    def of(cls, ln_ratios: npt.ArrayLike) -> Spread:
        """The spread of these; NaN below two of them."""
        values = finite(ln_ratios)
        degrees = len(values) - 1
        if degrees < 1:
            return cls(sd=math.nan, low=math.nan, high=math.nan, blocks=len(values))
        sd = float(values.std(ddof=1))
        tail = (1 - CONFIDENCE) / 2
        low, high = (sd * math.sqrt(degrees / float(scipy.stats.chi2.ppf(at, degrees))) for at in (1 - tail, tail))
        return cls(sd=sd, low=low, high=high, blocks=len(values))

    def __str__(self) -> str:
        if not math.isfinite(self.sd):
            return qty.MISSING
        return f"{self.sd:.4f} ({self.low:.4f} to {self.high:.4f})"


def claims(ln_ratios: npt.ArrayLike, what: str, sizes: Sequence[int] = BLOCKS) -> list[Claim]:
    """That intervals of comparisons drawn from these blocks hold 1 as often as they say, and that no side wins."""
    values = finite(ln_ratios)
    enough = len(values) >= FEWEST
    shares = {blocks: coverage(values, blocks) for blocks in sizes} if enough else {}
    errors = standard_errors(values) if enough else math.nan
    few = f"too few blocks: {len(values)}"
    return [
        Claim(
            claim=f"{what}, with blocks resampled and sides swapped at random: 95% intervals that contain 1",
            goal=f"{qty.percent(GOAL[0])} to {qty.percent(GOAL[1])}",
            measured=", ".join(f"{share:.1%} from {blocks} blocks" for blocks, share in shares.items()) or few,
            holds=all(GOAL[0] <= share <= GOAL[1] for share in shares.values()) if enough else None,
        ),
        Claim(
            claim=f"{what}: mean of ln ratio over all blocks, with sides not swapped",
            goal=f"within {ERRORS:g} standard errors of 0",
            measured=f"{errors:+.1f} standard errors" if math.isfinite(errors) else few,
            holds=abs(errors) <= ERRORS if math.isfinite(errors) else None,
        ),
    ]
