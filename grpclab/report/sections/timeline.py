"""Every trial in the order in which it ran."""

from __future__ import annotations

from grpclab.report import figures
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Missing, Piece

TITLE, ANCHOR, PLACE, FOLDED = "Timeline", "timeline", 230, True


def section(study: FinishedStudy) -> Piece | None:
    """The figure, or that there are too few trials for one."""
    block = figures.timeline(study)
    return block or Missing(text="No configuration has two valid trials to compare.")
