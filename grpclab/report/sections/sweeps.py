"""One factor at a time."""

from __future__ import annotations

from grpclab.report import figures
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Missing, Piece

TITLE, ANCHOR, PLACE, FOLDED = "Sweeps", "sweeps", 150, False


def section(study: FinishedStudy) -> Piece | None:
    """The figure; None where the plan sweeps no factor."""
    if not study.plan.sweeps:
        return None
    block = figures.sweeps(study)
    return block or Missing(text="No level of a sweep has two blocks in which both that level and the base are valid.")
