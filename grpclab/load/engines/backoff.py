"""The time that a client without a connection waits between two attempts: the same in both engines. Pure."""

from __future__ import annotations

import math

BACKOFF_S = (0.1, 1.0)
"""The shortest and the longest time from one attempt to the next. The first is the shortest that C-core takes."""


class Backoff:
    """The pause after failed attempts to connect; it doubles from one to the next.

    Calls that fail during a pause were part of the attempt before it, and do not make it longer.
    """

    def __init__(self) -> None:
        self.until_s = -math.inf
        """The time before which there is no attempt."""
        self._pause_s = BACKOFF_S[0]

    def failed(self, now: float) -> None:
        """Note a failed attempt."""
        if now >= self.until_s:
            self.until_s = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, BACKOFF_S[1])

    def succeeded(self) -> None:
        """Begin anew, since there is a connection."""
        self.until_s, self._pause_s = -math.inf, BACKOFF_S[0]
