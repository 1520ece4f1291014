"""A small line chart as inline SVG: latency on a log axis over something. Pure; colours come from CSS classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

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


def draw(curves: Sequence[Curve], ticks: Sequence[tuple[float, str]], title: str, description: str) -> str:
    """Draw the chart; `description` is its text for those who cannot see it."""
    xs = [x for curve in curves for x, _ in curve.points] + [x for x, _ in ticks]
    ys = [max(y, 1e-7) for curve in curves for _, y in curve.points]
    low, high = _padded(min(ys), max(ys))
    first, last = min(xs), max(xs)

    def at_x(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((x - first) / (last - first) if last > first else 0.5)

    def at_y(y: float) -> float:
        part = (math.log(max(y, 1e-7)) - math.log(low)) / (math.log(high) - math.log(low))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part

    parts = [
        f'<line class="gb-grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at_y(tick):.1f}" y2="{at_y(tick):.1f}"/>'
        f'<text x="{LEFT - 7}" y="{at_y(tick) + 4:.1f}" text-anchor="end">{qty.duration(tick, "sentence")}</text>'
        for tick in log_ticks(low, high)
    ]
    parts += [
        f'<text x="{at_x(x):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{escape(text)}</text>'
        for x, text in ticks
    ]
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 5}" text-anchor="middle">{escape(title)}</text>')
    for number, curve in reversed(list(enumerate(curves))):
        kind = CLASSES[number % len(CLASSES)]
        placed = [(x, at_x(x), at_y(y)) for x, y in curve.points]
        solid = [p for p in placed if p[0] <= curve.few_from]
        dotted = placed[max(0, len(solid) - 1) :] if len(solid) < len(placed) else []
        parts += [
            f'<path class="{kind}{more}" d="M{" L".join(f"{x:.1f} {y:.1f}" for _, x, y in line)}"/>'
            for line, more in ((solid, ""), (dotted, " gb-few"))
            if len(line) > 1
        ]
        parts += [
            f'<circle class="{kind}{" gb-full" if full else ""}" cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
            for full, (_, x, y) in zip(curve.marks, placed, strict=bool(curve.marks))
        ]
        if curve.name:
            across = LEFT + number * (WIDTH - LEFT - RIGHT) / 2
            parts.append(f'<text class="{kind}" x="{across:.1f}" y="13">{escape(curve.name)}</text>')
    label = escape(description, quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _padded(low: float, high: float) -> tuple[float, float]:
    """The range with a little air, at least a factor of two wide."""
    low, high = low / 1.12, high * 1.12
    if high / low < 2:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(2), middle * math.sqrt(2)
    return low, high
