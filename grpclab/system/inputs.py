"""Users' input: values of calls and notebooks, and the text of their own files.

It is taken where it can be meant; else one line says what was expected.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grpclab.errors import UsageError, invalid

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 2**63 - 1
STDIN = "-"

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks, and the encoding that each announces."""


def beside(name: str, folder: Path) -> str:
    """The path of a file that another file in `folder` names; standard input stays what it is."""
    from pathlib import Path  # here, and below: a help has no use for it

    return name if name == STDIN else str(folder / Path(name).expanduser())


def unreadable(option: str, name: str | Path, expected: str, error: OSError) -> UsageError:
    """The error for a file that cannot be read; it names the folder that was searched."""
    from pathlib import Path

    return UsageError(invalid(option, name, f"{expected} in {Path(name).absolute().parent} ({error.strerror})"))


def read_text(option: str, name: str | Path) -> str:
    """The text of the file that `option` names; ``-`` is standard input. Raises UsageError.

    UTF-8, or what a byte order mark announces; the mark itself is no part of the text.
    """
    try:
        content = _standard_input() if str(name) == STDIN else _content(name)
    except OSError as error:
        raise unreadable(option, name, "a readable file", error) from None
    return content if isinstance(content, str) else decode(option, name, content)


def _content(name: str | Path) -> bytes:
    with open(name, "rb") as file:
        return file.read()


def decode(option: str, name: str | Path, content: bytes) -> str:
    """The text that the bytes of a file are. Raises UsageError, which names the file and the byte."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
        at = -1 if mark else text.find("\0")  # UTF-16 without its mark can be valid UTF-8, with NUL in between
    except UnicodeDecodeError as error:
        text, at = "", error.start
    if at < 0:
        return text
    at += len(mark)
    expected = (
        encoding.upper().removesuffix("-LE").removesuffix("-BE")
        if mark
        else "UTF-8, or UTF-16 with its byte order mark"
    )
    raise UsageError(invalid(option, name, f"text in {expected}: byte {at:,} is 0x{content[at]:02x}"))


def _standard_input() -> bytes | str:
    stream = sys.stdin
    return stream.buffer.read() if hasattr(stream, "buffer") else stream.read()


# ---- values ------------------------------------------------------------------------------------------------------


def refusal(name: str, value: object, expected: str) -> UsageError:
    """The error for an argument that has no meaning."""
    huge = isinstance(value, int) and abs(value) > LARGEST
    return UsageError(invalid(name, "<a huge integer>" if huge else ascii(value), expected))


def plain(value: Any) -> Any:
    """A scalar of numpy or pandas as Python's own; anything else as it is."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def whole(name: str, value: object, *, minimum: int = 0) -> int:
    """A whole number, also as numpy has it, as 2.0, or as the text "2". Raises UsageError."""
    from numbers import Integral

    number = plain(value)
    if isinstance(number, str) and number.isascii() and number.strip().removeprefix("-").isdigit() and len(number) < 20:
        number = int(number)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, Integral) or not minimum <= int(number) <= LARGEST:
        raise refusal(name, value, f"a whole number of {minimum} or more")
    return int(number)


def text(name: str, value: object, example: str) -> str:
    """A text. Raises UsageError."""
    if not isinstance(value, str):
        raise refusal(name, value, f"a string, e.g. {example!r}")
    return str(value)


def mapping(name: str, value: object, example: str) -> Mapping[str, Any]:
    """A mapping of texts. Raises UsageError."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise refusal(name, value, f"a mapping, e.g. {example}")
    return value
