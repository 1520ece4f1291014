"""A bench result in a notebook: one card of HTML, nothing outside of it, in the theme of the notebook."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from grpclab import quantities as qty
from grpclab.load.core.summary import percentile
from grpclab.load.output import chart
from grpclab.load.output.call_columns import column
from grpclab.load.output.call_table import call_cells
from grpclab.load.output.cluster_table import cluster_rows
from grpclab.load.output.notebook_html import in_cell
from grpclab.load.output.render import (
    LABELS,
    behind,
    compressed,
    endings,
    load_text,
    percentile_rows,
    reasons,
    troubles,
)
from grpclab.load.output.step_table import STEP_TITLES, step_cells, step_mark
from grpclab.load.result import LoadResult
from grpclab.metrics import PERCENTILES, calls_needed
from grpclab.text import pages

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, kw_only=True)
class CardBody:
    """A table, whose rows may have a remark beyond its titles, and a picture where there is something to draw."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    picture: chart.Chart | None


def render_html(result: LoadResult) -> str:
    """Return the card for the output of a cell, with its style."""
    style = pages.style(pages.SHARED, "content.css") + pages.style(TEMPLATES, "bench.css")
    return in_cell(style, card(result, cell=True))


def card(result: LoadResult, *, cell: bool) -> Markup:
    """Return the card: a headline, a table, a small picture, and remarks on them.

    `cell`: it is for the output of a notebook cell, not for a page with the style sheet.
    """
    body = _steps(result) if result.steps else _latencies(result)
    return pages.rendered(
        TEMPLATES,
        "card.html.j2",
        in_cell=cell,
        call=result.title,
        target=result.target,
        load=load_text(result),
        headline=_headline(result),
        titles=body.titles,
        rows=body.rows,
        picture=body.picture,
        remarks=_remarks(result),
    )


def _headline(result: LoadResult) -> list[tuple[str, str, str]]:
    """The class of each figure, the figure, and what it is."""
    summary = result.run.summary
    figures: list[tuple[str, str, str]] = []
    if result.knee is not None:
        rate = result.knee.rate_rps
        figures.append(("gb-main", "-" if rate is None else f"{rate:,.10g}", "requests/s sustained"))
    else:
        figures.append(("gb-main", f"{summary.throughput_rps:,.0f}", "requests/s"))
        if result.run.short:
            figures.append(("", "", result.run.short))
        name, tail = result.tail
        if name:
            figures.append(("", qty.milliseconds(tail), name))
    figures.append(("", f"{summary.requests:,}", f"calls in {summary.window_s:,.1f} s"))
    figures.append(("gb-bad" if summary.errors else "", f"{summary.errors:,}", "failed"))
    return figures


def _latencies(result: LoadResult) -> CardBody:
    run, summary = result.run, result.run.summary
    opened = run.offered_rps is not None
    titles = ["latency", "from planned", "from sent"] if opened else ["latency", ""]
    rows: list[list[str]] = []
    for label, value, actual, note in percentile_rows(result):
        rows.append(
            [
                label,
                qty.milliseconds(value),
                *([qty.milliseconds(actual)] if opened else []),
                *([note] if note else []),
            ]
        )
    blank = [""] if opened else []
    rows.append(["average", qty.milliseconds(summary.latency_mean_s), *blank])
    rows.append(["slowest", qty.milliseconds(summary.latency_max_s), *blank])
    if opened:
        rows.append(["sent late, p99", qty.milliseconds(run.lateness["p99"]), ""])
    for _, title, times in summary.message_times:
        shown = {n: v for n, v in times.items() if n in ("p50", "p99")}
        rows += [[f"{title}, {LABELS.get(n, n)}", qty.milliseconds(v), *blank] for n, v in shown.items()]
    for call in result.calls:
        share, calls, failed, rate, p50, p99 = call_cells(call, summary.requests)
        rows.append([f"{call.name}, p50", p50, *blank, f"{calls} calls, {share}, {rate} requests/s, {failed} failed"])
        rows.append([f"{call.name}, p99", p99, *blank])
    rows.append(["connections", f"{result.connections:,}", *blank])
    rows.append(["generator", f"{run.busy_share:.0%} of a core", *blank])
    for name, calls, rate, late, busy, offset, mark in cluster_rows(result):
        note = f"{rate} calls/s, late p99 {late}, busy {busy}, clock {offset}; " if rate else ""
        rows.append([name, f"{calls} calls", *blank, (note + mark).removesuffix("; ")])
    return CardBody(titles=titles, rows=rows, picture=_percentile_chart(result))


def _percentile_chart(result: LoadResult) -> chart.Chart | None:
    """Latency by percentile: each nine as wide as the one before, latency on a log axis."""
    windows, distributions = result.run.windows, result.run.distributions
    latency = distributions["latency"].expanded() if distributions else np.sort(column(windows, "latency_s"))
    if len(latency) < calls_needed(PERCENTILES["p50"]):
        return None
    curves = [chart.Curve(points=_curve(latency), few_from=_nines(1 - 10 / len(latency)), name="")]
    if result.run.offered_rps is not None:
        if distributions:
            actual = distributions["uncorrected"].expanded()
        else:
            actual = np.sort(column(windows, "latency_s") - column(windows, "late_s"))
        curves[0] = chart.Curve(points=curves[0].points, few_from=curves[0].few_from, name="from the planned send")
        curves.append(chart.Curve(points=_curve(actual), few_from=curves[0].few_from, name="from the actual send"))
    last = _nines(1 - 1 / len(latency))
    ticks = [(_nines(q), text) for q, text in chart.PERCENTILE_TICKS if _nines(q) <= last + 1e-9]
    middle, slowest = (qty.milliseconds(value) for value in (percentile(latency, 0.5), float(latency[-1])))
    description = f"Latency by percentile: p50 {middle}, slowest {slowest}"
    return chart.laid_out(curves, ticks, "percentile of calls", description)


def _nines(q: float) -> float:
    """Return the place of a percentile on the axis: 0.9 at 1, 0.99 at 2."""
    return -math.log10(max(1 - q, 1e-12))


def _curve(latency: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[tuple[float, float]]:
    """Nearest ranks at even steps along the axis; `latency` is sorted."""
    count = len(latency)
    along = np.linspace(0, math.log10(count), 121)
    ranks = np.clip(np.ceil((1 - 10.0**-along) * count - 1e-9).astype(int) - 1, 0, count - 1)
    return [(float(x), float(latency[rank])) for x, rank in zip(along, ranks, strict=True)]


def _steps(result: LoadResult) -> CardBody:
    rows = [[*step_cells(step), *([mark] if (mark := step_mark(step)) else [])] for step in result.steps]
    curves = [
        chart.Curve(
            points=[
                (step.rate_rps, value)
                for step in sorted(result.steps, key=lambda step: step.rate_rps)
                if not math.isnan(value := step.run.summary.latency[name])
            ],
            name=name,
            marks=tuple(
                not step.limited_by
                for step in sorted(result.steps, key=lambda step: step.rate_rps)
                if not math.isnan(step.run.summary.latency[name])
            ),
        )
        for name in ("p99", "p50")
    ]
    drawn = [curve for curve in curves if len(curve.points) > 1]
    picture = None
    if drawn:
        description = f"Latency against the offered rate. {result.knee.sentence if result.knee else ''}"
        ticks = chart.rate_ticks([step.rate_rps for step in result.steps])
        hollow = "; hollow: the generator's limit" if any(step.limited_by for step in result.steps) else ""
        picture = chart.laid_out(drawn, ticks, f"requests/s offered{hollow}", description)
    return CardBody(titles=STEP_TITLES, rows=rows, picture=picture)


def _remarks(result: LoadResult) -> list[tuple[str, str]]:
    """The class of each remark, and the remark."""
    run = result.run
    items = [("gb-missed", result.every_call_failed)] if result.every_call_failed else []
    sentences = [behind(run), *endings(run)] if not result.steps else []
    items += [("gb-warn", text) for text in (*reasons(result), *sentences) if text]
    items += [("gb-warn", f"{name}: {count} {text}") for name, count, text in troubles(result)]
    items += [("", text) for text in compressed(result)]
    items += [("", f"load from {result.cluster.sentence}")] if result.cluster else []
    if result.knee is not None:
        items.append(("", result.knee.sentence))
    items += [
        ("gb-met" if j.met else "gb-missed", f"slo {'met' if j.met else 'not met'}: {j.sentence}")
        for j in result.judgements
    ]
    for name, count in run.summary.errors_by_status.items():
        items.append(("", f"{name}: {count:,} calls, {qty.percent_of(count, run.summary.requests)}"))
        failures = [failure for failure in run.failures if failure.status == name]
        items += [("gb-said", f"{f.calls:,} × {f.quoted}, the first at {f.first_s:.3f} s") for f in failures]
        items += [("gb-said", detail) for failure in failures for detail in failure.details]
    if run.stopped_because:
        items.append(("gb-missed", f"stopped early: {run.stopped_because}"))
    if run.interrupted:
        items.append(("gb-warn", "interrupted: these are the results up to that point"))
    items += [("gb-warn" if notice.severity == "warning" else "", str(notice)) for notice in result.notices]
    items += [("", note) for note in result.remarks]
    return items
