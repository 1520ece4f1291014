"""Silent connections: how long until a call succeeds again."""

from __future__ import annotations

from grpclab.report import figures
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Missing, Piece

TITLE, ANCHOR, PLACE, FOLDED = "Idle connections", "idle", 110, False


def section(study: FinishedStudy) -> Piece | None:
    """The figure; None where the plan has no such scenario."""
    if not (study.plan.idle and study.plan.idle.configurations):
        return None
    block = figures.idle(study)
    return block or Missing(text="The idle scenario has no valid trial.")
