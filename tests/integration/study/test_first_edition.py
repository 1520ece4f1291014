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
from tests.support.rounding import as_rounded

LONG = ("report-cut", "report-replication", "report-desk")
"""Reports much like others among them."""
REWORDED = {"Server.threads=4 is limited by": "server.threads=4 is limited by"}
"""What is said in other words by now: the name of a factor keeps its case at the beginning of a sentence."""


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
    said, recorded = first_edition.SAYINGS[name](root), (first_edition.SAID / f"{name}.txt").read_text()
    for before, after in REWORDED.items():
        recorded = recorded.replace(before, after)
    if not name.startswith("report-"):
        assert as_rounded(said, recorded) == recorded
        return
    now, then = (text.split("\n----\n") for text in (said, recorded))
    assert_the_same_command(now[0], then[0])
    assert_no_line_without_its_figures(now[1], typeset(then[1]))
    assert_the_same_document(now[2], then[2])
    assert_the_same_page(sections_of(now[3]), sections_of(typeset(then[3])))


_DOCUMENT = re.compile(r"^\{$.*^\}$", re.DOTALL | re.MULTILINE)


def assert_the_same_command(now: str, then: str) -> None:
    """A command says what it said, and its JSON holds what it held."""
    here, there = _DOCUMENT.search(now), _DOCUMENT.search(then)
    assert here
    assert there
    assert (now[: here.start()], now[here.end() :]) == (then[: there.start()], then[there.end() :])
    assert_the_same_document(here[0], there[0])


def assert_the_same_document(now: str, then: str) -> None:
    """Every value of the document is there; another may stand beside it."""
    here, there = json.loads(now), json.loads(then)
    kept, recorded = (json.dumps({key: one[key] for key in there}, indent=1) for one in (here, there))
    assert as_rounded(kept, recorded) == recorded


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
            assert now[anchor][len(now[anchor]) - len(lines) + 1 :] == lines[1:], anchor  # a gist may stand before
    said = figures_of(line for anchor in (*MOVED, "warnings") for line in now.get(anchor, []))
    lost = [
        figure
        for figure in figures_of(line for anchor in MOVED for line in then.get(anchor, []))
        if not said_as_well(figure, said)
    ]
    assert lost == []
