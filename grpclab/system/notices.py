"""Notices: what the reader of a figure should know of how it came about, as values. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["warning", "note"]
"""A warning may have changed the figures; a note has not, or not so that anyone can tell."""


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something worth knowing about a measurement.

    `kind` is a word for programs; `text` says what happened, and `remedy` what to do about it. A stored notice without
    a severity is a note; later versions may add severities.
    """

    kind: str = ""
    severity: Severity = "note"
    text: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        """The text and its remedy, in one line."""
        return f"{self.text}: {self.remedy}" if self.remedy else self.text

    def to_json(self) -> dict[str, Any]:
        """The four fields."""
        return asdict(self)


def stored_notices(stored: object) -> list[Notice]:
    """The notices of a trial, as trials.parquet holds them; none where somebody wrote what is no list of them."""
    try:
        entries = json.loads(stored) if isinstance(stored, str) else []
        return [_notice(entry) for entry in entries if {"kind", "severity", "text"} <= set(entry)]
    except (ValueError, TypeError):
        return []


def _notice(entry: Mapping[str, Any]) -> Notice:
    return Notice(
        kind=str(entry["kind"]),
        severity="warning" if entry["severity"] == "warning" else "note",
        text=str(entry["text"]),
        remedy=str(entry.get("remedy") or ""),
    )


def kinds(notices: Iterable[Notice]) -> tuple[str, ...]:
    """The kinds of some notices, each once, in their order."""
    return tuple(dict.fromkeys(notice.kind for notice in notices))
