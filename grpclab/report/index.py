"""``reports/index.html``: all studies of a directory, out of the summaries inside their reports. It loads nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from grpclab import quantities as qty
from grpclab.report import assets, words
from grpclab.report.figures.history import history
from grpclab.report.files import replace
from grpclab.report.past import Past, read
from grpclab.report.recurrence import changes
from grpclab.report.svg import palette

SIBLINGS = (("md", "Markdown"), ("json", "JSON"))
"""What may lie beside a report under its name."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A study as the list shows it; all text is escaped by the template."""

    about: Past
    href: str
    siblings: Sequence[tuple[str, str]]

    @property
    def title(self) -> str:
        """The question of the study; its name where none was written down."""
        return self.about.question or self.about.study

    @property
    def sentence(self) -> str:
        """The verdict in a sentence, its ratio as it stands beside the title."""
        text = words.typeset(self.about.sentence or "There is no verdict.")
        if not self.ratio or self.ratio == qty.MISSING:
            return text
        return text.replace(f" {words.typeset(qty.ratio(self.about.ratio, 'sentence'))} ", f" {self.ratio} ", 1)

    @property
    def badge(self) -> str:
        """The class of its verdict's colour."""
        known = self.verdict in {"faster", "slower", "equivalent"}
        return self.verdict if known else "inconclusive"

    @property
    def verdict(self) -> str:
        """The headline's verdict; of a replication, whose sentence says how many claims hold, that it tests claims."""
        return "claims tested" if self.about.claims else self.about.verdict

    @property
    def ratio(self) -> str:
        """The headline's ratio; "" of a replication, whose answer is not a ratio."""
        return "" if self.about.claims else qty.ratio(self.about.ratio)

    @property
    def interval(self) -> str:
        """Its interval; "" without one."""
        text = qty.interval(self.about.low, self.about.high)
        return "" if text == qty.MISSING or self.about.claims else text

    @property
    def warnings(self) -> str:
        """The number of its warnings; "" for none."""
        return qty.count(self.about.warnings, "warning") if self.about.warnings else ""

    @property
    def facts(self) -> str:
        """The machine and versions it was measured with."""
        about = self.about
        known = [
            about.machine,
            f"design {about.design}" if about.design else "",
            qty.count(about.blocks, "block") if about.blocks else "",
            f"commit {about.git}" if about.git else "",
        ]
        return " · ".join(text for text in known if text)


def write_index(reports_dir: Path | str, *, links: Sequence[tuple[str, str]] = ()) -> Path:
    """Write ``index.html`` into a directory of reports: one entry a report, the newest study first, and the history.

    It is built from the summaries inside the reports; HTML files without one are left out. `links` are (href, text),
    shown on top.
    """
    folder = Path(reports_dir)
    entries = [_entry(file, about) for file in sorted(folder.glob("*.html")) if (about := _about(file))]
    entries.sort(key=lambda entry: entry.about.age, reverse=True)
    studies = [entry.about for entry in entries]
    figures = history(studies)
    page = assets.rendered(
        "studies.html.j2",
        entries=entries,
        links=links,
        figures=figures,
        palette=palette("".join(picture for one in figures for picture in (one.wide, one.narrow))),
        policy=assets.POLICY,
        scripts=assets.WITHOUT_DATA,
        changes=_changes(studies),
    )
    return replace(folder / "index.html", page)


def _about(file: Path) -> Past | None:
    return None if file.name == "index.html" else read(file)


def _entry(file: Path, about: Past) -> Entry:
    beside = [(file.with_suffix(f".{suffix}"), name) for suffix, name in SIBLINGS]
    siblings = [(_href(path.name), name) for path, name in beside if path.exists()]
    return Entry(about=about, href=_href(file.name), siblings=siblings)


def _changes(studies: Sequence[Past]) -> list[tuple[Past, str]]:
    """The studies, the newest first, before which the machine or a version changed, and what did."""
    known = [study for study in sorted(studies, key=lambda study: study.age, reverse=True) if study.identity]
    return [
        (after, "; ".join(changed))
        for after, before in itertools.pairwise(known)
        if (changed := changes(before, after))
    ]


def _href(name: str) -> str:
    return f"./{quote(name)}"
