"""A study as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpclab.analysis.setup import foreign, lab_words
from grpclab.report import words
from grpclab.report.blocks import FigureBlock, Section
from grpclab.report.content import VERDICT, sections
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import (
    Card,
    CardRow,
    Cell,
    Cells,
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
from grpclab.text.markdown import escape, fenced, table

MOST_CHARACTERS = 64_000
"""The length of the Markdown at most: a comment may have 65,536 characters."""
MOST_ROWS = 150
"""So many rows of a table at most."""
_VERSIONS = ("python", "grpcio", "protobuf", "uvloop")
_FACTS = ("host", "cpu_model", "cores", "kernel", *_VERSIONS)


def markdown(study: FinishedStudy, made: Sequence[Section] | None = None) -> str:
    """The study as GitHub-flavoured Markdown: the verdict and what it rests on, then the other sections, folded.

    Whatever text is in the study: it adds no markup, loads nothing, mentions nobody and refers to no issue. Sections
    that would make it longer than MOST_CHARACTERS are named instead. `made` are the sections, if they exist already.
    """
    shown = sections(study) if made is None else made
    return document(shown, _machine(study), f"{study.name}.html")


def document(shown: Sequence[Section], measured: str, report: str) -> str:
    """Sections as GitHub-flavoured Markdown, those of VERDICT unfolded; `report` is the file that has all of them.

    `measured` is a line on when and where, as Markdown. Sections that would make the text longer than MOST_CHARACTERS
    are named instead.
    """
    parts = [_section(part) for part in shown if part.anchor in VERDICT]
    last = [measured, f"The full report is {escape(report)}, a single file next to this one that opens offline."]
    room = MOST_CHARACTERS - sum(len(part) + 2 for part in (*parts, *last))
    left_out = []
    for part in shown:
        if part.anchor in VERDICT:
            continue
        folded = f"<details><summary>{escape(part.title)}</summary>\n\n{_pieces(part)}\n\n</details>"
        if len(folded) + 2 > room:
            left_out.append(part.title)
            continue
        room -= len(folded) + 2
        parts.append(folded)
    if left_out:
        parts.append(
            f"These parts are too long for a comment and are only in the report: {escape(words.listing(left_out))}."
        )
    return "\n\n".join(part for part in (*parts, *last) if part) + "\n"


def _section(part: Section) -> str:
    """A section that is not folded; the verdict needs no heading."""
    heading = "" if part.anchor == VERDICT[0] else f"**{escape(part.title)}**\n\n"
    return f"{heading}{_pieces(part)}"


def _pieces(part: Section) -> str:
    return "\n\n".join(text for piece in part.plain_pieces if (text := _piece(piece)))


def _piece(piece: Piece) -> str:
    match piece:
        case VerdictLine():
            word = f"**{escape(piece.verdict)}:** " if piece.verdict else ""
            bound = f" ({', '.join(map(escape, piece.limits))})" if piece.limits else ""
            shown = f"{word}{_line(piece.sentence, begins=not word)}{bound}"
        case FigureBlock():
            shown = f"*{_line(piece.title)}.* {' '.join(map(_line, piece.told))}"
        case Table():
            shown = _table(piece)
        case CardRow():
            shown = "\n".join(map(_card, piece.cards))
        case Card():
            shown = _card(piece)
        case FactList() | Definitions():
            shown = "\n".join(f"- **{_line(term)}:** {_line(text)}" for term, text in piece.pairs)
        case ItemList():
            marks = [f"{at}." if piece.ordered else "-" for at in range(1, len(piece.items) + 1)]
            items = zip(marks, piece.items, strict=True)
            shown = "\n".join(f"{mark} {_line(item, begins=True)}" for mark, item in items)
        case WarningList():
            shown = "\n".join(f"- {_line(text, begins=True)}" for text in piece.texts)
        case CodeLines():
            shown = fenced(piece.typed)
        case Heading():
            shown = f"**{_line(piece.text)}**"
        case Paragraph() | Missing():
            shown = _line(piece.text, begins=True)
        case _:
            raise TypeError(f"{type(piece).__name__} is not a plain piece")
    return shown


def _line(cell: Cell, *, begins: bool = False) -> str:
    return escape(line_of(cell), begins=begins)


def _card(card: Card) -> str:
    more = "; ".join(escape(line, begins=False) for line in lines_of(card.more))
    return f"- **{_line(card.value)}** {_line(card.what)}" + (f": {more}" if more else "")


def _table(piece: Table) -> str:
    """The table; a row that heads others has its other cells empty."""
    header = [_line(name) for name in piece.header]
    rows = [_row(row, len(header)) for row in piece.rows[:MOST_ROWS]]
    left_out = len(piece.rows) - len(rows)
    more = f"\n\nThe report lists {left_out:,} more." if left_out > 0 else ""
    return f"{table(header, rows, {header[at] for at in piece.numeric})}{more}"


def _row(row: Cells, columns: int) -> list[str]:
    cells = ["<br>".join(escape(line, begins=False) for line in lines_of(cell)) for cell in row]
    if len(cells) > 1 or columns == 1:
        return cells
    first, more, others = cells[0].partition("<br>")
    return [f"**{first}**{more}{others}", *[""] * (columns - 1)]


def _machine(study: FinishedStudy) -> str:
    manifest = study.manifest
    known: dict[str, Any] = {**manifest.versions, **vars(manifest.machine)}
    theirs = bool(foreign(study.plan))  # then versions are not the server's, and are said to be the lab's
    machine = [key for key in _FACTS if known.get(key) and not (theirs and key in _VERSIONS)]
    facts = [f"{key.replace('_model', '').replace('_', ' ')} {known[key]}" for key in machine]
    commit = words.plain(manifest.git.commit or "")[:12]
    dirty = " with changes" if manifest.git.dirty else ""
    parts = [manifest.created_at, *facts, f"commit {commit}{dirty}" if commit else ""]
    parts.append(f"by {lab_words(study.manifest.versions)}" if theirs else "")
    parts.append(f"seed {manifest.seed}" if manifest.seed is not None else "")
    text = ", ".join(escape(text) for text in parts if text)
    return f"Measured: {text}." if text else ""
