"""Levels of a profile and their changes as cells: a number with its interval over blocks."""

from __future__ import annotations

import math
from collections.abc import Callable

from grpclab import quantities as qty
from grpclab.analysis.inference.evidence import Shift
from grpclab.analysis.inference.ratios import Interval
from grpclab.report.tables import Cell, bold, small

Format = Callable[[float], str]


def points(share: float) -> str:
    """A share as per cent, with one digit."""
    return f"{100 * share:.1f}%"


def level(interval: Interval, text_of: Format) -> Cell:
    """A level with its interval."""
    if not math.isfinite(interval.mean):
        return qty.MISSING
    if math.isfinite(interval.low):
        high = min(1.0, interval.high) if text_of is points else interval.high
        between = small(f"{text_of(max(0.0, interval.low))} to {text_of(high)}")
        return f"{text_of(interval.mean)} ", between
    return text_of(interval.mean)


def change(shift: Shift, text_of: Format) -> Cell:
    """A change with its sign and interval, bold where it is clear."""
    interval = shift.change
    if not math.isfinite(interval.mean):
        return qty.MISSING

    def signed(value: float) -> str:
        text = text_of(abs(value))  # the difference of two shares is in percentage points
        return f"{'−' if value < 0 else '+'}{text.replace('%', ' points')}"

    mean = bold(signed(interval.mean)) if shift.clear else signed(interval.mean)
    if not math.isfinite(interval.low):
        return mean
    return mean, " ", small(f"{signed(interval.low).removesuffix(' points')} to {signed(interval.high)}")
