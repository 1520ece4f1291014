"""Latency over the offered rate of an open loop, with the knee: where calls begin to queue."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis.offered import Series, series
from grpclab.load.run import KEPT_SHARE
from grpclab.load.steps import KEPT_TAIL
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy

MOST_SERIES = 4


def offered_rates(study: FinishedStudy) -> FigureBlock | None:
    """The curves; None where no two open-loop configurations differ in their rate alone."""
    every = series(study.trials, study.plan.configurations)
    drawn = every[:MOST_SERIES]
    if not drawn:
        return None
    names = [_name(study, one, at) for at, one in enumerate(drawn)]
    colours = [study.colour([r.configuration for r in one.rates], place=at) for at, one in enumerate(drawn)]

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        ax.set_yscale("log")
        for one, colour in zip(drawn, colours, strict=True):
            _curve(ax, one, colour)
        points = [v for one in drawn for r in one.rates for v in (r.p50_s, r.p99_s)]
        intervals = [v for one in drawn for r in one.rates for v in (r.p99_low_s, r.p99_high_s)]
        theme.latency_ticks(ax, "y", theme.within_reach(points, intervals))
        rates = sorted({r.offered_rps for one in drawn for r in one.rates})
        step = max(1, -(-len(rates) // (5 if narrow else 10)))
        theme.plain_ticks(ax, "x", rates[::step], qty.amount_tick)
        ax.set_xlim(0, rates[-1] * 1.06)
        theme.clean(ax)
        ax.set_xlabel("offered rate, requests per second")
        ax.set_title("latency from the planned send time", fontweight="normal", color=theme.QUIET, fontsize=9.5)
        theme.lay_out(figure)
        ends = [(name, colour, _last(one)) for name, colour, one in zip(names, colours, drawn, strict=True)]
        theme.end_labels(ax, [(x, y, f"{name} {which}", c) for name, c, end in ends for which, (x, y) in end.items()])

    sentences = [
        f"{words.sentence_case(name)}: {one.sentence()}."
        if len(drawn) > 1
        else f"{words.sentence_case(one.sentence())}."
        for name, one in zip(names, drawn, strict=True)
    ]
    left_out = f" The figure leaves out {len(every) - len(drawn)} more series." if len(every) > len(drawn) else ""
    return figure_block(
        title="Latency against the offered rate",
        draw=draw,
        wide_height_in=3.6,
        narrow_height_in=3.4,
        alt=" ".join(_alt(name, one) for name, one in zip(names, drawn, strict=True)),
        caption=" ".join(sentences) + left_out,
        how_to_read=(
            "Calls are sent when they are due, whether or not earlier calls have finished, and latency is measured "
            "from the time when a call is due. If a server cannot keep up, the waiting time in its queue is "
            "therefore part of the latency. The solid line is p99 with a 95% interval over blocks; the dotted line "
            f"is p50. The vertical line is the knee: the highest rate at which at least {qty.percent(KEPT_SHARE)} of "
            "the calls were answered and the tail latency (the median if there are too few calls for p99) was no "
            f"more than {KEPT_TAIL:g} times the tail latency at the lowest rate. A hollow marker means that the load "
            "generator may have been the limit."
        ),
        engines=study.engines(r.configuration for one in drawn for r in one.rates),
    )


def _curve(ax: Axes, one: Series, colour: str) -> None:
    xs = [rate.offered_rps for rate in one.rates]
    ax.plot(xs, [rate.p50_s for rate in one.rates], color=colour, lw=1.3, ls=(0, (1, 1.4)), zorder=3)
    ax.plot(xs, [rate.p99_s for rate in one.rates], color=colour, zorder=3)
    for rate in one.rates:
        if rate.p99_low_s > 0 and math.isfinite(rate.p99_high_s):
            ax.plot([rate.offered_rps] * 2, [rate.p99_low_s, rate.p99_high_s], color=colour, lw=1.1, zorder=3)
        face = theme.PAPER if rate.limited_by else colour
        ax.plot(rate.offered_rps, rate.p99_s, "o", ms=6, mfc=face, mec=colour, mew=1.6, zorder=4)
    if one.knee and one.knee is not one.rates[-1]:
        ax.axvline(one.knee.offered_rps, color=colour, lw=1, ls=(0, (4, 3)), zorder=1)


def _last(one: Series) -> dict[str, tuple[float, float]]:
    ends = {"p99": [(r.offered_rps, r.p99_s) for r in one.rates], "p50": [(r.offered_rps, r.p50_s) for r in one.rates]}
    known = {which: [point for point in points if math.isfinite(point[1])] for which, points in ends.items()}
    return {which: points[-1] for which, points in known.items() if points}


def _name(study: FinishedStudy, one: Series, at: int) -> str:
    """The name of a series: the variant it is of, or its number."""
    names: Sequence[str] = [rate.configuration for rate in one.rates]
    return next((study.title(name) for name in names if name in (study.baseline, study.candidate)), f"series {at + 1}")


def _alt(name: str, one: Series) -> str:
    texts = "; ".join(
        f"at {r.offered_rps:,.0f}/s p50 {qty.duration(r.p50_s)}, p99 {qty.duration(r.p99_s)}, "
        f"{r.achieved_rps:,.0f}/s answered"
        for r in one.rates
    )
    return f"Latency against the offered rate, {name}: {texts}."
