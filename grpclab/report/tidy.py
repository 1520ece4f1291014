"""The trials of a study as the report reads them: every column there, of its type."""

from __future__ import annotations

import math

import pandas as pd

from grpclab.analysis.configuration_summary import cpu_per_call
from grpclab.analysis.inference.ratios import consolidated
from grpclab.metrics import METRICS

_TEXT = ("study", "trial", "scenario", "configuration", "started_at", "invalid_reason", "limited_by")
_TEXT_EMPTY = ("errors_by_status", "profile_note", "perf_note", "strace_note", "without_effect")
_NUMBERS = (
    *("requests", "errors", "throughput_rps", "server_kernel_share", "profile_samples"),
    *("server_cpu_s", "client_cpu_s", "client_spin_s", "server_cpu_per_call_s", "client_cpu_per_call_s"),
)
PERCENTILES = ("latency_p50_s", "latency_p90_s", "latency_p99_s")


def tidy(trials: pd.DataFrame) -> pd.DataFrame:
    """A copy with every column the report reads, and no percentile with too few observations beyond it.

    It is consolidated: the report takes rows out of it many hundred times.
    """
    frame = trials.copy()
    for name in (*_TEXT, *_TEXT_EMPTY):
        column = frame[name] if name in frame else pd.Series("", index=frame.index, dtype=object)
        frame[name] = column.astype(object).where(column.notna(), "").astype(str)
    for name in ("block", "order"):
        column = frame[name] if name in frame else pd.Series(0, index=frame.index)
        frame[name] = pd.to_numeric(column, errors="coerce").fillna(0).astype(int)
    valid = frame["valid"] if "valid" in frame else pd.Series(False, index=frame.index)
    frame["valid"] = valid.eq(True)
    for name in (*_NUMBERS, *PERCENTILES):
        column = frame[name] if name in frame else pd.Series(math.nan, index=frame.index)
        frame[name] = pd.to_numeric(column, errors="coerce").astype(float)
    for side in ("server", "client"):
        frame[f"{side}_cpu_per_call_s"] = cpu_per_call(frame, side)
    for name in PERCENTILES:
        frame[name] = frame[name].where(frame["requests"] >= METRICS[name].fewest_calls)
    return consolidated(frame)
