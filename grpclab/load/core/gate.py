"""The admission of calls: warm-up, the measured window, and its end. Pure: the clock's reading is passed in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from grpclab.load.core.recorder import Floats


@dataclass
class Gate:
    """Admits the calls of one worker in one window. Times are seconds on the workers' common clock.

    The load runs on through the border between warm-up and window; a call belongs to the window if it starts at
    or after `opens_at`. The window ends once `requests` such calls have started, or at `closes_at`, whichever
    is first; None means no such bound. In an open loop a call starts when it is planned to, however late it is
    sent: the gate takes the planned times, in their order.
    """

    opens_at: float
    closes_at: float | None = None
    requests: int | None = None
    admitted: int = 0
    """Calls of the window started so far."""
    closed: bool = False
    cut_at: float = math.inf
    """The moment at which the window was ended before its time."""
    ran_out_at: float | None = None
    """The moment at which a call wanted a request, and none was left (:class:`SuppliedGate`)."""
    ceiling: str = ""
    """The ceiling that was reached then, where it was not for want of a request."""
    counts_until: float = math.inf
    """Calls that start from then on are admitted as long as the gate is open, and belong to no window."""

    def counts(self, start: float) -> bool:
        """Return whether a call that started then belongs to the window."""
        return self.opens_at <= start < self.counts_until

    def admit(self, now: float) -> bool:
        """Return whether a call may start at `now`; counts it if it belongs to the window."""
        if self.closed:
            return False
        if now < self.opens_at:
            return True
        if (self.closes_at is not None and now >= self.closes_at) or self.admitted == self.requests:
            self.closed = True
            return False
        if now < self.counts_until:
            self.admitted += 1
        return True

    def admit_batch(self, now: float, calls: int) -> int:
        """Return how many of so many calls may start at `now`; counts them like :meth:`admit`."""
        if self.requests is not None or self.closed or (self.closes_at is not None and now >= self.closes_at):
            return sum(itertools.takewhile(bool, (self.admit(now) for _ in range(calls))))
        if self.opens_at <= now < self.counts_until:
            self.admitted += calls
        return calls

    @property
    def full(self) -> bool:
        """Return whether every call of a window of `requests` has started."""
        return self.admitted == self.requests

    def over(self, due: float) -> bool:
        """Return whether no call of an open loop will be admitted any more, the next being planned for `due`."""
        return self.closed or self.full or due >= (math.inf if self.closes_at is None else self.closes_at)

    def close(self, at: float = -math.inf) -> None:
        """Admit no further call; `at` is the end of the window, where the calls due by then matter."""
        self.closed = True
        self.cut_at = min(self.cut_at, at)

    def never_sent(self, due: Iterator[float]) -> Floats:
        """Return the arrivals of an open loop that are still to be sent and were due in the window."""
        end = min(self.cut_at, self.counts_until, math.inf if self.closes_at is None else self.closes_at)
        left = None if self.requests is None else self.requests - self.admitted
        if left is None and end == math.inf:
            return np.empty(0)
        within = itertools.takewhile(lambda when: when < end, itertools.dropwhile(lambda t: t < self.opens_at, due))
        return np.fromiter(itertools.islice(within, left), np.float64)


@dataclass
class SuppliedGate(Gate):
    """The gate of a worker whose requests are not to repeat: it closes once they are used up."""

    supply: float = math.inf
    """The calls that may start, those of the warm-up included."""
    started: int = 0

    def admit(self, now: float) -> bool:
        if self.started >= self.supply and not self.over(now):
            self.ran_out_at = now
            self.close(now)
        admitted = super().admit(now)
        self.started += admitted
        return admitted

    def admit_batch(self, now: float, calls: int) -> int:
        return sum(itertools.takewhile(bool, (self.admit(now) for _ in range(calls))))


def share(total: int, parts: int) -> list[int]:
    """`total` divided exactly into `parts` whole numbers that differ by one at most."""
    quotient, rest = divmod(total, parts)
    return [quotient + (index < rest) for index in range(parts)]
