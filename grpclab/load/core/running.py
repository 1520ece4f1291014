"""The figures of a window while it runs: calls that ended, calls under way, standstills of the generator. Pure.

A call under way for longer than a limit has already broken it, so calls count before they have ended: from when they
began, or were planned to, and from the window's opening where that was in the warm-up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grpclab.status import succeeded

BEAT_S = 0.05
"""The time from one heartbeat of a worker to the next."""
STILL_S = 0.25
"""A heartbeat that is late by less than this is ordinary: a collection, a burst of answers, the scheduler."""
OFF_CORE_S = 0.045
"""The same bound for a process that did next to nothing meanwhile, stopped or without a core. A stop of 100 ms makes
a heartbeat late by at least 50 ms."""
AT_WORK = 0.5
"""A process that used this share of a gap was at work in it."""


@dataclass(frozen=True, kw_only=True)
class RunningCalls:
    """The calls of a window at a moment: those that succeeded, and those under way."""

    succeeded: int
    longest_s: float
    """The longest call that succeeded."""
    slow: tuple[int, ...]
    """By limit: the calls that succeeded and took longer."""
    under_way: int
    """Calls that have not ended."""
    oldest_s: float
    """The time since the oldest call under way began; 0 with none."""
    youngest_s: float
    """The time since the last of them began."""
    overdue: tuple[int, ...]
    """By limit: the calls that have been under way for longer."""


class Tally:
    """The successful calls of a window so far, and how many of them took longer than each of some limits."""

    def __init__(self, *, opens_at: float = -math.inf, limits_s: Sequence[float] = ()) -> None:
        self.opens_at = opens_at
        self.limits_s = tuple(limits_s)
        self.succeeded = 0
        self.longest_s = 0.0
        self.slow = [0] * len(self.limits_s)
        """By limit: the calls that took longer."""

    def add(self, starts: Sequence[float], latencies: Sequence[float], statuses: Sequence[int]) -> None:
        """Add calls that have ended."""
        if not len(starts):
            return
        good = (np.asarray(starts) >= self.opens_at) & succeeded(np.asarray(statuses))
        latency = np.asarray(latencies)[good]
        self.succeeded += len(latency)
        self.longest_s = max(self.longest_s, float(latency.max(initial=0.0)))
        self.slow = [n + int((latency > limit).sum()) for n, limit in zip(self.slow, self.limits_s, strict=True)]

    def copy(self) -> Tally:
        """Return a copy, to which calls that are not written yet can be added."""
        copied = Tally(opens_at=self.opens_at, limits_s=self.limits_s)
        copied.succeeded, copied.longest_s, copied.slow = self.succeeded, self.longest_s, list(self.slow)
        return copied

    def running(self, under_way: Sequence[float], now: float) -> RunningCalls:
        """Return the figures at a moment; `under_way` holds the beginning of each call that has not ended."""
        ages = now - np.maximum(np.asarray(under_way, dtype=np.float64), self.opens_at)
        return RunningCalls(
            succeeded=self.succeeded,
            longest_s=self.longest_s,
            slow=tuple(self.slow),
            under_way=len(ages),
            oldest_s=float(ages.max(initial=0.0)),
            youngest_s=float(ages.min()) if len(ages) else 0.0,
            overdue=tuple(int((ages > limit).sum()) for limit in self.limits_s),
        )


class Heartbeat:
    """Notices where an event loop did not run: its process was stopped, had no core, or did one thing for long."""

    def __init__(self, *, opens_at: float, closes_at: float = math.inf) -> None:
        """Count between these two moments only."""
        self._opens_at, self._closes_at = opens_at, closes_at
        self._last, self._cpu_s = math.inf, 0.0
        self.still_s = 0.0
        """The time for which it stood still, short gaps left out."""

    def beat(self, now: float, cpu_s: float = math.inf) -> None:
        """Note that the loop runs, as it does every BEAT_S unless something keeps it from that.

        `cpu_s` is the CPU time that its thread has used so far: a gap without any is no work of its own.
        """
        late_s = min(now, self._closes_at) - max(self._last, self._opens_at) - BEAT_S
        idle = cpu_s - self._cpu_s < AT_WORK * (now - self._last)
        if late_s > (OFF_CORE_S if idle else STILL_S):
            self.still_s += late_s
        self._last, self._cpu_s = now, cpu_s
