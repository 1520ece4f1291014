"""Reports as files: one HTML page for a study, and the index of all of them. Neither loads anything."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import nbformat
import pandas as pd
from nbconvert import HTMLExporter

from grpclab.profiling.flamegraph import SCRIPT_HASH
from grpclab.report import words
from grpclab.report.blocks import TEMPLATES, Section
from grpclab.report.content import sections
from grpclab.report.flamegraphs import Profiles

SUMMARY_SCHEMA = 1  # 1: the first
_SUMMARY = re.compile(r'<script[^>]*\bid="grpclab-summary"[^>]*>(.*?)</script>', re.DOTALL)

__all__ = ["notebook", "sections", "summary", "write_index", "write_report"]


def write_report(
    path: Path | str,
    manifest: Mapping[str, Any],
    trials: pd.DataFrame,
    verdict: Mapping[str, Any],
    profiles: Profiles | None = None,
) -> Path:
    """Write the report of a study to `path`, whole or not at all, and return that path.

    `manifest` and `verdict` are the stored files' content, `trials` has one row a trial, `profiles` holds the stacks
    of those that were profiled (without them there are no flamegraphs). The page is complete
    in itself: pictures, style, data and a summary for the index are inside.
    """
    nb = notebook(sections(manifest, trials, verdict, profiles), summary(manifest, verdict))
    make_exporter: Any = HTMLExporter
    exporter = make_exporter(template_name="grpclab", extra_template_basedirs=[str(TEMPLATES)])
    page, _ = exporter.from_notebook_node(nb)
    return _replace(Path(path), page)


def notebook(parts: list[Section], about: Mapping[str, Any]) -> nbformat.NotebookNode:
    """The report as a notebook: one cell a section, with the section as its output."""
    v4: Any = nbformat.v4
    cells = [
        v4.new_code_cell(
            id=f"section-{at}",
            metadata={"grpclab": {"title": part.title, "anchor": part.anchor}},
            outputs=[v4.new_output("display_data", data={"text/html": part.html})],
        )
        for at, part in enumerate(parts)
    ]
    metadata = {
        "title": f"{about['study']}: a performance study",
        "grpclab": {**about, "when": _when(about["created_at"]), "json": _json(about), "script": SCRIPT_HASH},
    }
    made: nbformat.NotebookNode = v4.new_notebook(cells=cells, metadata=metadata)
    return made


def summary(manifest: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, Any]:
    """What the index says of a study."""
    headline = verdict.get("headline") or {}
    machine: Mapping[str, Any] = manifest.get("machine") or {}
    known = [machine.get(key) for key in ("host", "hostname", "cpu_model", "cpu")]
    numbers = {key: headline.get(key) for key in ("ratio", "ci_low", "ci_high")}
    return {
        "schema_version": SUMMARY_SCHEMA,
        "study": words.plain(manifest.get("study") or "study"),
        "created_at": words.plain(manifest.get("created_at") or ""),
        "question": words.plain(manifest.get("question") or ""),
        "sentence": words.plain(verdict.get("sentence") or ""),
        "verdict": words.plain(headline.get("verdict") or "inconclusive"),
        "machine": ", ".join(words.plain(k) for k in known if k),
        **{key: value if pd.notna(value) else None for key, value in numbers.items()},
    }


def write_index(reports_dir: Path | str, *, links: Sequence[tuple[str, str]] = ()) -> Path:
    """Write ``index.html`` into a directory of reports: one entry a report, the newest study first.

    It is built from the summaries inside the reports; HTML files without one are left out. `links` are shown on top:
    where each leads, and its words.
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
                    "when": _when(about.get("created_at")),
                    "verdict": words.plain(about.get("verdict") or "inconclusive"),
                    "ratio": words.ratio(about.get("ratio")),
                    "interval": words.interval(about.get("ci_low"), about.get("ci_high")) if known else "",
                }
            )
    found.sort(key=_age, reverse=True)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES / "grpclab"), autoescape=True)
    folder.mkdir(parents=True, exist_ok=True)
    return _replace(
        folder / "index.html", environment.get_template("studies.html.j2").render(studies=found, links=links)
    )


def _read_summary(file: Path) -> dict[str, Any] | None:
    try:
        found = _SUMMARY.search(file.read_text(encoding="utf-8", errors="replace"))
        about = json.loads(found[1]) if found else None
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) and about.get("study") else None


def _href(name: str) -> str:
    return f"./{quote(name)}"


def _json(value: Mapping[str, Any]) -> str:
    """JSON that ends no element and opens no comment, whatever text is in it."""
    return json.dumps(value, allow_nan=False, ensure_ascii=True).replace("<", "\\u003c").replace("&", "\\u0026")


def _instant(stamp: object) -> datetime:
    """A stored time, UTC where it does not say; raises ValueError if it is none."""
    found = datetime.fromisoformat(str(stamp))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _when(stamp: object) -> str:
    try:
        return f"{_instant(stamp):%d %B %Y, %H:%M} UTC".lstrip("0")
    except (ValueError, OverflowError):
        return words.plain(stamp or "at an unknown time")


def _age(about: Mapping[str, Any]) -> datetime:
    try:
        return _instant(about.get("created_at"))
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)


def _replace(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            out.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return path
