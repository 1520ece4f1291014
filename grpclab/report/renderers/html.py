"""The report of a study as a file: one HTML page that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grpclab.report import answering, assets, files
from grpclab.report.blocks import Section
from grpclab.report.content import sections
from grpclab.report.data import Packed
from grpclab.report.finished import FinishedStudy
from grpclab.report.past import summary
from grpclab.report.svg import palette


def write_report(path: Path | str, study: FinishedStudy, packed: Packed, made: Sequence[Section] | None = None) -> Path:
    """Write the report of a study to `path`, whole or not at all, and return that path.

    `packed` is the study as the page embeds it. The page is complete in itself: pictures, style, data and a summary for
    the index are inside. Without the study's `profiles` there are no flamegraphs in it. `made` are
    the sections, if they exist already.
    """
    past = summary(study)
    head = Head(
        title=answering.title(study),
        study=past.study,
        created_at=past.created_at,
        machine=past.machine,
        summary=past.embedded(),
        data=packed.elements(),
    )
    return files.replace(Path(path), page(sections(study) if made is None else made, head))


@dataclass(frozen=True, kw_only=True)
class Head:
    """The parts of a page around its sections.

    `study` is the name of the study, "" where there is none;
    `summary` is what the index reads, as JSON; `data` are the elements that hold the study.
    """

    kicker: str = "Performance study"
    title: str
    study: str = ""
    created_at: str
    machine: str
    summary: str = "{}"
    data: str = ""


def page(parts: Sequence[Section], head: Head) -> str:
    """The page of these sections, as text."""
    return assets.rendered(
        "report.html.j2",
        head=head,
        sections=parts,
        when=files.when(head.created_at),
        palette=palette("".join(part.html for part in parts)),
        policy=assets.POLICY,
        scripts=assets.ELEMENTS if head.data else assets.WITHOUT_DATA,
    )
