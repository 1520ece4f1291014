"""What a terminal is shown, and what a pipe is: the same words, with colours in the one alone."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator

import pytest

from grpclab.cli import commands
from grpclab.cli.output import LONGEST_BAR, fitted, show, trial_lines
from grpclab.load.output import histogram
from grpclab.system.terminal import ERASE, bar, guarded, in_colour

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 60 columns; :func:`seen` writes to it."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdin", stream)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


@contextlib.contextmanager
def seen(screen: Terminal) -> Iterator[None]:
    """Let standard output and standard error be this terminal."""
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen), guarded():
        yield


ANSWER = "p99  1.2x  faster\nwarning: few blocks, so that this sentence is longer than a line of the terminal\n\nx"


def test_a_terminal_has_the_words_of_a_pipe_in_colour(screen: Terminal) -> None:
    with seen(screen):
        show(ANSWER)
    assert "\x1b[1;32mfaster\x1b[0m" in screen.getvalue()
    assert COLOUR.sub("", screen.getvalue()).split() == ANSWER.split()
    assert max(map(len, COLOUR.sub("", screen.getvalue()).splitlines())) <= 60


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colours_has_none(
    screen: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert not in_colour(screen)
    with seen(screen):
        show(ANSWER)
    assert screen.getvalue().split() == ANSWER.split()
    assert max(map(len, screen.getvalue().splitlines())) <= 60, "its sentences are wrapped all the same"
    with seen(screen):
        assert commands.main(["factors"]) == 0
        with pytest.raises(SystemExit):
            commands.main(["benhc"])
    assert "\x1b" not in screen.getvalue()


def test_what_others_wrote_has_no_colour(screen: Terminal) -> None:
    with seen(screen):
        show("a \x1b[31mred\x1b[0m \x1b[2J server is faster")
    assert "\x1b[31m" not in screen.getvalue()
    assert "\x1b[2J" not in screen.getvalue()


def test_the_program_alone_in_a_terminal_lists_its_commands(screen: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with seen(screen), pytest.raises(SystemExit, match=r"^2$"):
        commands.main([])
    page = COLOUR.sub("", screen.getvalue())
    for name, line in commands.COMMANDS.items():
        assert f"  {name}" in page
        assert line[:30] in page
    assert "grpclab compare basic optimized" in page
    assert max(map(len, page.splitlines())) <= 80


def test_beneath_the_lines_on_trials_is_a_bar_with_the_time_left(screen: Terminal) -> None:
    with seen(screen), trial_lines(silent=False) as say:
        say("[1/4] one   100 requests/s   1 h 20 min left")
        say("a note")
        say("[4/4] two   100 requests/s   done")
    assert screen.getvalue() == (
        "[1/4] one   100 requests/s\n"
        "━━━━━━──────────────────  1 of 4 trials  1 h 20 min left"
        f"{ERASE}a note\n"
        "━━━━━━──────────────────  1 of 4 trials  1 h 20 min left"
        f"{ERASE}[4/4] two   100 requests/s\n"
    )


def test_a_sentence_above_the_bar_is_wrapped_between_words(screen: Terminal) -> None:
    sentence = "study monday: 13 configurations in 6 groups × 6 blocks = 78 trials, order drawn from seed 1"
    with seen(screen), trial_lines(silent=False) as say:
        say(sentence)
    assert screen.getvalue().split() == sentence.split()
    assert max(map(len, screen.getvalue().splitlines())) <= 60


def test_a_line_on_a_trial_fits_a_narrow_window(screen: Terminal) -> None:
    why = "INVALID: the server ended with exit code 1 before it was ready, and said nothing"
    name = f"00-000-a{' ' * 30}"
    with seen(screen), trial_lines(silent=False) as say:
        say(f"[1/2] {name} 348 requests/s  p50 176.3 ms           1 min left")
        say(f"[2/2] {name} {why}   done")
    lines = screen.getvalue().split(ERASE)[-1].splitlines()
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split() == f"[2/2] 00-000-a {why}".split()
    assert "348 requests/s  p50 176.3 ms\n" in screen.getvalue()


def test_without_a_terminal_the_lines_are_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    for silent in (False, True):
        with trial_lines(silent=silent) as say:
            say("[1/4] one   100 requests/s   12 s left")
    assert capsys.readouterr().out == "[1/4] one   100 requests/s   12 s left\n"


def test_a_bar_has_the_characters_that_its_stream_has() -> None:
    assert bar(0.5, 4, Terminal()) == "━━──"
    assert [bar(share, 4, io.TextIOWrapper(io.BytesIO(), "ascii")) for share in (-1, 0.25, 2)] == [
        "----",
        "#---",
        "####",
    ]


def test_a_line_is_wrapped_behind_its_term_and_a_row_stays_a_row() -> None:
    assert LONGEST_BAR == histogram.LONGEST_BAR
    for length, shown in ((40, 20), (20, 10), (1, 1)):  # one scale for all bars
        assert fitted("  1.50 ms    7   " + "∎" * length, 37) == "  1.50 ms    7   " + "∎" * shown
    assert fitted(f"  1.50 ms   {'∎' * 40}", 90) == f"  1.50 ms   {'∎' * 40}"
    assert fitted("A  one two three four", 14) == "A  one two\n   three four"
    assert fitted("a  b  c  " + "d" * 30, 18) == "a  b  c  " + "d" * 30
    assert fitted("p99  -  needs one more call", 18) == "p99  -  needs one\n        more call", "a remark on a row"
    assert fitted("warning: one two three", 18) == "warning: one two\nthree"
    assert fitted("  took      1.50 s   after 1 s of warm-up", 24) == "  took      1.50 s\n    after 1 s of warm-up"
