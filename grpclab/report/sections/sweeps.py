"""One factor at a time."""

from __future__ import annotations

from grpclab.report import figures, tables
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR = "Sweeps", "sweeps"


def section(study: FinishedStudy) -> str:
    """The figure; "" where the plan sweeps no factor."""
    if not study.plan.sweeps:
        return ""
    block = figures.sweeps(study)
    return (
        block.html() if block else tables.none("No level of a sweep has two blocks in which it and the base are valid.")
    )
