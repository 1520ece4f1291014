"""A study in plain text, for a terminal: the comparisons that matter as a table, and any section of the report."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table as Grid
from rich.text import Text

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.analysis.study_plan import PlannedRung
from grpclab.metrics import metric_words
from grpclab.report import together, words
from grpclab.report.blocks import FigureBlock, Section
from grpclab.report.figures.waiting import comparisons as waiting
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import features
from grpclab.report.tables import (
    Card,
    CardRow,
    Cell,
    CodeLines,
    Definitions,
    FactList,
    Heading,
    ItemList,
    Missing,
    Paragraph,
    Piece,
    Table,
    VerdictLine,
    WarningList,
    line_of,
    lines_of,
)

WIDTH = 100
"""The columns of :func:`table`, where there are as many."""
LEAST = 60
"""The fewest columns; a narrower terminal breaks the rows."""
_GAP = 2
"""The blanks between two columns."""
_NARROWEST = 8
"""The fewest characters of a column that has no more room."""
_LONGEST_WORD = 36
"""A word of more characters may be broken."""


# ---- the comparisons that matter ------------------------------------------------------------------------------------


def table(study: FinishedStudy, width: int = WIDTH) -> str:
    """The comparisons that matter in plain text, `width` columns at most.

    The headline, parts, ladder, features, handlers that wait and A/A; in a study without parts, ladder and features,
    every level that was compared. Below them, what was measured together and what was not.
    """
    width = max(LEAST, min(WIDTH, width))
    cells = [["", "ratio", "95% interval", "verdict"], *_rows(study)]
    widths = [max(len(row[at]) for row in cells) for at in range(4)]
    widths[0] = max(12, min(widths[0], width - sum(widths[1:]) - 6))
    lines = [
        f"{_cut(name, widths[0]):<{widths[0]}}  {ratio:>{widths[1]}}  {between:>{widths[2]}}  {verdict}"
        for name, ratio, between, verdict in cells
    ]
    shown = together.line(study)
    more = textwrap.wrap(f"measured together: {shown}", width) if shown else []
    return "\n".join([*(line[:width].rstrip() for line in lines), *more])


def _rows(study: FinishedStudy) -> Iterator[list[str]]:
    """The rows of the table: a title, ratio, interval and verdict."""
    yield _row(words.title_of(study.headline, "the headline"), study.headline)
    shown = [study.headline]
    for c in _other_metrics(study):
        yield _row(f"  in {metric_words(c.metric)}", c)
        shown.append(c)
    for title, c in study.parts():
        yield _row(f"  {title}", c)
    for rung, c in study.rungs():
        yield _row(f"  ladder: {_rung(rung)}", c)
    for title, c in features(study):
        yield _row(f"  {title}", c)
    yield from (
        [f"  ladder: {_rung(rung)}", "-", "-", "not testable here"] for rung in study.plan.ladder if rung.not_testable
    )
    for c in waiting(study):
        if c is not study.headline:
            yield _row(f"  {words.title_of(c)}", c)
            shown.append(c)
    if not (study.plan.parts or study.plan.ladder or study.plan.features):
        yield from (_row(f"  {words.title_of(c)}", c) for c in _other_candidates(study) if c not in shown)
    if aa := study.verdict.aa:
        yield _row(words.title_of(aa), aa)


def _cut(title: str, width: int) -> str:
    indent = len(title) - len(title.lstrip(" "))
    return " " * indent + words.short(title, width - indent).replace("…", "~")


def _row(title: str, c: Comparison) -> list[str]:
    """A comparison in the cells of a row."""
    labels = [words.plain(label) for label in c.limited_by if label]
    verdict = words.plain(c.verdict_words) + (f" ({', '.join(labels)})" if labels else "")
    cells = [qty.ratio(c.ratio), words.interval_of(c), words.short(verdict, 44)]
    return [title.rstrip(), *(text.replace(qty.MISSING, "-").replace("…", "~") for text in cells)]


def _rung(rung: PlannedRung) -> str:
    """A rung's title, and whether optimized rejects it."""
    return words.plain(rung.title) + ("" if rung.kept else " (rejected)")


def _other_metrics(study: FinishedStudy) -> list[Comparison]:
    """The headline's two compared in anything else."""
    first = study.headline
    same = (first.scenario, first.baseline, first.candidate)
    return [
        c
        for c in study.verdict.comparisons
        if (c.scenario, c.baseline, c.candidate) == same and c.metric not in ("", first.metric)
    ]


def _other_candidates(study: FinishedStudy) -> list[Comparison]:
    """The other comparisons in the headline's metric."""
    first = study.headline
    return [c for c in study.verdict.comparisons if c.metric == first.metric and c.candidate != first.candidate]


# ---- the sections of the report --------------------------------------------------------------------------------------


def sections_text(parts: Iterable[Section], width: int = WIDTH) -> str:
    """Sections of the report in plain text, each below its title."""
    return "\n\n\n".join(_section(part, max(LEAST, width)) for part in parts)


def _section(part: Section, width: int) -> str:
    pieces = [text for piece in part.plain_pieces if (text := _piece(piece, width))]
    return "\n\n".join([f"{part.title}\n{'=' * len(part.title)}", *pieces])


def _piece(piece: Piece, width: int) -> str:
    match piece:
        case VerdictLine():
            limits = f" ({', '.join(piece.limits)})" if piece.limits else ""
            shown = _wrapped(f"{piece.verdict}: {piece.sentence}{limits}".removeprefix(": "), width)
        case FigureBlock():
            shown = "\n".join(_wrapped(text, width) for text in (f"Figure: {piece.title}", *piece.told))
        case Table():
            shown = _grid(piece, width)
        case CardRow():
            shown = "\n".join(_card(card, width) for card in piece.cards)
        case Card():
            shown = _card(piece, width)
        case FactList():
            widest = max((len(term) for term, _ in piece.pairs), default=0)
            shown = "\n".join(_hanging(f"{term:<{widest}}  ", text, width) for term, text in piece.pairs)
        case Definitions():
            shown = "\n".join(_wrapped(f"{term}: {line_of(text)}", width, "  ") for term, text in piece.pairs)
        case ItemList():
            marks = [f"{at}. " if piece.ordered else "- " for at in range(1, len(piece.items) + 1)]
            items = zip(marks, piece.items, strict=True)
            shown = "\n".join(_hanging(mark, line_of(item), width) for mark, item in items)
        case WarningList():
            shown = "\n".join(_wrapped(f"warning: {text}", width, "  ") for text in piece.texts)
        case CodeLines():
            shown = "\n".join(f"  {line}" for line in piece.typed)
        case Heading() | Paragraph() | Missing():
            shown = _wrapped(piece.text, width)
        case _:
            raise TypeError(f"{type(piece).__name__} is not a plain piece")
    return shown


def _wrapped(cell: Cell, width: int, indent: str = "") -> str:
    return "\n".join(textwrap.wrap(line_of(cell), width, subsequent_indent=indent, break_on_hyphens=False))


def _hanging(mark: str, text: str, width: int) -> str:
    """A text behind its mark, its other lines beneath its first."""
    indent = " " * min(len(mark), width // 2)
    return "\n".join(
        textwrap.wrap(words.plain(text), width, initial_indent=mark, subsequent_indent=indent, break_on_hyphens=False)
    )


def _card(card: Card, width: int) -> str:
    first = _wrapped(f"{line_of(card.value)}  {line_of(card.what)}", width, "  ")
    return "\n".join([first, *(_hanging("  ", line, width) for line in lines_of(card.more))])


def _grid(table: Table, width: int) -> str:
    """A table in columns as wide as they need to be; a row that heads others has a line of its own."""
    columns = len(table.header)
    groups = [[["\n".join(lines_of(cell)) for cell in row] for row in group] for group in table.groups]
    rows = [row for group in groups for row in group if len(row) == columns]
    widths = _widths(table, rows, width)
    below = int(any("\n" in cell for row in rows for cell in row))  # a blank line sets rows of several lines apart

    def drawn(rows: Sequence[Sequence[str]]) -> list[str]:
        grid = Grid(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, below, 0))
        for at, widest in enumerate(widths):
            justify: JustifyMethod = "right" if at in table.numeric else "left"
            grid.add_column(width=widest, justify=justify, overflow="fold")
        for row in rows:
            grid.add_row(*map(Text, row))
        console = Console(file=io.StringIO(), width=sum(widths) + _GAP * columns, color_system=None)
        with console.capture() as capture:
            console.print(grid)
        return "\n".join(line.rstrip() for line in capture.get().splitlines()).rstrip().split("\n")

    lines = drawn([table.header])
    for group in groups:
        for heading in (row[0] for row in group if len(row) < columns):
            lines += ["", *(_wrapped(line, width) for line in heading.split("\n"))]
        lines += [*([""] * below), *drawn([row for row in group if len(row) == columns])]
    return "\n".join(lines)


def _widths(table: Table, rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The width of each column: the widest ones give way until all fit, and break words only if they must."""
    columns = list(zip(table.header, *rows, strict=True))
    widths = [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns]
    words_of = [
        [
            *name.split(),
            *(part for cell in cells for part in (cell.split("\n") if at in table.numeric else cell.split())),
        ]
        for at, (name, *cells) in enumerate(columns)
    ]
    unbroken = [min(_LONGEST_WORD, max(map(cell_len, parts), default=0)) for parts in words_of]
    for floors in (unbroken, [_NARROWEST] * len(widths)):
        while sum(widths) + _GAP * (len(widths) - 1) > width:
            wide = [at for at, widest in enumerate(widths) if widest > floors[at]]
            if not wide:
                break
            widths[max(wide, key=lambda at: widths[at])] -= 1
    return widths
