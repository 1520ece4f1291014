"""Pieces of HTML that sections are made of: tables, facts, badges, names of programs, marks.

Cells are escaped where they are made; `table` takes them as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from grpclab import quantities as qty
from grpclab.report import words
from grpclab.report.words import esc

Cells = Sequence[str]
_JOINTS = re.compile(r"(?<=[._=])(?=\w)")


def none(text: str) -> str:
    """A line that says what is missing, where it would have stood."""
    return f'<p class="gl-none">{esc(text)}</p>'


def card(value: str, what: str, more: str) -> str:
    """A number in large type, what it is, and what there is to know about it; all of it HTML."""
    return f'<div class="gl-card"><div class="gl-big">{value}</div><div>{what}</div><small>{more}</small></div>'


def table(header: Cells, rows: Iterable[Cells], *, label: str, numeric: Iterable[int] = (), widest: int = 0) -> str:
    """A table in a container that scrolls sideways on its own.

    The first cell of a row is its heading; a row of one cell heads those that follow. The column `widest`
    takes the room that is left, none if it is -1.
    """
    right = set(numeric)

    def cell(at: int, text: str) -> str:
        kind = ' class="gl-num"' if at in right else ' class="gl-widest"' if at == widest else ""
        return f'<th scope="row"{kind}>{text}</th>' if at == 0 else f"<td{kind}>{text}</td>"

    head = "".join(
        f'<th scope="col"{" class=gl-num" if at in right else ""}>{esc(text)}</th>' for at, text in enumerate(header)
    )

    def line(row: Cells) -> str:
        if len(row) == 1 < len(header):
            return f'<tr class="gl-group"><th scope="rowgroup" colspan="{len(header)}">{row[0]}</th></tr>'
        return f"<tr>{''.join(cell(at, text) for at, text in enumerate(row))}</tr>"

    bodies: list[list[str]] = [[]]
    for row in rows:
        if len(row) == 1 < len(header) and bodies[-1]:
            bodies.append([])
        bodies[-1].append(line(row))
    body = "".join(f"<tbody>{''.join(lines)}</tbody>" for lines in bodies)
    return (
        f'<div class="gl-scroll" tabindex="0" role="region" aria-label="{esc(label)}">'
        f"<table><thead><tr>{head}</tr></thead>{body}</table></div>"
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of terms and what they are; both are plain text."""
    items = "".join(f"<div><dt>{esc(term)}</dt><dd>{esc(text)}</dd></div>" for term, text in pairs)
    return f'<dl class="gl-facts">{items}</dl>'


def badge(verdict: str) -> str:
    """A verdict on its colour."""
    word = words.plain(verdict)
    known = word if word in {"faster", "slower", "equivalent", "inconclusive"} else "inconclusive"
    return f'<span class="gl-badge gl-{known}">{esc(word)}</span>'


def code(text: object) -> str:
    """A name of a program, which may break after its dots and underscores; a dash for none."""
    if not text:
        return qty.MISSING
    parts = "<wbr>".join(esc(part) for part in _JOINTS.split(words.plain(text)))
    return f"<code>{parts}</code>"


def limits(labels: Iterable[object]) -> str:
    """The marks of what limited a number, to stand beside it."""
    return "".join(f' <span class="gl-limit">{esc(label)}</span>' for label in labels if label)


def frame(values: pd.DataFrame, *, label: str) -> str:
    """A frame of words as it stands, its index as headings."""
    rows = [[esc(name), *map(esc, row)] for name, row in zip(values.index, values.to_numpy(), strict=True)]
    return table(["", *map(str, values.columns)], rows, label=label, widest=-1)


def flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """A nested mapping as pairs of words: ``load_average.before`` becomes ``load average, before``."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            pairs.extend(flat(value, f"{name}, ") or [(name, qty.MISSING)])
        else:
            pairs.append((name, _plain(value)))
    return pairs


def _plain(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(v) for v in value) or qty.MISSING
    return words.plain(value)
