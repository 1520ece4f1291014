"""Standard output and standard error: the one place where text leaves for a terminal.

::

    with guarded():
        print(text)                 # without escape sequences, whoever wrote them
        erase(sys.stderr)           # sequences of our own: an empty line,
        paint(sys.stdout, text)     # and colours

Commands, tables, progress, errors, warnings, logs, tracebacks and click all write to ``sys.stdout`` and
``sys.stderr``, and none of it passes unread; :func:`grpclab.text.redaction.mask` takes the secrets out of it, too. A
text of others that belongs on one line of ours goes through :func:`grpclab.text.printable.printable` where that line is
made: here a line that they forged looks like any other.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from grpclab.text.printable import harmless
from grpclab.text.redaction import mask

ERASE = "\r\x1b[2K"
"""Back to the beginning of the line, and leave it empty."""
COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
"""A sequence that changes the colour or the weight of what follows."""
OUTPUT = "standard output"
"""The file name of an error that standard output raises."""
PIPE_CLOSED = 128 + signal.SIGPIPE
"""The exit code where standard output went to a program that did not read it to its end, as ``head``."""


class Guarded:
    """A text stream without secrets and without what a terminal obeys. Otherwise it is the stream behind it.

    An OSError of standard output carries the name OUTPUT. Standard error raises none: what cannot be said there is
    lost, and the measurement goes on.
    """

    def __init__(self, stream: TextIO, *, output: bool) -> None:
        self._stream = stream
        self._output = output

    def write(self, text: str) -> int:
        """Write what a terminal may be sent."""
        with self._explained():
            self._stream.write(_encodable(clean(text), self._stream))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._explained():
            self._stream.flush()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _discard(self._stream)
            if self._output:
                raise OSError(error.errno, error.strerror, OUTPUT) from None

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of them, as :meth:`write`."""
        for text in lines:
            self.write(text)

    def erase(self) -> None:
        """Leave the line empty."""
        with self._explained():
            self._stream.write(ERASE)

    def paint(self, text: str) -> None:
        """Write a text with colours of our own. What others wrote in it has been cleaned before."""
        with self._explained():
            for number, part in enumerate(COLOUR.split(text)):
                self._stream.write(part if number % 2 else _encodable(clean(part), self._stream))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def clean(text: str) -> str:
    """The text without secrets and without what a terminal obeys."""
    return harmless(mask(text))


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Let everything that this process prints meanwhile pass through here."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _guard(before[0], output=True), _guard(before[1], output=False)
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


def paint(stream: TextIO, text: str) -> None:
    """Write a text with colours of our own, of which :func:`in_colour` says whether there may be any."""
    if isinstance(stream, Guarded):
        stream.paint(text)
    else:
        stream.write(text)


def in_colour(stream: TextIO) -> bool:
    """Whether what is written there may have colours: in a terminal, unless NO_COLOR is set."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb" and stream.isatty()


def columns(stream: TextIO) -> int:
    """The columns of the terminal that is written to; 0 where it is none, or does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # ValueError: a stream without a file
        return 0


def bar(share: float, columns: int, stream: TextIO) -> str:
    """A bar that is filled by this share, in characters that the stream has."""
    full, empty = "━─" if "utf" in (getattr(stream, "encoding", None) or "").lower() else "#-"
    filled = round(max(0.0, min(1.0, share)) * columns)
    return full * filled + empty * (columns - filled)


def open_streams() -> str:
    """Open what this process was started without of its three standard streams; an error line, or nothing.

    A file that is opened later would get the number of a closed stream, and what is printed would end in it. Results
    that would go nowhere are refused; what would have been said on standard error is not missed.
    """
    closed = [number for number in range(3) if not _is_open(number)]
    for number in closed:  # in this order: the system gives the lowest number that is free
        os.open(os.devnull, os.O_RDWR)
        os.set_inheritable(number, True)
    if 2 in closed:
        sys.stderr = open(2, "w", encoding="utf-8")  # noqa: SIM115
    return "standard output is closed: remove >&-, or redirect it to /dev/null" if 1 in closed else ""


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _discard(stream: TextIO) -> None:
    """Send what is left to be written to a stream that fails nowhere: Python would try again when it ends."""
    with contextlib.suppress(OSError, ValueError):  # a stream of a test has no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _guard(stream: TextIO, *, output: bool) -> TextIO:
    # A process may have been started with a closed stream, which is None.
    if stream is None or isinstance(stream, Guarded):
        return stream
    return cast("TextIO", Guarded(stream, output=output))


def _encodable(text: str, stream: TextIO) -> str:
    """The text with an escape for what the encoding of the stream lacks."""
    encoding = getattr(stream, "encoding", None)
    if text.isascii() or not encoding:
        return text
    return text.encode(encoding, "backslashreplace").decode(encoding)
