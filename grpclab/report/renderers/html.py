"""The report of a study as a file: one HTML page that loads nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpclab.report import assets, files
from grpclab.report.blocks import Section
from grpclab.report.content import sections
from grpclab.report.data import Packed
from grpclab.report.finished import FinishedStudy
from grpclab.report.past import summary
from grpclab.report.svg import palette

if TYPE_CHECKING:
    from nbformat import NotebookNode


def write_report(path: Path | str, study: FinishedStudy, packed: Packed) -> Path:
    """Write the report of a study to `path`, whole or not at all, and return that path.

    `packed` is the study as the page embeds it. The page is complete in itself: pictures, style, data and a summary for
    the index are inside. Without the study's `profiles` there are no flamegraphs in it.
    """
    past = summary(study)
    head = Head(
        title=f"{past.study}: a performance study",
        heading=past.study,
        created_at=past.created_at,
        machine=past.machine,
        summary=past.embedded(),
        data=packed.elements(),
    )
    return files.replace(Path(path), render(notebook(sections(study), head)))


@dataclass(frozen=True, kw_only=True)
class Head:
    """The parts of a page around its sections.

    `title` is the window's; `summary` is what the index reads, as JSON; `data` are the elements that hold the study.
    """

    kicker: str = "Performance study"
    title: str
    heading: str
    created_at: str
    machine: str
    summary: str = "{}"
    data: str = ""


def render(nb: NotebookNode) -> str:
    """The page of a notebook as :func:`notebook` makes it, as text.

    nbconvert's own last step is left out: it reads the page once more and writes the names of a drawing's elements in
    small letters, which is no SVG any more.
    """
    from nbconvert import HTMLExporter, TemplateExporter

    make_exporter: Any = HTMLExporter
    exporter = make_exporter(template_name="grpclab", extra_template_basedirs=[str(assets.TEMPLATES)])
    page, _ = TemplateExporter.from_notebook_node(exporter, nb)
    return str(page)


def notebook(parts: list[Section], head: Head) -> NotebookNode:
    """The report as a notebook: one cell a section, with the section as its output."""
    import nbformat

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
        "title": head.title,
        "grpclab": {
            "kicker": head.kicker,
            "heading": head.heading,
            "when": files.when(head.created_at),
            "machine": head.machine,
            "json": head.summary,
            "policy": assets.POLICY,
            "palette": palette("".join(part.html for part in parts)),
            "data": head.data,
            "scripts": assets.ELEMENTS if head.data else assets.WITHOUT_DATA,
        },
    }
    made: NotebookNode = v4.new_notebook(cells=cells, metadata=metadata)
    return made
