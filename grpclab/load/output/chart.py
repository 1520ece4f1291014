"""A small line chart: latency on a log axis over something, laid out for its template. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from grpclab import quantities as qty

WIDTH, HEIGHT = 440, 226
LEFT, RIGHT, TOP, BOTTOM = 52, 22, 22, 38
CLASSES = ("gb-one", "gb-two")
PERCENTILE_TICKS = ((0.0, "0"), (0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99"))
TICKS_AT_MOST = 6


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Points (x, seconds) by ascending x."""

    points: Sequence[tuple[float, float]]
    name: str = ""
    few_from: float = math.inf
    """The x from which too few calls stand behind the line: it is dotted there."""
    marks: Sequence[bool] = ()
    """A mark at every point, filled or hollow; none if empty."""


def log_ticks(low: float, high: float) -> list[float]:
    """Round values in the range, as fine as there is room for."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for digits in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 5), (1,)):
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(inside) <= TICKS_AT_MOST:
            break
    return inside


def rate_ticks(rates: Sequence[float]) -> list[tuple[float, str]]:
    """Some of the rates, the first and the last among them."""
    ordered = sorted(set(rates))
    every = math.ceil((len(ordered) - 1) / (TICKS_AT_MOST - 1)) or 1
    chosen = ordered[:-1:every]
    if len(chosen) > 1 and len(ordered) - 1 - ordered.index(chosen[-1]) < every:
        chosen.pop()
    return [(rate, f"{rate:,.10g}") for rate in [*chosen, ordered[-1]]]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A line across, and the text beside it; all places are as the drawing writes them."""

    line_y: str
    text_y: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A text beneath the axis."""

    x: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Stroke:
    """A part of a curve; `few`: too few calls stand behind it."""

    path: str
    few: bool


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A point, filled or hollow."""

    x: str
    y: str
    full: bool


@dataclass(frozen=True, kw_only=True)
class DrawnCurve:
    """A curve where it stands; `kind` is its class, `name_x` the place of its name above the picture."""

    kind: str
    lines: tuple[Stroke, ...]
    marks: tuple[Mark, ...]
    name: str
    name_x: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing as its template writes it; `description` is its text for those who cannot see it."""

    description: str
    title: str
    grids: tuple[Grid, ...]
    ticks: tuple[Tick, ...]
    curves: tuple[DrawnCurve, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    ticks_y: int = HEIGHT - BOTTOM + 15


def laid_out(curves: Sequence[Curve], ticks: Sequence[tuple[float, str]], title: str, description: str) -> Chart:
    """Place the curves; the first of them lies on top."""
    xs = [x for curve in curves for x, _ in curve.points] + [x for x, _ in ticks]
    ys = [max(y, 1e-7) for curve in curves for _, y in curve.points]
    low, high = _padded(min(ys), max(ys))
    first, last = min(xs), max(xs)

    def at_x(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((x - first) / (last - first) if last > first else 0.5)

    def at_y(y: float) -> float:
        part = (math.log(max(y, 1e-7)) - math.log(low)) / (math.log(high) - math.log(low))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part

    def drawn(number: int, curve: Curve) -> DrawnCurve:
        placed = [(x, at_x(x), at_y(y)) for x, y in curve.points]
        solid = [p for p in placed if p[0] <= curve.few_from]
        dotted = placed[max(0, len(solid) - 1) :] if len(solid) < len(placed) else []
        strokes = [
            Stroke(path=f"M{' L'.join(f'{x:.1f} {y:.1f}' for _, x, y in line)}", few=few)
            for line, few in ((solid, False), (dotted, True))
            if len(line) > 1
        ]
        marks = [
            Mark(x=f"{x:.1f}", y=f"{y:.1f}", full=full)
            for full, (_, x, y) in zip(curve.marks, placed, strict=bool(curve.marks))
        ]
        return DrawnCurve(
            kind=CLASSES[number % len(CLASSES)],
            lines=tuple(strokes),
            marks=tuple(marks),
            name=curve.name,
            name_x=f"{LEFT + number * (WIDTH - LEFT - RIGHT) / 2:.1f}",
        )

    return Chart(
        description=description,
        title=title,
        grids=tuple(
            Grid(line_y=f"{at_y(tick):.1f}", text_y=f"{at_y(tick) + 4:.1f}", text=qty.duration(tick))
            for tick in log_ticks(low, high)
        ),
        ticks=tuple(Tick(x=f"{at_x(x):.1f}", text=text) for x, text in ticks),
        curves=tuple(drawn(number, curve) for number, curve in reversed(list(enumerate(curves)))),
    )


def _padded(low: float, high: float) -> tuple[float, float]:
    """The range with a little air, at least a factor of two wide."""
    low, high = low / 1.12, high * 1.12
    if high / low < 2:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(2), middle * math.sqrt(2)
    return low, high
