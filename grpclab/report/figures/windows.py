"""Throughput over a setting of size: one panel for each entry of the plan's `windows`."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis.study_plan import PlannedPoint
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One curve, in MB/s (10^6 bytes) where the plan says how many bytes a request moves, else in requests/s.

    Sized points come first, in order of size; `apart` ones (such as "adaptive") have no place on the axis.
    """

    title: str
    unit: str
    points: tuple[SizePoint, ...]
    apart: tuple[SizePoint, ...]


@dataclass(frozen=True, kw_only=True)
class SizePoint:
    """A point of a panel with its interval and the value of each block."""

    label: str
    size: float
    mean: float
    low: float
    high: float
    values: tuple[float, ...]
    limited: bool


_SIZE = re.compile(r"\s*([\d.,]+)\s*([KMG]i?B|B)?\s*", re.IGNORECASE)
_BYTES = {"b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def panels(study: FinishedStudy) -> list[Panel]:
    """The panels that hold at least one measured point."""
    drawn = []
    for entry in study.plan.windows:
        moved = qty.number(entry.bytes_per_request)
        scale = moved / 1e6 if math.isfinite(moved) and moved > 0 else 1.0
        unit = "MB/s" if scale != 1.0 or moved == 1e6 else "requests/s"
        spots = [spot for point in entry.points if (spot := _spot(study, point, scale))]
        if spots:
            sized = sorted((s for s in spots if math.isfinite(s.size)), key=lambda s: s.size)
            apart = tuple(s for s in spots if not math.isfinite(s.size))
            title = words.plain(entry.title or entry.factor)
            drawn.append(Panel(title=title, unit=unit, points=tuple(sized), apart=apart))
    return drawn


def windows(study: FinishedStudy) -> FigureBlock | None:
    """All panels side by side; None where nothing was measured."""
    drawn = panels(study)
    if not drawn:
        return None
    tops = {p.unit: _top([s for q in drawn if q.unit == p.unit for s in _all(q)]) for p in drawn}

    def draw(figure: Figure, narrow: bool) -> None:
        shape = (len(drawn), 1) if narrow else (1, len(drawn))
        axes = figure.subplots(*shape, squeeze=False).ravel()
        for ax, panel in zip(axes, drawn, strict=True):
            _draw_panel(ax, panel, tops[panel.unit], colour=theme.OTHERS[0])

    return figure_block(
        title="From the smallest size to the largest",
        draw=draw,
        wide_height_in=3.7,
        narrow_height_in=3.0 * len(drawn) + 0.2,
        alt=" ".join(_alt(p) for p in drawn),
        caption=" ".join(_caption(p) for p in drawn),
        how_to_read=(
            "Each point is the geometric mean over blocks at one size, with a 95% interval; faint dots are single "
            "trials. The size axis is logarithmic. The separate point on the right, extended by a dashed line, is "
            "the setting without a fixed size. A curve that stays below that line never reaches the throughput of "
            "that setting; where a curve meets the line, the fixed size does equally well. MB/s means 10^6 bytes of "
            "payload per second. A hollow marker means that the load generator may have been the limit."
        ),
        engines=study.engines(point.configuration for entry in study.plan.windows for point in entry.points),
    )


def _spot(study: FinishedStudy, point: PlannedPoint, scale: float) -> SizePoint | None:
    name = point.configuration
    row = next(study.levels([name], "throughput_rps").itertuples(index=False))
    mean = qty.number(row.mean) * scale
    if not math.isfinite(mean):
        return None
    label = words.plain(point.label or name)
    values = study.rows(name)["throughput_rps"].dropna() * scale
    return SizePoint(
        label=label,
        size=_size(label),
        mean=mean,
        low=qty.number(row.ci_low) * scale,
        high=qty.number(row.ci_high) * scale,
        values=tuple(float(v) for v in values),
        limited=bool(row.limited_by),
    )


def _size(label: str) -> float:
    match = _SIZE.fullmatch(label)
    if not match:
        return math.nan
    value = qty.number(match[1].replace(",", ""))
    return value * _BYTES[(match[2] or "b")[0].lower()] if value > 0 else math.nan


def _top(spots: Sequence[SizePoint]) -> float:
    """The highest value, or the highest end of an interval up to 1.5 times that value."""
    values = max(max(s.mean, *s.values) for s in spots)
    ends = [s.high for s in spots if math.isfinite(s.high)]
    return max(values, min(max(ends, default=0.0), 1.5 * values))


def _all(panel: Panel) -> tuple[SizePoint, ...]:
    return panel.points + panel.apart


def _draw_panel(ax: Axes, panel: Panel, top: float, *, colour: str) -> None:
    import seaborn as sns

    places = {id(s): math.log2(s.size) for s in panel.points}
    last = max(places.values(), default=0.0)
    span = last - min(places.values(), default=0.0)
    step = max(span * 0.16, 1.4)
    ax.set_ylim(0, top * 1.1)
    for k, spot in enumerate(panel.apart):
        places[id(spot)] = last + step * (k + (1 if panel.points else 0))
        if panel.points:
            ax.plot(
                [min(places.values()), places[id(spot)]],
                [spot.mean] * 2,
                color=theme.QUIET,
                lw=1,
                ls=(0, (4, 3)),
                zorder=1,
            )
    ax.plot([places[id(s)] for s in panel.points], [s.mean for s in panel.points], color=colour, zorder=3)
    dots = [(places[id(s)], value) for s in _all(panel) for value in s.values]
    sns.scatterplot(
        x=[x for x, _ in dots],
        y=[y for _, y in dots],
        ax=ax,
        color=colour,
        alpha=0.35,
        s=12,
        legend=False,
        lw=0,
    )
    for spot in _all(panel):
        x, tint = places[id(spot)], theme.QUIET if spot in panel.apart else colour
        if math.isfinite(spot.low) and math.isfinite(spot.high):
            ax.plot([x, x], [spot.low, spot.high], color=tint, lw=1.4, zorder=3)
            theme.arrowheads(ax, "y", (spot.low, spot.high), x, tint)
        marker = "D" if spot in panel.apart else "o"
        face = theme.PAPER if spot.limited else tint
        ax.plot(x, spot.mean, marker, ms=6, mfc=face, mec=tint, mew=1.6, zorder=4)
    labels = {places[id(s)]: s.label for s in _all(panel)}
    theme.plain_ticks(ax, "x", sorted(labels), lambda v: _tick(labels.get(v, "")))
    ax.margins(x=0.08)
    theme.clean(ax)
    ax.yaxis.set_major_formatter(lambda value, _: qty.amount_tick(value))
    ax.set_title(words.short(panel.title, 38), fontsize=10, pad=20)
    ax.text(0, 1.03, panel.unit, transform=ax.transAxes, color=theme.QUIET, fontsize=9)


def _tick(label: str) -> str:
    """A size over its unit, so that neighbours do not touch."""
    size, _, unit = label.partition(" ")
    return f"{size}\n{unit}" if unit and size[:1].isdigit() else words.short(label, 12)


def _alt(panel: Panel) -> str:
    texts = [f"{qty.amount(s.mean)} {panel.unit} at {s.label}" for s in _all(panel)]
    return f"Line chart, {panel.title}: {', '.join(texts)}."


def _caption(panel: Panel) -> str:
    best = max(_all(panel), key=lambda s: s.mean)
    text = (
        f"{words.sentence_case(panel.title)}: throughput is highest with {best.label}, at {qty.amount(best.mean)} "
        f"{panel.unit}"
    )
    least = min(_all(panel), key=lambda s: s.mean)
    if least is not best:
        text += f", and lowest with {least.label}, at {qty.amount(least.mean)}"
    adaptive = [s for s in panel.apart if s is not best and s is not least]
    text += "".join(f"; {s.label} reaches {qty.amount(s.mean)}" for s in adaptive)
    return f"{text}."
