"""A bench result in a notebook: one card of HTML, nothing outside of it, in the theme of the notebook."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from grpclab import quantities as qty
from grpclab.load.core.summary import percentile
from grpclab.load.output import chart
from grpclab.load.output.formats import column
from grpclab.load.output.notebook_html import in_cell
from grpclab.load.output.render import (
    LABELS,
    behind,
    call_text,
    compressed,
    endings,
    load_text,
    percentile_rows,
    reasons,
    step_cells,
    troubles,
)
from grpclab.load.result import LoadResult
from grpclab.metrics import PERCENTILES, calls_needed

STYLE = """
.grpclab-bench{--ink:light-dark(#1f2933,#e4e9ee);--quiet:light-dark(#5b6672,#9aa7b4);--line:light-dark(#dde3ea,#2c3742);
--paper:light-dark(#fff,#171d24);--accent:light-dark(#b84f00,#ff9a4d);--second:light-dark(#0a5aa8,#6db3f2);
--warn:light-dark(#fff6e0,#3a2e12);--warn-ink:light-dark(#6b4a00,#f2d38b);--good:light-dark(#11774a,#5cc793);
--bad:light-dark(#b3261e,#ff8a80);box-sizing:border-box;max-width:860px;
padding:16px 20px 14px;border:1px solid var(--line);border-radius:10px;background:var(--paper);color:var(--ink);
font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
.gb-what{margin:0;color:var(--quiet);font-size:13px;overflow-wrap:anywhere}
.gb-what b{color:var(--ink);font-weight:600}
.gb-head{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 22px;margin:4px 0 12px}
.gb-head div{white-space:nowrap;color:var(--quiet)}
.gb-head span{font-size:22px;font-weight:600;color:var(--ink);font-variant-numeric:tabular-nums}
.gb-head .gb-main span{font-size:34px;letter-spacing:-.02em;color:var(--accent)}
.gb-head .gb-bad span{color:var(--bad)}
.gb-body{display:flex;flex-wrap:wrap;gap:8px 28px;align-items:flex-start}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:2.5px 0 2.5px 14px;text-align:right;color:var(--ink)}
thead th{color:var(--quiet);font-weight:500;border-bottom:1px solid var(--line);vertical-align:bottom}
tbody th{font-weight:500;color:var(--quiet)}
th:first-child{padding-left:0;text-align:left}
td.gb-note{text-align:left;color:var(--quiet);font-size:12px}
.gb-chart{display:block;flex:1 1 340px;min-width:0;max-width:480px}
svg{display:block;width:100%;height:auto;color:var(--ink)}
svg text{fill:var(--quiet);font-size:11px}
svg .gb-grid{stroke:var(--line);stroke-width:1}
svg path{fill:none;stroke-width:2;stroke-linejoin:round}
svg .gb-one{stroke:var(--accent)} svg .gb-two{stroke:var(--second);stroke-width:1.5}
svg .gb-few{stroke-width:1.25;stroke-dasharray:2 3}
svg text.gb-one{stroke:none;fill:var(--accent)}
svg text.gb-two{stroke:none;fill:var(--second)}
svg circle{fill:var(--paper);stroke-width:1.75} svg circle.gb-full{fill:var(--accent)}
svg circle.gb-full.gb-two{fill:var(--second)}
ul{list-style:none;margin:10px 0 0;padding:0;font-size:13px;color:var(--quiet)}
li{margin:2px 0;padding:0}
li.gb-said{padding-left:16px;overflow-wrap:anywhere}
li.gb-warn{background:var(--warn);color:var(--warn-ink);border-radius:5px;padding:4px 9px}
li.gb-met{color:var(--good)} li.gb-missed{color:var(--bad);font-weight:600}
"""


def render_html(result: LoadResult) -> str:
    """Return the card: a headline, a table, a small picture, and remarks on them."""
    body = _steps(result) if result.steps else _latencies(result)
    return in_cell(
        STYLE,
        f'<div class="grpclab-bench"><p class="gb-what"><b>{escape(call_text(result))}</b> at'
        f" <b>{escape(result.target)}</b> &middot; {escape(load_text(result))}</p>"
        f'{_headline(result)}<div class="gb-body">{body}</div>{_remarks(result)}</div>',
    )


def _headline(result: LoadResult) -> str:
    summary = result.run.summary
    figures: list[tuple[str, str, str]] = []
    if result.knee is not None:
        rate = result.knee.rate_rps
        figures.append(("gb-main", "-" if rate is None else f"{rate:,.10g}", "requests/s kept up with"))
    else:
        figures.append(("gb-main", f"{summary.throughput_rps:,.0f}", "requests/s"))
        if result.run.short:
            figures.append(("", "", result.run.short))
        name, tail = result.tail
        if name:
            figures.append(("", qty.milliseconds(tail), name))
    figures.append(("", f"{summary.requests:,}", f"calls in {summary.window_s:,.1f} s"))
    figures.append(("gb-bad" if summary.errors else "", f"{summary.errors:,}", "failed"))
    cells = "".join(f'<div class="{c}"><span>{escape(v)}</span> {escape(w)}</div>' for c, v, w in figures)
    return f'<div class="gb-head">{cells}</div>'


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. The first cell of each row is its heading; a last cell beyond the titles is a remark."""
    first, *more = [escape(title) for title in titles]
    head = f'<th scope="col">{first}</th>' + "".join(f'<th scope="col" class="gl-num">{title}</th>' for title in more)
    lines = []
    for heading, *cells in rows:
        shown = "".join(f'<td class="gl-num">{escape(cell)}</td>' for cell in cells[: len(titles) - 1])
        note = "".join(f'<td class="gb-note">{escape(cell)}</td>' for cell in cells[len(titles) - 1 :])
        lines.append(f'<tr><th scope="row">{escape(heading)}</th>{shown}{note}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _latencies(result: LoadResult) -> str:
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
    for title, times in (
        ("time to the first message", summary.first_message),
        ("gap between messages", summary.message_gap),
    ):
        shown = {n: v for n, v in times.items() if n in ("p50", "p99")}
        rows += [[f"{title}, {LABELS.get(n, n)}", qty.milliseconds(v), *blank] for n, v in shown.items()]
    rows.append(["connections", f"{result.connections:,}", *blank])
    rows.append(["generator", f"{run.busy_share:.0%} of a core", *blank])
    return _table(titles, rows) + _percentile_chart(result)


def _picture(svg: str) -> str:
    """The chart; hidden without the card's style: of a drawing, untrusted notebooks keep the words and nothing else."""
    return f'<div class="gb-chart" hidden="hidden">{svg}</div>'


def _percentile_chart(result: LoadResult) -> str:
    """Latency by percentile: each nine as wide as the one before, latency on a log axis."""
    windows = result.run.windows
    latency = np.sort(column(windows, "latency_s"))
    if len(latency) < calls_needed(PERCENTILES["p50"]):
        return ""
    curves = [chart.Curve(points=_curve(latency), few_from=_nines(1 - 10 / len(latency)), name="")]
    if result.run.offered_rps is not None:
        actual = np.sort(column(windows, "latency_s") - column(windows, "late_s"))
        curves[0] = chart.Curve(points=curves[0].points, few_from=curves[0].few_from, name="from the planned send")
        curves.append(chart.Curve(points=_curve(actual), few_from=curves[0].few_from, name="from the actual send"))
    last = _nines(1 - 1 / len(latency))
    ticks = [(_nines(q), text) for q, text in chart.PERCENTILE_TICKS if _nines(q) <= last + 1e-9]
    middle, slowest = (qty.milliseconds(value) for value in (percentile(latency, 0.5), float(latency[-1])))
    description = f"Latency by percentile: p50 {middle}, slowest {slowest}"
    return _picture(chart.draw(curves, ticks, "percentile of calls", description))


def _nines(q: float) -> float:
    """Return the place of a percentile on the axis: 0.9 at 1, 0.99 at 2."""
    return -math.log10(max(1 - q, 1e-12))


def _curve(latency: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[tuple[float, float]]:
    """Nearest ranks at even steps along the axis; `latency` is sorted."""
    count = len(latency)
    along = np.linspace(0, math.log10(count), 121)
    ranks = np.clip(np.ceil((1 - 10.0**-along) * count - 1e-9).astype(int) - 1, 0, count - 1)
    return [(float(x), float(latency[rank])) for x, rank in zip(along, ranks, strict=True)]


def _steps(result: LoadResult) -> str:
    titles = ["offered/s", "achieved/s", "p50", "p99", "late p99", "failed"]
    rows = [
        [*step_cells(step), step.limited_by or ("" if step.keeps_up else "not kept up")]
        if step.limited_by or not step.keeps_up
        else list(step_cells(step))
        for step in result.steps
    ]
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
    picture = ""
    if drawn:
        description = f"Latency over the rate offered. {result.knee.sentence if result.knee else ''}"
        ticks = chart.rate_ticks([step.rate_rps for step in result.steps])
        hollow = "; hollow: the generator's limit" if any(step.limited_by for step in result.steps) else ""
        picture = _picture(chart.draw(drawn, ticks, f"requests/s offered{hollow}", description))
    return _table(titles, rows) + picture


def _remarks(result: LoadResult) -> str:
    run = result.run
    items = [("gb-missed", result.every_call_failed)] if result.every_call_failed else []
    sentences = [behind(run), *endings(run)] if not result.steps else []
    items += [("gb-warn", text) for text in (*reasons(result), *sentences) if text]
    items += [("gb-warn", f"{name}: {count} {text}") for name, count, text in troubles(result)]
    items += [("", text) for text in compressed(result)]
    if result.knee is not None:
        items.append(("", result.knee.sentence))
    items += [
        ("gb-met" if j.met else "gb-missed", f"slo {'met' if j.met else 'not met'}: {j.sentence}")
        for j in result.judgements
    ]
    for name, count in run.summary.errors_by_status.items():
        items.append(("", f"{name}: {count:,} calls, {qty.percent_of(count, run.summary.requests)}"))
        failures = [failure for failure in run.failures if failure.status == name]
        items += [("gb-said", f"{f.calls:,} x {f.quoted}, the first at {f.first_s:.3f} s") for f in failures]
        items += [("gb-said", detail) for failure in failures for detail in failure.details]
    if run.stopped_because:
        items.append(("gb-missed", f"stopped early: {run.stopped_because}"))
    if run.interrupted:
        items.append(("gb-warn", "interrupted: this is what had been measured by then"))
    items += [("gb-warn" if notice.severity == "warning" else "", str(notice)) for notice in result.notices]
    items += [("", note) for note in result.remarks]
    lines = "".join(f'<li class="{kind}">{escape(text)}</li>' for kind, text in items)
    return f"<ul>{lines}</ul>" if items else ""
