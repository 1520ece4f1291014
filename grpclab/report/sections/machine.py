"""On what the study was measured."""

from __future__ import annotations

from grpclab.analysis.setup import foreign, server_versions
from grpclab.report import tables
from grpclab.report.finished import FinishedStudy
from grpclab.system.environment import GitState, Machine

TITLE, ANCHOR = "Machine and versions", "machine"


def section(study: FinishedStudy) -> str:
    """Machine, versions, source and the check of the emulated link, as the manifest has them.

    The versions are those of the lab, and of the servers whose applications it hosts.
    """
    theirs = foreign(study.plan)
    manifest = study.manifest
    recorded = (manifest.machine, manifest.git) != (Machine(), GitState())
    named = {
        "Machine": tables.flat(vars(manifest.machine)) if recorded else [],
        "Versions of grpclab and its load generator" if theirs else "Versions": tables.flat(manifest.versions),
        "Versions of the servers": server_versions(study.plan, manifest.servers),
        "Source": tables.flat(vars(manifest.git)) if recorded else [],
        "Check of the emulated link": tables.flat(manifest.link_check),
    }
    parts = [f"<h3>{title}</h3>{tables.facts(facts)}" for title, facts in named.items() if facts]
    return "".join(parts) or tables.none("The manifest says nothing about the machine.")
