"""The figures of a window, from the record of its calls: throughput, percentiles, histogram, timeline. Pure.

Throughput is that of :mod:`grpclab.load.core.worker_window`. Latencies are those of all calls that *started* in the
window, each waited for to its end; in an open loop a call starts when it is planned to, which is what corrects for
coordinated omission. `latency_uncorrected` counts from the actual sends instead.

A message of a stream has three clocks, each with a distribution of its own: since its call started, since the message
before it, and, where the client streams, since the last message that the client had sent. The first message, which has
none before it, is timed from the start of its call, and is a distribution apart.

Percentiles are observed values (nearest rank, numpy's ``inverted_cdf``), and are left out (NaN) where fewer
than 10 observations lie beyond them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from grpclab.load.core.hdr_slots import encoded_histogram, histogram_slots
from grpclab.load.core.recorder import Floats
from grpclab.load.core.worker_window import SlicedWindow, Window
from grpclab.metrics import PERCENTILES, calls_needed
from grpclab.status import ENDED_BY_CLIENT, NOT_ENDED, RECORDED_NAMES, succeeded


class MessageTimes(NamedTuple):
    """One distribution of the times of messages: its name in JSON and for people, its percentiles (perhaps none)."""

    name: str
    title: str
    percentiles: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The figures of one measured window over all workers. Latencies in seconds; NaN where not to be had."""

    requests: int
    errors: int
    errors_by_status: dict[str, int]
    window_s: float
    throughput_rps: float
    latency_mean_s: float
    latency_min_s: float
    latency_max_s: float
    latency: dict[str, float]
    """Seconds by percentile (keys of PERCENTILES), over all calls, failed ones included."""
    latency_ok: dict[str, float]
    """The latency of the successful calls."""
    latency_uncorrected: dict[str, float]
    """The latency from the actual sends; equal to `latency` in a closed loop."""
    histogram: str
    """HdrHistogram of all latencies in microseconds, V2 compressed, base64."""
    ended_by_client: int = 0
    """Successful calls that the client cancelled as planned: streams of a planned length."""
    messages: int = 0
    """Messages of streams that the client received."""
    messages_sent: int = 0
    """Messages of streams that the client sent."""
    first_message: dict[str, float] = field(default_factory=dict)
    """Percentiles of the time from the start of a call to its first message; empty without messages."""
    message_gap: dict[str, float] = field(default_factory=dict)
    """Percentiles of the time from one message of a stream to the next; empty where no stream had two."""
    message_age: dict[str, float] = field(default_factory=dict)
    """Percentiles of the time from the start of a call to each of its messages."""
    message_reply: dict[str, float] = field(default_factory=dict)
    """Percentiles of the time from the last message that the client had sent to each message that it received; empty
    where the client streams nothing."""
    ended: int = 0
    """Calls that ended inside the window, whenever they had started."""
    not_ended: int = 0
    """Calls that were given up: under way at the end of the run, or due and never sent."""
    not_ended_before: int = 0
    """The part of them that began in the warm-up, and so is not among `requests`."""
    judged: int = 0
    """Calls that a limit of latency is about: those that succeeded, and those that were given up."""
    latency_judged: dict[str, float] = field(default_factory=dict)
    """Percentiles, `mean` and `max` of those; a call that was given up is as long as it had been under way."""
    stalled_s: float = 0.0
    """In a closed loop whose callers all waited for a call that was given up: the time to the window's end in which
    no call ended."""

    @property
    def message_times(self) -> tuple[MessageTimes, ...]:
        """The distributions of the times of messages of streams."""
        return (
            MessageTimes("time_to_first_message_s", "time to the first message", self.first_message),
            MessageTimes("message_gap_s", "gap between messages", self.message_gap),
            MessageTimes("message_since_start_s", "messages since the start of the call", self.message_age),
            MessageTimes("message_since_sent_s", "messages since the last one sent", self.message_reply),
        )

    @property
    def succeeded(self) -> int:
        """Calls that succeeded."""
        return self.requests - self.errors


def summarise(windows: Sequence[Window]) -> Summary:
    """The figures of a window that one or more workers measured side by side."""
    # Column by column, so that ten million calls cost a few hundred megabytes.
    latency = _measured(windows, "latency_s")
    late = _measured(windows, "late_s")
    status = np.concatenate([window.records.status[window.inside] for window in windows])
    times, first, ages, replies = (
        _of_streams(windows, column) for column in ("message_s", "message_first", "message_age_s", "message_reply_s")
    )
    waited_before = np.concatenate([window.given_up_before for window in windows])
    good = succeeded(status)
    failed = status[~good]
    judged = np.concatenate([latency[good | (status == NOT_ENDED)], waited_before])
    codes, counts = np.unique(failed, return_counts=True)
    corrected = percentiles(latency)
    return Summary(
        requests=len(latency),
        errors=len(failed),
        errors_by_status={RECORDED_NAMES[code]: int(n) for code, n in zip(codes, counts, strict=True)},
        window_s=max(window.length_s for window in windows),
        throughput_rps=sum(window.throughput_rps for window in windows),
        latency_mean_s=float(latency.mean()) if len(latency) else math.nan,
        latency_min_s=float(latency.min()) if len(latency) else math.nan,
        latency_max_s=float(latency.max()) if len(latency) else math.nan,
        latency=corrected,
        latency_ok=percentiles(latency[good]) if len(failed) else dict(corrected),
        latency_uncorrected=percentiles(latency - late) if late.any() else dict(corrected),
        histogram=histogram(latency),
        ended_by_client=int((status == ENDED_BY_CLIENT).sum()),
        messages=len(times),
        messages_sent=int(_of_streams(windows, "sent_messages", "sent_start_s").sum()),
        first_message=_percentiles_of(times[first]),
        message_gap=_percentiles_of(times[~first]),
        message_age=_percentiles_of(ages),
        message_reply=_percentiles_of(replies),
        ended=sum(window.ended for window in windows),
        not_ended=int((status == NOT_ENDED).sum()) + len(waited_before),
        not_ended_before=len(waited_before),
        judged=len(judged),
        latency_judged=percentiles(judged)
        | {
            "mean": float(judged.mean()) if len(judged) else math.nan,
            "max": float(judged.max()) if len(judged) else math.nan,
        },
        stalled_s=min(window.stalled_s for window in windows),
    )


def most_in_flight(windows: Sequence[Window]) -> int:
    """The most calls under way at once at any time from the opening of the windows on, over all workers.

    A call is under way from its start until its answer is complete; those of the warm-up that last into the window
    count. Calls that wait for the peer's stream limit count, too; `held` counts them apart.
    """
    return max(map(_most_in_flight, _stretches(windows)))


def _most_in_flight(windows: Sequence[Window]) -> int:
    """The most calls under way in windows of one stretch each, which the workers measured side by side."""
    starts = np.sort(np.concatenate([window.records.start_s for window in windows]))
    ends = np.sort(np.concatenate([window.records.end_s for window in windows]))
    opened_at, until = min(window.opened_at for window in windows), max(window.starts_until for window in windows)
    # The number under way rises only where a call starts.
    at = np.concatenate([[opened_at], starts[(starts > opened_at) & (starts < until)]])
    under_way = np.searchsorted(starts, at, side="right") - np.searchsorted(ends, at, side="right")
    return int(under_way.max())


def _stretches(windows: Sequence[Window]) -> Iterator[tuple[Window, ...]]:
    """Yield the windows of all workers, one stretch after the other."""
    return zip(*(window.stretches for window in windows), strict=True)


FEWEST_WAITING = 2
"""The fewest calls under way in a silence: with one alone, a slow call looks like a server at a standstill."""


def longest_silence(windows: Sequence[Window]) -> tuple[float, float]:
    """The longest time in which no call ended though FEWEST_WAITING were under way all the time, over all workers, and
    when it began after the windows' opening. Calls that were given up count as under way until then, and as no end.

    In slices it is one that began in a counted stretch, or lasted when it opened.
    """
    silence_s, began_at = max(map(_longest_silence, _stretches(windows)), key=lambda silence: silence[0])
    if silence_s <= 0:
        return 0.0, 0.0
    return silence_s, float(windows[0].since_opening(np.array([began_at]))[0])


def _longest_silence(windows: Sequence[Window]) -> tuple[float, float]:
    """The longest silence of windows of one stretch each, and the moment at which it began."""
    opened_at, until = min(window.opened_at for window in windows), max(window.starts_until for window in windows)
    starts = np.sort(np.concatenate([window.records.start_s + window.records.late_s for window in windows]))
    given_up = np.concatenate([window.records.status == NOT_ENDED for window in windows])
    all_ends = np.concatenate([window.records.end_s for window in windows])
    ends = np.sort(np.concatenate([[opened_at], all_ends[~given_up & (all_ends > opened_at)]]))
    if len(ends) < 2:
        return 0.0, opened_at
    # Before an end, the last FEWEST_WAITING-th call to start that has not ended: from then on so many were under way.
    ended_before = np.arange(len(ends) - 1) + np.count_nonzero(all_ends[~given_up] <= opened_at)
    never = np.full(FEWEST_WAITING + len(ends), np.inf)
    began = np.maximum(ends[:-1], np.concatenate([starts, never])[ended_before + FEWEST_WAITING - 1])
    silence = np.where(began < until, ends[1:] - began, 0.0)
    at = int(silence.argmax())
    return max(0.0, float(silence[at])), float(began[at])


def _measured(windows: Sequence[Window], column: str) -> Floats:
    """One column of the calls that started in the windows."""
    values: Floats = np.concatenate([getattr(window.records, column)[window.inside] for window in windows])
    return values


def _of_streams(windows: Sequence[Window], column: str, starts: str = "message_start_s") -> npt.NDArray[Any]:
    """One column of the messages of the calls that started in the windows."""
    return np.concatenate(
        [getattr(window.records, column)[window.holds(getattr(window.records, starts))] for window in windows]
    )


def _percentiles_of(times: Floats) -> dict[str, float]:
    """The percentiles of those times that are known; empty where none is."""
    known = times[~np.isnan(times)]
    return percentiles(known) if len(known) else {}


def lateness(windows: Sequence[Window]) -> dict[str, float]:
    """Return the lateness of the calls of the windows, in seconds: keys p50, p99 and max."""
    late = _measured(windows, "late_s")
    return {
        **{name: percentile(late, PERCENTILES[name]) for name in ("p50", "p99")},
        "max": float(late.max()) if len(late) else math.nan,
    }


def percentiles(latency_s: Floats) -> dict[str, float]:
    """The percentiles of PERCENTILES, in seconds; NaN where too few observations lie beyond one."""
    carried = [name for name, q in PERCENTILES.items() if len(latency_s) >= calls_needed(q)]
    if not carried:
        return dict.fromkeys(PERCENTILES, math.nan)
    # All at once: one copy and one partial sort.
    values = np.quantile(latency_s, [PERCENTILES[name] for name in carried], method="inverted_cdf")
    return dict.fromkeys(PERCENTILES, math.nan) | dict(zip(carried, values.tolist(), strict=True))


def percentile(latency_s: Floats, q: float) -> float:
    """One observed percentile; NaN with fewer than MIN_BEYOND observations beyond it."""
    return float(np.quantile(latency_s, q, method="inverted_cdf")) if len(latency_s) >= calls_needed(q) else math.nan


def histogram(latency_s: Floats) -> str:
    """Return all latencies as an encoded HdrHistogram (see Summary.histogram)."""
    return encoded_histogram(dict(zip(*histogram_slots(latency_s), strict=True)))


def timeline(windows: Sequence[Window], bin_s: float = 0.1) -> dict[str, list[float]]:
    """Calls by the time they ended, in bins of `bin_s`, warm-up included (negative times); of slices, the calls that
    ended in a counted stretch, by counted time.

    Columns: `t_s` start of the bin, seconds since the window opened; `completed`; `errors`; `latency_p50_s` and
    `latency_max_s` of the calls that ended in it (NaN where none did).
    """
    ends = np.concatenate([w.since_opening(w.records.end_s) for w in windows])
    latency = np.concatenate([w.records.latency_s for w in windows])
    failed = ~succeeded(np.concatenate([w.records.status for w in windows]))
    if any(isinstance(w, SlicedWindow) for w in windows):
        counted = ends >= 0
        ends, latency, failed = ends[counted], latency[counted], failed[counted]
    columns: dict[str, list[float]] = {
        name: [] for name in ("t_s", "completed", "errors", "latency_p50_s", "latency_max_s")
    }
    if not len(ends):
        return columns
    slots = np.floor(ends / bin_s).astype(np.int64)
    order = np.argsort(slots, kind="stable")
    first, last = int(slots[order[0]]), int(slots[order[-1]])
    borders = np.searchsorted(slots[order], np.arange(first, last + 2))
    for slot, start, stop in zip(range(first, last + 1), borders[:-1], borders[1:], strict=True):
        calls = order[start:stop]
        values = latency[calls]
        columns["t_s"].append(round(slot * bin_s, 9))
        columns["completed"].append(float(len(calls)))
        columns["errors"].append(float(failed[calls].sum()))
        columns["latency_p50_s"].append(float(np.median(values)) if len(values) else math.nan)
        columns["latency_max_s"].append(float(values.max()) if len(values) else math.nan)
    return columns
