"""What the first edition stored still opens, and every command says of it what it said then."""

from __future__ import annotations

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
    *now, page = said.split("\n----\n")
    *then, page_then = recorded.split("\n----\n")
    assert [as_rounded(here, there) for here, there in zip(now, then, strict=True)] == then
    assert_the_same_page(sections_of(page), sections_of(typeset(page_then)))


def assert_the_same_page(now: dict[str, list[str]], then: dict[str, list[str]]) -> None:
    """Every section says what it said; what was shared out anew says every figure that it did."""
    for anchor, lines in then.items():
        if anchor not in (*MOVED, "nav"):
            assert now[anchor][len(now[anchor]) - len(lines) + 1 :] == lines[1:], anchor  # a gist may stand before
    said = figures_of(line for anchor in MOVED for line in now.get(anchor, []))
    lost = [
        figure
        for figure in figures_of(line for anchor in MOVED for line in then.get(anchor, []))
        if not said_as_well(figure, said)
    ]
    assert lost == []
