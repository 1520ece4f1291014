"""On what the study was measured."""

from __future__ import annotations

from grpclab.analysis.setup import foreign
from grpclab.report import tables
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR = "Machine and versions", "machine"


def section(study: FinishedStudy) -> str:
    """Machine, versions, source and the check of the emulated link, as the manifest has them."""
    theirs = foreign(study.plan)
    named = {
        "Machine": study.manifest.machine,
        "Versions of grpclab and its load generator" if theirs else "Versions": study.manifest.versions,
        "Source": study.manifest.git,
        "Check of the emulated link": study.manifest.link_check,
    }
    parts = [f"<h3>{title}</h3>{tables.facts(tables.flat(values))}" for title, values in named.items() if values]
    return "".join(parts) or tables.none("The manifest says nothing about the machine.")
