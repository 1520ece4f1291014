"""Throughput over a factor, usually the concurrency, and what the Universal Scalability Law says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis.inference.scalability import FEWEST_LEVELS, Scalability, fit
from grpclab.analysis.study_plan import PlannedCurve
from grpclab.report import figures
from grpclab.report.blocks import FigureBlock
from grpclab.report.figures.curves import lines
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Aside, Composed, Contents, ItemList, Missing, Paragraph, Piece, bold

TITLE, ANCHOR, PLACE, FOLDED = "Throughput", "throughput", 80, False


@dataclass(frozen=True, kw_only=True)
class Throughput(Composed):
    """A figure for each curve, and what the law says of each series of a curve, where it has levels enough."""

    curves: tuple[Piece, ...]
    laws: tuple[list[tuple[str, str]], ...]

    @property
    def pieces(self) -> Contents:
        """The figures, and the law beneath them."""
        return [self.curves, [_law(fits) for fits in self.laws]]


def section(study: FinishedStudy) -> Throughput | None:
    """A figure for each curve of the plan, then what the law says of each; None where the plan has none."""
    curves = study.plan.curves
    if not curves:
        return None
    laws = [fits for curve in curves if (fits := scalability(study, curve))]
    drawn = tuple(_drawn(curve, figures.throughput(study, curve)) for curve in curves)
    return Throughput(curves=drawn, laws=tuple(laws))


def _law(fits: list[tuple[str, str]]) -> Aside:
    """The law, and what it says of each series."""
    text = (
        "Throughput as a function of concurrency N: λN / (1 + σ(N − 1) + κN(N − 1)), where σ is the serial share of "
        "the work and κ is the cost of coordination between callers. The law is fitted to the means over blocks if "
        f"there are at least {FEWEST_LEVELS} levels."
    )
    items = [(bold(series), ": ", told) for series, told in fits]
    return Aside(title="The Universal Scalability Law", contents=[Paragraph(text=text), ItemList(items=items)])


def _drawn(curve: PlannedCurve, block: FigureBlock | None) -> Piece:
    return block or Missing(text=f"{curve.title or 'A curve'}: there is no valid trial.")


def scalability(study: FinishedStudy, curve: PlannedCurve) -> list[tuple[str, str]]:
    """A series and a sentence on it for each; none where none has FEWEST_LEVELS levels of concurrency."""
    if curve.factor != "load.concurrency":
        return []
    return [
        (line.name, sentence(model))
        for line in lines(study, curve, "throughput_rps")
        if (model := fit([point.x for point in line.points], [point.mean for point in line.points]))
    ]


def sentence(model: Scalability) -> str:
    """The fit in words, or that there is none and why."""
    if not model.fits:
        return f"no fit: {model.reason}."
    peak = (
        f"highest throughput near {model.peak:,.0f} calls in flight"
        if math.isfinite(model.peak)
        else ("the fit has no peak")
    )
    return (
        f"λ {qty.amount(model.one_rps)} requests/s, σ {model.contention:.3f}, κ {model.coherency:.2g}; {peak}; the "
        f"fit is within {qty.percent(model.largest_miss)} of every level."
    )
