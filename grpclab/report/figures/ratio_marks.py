"""Ratios as dots with intervals: the marks that the forest plot and the sweeps share."""

from __future__ import annotations

import math
from collections.abc import Iterable

from matplotlib.axes import Axes

from grpclab.analysis import Comparison
from grpclab.report import theme, words


def known(comparison: Comparison) -> bool:
    """Whether there is a ratio to draw."""
    return comparison.computed and comparison.ratio > 0


def reach(comparisons: Iterable[Comparison]) -> list[float]:
    """The values that an axis of these comparisons must hold: every ratio, and as much of the intervals as matters."""
    drawn = [c for c in comparisons if known(c)]
    ends = [end for c in drawn for end in (c.ci_low, c.ci_high)]
    return theme.within_reach([c.ratio for c in drawn], ends, also=[1.0])


def band(ax: Axes, margins: tuple[float, float]) -> None:
    """Draw the band of effects too small to matter, and the line of no difference."""
    if 0 < margins[0] < 1:
        ax.axvspan(*margins, color=theme.BAND, lw=0, zorder=0)
    ax.axvline(1, color=theme.QUIET, lw=1, zorder=1)


def dot(ax: Axes, y: float, comparison: Comparison) -> None:
    """Draw a ratio with its interval, in the colour and shape of its verdict; hollow where it is a bound."""
    verdict = comparison.verdict
    colour = theme.VERDICT.get(verdict, theme.QUIET)
    low, high = comparison.ci_low, comparison.ci_high
    if low >= 0 and math.isfinite(high):
        left, right = ax.get_xlim()
        ax.plot([max(low, left), min(high, right)], [y, y], color=colour, lw=2, solid_capstyle="butt", zorder=3)
        theme.arrowheads(ax, "x", (low, high), y, colour)
    face = theme.PAPER if comparison.limited_by else colour
    marker = theme.VERDICT_MARKER.get(verdict, "o")
    (mark,) = ax.plot(comparison.ratio, y, marker, ms=6.5, mfc=face, mec=colour, mew=1.4, zorder=4)
    theme.tip(mark, f"{words.title_of(comparison)}: {words.estimate(comparison)}, {comparison.verdict_words}")
