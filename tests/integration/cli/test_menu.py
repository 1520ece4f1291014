"""`grpclab menu` in a terminal: every entry, Ctrl-C everywhere, a narrow window, no colours, a dumb terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.support.command import GRPCLAB, unused_port
from tests.support.processes import until
from tests.support.terminals import Terminal

MENU = "What do you want"
"""As much of its question as fits into a narrow window."""
CLEAR = "\x15"
TITLES = (
    *("Build all", "Run optimized server", "Run benchmark", "Docker setup", "Generate flamegraph"),
    *("Compare", "Study", "Call", "Report"),
)

Started = Callable[..., contextlib.AbstractContextManager[pexpect.spawn]]


@pytest.fixture
def menu(tmp_path: Path) -> Started:
    """The menu in a terminal of its own; what it shows is kept in `logfile_read`."""

    @contextlib.contextmanager
    def start(*, columns: int = 80, **env: str) -> Iterator[pexpect.spawn]:
        ours = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "GRPCLAB_ROOT": str(tmp_path), **env}
        found = Terminal(
            sys.executable,
            [*GRPCLAB[1:], "menu"],
            env=os.environ | ours,
            dimensions=(40, columns),
            encoding="utf-8",
            timeout=60,
            cwd=str(tmp_path),
        )
        found.logfile_read = io.StringIO()
        try:
            try:
                found.expect_exact(MENU)
            except pexpect.EOF:
                found.close()
                how = f"exit code {found.exitstatus}, signal {found.signalstatus}"
                pytest.fail(f"the menu ended: {how}: {found.logfile_read.getvalue()!r}")
            yield found
        finally:
            found.close(force=True)

    return start


def pick(terminal: pexpect.spawn, title: str) -> None:
    """Choose an entry of the menu by its number."""
    terminal.send(f"{TITLES.index(title) + 1}\r")


def answer(terminal: pexpect.spawn, question: str, text: str = "") -> None:
    """Answer a question, by its default unless a text is given."""
    terminal.expect_exact(question)
    terminal.send(f"{CLEAR}{text}\r" if text else "\r")


def ended(terminal: pexpect.spawn) -> int:
    """The exit code."""
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert terminal.exitstatus is not None, "not ended by a signal, but after it"
    return int(terminal.exitstatus)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=60):
        return True
    return False


def serve(terminal: pexpect.spawn, port: int) -> None:
    """Have the menu run a server."""
    pick(terminal, "Run optimized server")
    answer(terminal, "Port: ", str(port))
    terminal.expect_exact("With profiles and metrics?")
    terminal.send("2\r")
    terminal.expect_exact(f"$ env PPROF_ENABLED=false grpclab serve optimized --port {port}")
    terminal.expect_exact(f"optimized server on 127.0.0.1:{port}")


def test_ctrl_c_ends_a_server_cleanly_and_then_the_menu(menu: Started) -> None:
    port = unused_port()
    with menu() as terminal:
        serve(terminal, port)
        assert listens(port)
        terminal.sendintr()
        terminal.expect_exact("served 0 calls")
        terminal.expect_exact(MENU)
        assert not listens(port)
        terminal.sendintr()
        assert ended(terminal) == 130


def test_ctrl_c_in_a_question_leads_back_to_the_menu_and_ctrl_d_out_of_it(menu: Started) -> None:
    with menu() as terminal:
        pick(terminal, "Run benchmark")
        terminal.expect_exact("Address of the server: ")
        terminal.sendintr()
        terminal.expect_exact(MENU)
        terminal.sendeof()
        assert ended(terminal) == 0


@pytest.mark.parametrize("running", [False, True], ids=["menu", "command"])
def test_sigterm_ends_the_menu_and_what_it_runs_and_leaves_the_terminal_as_it_was(menu: Started, running: bool) -> None:
    port = unused_port()
    with menu() as terminal:
        if running:
            serve(terminal, port)
        os.kill(terminal.pid, signal.SIGTERM)
        assert ended(terminal) == 143
        assert until(lambda: not listens(port))
        assert terminal.getecho()
        assert "Traceback" not in terminal.logfile_read.getvalue()


QUESTIONS = {
    "Build all": (),
    "Run benchmark": ("Address of the server: ", "Calls: ", "Calls in flight: "),
    "Generate flamegraph": ("Address of a server on this machine: ", "Time: ", "File: "),
    "Compare": ("A, the baseline", "B, the candidate", "A factor that B changes", "Smallest effect of interest: "),
    "Study": ("Which study?", "Measure now?"),
    "Call": ("What do you want to see?",),
}


@pytest.mark.parametrize("title", QUESTIONS)
def test_ctrl_c_after_the_defaults_of_an_entry_leads_back_to_the_menu(menu: Started, title: str) -> None:
    with menu() as terminal:
        pick(terminal, title)
        for question in QUESTIONS[title]:
            answer(terminal, question)
        terminal.expect(r"\$ grpclab (doctor|bench|profile|compare|study|call) ?")
        terminal.sendintr()
        terminal.expect_exact(MENU)
        terminal.sendeof()
        assert ended(terminal) == 0


def test_what_is_not_there_is_one_line_and_the_menu_comes_back(menu: Started) -> None:
    with menu() as terminal:
        pick(terminal, "Report")
        terminal.expect_exact("has no studies yet")
        terminal.expect_exact(MENU)
        pick(terminal, "Docker setup")
        terminal.expect_exact("compose.yaml")
        terminal.expect_exact(MENU)
        terminal.sendeof()
        assert ended(terminal) == 0


def test_a_narrow_window_without_colours_shows_the_titles(menu: Started) -> None:
    with menu(columns=20, NO_COLOR="1") as terminal:
        pick(terminal, "Call")
        answer(terminal, "see?")
        terminal.expect_exact("To look at your own server")
        terminal.expect_exact(MENU)
        terminal.sendeof()
        assert ended(terminal) == 0
        shown = terminal.logfile_read.getvalue()
    assert "Build all" in shown
    colours = {int(code) for codes in re.findall(r"\x1b\[([\d;]+)m", shown) for code in codes.split(";")}
    assert not colours & {*range(30, 50), *range(90, 108)}


def test_a_dumb_terminal_is_sent_nothing_but_text(menu: Started) -> None:
    with menu(TERM="dumb") as terminal:
        terminal.expect_exact("9. Report")
        answer(terminal, "number [1]: ", "11")
        terminal.expect_exact("expected 1 to 10")
        answer(terminal, "number [1]: ", "8")
        terminal.expect_exact("1. make three calls")
        answer(terminal, "number [1]: ")
        terminal.expect_exact("To look at your own server")
        terminal.expect_exact("number [8]: ")
        terminal.sendeof()
        assert ended(terminal) == 0
        assert "\x1b" not in terminal.logfile_read.getvalue()
