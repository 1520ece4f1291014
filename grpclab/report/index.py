"""``reports/index.html``: all studies of a directory, out of the summaries inside their reports. It loads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from grpclab.report import files, words
from grpclab.report.blocks import TEMPLATES

_SUMMARY = re.compile(r'<script[^>]*\bid="grpclab-summary"[^>]*>(.*?)</script>', re.DOTALL)


def write_index(reports_dir: Path | str, *, links: Sequence[tuple[str, str]] = ()) -> Path:
    """Write ``index.html`` into a directory of reports: one entry a report, the newest study first.

    It is built from the summaries inside the reports; HTML files without one are left out. `links` are (href, text),
    shown on top.
    """
    folder = Path(reports_dir)
    found = []
    for file in sorted(folder.glob("*.html")):
        about = None if file.name == "index.html" else _read_summary(file)
        if about is not None:
            known = words.interval(about.get("ci_low"), about.get("ci_high")) != words.MISSING
            found.append(
                {
                    **about,
                    "href": _href(file.name),
                    "when": files.when(about.get("created_at")),
                    "verdict": words.plain(about.get("verdict") or "inconclusive"),
                    "ratio": words.ratio(about.get("ratio")),
                    "interval": words.interval(about.get("ci_low"), about.get("ci_high")) if known else "",
                }
            )
    found.sort(key=_age, reverse=True)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES / "grpclab"), autoescape=True)
    page = environment.get_template("studies.html.j2").render(studies=found, links=links)
    return files.replace(folder / "index.html", page)


def _read_summary(file: Path) -> dict[str, Any] | None:
    try:
        found = _SUMMARY.search(file.read_text(encoding="utf-8", errors="replace"))
        about = json.loads(found[1]) if found else None
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and about.get("study") else None


def _href(name: str) -> str:
    return f"./{quote(name)}"


def _age(about: Mapping[str, Any]) -> datetime:
    try:
        return files.instant(about.get("created_at"))
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)
