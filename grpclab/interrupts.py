"""SIGINT, SIGTERM and SIGHUP as one exception that unwinds, so that what was measured is kept and files go.

The first signal raises :class:`Interrupted`, a KeyboardInterrupt. While things are being brought to an end a further
one must not break that: it is swallowed, unless someone waits who can end sooner (:func:`hurried`). Who is
determined enough gets out with the fifth.
"""

from __future__ import annotations

import contextlib
import signal
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

    def handle(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.first is None:
            self.first = number
        if self.count == 1 or self.hurried or self.count > SWALLOWED:
            raise Interrupted(number)


_received = _Received()


@contextlib.contextmanager
def handled(*, leaving: bool = False) -> Iterator[None]:
    """Turn SIGNALS into :class:`Interrupted` while the block runs; those that were ignored stay so.

    With `leaving` the process ends after the block: if a signal ended it, a further one is ignored from then on.
    """
    global _received  # noqa: PLW0603
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received = _Received()
    before: dict[signal.Signals, Any] = {
        number: signal.getsignal(number) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, _received.handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if leaving and _received.first else handler)


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """A further signal raises while the block runs: whoever waits in it can end sooner."""
    received = _received
    received.hurried = True
    try:
        yield
    finally:
        received.hurried = False


def exit_code() -> int:
    """128 and the number of the signal that came first: 130 for Ctrl-C, which is also what none means."""
    return 128 + int(_received.first or signal.SIGINT)


def cause() -> str:
    """What came first: ``Ctrl-C``, ``SIGTERM``, ``SIGHUP``."""
    first = _received.first or signal.SIGINT
    return "Ctrl-C" if first == signal.SIGINT else signal.Signals(first).name
