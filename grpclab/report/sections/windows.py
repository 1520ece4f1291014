"""Throughput over the size of the HTTP/2 windows."""

from __future__ import annotations

from grpclab.report import figures, tables
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR = "Windows", "windows"


def section(study: FinishedStudy) -> str:
    """The figure; "" where the plan has no such curves."""
    if not study.plan.windows:
        return ""
    block = figures.windows(study)
    return block.html() if block else tables.none("No trial of the window curves is valid.")
