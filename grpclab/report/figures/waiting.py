"""Handlers that wait: how many calls a second a server answers with few threads, with many, and with asyncio."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.factors import implementations
from grpclab.factors.service_time import parse_milliseconds
from grpclab.metrics import value_text
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy

_METRIC = "throughput_rps"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A server whose handlers wait. `most_rps` is what its threads allow, threads / wait; infinite for asyncio.

    Spare threads are not counted: they are lent only while nothing moves.
    """

    configuration: str
    title: str
    mean: float
    low: float
    high: float
    most_rps: float
    limits: tuple[str, ...]


def servers(study: FinishedStudy) -> list[Waiting]:
    """The configurations of the plan's ``waiting`` that have valid trials."""
    names = list(study.plan.waiting.configurations) if study.plan.waiting else []
    measured = []
    for row in study.levels(names, _METRIC).itertuples(index=False):
        name = str(row.configuration)
        if math.isfinite(qty.number(row.mean)):
            measured.append(
                Waiting(
                    configuration=name,
                    title=study.title(name),
                    mean=qty.number(row.mean),
                    low=qty.number(row.ci_low),
                    high=qty.number(row.ci_high),
                    most_rps=_most_rps(study, name),
                    limits=tuple(study.limits(name)),
                )
            )
    return measured


def comparisons(study: FinishedStudy) -> list[Comparison]:
    """The verdict's comparisons of that scenario in throughput, those with a ratio."""
    scenario = study.plan.waiting.scenario if study.plan.waiting else None
    return [c for c in study.verdict.judged if (c.scenario, c.metric) == (scenario, _METRIC) and c.computed]


def waiting(study: FinishedStudy) -> FigureBlock | None:
    """The bars; None where no trial of the scenario is valid."""
    drawn = servers(study)
    if not drawn:
        return None
    ends = [value for one in drawn for value in (one.mean, one.high) if math.isfinite(value)]
    longest = min(max(ends), 1.3 * max(one.mean for one in drawn))

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        ax.set_xlim(0, longest * (1.45 if narrow else 1.25))
        marks: list[Line2D] = []
        for y, one in enumerate(drawn):
            face = theme.PAPER if one.limits else theme.OTHERS[0]
            bar = ax.barh(y, one.mean, height=0.56, fc=face, ec=theme.OTHERS[0], lw=1.6, zorder=2)
            theme.tip(bar[0], f"{one.title}: {value_text(_METRIC, one.mean)}")
            end = one.mean
            if math.isfinite(one.low) and math.isfinite(one.high):
                end = min(longest, one.high)
                ax.plot([one.low, end], [y, y], color=theme.INK, lw=1.2, zorder=3)
            if one.most_rps <= longest * 1.2:
                marks += ax.plot([one.most_rps] * 2, [y - 0.38, y + 0.38], color=theme.CANDIDATE, lw=2, zorder=4)
                end = max(end, one.most_rps)
            ax.annotate(qty.amount(one.mean), xy=(end, y), xytext=(6, 0), textcoords="offset points", va="center")
        width = 18 if narrow else 44
        labels = [textwrap.fill(words.short(_server(one), 2 * width), width) for one in drawn]
        ax.set_yticks(range(len(drawn)), labels, color=theme.INK)
        ax.set_ylim(len(drawn) - 0.45, -0.55)
        theme.clean(ax, grid="x")
        ax.spines["left"].set_visible(False)
        ax.xaxis.set_major_formatter(lambda value, _: qty.amount_tick(value))
        ax.locator_params(axis="x", nbins=5)
        ax.set_xlabel("requests per second")
        if marks:
            place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0}
            label = "the highest throughput that the threads allow"
            ax.legend(marks[:1], [label], frameon=False, fontsize=8.5, **place)

    return figure_block(
        title="Handlers that wait",
        draw=draw,
        wide_height_in=0.44 * len(drawn) + 0.9,
        narrow_height_in=0.5 * len(drawn) + 0.9,
        alt=f"Bar chart. {'; '.join(_text(one) for one in drawn)}.",
        caption=_caption(study),
        how_to_read=(
            "Each bar is a server whose handlers wait without using the CPU, with a 95% interval. The vertical mark "
            "is the highest throughput that the server's threads allow: a waiting thread serves no other call, so "
            "the maximum is the number of threads divided by the wait. An asyncio server has no such mark. If a bar "
            "reaches the mark, more threads would give more throughput; if the bar ends before the mark, something "
            "else is the limit, usually the server's CPU. A hollow bar means that the load generator was the limit."
        ),
        engines=study.engines(one.configuration for one in drawn),
    )


def _most_rps(study: FinishedStudy, name: str) -> float:
    """The threads that are always there / the mean wait."""
    threads = qty.number(study.factor(name, "server.threads") or 10)
    processes = qty.number(study.factor(name, "server.processes") or 1)
    try:
        wait_s = parse_milliseconds(str(study.factor(name, "server.handler_wait_ms"))).mean_s
    except ValueError:
        return math.inf
    in_threads = implementations.threaded(str(study.factor(name, "server.implementation") or "sync"))
    return threads * processes / wait_s if in_threads and wait_s > 0 else math.inf


def _server(one: Waiting) -> str:
    """The title of a configuration of the scenario, without the words that all of them begin with."""
    return one.title.removeprefix("handlers wait, ")


def _text(one: Waiting) -> str:
    most = f", at most {qty.amount(one.most_rps)} with its threads" if math.isfinite(one.most_rps) else ""
    return f"{one.title} {value_text(_METRIC, one.mean)}{most}"


def pair(comparison: Comparison) -> str:
    """The title of a comparison of the scenario, without the words that all of them begin with."""
    return words.title_of(comparison).removeprefix("handlers that wait: ")


def _caption(study: FinishedStudy) -> str:
    ratios = [f"{pair(c)}: {qty.ratio(c.ratio)} ({c.verdict})" for c in comparisons(study)]
    return f"{words.sentence_case('; '.join(ratios))}." if ratios else "Requests per second, by server."
