"""Pieces that sections are made of, as data: paragraphs, tables, facts, cards, spans of text.

The template of a piece writes its HTML. The other media know the plain pieces of this module and figures, and take
everything else apart into these (:func:`plain_pieces`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd
from markupsafe import Markup

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.report import assets, words


@dataclass(frozen=True)
class Span:
    """Text that is shown as its kind says: ``bold``, ``small``, ``code``; see ``pieces.html.j2`` for all.

    `values` are the numbers that the text shows, for a machine.
    """

    kind: str
    parts: tuple[Cell, ...] = ()
    values: tuple[float, ...] = ()


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


def italic(text: str) -> Span:
    """A term in italics."""
    return Span("italic", (text,))


def badge(verdict: str, colour: str = "") -> Span:
    """A verdict on its colour, or a word on that of another verdict."""
    word = words.plain(verdict)
    known = colour or word
    return Span("badge", (word, known if known in _VERDICTS else "inconclusive"))


def limits(labels: Iterable[object]) -> tuple[Span, ...]:
    """The marks of what limited a number, to stand beside it."""
    known = tuple(words.plain(label) for label in labels if label)
    return (Span("limit", known),) if known else ()


def number(text: str, *values: float) -> Span:
    """Numbers as a reader sees them, and as they are."""
    return Span("number", (text,), values)


def ratio(c: Comparison) -> Span:
    """The ratio of a comparison."""
    return number(words.ratio_of(c), c.ratio)


def interval(c: Comparison) -> Span:
    """The interval of a comparison."""
    return number(words.interval_of(c), c.ci_low, c.ci_high)


def link(text: str, anchor: str) -> Span:
    """The title of another section, which a page links to."""
    return Span("link", (text, anchor))


def text_of(cell: Cell) -> str:
    """A cell as plain text, for media without marks; what begins a line on a page begins one here."""
    if isinstance(cell, str):
        return _spaced(cell)
    if not isinstance(cell, Span):
        return "".join(map(text_of, cell))
    inside = [text_of(part) for part in cell.parts]
    match cell.kind:
        case "trials":
            text = ""
        case "badge" | "link":
            text = inside[0]
        case "limit":
            text = f" ({', '.join(inside)})"
        case "settings":
            text = f"\n{' '.join(part.strip() for part in inside)}"
        case "small" | "idle":
            text = f"({''.join(inside)})"
        case "break":
            text = "\n"
        case "below":
            text = f"\n{''.join(inside)}\n"
        case _:
            text = "".join(inside)
    return text


def lines_of(cell: Cell) -> list[str]:
    """The lines of a cell as plain text, without empty ones."""
    return [line for part in text_of(cell).split("\n") if (line := part.strip())]


def line_of(cell: Cell) -> str:
    """A cell as plain text on one line."""
    return " ".join(lines_of(cell))


def values_of(cell: Cell) -> list[float]:
    """The numbers that a cell shows, in their order."""
    if isinstance(cell, str):
        return []
    if isinstance(cell, Span):
        return [*cell.values, *values_of(cell.parts)]
    return [value for part in cell for value in values_of(part)]


def _spaced(text: str) -> str:
    """Text on one line, with a blank at an end where it had some there."""
    before, after = (" " if end.isspace() else "" for end in (text[:1], text[-1:]))
    return f"{before}{words.plain(text)}{after if text.strip() else ''}"


class Piece:
    """What has a template of its own, which shows it as `it`."""

    TEMPLATE = ""

    def rendered(self, *, in_cell: bool = False) -> Markup:
        """The piece as HTML: for a page, or for the output of a notebook cell."""
        return assets.rendered(self.TEMPLATE, in_cell=in_cell, it=self)


Contents: TypeAlias = "Piece | Sequence[Contents] | None"
"""What a section holds: a piece, or several of them one after the other."""


class Composed(Piece):
    """A value that consists of pieces. A page shows them one after the other, unless it has a template of its own."""

    TEMPLATE = "composed.html.j2"

    @property
    def pieces(self) -> Contents:
        """What it consists of, in the order of reading."""
        raise NotImplementedError

    @property
    def gist(self) -> str:
        """What stands beside the title of its section while that is folded; "" for nothing."""
        return ""


def plain_pieces(contents: Contents) -> Iterator[Piece]:
    """The pieces that contents consist of, in the order of reading, none of which consists of others."""
    if isinstance(contents, Composed):
        yield from plain_pieces(contents.pieces)
    elif isinstance(contents, Piece):
        yield contents
    elif contents is not None:
        for part in contents:
            yield from plain_pieces(part)


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
class Definitions(Piece):
    """Terms, each with a sentence or more on it."""

    pairs: Sequence[tuple[str, Cell]]

    TEMPLATE = "definitions.html.j2"


@dataclass(frozen=True, kw_only=True)
class Card(Piece):
    """A number in large type, what it is, and what there is to know about it."""

    value: Cell
    what: Cell
    more: Cell

    TEMPLATE = "card.html.j2"


@dataclass(frozen=True, kw_only=True)
class CardRow(Piece):
    """Cards side by side."""

    cards: Sequence[Card]

    TEMPLATE = "card_row.html.j2"


@dataclass(frozen=True, kw_only=True)
class Missing(Piece):
    """A line that says what is missing, where it would have stood."""

    text: str

    TEMPLATE = "missing.html.j2"


@dataclass(frozen=True, kw_only=True)
class VerdictLine(Piece):
    """The verdict in large type: its word, "" for none, a sentence, and the marks of what limited it."""

    verdict: str
    sentence: str
    limits: Sequence[str] = ()

    TEMPLATE = "verdict_line.html.j2"


@dataclass(frozen=True, kw_only=True)
class Heading(Piece):
    """A heading inside a section."""

    text: str

    TEMPLATE = "heading.html.j2"


@dataclass(frozen=True, kw_only=True)
class Paragraph(Piece):
    """A paragraph; its `look` is ``note`` for small type, ``confidence`` for the line below the verdict."""

    text: Cell
    look: str = ""

    TEMPLATE = "paragraph.html.j2"


@dataclass(frozen=True, kw_only=True)
class ItemList(Piece):
    """A list, numbered if it is `ordered`."""

    items: Sequence[Cell]
    ordered: bool = False

    TEMPLATE = "item_list.html.j2"


@dataclass(frozen=True, kw_only=True)
class WarningList(Piece):
    """Sentences to read before a number is used; commands in them stand between backticks."""

    texts: Sequence[str]

    TEMPLATE = "warning_list.html.j2"


@dataclass(frozen=True, kw_only=True)
class CodeLines(Piece):
    """Commands as one types them; a line that begins with a blank is indented."""

    lines: Sequence[str]

    TEMPLATE = "code_lines.html.j2"

    @property
    def typed(self) -> list[str]:
        """The lines as plain text."""
        return [f"{'    ' if line[:1] == ' ' else ''}{words.plain(line)}" for line in self.lines]


@dataclass(frozen=True, kw_only=True)
class Aside(Composed):
    """Pieces that a page shows only when a reader opens them."""

    title: str
    contents: Sequence[Piece]

    TEMPLATE = "aside.html.j2"

    @property
    def pieces(self) -> Contents:
        """The same below a heading."""
        return [Heading(text=self.title), *self.contents]


def explained(pairs: Iterable[tuple[str, str]]) -> Paragraph:
    """Words and what they mean, in small type."""
    entries: list[Cell] = [(bold(word), ": ", meaning) for word, meaning in pairs]
    ends = [*["; "] * (len(entries) - 1), "."]
    return Paragraph(text=list(zip(entries, ends, strict=True)), look="note")


def titled_facts(named: Mapping[str, Sequence[tuple[str, str]]]) -> list[Piece]:
    """Lists of facts, each below its title; without those that are empty."""
    return [piece for title, pairs in named.items() if pairs for piece in (Heading(text=title), FactList(pairs=pairs))]


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
