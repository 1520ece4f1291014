"""Pieces that sections are made of, as data: tables, facts, cards, spans of text. Their templates write the HTML."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd
from markupsafe import Markup

from grpclab import quantities as qty
from grpclab.report import assets, words


@dataclass(frozen=True)
class Span:
    """Text that is shown as its kind says: ``bold``, ``small``, ``code``; see ``pieces.html.j2`` for all."""

    kind: str
    parts: tuple[Cell, ...] = ()


Cell: TypeAlias = "str | Span | Sequence[Cell]"
"""What stands in a cell or a line: text, a span, or several of them one after the other."""
Cells = Sequence[Cell]
_JOINTS = re.compile(r"(?<=[._=])(?=\w)")
_VERDICTS = frozenset({"faster", "slower", "equivalent", "inconclusive"})

BREAK = Span("break")


def bold(*parts: Cell) -> Span:
    """Text in bold type."""
    return Span("bold", parts)


def small(*parts: Cell) -> Span:
    """Text in small type beside what it belongs to."""
    return Span("small", parts)


def below(*parts: Cell) -> Span:
    """The same on a line of its own."""
    return Span("below", parts)


def code(text: object) -> Cell:
    """A name of a program, which may break after its dots and underscores; a dash for none."""
    return Span("code", tuple(_JOINTS.split(words.plain(text)))) if text else qty.MISSING


def name(text: object) -> Span:
    """A name of a program in one piece."""
    return Span("code", (words.plain(text),))


def badge(verdict: str, colour: str = "") -> Span:
    """A verdict on its colour, or a word on that of another verdict."""
    word = words.plain(verdict)
    known = colour or word
    return Span("badge", (word, known if known in _VERDICTS else "inconclusive"))


def limits(labels: Iterable[object]) -> tuple[Span, ...]:
    """The marks of what limited a number, to stand beside it."""
    return tuple(Span("limit", (words.plain(label),)) for label in labels if label)


def text_of(cell: Cell) -> str:
    """A cell as plain text, for media without marks."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, Span):
        if cell.kind == "badge":
            return str(cell.parts[0])
        apart = "" if cell.kind in ("bold", "code", "small", "quiet", "idle", "unbroken") else " "
        return "" if cell.kind == "trials" else apart + "".join(map(text_of, cell.parts))
    return "".join(map(text_of, cell))


class Piece:
    """What has a template of its own, which shows it as `it`."""

    TEMPLATE = ""

    def rendered(self, *, in_cell: bool = False) -> Markup:
        """The piece as HTML: for a page, or for the output of a notebook cell."""
        return assets.rendered(self.TEMPLATE, in_cell=in_cell, it=self)


@dataclass(frozen=True, kw_only=True)
class Table(Piece):
    """A table. The first cell of a row is its heading; a row of one cell heads those that follow.

    The columns `numeric` are aligned to the right; the column `widest` takes the room that is left, none if it is -1.
    """

    header: Sequence[str]
    rows: Sequence[Cells]
    label: str
    numeric: Collection[int] = ()
    widest: int = 0

    TEMPLATE = "table.html.j2"

    @property
    def groups(self) -> list[list[Cells]]:
        """The rows, a list for each heading and those that follow."""
        found: list[list[Cells]] = [[]]
        for row in self.rows:
            if len(row) == 1 < len(self.header) and found[-1]:
                found.append([])
            found[-1].append(row)
        return found


@dataclass(frozen=True, kw_only=True)
class FactList(Piece):
    """A list of terms and what they are; both are plain text."""

    pairs: Sequence[tuple[str, str]]

    TEMPLATE = "facts.html.j2"


@dataclass(frozen=True, kw_only=True)
class Card(Piece):
    """A number in large type, what it is, and what there is to know about it."""

    value: Cell
    what: Cell
    more: Cell

    TEMPLATE = "card.html.j2"


@dataclass(frozen=True, kw_only=True)
class Missing(Piece):
    """A line that says what is missing, where it would have stood."""

    text: str

    TEMPLATE = "missing.html.j2"


@dataclass(frozen=True, kw_only=True)
class Paragraph(Piece):
    """A paragraph of plain text."""

    text: str

    TEMPLATE = "paragraph.html.j2"


def frame(values: pd.DataFrame, *, label: str) -> Table:
    """A frame of words as it stands, its index as headings."""
    rows = [[str(index), *map(str, row)] for index, row in zip(values.index, values.to_numpy(), strict=True)]
    return Table(header=["", *map(str, values.columns)], rows=rows, label=label, widest=-1)


def flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """A nested mapping as pairs of words: ``load_average.before`` becomes ``load average, before``."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        term = f"{prefix}{_term(str(key))}"
        if isinstance(value, Mapping):
            pairs.extend(flat(value, f"{term}, ") or [(term, qty.MISSING)])
        else:
            pairs.append((term, qty.memory(value) if key == "memory_bytes" and value else _plain(value)))
    return pairs


_TERMS = {
    "cap_sys_ptrace": "CAP_SYS_PTRACE",
    "cpu_model": "CPU model",
    "cpu_quota_cores": "CPU quota, cores",
    "memory_bytes": "memory",
    "nofile_hard": "open files, hard limit",
    "nofile_soft": "open files, soft limit",
    "dirty": "uncommitted changes",
    "rtt_ms_asked": "round trip asked for, ms",
    "rtt_ms_p50": "round trip p50, ms",
    "rtt_ms_p99": "round trip p99, ms",
    "overhead_ms_p50": "relay's own delay p50, ms",
    "direct_ms_p50": "without the relay p50, ms",
}


def _term(key: str) -> str:
    """A stored name as a reader says it; an environment variable keeps its own."""
    return _TERMS.get(key) or (key if key.isupper() else key.replace("_", " "))


_DIGITS = 7
"""A number that takes more signs than this is rounded."""


def _plain(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and len(str(value)) > _DIGITS:
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value) or qty.MISSING
    return words.plain(value)
