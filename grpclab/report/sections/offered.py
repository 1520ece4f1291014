"""Latency over the offered rate of an open loop."""

from __future__ import annotations

from grpclab.report import figures
from grpclab.report.blocks import FigureBlock
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR, PLACE, FOLDED = "Latency against the offered rate", "offered", 100, False


def section(study: FinishedStudy) -> FigureBlock | None:
    """The figure; None where no two configurations differ in their rate alone."""
    return figures.offered_rates(study)
