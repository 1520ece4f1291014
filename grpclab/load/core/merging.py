"""The figures of a window out of those of its parts, whose records stay where they are. Pure.

A part is counted where its records are (:class:`WindowCounts`); the counts of all parts are added up, and no percentile
is ever computed from other percentiles. Each distribution is a histogram whose slots are 0.05% wide. The slot that
holds a percentile is known from the sum of all histograms; its exact value is then one of the few observations in that
slot, which the parts return when asked (:func:`inside`). So the result equals `summarise` over
all records together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grpclab.load.core.hdr_slots import encoded_histogram, histogram_slots
from grpclab.load.core.recorder import Floats
from grpclab.load.core.summary import Summary
from grpclab.load.core.worker_window import Window
from grpclab.metrics import PERCENTILES, calls_needed
from grpclab.status import ENDED_BY_CLIENT, NOT_ENDED, RECORDED_NAMES, succeeded

DROPPED_BITS = 41
"""Bits of a double that a slot leaves out: 11 of the 52 bits of its fraction stay."""
LARGEST_SLOT = 2_000_000
"""Observations of a slot above which its middle stands for all of them, within 0.025%."""
LOWEST = 1e-9
"""Seconds below which an observation counts as 0."""
NAMES = (
    "latency",
    "ok",
    "uncorrected",
    "judged",
    "late",
    "first_message",
    "message_gap",
    "message_age",
    "message_reply",
)
"""The distributions of a window."""

Integers = npt.NDArray[np.int64]
Values = Mapping[str, Floats]
"""Observations by the name of their distribution."""
Slots = Mapping[str, Integers]
"""Slots by the name of their distribution."""


def slots_of(values: Floats) -> Integers:
    """(n,) The slot of each value, in the order of the values; 0 for all below LOWEST."""
    slots = np.ascontiguousarray(np.maximum(values, 0.0), dtype=np.float64).view(np.int64) >> DROPPED_BITS
    return np.where(values < LOWEST, 0, slots)


@dataclass(frozen=True, kw_only=True)
class SlotCounts:
    """A histogram of non-negative numbers. Slots follow one another, so that two are added as arrays."""

    zeros: int
    """The observations below LOWEST."""
    first: int
    """The slot of the first count."""
    counts: Integers
    """(k,) Observations by slot, from `first` on."""

    @classmethod
    def of(cls, values: Floats) -> SlotCounts:
        """Count observations."""
        slots = slots_of(values)
        slots = slots[slots > 0]
        first = int(slots.min()) if len(slots) else 0
        counts = np.bincount(slots - first) if len(slots) else np.zeros(0, np.int64)
        return cls(zeros=len(values) - len(slots), first=first, counts=counts.astype(np.int64))

    def __add__(self, other: SlotCounts) -> SlotCounts:
        filled = [one for one in (self, other) if len(one.counts)]
        first = min((one.first for one in filled), default=0)
        counts = np.zeros(max((one.first + len(one.counts) for one in filled), default=0) - first, np.int64)
        for one in filled:
            counts[one.first - first : one.first - first + len(one.counts)] += one.counts
        return SlotCounts(zeros=self.zeros + other.zeros, first=first, counts=counts)

    @property
    def total(self) -> int:
        """The number of observations."""
        return self.zeros + int(self.counts.sum())

    def edges(self, *, middle: bool = True) -> Floats:
        """(k,) The middle of each slot, or its lowest value."""
        slots = np.arange(self.first, self.first + len(self.counts), dtype=np.int64)
        found: Floats = ((slots << DROPPED_BITS) + (middle << (DROPPED_BITS - 1))).view(np.float64)
        return found

    def expanded(self) -> Floats:
        """(n,) The middle of the slot of each observation, in rising order; 0 for those below LOWEST."""
        return np.concatenate([np.zeros(self.zeros), np.repeat(self.edges(), self.counts)])

    def place(self, rank: int) -> tuple[int, int]:
        """Return the slot of an observation, and its rank within the slot; ranks begin at 0."""
        if rank < self.zeros:
            return 0, rank
        upto = np.cumsum(self.counts) + self.zeros
        index = int(np.searchsorted(upto, rank, side="right"))
        return self.first + index, rank - int(upto[index - 1] if index else self.zeros)

    def rank(self, q: float) -> int:
        """Return the rank of a percentile, nearest rank as numpy's ``inverted_cdf`` has it."""
        return max(0, math.ceil(self.total * q - 1))

    def wanted(self) -> Integers:
        """Return the slots whose observations the percentiles need."""
        slots = {self.place(self.rank(q))[0] for q in PERCENTILES.values() if self.total >= calls_needed(q)}
        return np.array(
            sorted(slot for slot in slots if slot and self.counts[slot - self.first] <= LARGEST_SLOT), np.int64
        )

    def percentiles(self, known: Floats) -> dict[str, float]:
        """Return the percentiles; `known` are the observations in the slots of :meth:`wanted`."""
        found = dict.fromkeys(PERCENTILES, math.nan)
        known = np.sort(known)
        slots = slots_of(known)
        for name, q in PERCENTILES.items():
            if self.total < calls_needed(q):
                continue
            slot, within = self.place(self.rank(q))
            start, end = np.searchsorted(slots, [slot, slot + 1])
            if not slot:
                found[name] = 0.0
            elif end - start == self.counts[slot - self.first]:
                found[name] = float(known[start + within])
            else:
                found[name] = float(self.edges()[slot - self.first])
        return found


@dataclass(frozen=True, kw_only=True)
class WindowCounts:
    """The counts of one part of a window, or the sum of several. Seconds."""

    distributions: Mapping[str, SlotCounts]
    """By the names of NAMES."""
    hdr: SlotCounts
    """The slots of the HdrHistogram by their lowest values in microseconds; each has one slot here."""
    errors_by_status: Mapping[str, int]
    window_s: float
    throughput_rps: float
    latency_sum_s: float
    latency_min_s: float
    latency_max_s: float
    judged_sum_s: float
    judged_max_s: float
    ended_by_client: int
    messages: int
    messages_sent: int
    ended: int
    not_ended: int
    not_ended_before: int
    stalled_s: float
    sent_in_time: int
    late_max_s: float

    @classmethod
    def of(cls, window: Window, values: Values) -> WindowCounts:
        """Count a part; `values` are those of :func:`observations`."""
        status = window.records.status[window.inside]
        codes, counts = np.unique(status[~succeeded(status)], return_counts=True)
        latency, judged = values["latency"], values["judged"]
        slots, times = histogram_slots(latency)
        return cls(
            distributions={name: SlotCounts.of(values[name]) for name in NAMES},
            hdr=SlotCounts.of(np.repeat(np.array(slots, np.float64), times)),
            errors_by_status={RECORDED_NAMES[code]: int(n) for code, n in zip(codes, counts, strict=True)},
            window_s=window.length_s,
            throughput_rps=window.throughput_rps,
            latency_sum_s=float(latency.sum()),
            latency_min_s=float(latency.min(initial=math.inf)),
            latency_max_s=float(latency.max(initial=-math.inf)),
            judged_sum_s=float(judged.sum()),
            judged_max_s=float(judged.max(initial=-math.inf)),
            ended_by_client=int((status == ENDED_BY_CLIENT).sum()),
            messages=int(window.holds(window.records.message_start_s).sum()),
            messages_sent=int(window.records.sent_messages[window.holds(window.records.sent_start_s)].sum()),
            ended=window.ended,
            not_ended=int((status == NOT_ENDED).sum()) + len(window.given_up_before),
            not_ended_before=len(window.given_up_before),
            stalled_s=window.stalled_s,
            sent_in_time=window.sent_in_time,
            late_max_s=float(values["late"].max(initial=-math.inf)),
        )

    def __add__(self, other: WindowCounts) -> WindowCounts:
        """The counts of two parts that were measured side by side."""

        def added(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
            return {name: one.get(name, 0) + two.get(name, 0) for name in [*one, *(n for n in two if n not in one)]}

        return WindowCounts(
            distributions={name: self.distributions[name] + other.distributions[name] for name in NAMES},
            hdr=self.hdr + other.hdr,
            errors_by_status=added(self.errors_by_status, other.errors_by_status),
            window_s=max(self.window_s, other.window_s),
            throughput_rps=self.throughput_rps + other.throughput_rps,
            latency_sum_s=self.latency_sum_s + other.latency_sum_s,
            latency_min_s=min(self.latency_min_s, other.latency_min_s),
            latency_max_s=max(self.latency_max_s, other.latency_max_s),
            judged_sum_s=self.judged_sum_s + other.judged_sum_s,
            judged_max_s=max(self.judged_max_s, other.judged_max_s),
            ended_by_client=self.ended_by_client + other.ended_by_client,
            messages=self.messages + other.messages,
            messages_sent=self.messages_sent + other.messages_sent,
            ended=self.ended + other.ended,
            not_ended=self.not_ended + other.not_ended,
            not_ended_before=self.not_ended_before + other.not_ended_before,
            stalled_s=min(self.stalled_s, other.stalled_s),
            sent_in_time=self.sent_in_time + other.sent_in_time,
            late_max_s=max(self.late_max_s, other.late_max_s),
        )

    @property
    def requests(self) -> int:
        """The calls of the window."""
        return self.distributions["latency"].total

    def wanted(self) -> Slots:
        """Return the slots whose observations the percentiles need, by distribution; those that need none left out."""
        slots = {name: distribution.wanted() for name, distribution in self.distributions.items()}
        return {name: wanted for name, wanted in slots.items() if len(wanted)}

    def percentiles(self, name: str, known: Values) -> dict[str, float]:
        """Return the percentiles of one distribution; `known` as in :meth:`SlotCounts.percentiles`."""
        return self.distributions[name].percentiles(known.get(name, np.zeros(0)))

    def summary(self, known: Values) -> Summary:
        """Return the figures; `known` are the observations of all parts in the slots of :meth:`wanted`."""
        calls, judged = self.requests, self.distributions["judged"].total

        def messages(name: str) -> dict[str, float]:
            return self.percentiles(name, known) if self.distributions[name].total else {}

        return Summary(
            requests=calls,
            errors=sum(self.errors_by_status.values()),
            errors_by_status=dict(sorted(self.errors_by_status.items(), key=lambda one: RECORDED_NAMES.index(one[0]))),
            window_s=self.window_s,
            throughput_rps=self.throughput_rps,
            latency_mean_s=self.latency_sum_s / calls if calls else math.nan,
            latency_min_s=self.latency_min_s if calls else math.nan,
            latency_max_s=self.latency_max_s if calls else math.nan,
            latency=self.percentiles("latency", known),
            latency_ok=self.percentiles("ok", known),
            latency_uncorrected=self.percentiles("uncorrected", known),
            histogram=encoded_histogram(
                {
                    int(value): int(count)
                    for value, count in zip(self.hdr.edges(middle=False), self.hdr.counts, strict=True)
                    if count
                }
            ),
            ended_by_client=self.ended_by_client,
            messages=self.messages,
            messages_sent=self.messages_sent,
            first_message=messages("first_message"),
            message_gap=messages("message_gap"),
            message_age=messages("message_age"),
            message_reply=messages("message_reply"),
            ended=self.ended,
            not_ended=self.not_ended,
            not_ended_before=self.not_ended_before,
            judged=judged,
            latency_judged=self.percentiles("judged", known)
            | {
                "mean": self.judged_sum_s / judged if judged else math.nan,
                "max": self.judged_max_s if judged else math.nan,
            },
            stalled_s=self.stalled_s,
        )

    def lateness(self, known: Values) -> dict[str, float]:
        """Return the lateness of the calls: keys p50, p99 and max."""
        found = self.percentiles("late", known)
        return {"p50": found["p50"], "p99": found["p99"], "max": self.late_max_s if self.requests else math.nan}


def observations(window: Window) -> dict[str, Floats]:
    """Return the observations of each distribution of a part, by its name."""
    records, rows = window.records, window.inside
    latency, late, status = records.latency_s[rows], records.late_s[rows], records.status[rows]
    good = succeeded(status)
    of_window = window.holds(records.message_start_s)
    times, first = records.message_s[of_window], records.message_first[of_window]

    def known(values: Floats) -> Floats:
        kept: Floats = values[~np.isnan(values)]
        return kept

    return {
        "latency": latency,
        "ok": latency[good],
        "uncorrected": latency - late,
        "judged": np.concatenate([latency[good | (status == NOT_ENDED)], window.given_up_before]),
        "late": late,
        "first_message": known(times[first]),
        "message_gap": known(times[~first]),
        "message_age": known(records.message_age_s[of_window]),
        "message_reply": known(records.message_reply_s[of_window]),
    }


def inside(values: Values, wanted: Slots) -> dict[str, Floats]:
    """Return the observations of a part that lie in some slots, by distribution."""
    return {name: values[name][np.isin(slots_of(values[name]), slots)] for name, slots in wanted.items()}


def joined(parts: Sequence[Values]) -> dict[str, Floats]:
    """Return the observations of all parts together."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: np.concatenate([part[name] for part in parts if name in part]) for name in names}


class CountsSum:
    """The sum of the counts of many parts, added pair by pair: a thousand parts cost ten additions each at most."""

    def __init__(self) -> None:
        self._levels: list[tuple[WindowCounts, ...] | None] = []

    def add(self, part: tuple[WindowCounts, ...]) -> None:
        """Add a part: the counts of all its calls and, for a mix, those of each call."""
        for level, held in enumerate(self._levels):
            if held is None:
                self._levels[level] = part
                return
            part = tuple(one + two for one, two in zip(held, part, strict=True))
            self._levels[level] = None
        self._levels.append(part)

    def total(self) -> tuple[WindowCounts, ...]:
        """Return the sum of at least one part."""
        held = [part for part in self._levels if part is not None]
        total = held[0]
        for part in held[1:]:
            total = tuple(one + two for one, two in zip(total, part, strict=True))
        return total
