"""Waking up at a moment, finer than an event loop's own timers.

uvloop's timers stand on a grid of a millisecond. A :class:`Pacer` sleeps on a timerfd instead, which the kernel
fires to the microsecond, and where a core is there for it spins the last stretch: through the loop, so that
sockets are read meanwhile. Time spent spinning with nothing to do is counted apart (`spin_s`), since it is not work.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
import os
import time
from collections.abc import Callable

SPIN_STRETCH_S = 0.001
"""A sleeping thread may be woken late by about this much; so far ahead the spinning begins."""

IDLE_TURN_S = 0.000_05
"""A turn of the loop in which nothing was to do takes less; one that took longer was off the core meanwhile."""

Clock = Callable[[], float]


class Pacer:
    """One pending wake-up on a running event loop. Times are seconds of `clock`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, spin: bool, clock: Clock = time.perf_counter) -> None:
        self.spin_s = 0.0
        """Time spent spinning with nothing to do."""
        self._loop = loop
        self._clock = clock
        self._stretch_s = SPIN_STRETCH_S if spin else 0.0
        self._when = math.inf
        self._callback: Callable[[], None] | None = None
        self._spinning = False
        self._idle = False
        self._turn_at = 0.0
        self._alarm = _Alarm(loop, self._alarmed)

    def wake_at(self, when: float, callback: Callable[[], None]) -> None:
        """Call `callback` at `when`, at once if that has passed; replaces the wake-up that was pending."""
        self._when, self._callback = when, callback
        if not self._spinning:
            self._sleep_or_spin()

    def cancel(self) -> None:
        """No wake-up any more."""
        self._when, self._callback = math.inf, None

    def touch(self) -> None:
        """Say that work was done: this turn of the loop does not count as spinning."""
        self._idle = False

    def close(self) -> None:
        """Give the timer back."""
        self.cancel()
        self._alarm.close()

    def _sleep_or_spin(self) -> None:
        now = self._clock()
        ahead_s = self._when - self._stretch_s - now
        if ahead_s > 0:
            self._alarm.set(ahead_s)
        elif not self._spinning:
            self._spinning = True
            self._idle, self._turn_at = True, now
            self._loop.call_soon(self._turn)

    def _alarmed(self) -> None:
        if self._callback is not None and not self._spinning:
            self._sleep_or_spin()

    def _turn(self) -> None:
        """One turn of the loop while spinning; sockets are served between two of them."""
        now = self._clock()
        if self._idle:
            self.spin_s += min(now - self._turn_at, IDLE_TURN_S)
        self._idle, self._turn_at = True, now
        if now >= self._when:
            callback, self._callback, self._when = self._callback, None, math.inf
            if callback is not None:
                callback()
            self._idle = False
        if self._callback is not None and self._when - self._stretch_s <= self._clock():
            self._loop.call_soon(self._turn)
            return
        self._spinning = False
        if self._callback is not None:
            self._sleep_or_spin()


class _Alarm:
    """Fires once, some seconds from now: a timerfd where the kernel has them, else the loop's own timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fired: Callable[[], None]) -> None:
        self._loop, self._fired = loop, fired
        self._handle: asyncio.TimerHandle | None = None
        self._fd = _timerfd_create()
        if self._fd is not None:
            loop.add_reader(self._fd, self._readable)

    def set(self, seconds: float) -> None:
        if self._fd is not None:
            _timerfd_set(self._fd, seconds)
            return
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_later(seconds, self._fired)

    def close(self) -> None:
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
        if self._handle is not None:
            self._handle.cancel()

    def _readable(self) -> None:
        assert self._fd is not None
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew since it fired
            return
        self._fired()


class _TimerSpec(ctypes.Structure):
    """``struct itimerspec`` (timerfd_settime(2)): interval, then value, each seconds and nanoseconds."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


_CLOCK_MONOTONIC = 1
_NONBLOCK_CLOEXEC = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)
# The standard library has timerfd from Python 3.13 on.
_libc = ctypes.CDLL(None, use_errno=True)


def _timerfd_create() -> int | None:
    if not hasattr(_libc, "timerfd_create"):
        return None
    fd = int(_libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC))
    return fd if fd >= 0 else None


def _timerfd_set(fd: int, seconds: float) -> None:
    whole = int(seconds)
    spec = _TimerSpec(0, 0, whole, max(1, int((seconds - whole) * 1e9)))
    if _libc.timerfd_settime(fd, 0, ctypes.byref(spec), None) != 0:
        raise OSError(ctypes.get_errno(), "timerfd_settime")
