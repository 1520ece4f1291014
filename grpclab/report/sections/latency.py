"""Percentiles of latency over a factor, and how the latencies of the headline are distributed."""

from __future__ import annotations

from grpclab.report import figures, tables
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR = "Latency", "latency"


def section(study: FinishedStudy) -> str:
    """A figure for each curve of the plan, then the distributions, where trials hold them."""
    drawn = []
    for curve in study.plan.curves:
        block = figures.latency(study, curve)
        lacking = "no trial of it is valid, or none has requests enough for a percentile."
        drawn.append(block.html() if block else tables.none(f"{curve.title or 'A curve'}: {lacking}"))
    block = figures.latency_distribution(study)
    return "".join(drawn) + (block.html() if block else "")
