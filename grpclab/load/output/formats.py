"""A bench result as JSON in ghz's schema.

Scripts written for ghz's ``--format json`` read it unchanged: durations are integer nanoseconds, histogram
marks are seconds, status codes have Go's names (ghz, ``runner/reporter.go``). What grpclab adds stands under
the one key ``grpclab``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import format_level
from grpclab.load.core.recorder import Floats
from grpclab.load.output.call_columns import call_names, calls_by_start, column
from grpclab.load.output.ghz_terms import distribution, end_reason, error_of_status, ghz_options, nanoseconds, rpc_error
from grpclab.load.output.histogram import buckets
from grpclab.load.result import CallResult, LoadResult
from grpclab.load.run import LoadRun
from grpclab.load.steps import RateStep
from grpclab.status import RECORDED_NAMES, go_name, succeeded
from grpclab.system.notices import kinds

DETAILS = 1_000
"""A result with more calls lists them only on request: a second of load is megabytes of them."""


def json_chunks(result: LoadResult, *, details: bool = False) -> Iterator[str]:
    """The result in ghz's schema, as text, a call a line, made piece by piece: there may be millions of them.

    With more than :data:`DETAILS` calls, they are listed only with `details`.
    """
    listed = bool(result.run.windows) and (details or result.run.summary.requests <= DETAILS)
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
    """The latencies of the calls that succeeded, in seconds; as precise as a histogram's slots where the records of the
    calls stayed on the machines of a cluster.
    """
    if result.run.distributions:
        return result.run.distributions["ok"].expanded()
    latency_s: Floats = column(result.run.windows, "latency_s")[succeeded(column(result.run.windows, "status"))]
    return latency_s


def _details(result: LoadResult) -> Iterator[dict[str, Any]]:
    opened = result.started_at + timedelta(seconds=result.config.load.warmup_s)
    calls, errors = calls_by_start(result), error_of_status(result)
    names = call_names(result, calls)
    for start, latency, status, name in zip(calls.start_s, calls.latency_s, calls.status, names, strict=False):
        yield {
            "timestamp": (opened + timedelta(seconds=float(start))).astimezone(UTC).isoformat(),
            "latency": nanoseconds(float(latency)),
            "error": errors[status],
            "status": go_name(RECORDED_NAMES[status]),
            **({"call": name} if name else {}),
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
        **({} if result.cluster is None else {"cluster": result.cluster.to_json()}),
        "notes": list(result.notes),
        "notices": [notice.to_json() for notice in result.notices],
        "surroundings": run.interference.to_json(),
        "details_note": "" if listed else f"{summary.requests:,} calls are not listed; add --details to list them",
        "short_window": run.short,
        "limited_by": result.limited_by,
        "limits": list(run.limits),
        "load_share": run.share,
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
        "calls": [_call_row(call) for call in result.calls],
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


def _call_row(call: CallResult) -> dict[str, Any]:
    """One call of a mix: the share that was asked for, and its figures."""
    summary = call.summary
    return {
        "name": call.name,
        "call": call.path.removeprefix("/"),
        "share": call.share,
        "requests": summary.requests,
        "errors": summary.errors,
        "errors_by_status": summary.errors_by_status,
        "throughput_rps": summary.throughput_rps,
        "latency_mean_s": _number(summary.latency_mean_s),
        "latency_s": _numbers(summary.latency),
        "latency_ok_s": _numbers(summary.latency_ok),
        "latency_uncorrected_s": _numbers(summary.latency_uncorrected),
        "time_to_first_message_s": _numbers(summary.first_message),
        "message_gap_s": _numbers(summary.message_gap),
        "hdr_histogram_us": summary.histogram,
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
        "load_share": run.share,
        "generator_busy_share": run.busy_share,
        "limited_by": step.limited_by,
        "notices": " ".join(kinds(run.notices)),
    }


def _number(value: Any) -> Any:
    """The value, with null for what JSON has no number for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(values: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}
