"""Throughput over the size of the HTTP/2 windows."""

from __future__ import annotations

from grpclab.report import figures
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Missing, Piece

TITLE, ANCHOR, PLACE, FOLDED = "Windows", "windows", 140, False


def section(study: FinishedStudy) -> Piece | None:
    """The figure; None where the plan has no such curves."""
    if not study.plan.windows:
        return None
    block = figures.windows(study)
    return block or Missing(text="The window curves have no valid trial.")
