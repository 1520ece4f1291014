"""Signals as one exception: when it raises, what waits for it, and what is left to whoever called us."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from grpclab.cli.commands import main
from grpclab.errors import WorkerError
from grpclab.system import interrupts
from grpclab.system.json_lines import encode
from grpclab.system.subprocesses import MARK, Child, receive_any


@pytest.fixture(autouse=True)
def passed_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that reach whoever called us, which would end these tests."""
    reached: list[int] = []
    before = {n: signal.signal(n, lambda number, _: reached.append(number)) for n in (signal.SIGTERM, signal.SIGHUP)}
    yield reached
    for number, handler in before.items():
        signal.signal(number, handler)


def test_only_the_first_signal_breaks_what_runs_and_the_clean_up_is_left_alone() -> None:
    with interrupts.handled():
        with pytest.raises(interrupts.Interrupted):
            signal.raise_signal(signal.SIGTERM)
        for _ in range(interrupts.SWALLOWED - 1):
            signal.raise_signal(signal.SIGINT)
        assert (interrupts.exit_code(), interrupts.cause()) == (143, "SIGTERM")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_who_can_end_sooner_hears_of_the_second_signal() -> None:
    with interrupts.handled(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with interrupts.handled():
        for number in (signal.SIGINT, signal.SIGHUP):
            with pytest.raises(KeyboardInterrupt), interrupts.hurried():
                signal.raise_signal(number)
        assert interrupts.exit_code() == 130


def test_what_was_ignored_stays_ignored_and_the_handlers_come_back() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupts.handled():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGHUP, before)


def send_while_deferred(number: signal.Signals, done: list[str]) -> None:
    """A signal in the middle of what must not be broken."""
    with interrupts.deferred():
        signal.raise_signal(number)
        assert interrupts.waiting()
        done.append("all of it")


def test_a_signal_waits_for_the_end_of_what_must_not_be_broken() -> None:
    done: list[str] = []
    with interrupts.handled(), pytest.raises(interrupts.Interrupted):
        send_while_deferred(signal.SIGINT, done)
    assert done
    assert not interrupts.waiting()


def test_inside_of_that_a_wait_can_be_broken_by_a_signal_before_it_or_in_it() -> None:
    with interrupts.handled(), interrupts.deferred():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(interrupts.Interrupted), interrupts.raised():
            pytest.fail("the wait began")
    with interrupts.handled(), interrupts.deferred(), pytest.raises(interrupts.Interrupted), interrupts.raised():
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_waits_is_not_forgotten_when_something_else_goes_wrong() -> None:
    class Refusing(list[str]):
        def append(self, _: str) -> None:
            raise ValueError

    with interrupts.handled(), pytest.raises(interrupts.Interrupted):
        send_while_deferred(signal.SIGINT, Refusing())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_program_that_calls_ours_hears_of_the_signal_when_we_have_cleaned_up(
    passed_on: list[int], number: signal.Signals
) -> None:
    with interrupts.handled():
        with pytest.raises(interrupts.Interrupted):
            signal.raise_signal(number)
        assert passed_on == []
    assert passed_on == [number]


def test_sigterm_ends_the_program_and_not_the_command_in_it_alone(
    passed_on: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("grpclab.cli.findings.diagnose", lambda: signal.raise_signal(signal.SIGTERM))
    assert main(["doctor"]) == 143
    assert passed_on == [signal.SIGTERM]
    assert capsys.readouterr().err == "grpclab: interrupted (SIGTERM)\n"


def test_the_handlers_of_a_program_hold_for_the_command_in_it() -> None:
    with interrupts.handled():
        with interrupts.handled():
            pass
        with pytest.raises(interrupts.Interrupted):
            signal.raise_signal(signal.SIGTERM)


def test_after_its_end_a_program_is_not_broken_by_a_signal() -> None:
    code = "import signal\nfrom grpclab.system import interrupts\nwith interrupts.handled(leaving=True): pass\n"
    code += "for number in interrupts.SIGNALS: signal.raise_signal(number)\nprint('whole')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")


# ---- the lines of children ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """A message."""

    number: int


@contextlib.contextmanager
def speaking(*lines: str) -> Iterator[Child]:
    """A child, without a process, that has said that and nothing more."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb") as out, os.fdopen(theirs, "wb") as its_out, pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda *_, **__: SimpleNamespace(pid=os.getpid(), stdout=out))
        its_out.write(b"".join(MARK + line.encode() + b"\n" for line in lines))
        its_out.flush()
        child = Child("this", name="a child")
        yield child
        os.close(child._printed)


@pytest.mark.parametrize("step", range(1, 140))
def test_no_line_is_lost_wherever_a_signal_breaks_the_reading(step: int) -> None:
    """It breaks after so many steps of the interpreter, counted from the first."""
    taken: set[int] = set()
    left = [step]

    def break_it(*_: object) -> Any:
        left[0] -= 1
        if left[0] == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return break_it

    def take() -> None:
        for _, message in receive_any([child], 5, Numbered, every_s=0.1):
            taken.add(message.number)

    with speaking(*(encode(Numbered(number=number)) for number in (1, 2, 3))) as child:
        gc.disable()  # a finalizer would swallow the break
        sys.settrace(break_it)
        try:
            take()
        except KeyboardInterrupt:
            take() if len(taken) < 3 else None
        finally:
            sys.settrace(None)
            gc.enable()
        assert sorted(taken) == [1, 2, 3]


@pytest.mark.parametrize("line", ["garbage", "[]", '{"number": "1"}', '{"message": "Lettered", "number": 1}', "{}"])
def test_a_line_that_is_not_the_message_expected_is_an_error_of_the_child(line: str) -> None:
    with speaking(line) as child, pytest.raises(WorkerError, match="sent no Numbered"):
        child.receive(60, Numbered)
