"""From the record of calls to figures: throughput, percentiles, histogram, timeline. Pure.

Throughput is counted at steady state: successful calls that *ended* inside the window, over its length. A
window bounded by a number of requests ends when that many calls have ended since it opened (calls of the
warm-up that end in it stand for those of the window that end after it). Latencies are those of all calls that
*started* in the window, each waited for to its end.

Percentiles are observed values (nearest rank, numpy's ``inverted_cdf``), and are left out (NaN) where fewer
than 10 observations lie beyond them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hdrh.histogram import HdrHistogram

from grpclab.load.recorder import Floats, Records
from grpclab.status import OK, STATUS_NAMES

PERCENTILES: dict[str, float] = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999}
MIN_BEYOND = 10
"""A percentile needs this many observations beyond it."""
HDR_LOWEST_US, HDR_HIGHEST_US, HDR_DIGITS = 1, 3_600_000_000, 3
"""The histogram holds microseconds, 1 us to 1 h, 3 significant digits."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The calls of one worker, and the bounds of its window on the workers' common clock, in seconds."""

    records: Records
    opened_at: float
    requests: int | None
    closes_at: float | None

    @property
    def measured(self) -> Records:
        """The calls that started in the window."""
        return _select(self.records, self.records.start_s >= self.opened_at)

    @property
    def closed_at(self) -> float:
        """When the window ended: see the module's docstring. Equal to `opened_at` if nothing ended in it.

        A window that was interrupted ended with its last call, before `closes_at`.
        """
        ends = np.sort(self.records.end_s[self.records.end_s > self.opened_at])
        if not len(ends):
            return self.opened_at
        if self.requests is not None and len(self.measured) >= self.requests:
            return float(ends[self.requests - 1])
        return float(ends[-1]) if self.closes_at is None else min(self.closes_at, float(ends[-1]))

    @property
    def throughput_rps(self) -> float:
        """Successful calls that ended in the window, per second."""
        length = self.closed_at - self.opened_at
        ends = self.records.end_s
        inside = (ends > self.opened_at) & (ends <= self.closed_at) & (self.records.status == OK)
        return float(inside.sum() / length) if length > 0 else 0.0


def _select(records: Records, mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Records:
    return Records(start_s=records.start_s[mask], latency_s=records.latency_s[mask], status=records.status[mask])


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
    """By percentile (keys of PERCENTILES), over all calls whatever became of them."""
    latency_ok: dict[str, float]
    """The same over the successful ones."""
    histogram: str
    """HdrHistogram of all latencies in microseconds, V2 compressed, base64."""


def summarise(windows: Sequence[Window]) -> Summary:
    """The figures of a window that one or more workers measured side by side."""
    measured = [window.measured for window in windows]
    latency: Floats = np.concatenate([records.latency_s for records in measured])
    status = np.concatenate([records.status for records in measured])
    failed = status[status != OK]
    codes, counts = np.unique(failed, return_counts=True)
    return Summary(
        requests=len(latency),
        errors=len(failed),
        errors_by_status={STATUS_NAMES[code]: int(n) for code, n in zip(codes, counts, strict=True)},
        window_s=max(window.closed_at - window.opened_at for window in windows),
        throughput_rps=sum(window.throughput_rps for window in windows),
        latency_mean_s=float(latency.mean()) if len(latency) else math.nan,
        latency_min_s=float(latency.min()) if len(latency) else math.nan,
        latency_max_s=float(latency.max()) if len(latency) else math.nan,
        latency=percentiles(latency),
        latency_ok=percentiles(latency[status == OK]),
        histogram=histogram(latency),
    )


def percentiles(latency_s: Floats) -> dict[str, float]:
    """The percentiles of PERCENTILES, in seconds; NaN where too few observations lie beyond one."""
    return {name: percentile(latency_s, q) for name, q in PERCENTILES.items()}


def percentile(latency_s: Floats, q: float) -> float:
    """One observed percentile; NaN with fewer than MIN_BEYOND observations beyond it."""
    if len(latency_s) * (1 - q) < MIN_BEYOND - 1e-9:
        return math.nan
    return float(np.quantile(latency_s, q, method="inverted_cdf"))


def histogram(latency_s: Floats) -> str:
    """All latencies as an encoded HdrHistogram (see Summary.histogram)."""
    hdr = HdrHistogram(HDR_LOWEST_US, HDR_HIGHEST_US, HDR_DIGITS)
    microseconds = np.clip(np.rint(latency_s * 1e6), HDR_LOWEST_US, HDR_HIGHEST_US).astype(np.int64)
    for value, count in zip(*np.unique(microseconds, return_counts=True), strict=True):
        hdr.record_value(int(value), int(count))
    return str(hdr.encode().decode("ascii"))


def timeline(windows: Sequence[Window], bin_s: float = 0.1) -> dict[str, list[float]]:
    """Calls by the time they ended, in bins of `bin_s`, warm-up included (negative times).

    Columns: `t_s` start of the bin, seconds since the window opened; `completed`; `errors`; `latency_p50_s` and
    `latency_max_s` of the calls that ended in it (NaN where none did).
    """
    ends = np.concatenate([w.records.end_s - w.opened_at for w in windows])
    latency = np.concatenate([w.records.latency_s for w in windows])
    status = np.concatenate([w.records.status for w in windows])
    columns: dict[str, list[float]] = {
        name: [] for name in ("t_s", "completed", "errors", "latency_p50_s", "latency_max_s")
    }
    if not len(ends):
        return columns
    slots = np.floor(ends / bin_s).astype(int)
    for slot in range(slots.min(), slots.max() + 1):
        inside = slots == slot
        values = latency[inside]
        columns["t_s"].append(round(slot * bin_s, 9))
        columns["completed"].append(float(inside.sum()))
        columns["errors"].append(float((status[inside] != OK).sum()))
        columns["latency_p50_s"].append(float(np.median(values)) if len(values) else math.nan)
        columns["latency_max_s"].append(float(values.max()) if len(values) else math.nan)
    return columns
