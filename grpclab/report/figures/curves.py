"""Curves over a factor, usually the concurrency: throughput, and percentiles of latency."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import TOO_FEW
from grpclab.analysis.study_plan import PlannedCurve
from grpclab.metrics import metric_words, value_text
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy
from grpclab.report.tidy import PERCENTILES


@dataclass(frozen=True, kw_only=True)
class Point:
    """A configuration on a curve. `x` is a level of the factor, or a place where levels are no numbers."""

    configuration: str
    x: float
    label: str
    mean: float
    low: float
    high: float
    blocks: int
    limited: bool


@dataclass(frozen=True, kw_only=True)
class Line:
    """One series of a curve, its points in order of x; those that were not measured are left out."""

    name: str
    colour: str
    points: tuple[Point, ...]


def lines(study: FinishedStudy, curve: PlannedCurve, metric: str) -> list[Line]:
    """The series of a curve on one metric."""
    drawn = []
    for place, (name, configurations) in enumerate(curve.series.items()):
        table = study.levels(configurations, metric)
        points = []
        for at, row in enumerate(table.itertuples(index=False)):
            level = study.factor(str(row.configuration), curve.factor)
            x = qty.number(level)
            point = Point(
                configuration=str(row.configuration),
                x=x if math.isfinite(x) else float(at),
                label=qty.level(x) if math.isfinite(x) else words.short(level, 16),
                mean=qty.number(row.mean),
                low=qty.number(row.ci_low),
                high=qty.number(row.ci_high),
                blocks=int(qty.number(row.blocks)),
                limited=bool(row.limited_by),
            )
            if math.isfinite(point.mean):
                points.append(point)
        if points:
            points.sort(key=lambda p: p.x)
            colour = study.colour(configurations, place=place)
            drawn.append(Line(name=words.plain(name), colour=colour, points=tuple(points)))
    return drawn


MOST_SERIES = 6
"""So many lines can be told apart in one picture."""


def chosen(study: FinishedStudy, drawn: Sequence[Line]) -> tuple[list[Line], str]:
    """At most MOST_SERIES lines, those of the headline first, and a sentence on what is not drawn; "" for none."""
    if len(drawn) <= MOST_SERIES:
        return list(drawn), ""
    headline = {study.baseline, study.candidate}
    ranked = sorted(drawn, key=lambda line: headline.isdisjoint(p.configuration for p in line.points))
    kept = set(map(id, ranked[:MOST_SERIES]))
    return (
        [line for line in drawn if id(line) in kept],
        f" This figure shows {MOST_SERIES} of {len(drawn)} series: those of the headline comparison, then others in "
        "the order of the plan. The tables below show all of them.",
    )


def highest(levels: Sequence[tuple[float, float]]) -> float:
    """The top of an axis from 0 for levels with the upper ends of their intervals, which reach no further than
    theme.REACH times the highest level."""
    most = max(mean for mean, _ in levels)
    ends = [min(high, most * theme.REACH) for _, high in levels if math.isfinite(high)]
    return max([most, *ends])


def throughput(study: FinishedStudy, curve: PlannedCurve) -> FigureBlock | None:
    """Throughput of each series with its interval; None where nothing was measured."""
    drawn, not_drawn = chosen(study, lines(study, curve, "throughput_rps"))
    if not drawn:
        return None
    values = {p.configuration: study.rows(p.configuration)["throughput_rps"] for ln in drawn for p in ln.points}

    def draw(figure: Figure, narrow: bool) -> None:
        import seaborn as sns

        ax = figure.subplots()
        for line in drawn:
            dots = [(p.x, y) for p in line.points for y in values[p.configuration].dropna()]
            sns.scatterplot(
                x=[x for x, _ in dots],
                y=[y for _, y in dots],
                ax=ax,
                color=line.colour,
                alpha=0.35,
                s=12,
                legend=False,
                lw=0,
            )
            _line(ax, line, "throughput_rps")
        ax.set_ylim(0, highest([(p.mean, p.high) for ln in drawn for p in ln.points]) * 1.1)
        _x_axis(ax, drawn, curve.factor, narrow=narrow)
        theme.clean(ax)
        ax.yaxis.set_major_formatter(lambda value, _: qty.amount_tick(value))
        ax.set_title("requests per second", color=theme.QUIET, fontweight="normal", fontsize=9.5)
        _headline_gap(ax, study, drawn)
        ends = [(ln.points[-1].x, ln.points[-1].mean, ln.name, ln.colour) for ln in drawn]
        theme.lay_out(figure)
        theme.end_labels(ax, ends)

    caption = _throughput_caption(study, drawn) + not_drawn
    return figure_block(
        title=words.plain(curve.title or "Throughput"),
        draw=draw,
        wide_height_in=4.3,
        narrow_height_in=3.9,
        alt=_alt(f"Line chart of requests per second against {curve.factor}", drawn, "throughput_rps"),
        caption=caption,
        how_to_read=(
            "Each line connects geometric means over blocks, and the band around the line is their 95% interval (a t "
            "interval on logarithms). Each faint dot is one trial. A hollow marker means that the load generator, "
            "not the server, may have been the limit, so the server may be capable of more. The horizontal axis is "
            "logarithmic if all levels are above zero; the vertical axis starts at 0."
        ),
        engines=_engines(study, drawn),
    )


def latency(study: FinishedStudy, curve: PlannedCurve) -> FigureBlock | None:
    """p50, p90 and p99 of each series; None where nothing was measured."""
    every = {metric: chosen(study, lines(study, curve, metric)) for metric in PERCENTILES}
    panels = {metric: drawn for metric, (drawn, _) in every.items() if drawn}
    not_drawn = next((reason for _, reason in every.values() if reason), "")
    if not panels:
        return None
    everything = [p for drawn in panels.values() for ln in drawn for p in ln.points]

    def draw(figure: Figure, narrow: bool) -> None:
        shape = (len(panels), 1) if narrow else (1, len(panels))
        axes = figure.subplots(*shape, sharex=True, sharey=True, squeeze=False).ravel()
        for ax, (metric, drawn) in zip(axes, panels.items(), strict=True):
            for line in drawn:
                _line(ax, line, metric)
            ax.set_yscale("log")
            ends = [v for p in everything for v in (p.low, p.high)]
            theme.latency_ticks(ax, "y", theme.within_reach([p.mean for p in everything], ends), most=8)
            theme.clean(ax)
            ax.set_title(metric_words(metric).removesuffix(" latency"))
        for ax in axes:
            last = ax is axes[-1]
            _x_axis(ax, panels[next(iter(panels))], "", narrow=narrow or len(panels) > 1)
            if narrow and not last:
                ax.tick_params(labelbottom=False)
        figure.supxlabel(_factor_words(curve), fontsize=9.5, color=theme.QUIET)
        theme.lay_out(figure)
        for ax, drawn in zip(axes, panels.values(), strict=True):
            if narrow or ax is axes[-1]:
                theme.end_labels(ax, [(ln.points[-1].x, ln.points[-1].mean, ln.name, ln.colour) for ln in drawn])

    missing = [metric_words(m).removesuffix(" latency") for m in PERCENTILES if m not in panels]
    partial = [
        metric_words(m).removesuffix(" latency")
        for m, drawn in panels.items()
        if sum(len(ln.points) for ln in drawn) < len({(p.configuration) for p in everything})
    ]
    return figure_block(
        title=f"Latency of {words.plain(curve.scenario or 'the curve')}",
        draw=draw,
        wide_height_in=3.7,
        narrow_height_in=2.0 * len(panels) + 0.5,
        alt=" ".join(_alt(f"Line chart of {metric_words(metric)}", drawn, metric) for metric, drawn in panels.items()),
        caption=_latency_caption(study, panels, missing + partial) + not_drawn,
        how_to_read=(
            "Each panel shows one percentile. All panels have the same logarithmic axis, on which equal distances "
            "are equal ratios; lower is better. The load is a closed loop: each caller waits for a reply before "
            "sending the next request, so latency grows with the number of callers. Each point is the geometric mean "
            "over blocks of the percentile in each block, with a 95% interval; percentiles are never pooled or "
            "averaged within a block. A percentile is omitted if a trial has fewer than 10 requests beyond it. A "
            "hollow marker means that the load generator may have been the limit."
        ),
        engines=_engines(study, [ln for drawn in panels.values() for ln in drawn]),
    )


def _line(ax: Axes, line: Line, metric: str) -> None:
    xs = [p.x for p in line.points]
    ax.fill_between(
        xs, [p.low for p in line.points], [p.high for p in line.points], color=line.colour, alpha=0.16, lw=0
    )
    ax.plot(xs, [p.mean for p in line.points], color=line.colour, zorder=3)
    for point in line.points:
        if math.isfinite(point.low) and math.isfinite(point.high):
            ax.plot([point.x] * 2, [point.low, point.high], color=line.colour, lw=1.1, zorder=3)
        face = theme.PAPER if point.limited else line.colour
        (mark,) = ax.plot(point.x, point.mean, "o", ms=6, mfc=face, mec=line.colour, mew=1.6, zorder=4)
        ends = [value_text(metric, end) for end in (point.low, point.high)]
        limit = "; the load generator may be the limit" if point.limited else ""
        between = TOO_FEW if qty.MISSING in ends else f"95% interval {' to '.join(ends)}"
        theme.tip(
            mark,
            f"{line.name} at {point.label}: {value_text(metric, point.mean)}, {between}, "
            f"{qty.count(point.blocks, 'block')}{limit}",
        )


def _x_axis(ax: Axes, drawn: Sequence[Line], factor: str, *, narrow: bool) -> None:
    labels = {p.x: p.label for ln in drawn for p in ln.points}
    ticks = sorted(labels)
    logarithmic = ticks[0] > 0 and len(ticks) > 1 and ticks[-1] / ticks[0] > 4
    if logarithmic:
        ax.set_xscale("log")
    gaps = np.diff(np.log(ticks)) if logarithmic else np.diff(ticks)
    span = float(gaps.sum()) if len(gaps) else 1.0
    least = span * (0.13 if narrow else 0.05)
    kept = [ticks[0]]
    for tick in ticks[1:]:
        apart = math.log(tick / kept[-1]) if logarithmic else tick - kept[-1]
        if apart >= least:
            kept.append(tick)
    theme.plain_ticks(ax, "x", kept, lambda value: labels.get(value, qty.level(value)))
    if factor:
        ax.set_xlabel(f"{words.short(words.factor(factor), 48)}{', log scale' if logarithmic else ''}")


def _factor_words(curve: PlannedCurve) -> str:
    factor = curve.factor
    return f"{words.short(words.factor(factor), 80)}, both axes logarithmic"


def _headline_gap(ax: Axes, study: FinishedStudy, drawn: Sequence[Line]) -> None:
    """The headline's ratio, drawn between the two points it compares when both stand at one x."""
    at = {p.configuration: p for ln in drawn for p in ln.points}
    low, high = at.get(study.baseline), at.get(study.candidate)
    measured = study.headline.computed and study.headline.metric == "throughput_rps"
    if low is None or high is None or low.x != high.x or not measured:
        return
    ax.plot([low.x] * 2, [low.mean, high.mean], color=theme.INK, lw=1, ls=(0, (2, 2)), zorder=2)
    top = ax.get_ylim()[1]
    if abs(high.mean - low.mean) < 0.12 * top:
        return
    ax.annotate(
        qty.ratio(study.headline.ratio),
        xy=(low.x, (low.mean + high.mean) / 2),
        ha="center",
        va="center",
        fontweight="bold",
        color=theme.INK,
        zorder=6,
        bbox={"boxstyle": "round,pad=0.3", "fc": theme.PAPER, "ec": theme.FAINT},
    )


def _engines(study: FinishedStudy, drawn: Sequence[Line]) -> str:
    return study.engines(p.configuration for ln in drawn for p in ln.points)


def _alt(what: str, drawn: Sequence[Line], metric: str) -> str:
    texts = [
        f"{ln.name}: " + ", ".join(f"{value_text(metric, p.mean)} at {p.label}" for p in ln.points) for ln in drawn
    ]
    return f"{what}. {'; '.join(texts)}."


def _limited(study: FinishedStudy, drawn: Sequence[Line]) -> str:
    hollow = [(ln.name, p) for ln in drawn for p in ln.points if p.limited]
    if not hollow:
        return ""
    reasons = words.listing(sorted({r for _, p in hollow for r in study.limits(p.configuration)}))
    names = list(dict.fromkeys(name for name, _ in hollow))
    places = [f"{name} at {words.listing([p.label for n, p in hollow if n == name])}" for name in names]
    where = f"{'; '.join(places)}: {words.plain(reasons)}"
    return f" Where markers are hollow, the load generator may have been the limit ({where})."


def _throughput_caption(study: FinishedStudy, drawn: Sequence[Line]) -> str:
    best = []
    for line in drawn:
        top = max(line.points, key=lambda p: p.mean)
        best.append(f"{qty.amount(top.mean)} requests/s for {line.name} (at {top.label})")
    return f"The highest throughput is {words.listing(best)}.{_limited(study, drawn)}"


def _latency_caption(study: FinishedStudy, panels: Mapping[str, list[Line]], left_out: Sequence[str]) -> str:
    metric, drawn = list(panels.items())[-1]
    spans = []
    for line in drawn:
        ends = dict.fromkeys(f"{qty.duration(p.mean)} (at {p.label})" for p in (line.points[0], line.points[-1]))
        spans.append(f"{' to '.join(ends)} for {line.name}")
    lacking = f" Some or all trials have too few requests for {words.listing(left_out)}." if left_out else ""
    return f"The {metric_words(metric)} is {words.listing(spans)}.{lacking}{_limited(study, drawn)}"
