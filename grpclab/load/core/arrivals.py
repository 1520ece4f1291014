"""The times at which the calls of an open loop are due. Pure: the start and the seed are passed in.

One schedule is drawn for all workers; worker w of N takes its arrivals w, w + N, w + 2N and so on, so that the
rate is divided exactly. An arrival belongs to the window ``[opens_at, closes_at)`` by its planned time.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from grpclab.errors import UsageError, invalid
from grpclab.factors.config import FACTORS
from grpclab.factors.registries import ARRIVALS
from grpclab.load.core.recorder import Floats
from grpclab.quantities import TIMES, seconds

CHUNK = 4096
"""Arrivals drawn at a time; the schedule does not depend on it."""
MAX_STEPS = 1000


Change = tuple[float, int]
"""A moment, in seconds, and the calls in flight of a closed loop from then on."""


@dataclass(frozen=True, kw_only=True)
class LoadShape:
    """The spacing of an open loop's calls. Another package can register one under ``grpclab.arrivals``.

    ``times(rate_rps, seed)`` yields the planned times in seconds since the start, in ascending order and without end,
    in float64 arrays of a few thousand. Every worker draws all of them, so the same rate and seed must give the same
    times. `random` says whether the seed has an influence.
    """

    times: Callable[[float, int], Iterator[Floats]]
    random: bool
    varies: bool = False
    """The rate changes on its way: the times begin as the window opens, after a warm-up of their own beginning, and
    cannot be measured in slices."""
    peak: float = 1.0
    """The highest rate, as a multiple of the one asked for; bursts aside."""
    recording: Callable[[], Recording] | None = None
    """The shape's own calls, where it has some: they are sent where neither a rate nor an end is given."""
    callers: Callable[[int], Sequence[Change]] | None = None
    """The same shape of a closed loop: ``callers(concurrency)`` gives the changes of the calls in flight, ascending,
    the first at 0 s, which is when the window opens. None where the shape has no meaning without a rate."""
    length_s: float | None = None
    """The time after which it changes no more, where it changes at all."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A recorded schedule: the number of its calls, and their mean rate in calls per second."""

    calls: int
    rate_rps: float


@dataclass(frozen=True, kw_only=True)
class ShapeFamily:
    """Load shapes that differ in an argument, such as ``gamma:0.5``. A family is registered like a LoadShape."""

    make: Callable[[str], LoadShape]
    """The shape of an argument; raises ValueError for one that it cannot take."""
    expected: str
    """What an argument is, and an example: ``gamma:SHAPE, ..., as gamma:0.5``."""

    def with_argument(self, argument: str) -> LoadShape:
        """Return the shape of an argument. Raises ValueError, which says what is expected."""
        try:
            return self.make(argument)
        except ValueError:
            raise ValueError(self.expected) from None


def _constant(rate_rps: float, _: int) -> Iterator[Floats]:
    for first in itertools.count(0, CHUNK):
        yield np.arange(first, first + CHUNK) / rate_rps


def _poisson(rate_rps: float, seed: int) -> Iterator[Floats]:
    rng, elapsed = np.random.default_rng(seed), 0.0
    while True:
        gaps = rng.exponential(1 / rate_rps, CHUNK)
        gaps[0] += elapsed
        since = np.cumsum(gaps)
        elapsed = float(since[-1])
        yield since


CONSTANT = LoadShape(times=_constant, random=False)
"""``i / rate``, each computed from its number, so that no error adds up."""
POISSON = LoadShape(times=_poisson, random=True)
"""Exponential gaps of mean ``1 / rate`` (numpy's ``default_rng(seed)``), the first one before the first arrival."""


def planned(
    rate_rps: float,
    arrival: str,
    *,
    starts_at: float,
    seed: int,
    worker: int = 0,
    workers: int = 1,
    opens_at: float | None = None,
) -> Iterator[float]:
    """The planned send times of one worker, without end.

    `arrival` is the name of a load shape. One that varies begins at `opens_at`, by default at `starts_at`.
    """
    for first, times in _chunks(rate_rps, arrival, starts_at, seed, opens_at):
        yield from times[(worker - first) % workers :: workers].tolist()


def read_ahead(arrival: str) -> None:
    """Read the file of a shape that has one, before the time counts. Raises UsageError."""
    shape: LoadShape = ARRIVALS.resolve(arrival)
    if shape.recording is not None:
        shape.recording()


class StandingSchedule:
    """The arrivals of one worker, whose time stands still between slices.

    None is drawn twice; what a late worker has not sent when a tail ends is left out, and no slice counts a tail.
    """

    def __init__(self, arrivals: Iterator[float]) -> None:
        """`arrivals`: on the schedule's own clock, without end."""
        self._arrivals = arrivals
        self._next_s = next(arrivals)
        self.due = math.inf
        """The moment at which the next arrival of the running slice is due that has not been sent."""

    def resume(self, at_s: float, starts_at: float) -> Iterator[float]:
        """Yield the moments of the arrivals from `at_s` of the schedule's clock on, which goes on at `starts_at`.

        An arrival counts as sent once the next one is asked for.
        """
        while self._next_s < at_s:
            self._next_s = next(self._arrivals)
        while True:
            self.due = starts_at + (self._next_s - at_s)
            yield self.due
            self._next_s = next(self._arrivals)


def count_stretches(
    rate_rps: float, arrival: str, seed: int, stretches: Sequence[tuple[float, float, float, float]]
) -> int:
    """Count the arrivals of the whole schedule that fall into stretches, in ascending order.

    Each is ``(at_s, starts_at, opened_at, closed_at)``: as :meth:`StandingSchedule.resume` has it, and its bounds.
    """
    chunks, total = _chunks(rate_rps, arrival, 0.0, seed), 0
    times: Floats = np.empty(0)
    for at_s, starts_at, opened_at, closed_at in stretches:
        times = times[times >= at_s]
        while not len(times) or starts_at + (times[-1] - at_s) < closed_at:
            times = np.concatenate([times, next(chunks)[1]])
            times = times[times >= at_s]
        moments = starts_at + (times - at_s)
        total += int(np.count_nonzero((moments >= opened_at) & (moments < closed_at)))
    return total


@dataclass(frozen=True, kw_only=True)
class PlannedWindow:
    """The arrivals of a schedule that fall into a window: from number `first` on, `count` of them."""

    first: int
    count: int
    closes_at: float
    """The end of the window: the given one, or the moment at which the first arrival beyond its calls is due."""

    def of_worker(self, worker: int, workers: int) -> int:
        """Return the number of arrivals that belong to one worker."""

        def below(number: int) -> int:
            return (number - worker + workers - 1) // workers

        return below(self.first + self.count) - below(self.first)


def plan_window(
    rate_rps: float,
    arrival: str,
    *,
    starts_at: float,
    seed: int,
    opens_at: float,
    closes_at: float | None = None,
    requests: int | None = None,
) -> PlannedWindow:
    """The arrivals in ``[opens_at, closes_at)``, the first `requests` of them; at least one bound is needed."""
    if closes_at is None and requests is None:
        raise ValueError("an open-loop window needs an end: closes_at or requests")
    end = math.inf if closes_at is None else closes_at
    first: int | None = None
    for number, times in _chunks(rate_rps, arrival, starts_at, seed, opens_at):
        if first is None and times[-1] >= opens_at:
            first = number + int(np.searchsorted(times, opens_at))
        if first is None:
            continue
        last = max(first, number + int(np.searchsorted(times, end)))
        if requests is not None:
            last = min(last, first + requests)
        if last < number + len(times):
            beyond = float(times[last - number])
            return PlannedWindow(first=first, count=last - first, closes_at=min(end, beyond))
    raise AssertionError("a schedule never ends")


def count_between(
    rate_rps: float, arrival: str, *, starts_at: float, seed: int, opens_at: float, closes_at: float
) -> int:
    """Count the arrivals of the whole schedule that fall into ``[opens_at, closes_at)``."""
    return plan_window(rate_rps, arrival, starts_at=starts_at, seed=seed, opens_at=opens_at, closes_at=closes_at).count


def _chunks(
    rate_rps: float, arrival: str, starts_at: float, seed: int, opens_at: float | None = None
) -> Iterator[tuple[int, Floats]]:
    """The schedule in pieces of one arrival or more, each with the number of its first one."""
    shape: LoadShape = ARRIVALS.resolve(arrival)
    first = 0
    if shape.varies and opens_at is not None and opens_at > starts_at:
        for since in shape.times(rate_rps, seed):
            moments = starts_at + since
            before = moments[moments < opens_at]
            if len(before):
                yield first, before
            first += len(before)
            if len(before) < len(moments):
                break
        starts_at = opens_at
    for since in shape.times(rate_rps, seed):
        yield first, starts_at + since
        first += len(since)


# ---- what a person writes ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ScheduledRate:
    """One rate of a schedule, and the time for which it is held: None where another option sets it."""

    rate_rps: float
    hold_s: float | None = None
    arrival: str = ""
    """The load shape that leads to the rate in that time, where it is the end of a ramp."""


_COUNTED = 1e15
"""More steps than these are not told apart."""
_NUMBER = r"[^:@\s]+"
_RATES = re.compile(
    rf"\s*(?P<start>{_NUMBER})(?::(?P<stop>{_NUMBER})(?::(?P<step>{_NUMBER}))?)?"
    r"(?:@(?P<hold>[^@]+))?\s*"
)


def parse_rates(text: str) -> tuple[ScheduledRate, ...]:
    """The rates that ``500``, ``500@10s`` or ``500:5000:500@5s`` mean (from:to:step@hold, calls per second).

    `to` is included where a step falls on it; from above to, the rates go down. ``500:5000@60s`` is one window in which
    the rate goes evenly from one to the other. Raises UsageError.
    """
    match = _RATES.fullmatch(text)
    if not match:
        expected = (
            "a rate, e.g. 500, FROM:TO:STEP@HOLD, e.g. 500:5000:500@5s, or a ramp FROM:TO@TIME, e.g. 500:5000@60s"
        )
        raise _refusal(text, expected)
    start = _number(text, match["start"])
    hold_s = None
    if match["hold"] is not None:
        try:
            hold_s = seconds(match["hold"], bare="s")
        except ValueError:
            raise _refusal(text, f"{TIMES}, after the @") from None
        held = FACTORS["load.duration_s"]
        if not (held.minimum or 0) <= hold_s <= (held.maximum or math.inf):
            raise _refusal(text, f"a hold time of {held.minimum:g} to {held.maximum:,} s, e.g. 500@5s")
    rates = [start]
    if match["stop"] is not None and match["step"] is None:
        return (_ramp(text, start, _number(text, match["stop"]), hold_s),)
    if match["step"] is not None:
        stop, step = _number(text, match["stop"]), abs(_number(text, match["step"]))
        if step == 0:
            raise _refusal(text, "a step other than 0")
        count = math.floor(min(abs(stop - start) / step + 1e-9, _COUNTED)) + 1
        if count > MAX_STEPS:
            raise _refusal(text, f"at most {MAX_STEPS:,} rates (there are {count:,}): make the step larger")
        rates = [start + math.copysign(step, stop - start) * number for number in range(count)]
    for rate in rates:
        FACTORS["load.rate_rps"].check(rate)
    return tuple(ScheduledRate(rate_rps=rate, hold_s=hold_s) for rate in rates)


def _ramp(text: str, start_rps: float, stop_rps: float, time_s: float | None) -> ScheduledRate:
    if time_s is None:
        raise _refusal(text, "a duration after a ramp, e.g. 500:5000@60s, or a step, e.g. 500:5000:500@5s")
    for rate_rps in (start_rps or stop_rps, stop_rps):  # it may begin with nothing
        FACTORS["load.rate_rps"].check(rate_rps)
    arrival = f"ramp:{start_rps / stop_rps!r}@{time_s:.12g}s"
    return ScheduledRate(rate_rps=stop_rps, hold_s=time_s, arrival=arrival)


def schedule_note(text: str) -> str:
    """Return a sentence on the end of a schedule that is not the one in its text; otherwise nothing."""
    match, steps = _RATES.fullmatch(text), parse_rates(text)
    if match is None or match["step"] is None or math.isclose(steps[-1].rate_rps, float(match["stop"])):
        return ""
    if len(steps) == 1:
        beyond = f"a step of {match['step']} goes past {match['stop']}"
        return f"--rate {text} is a single rate of {steps[0].rate_rps:,g}/s: {beyond}"
    return f"--rate {text} ends at {steps[-1].rate_rps:,g}/s: no step falls on {match['stop']}"


def _number(text: str, word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _refusal(text, f"a number instead of {word!r}")
    return value


def _refusal(text: str, expected: str) -> UsageError:
    return UsageError(invalid("--rate", text, expected))
