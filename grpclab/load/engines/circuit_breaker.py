"""A circuit breaker: after some failures in a row no call is sent for a while, then one at a time as a probe. Pure.

Its states are those of M. Nygard, *Release It!* (2007): closed, open, half-open. It holds no lock during a call, so
calls in flight do not wait for each other. The libraries that there are do that, or let any number of probes go.
"""

from __future__ import annotations

import math


class CircuitBreaker:
    """The breaker of one target. Whoever makes a call asks :meth:`admit` for leave, and then tells how it ended."""

    def __init__(self, failures: int, open_s: float) -> None:
        """`failures` in a row open it; it half-opens after `open_s`."""
        self._most, self._open_s = failures, open_s
        self._in_row = 0
        self._opens_at = math.nan
        """The moment from which on a probe may go; NaN while it is closed."""
        self._probing = False
        self._period = 0
        """The number of times that it has opened or closed."""

    def admit(self, now: float) -> int | None:
        """Return the leave for a call, which goes back to :meth:`ended` or :meth:`abandoned`; None: it may not go."""
        if not self._closed:
            if self._probing or now < self._opens_at:
                return None
            self._probing = True
        return self._period

    def ended(self, leave: int, now: float, *, failed: bool) -> None:
        """Note the end of a call. One that began before the breaker last opened or closed says nothing new."""
        if leave != self._period:
            return
        if self._closed:
            self._in_row = self._in_row + 1 if failed else 0
            if self._in_row >= self._most:
                self._open(now)
        elif failed:
            self._open(now)
        else:
            self._opens_at, self._in_row, self._probing = math.nan, 0, False
            self._period += 1

    def abandoned(self, leave: int) -> None:
        """Note that a call was given up: it neither succeeded nor failed, and another may be the probe."""
        if leave == self._period:
            self._probing = False

    @property
    def _closed(self) -> bool:
        return math.isnan(self._opens_at)

    def _open(self, now: float) -> None:
        self._opens_at, self._probing = now + self._open_s, False
        self._period += 1
