"""A bench result as JSON in ghz's schema, and as CSV.

Scripts written for ghz's ``--format json`` read it unchanged: durations are integer nanoseconds, histogram
marks are seconds, status codes have Go's names (ghz, ``runner/reporter.go``). What grpclab adds stands under
the one key ``grpclab``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from grpclab.load.bench import BenchResult
from grpclab.load.recorder import Records
from grpclab.load.summary import percentile
from grpclab.status import OK, STATUS_NAMES, go_name

DETAILS_CAP = 100_000
GHZ_PERCENTAGES = (10, 25, 50, 75, 90, 95, 99)
HISTOGRAM_BUCKETS = 10


def nanoseconds(seconds: float) -> int:
    """Whole nanoseconds; 0 where there is no value."""
    return 0 if math.isnan(seconds) else round(seconds * 1e9)


def ghz_json(result: BenchResult) -> dict[str, Any]:
    """The result in ghz's schema."""
    summary, config = result.run.summary, result.config
    measured = [window.measured for window in result.run.windows]
    latency = np.concatenate([records.latency_s for records in measured])
    good = latency[np.concatenate([records.status for records in measured]) == OK]
    ended = "cancel" if result.run.interrupted else "normal"
    if ended == "normal" and (config.load.requests is None or summary.requests < config.load.requests):
        ended = "timeout"
    codes = {"OK": summary.requests - summary.errors} | {
        go_name(name): count for name, count in summary.errors_by_status.items()
    }
    return {
        "name": "grpclab bench",
        "endReason": ended,
        "date": result.started_at.isoformat(),
        "options": {
            "call": f"greet.GreeterService.{config.load.method}",
            "host": result.target,
            "total": config.load.requests or 0,
            "concurrency": config.load.concurrency,
            "connections": result.connections,
            "duration": nanoseconds(config.load.duration_s or 0.0),
            "timeout": nanoseconds(config.client.deadline_s or 0.0),
            "insecure": True,
        },
        "count": summary.requests,
        "total": nanoseconds(summary.window_s),
        "average": nanoseconds(summary.latency_mean_s),
        "fastest": nanoseconds(summary.latency_min_s),
        "slowest": nanoseconds(summary.latency_max_s),
        "rps": summary.throughput_rps,
        "errorDistribution": {
            f"rpc error: code = {go_name(name)}": count for name, count in summary.errors_by_status.items()
        },
        "statusCodeDistribution": {name: count for name, count in codes.items() if count},
        "latencyDistribution": _distribution(good),
        "histogram": _histogram(good),
        "details": _details(result),
        "tags": {},
        "grpclab": _own(result),
    }


def _distribution(latency_s: Any) -> list[dict[str, int]]:
    """ghz's percentiles; one with too few calls beyond it is left out, since a 0 would pass for a fast one."""
    found = {p: percentile(latency_s, p / 100) for p in GHZ_PERCENTAGES}
    return [{"percentage": p, "latency": nanoseconds(v)} for p, v in found.items() if not math.isnan(v)]


def _histogram(latency_s: Any) -> list[dict[str, float]]:
    """Eleven marks from the fastest to the slowest; each counts the calls up to it and above the one before."""
    if not len(latency_s):
        return []
    marks = np.linspace(latency_s.min(), latency_s.max(), HISTOGRAM_BUCKETS + 1)
    slots = np.searchsorted(marks, latency_s, side="left").clip(max=HISTOGRAM_BUCKETS)
    counts = np.bincount(slots, minlength=len(marks))
    return [
        {"mark": float(mark), "count": int(count), "frequency": count / len(latency_s)}
        for mark, count in zip(marks, counts, strict=True)
    ]


def _rows(result: BenchResult) -> list[tuple[float, float, int]]:
    """start (seconds since the window opened), latency in seconds, status: of each call, in order of start."""
    rows = [
        (float(start - window.opened_at), float(latency), int(status))
        for window in result.run.windows
        for start, latency, status in _columns(window.measured)
    ]
    return sorted(rows)


def _columns(records: Records) -> Any:
    return zip(records.start_s, records.latency_s, records.status, strict=True)


def _details(result: BenchResult) -> list[dict[str, Any]]:
    opened = result.started_at + timedelta(seconds=result.config.load.warmup_s)
    return [
        {
            "timestamp": (opened + timedelta(seconds=start)).astimezone(UTC).isoformat(),
            "latency": nanoseconds(latency),
            "error": "" if status == OK else f"rpc error: code = {go_name(STATUS_NAMES[status])}",
            "status": go_name(STATUS_NAMES[status]),
        }
        for start, latency, status in _rows(result)[:DETAILS_CAP]
    ]


def _own(result: BenchResult) -> dict[str, Any]:
    summary = result.run.summary
    letter, reason = result.grade
    return {
        "schema_version": 1,
        "engine": result.config.load.engine,
        "settings": result.config.settings(),
        "details_capped_at": DETAILS_CAP if summary.requests > DETAILS_CAP else None,
        "limited_by": result.limited_by,
        "generator_busy_share": result.run.busy_share,
        "generator_cpu_s": result.run.cpu_s,
        "connections_by_server_process": list(result.connections_by_process),
        "errors": summary.errors,
        "latency_s": {name: None if math.isnan(v) else v for name, v in summary.latency.items()},
        "latency_ok_s": {name: None if math.isnan(v) else v for name, v in summary.latency_ok.items()},
        "percentile_method": "nearest rank; left out with fewer than 10 calls beyond it",
        "hdr_histogram_us": summary.histogram,
        "grade": letter,
        "grade_reason": reason,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def csv_text(result: BenchResult) -> str:
    """One line a call: start_s since the window opened, latency_s, status."""
    lines = [f"{start:.6f},{latency:.9f},{STATUS_NAMES[status]}" for start, latency, status in _rows(result)]
    return "\n".join(["start_s,latency_s,status", *lines]) + "\n"
