"""Percentiles of latency over a factor, and how the latencies of the headline are distributed."""

from __future__ import annotations

from grpclab.report import figures
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Missing, Piece

TITLE, ANCHOR, PLACE, FOLDED = "Latency", "latency", 90, False


def section(study: FinishedStudy) -> list[Piece] | None:
    """A figure for each curve of the plan, then the distributions, where trials hold them; None without any."""
    drawn: list[Piece] = []
    for curve in study.plan.curves:
        block = figures.latency(study, curve)
        lacking = "no valid trial has enough requests for a percentile."
        drawn.append(block or Missing(text=f"{curve.title or 'A curve'}: {lacking}"))
    if block := figures.latency_distribution(study):
        drawn.append(block)
    return drawn or None
