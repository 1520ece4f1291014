"""The measured window of one worker: which calls are its own, when it ended, and its throughput. Pure.

Throughput is counted at steady state: successful calls that *ended* inside the window, over its length. In a
closed loop, a window bounded by a number of requests ends when that many calls have ended since it opened (calls
of the warm-up that end in it stand for those of the window that end after it). The window of an open loop ends
when the schedule says, whatever has ended by then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grpclab.load.core.recorder import Floats, Mask, Records
from grpclab.status import NOT_ENDED, OK


@dataclass(frozen=True, kw_only=True)
class Window:
    """The calls of one worker, and the bounds of its window on the workers' common clock, in seconds."""

    records: Records
    opened_at: float
    requests: int | None
    closes_at: float | None
    held_open: bool = False
    """The window lasts until `closes_at` though its last call ended before: an open loop's, unless interrupted."""
    cut_at: float = math.inf
    """The moment at which the window was ended before its time."""

    @cached_property
    def inside(self) -> Mask:
        """(n,) True for each call that started in the window."""
        return np.asarray(self.records.start_s >= self.opened_at)

    @property
    def measured(self) -> Records:
        """The calls that started in the window, and their messages."""
        records, mask = self.records, self.inside
        if mask.all():
            return records
        of_window = records.message_start_s >= self.opened_at
        return Records(
            start_s=records.start_s[mask],
            latency_s=records.latency_s[mask],
            status=records.status[mask],
            late_s=records.late_s[mask],
            residence_s=None if records.residence_s is None else records.residence_s[mask],
            message_s=records.message_s[of_window],
            message_start_s=records.message_start_s[of_window],
            message_first=records.message_first[of_window],
        )

    @cached_property
    def closed_at(self) -> float:
        """The end of the window, as the module defines it; equal to `opened_at` if nothing ended in it.

        A window that was interrupted ended with its last call, before `closes_at`; where calls had to be given up, at
        the interruption.
        """
        if self.held_open and self.closes_at is not None:
            return self.closes_at
        given_up = self.records.status == NOT_ENDED
        ends = self.records.end_s
        ended_after_opening = ends > self.opened_at
        ended = ends[ended_after_opening & ~given_up]
        if self.requests and min(int(np.count_nonzero(self.inside)), len(ended)) >= self.requests:
            return float(np.partition(ended, self.requests - 1)[self.requests - 1])
        closes_at = math.inf if self.closes_at is None else self.closes_at
        last = float(ended.max(initial=self.opened_at))
        if (ended_after_opening & given_up).any():
            last = max(last, min(self.cut_at, float(ends.max())))
        return min(closes_at, last)

    @cached_property
    def ended(self) -> int:
        """Calls that ended in the window, given up ones left out."""
        ends = self.records.end_s
        return int(((ends > self.opened_at) & (ends <= self.closed_at) & (self.records.status != NOT_ENDED)).sum())

    @property
    def given_up_before(self) -> Floats:
        """The time since the window opened for which each call of the warm-up that was given up had been under way."""
        ends = self.records.end_s
        rows = ~self.inside & (self.records.status == NOT_ENDED) & (ends > self.opened_at)
        waited_s: Floats = ends[rows] - self.opened_at
        return waited_s

    @property
    def stalled_s(self) -> float:
        """The window's last seconds in which all callers waited, as in Summary. Percentiles do not show them."""
        records = self.records
        given_up = records.status == NOT_ENDED
        if records.late_s.any() or self.held_open or not given_up.any():
            return 0.0
        last = float(records.end_s[~given_up].max(initial=self.opened_at))
        return max(0.0, self.closed_at - max(last, float(records.start_s[given_up].max()), self.opened_at))

    @property
    def throughput_rps(self) -> float:
        """Successful calls that ended in the window, per second."""
        length = self.closed_at - self.opened_at
        ends = self.records.end_s
        inside = (ends > self.opened_at) & (ends <= self.closed_at) & (self.records.status == OK)
        return float(inside.sum() / length) if length > 0 else 0.0
