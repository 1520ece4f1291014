"""Every trial in the order in which it ran."""

from __future__ import annotations

from grpclab.report import figures, tables
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR = "Timeline", "timeline"


def section(study: FinishedStudy) -> str:
    """The figure, or that there are too few trials for one."""
    block = figures.timeline(study)
    return block.html() if block else tables.none("There are no two valid trials of one configuration to compare.")
