"""What a comparison called, how, and of which servers."""

from __future__ import annotations

from grpclab.analysis.setup import described
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import FactList

TITLE, ANCHOR, PLACE, FOLDED = "What was compared", "question", 60, True


def section(study: FinishedStudy) -> FactList | None:
    """The setup of a comparison; None for studies of other designs, whose configurations say it."""
    setup = described(study.plan, study.manifest.servers, study.manifest.versions)
    return FactList(pairs=setup) if setup else None
