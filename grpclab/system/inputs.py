"""A user's own files: where they are looked for, and the text in them."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

from grpclab.errors import UsageError, invalid

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
    return name if name == STDIN else str(folder / Path(name).expanduser())


def unreadable(option: str, name: str | Path, expected: str, error: OSError) -> UsageError:
    """The error for a file that cannot be read; it names the folder that was searched."""
    return UsageError(invalid(option, name, f"{expected} in {Path(name).absolute().parent}: {error.strerror}"))


def read_text(option: str, name: str | Path) -> str:
    """The text of the file that `option` names; ``-`` is standard input. Raises UsageError.

    UTF-8, or what a byte order mark announces; the mark itself is no part of the text.
    """
    try:
        content = _standard_input() if str(name) == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise unreadable(option, name, "a file that can be read", error) from None
    return content if isinstance(content, str) else decode(option, name, content)


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
    told = (
        encoding.upper().removesuffix("-LE").removesuffix("-BE")
        if mark
        else "UTF-8, or UTF-16 with its byte order mark"
    )
    raise UsageError(invalid(option, name, f"text in {told}: byte {at:,} is 0x{content[at]:02x}"))


def _standard_input() -> bytes | str:
    stream = sys.stdin
    return stream.buffer.read() if hasattr(stream, "buffer") else stream.read()
