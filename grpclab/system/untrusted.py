"""Files that somebody else may have written, read within bounds: a regular file, so many bytes, JSON so large and deep.

What is refused raises ValueError, whose text goes on after the file's name: "is cut off", "holds more than ...".
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

MIB = 2**20
JSON_BYTES = 16 * MIB
JSON_PARTS = 1_000_000
"""Texts, separators and opening brackets: what decides how much memory the values take."""
JSON_DEPTH = 64
"""Python's own reader and writer give up at about 1,000; what is stored here is 8 deep."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{,]|[\]}]', re.DOTALL)


def read_bytes(path: Path | str, most: int, *, inside: Path | None = None) -> bytes:
    """The content of a regular file of at most `most` bytes; a pipe or a device is not even opened.

    With `inside` the file must be in that folder, after following every symbolic link below it. Raises OSError as
    open() does, and ValueError.
    """
    if inside is not None and not is_inside(path, inside):
        raise ValueError(f"is a symbolic link that leaves {inside}")
    with _opened(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"is larger than {size_text(most)}")
    return content


def read_tail(path: Path | str, most: int, *, inside: Path) -> bytes:
    """The last bytes of a regular file; as :func:`read_bytes` otherwise."""
    if not is_inside(path, inside):
        raise ValueError(f"is a symbolic link that leaves {inside}")
    with _opened(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - most))
        return file.read(most)


def is_inside(path: Path | str, folder: Path) -> bool:
    """True if a path is below a folder after following every symbolic link."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


@contextlib.contextmanager
def _opened(path: Path | str) -> Iterator[BinaryIO]:
    _require_regular(os.stat(path))
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        _require_regular(os.fstat(file.fileno()))
        yield file


def _require_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ValueError("is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is a pipe or a device, not a file")


def size_text(size: int) -> str:
    """A bound in words: ``16 MiB``."""
    return f"{size / MIB:,.0f} MiB" if size >= MIB else f"{size / 1024:,.0f} KiB"


def json_object(content: bytes) -> dict[str, Any]:
    """The JSON object in `content`. Raises ValueError for what is none, too large or too deep."""
    value = json_value(content)
    if not isinstance(value, dict):
        raise ValueError(f"contains {_kind(value)}, not a JSON object")
    return value


def json_value(content: bytes) -> Any:
    """The JSON in `content`. Raises ValueError for what is none, too large or too deep."""
    _require_small(content)
    try:
        return json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise ValueError(f"is not valid UTF-8 at byte {error.start:,}") from None
    except json.JSONDecodeError as error:
        where = f"is not valid JSON at line {error.lineno:,}, column {error.colno:,}"
        raise ValueError(where if content.strip() else "is empty") from None


def is_small(content: bytes) -> bool:
    """True if JSON is small enough to be read again."""
    try:
        _require_small(content)
    except ValueError:
        return False
    return True


def _require_small(content: bytes) -> None:
    """Raise ValueError where the values would take much more memory than their text, or nest too deep."""
    if len(content) > JSON_BYTES:
        raise ValueError(f"has more than {size_text(JSON_BYTES)} of JSON")
    depth = 0
    for parts, token in enumerate(_tokens(content)):
        if parts >= JSON_PARTS:
            raise ValueError(f"has more than {JSON_PARTS:,} JSON values")
        if token in b"[{":
            depth += 1
            if depth > JSON_DEPTH:
                raise ValueError(f"has JSON nested more than {JSON_DEPTH} levels deep")
        elif token in b"]}":
            depth -= 1


def _tokens(content: bytes) -> Iterator[int]:
    return (content[match.start()] for match in _TOKEN.finditer(content))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"contains {name}, which is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"contains {digits[:20]}, which is too large a number")
    return value


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def inflate(content: bytes, most: int) -> bytes:
    """Inflate what zlib has deflated, at most `most` bytes. Raises ValueError for more, and for what is damaged."""
    inflating = zlib.decompressobj()
    try:
        inflated = inflating.decompress(content, most + 1)
    except zlib.error:
        raise ValueError("is damaged") from None
    if len(inflated) > most:
        raise ValueError(f"decompresses to more than {size_text(most)}")
    if not inflating.eof:
        raise ValueError("is truncated")
    return inflated
