"""Silent connections: how long until a call succeeds again."""

from __future__ import annotations

from grpclab.report import figures, tables
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR = "Silent connections", "idle"


def section(study: FinishedStudy) -> str:
    """The figure; "" where the plan has no such scenario."""
    if not (study.plan.idle and study.plan.idle.configurations):
        return ""
    block = figures.idle(study)
    return block.html() if block else tables.none("No trial of the scenario idle is valid.")
