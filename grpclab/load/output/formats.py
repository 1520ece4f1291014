"""A bench result as JSON in ghz's schema, and as CSV.

Scripts written for ghz's ``--format json`` read it unchanged: durations are integer nanoseconds, histogram
marks are seconds, status codes have Go's names (ghz, ``runner/reporter.go``). What grpclab adds stands under
the one key ``grpclab``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import format_level
from grpclab.load.core.failures import only_text
from grpclab.load.core.recorder import Codes, Floats
from grpclab.load.core.worker_window import Window
from grpclab.load.output.ghz_terms import distribution, end_reason, error_of_status, ghz_options, nanoseconds, rpc_error
from grpclab.load.output.histogram import buckets
from grpclab.load.result import LoadResult
from grpclab.load.run import LoadRun
from grpclab.load.steps import RateStep
from grpclab.status import RECORDED_NAMES, go_name, succeeded
from grpclab.system.notices import kinds

DETAILS = 1_000
"""A result with more calls lists them only on request: a second of load is megabytes of them."""
CSV_CHUNK = 10_000
"""Lines of CSV that are made at a time."""


@dataclass(frozen=True, kw_only=True)
class Calls:
    """Columns of the calls of a result, by start; `start_s` counts from the opening of the first window."""

    start_s: Floats
    late_s: Floats
    latency_s: Floats
    status: Codes
    rate_rps: Floats
    """The rate of the call's step; NaN without a schedule."""


def calls_by_start(result: LoadResult) -> Calls:
    """The calls of all windows, by start (then by latency)."""
    runs = [(step.rate_rps, step.run) for step in result.steps] or [(math.nan, result.run)]
    windows = [window for _, run in runs for window in run.windows]
    start = column(windows, "start_s") - min(window.opened_at for window in windows)
    latency = column(windows, "latency_s")
    order = np.lexsort((latency, start))
    rates = [np.full(np.count_nonzero(window.inside), rate) for rate, run in runs for window in run.windows]
    return Calls(
        start_s=start[order],
        late_s=column(windows, "late_s")[order],
        latency_s=latency[order],
        status=column(windows, "status")[order],
        rate_rps=np.concatenate(rates)[order],
    )


def column(windows: Sequence[Window], name: str) -> Any:
    """One column of Records, of the calls that started in the windows."""
    return np.concatenate([getattr(window.records, name)[window.inside] for window in windows])


def json_chunks(result: LoadResult, *, details: bool = False) -> Iterator[str]:
    """The result in ghz's schema, as text, a call a line, made piece by piece: there may be millions of them.

    With more than :data:`DETAILS` calls, they are listed only with `details`.
    """
    listed = details or result.run.summary.requests <= DETAILS
    beginning, _, rest = json.dumps(_head(result, listed=listed), indent=1).partition('"details": []')
    yield f'{beginning}"details": ['
    for number, row in enumerate(_details(result) if listed else ()):
        yield f"{',' if number else ''}\n  {json.dumps(row)}"
    yield f"]{rest}\n"


def _head(result: LoadResult, *, listed: bool) -> dict[str, Any]:
    """Return everything but the calls; with `listed` they will stand under ``details``, which is empty here."""
    summary, good = result.run.summary, successful(result)
    failed: Counter[str] = Counter()
    for name, count in summary.errors_by_status.items():  # two of our names are one of Go's
        failed[go_name(name)] += count
    failed["Canceled"] += summary.ended_by_client  # as ghz has it
    codes = {"OK": summary.succeeded - summary.ended_by_client} | failed
    return {
        "name": result.name or "grpclab bench",
        "endReason": end_reason(result),
        "date": result.started_at.isoformat(),
        "options": ghz_options(result),
        "count": summary.requests,
        "total": nanoseconds(summary.window_s),
        "average": nanoseconds(summary.latency_mean_s),
        "fastest": nanoseconds(summary.latency_min_s),
        "slowest": nanoseconds(summary.latency_max_s),
        "rps": summary.throughput_rps,
        "errorDistribution": _error_distribution(result),
        "statusCodeDistribution": {name: count for name, count in codes.items() if count},
        "latencyDistribution": [{"percentage": p, "latency": value} for p, value in distribution(good).items()],
        "histogram": [
            {"mark": bucket.mark_s, "count": bucket.calls, "frequency": bucket.calls / len(good)}
            for bucket in buckets(good)
        ],
        "details": [],
        "tags": dict(result.tags),
        "grpclab": _own(result, listed=listed),
    }


def _error_distribution(result: LoadResult) -> dict[str, int]:
    """The failed calls by status and text, in ghz's words; the calls whose text was not kept by status alone."""
    counts: Counter[str] = Counter()  # two of our names are one of Go's
    rest = Counter(result.run.summary.errors_by_status)
    for failure in result.run.failures:
        if failure.text:
            counts[rpc_error(failure.status, failure.text)] += failure.calls
            rest[failure.status] -= failure.calls
    for name, count in rest.items():
        if count > 0:
            counts[rpc_error(name, "")] += count
    return dict(counts)


def successful(result: LoadResult) -> Floats:
    """The latencies of the calls that succeeded, in seconds."""
    latency_s: Floats = column(result.run.windows, "latency_s")[succeeded(column(result.run.windows, "status"))]
    return latency_s


def _details(result: LoadResult) -> Iterator[dict[str, Any]]:
    opened = result.started_at + timedelta(seconds=result.config.load.warmup_s)
    calls, errors = calls_by_start(result), error_of_status(result)
    for start, latency, status in zip(calls.start_s, calls.latency_s, calls.status, strict=True):
        yield {
            "timestamp": (opened + timedelta(seconds=float(start))).astimezone(UTC).isoformat(),
            "latency": nanoseconds(float(latency)),
            "error": errors[status],
            "status": go_name(RECORDED_NAMES[status]),
        }


def _applied(result: LoadResult) -> str:
    """The settings that are not the defaults, without those that had no effect, as ``name=level`` words."""
    changed = result.config.differences(TrialConfig())
    return " ".join(f"{n}={format_level(v)}" for n, v in changed.items() if n not in result.without_effect)


def _own(result: LoadResult, *, listed: bool) -> dict[str, Any]:
    run, summary, load = result.run, result.run.summary, result.config.load
    letter, reason = result.grade
    knee = result.knee
    return {
        "schema_version": 2,  # 1: closed loop only
        "engine": load.engine,
        "settings": _applied(result),
        "server_factors": None if result.server_factors is None else dict(result.server_factors),
        "without_effect": dict(result.without_effect),
        "link": None if result.link is None else _numbers(result.link),
        "notes": list(result.notes),
        "notices": [notice.to_json() for notice in result.notices],
        "surroundings": run.interference.to_json(),
        "details_note": "" if listed else f"{summary.requests:,} calls are not listed; add --details to list them",
        "short_window": run.short,
        "limited_by": result.limited_by,
        "limits": list(run.limits),
        "generator_still_s": run.still_s,
        "held_back": run.held_back,
        "not_ended": summary.not_ended,
        "not_ended_in_warmup": summary.not_ended_before,
        "generator_busy_share": run.busy_share,
        "generator_cpu_s": run.cpu_s,
        "generator_ceiling_rps": result.ceiling.calls_per_s if result.ceiling else None,
        "generator_spin_s": run.spin_s,
        "connections_by_server_process": list(result.connections_by_process),
        "connections_lost": run.connections_lost,
        "traffic": run.traffic.to_json(),
        "answers_compressed": None if load.engine == "grpcio" else run.encodings,  # by encoding; null is unknown
        "outage_s": run.outage_s,
        "held_by_stream_limit": run.held,
        "stopped_because": run.stopped_because,
        "errors": summary.errors,
        "every_call_failed": result.every_call_failed,
        "failures": [failure.to_json() for failure in run.failures],
        "latency_s": _numbers(summary.latency),
        "latency_ok_s": _numbers(summary.latency_ok),
        "percentile_method": "nearest rank; left out with fewer than 10 calls beyond it",
        "hdr_histogram_us": summary.histogram,
        "open_loop": None if load.rate_rps is None else _open_loop(result, run),
        "streaming": _streaming(result),
        "steps": [{name: _number(value) for name, value in step_row(step).items()} for step in result.steps],
        "knee": None if knee is None else {"rate_rps": knee.rate_rps, "sentence": knee.sentence},
        "slo": [
            {
                "name": j.objective.name,
                "limit": j.objective.limit,
                "figure": _number(j.figure),
                "met": j.met,
                "implied": j.objective.implied,
                "sentence": j.sentence,
            }
            for j in result.judgements
        ],
        "grade": letter,
        "grade_reason": reason,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _open_loop(result: LoadResult, run: LoadRun) -> dict[str, Any]:
    return {
        "arrival": result.config.load.arrival,
        "pacing": result.config.load.pacing,
        "offered_rps": run.offered_rps,
        "achieved_rps": run.summary.throughput_rps,
        "planned": run.planned,
        "sent": run.sent,
        "never_sent": run.unsent,
        "keeps_up": run.keeps_up,
        "latency_from": "the planned send time",
        "latency_uncorrected_s": _numbers(run.summary.latency_uncorrected),
        "lateness_s": _numbers(run.lateness),
        "in_flight_bound_hits": run.bound_hits,
    }


def _streaming(result: LoadResult) -> dict[str, Any] | None:
    summary = result.run.summary
    if not (result.call.server_streaming or result.call.client_streaming):
        return None
    return {
        "messages": summary.messages,
        "messages_sent": summary.messages_sent,
        "ended_by_client": summary.ended_by_client,
        **{times.name: _numbers(times.percentiles) for times in summary.message_times},
    }


def step_row(step: RateStep) -> dict[str, Any]:
    """A step of a schedule as one row of plain values; latencies in seconds."""
    run, summary = step.run, step.run.summary
    return {
        "rate_rps": step.rate_rps,
        "achieved_rps": step.achieved_rps,
        "keeps_up": step.keeps_up,
        "requests": summary.requests,
        "errors": summary.errors,
        "duration_s": summary.window_s,
        **{f"latency_{name}_s": value for name, value in summary.latency.items()},
        **{f"late_{name}_s": value for name, value in run.lateness.items()},
        "generator_busy_share": run.busy_share,
        "limited_by": step.limited_by,
        "notices": " ".join(kinds(run.notices)),
    }


def _number(value: Any) -> Any:
    """The value, with null for what JSON has no number for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def csv_chunks(result: LoadResult) -> Iterator[str]:
    """One line a call: start_s since the window opened, late_s, latency_s, status, error; of a schedule the rate, too.

    `error` is the text of a failed call, where all calls of its status had the same one.
    """
    calls = calls_by_start(result)
    errors = [_csv_cell(text) for text in ("", *(only_text(result.run.failures, name) for name in RECORDED_NAMES[1:]))]
    scheduled = bool(result.steps)
    yield "start_s,late_s,latency_s,status,error" + (",rate_rps\n" if scheduled else "\n")
    for first in range(0, len(calls.start_s), CSV_CHUNK):
        part = slice(first, first + CSV_CHUNK)
        columns = (calls.start_s, calls.late_s, calls.latency_s, calls.status, calls.rate_rps)
        yield "".join(
            f"{start:.6f},{late:.9f},{latency:.9f},{RECORDED_NAMES[status]},{errors[status]}"
            + (f",{rate:g}\n" if scheduled else "\n")
            for start, late, latency, status, rate in zip(*(c[part].tolist() for c in columns), strict=True)
        )


def _csv_cell(text: str) -> str:
    """The text in quotes, a spreadsheet's formula made harmless; nothing for no text."""
    if not text:
        return ""
    safe = f"'{text}" if text[0] in "=+-@" else text
    return '"' + safe.replace('"', '""') + '"'
