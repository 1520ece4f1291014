"""A distribution by percentile: as numbers, and on axes where equal distances are equal ratios of both."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from grpclab import quantities as qty
from grpclab.load.core.recorder import Floats
from grpclab.metrics import MIN_BEYOND
from grpclab.report import theme

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
POINTS = 160
"""Points of a curve, evenly spaced in the logarithm of the calls beyond."""
_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


def shares(observations: int) -> Floats:
    """The percentiles of a curve, as shares below 1: none with fewer than 10 observations beyond it."""
    most = observations / MIN_BEYOND
    if most <= 1:
        return np.zeros(1)
    probabilities: Floats = 1 - 1 / np.geomspace(1, most, POINTS)
    return probabilities


def curve(values: Floats) -> tuple[Floats, Floats]:
    """Percentiles as shares below 1, and the observed values there (nearest rank)."""
    at = shares(len(values))
    return at, np.quantile(values, at, method="inverted_cdf")


def draw(ax: Axes, at: Floats, seconds: Floats, *, colour: str, width: float = 2.2, style: str = "-") -> None:
    """One curve; the horizontal axis is the calls of which one lies beyond (1 / (1 - share))."""
    ax.plot(1 / (1 - at), seconds, color=colour, lw=width, ls=style, solid_capstyle="round")


def axes(ax: Axes, *, most: float, low: float, high: float, narrow: bool) -> None:
    """Ticks and limits for curves up to one call in `most` and from `low` to `high` seconds."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(1, max(most, 2) * 1.15)
    ax.set_ylim(low / 1.5, high * 1.8)
    ticks = [1 / (1 - share) for share in _TICKS if 1 / (1 - share) <= most * 1.02]
    theme.plain_ticks(ax, "x", ticks, _percent)
    decades = math.log10(high / low)
    steps = (1,) if decades > 2.2 else (1, 3) if decades > 1 else (1, 2, 5)
    theme.plain_ticks(ax, "y", _between(low / 1.5, high * 1.8, steps), qty.duration)
    theme.clean(ax, grid="both")
    ax.set_xlabel("percentile" if narrow else "percentile of calls, log scale of the share beyond")


def _between(low: float, high: float, steps: Sequence[int]) -> list[float]:
    ticks = [step * 10.0**exponent for exponent in range(-9, 4) for step in steps]
    return [tick for tick in ticks if low <= tick <= high]


def _percent(beyond: float) -> str:
    return "best" if beyond <= 1 else f"p{qty.level(100 * (1 - 1 / beyond)) if beyond < 99999 else 99.999}"
