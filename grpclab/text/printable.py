"""Text that somebody else wrote (a server, a report that was sent), made harmless for a terminal. Pure.

A terminal obeys what it is sent: escape sequences move the cursor, set the title, fill the clipboard; U+202E reverses
what follows. :func:`printable` makes one line of a text, :func:`harmless` keeps its lines.
"""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of characters that are not shown, and may move or reorder what is."""
_KEPT = "\n\t"
"""The control characters of which layout is made."""
_ASCII_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_OTHER_LINE_ENDS = re.compile("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def printable(text: str, most: int | None = None) -> str:
    """The text on one line, without control and formatting characters, cut to `most` characters with an ellipsis."""
    shown = text.strip()
    if not shown.isprintable():  # most texts are: none of their letters is invisible, and a blank is a space
        spaced = "".join(" " if letter.isspace() else letter for letter in shown)
        shown = "".join(letter for letter in spaced if unicodedata.category(letter) not in _INVISIBLE)
    return shown if most is None or len(shown) <= most else shown[: most - 1] + "…"


def harmless(text: str) -> str:
    """The text with its lines and tabs, without any other control or formatting character.

    What else may end a line, or go back to its beginning (a carriage return, U+2028), becomes a space.
    """
    text = _OTHER_LINE_ENDS.sub(" ", text.replace("\r\n", "\n"))
    if text.isascii():
        return _ASCII_CONTROL.sub("", text)
    return "".join(c for c in text if c in _KEPT or unicodedata.category(c) not in _INVISIBLE)
