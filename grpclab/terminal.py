"""Standard output and standard error: the one place where text leaves for a terminal.

::

    with guarded():
        print(text)                 # without escape sequences, whoever wrote them
        erase(sys.stderr)           # the one sequence of our own

Commands, tables, progress, errors, warnings, logs, tracebacks and argparse all write to ``sys.stdout`` and
``sys.stderr``, and none of it passes unread; :func:`grpclab.redaction.mask` takes the secrets out of it, too. A text of
others that belongs on one line of ours goes through :func:`grpclab.printable.printable` where that line is made: here a
line that they forged looks like any other.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from grpclab.printable import harmless
from grpclab.redaction import mask

ERASE = "\r\x1b[2K"
"""Back to the beginning of the line, and leave it empty."""


class Guarded:
    """A text stream without secrets and without what a terminal obeys. Otherwise it is the stream behind it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As a text stream does, but only what a terminal may be sent."""
        self._stream.write(_encodable(harmless(mask(text)), self._stream))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As :meth:`write`, for each of them."""
        for text in lines:
            self.write(text)

    def erase(self) -> None:
        """Leave the line empty."""
        self._stream.write(ERASE)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Let everything that this process prints meanwhile pass through here."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_guard(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def erase(stream: TextIO) -> None:
    """Leave the line that the cursor of a terminal is in empty."""
    if isinstance(stream, Guarded):
        stream.erase()
    else:
        stream.write(ERASE)


def _guard(stream: TextIO) -> TextIO:
    # A process may have been started with a closed stream, which is None.
    return stream if stream is None or isinstance(stream, Guarded) else cast("TextIO", Guarded(stream))


def _encodable(text: str, stream: TextIO) -> str:
    """The text with an escape for what the encoding of the stream lacks."""
    encoding = getattr(stream, "encoding", None)
    if text.isascii() or not encoding:
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)
