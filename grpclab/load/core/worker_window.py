"""The measured window of one worker: which calls are its own, when it ended, and its throughput. Pure.

Throughput is counted at steady state: successful calls that *ended* inside the window, over its length. In a
closed loop, a window bounded by a number of requests ends when that many calls have ended since it opened (calls
of the warm-up that end in it stand for those of the window that end after it). The window of an open loop ends
when the schedule says, whatever has ended by then.

A window of slices (:class:`SlicedWindow`) is the sum of their counted stretches; any other is one stretch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from grpclab.load.core.recorder import Floats, Mask, Records
from grpclab.status import NOT_ENDED, succeeded


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

    def holds(self, moments: Floats) -> Mask:
        """(n,) True for each moment at which a call belongs to the window if it starts then."""
        return np.asarray(moments >= self.opened_at)

    def holds_end(self, moments: Floats) -> Mask:
        """(n,) True for each moment at which a call counts for the throughput if it ends then."""
        return np.asarray((moments > self.opened_at) & (moments <= self.closed_at))

    def since_opening(self, moments: Floats) -> Floats:
        """(n,) Seconds since the window opened; negative for what lies in the warm-up."""
        since: Floats = moments - self.opened_at
        return since

    @property
    def stretches(self) -> tuple[Window, ...]:
        """The window as windows of one stretch each: itself."""
        return (self,)

    @property
    def starts_until(self) -> float:
        """The moment from which on no call that starts belongs to the window."""
        return math.inf

    @cached_property
    def inside(self) -> Mask:
        """(n,) True for each call that started in the window."""
        return self.holds(self.records.start_s)

    @property
    def measured(self) -> Records:
        """The calls that started in the window, and their messages."""
        records, mask = self.records, self.inside
        if mask.all():
            return records
        of_window, sent = self.holds(records.message_start_s), self.holds(records.sent_start_s)
        return records.part(mask, of_window, sent)

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

    @property
    def length_s(self) -> float:
        """The length of the window."""
        return self.closed_at - self.opened_at

    @cached_property
    def ended(self) -> int:
        """Calls that ended in the window, given up ones left out."""
        return int((self.holds_end(self.records.end_s) & (self.records.status != NOT_ENDED)).sum())

    @property
    def sent_in_time(self) -> int:
        """The calls of the window that had been sent when it closed."""
        records = self.records
        return int(np.count_nonzero(self.inside & (records.start_s + records.late_s <= self.closed_at)))

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
        if self.records.late_s.any() or self.held_open:
            return 0.0
        return self._stalled_s(self.closed_at)

    def _stalled_s(self, closed_at: float) -> float:
        records = self.records
        given_up = records.status == NOT_ENDED
        if not given_up.any():
            return 0.0
        last = float(records.end_s[~given_up].max(initial=self.opened_at))
        return max(0.0, closed_at - max(last, float(records.start_s[given_up].max()), self.opened_at))

    @property
    def throughput_rps(self) -> float:
        """Successful calls that ended in the window, per second."""
        length = self.length_s
        inside = self.holds_end(self.records.end_s) & succeeded(self.records.status)
        return float(inside.sum() / length) if length > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class _Stretch(Window):
    """The window of one slice: a call belongs to it that starts before it closes."""

    @property
    def starts_until(self) -> float:
        return self.closed_at

    def holds(self, moments: Floats) -> Mask:
        return np.asarray((moments >= self.opened_at) & (moments < self.closed_at))

    @property
    def given_up_before(self) -> Floats:
        records = self.records
        rows = (records.start_s < self.opened_at) & (records.status == NOT_ENDED) & (records.end_s > self.opened_at)
        waited_s: Floats = records.end_s[rows] - self.opened_at
        return waited_s

    @property
    def stalled_s(self) -> float:
        return 0.0 if self.records.late_s.any() else self._stalled_s(self.closed_at)


@dataclass(frozen=True, kw_only=True)
class SliceBounds:
    """The moments of one slice of one configuration, the same for all of its workers."""

    started_at: float
    opened_at: float
    closed_at: float
    drained_at: float


@dataclass(frozen=True, kw_only=True)
class SlicedWindow(Window):
    """The counted stretches of some slices, in their order, taken together.

    The records may hold other calls: the warm-up, ramps, tails, slices that do not count.
    """

    slices: tuple[SliceBounds, ...]

    @classmethod
    def of(cls, records: Records, slices: Sequence[SliceBounds]) -> SlicedWindow:
        """The window of at least one slice."""
        return cls(
            records=records,
            opened_at=slices[0].opened_at,
            requests=None,
            closes_at=slices[-1].closed_at,
            held_open=True,
            slices=tuple(slices),
        )

    @cached_property
    def _opened(self) -> Floats:
        return np.array([each.opened_at for each in self.slices])

    @cached_property
    def _closed(self) -> Floats:
        return np.array([each.closed_at for each in self.slices])

    @cached_property
    def _before(self) -> Floats:
        """(k,) The counted seconds before each stretch."""
        lengths: Floats = np.cumsum(self._closed - self._opened)
        return np.concatenate([[0.0], lengths[:-1]])

    def holds(self, moments: Floats) -> Mask:
        at = np.searchsorted(self._opened, moments, side="right") - 1
        return np.asarray((at >= 0) & (moments < self._closed[at]))

    def holds_end(self, moments: Floats) -> Mask:
        at = np.searchsorted(self._opened, moments, side="left") - 1
        return np.asarray((at >= 0) & (moments <= self._closed[at]))

    def since_opening(self, moments: Floats) -> Floats:
        """(n,) Seconds of counted time; what lies in no stretch is negative: seconds to the nearest one."""
        at = np.searchsorted(self._opened, moments, side="right") - 1
        following = np.append(self._opened, math.inf)[at + 1] - moments
        beyond = moments - np.append(-math.inf, self._closed)[at + 1]
        inside = moments - self._opened[at] + self._before[at]
        result: Floats = np.where((at >= 0) & (beyond <= 0), inside, -np.minimum(beyond, following))
        return result

    @cached_property
    def stretches(self) -> tuple[Window, ...]:
        """Each slice that counts as a window of its own, of the calls of that slice."""
        return tuple(
            _Stretch(
                records=self._between(each.started_at, each.drained_at),
                opened_at=each.opened_at,
                requests=None,
                closes_at=each.closed_at,
                held_open=True,
            )
            for each in self.slices
        )

    def _between(self, started_at: float, drained_at: float) -> Records:
        """The calls, without their messages, that started in a slice: their rows follow one another."""
        records = self.records
        rows = np.flatnonzero((records.start_s >= started_at) & (records.start_s <= drained_at))
        part = slice(rows[0], rows[-1] + 1) if len(rows) else slice(0, 0)
        return Records(
            start_s=records.start_s[part],
            latency_s=records.latency_s[part],
            status=records.status[part],
            late_s=records.late_s[part],
        )

    @property
    def length_s(self) -> float:
        """The sum of the counted stretches."""
        return float((self._closed - self._opened).sum())

    @property
    def sent_in_time(self) -> int:
        return sum(each.sent_in_time for each in self.stretches)

    @property
    def given_up_before(self) -> Floats:
        return np.concatenate([each.given_up_before for each in self.stretches])

    @property
    def stalled_s(self) -> float:
        return sum(each.stalled_s for each in self.stretches)
