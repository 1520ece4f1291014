"""Outputs of a notebook that are renewed in place: the answer on top, the progress, the link to the report.

Outputs are renewed through Jupyter's display ids. papermill, nbconvert and JupyterLab all keep the last state in the
notebook, in the cell that showed the first; there are no widgets, which would leave scripts behind.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from grpclab.report.blocks import Shown
from grpclab.report.tables import Missing, Piece
from grpclab.text.printable import harmless


@dataclass(frozen=True, kw_only=True)
class LineList(Piece):
    """A paragraph of lines."""

    lines: tuple[str, ...]

    TEMPLATE = "cells/lines.html.j2"


@dataclass(frozen=True, kw_only=True)
class Bar(Piece):
    """The number of trials that are stored, as a bar with words."""

    total: int
    done: int
    text: str

    TEMPLATE = "cells/bar.html.j2"


@dataclass(frozen=True, kw_only=True)
class TrialLines(Piece):
    """Some lines on trials, and every one of them to unfold; "" for none."""

    shown: str
    every: str

    TEMPLATE = "cells/trial_lines.html.j2"


@dataclass(frozen=True, kw_only=True)
class ReportLink(Piece):
    """A link to a report, and the path of its file."""

    href: str
    name: str
    path: str

    TEMPLATE = "cells/report_link.html.j2"


class Output:
    """An output of the cell that shows it first; later cells may replace what is in it."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, what: Shown) -> None:
        """Show it in the cell that is running."""
        from IPython.display import display

        self._handle = display(what, display_id=True)  # type: ignore[no-untyped-call]

    def update(self, what: Shown) -> None:
        """Replace it where it stands; nothing where it was never shown."""
        if self._handle is not None:
            self._handle.update(what)


def note(text: str) -> Shown:
    """A line that says what will stand in its place."""
    return Shown(parts=[Missing(text=text)], text=text)


class TrialProgress:
    """The progress of a study: one output that is renewed after each trial, and a few lines in papermill's terminal."""

    LATEST = 4
    """So many trials are shown while others are measured; all of them, folded, at the end."""
    LINES_IN_TERMINAL = 10

    def __init__(self, *, total: int, stored: int, output: Output, elsewhere: Output, terminal: Callable[[str], None]):
        self._total, self._done = total, stored
        self._output, self._elsewhere, self._terminal = output, elsewhere, terminal
        self._lines: list[str] = []
        output.show(self._state("measuring"))
        elsewhere.update(self._bar("measuring"))

    def write(self, line: str) -> None:
        """A line of :class:`grpclab.study.trial_progress.Progress`; one on a trial says how many are stored."""
        tenth = self.LINES_IN_TERMINAL * self._done // self._total
        if counted := _COUNTED.match(line):
            self._done, self._total = int(counted["done"]), int(counted["total"])
        self._lines.append(line)
        another = self.LINES_IN_TERMINAL * self._done // self._total > tenth
        if another or len(self._lines) == 1 or _invalid(line):
            self._terminal(line)
        self._output.update(self._state("measuring"))
        self._elsewhere.update(self._bar("measuring"))

    def end(self) -> None:
        """The study is complete, or was stopped."""
        state = "measured" if self._done == self._total else "stopped: run the notebook again to resume"
        self._output.update(self._state(state, whole=True))
        self._elsewhere.update(self._bar(state))

    def _bar(self, state: str) -> Shown:
        text = f"{self._done} of {self._total} trials, {state}"
        return Shown(parts=[Bar(total=self._total, done=self._done, text=text)], text=text)

    def _state(self, state: str, *, whole: bool = False) -> Shown:
        bar = self._bar(state)
        if not self._lines:
            return bar
        latest = self._lines[-self.LATEST :]
        shown = [line for line in self._lines if _invalid(line)] if whole else latest
        trials = TrialLines(shown=_lines(shown), every=_lines(self._lines) if whole else "")
        return Shown(parts=[*bar.parts, trials], text="\n".join([bar.text, *shown]))


_COUNTED = re.compile(r"\[ *(?P<done>\d+)/(?P<total>\d+)\] ")


def _lines(lines: Sequence[str]) -> str:
    return harmless("\n".join(lines))  # as they are, with their columns


def _invalid(line: str) -> bool:
    return " INVALID: " in line


def report_link(path: Path) -> Shown:
    """A link to a report that leads there from the notebook, in JupyterLab and on a page made of it; and its path."""
    href = quote(os.path.relpath(path, notebook_folder()).replace(os.sep, "/"))
    return Shown(parts=[ReportLink(href=href, name=path.name, path=str(path))], text=f"report: {path}")


def notebook_folder() -> Path:
    """The folder of the notebook that is being written: its links are relative to that."""
    if written := _written_by_papermill():
        return written.parent
    if name := os.environ.get("JPY_SESSION_NAME"):  # of Jupyter's server
        return (Path.cwd() / name).parent
    return Path.cwd()


def _written_by_papermill() -> Path | None:
    """The notebook that papermill, whose kernel this process is, writes to."""
    try:
        parent = psutil.Process(os.getppid())
        return papermill_output(parent.cmdline(), Path(parent.cwd()))
    except psutil.Error:
        return None


def papermill_output(command: Sequence[str], folder: Path) -> Path | None:
    """The second notebook of papermill's command line, run in `folder`; None for another command."""
    program = next((at for at, word in enumerate(command[:4]) if "papermill" in word), None)
    if program is None:
        return None
    notebooks = [word for word in command[program + 1 :] if word.endswith(".ipynb")]
    return folder / notebooks[1] if len(notebooks) > 1 else None
