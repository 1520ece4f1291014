"""What a trial keeps of its measured window: metrics, and the frames of latencies and of time. Pure."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from grpclab.load.core.summary import Summary, most_in_flight, timeline
from grpclab.load.run import LoadRun
from grpclab.metrics import derived
from grpclab.status import succeeded
from grpclab.system import procfs

LATE_READING_S, LATE_READING_SHARE = 0.05, 0.02
"""The server's CPU time at the opening of the window may be read later by the larger of these."""
LATENCY_ROWS = 200_000
"""The most calls that latency.parquet holds, evenly chosen; the histogram holds all."""


def metrics(run: LoadRun, opened: procfs.Usage, closed: procfs.Usage) -> dict[str, float]:
    """The figures of the calls, and of the server's and the generator's CPU between the opening and the end.

    Where the opening was read too late, since this process was stopped itself, the server's CPU is not known: NaN.
    """
    summary = run.summary
    if opened.at_s - run.windows[0].opened_at > max(LATE_READING_S, LATE_READING_SHARE * summary.window_s):
        opened = dataclasses.replace(opened, cpu_s=math.nan, user_s=math.nan, kernel_s=math.nan)
    user, kernel = closed.user_s - opened.user_s, closed.kernel_s - opened.kernel_s
    measured: dict[str, float] = {
        **call_metrics(summary),
        "offered_rps": math.nan if run.offered_rps is None else run.offered_rps,
        **{f"late_{name}_s": value for name, value in run.lateness.items()},
        **run.traffic.as_row(),
        **run.traffic.bytes_per_call(run.calls_made),
        "held": run.held,
        "in_flight_max": most_in_flight(run.windows),
        "connections_lost": run.connections_lost,
        "outage_s": run.outage_s,
        "server_cpu_s": closed.cpu_s - opened.cpu_s,
        "server_user_s": user,
        "server_kernel_s": kernel,
        "server_peak_rss_bytes": closed.peak_rss_bytes,
        "client_cpu_s": run.cpu_s,
        "client_spin_s": run.spin_s,
        "client_busy_share": run.busy_share,
        "residence_mean_s": _residence_s(run),
        **run.interference.as_row(),
        "generator_still_s": run.still_s,
        "silence_s": run.silence[0],
    }
    return measured | derived(measured)


def call_metrics(summary: Summary) -> dict[str, float]:
    """The figures of the calls alone: of all of a window, or of one call of a mix."""
    return {
        "requests": summary.requests,
        "errors": summary.errors,
        "throughput_rps": summary.throughput_rps,
        "window_s": summary.window_s,
        "latency_mean_s": summary.latency_mean_s,
        "latency_min_s": summary.latency_min_s,
        "latency_max_s": summary.latency_max_s,
        **{f"latency_{name}_s": value for name, value in summary.latency.items()},
        "latency_ok_p50_s": summary.latency_ok["p50"],
        "latency_ok_p99_s": summary.latency_ok["p99"],
        "latency_uncorrected_p99_s": summary.latency_uncorrected["p99"],
        **{
            f"{column}_{name}_s": times.get(name, math.nan)
            for column, times in (("first_message", summary.first_message), ("message_gap", summary.message_gap))
            for name in ("p50", "p99")
        },
    }


def _residence_s(run: LoadRun) -> float:
    """The mean time inside the server of the calls that succeeded, as a reference server tells it; NaN elsewhere."""
    residences = [
        measured.residence_s[succeeded(measured.status)]
        for window in run.windows
        if (measured := window.measured).residence_s is not None
    ]
    known = np.concatenate(residences) if residences else np.empty(0)
    return float(np.nanmean(known)) if np.isfinite(known).any() else math.nan


def first_success(run: LoadRun) -> dict[str, float]:
    """From the opening of the window to the end of the first call that succeeded; the window's length if none did.

    Then it is censored: all that is known is that it would have taken longer.
    """
    ends = [
        float((calls.end_s[succeeded(calls.status)] - window.opened_at).min())
        for window in run.windows
        if succeeded((calls := window.measured).status).any()
    ]
    return {
        "time_to_first_success_s": min(ends, default=run.summary.window_s),
        "first_success_censored": float(not ends),
    }


def all_calls(run: LoadRun) -> int:
    """All calls of a run, those of the warm-up too."""
    return sum(len(window.records) for window in run.windows)


def latency_frame(run: LoadRun) -> tuple[pd.DataFrame, bool]:
    """One row a call, warm-up included (negative `start_s`): start_s, latency_s, late_s, status, worker.

    With slices `start_s` is counted time, negative for calls that started in no counted stretch.

    With more than LATENCY_ROWS calls so many of them, at even distances in the order in which they ended; the
    second value says whether some were left out.
    """
    calls = all_calls(run)
    capped = calls > LATENCY_ROWS
    chosen = np.arange(min(calls, LATENCY_ROWS)) * calls // max(1, min(calls, LATENCY_ROWS))
    frames, first = [], 0
    for index, window in enumerate(run.windows):
        records = window.records
        rows = chosen[(chosen >= first) & (chosen < first + len(records))] - first
        first += len(records)
        frames.append(
            pd.DataFrame(
                {
                    "start_s": window.since_opening(records.start_s[rows]),
                    "latency_s": records.latency_s[rows],
                    "late_s": records.late_s[rows],
                    "status": records.status[rows],
                    "worker": np.uint8(index),
                }
            )
        )
    return pd.concat(frames, ignore_index=True), capped


def timeline_frame(run: LoadRun, samples: Sequence[procfs.Usage]) -> pd.DataFrame:
    """Bins of 0.1 s: the calls that ended in each, the server's CPU share and memory at the nearest sample."""
    frame = pd.DataFrame(timeline(run.windows))
    if len(frame) == 0 or len(samples) < 2:
        return frame.assign(server_cpu_share=math.nan, server_rss_bytes=math.nan)
    opened_at = run.windows[0].opened_at
    at = np.array([usage.at_s for usage in samples]) - opened_at
    cpu = np.array([usage.cpu_s for usage in samples])
    rss = np.array([float(usage.rss_bytes) for usage in samples])
    middle = (at[1:] + at[:-1]) / 2
    share = np.diff(cpu) / np.maximum(np.diff(at), 1e-9)
    return frame.assign(
        server_cpu_share=np.interp(frame["t_s"], middle, share),
        server_rss_bytes=np.interp(frame["t_s"], at, rss),
    )
