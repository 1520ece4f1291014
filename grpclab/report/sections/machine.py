"""On what the study was measured."""

from __future__ import annotations

from collections.abc import Mapping

from grpclab.analysis.setup import foreign
from grpclab.report import tables
from grpclab.report.finished import FinishedStudy

TITLE, ANCHOR = "Machine and versions", "machine"


def section(study: FinishedStudy) -> str:
    """Machine, versions, source and the check of the emulated link, as the manifest has them."""
    parts = []
    named = (
        ("machine", "Machine"),
        ("versions", "Versions of grpclab and its load generator" if foreign(study.plan) else "Versions"),
        ("git", "Source"),
        ("link_check", "Check of the emulated link"),
    )
    for key, title in named:
        values = study.manifest.get(key)
        if isinstance(values, Mapping) and values:
            parts.append(f"<h3>{title}</h3>{tables.facts(tables.flat(values))}")
    return "".join(parts) or tables.none("The manifest says nothing about the machine.")
