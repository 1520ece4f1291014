"""The report of a study as a file: one HTML page that loads nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbconvert import HTMLExporter, TemplateExporter

from grpclab.report import files, scripts, summaries
from grpclab.report.blocks import TEMPLATES, Section
from grpclab.report.content import sections
from grpclab.report.data import Packed
from grpclab.report.finished import FinishedStudy, Histograms
from grpclab.report.past import summary
from grpclab.report.sections.flamegraphs import Profiles
from grpclab.report.svg import palette

__all__ = ["notebook", "sections", "summary", "write_report"]


def write_report(
    path: Path | str,
    manifest: Mapping[str, Any],
    trials: pd.DataFrame,
    verdict: Mapping[str, Any],
    *,
    profiles: Profiles | None = None,
    histograms: Histograms | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write the report of a study to `path`, whole or not at all, and return that path.

    `manifest` and `verdict` are the stored files' content, `trials` has one row a trial, `profiles` holds the stacks
    of those that were profiled (without them there are no flamegraphs), `histograms` the latencies of each
    configuration, `details` the rest that a reader may ask of a trial (see :class:`grpclab.report.data.Packed`). The
    page is complete in itself: pictures, style, data and a summary for the index are inside.
    """
    packed = Packed(
        manifest=manifest,
        trials=trials,
        verdict=verdict,
        details=details or {},
        markdown=summaries.markdown(FinishedStudy.of(manifest, trials, verdict)),
    )
    parts = sections(manifest, trials, verdict, profiles, histograms)
    nb = notebook(parts, {**summary(manifest, verdict, trials), "data": packed.elements()})
    return files.replace(Path(path), render(nb))


def render(nb: nbformat.NotebookNode) -> str:
    """The page of a notebook as :func:`notebook` makes it, as text.

    nbconvert's own last step is left out: it reads the page once more and writes the names of a drawing's elements in
    small letters, which is no SVG any more.
    """
    make_exporter: Any = HTMLExporter
    exporter = make_exporter(template_name="grpclab", extra_template_basedirs=[str(TEMPLATES)])
    page, _ = TemplateExporter.from_notebook_node(exporter, nb)
    return str(page)


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
    data = about.get("data", "")
    known = {name: value for name, value in about.items() if name != "data"}
    metadata = {
        "title": f"{about['study']}: a performance study",
        "grpclab": {
            **known,
            "when": files.when(about["created_at"]),
            "json": _json(known),
            "policy": scripts.POLICY,
            "palette": palette("".join(part.html for part in parts)),
            "data": data,
            "scripts": scripts.ELEMENTS if data else scripts.WITHOUT_DATA,
        },
    }
    made: nbformat.NotebookNode = v4.new_notebook(cells=cells, metadata=metadata)
    return made


def _json(value: Mapping[str, Any]) -> str:
    """JSON that ends no element and opens no comment, whatever text is in it."""
    return json.dumps(value, allow_nan=False, ensure_ascii=True).replace("<", "\\u003c").replace("&", "\\u0026")
