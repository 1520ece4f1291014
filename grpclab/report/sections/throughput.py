"""Throughput over a factor, usually the concurrency, and what the Universal Scalability Law says of it."""

from __future__ import annotations

import math

from grpclab import quantities as qty
from grpclab.analysis.inference.scalability import FEWEST_LEVELS, Scalability, fit
from grpclab.analysis.study_plan import PlannedCurve
from grpclab.report import figures, tables
from grpclab.report.blocks import FigureBlock
from grpclab.report.figures.curves import lines
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "Throughput", "throughput"


def section(study: FinishedStudy) -> str:
    """A figure for each curve of the plan, then what the law says of each; "" where the plan has none."""
    curves = study.plan.curves
    drawn = [_drawn(curve, figures.throughput(study, curve)) for curve in curves]
    return "".join(drawn + [scalability(study, curve) for curve in curves])


def _drawn(curve: PlannedCurve, block: FigureBlock | None) -> str:
    if block:
        return block.html()
    return tables.none(f"{curve.title or 'A curve'}: no trial of it is valid.")


def scalability(study: FinishedStudy, curve: PlannedCurve) -> str:
    """A sentence for each series; "" where none has FEWEST_LEVELS levels of concurrency."""
    if curve.factor != "load.concurrency":
        return ""
    items = [
        f"<li><b>{esc(line.name)}</b>: {esc(sentence(model))}</li>"
        for line in lines(study, curve, "throughput_rps")
        if (model := fit([point.x for point in line.points], [point.mean for point in line.points]))
    ]
    if not items:
        return ""
    return (
        "<details><summary>The Universal Scalability Law</summary><p>Throughput over concurrency N as "
        "λN / (1 + σ(N − 1) + κN(N − 1)): σ is what is done one after the other, κ what each caller "
        f"costs every other one. Fitted to the means over blocks, from {FEWEST_LEVELS} levels on.</p>"
        f"<ul>{''.join(items)}</ul></details>"
    )


def sentence(model: Scalability) -> str:
    """The fit in words, or that there is none and why."""
    if not model.fits:
        return f"no fit: {model.reason}."
    peak = f"most throughput near {model.peak:,.0f} in flight" if math.isfinite(model.peak) else "no peak in sight"
    return (
        f"λ {qty.amount(model.one_rps)} requests/s, σ {model.contention:.3f}, κ {model.coherency:.2g}; {peak}; no "
        f"level is missed by more than {qty.percent(model.largest_miss)}."
    )
