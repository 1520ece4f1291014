"""The log of a server: the file that it writes itself, of which the head and the tail are kept.

A server that prints a lot must not fill a disk. While it runs, the space between the two is given back (a hole in the
file, Linux), which holds up neither the server nor what it writes; when it has ended, the file is made short.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from grpclab.system.subprocesses import LOG_BYTES, telling_lines
from grpclab.text.printable import printable

HEAD_BYTES = TAIL_BYTES = 1 << 20
LOOK_EVERY_S = 0.25
LONGEST_LINE = 1 << 16
"""So much of a line without an end is searched."""
LONGEST_SAID = 200

_KEEP_SIZE, _PUNCH_HOLE, _PAGE = 1, 2, 4096
"""Of fallocate(2)."""


@contextlib.contextmanager
def bounded(path: Path) -> Iterator[None]:
    """Keep a log within bounds while its server runs, and make it short when the block is left."""
    ended = threading.Event()

    def look() -> None:
        freed = HEAD_BYTES
        while not ended.wait(LOOK_EVERY_S):
            with contextlib.suppress(OSError):
                freed = free(path, freed)

    watching = threading.Thread(target=look, name="server log", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
        with contextlib.suppress(OSError):
            shorten(path)


def free(path: Path, freed: int) -> int:
    """Give back the space of a log up to its tail; up to `freed` it is given back already. Returns the new end.

    Raises OSError.
    """
    end = (path.stat().st_size - TAIL_BYTES) // _PAGE * _PAGE
    if end - freed < TAIL_BYTES:
        return freed
    with path.open("r+b") as log:
        start, length = ctypes.c_int64(freed), ctypes.c_int64(end - freed)
        with contextlib.suppress(AttributeError):  # elsewhere than on Linux
            ctypes.CDLL(None).fallocate(log.fileno(), _KEEP_SIZE | _PUNCH_HOLE, start, length)
    return end


def shorten(path: Path) -> None:
    """Leave out what lies between the head and the tail of a log that nobody writes any more. Raises OSError."""
    if path.stat().st_size <= HEAD_BYTES + 2 * TAIL_BYTES:
        return
    with path.open("r+b") as log:
        head = log.read(HEAD_BYTES)
        head = head[: head.rfind(b"\n") + 1] or head
        log.seek(-TAIL_BYTES, os.SEEK_END)
        tail = log.read()
        tail = tail[tail.find(b"\n") + 1 :] or tail
        between = path.stat().st_size - len(head) - len(tail)
        log.seek(len(head))
        log.write(f"\n[... {between:,} bytes omitted ...]\n".encode())
        log.write(tail)
        log.truncate()


def end_of(path: Path) -> list[str]:
    """The last telling lines of a log; none where it cannot be read."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_BYTES))
            return telling_lines(log.read().decode(errors="replace"))
    except OSError:
        return []


def quoted(lines: list[str]) -> str:
    """Lines of a log in an error, each harmless and cut short."""
    return " | ".join(printable(line, LONGEST_SAID) for line in lines)


class LogWatch:
    """Looks for a pattern in the lines that are written to a log from now on."""

    def __init__(self, path: Path, pattern: re.Pattern[str]) -> None:
        self._path, self._pattern = path, pattern
        self._at = path.stat().st_size
        self._rest = b""
        self._matched = False

    def matched(self) -> bool:
        """Whether a line has matched by now, or the beginning of one."""
        if not self._matched:
            with self._path.open("rb") as log:
                log.seek(self._at)
                while not self._matched and (data := log.read(LONGEST_LINE)):
                    *lines, self._rest = (self._rest + data).split(b"\n")
                    self._matched = any(map(self._matches, [*lines, self._rest]))
                    self._rest = self._rest[-LONGEST_LINE:]
                self._at = log.tell()
        return self._matched

    def _matches(self, line: bytes) -> bool:
        return self._pattern.search(line.decode(errors="replace").removesuffix("\r")) is not None
