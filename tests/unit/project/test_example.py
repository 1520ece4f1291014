"""The published reports: whole, with the figures that today's code gives, and what README and figure say of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup, Tag

from grpclab import analysis, load_study
from grpclab.report import figures, sections, theme
from grpclab.report.stored import StoredStudy
from grpclab.report.words import typeset
from grpclab.study.stored_values import read_manifest
from tests.support.finished import finished
from tests.support.pages import plain_spaces
from tests.support.reworded import facts, substance
from tests.support.rounding import as_rounded

ROOT = Path(__file__).resolve().parents[3]
PUBLISHED = ("example", "replication")
NOT_IN_THE_DATA = {"flamegraphs", "latency", "groups", "certainty"}
"""Sections that are drawn from stacks, histograms and slices, which a report holds only as it draws them."""


@pytest.fixture(scope="module")
def example() -> StoredStudy:
    return load_study(ROOT / "reports" / "example.html")


@pytest.mark.parametrize("name", PUBLISHED)
def test_todays_code_comes_to_the_published_verdict(name: str) -> None:
    published = load_study(ROOT / "reports" / f"{name}.html")
    manifest = read_manifest(published.manifest)
    again = analysis.analyse(published.trials, manifest.plan, manifest.cores)
    expected = {"notices": [], **published.verdict}  # they were measured before there were notices
    here, there = (
        substance(typeset(json.dumps(without_notices(verdict), sort_keys=True, indent=1, ensure_ascii=False)))
        for verdict in (again.as_dict(), expected)
    )
    assert as_rounded(here, there) == there


def without_notices(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict without the texts of its notices, in which figures of one trial stood where ranges do today."""
    texts = {f"{one['text']}: {one['remedy']}" if one["remedy"] else one["text"] for one in verdict["notices"]}
    notices = [(one["kind"], one["severity"]) for one in verdict["notices"]]
    return {**verdict, "notices": notices, "warnings": [text for text in verdict["warnings"] if text not in texts]}


def facts_of(page: Tag) -> list[str]:
    return facts(" ".join([page.get_text(" "), *(str(tag["aria-label"]) for tag in page.select("[role=img]"))]))


def told_otherwise(name: str, *, drawings: bool) -> Iterator[str]:
    """The sections of a published page in which today's code gives other facts, with or without its drawings."""
    path = ROOT / "reports" / f"{name}.html"
    published = load_study(path)
    page = BeautifulSoup(plain_spaces(path.read_text()), "html.parser")
    for drawing in () if drawings else page.select("svg"):
        drawing.decompose()
    for section in sections(finished(published.manifest, published.trials, published.verdict)):
        if section.anchor not in NOT_IN_THE_DATA:
            there = page.find(id=section.anchor)
            head = f"<h2>{section.title}</h2> {section.gist if section.folded else ''}"
            here = BeautifulSoup(plain_spaces(f"{head}{section.html}"), "html.parser")
            if not isinstance(there, Tag) or facts_of(there) != facts_of(here):
                yield section.anchor


@pytest.mark.long
@pytest.mark.parametrize("name", PUBLISHED)
def test_todays_code_draws_the_published_page(name: str) -> None:
    assert list(told_otherwise(name, drawings=True)) == []


@pytest.mark.parametrize("name", PUBLISHED)
def test_todays_code_tells_what_the_published_page_tells(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theme, "draw_svg", lambda *_, **__: "<svg></svg>")  # drawing takes most of the time
    assert list(told_otherwise(name, drawings=False)) == []


def test_the_readmes_figure_is_one_of_the_example(example: StoredStudy) -> None:
    study = finished(example.manifest, example.trials, example.verdict)
    block = figures.throughput(study, study.plan.curves[0])
    assert block is not None
    drawn, published = (
        [text.strip() for text in ElementTree.fromstring(svg).itertext() if text.strip()]
        for svg in (block.svg_wide, (ROOT / "reports" / "example.svg").read_text())
    )
    assert drawn == published


@pytest.mark.parametrize("name", ["example", "replication", "calibration"])
def test_a_published_page_can_be_sent(name: str) -> None:
    assert (ROOT / "reports" / f"{name}.html").stat().st_size < 5e6
