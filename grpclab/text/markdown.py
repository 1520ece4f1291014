"""Plain text as GitHub's Markdown. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from grpclab.text.printable import printable

_MARKUP = re.compile(r"([\\`*_\[\]|~])")
_BLOCK = re.compile(r"^(?:[-+=]|\d+(?=[.)]))")
_REFERENCE = re.compile(r"(@|#|\bgh(?=-)|:(?=//)|\bwww(?=\.))", re.IGNORECASE)
_NOTHING = "&#8203;"
"""A space of no width: what it stands in is read as before, and neither pings anyone nor becomes a link."""


def escape(text: object, *, begins: bool = True) -> str:
    """Plain text as Markdown that shows exactly that text, on one line; `begins`: it may begin a line."""
    plain = " ".join(printable(str(text)).split())
    shown = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")
    shown = _MARKUP.sub(r"\\\1", shown)
    shown = _BLOCK.sub(lambda start: f"{start[0]}{_NOTHING}", shown) if begins else shown
    # An entity of ours holds a # as well, so the parts around them are taken one by one.
    return "".join(
        piece if piece.startswith("&") else _REFERENCE.sub(rf"\1{_NOTHING}", piece)
        for piece in re.split(r"(&#?\w+;)", shown)
    )


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """A table of cells that are escaped already; the columns `right` are aligned to the right. "" without rows."""
    if not rows:
        return ""
    rule = ["---:" if name in right else "---" for name in header]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def fenced(lines: Sequence[str]) -> str:
    """Lines as a block of code, which shows them as they are; "" without any."""
    if not lines:
        return ""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence, *lines, fence])
