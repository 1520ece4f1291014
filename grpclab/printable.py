"""Text that somebody else wrote (a server, a report that was sent), made fit for one line on a terminal. Pure."""

from __future__ import annotations

import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of characters that are not shown, and may move or reorder what is."""


def printable(text: str, most: int | None = None) -> str:
    """The text on one line, without control and formatting characters, cut to `most` characters with an ellipsis."""
    spaced = "".join(" " if letter.isspace() else letter for letter in text.strip())
    shown = "".join(letter for letter in spaced if unicodedata.category(letter) not in _INVISIBLE)
    return shown if most is None or len(shown) <= most else shown[: most - 1] + "…"
