"""What happened around the trials of a study: the notices on them as notices of the study. Pure."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable, Mapping

import pandas as pd

from grpclab.analysis.inference.ratios import column, valid_trials
from grpclab.system.json_fields import Json
from grpclab.system.notices import Notice
from grpclab.text.printable import printable

MOST_NAMED = 4
"""So many configurations are named."""


def study_notices(trials: pd.DataFrame) -> tuple[Notice, ...]:
    """One notice for each kind on valid trials: on how many, of which configurations; warnings first."""
    rows = valid_trials(trials)
    marked: dict[str, list[tuple[str, Notice]]] = {}
    for configuration, stored in zip(column(rows, "configuration"), column(rows, "notices"), strict=True):
        for notice in _gravest(_read(stored)):
            marked.setdefault(notice.kind, []).append((str(configuration), notice))
    combined = [_combined(kind, on, len(rows)) for kind, on in marked.items()]
    return tuple(sorted(combined, key=lambda notice: notice.severity != "warning"))


def _read(stored: object) -> list[Notice]:
    """The notices of a trial; none where an earlier version, or somebody else, wrote what is no list of them."""
    try:
        entries = json.loads(stored) if isinstance(stored, str) else []
        return [_notice(entry) for entry in entries if {"kind", "severity", "text"} <= set(entry)]
    except (ValueError, TypeError):
        return []


def _gravest(notices: list[Notice]) -> Iterable[Notice]:
    """One notice of each kind: a trial may carry it for its server and for its generator."""
    kept: dict[str, Notice] = {}
    for notice in sorted(notices, key=lambda notice: notice.severity != "warning"):
        kept.setdefault(notice.kind, notice)
    return kept.values()


def _notice(entry: Mapping[str, Json]) -> Notice:
    return Notice(
        kind=str(entry["kind"]),
        severity="warning" if entry["severity"] == "warning" else "note",
        text=str(entry["text"]),
        remedy=str(entry.get("remedy") or ""),
    )


def _combined(kind: str, on: list[tuple[str, Notice]], trials: int) -> Notice:
    """The notices of one kind as one; its text is that of the first trial that carries it."""
    counts = collections.Counter(configuration for configuration, _ in on)
    named = ", ".join(f"{name} {count}" for name, count in counts.most_common(MOST_NAMED))
    rest = f" and {len(counts) - MOST_NAMED} more" if len(counts) > MOST_NAMED else ""
    some = f"{len(on)} of {trials} valid trials ({named}{rest})"
    return Notice(
        kind=printable(kind, 40),
        severity="warning" if any(notice.severity == "warning" for _, notice in on) else "note",
        text=f"in {'all valid trials' if len(on) == trials else some}, {printable(on[0][1].text, 300)}",
        remedy=printable(on[0][1].remedy, 300),
    )
