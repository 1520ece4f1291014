"""The words of a report whose sections stand in another order by now: its sections, and the figures among the words."""

from __future__ import annotations

import re
from collections.abc import Iterable

MOVED = ("head", "question", "answer", "certainty", "terms")
"""Sections whose words were shared out anew: the answer is shorter, and what it rests on has sections of its own."""
REDRAWN = ("comparisons", "idle", "waiting", "windows")
"""Sections whose pictures have other labels and axes by now; what these show is in the words around them, too."""
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?")
_LAYOUT = re.compile(r"<(?!html|section id=|div aria-label=|span aria-label=|a href=[^#])[^>]*>")
"""What the page looks like, and the links to its sections."""


def sections_of(text: str) -> dict[str, list[str]]:
    """The lines of a page's words by the anchor of their section, without those that only say how they look."""
    found: dict[str, list[str]] = {}
    here = "head"
    lines = text.splitlines()
    in_picture = False
    for at, line in enumerate(lines):
        in_picture = line == "<div class=gl-wide>" or (in_picture and lines[at + 1 : at + 2] != ["How to read this"])
        if in_picture and here in REDRAWN:
            continue
        if begun := re.fullmatch(r"<section id=(.*)>", line):
            here = begun[1]
        elif line == "<nav aria-label=Sections>":
            here = "nav"
        elif not _LAYOUT.fullmatch(line) and line:
            found.setdefault(here, []).append(line)
    return found


def figures_of(lines: Iterable[str]) -> set[str]:
    """Every number among the words, without the commas of thousands."""
    return {number.replace(",", "") for line in lines for number in _NUMBER.findall(line)}


def said_as_well(figure: str, figures: Iterable[str]) -> bool:
    """Whether one of the figures is that one, or the same with more digits."""
    digits = len(figure.partition(".")[2])
    return any(abs(float(other) - float(figure)) <= 0.5000001 * 10**-digits for other in figures)
