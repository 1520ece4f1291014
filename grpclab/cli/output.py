"""The places that answers of commands go to: standard output, in a terminal with colours; files; and progress."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from grpclab.errors import StorageError, UsageError
from grpclab.system import terminal
from grpclab.text import redaction

if TYPE_CHECKING:
    from pathlib import Path

STYLES = {
    r"(?m)^warning(?=: )": "bold yellow",
    r"\bfaster\b": "bold green",
    r"\bslower\b": "bold red",
    r"\bequivalent\b": "bold cyan",
    r"\binconclusive\b": "bold yellow",
    r"(?m)^ok(?=  )": "green",
    r"(?m)^warn(?=  )": "bold yellow",
    r"(?m)^fail(?=  )": "bold red",
    r"(?m)(?<=^status    )OK$": "bold green",
    r"(?m)(?<=^status    )(?!OK$)[A-Z_]+$": "bold red",
    r"(?m)^(status|message|details|messages|first|time|headers|trailers)(?=  )": "dim",
    r"(?m)^[a-z]+\.[a-z_]+(?=  )": "bold cyan",
    r"(?m)^(draw it|report|for a pull request|for programs|figures|site|written)(?=: )": "dim",
}
"""How words of an answer look in a terminal: verdicts, findings, the status of a call, factors, the places of files."""
COUNTED = re.compile(
    r"(?P<outcome>\[ *(?P<done>\d+)/(?P<total>\d+)\] .*?) +(?:(?P<left>\d+ (?:s|min|h \d\d min) left)|done)$"
)
"""A line on a trial, which says how many are stored and how long the others take."""


def require_writable(where: str | None) -> None:
    """Raise UsageError before the measurement rather than lose it afterwards."""
    if where is None or where == "-":
        return
    existed = os.path.exists(where)
    try:
        open(where, "a").close()
        if not existed:
            os.unlink(where)
    except OSError as error:
        raise UsageError(f"cannot write {where}: {error.strerror}") from None


def write(where: str, parts: Iterable[str]) -> None:
    """Write the parts one after the other; ``-`` is standard output. Raises StorageError."""
    if where == "-":
        sys.stdout.writelines(parts)
        sys.stdout.flush()
        return
    try:
        with open(where, "w", encoding="utf-8") as file:
            file.writelines(map(redaction.mask, parts))
    except OSError as error:
        raise _unwritten(where, error) from None


def _unwritten(where: str | Path, error: OSError) -> StorageError:
    return StorageError(f"cannot write {where}: {error.strerror or error}")


class LateFiles:
    """Writes the files of an answer: an error waits for :meth:`end`, so that the rest of the answer is printed first.

    Where a disk is full, what was measured is on the screen at least.
    """

    def __init__(self) -> None:
        self.failed: StorageError | None = None
        self.lost: list[Path] = []
        """The files of bytes that could not be written."""

    def write(self, where: str, parts: Iterable[str]) -> None:
        """As :func:`write`; the first error is kept."""
        try:
            write(where, parts)
        except StorageError as error:
            self.failed = self.failed or error

    def write_bytes(self, path: Path, content: bytes) -> None:
        """The same for bytes."""
        try:
            path.write_bytes(content)
        except OSError as error:
            self.lost.append(path)
            self.failed = self.failed or _unwritten(path, error)

    def end(self) -> None:
        """Raise what has failed, a StorageError."""
        if self.failed is not None:
            raise self.failed


def tell_encoding(*, quiet: bool) -> None:
    """Say from now on, on standard error, that requests are being encoded, where that takes long."""
    from grpclab.load.calls.payloads import PAYLOAD_FOLDER
    from grpclab.load.output.progress import EncodingLine

    PAYLOAD_FOLDER.watch = None if quiet else EncodingLine(sys.stderr)


def show(text: str) -> None:
    """Print an answer; in a terminal sentences are wrapped at its edge, and what matters has a colour."""
    if not sys.stdout.isatty():
        print(text)
        return
    import shutil  # here: it loads compression, which other commands have no use for

    width = shutil.get_terminal_size().columns
    text = "\n".join(fitted(line, width) for line in terminal.clean(text).split("\n"))
    if not terminal.in_colour(sys.stdout):
        print(text)
        return
    from rich.console import Console
    from rich.text import Text

    styled = Text(text)
    for pattern, style in STYLES.items():
        styled.highlight_regex(pattern, style)
    made = io.StringIO()
    console = Console(file=made, force_terminal=True, width=width, highlight=False, emoji=False)
    console.print(styled, soft_wrap=True)
    terminal.paint(sys.stdout, made.getvalue())


BAR = re.compile(r"(?P<label>.* )(?P<bar>∎+)")
"""A line of a histogram."""
LONGEST_BAR = 40


def _shortened(bar: str, room: int) -> str:
    """A bar at a scale by which the longest one fits into the room."""
    return bar[: max(1, round(len(bar) * max(1, room) / LONGEST_BAR))]


PROSE = 3
"""A cell with so many blanks is a remark on its row."""


def fitted(line: str, width: int) -> str:
    """A line in the width of a terminal: sentences are wrapped, what has a term in front of it beneath itself."""
    if bar := BAR.fullmatch(line):
        room = width - len(bar["label"])
        return bar["label"] + bar["bar"] if room >= LONGEST_BAR else f"{bar['label']}{_shortened(bar['bar'], room)}"
    gaps = list(re.finditer(r"(?<=\S)  +(?=\S)", line))
    start = gaps[-1].end() if gaps else len(line) - len(line.lstrip())
    is_row = len(gaps) > 1 and line.count(" ", start) < PROSE  # a row of a table stays a row
    if len(line) <= width or is_row:
        return line
    import textwrap  # here, as shutil above

    if start > width * 2 // 3:  # too little room is left beside it
        start = min(len(line) - len(line.lstrip()) + 2, width // 4)
    wrapped = textwrap.wrap(line[start:], width - start, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * start}".join([line[:start] + wrapped[0], *wrapped[1:]])


ROOM = 90
"""Columns that a line on a trial takes; in a narrower terminal, there are fewer blanks behind its name."""


def _row(line: str, width: int) -> str:
    """A line on a trial in the width of a terminal."""
    gap = re.search(r" {4,}", line)
    if gap and width < ROOM:
        blanks = max(2, gap.end() - gap.start() - (ROOM - width))
        line = line[: gap.start()] + " " * blanks + line[gap.end() :]
    return fitted(line, width)


@contextmanager
def trial_lines(*, silent: bool) -> Iterator[Callable[[str], None]]:
    """What prints a line on each trial; in a terminal there is a bar beneath them, with the time left."""
    if silent or not sys.stdout.isatty():
        yield (lambda _: None) if silent else _say
        return
    import shutil  # here, as above

    from grpclab.load.output.progress import with_bar

    shown = ""

    def say(line: str) -> None:
        nonlocal shown
        if shown:
            terminal.erase(sys.stdout)
        counted = COUNTED.match(line)
        row = line[: counted.end("outcome")].rstrip() if counted else ""
        width = shutil.get_terminal_size().columns
        print(_row(row, width) if row else fitted(line, width), flush=True)
        if counted:
            done, total = int(counted["done"]), int(counted["total"])
            left = f"{done} of {total} trials" + (f"  {counted['left']}" if counted["left"] else "")
            shown = with_bar(left, done / total, sys.stdout) if done < total else ""
        if shown:
            print(shown, end="", flush=True)

    try:
        yield say
    finally:
        if shown:
            terminal.erase(sys.stdout)
            sys.stdout.flush()


def _say(line: str) -> None:
    print(line, flush=True)
