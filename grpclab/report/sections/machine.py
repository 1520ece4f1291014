"""On what the study was measured."""

from __future__ import annotations

from grpclab.analysis.setup import foreign, server_versions
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Missing, Piece, flat, titled_facts
from grpclab.report.words import plain
from grpclab.system.environment import GitState, Machine

TITLE, ANCHOR, PLACE, FOLDED = "Machine and versions", "machine", 260, True


def section(study: FinishedStudy) -> list[Piece]:
    """Machine, versions, source and the check of the emulated link, as the manifest has them.

    The versions are those of the lab, and of the servers whose applications it hosts.
    """
    theirs = foreign(study.plan)
    manifest = study.manifest
    recorded = (manifest.machine, manifest.git) != (Machine(), GitState())
    named = {
        "Machine": flat(vars(manifest.machine)) if recorded and not manifest.machines else [],
        **{f"Machine {plain(one.name)}": flat(vars(one.machine)) for one in manifest.machines},
        "Versions of grpclab and its load generator" if theirs else "Versions": flat(manifest.versions),
        "Versions of the servers": server_versions(study.plan, manifest.servers),
        "Source": flat(vars(manifest.git)) if recorded else [],
        "Check of the emulated link": flat(manifest.link_check),
    }
    return titled_facts(named) or [Missing(text="The manifest has no information about the machine.")]
