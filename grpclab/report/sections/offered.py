"""Latency over the offered rate of an open loop."""

from __future__ import annotations

from grpclab.report import figures
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR = "Latency over the offered rate", "offered"


def section(study: FinishedStudy) -> str:
    """The figure; "" where no two configurations differ in their rate alone."""
    block = figures.offered_rates(study)
    return block.html() if block else ""
