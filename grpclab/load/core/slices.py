"""The slices of a load: their lengths, their bounds, and which configurations cannot be measured in slices. Pure.

A slice is **ramp** (the load settles), **counted stretch**, **tail** (the load goes on, uncounted, until every call
that started in the stretch has ended) and **drain** (no call starts any more; those under way end). Throughput counts
the successful calls that end in the stretch, percentiles take the calls that start in it. The lengths are fixed after
the warm-up, one for all configurations that are measured together: the slowest decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from grpclab.load.core.recorder import Codes, Floats
from grpclab.status import succeeded

_GOLDEN = (math.sqrt(5) - 1) / 2
RAMP_S, RAMP_TAILS = 0.025, 2
"""The shortest ramp, in seconds and in p99 latencies of the warm-up."""
COUNTED_S, COUNTED_MEDIANS = 0.075, 5
"""The shortest counted stretch of a closed loop, in seconds and in median latencies of the warm-up."""
STAGGER_S = COUNTED_S / COUNTED_MEDIANS
"""Where calls take longer than this, a configuration has few slices, and few calls of each caller in one: its callers
begin evenly over a median latency."""
RAMP_COUNTED_S = 0.25
"""A counted stretch is as long as the ramp, where that is no longer than this."""
OPEN_S, OPEN_CALLS, OPEN_TAILS = 1.0, 200, 10
"""The shortest counted stretch of an open loop: in seconds, in planned calls, and in p99 latencies of the warm-up."""
CLOSED_MOST_S, OPEN_MOST_S = 2.0, 5.0
"""The longest slice of a closed and of an open loop; what needs a longer one is measured alone in one window."""
LATE_START_S = 0.002
"""A worker that begins a slice later than the others by more than this makes it invalid."""
LATE_ALONE_S = 0.1
"""One worker alone begins its slices itself, soon after they are ordered; one that is later by this was stopped."""
DISTURBED_S, DISTURBED_MEDIANS = 0.1, 10
"""A warm-up whose p99 is above both, in seconds and in medians, may have been disturbed: it is worth another one."""
STILL, GREW = 3.0, 0.02
"""A queue grows by more than so many standard deviations, and by more than this share of the calls."""
_TIME = re.compile(r"[\d.,]+ (?:µs|ms|s)\b")


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """The figures of a warm-up, which lengths of slices follow.

    Latencies and throughput are those of its second half, since the first calls open connections; of all of it where
    no call began in that half.
    """

    calls: int
    """All calls that were sent, of both halves."""
    latency_p50_s: float
    """Of however few calls; NaN without any."""
    latency_p99_s: float
    """Likewise: of fewer than a hundred, the longest."""
    throughput_rps: float
    """Where no call ended in time: calls that were made, per second until the last of them had ended."""


@dataclass(frozen=True, kw_only=True)
class SliceLengths:
    """The lengths of a slice that are fixed; tail and drain last as long as their calls."""

    ramp_s: float
    counted_s: float

    def expected_s(self, warmup: WarmUp) -> float:
        """The length of the whole slice of a configuration, with a tail and a drain of its p99 each."""
        return self.ramp_s + self.counted_s + 2 * warmup.latency_p99_s


@dataclass(frozen=True, kw_only=True)
class StretchFigures:
    """The counted stretch of a slice, in one worker or in all of them."""

    counted_ok: int
    """The successful calls that ended in the stretch."""
    started: int
    """The calls that started in the stretch."""
    errors: int
    """Those of them that failed."""
    under_way_opened: int
    """The calls under way when the stretch began."""
    under_way_closed: int
    """The calls under way when it ended."""
    longest_s: float
    """The longest call that started in the stretch; NaN without any."""
    latency_p50_s: float
    """The median of the calls that started in the stretch, whatever their number; NaN without any. Of several workers,
    the worst one's."""
    latency_p99_s: float
    """Their p99, likewise."""

    @classmethod
    def of(
        cls, start_s: Floats, latency_s: Floats, status: Codes, *, opened_at: float, closed_at: float
    ) -> StretchFigures:
        """The figures of the calls of one slice, ramp and tail included."""
        end_s = start_s + latency_s
        started = (start_s >= opened_at) & (start_s < closed_at)
        good = succeeded(status)
        latencies = latency_s[started]
        p50, p99 = math.nan, math.nan
        if len(latencies):
            p50, p99 = np.quantile(latencies, (0.5, 0.99), method="higher").tolist()
        return cls(
            counted_ok=int(np.count_nonzero((end_s > opened_at) & (end_s <= closed_at) & good)),
            started=len(latencies),
            errors=int(np.count_nonzero(started & ~good)),
            under_way_opened=int(np.count_nonzero((start_s <= opened_at) & (end_s > opened_at))),
            under_way_closed=int(np.count_nonzero((start_s <= closed_at) & (end_s > closed_at))),
            longest_s=float(latencies.max()) if len(latencies) else math.nan,
            latency_p50_s=p50,
            latency_p99_s=p99,
        )

    @classmethod
    def of_workers(cls, parts: Sequence[StretchFigures]) -> StretchFigures:
        """The figures of all workers: counts added up, of latencies the worst."""
        return cls(
            counted_ok=sum(part.counted_ok for part in parts),
            started=sum(part.started for part in parts),
            errors=sum(part.errors for part in parts),
            under_way_opened=sum(part.under_way_opened for part in parts),
            under_way_closed=sum(part.under_way_closed for part in parts),
            longest_s=_worst(part.longest_s for part in parts),
            latency_p50_s=_worst(part.latency_p50_s for part in parts),
            latency_p99_s=_worst(part.latency_p99_s for part in parts),
        )


def stretch_figures(start_s: Floats, latency_s: Floats, status: Codes, slices: Sequence[Slice]) -> list[StretchFigures]:
    """The figures of each slice, of one worker's calls in the order in which they ended; slices in their order.

    The calls of one slice follow one another, since it ends with the last of them. Calls from before the first slice
    are left out.
    """
    number = np.searchsorted([each.started_at for each in slices], start_s, side="right") - 1
    firsts = np.searchsorted(number, np.arange(len(slices) + 1))
    return [
        StretchFigures.of(
            start_s[first:end],
            latency_s[first:end],
            status[first:end],
            opened_at=each.opened_at,
            closed_at=each.closed_at,
        )
        for each, first, end in zip(slices, firsts[:-1], firsts[1:], strict=True)
    ]


def _worst(values: Iterable[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One slice of one configuration, all workers together. Moments are seconds of ``time.perf_counter``.

    All but `stretch` is known when its last call has ended; that is worked out of the records, when no slice follows.
    """

    number: int
    """From 0, in the order in which the configuration's slices were measured."""
    started_at: float
    opened_at: float
    """The beginning of the counted stretch."""
    closed_at: float
    """The end of the counted stretch."""
    tail_ended_at: float
    """From here on no call starts."""
    drained_at: float
    """The last call has ended."""
    calls: int
    """All calls that were sent, those of ramp and tail included."""
    started: int
    """The calls that started in the counted stretch, or were planned to."""
    late_s: float
    """The late start of the worst worker."""
    client_cpu_s: float
    """CPU time of all workers from start to drained, spinning included."""
    client_busy_s: float
    """CPU time, without spinning, of the busiest worker within the counted stretch."""
    client_waited_s: float
    """The time in which the workers' event loops could have run and had no core, summed, from start to drained."""
    invalid: str = ""
    """The reason why nothing of the slice counts; its calls were made all the same."""
    exhausted: bool = False
    """No further slice can be measured, for the reason in `invalid`."""
    stretch: StretchFigures | None = None
    """None until the slices are finished."""

    @property
    def counted_s(self) -> float:
        """The length of the counted stretch."""
        return self.closed_at - self.opened_at

    @property
    def throughput_rps(self) -> float:
        """Successful calls that ended in the stretch, per second; NaN until the slices are finished."""
        if self.stretch is None:
            return math.nan
        return self.stretch.counted_ok / self.counted_s if self.counted_s > 0 else 0.0


# ---- lengths ---------------------------------------------------------------------------------------------------


def closed_lengths(warmups: Iterable[WarmUp]) -> SliceLengths:
    """The lengths for closed loops that are measured together. Raises ValueError without a warm-up that has calls.

    The counted stretch is not shorter than the ramp, up to RAMP_COUNTED_S: else most of a slice would not count where
    tails are long.
    """
    known = _known(warmups)
    ramp_s = _ramp_s(known)
    counted = [COUNTED_S, min(ramp_s, RAMP_COUNTED_S), *(COUNTED_MEDIANS * each.latency_p50_s for each in known)]
    return SliceLengths(ramp_s=ramp_s, counted_s=max(counted))


def open_lengths(warmups: Iterable[WarmUp], rates: Iterable[float]) -> SliceLengths:
    """The lengths for open loops of these rates (calls per second) that are measured together. Raises ValueError."""
    known = _known(warmups)
    counted = [OPEN_S, *(OPEN_CALLS / rate for rate in rates), *(OPEN_TAILS * each.latency_p99_s for each in known)]
    return SliceLengths(ramp_s=_ramp_s(known), counted_s=max(counted))


def _known(warmups: Iterable[WarmUp]) -> list[WarmUp]:
    warmups = list(warmups)
    if not warmups or any(math.isnan(each.latency_p99_s) for each in warmups):
        raise ValueError("slice lengths need warm-ups in which calls completed")
    return warmups


def _ramp_s(warmups: Sequence[WarmUp]) -> float:
    return max([RAMP_S, *(RAMP_TAILS * each.latency_p99_s for each in warmups)])


def ramp_of(number: int, ramp_s: float, turn_s: float) -> float:
    """The ramp of one slice: `ramp_s`, and a part of a turn of the callers, another one in each slice.

    Callers that begin together end together, `turn_s` later. Stretches at one place of a turn would hold one too few.
    """
    return ramp_s + turn_s * (number * _GOLDEN % 1.0)


def undisturbed(warm_up: Callable[[], WarmUp], rate_rps: float | None) -> WarmUp:
    """A warm-up, or the better of two where the first is long: one stall must not choose the way of measuring."""
    first = warm_up()
    tail_s = first.latency_p99_s
    if not (_why_alone(first, rate_rps) or tail_s > max(DISTURBED_S, DISTURBED_MEDIANS * first.latency_p50_s)):
        return first
    second = warm_up()
    return first if tail_s <= second.latency_p99_s or math.isnan(second.latency_p99_s) else second


def alone(warmups: Mapping[str, WarmUp], rates: Mapping[str, float | None]) -> dict[str, str]:
    """The configurations that have to be measured alone in one window, and why; `rates` are None for closed loops."""
    return {name: reason for name, warmup in warmups.items() if (reason := _why_alone(warmup, rates.get(name)))}


def _why_alone(warmup: WarmUp, rate_rps: float | None) -> str:
    if math.isnan(warmup.latency_p99_s):
        return "no call completed in its warm-up"
    lengths = closed_lengths([warmup]) if rate_rps is None else open_lengths([warmup], [rate_rps])
    needed_s, most_s = lengths.expected_s(warmup), CLOSED_MOST_S if rate_rps is None else OPEN_MOST_S
    if needed_s <= most_s:
        return ""
    latencies = f"latencies of {warmup.latency_p50_s:.3g} s (median) and {warmup.latency_p99_s:.3g} s (p99)"
    because = latencies if rate_rps is None else f"{rate_rps:g} calls/s and {latencies}"
    return f"a slice would take {needed_s:.2g} s, more than the limit of {most_s:g} s, with {because}"


# ---- open loops that cannot be cut -------------------------------------------------------------------------------


def growing(slices: Sequence[Slice]) -> str:
    """Return why an open loop must be measured alone, from finished slices: its queue grew; nothing otherwise.

    In half of the slices at least, more calls are under way at the end of the stretch than at its beginning, and over
    all of them by more than GREW of the calls and than STILL standard deviations of a queue that stands still. Where m
    calls are under way on average, that number varies by m (many threads) to m + m^2 (one after the other, M/M/1): the
    lesser of m + m^2 and 3 m is taken for it. Two calls are added to those that were counted at the beginnings, since a
    few moments may all have found nobody. Simulated: 1 load of 100 at most is called growing at 40% utilisation;
    at 110% four slices of 200 calls find 92 to 99 of 100.
    """
    valid = [each.stretch for each in slices if not each.invalid and each.stretch is not None]
    if not valid:
        return ""
    grew = sum(each.under_way_closed > each.under_way_opened for each in valid)
    longer = sum(each.under_way_closed - each.under_way_opened for each in valid)
    mean = (sum(each.under_way_opened for each in valid) + 2) / len(valid)
    by_chance = STILL * math.sqrt(2 * len(valid) * mean * min(1 + mean, 3))
    if grew < len(valid) / 2 or longer <= max(by_chance, GREW * sum(each.started for each in valid)):
        return ""
    return f"{grew} of {len(valid)} slices ended with more calls in progress than they started with"


def outlasting(slices: Sequence[Slice]) -> str:
    """Return why an open loop must be measured alone: a call took longer than a slice; nothing otherwise."""
    for each in slices:
        longest_s = math.nan if each.stretch is None else each.stretch.longest_s
        if not each.invalid and longest_s > each.counted_s:
            return f"a call took {longest_s:.2g} s, longer than its slice of {each.counted_s:.2g} s"
    return ""


def why_none_counts(reasons: Iterable[str]) -> str:
    """Why no slice counts, from the reasons of each: those that differ by their times alone are said once."""
    kinds: dict[str, list[str]] = {}
    for reason in filter(None, reasons):
        kinds.setdefault(_TIME.sub("", reason), []).append(reason)
    return "; ".join(
        alike[0] if len(alike) == 1 else f"{alike[0]} (and {len(alike) - 1} more like it)" for alike in kinds.values()
    )
