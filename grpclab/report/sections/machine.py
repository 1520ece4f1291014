"""On what the study was measured."""

from __future__ import annotations

from grpclab.analysis.setup import foreign
from grpclab.report import tables
from grpclab.report.finished import FinishedStudy
from grpclab.system.environment import GitState, Machine

TITLE, ANCHOR = "Machine and versions", "machine"


def section(study: FinishedStudy) -> str:
    """Machine, versions, source and the check of the emulated link, as the manifest has them."""
    theirs = foreign(study.plan)
    manifest = study.manifest
    named = {
        "Machine": _facts(manifest.machine),
        "Versions of grpclab and its load generator" if theirs else "Versions": tables.flat(manifest.versions),
        "Source": _facts(manifest.git),
        "Check of the emulated link": tables.flat(manifest.link_check),
    }
    parts = [f"<h3>{title}</h3>{tables.facts(facts)}" for title, facts in named.items() if facts]
    return "".join(parts) or tables.none("The manifest says nothing about the machine.")


def _facts(value: Machine | GitState) -> list[tuple[str, str]]:
    """The facts of a value in words; none where the manifest has none."""
    return tables.flat(vars(value)) if value != type(value)() else []
