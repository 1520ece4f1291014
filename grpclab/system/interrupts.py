"""SIGINT, SIGTERM and SIGHUP as one exception that unwinds, so that what was measured is kept and files go.

The first signal raises :class:`Interrupted`, a KeyboardInterrupt: at once, or at the end of what must not be broken
(:func:`deferred`). While things are being brought to an end a further one must not break that: it is swallowed, unless
someone waits who can end sooner (:func:`hurried`). Who is determined enough gets out with the fifth.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SWALLOWED = 4
"""The most signals that the clean-up is protected from."""


class Interrupted(KeyboardInterrupt):
    """One of SIGNALS came."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class _Received:
    """The signals of this process so far."""

    def __init__(self) -> None:
        self.first: int | None = None
        self.count = 0
        self.hurried = False
        self.deferring = False
        self.deferred: int | None = None
        """The signal that has not been raised yet."""

    def handle(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.first is None:
            self.first = number
        if self.count > SWALLOWED or self.hurried:
            raise Interrupted(number)
        if self.count == 1:
            self.deferred = number
            self.deliver()

    def deliver(self) -> None:
        """Raise the signal that waits, unless it has to wait for longer."""
        if self.deferred is not None and not self.deferring:
            number, self.deferred = self.deferred, None
            raise Interrupted(number)


_received = _Received()
_handling = False


@contextlib.contextmanager
def handled(*, leaving: bool = False) -> Iterator[None]:
    """Turn SIGNALS into :class:`Interrupted` while the block runs; those that were ignored stay so.

    With `leaving` the process ends after the block, and what it had to do is done: signals are ignored from then on.
    Otherwise a SIGTERM or SIGHUP that came is sent again after the block, to whoever handles it there. Inside another
    such block this one changes nothing.
    """
    global _received, _handling  # noqa: PLW0603
    if _handling or not _in_main_thread():
        yield
        return
    _received = _Received()
    before: dict[signal.Signals, Any] = {
        number: signal.getsignal(number) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, _received.handle)
    _handling = True
    try:
        yield
    finally:
        _handling = False
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if leaving else handler)
        if not leaving and _received.first in (signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(_received.first)


def _in_main_thread() -> bool:
    """True if Python runs the handlers of signals in this thread."""
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """A further signal raises while the block runs: whoever waits in it can end sooner."""
    received = _received
    received.hurried = True
    try:
        yield
    finally:
        received.hurried = False


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """The first signal raises at the end of the block, so that nothing in it is left half done."""
    received = _received
    if not _in_main_thread():
        yield
        return
    before, received.deferring = received.deferring, True
    try:
        yield
    finally:
        received.deferring = before
        received.deliver()


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside :func:`deferred`: the first signal raises at once while the block runs, one that came before as well."""
    received = _received
    if not _in_main_thread():
        yield
        return
    before, received.deferring = received.deferring, False
    try:
        received.deliver()
        yield
    finally:
        received.deferring = before


@contextlib.contextmanager
def left_to_child() -> Iterator[list[int]]:
    """Ctrl-C is only noted while the block runs: a terminal sends it to a child that shares it, too, which ends by it.

    Gives the list of those that came, of which those before the child's start did not reach it. Unlike SIG_IGN, this is
    not inherited.
    """
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def waiting() -> bool:
    """True while a signal waits for the end of :func:`deferred`: nothing new should be begun."""
    return _received.deferred is not None


def exit_code() -> int:
    """128 and the number of the signal that came first: 130 for Ctrl-C, which is also what none means."""
    return 128 + int(_received.first or signal.SIGINT)


def cause() -> str:
    """The first signal: ``Ctrl-C``, ``SIGTERM``, ``SIGHUP``."""
    return name(_received.first or signal.SIGINT)


def name(number: int) -> str:
    """A signal, in the words of a user."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def explain() -> int:
    """Say on standard error what ended this process; returns its exit code."""
    print(f"grpclab: interrupted ({cause()})", file=sys.stderr)
    return exit_code()
