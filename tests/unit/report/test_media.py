"""One study in every medium: the same figures in each, every section told, and no name that acts in any of them."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mistune
import pytest
from bs4 import BeautifulSoup

from grpclab import quantities as qty
from grpclab.calibration import page as calibration
from grpclab.calibration.store import Results
from grpclab.metrics import metric_words, value_text
from grpclab.report import sections, tables
from grpclab.report.blocks import FigureBlock, Section
from grpclab.report.finished import FinishedStudy
from grpclab.report.renderers.json import as_json
from grpclab.report.renderers.markdown import markdown
from grpclab.report.renderers.terminal import LEAST, sections_text, table
from grpclab.report.tables import Composed, Piece, line_of
from tests.support import calibration_frames, planned_studies, synthetic
from tests.support.pages import EVIL, PINGS, plain_spaces

KINDS: dict[str, Callable[[], synthetic.MadeStudy]] = {
    "default": synthetic.full_study,
    "small": synthetic.small_study,
    "production": functools.partial(synthetic.production_study, budget="10m"),
    "waiting": synthetic.waiting_study,
    "compare": planned_studies.compare_study,
    "idle": planned_studies.idle_study,
    "replication": planned_studies.replication_study,
}
UNBROKEN = 1000
"""A terminal in which no cell needs a second line."""


class Media:
    """A report in all media: its JSON, and the rows of the tables in each of the others, as text."""

    def __init__(self, parts: Sequence[Section], told: dict[str, Any], shown: str) -> None:
        """`told` is the report for a program, `shown` the report as Markdown."""
        self.sections = parts
        self.json: dict[str, Any] = json.loads(json.dumps(told, allow_nan=False))
        self.markdown = shown
        self.terminal = sections_text(self.sections, UNBROKEN)
        self.page, self.cells = (self._html(in_cell=in_cell) for in_cell in (False, True))

    @classmethod
    def of_study(cls, study: FinishedStudy) -> Media:
        parts = sections(study)
        return cls(parts, as_json(study, parts), markdown(study, parts))

    @classmethod
    def of_calibration(cls, results: Results) -> Media:
        parts = calibration.sections(results)
        return cls(parts, calibration.as_json(results, parts), calibration.markdown(results, parts))

    def _html(self, *, in_cell: bool) -> BeautifulSoup:
        """All but the drawings, as a page or as a cell of JupyterLab has it."""
        pieces = [piece for part in self.sections for piece in part.plain_pieces if not isinstance(piece, FigureBlock)]
        html = "".join(piece.rendered(in_cell=in_cell) for piece in pieces)
        return BeautifulSoup(plain_spaces(html).replace("<wbr>", ""), "html.parser")

    @functools.cached_property
    def rendered(self) -> dict[str, BeautifulSoup]:
        """As a reader sees it, by medium."""
        return {"page": self.page, "cells": self.cells, "markdown": rendered_markdown(self.markdown)}

    @functools.cached_property
    def rows(self) -> dict[str, list[str]]:
        """The rows of all tables, by medium."""
        found = {medium: rows_of(soup) for medium, soup in self.rendered.items()}
        found["terminal"] = [" ".join(part.split()) for part in self.terminal.split("\n\n")]
        found["json"] = [
            " ".join(cell if isinstance(cell, str) else cell["text"] for cell in row)
            for part in self.json["sections"]
            for piece in part["content"]
            for row in piece.get("rows", ())
        ]
        return found

    @functools.cached_property
    def texts(self) -> dict[str, str]:
        """All that is said, by medium."""
        texts = {medium: one_line(soup.get_text(" ")) for medium, soup in self.rendered.items()}
        return texts | {"terminal": one_line(self.terminal), "json": one_line(" ".join(strings(self.json["sections"])))}


def rendered_markdown(text: str) -> BeautifulSoup:
    """Markdown as a reader sees it, with the extensions that GitHub has."""
    render = mistune.create_markdown(escape=False, plugins=["table", "url", "strikethrough", "task_lists"])
    return BeautifulSoup(str(render(text)).replace("\u200b", ""), "html.parser")


def rows_of(soup: BeautifulSoup) -> list[str]:
    return [one_line(row.get_text(" ")) for row in soup.select("tr")]


def one_line(text: str) -> str:
    """The text on one line, without blanks that only markup leaves."""
    return re.sub(r" ?([(),;:.]) ?", r"\1", " ".join(text.split()))


def strings(value: object) -> Iterator[str]:
    """Every text in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def with_material(made: synthetic.MadeStudy, *, text: str = "") -> FinishedStudy:
    """The study with stacks and latencies."""
    material = synthetic.material(made, text=text)
    return made.finished(profiles=material["profiles"], histograms=material["histograms"])


@functools.cache
def media_of(kind: str) -> Media:
    return Media.of_study(with_material(KINDS[kind]()))


@pytest.fixture(params=KINDS)
def media(request: pytest.FixtureRequest) -> Media:
    """A study of each kind."""
    return media_of(request.param)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """A calibration."""
    return Media.of_calibration(calibration_frames.stored(tmp_path_factory.mktemp("lab")))


@pytest.fixture(params=[*KINDS, "calibration"])
def any_media(request: pytest.FixtureRequest) -> Media:
    """A report of every kind."""
    if request.param == "calibration":
        found: Media = request.getfixturevalue("calibrated")
        return found
    return media_of(request.param)


def test_every_number_of_the_json_is_in_every_other_medium(media: Media) -> None:
    told = media.json
    judged = [told["headline"], *told["comparisons"], *([told["aa"]] if told["aa"] else [])]
    wanted = [
        (
            f"{metric_words(c['metric'])}, {c['candidate']} against {c['baseline']}",
            qty.ratio(c["ratio"]),
            qty.interval(c["ci_low"], c["ci_high"]),
            c["verdict"],
            qty.p_value(c["p_adjusted"]),
        )
        for c in judged
    ]
    wanted += [
        (
            level["configuration"],
            value_text(level["metric"], level["mean"]),
            qty.interval(level["ci_low"], level["ci_high"]),
            *level["limited_by"],
        )
        for level in told["levels"]
    ]
    assert len(wanted) >= 5
    for medium, rows in media.rows.items():
        shown = [one_line(row) for row in rows]
        for texts in wanted:
            parts = [one_line(text) for text in texts]
            assert any(all(part in row for part in parts) for row in shown), (medium, texts)


def test_the_numbers_of_a_cell_are_those_of_the_verdict(media: Media) -> None:
    (rows,) = (
        piece["rows"]
        for part in media.json["sections"]
        for piece in part["content"]
        if piece.get("table") == "Every comparison"
    )
    found = {}
    for title, ratio, between, verdict, p, blocks in (row for row in rows if len(row) > 1):
        found[title] = (*ratio["values"], *between["values"], verdict, *p["values"], *blocks["values"])
    told = media.json
    for c in (told["headline"], *told["comparisons"]):
        values = (c["ratio"], c["ci_low"], c["ci_high"], c["verdict"], c["p_adjusted"], c["blocks"])
        sides = f"{metric_words(c['metric'])}, {c['candidate']} against {c['baseline']}"
        assert any(sides in title and one == pytest.approx(values, nan_ok=True) for title, one in found.items()), sides


def test_every_claim_of_a_calibration_is_in_every_medium(calibrated: Media) -> None:
    claims = calibrated.json["claims"]
    assert {claim["holds"] for claim in claims} == {True, False, None}
    words = {True: "met", False: "not met"}
    for medium, rows in calibrated.rows.items():
        shown = [one_line(row) for row in rows]
        for claim in claims:
            open_words = "undecided" if claim["goal"] else "for information"
            goal = f"goal: {claim['goal']}" if claim["goal"] else ""
            verdict = words.get(claim["holds"], open_words)
            texts = [one_line(part) for part in (claim["claim"], goal, verdict, *claim["measured"].split(", "))]
            assert any(all(part in row for part in texts) for row in shown), (medium, texts)


def test_every_row_of_the_json_is_in_every_other_medium(any_media: Media) -> None:
    shown = {medium: [words_in(row) for row in rows] for medium, rows in any_media.rows.items()}
    found = [piece for part in any_media.json["sections"] for piece in part["content"] if "rows" in piece]
    assert found
    for piece in found:
        for row in piece["rows"]:
            wanted = words_in(" ".join(cell if isinstance(cell, str) else cell["text"] for cell in row))
            missing = [medium for medium, rows in shown.items() if not any(wanted <= one for one in rows)]
            assert missing == [], (piece["table"], row)


def words_in(row: str) -> Counter[str]:
    """The words of a row, whichever line of their cell they are on, without what only sets one part off another."""
    return Counter(re.findall(r"[^\s(),;:.]+", row))


def test_every_medium_tells_every_section(any_media: Media) -> None:
    texts = any_media.texts
    for part in any_media.sections:
        for piece in part.plain_pieces:
            for told in words_of(piece):
                missing = [medium for medium, text in texts.items() if one_line(told) not in text]
                assert missing == [], (part.anchor, told)
    for medium in ("markdown", "terminal"):
        titles = [one_line(part.title) for part in any_media.sections[1:]]
        assert all(title in texts[medium] for title in titles), "the answer needs no title"


def words_of(piece: Piece) -> list[str]:
    """What must be said of a piece in every medium; of a figure all but its drawing is left to the page."""
    if isinstance(piece, tables.Paragraph):
        return [line_of(piece.text)]
    if isinstance(piece, tables.Table):
        return [*piece.header, *(line_of(row[0]) for row in piece.rows if len(row) == len(piece.header) == 1)]
    if isinstance(piece, tables.VerdictLine):
        return [piece.verdict, piece.sentence]
    if isinstance(piece, tables.FactList | tables.Definitions):
        return [text for term, told in piece.pairs for text in (term, line_of(told))]
    return [piece.text] if isinstance(piece, tables.Heading | tables.Missing) else []


@pytest.mark.parametrize("medium", ["markdown", "terminal", "json"])
def test_figures_are_told_in_words(any_media: Media, medium: str) -> None:
    text = any_media.texts[medium]
    figures = [figure for part in any_media.sections for figure in part.figures]
    assert figures
    for figure in figures:
        assert all(one_line(told) in text for told in (figure.title, figure.caption, figure.alt))


# ---- every kind of piece -------------------------------------------------------------------------------------------

CELL = (tables.bold(tables.number("1.2×", 1.2)), *tables.limits(["window"]), tables.below("of two"))
PIECES: list[Piece] = [
    tables.VerdictLine(verdict="faster", sentence="It is so.", limits=["window"]),
    tables.Heading(text="A heading"),
    tables.Paragraph(text=("text, ", tables.italic("slanted"), ", ", tables.link("Elsewhere", "limits"))),
    tables.Missing(text="Nothing was measured."),
    tables.Table(header=["a", "b"], rows=[["a group"], ["x", CELL]], label="A table", numeric={1}),
    tables.FactList(pairs=[("kernel", "6.1")]),
    tables.Definitions(pairs=[("Confidence", "6 of 6 blocks")]),
    tables.Card(value=CELL, what="throughput", more=("a", tables.BREAK, "b")),
    tables.CardRow(cards=[tables.Card(value="3", what="calls", more="more")]),
    tables.ItemList(items=["first", CELL], ordered=True),
    tables.WarningList(texts=["stop it (`top` names it)"]),
    tables.CodeLines(lines=["grpclab report x \\", "  --json -"]),
    tables.Aside(title="A law", contents=[tables.Paragraph(text="inside")]),
]


def test_every_kind_of_piece_is_known_to_every_medium() -> None:
    kinds = {kind for kind in vars(tables).values() if isinstance(kind, type) and issubclass(kind, Piece)}
    assert {type(piece) for piece in PIECES} == kinds - {Piece, Composed}
    part = Section(title="All", anchor="all", data=PIECES)
    study = synthetic.small_study().finished()
    terminal, marked = sections_text([part]), markdown(study, [part])
    (section,) = as_json(study, [part])["sections"]
    told = one_line(" ".join(strings(section["content"])))
    for text in (one_line(terminal), one_line(rendered_markdown(marked).get_text(" ")), told):
        for word in ("It is so.", "A heading", "slanted", "Elsewhere", "Nothing was", "a group", "(window)", "of two"):
            assert one_line(word) in text
        for word in ("kernel", "6 of 6 blocks", "calls", "first", "top", "--json -", "A law", "inside"):
            assert one_line(word) in text
    assert section["content"][4]["rows"] == [["a group"], ["x", {"text": "1.2× (window) of two", "values": [1.2]}]]


# ---- names that act nowhere ----------------------------------------------------------------------------------------

ALLOWED = {
    *("p", "strong", "em", "table", "thead", "tbody", "tr", "th", "td", "br", "ul", "ol", "li", "pre", "code"),
    *("details", "summary"),
}
TERMINAL = " \x1b[31mred\x1b[0m\x07\r\x9b2J \N{RIGHT-TO-LEFT OVERRIDE}abc [red]markup[/red] :smiley:"


HOSTILE: dict[str, Callable[[str], synthetic.MadeStudy]] = {
    "small": lambda text: synthetic.small_study(text=text),
    "compare": lambda text: planned_studies.hostile(planned_studies.compare_study(), text),
    "idle": lambda text: planned_studies.hostile(planned_studies.idle_study(), text),
    "replication": lambda text: planned_studies.hostile(planned_studies.replication_study(), text),
}


@pytest.mark.parametrize("text", [PINGS, EVIL, TERMINAL])
@pytest.mark.parametrize("kind", [*HOSTILE, "calibration"])
def test_a_hostile_name_stays_text_in_every_medium(kind: str, text: str, tmp_path: Path) -> None:
    if kind == "calibration":
        media = Media.of_calibration(calibration_frames.stored(tmp_path, text))
    else:
        study = with_material(HOSTILE[kind](text), text=text)
        media = Media.of_study(study)
        for width in (LEAST, UNBROKEN):
            assert all(letter == "\n" or letter.isprintable() for letter in table(study, width))
    name = one_line(line_of(text))
    texts = media.texts
    assert all(name.replace("`", "") in shown.replace("`", "") for shown in texts.values())
    tags = {tag.name for tag in media.rendered["markdown"].find_all(True)}
    assert tags <= ALLOWED, "neither links nor images nor scripts"
    outside = re.sub(r"(?ms)^(`{3,})$.*?^\1$", "", media.markdown)
    bare = re.sub(r"&#?\w+;", "\0", outside)
    assert not re.search(r"[@#](?!\0)|://|\bGH-|\bwww\.", bare), "it mentions nobody and refers to nothing"
    for lines in re.findall(r"(?m)^\|.*(?:\n\|.*)*", outside):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines.splitlines()}) == 1, "no table is broken"
    for soup in (media.page, media.cells):
        assert not soup.select("img, script, iframe, object")
        assert not [tag for tag in soup.find_all(True) if any(key.startswith("on") for key in tag.attrs)]
    for width in (LEAST, UNBROKEN):
        require_printable(sections_text(media.sections, width), text)


def require_printable(printed: str, text: str) -> None:
    assert all(letter == "\n" or letter.isprintable() for letter in printed)
    assert "[red]markup[/red]" in " ".join(printed.split()) or text is not TERMINAL
