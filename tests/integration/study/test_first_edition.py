"""What the first edition stored still opens, and every command says of it what it said then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from grpclab.report.words import typeset
from tests.support import first_edition
from tests.support.rearranged import MOVED, figures_of, said_as_well, sections_of
from tests.support.reworded import REWORDED, in_today_s_words, signs, substance
from tests.support.rounding import as_rounded, with_all_digits

LONG = ("report-cut", "report-replication", "report-desk", "explore")
"""Reports much like others among them, and like the published one; a notebook that is run on other studies as well."""


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A project folder with all that was stored."""
    with first_edition.unpacked() as folder:
        yield folder


def test_all_that_was_said_is_compared() -> None:
    assert {path.stem for path in first_edition.SAID.iterdir()} == set(first_edition.SAYINGS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long) if name in LONG else name for name in first_edition.SAYINGS]
)
def test_the_same_is_said_of_what_was_stored(root: Path, name: str) -> None:
    said = typeset(signs(first_edition.SAYINGS[name](root)))
    recorded = typeset(in_today_s_words((first_edition.SAID / f"{name}.txt").read_text()))
    if not name.startswith("report-"):
        assert_the_same(said, recorded)
        return
    now, then = (text.split("\n----\n") for text in (said, recorded))
    assert_the_same_command(now[0], then[0])
    assert_no_line_without_its_figures(now[1], then[1])
    assert_the_same_document(now[2], then[2])
    assert_the_same_page(sections_of(now[3]), sections_of(then[3]))


def assert_the_same(now: str, then: str) -> None:
    """Every line says the same, in whatever words."""
    here, there = substance(now), substance(then)
    assert as_rounded(here, there) == there


_DOCUMENT = re.compile(r"^\{$.*^\}$", re.DOTALL | re.MULTILINE)


def assert_the_same_command(now: str, then: str) -> None:
    """A command says what it said, and its JSON holds what it held."""
    here, there = _DOCUMENT.search(now), _DOCUMENT.search(then)
    assert here
    assert there
    assert_the_same(now[: here.start()] + now[here.end() :], then[: there.start()] + then[there.end() :])
    assert_the_same_document(here[0], there[0])


def assert_the_same_document(now: str, then: str) -> None:
    """Every value of the document is there; another may stand beside it."""
    here, there = json.loads(now), json.loads(then)
    assert_the_same(
        *(json.dumps({key: one[key] for key in there}, indent=1, ensure_ascii=False) for one in (here, there))
    )


def assert_no_line_without_its_figures(now: str, then: str) -> None:
    """Every line is there as it was, or each of its figures is in a line that is there instead."""
    kept = set(then.splitlines()) & set(now.splitlines())
    new = figures_of(now.splitlines())
    gone = figures_of(line for line in then.splitlines() if line not in kept)
    assert [figure for figure in gone if not said_as_well(figure, new)] == []


def assert_the_same_page(now: dict[str, list[str]], then: dict[str, list[str]]) -> None:
    """Every section says what it said; what was shared out anew says every figure that it did, or a warning does."""
    for anchor, lines in then.items():
        if anchor not in (*MOVED, "nav"):
            here = now[anchor][len(now[anchor]) - len(lines) + 1 :]  # a gist may stand before
            here = with_all_digits(here, lines[1:])
            assert substance("\n".join(here)) == substance("\n".join(lines[1:])), anchor
    said = figures_of(line for anchor in (*MOVED, "warnings") for line in now.get(anchor, []))
    lost = [
        figure
        for figure in figures_of(line for anchor in MOVED for line in then.get(anchor, []))
        if not said_as_well(figure, said)
    ]
    assert lost == []


def test_every_title_that_was_reworded_was_said() -> None:
    recorded = "".join(path.read_text() for path in first_edition.SAID.iterdir())
    assert [before for before in REWORDED if before not in recorded] == []


@pytest.mark.parametrize(
    ("now", "then", "same"),
    [
        ("basic serves 2 calls and then waits for 3 ms", "of 2 calls that basic serves one waits, 3 ms", True),
        ("basic serves 2 calls and then waits for 4 ms", "of 2 calls that basic serves one waits, 3 ms", False),
        ("with server.threads=4 it is a good deal faster", "it is faster, by much, with server.threads=4", True),
        ("with server.threads=8 it is a good deal faster", "it is faster, by much, with server.threads=4", False),
        ("with server.threads=4 it is a good deal slower", "it is faster, by much, with server.threads=4", False),
        ("p50 latency  17.41 ms  18.50 ms", "p50 latency  17.41 ms  18.51 ms", False),
        ('{"text": "it is left out since no call was made"}', '{"text": "no call was made, so it is not in"}', True),
        ('{"text": "it is left out since no call was made"}', '{"note": "no call was made, so it is not in"}', False),
        ("two lines\nof it", "two lines", False),
    ],
)
def test_words_may_change_and_figures_names_and_verdicts_may_not(now: str, then: str, *, same: bool) -> None:
    assert (substance(now) == substance(then)) is same
