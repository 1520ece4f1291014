"""A bench result in InfluxDB's line protocol: one line for the run, or one line for each call.

Measurements, tags and fields have the names of ghz, and its units: latencies are in nanoseconds. Unlike ghz's, tags
stand without quotation marks, which would be part of their values, and each tag of ``--tags`` is a tag of its own,
``tag_NAME``. Of two points with the same tags and time, InfluxDB keeps one, so calls that started at the same
nanosecond are a nanosecond apart here.
https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from grpclab.load.output.call_columns import calls_by_start
from grpclab.load.output.formats import successful
from grpclab.load.output.ghz_terms import distribution, error_of_status, ghz_options, nanoseconds
from grpclab.load.result import LoadResult
from grpclab.status import RECORDED_NAMES, go_name, succeeded
from grpclab.text.printable import printable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OPTIONS = ("call", "host", "n", "c", "connections", "z", "timeout")
"""The options that are tags; `timeout` is in seconds, as in ghz."""


def summary_line(result: LoadResult) -> Iterator[str]:
    """The point of the run; percentiles with too few calls beyond them are left out."""
    summary, shares = result.run.summary, distribution(successful(result))
    times = {"average": summary.latency_mean_s, "fastest": summary.latency_min_s, "slowest": summary.latency_max_s}
    fields: dict[str, float] = {"count": summary.requests, "total": nanoseconds(summary.window_s)}
    if summary.requests:
        fields |= {name: nanoseconds(value) for name, value in times.items()}
    fields["rps"] = round(summary.throughput_rps, 2)
    named = {"median": 50, "p95": 95, "p99": 99}
    fields |= {name: shares[percentage] for name, percentage in named.items() if percentage in shares}
    fields["errors"] = summary.errors
    tags = {**_tags(result), "has_errors": _word(summary.errors > 0)}
    yield _point("ghz_run", tags, {name: f"{value}" for name, value in fields.items()}, _since_epoch(result.started_at))


def detail_lines(result: LoadResult) -> Iterator[str]:
    """A point for each call, by its start."""
    opened = _since_epoch(result.started_at + timedelta(seconds=result.config.load.warmup_s))
    tags, calls, errors = _tags(result), calls_by_start(result), error_of_status(result)
    failed = {state: {**tags, "hasError": _word(state)} for state in (False, True)}
    last = -1
    for start, latency, status in zip(calls.start_s, calls.latency_s, calls.status, strict=True):
        last = max(last + 1, opened + nanoseconds(float(start)))
        fields = {
            "latency": f"{nanoseconds(float(latency))}",
            "error": _text(errors[status]),
            "status": _text(go_name(RECORDED_NAMES[status])),
        }
        yield _point("ghz_detail", failed[not succeeded(status)], fields, last)


def _tags(result: LoadResult) -> dict[str, str]:
    """The tags that both have: the name, the options of the load, what limited it, and the user's own."""
    options = ghz_options(result)
    options |= {"n": options["total"], "c": options["concurrency"], "z": options["duration"]}
    options["timeout"] = f"{options['timeout'] / 1e9:g}"
    load = [name for name in options if name.startswith("load-")] if len(result.steps) > 1 else ["rps"]
    named = {name: f"{options[name]}" for name in (*_OPTIONS, *load) if name in options}
    own = {f"tag_{name}": value for name, value in result.tags.items()}
    lost = "" if result.cluster is None or not result.cluster.lost else f"{len(result.cluster.lost)}"
    return {"name": result.name, **named, "limited_by": result.limited_by, "lost_generators": lost, **own}


def _point(measurement: str, tags: Mapping[str, str], fields: Mapping[str, str], at_ns: int) -> str:
    """One line; a tag without a value is left out."""
    escaped = {_escaped(name): shown for name, value in tags.items() if (shown := _escaped(value))}
    head = ",".join([measurement, *(f"{name}={value}" for name, value in escaped.items())])
    return f"{head} {','.join(f'{name}={value}' for name, value in fields.items())} {at_ns}\n"


def _escaped(text: str) -> str:
    r"""The text as the name or the value of a tag; a ``\`` at its end would escape what follows, and is left out."""
    text = printable(text)
    for special in (",", "=", " "):
        text = text.replace(special, f"\\{special}")
    return text.rstrip("\\")


def _text(text: str) -> str:
    """The value of a field that is a text."""
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _word(value: bool) -> str:
    return "true" if value else "false"


def _since_epoch(moment: datetime) -> int:
    """Nanoseconds since 1970; a datetime has whole microseconds."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
