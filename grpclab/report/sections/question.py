"""The question that a study asks, and what a comparison called, how, and of which servers."""

from __future__ import annotations

from grpclab.analysis.setup import described
from grpclab.report import tables
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "The question", "question"


def section(study: FinishedStudy) -> str:
    """The question, as it was written down."""
    asked = f'<p class="gl-question">{esc(study.manifest.question or "No question was written down.")}</p>'
    setup = described(study.plan, study.manifest.servers, study.manifest.versions)
    return asked + (tables.facts(setup) if setup else "")
