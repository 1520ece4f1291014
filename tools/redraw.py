"""The published reports, drawn anew by today's code from the studies inside them; nothing is measured.

``python -m tools.redraw`` rewrites ``reports/example.*`` and ``reports/replication.html``. A report contains manifest,
trials and verdict of its study, but stacks, histograms and slices only as they were drawn: the sections in
:data:`AS_DRAWN` stay as they are in the page.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from grpclab.calibration.page import OwnHtml
from grpclab.report import data, figures, files, sections
from grpclab.report.blocks import Section
from grpclab.report.content import ORDER
from grpclab.report.finished import FinishedStudy
from grpclab.report.renderers.html import write_report
from grpclab.report.renderers.json import as_json
from grpclab.report.renderers.markdown import markdown
from grpclab.study.stored_values import read_manifest, read_verdict
from grpclab.text import pages

REPORTS = Path(__file__).resolve().parent.parent / "reports"
PUBLISHED = ("example", "replication")
SHORT_FORMS = ("example",)
"""The studies that are also published as Markdown, JSON and a figure."""
AS_DRAWN = ("latency", "flamegraphs", "groups")
"""The sections, by their anchors, that show more than the data in a report."""
_FOLDED = r'<details[^>]*>\s*<summary><h2>[^<]*</h2>(?: <span class="page-gist">(?P<gist>.*?)</span>)?</summary>\n'
_SECTION = (
    rf'<section id="{{anchor}}">\n(?:{_FOLDED}(?P<inside>.*)\n</details>|<h2>[^<]*</h2>\n(?P<open>.*))\n</section>'
)


@dataclass(frozen=True, kw_only=True)
class AsDrawn(OwnHtml):
    """What a page shows in a section."""

    beside: str = ""

    @property
    def gist(self) -> str:
        """What stands beside the title while the section is folded."""
        return self.beside


def taken_over(page: str, anchor: str) -> AsDrawn | None:
    """The content of a section of a page; None if the page does not have it. Raises ValueError for another form."""
    begin = page.find(f'<section id="{anchor}">')
    if begin < 0:
        return None
    text = page[begin : page.index("</section>", begin) + len("</section>")]
    match = re.fullmatch(_SECTION.format(anchor=anchor), text, re.DOTALL)
    if not match:
        raise ValueError(f"section {anchor} of the page has an unexpected form")
    return AsDrawn(html=restyled(match["inside"] or match["open"]), beside=match["gist"] or "")


def restyled(html: str) -> str:
    """The same with the style sheet and the script that draw stacks today; the stacks are data."""
    for tag, name in (("style", "flamegraph.css"), ("script", "flamegraph.js")):
        begin, marked, rest = html.partition(f"<{tag}>")
        if marked and 'class="fg"' in html:
            html = f"{begin}{marked}{pages.style(pages.SHARED, name)}{rest[rest.index(f'</{tag}>') :]}"
    return html


def redraw(name: str) -> None:
    """Rewrite a published report, and its short forms."""
    path = REPORTS / f"{name}.html"
    page, packed = path.read_text(encoding="utf-8"), data.read(path)
    study = FinishedStudy.of(read_manifest(packed.manifest), packed.trials, read_verdict(packed.verdict))
    drawn = {part.anchor: part for part in sections(study)}
    for part in ORDER:
        if part.ANCHOR in AS_DRAWN and (old := taken_over(page, part.ANCHOR)):
            drawn[part.ANCHOR] = Section(title=part.TITLE, anchor=part.ANCHOR, data=old, folded=part.FOLDED)
    parts = [drawn[part.ANCHOR] for part in ORDER if part.ANCHOR in drawn]
    told = [part for part in parts if not isinstance(part.data, AsDrawn)]
    short = markdown(study, told)
    write_report(path, study, replace(packed, markdown=short), parts)
    if name in SHORT_FORMS:
        files.replace(path.with_suffix(".md"), short)
        summary = path.with_suffix(".json")
        kept = {"narrowing": json.loads(summary.read_text(encoding="utf-8"))["narrowing"]}  # it is made from slices
        document = json.dumps({**as_json(study, told), **kept}, indent=1, allow_nan=False)
        files.replace(summary, f"{document}\n")
        if block := figures.throughput(study, study.plan.curves[0]):
            files.replace(path.with_suffix(".svg"), block.svg_wide)


if __name__ == "__main__":
    for name in PUBLISHED:
        redraw(name)
        print(f"reports/{name}.html")
