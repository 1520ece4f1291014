"""Outputs of a notebook that are renewed in place: the answer on top, the progress, the link to the report.

Outputs are renewed through Jupyter's display ids. papermill, nbconvert and JupyterLab all keep the last state in the
notebook, in the cell that showed the first; there are no widgets, which would leave scripts behind.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil

from grpclab.report.blocks import Shown
from grpclab.report.words import esc


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
    return Shown(html=f'<p class="gl-none">{esc(text)}</p>', text=text)


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
        state = "measured" if self._done == self._total else "stopped: run the notebook again to go on"
        self._output.update(self._state(state, whole=True))
        self._elsewhere.update(self._bar(state))

    def _bar(self, state: str) -> Shown:
        text = f"{self._done} of {self._total} trials, {state}"
        bar = f'<progress max="{self._total}" value="{self._done}"></progress>'
        return Shown(html=f"<p>{bar}{esc(text)}</p>", text=text)

    def _state(self, state: str, *, whole: bool = False) -> Shown:
        bar = self._bar(state)
        if not self._lines:
            return bar
        latest = self._lines[-self.LATEST :]
        shown = [line for line in self._lines if _invalid(line)] if whole else latest
        lines = _lines(shown) if shown else ""
        every = f"<details><summary>Every trial</summary>{_lines(self._lines)}</details>"
        return Shown(html=f"{bar.html}{lines}{every if whole else ''}", text="\n".join([bar.text, *shown]))


_COUNTED = re.compile(r"\[ *(?P<done>\d+)/(?P<total>\d+)\] ")


def _lines(lines: Sequence[str]) -> str:
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"  # as they are, with their columns


def _invalid(line: str) -> bool:
    return " INVALID: " in line


def report_link(path: Path) -> Shown:
    """A link to a report that leads there from the notebook, in JupyterLab and on a page made of it; and its path."""
    href = quote(os.path.relpath(path, notebook_folder()).replace(os.sep, "/"))
    link = f'<p>Report: <a href="{href}" target="_blank"><b>{esc(path.name)}</b></a> <small>{esc(path)}</small></p>'
    return Shown(html=link, text=f"report: {path}")


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
