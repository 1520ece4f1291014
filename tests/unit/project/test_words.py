"""The check of wording: what it finds, what it leaves alone, and that it reads everything people read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import words
from tools.reference import help_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("phrase", words.PHRASES, ids=lambda phrase: phrase.source[:40])
def test_a_phrase_is_found_in_the_sentence_it_came_from(phrase: words.Phrase) -> None:
    (found, *_) = words.findings("here", f"First.\n\n{phrase.source}\n")
    assert found.startswith("here:3: ")
    assert not re.search(phrase.pattern, phrase.instead, re.IGNORECASE)


def test_there_are_about_forty_phrases_each_once() -> None:
    patterns = [phrase.pattern for phrase in words.PHRASES]
    assert len(patterns) >= 40
    assert len(set(patterns)) == len(patterns)


@pytest.mark.parametrize(
    "text",
    [
        "```\nA server that is gone on with: 3.2x\n```\n",
        "`3.2x` and [a page](what-harms.md#one's)",
        "A mark <!-- example: is told -->3.2×<!-- /example -->, and 25 µs.",
        "There is no server.",
    ],
)
def test_code_comments_and_links_are_not_judged(text: str) -> None:
    assert list(words.findings("here", text)) == []


def test_a_phrase_that_breaks_over_a_line_is_found_on_its_first() -> None:
    (found,) = words.findings("here", "One.\nAn interrupted one is gone\non with.\n")
    assert found.startswith("here:2: 'gone on with'")


def test_pages_notebooks_and_the_help_of_every_command_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = help_of("")
    monkeypatch.setattr(words, "help_of", lambda command: command or listed)
    read = dict(words.texts())
    assert {"README.md", "docs/README.md", "docs/decisions/README.md", "notebooks/sweep.ipynb"} <= set(read)
    assert {"reference/python.md", "reference/files.md"} <= set(read)
    assert {"grpclab/load/run.py", "grpclab/report/templates/grpclab/report.html.j2"} <= set(read)
    assert {f"grpclab {name} --help" for name in ("bench", "compare", "study", "doctor")} <= set(read)
    assert all(text for name, text in read.items() if not name.startswith("grpclab/"))


MODULE = '''"""It stood still."""
def stopped(x):
    """The generator stood still for a while."""
    raise ValueError(f"the generator stood still for {x} s, as if it were stopped")
SHORT = "it stood still"
LONG = (
    "it sends calls as they are due, and each rate "
    "was kept up with"
)
'''


def test_of_a_module_its_sentences_are_read_and_neither_docstrings_nor_names() -> None:
    found = sorted(line.partition(": write")[0] for line in words.findings("here", words.sentences(MODULE)))
    assert found == ["here:4: 'stood still'", "here:7: 'was kept up with'"]


def test_make_check_and_nothing_else_runs_it() -> None:
    assert "-m tools.words\n" in (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
