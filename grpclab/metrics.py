"""The table of metrics: what every column of trials.parquet means that is no factor.

The mirror of the table of factors (:mod:`grpclab.factors.config`): what is measured, in which unit, which direction is
better, and the words for it. Report, comparison and documentation derive from it, and so do the columns of a trial.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from grpclab import quantities as qty

Quantity = Literal["time", "rate", "share", "cores", "bytes", "count", "yes or no", "text", "JSON"]
"""Seconds; per second; of 1; CPU seconds per second; bytes; a number; 1 or 0; text; JSON in a text."""
Direction = Literal["lower", "higher"]

PERCENTILES: dict[str, float] = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999}
MIN_BEYOND = 10
"""A percentile needs this many observations beyond it."""


def calls_needed(q: float) -> int:
    """The fewest calls that carry this percentile: MIN_BEYOND of them lie beyond it."""
    return math.ceil(round(MIN_BEYOND / (1 - q), 6))


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A column of trials.parquet.

    `better` is the direction that is better, where one is; `words` stand in a sentence after "in", or "with"; `subject`
    is the heading under which the documentation lists it; `fewest_calls` a trial must have for the column to hold a
    number; `since` the schema version of result.json that had it first. A `derived` metric is computed from the others
    of its trial and never measured by itself.
    """

    name: str
    quantity: Quantity
    meaning: str
    subject: str = ""
    better: Direction | None = None
    words: str = ""
    fewest_calls: int = 1
    since: int = 1
    derived: Callable[[Mapping[str, float]], float] | None = None

    @property
    def numeric(self) -> bool:
        """Whether the column holds a number, NaN where a trial did not measure it."""
        return self.quantity not in ("text", "JSON")


def percentile_words(label: str) -> str:
    """A percentile's key as it is written: ``p999`` is ``p99.9``."""
    return f"{label[:3]}.{label[3:]}" if len(label) > 3 else label


def _percentiles(
    prefix: str,
    which: Iterable[str],
    meaning: str,
    *,
    subject: str,
    words: str,
    of_calls: bool = True,
) -> tuple[Metric, ...]:
    """The percentiles of a time, as ``PREFIX_p999_s``; `{}` in the texts stands for ``p99.9``."""
    return tuple(
        Metric(
            name=f"{prefix}_{label}_s",
            quantity="time",
            meaning=meaning.format(percentile_words(label)),
            subject=subject,
            better="lower",
            words=words.format(percentile_words(label)),
            fewest_calls=calls_needed(PERCENTILES[label]) if of_calls else 1,
        )
        for label in which
    )


def _of(subject: str, *columns: tuple[str, Quantity, str, str, str]) -> tuple[Metric, ...]:
    """Columns by name, quantity, meaning, better direction and words; the last two may be empty."""
    return tuple(
        Metric(
            name=name,
            quantity=quantity,
            meaning=meaning,
            subject=subject,
            better=better or None,  # type: ignore[arg-type]
            words=words,
            derived=_DERIVED.get(name),
        )
        for name, quantity, meaning, better, words in columns
    )


def _server_cpu_per_call(values: Mapping[str, float]) -> float:
    return values["server_cpu_s"] / values["requests"] if values["requests"] > 0 else math.nan


def _client_cpu_per_call(values: Mapping[str, float]) -> float:
    """Without spinning, which is waiting, not the cost of a call; earlier trials do not say how long they spun."""
    spun_s = 0.0 if math.isnan(values["client_spin_s"]) else values["client_spin_s"]
    spent_s = values["client_cpu_s"] - spun_s
    return (spent_s if not spent_s < 0 else 0.0) / values["requests"] if values["requests"] > 0 else math.nan


def _kernel_share(values: Mapping[str, float]) -> float:
    total_s = values["server_user_s"] + values["server_kernel_s"]
    return values["server_kernel_s"] / total_s if total_s > 0 else math.nan


_DERIVED = {
    "server_cpu_per_call_s": _server_cpu_per_call,
    "client_cpu_per_call_s": _client_cpu_per_call,
    "server_kernel_share": _kernel_share,
}

WORK = {
    "send": "sending, by system calls",
    "receive": "receiving, by system calls",
    "wait": "waiting",
    "locks": "locks and wake-ups",
    "other_kernel": "other work of the kernel",
    "handler": "the application's handler",
    "python": "the Python interpreter",
    "protobuf": "protobuf",
    "grpc_core": "gRPC core",
    "memory": "memory management",
    "other": "everything else",
}
"""The families of work that a profile is divided into: see :mod:`grpclab.profiling.families`."""

_TRIAL = "The trial"
_CALLS, _LATENCY, _STREAMS, _SCHEDULE = "Calls", "Latency of calls", "Messages of streams", "Schedule of an open loop"
_SERVER, _CLIENT, _CONNECTIONS = "The server", "The load generator", "Connections"
_PROFILE, _SETTINGS, _MACHINE, _DETAILS = "Profiles", "HTTP/2 settings", "The machine during the window", "Details"

_IDENTITY = _of(
    _TRIAL,
    ("study", "text", "name of the study", "", ""),
    ("trial", "text", "name of the trial and of the folder it is stored in", "", ""),
    ("scenario", "text", "workload on which configurations are compared", "", ""),
    ("configuration", "text", "name of the configuration", "", ""),
    ("block", "count", "number of the pass over all configurations", "", ""),
    ("order", "count", "position of the trial in its block or group", "", ""),
    ("group", "count", "number of the group in which the trial was measured, if the study has groups", "", ""),
    ("machine", "text", "machine of the cluster that measured the trial, if there is one", "", ""),
    ("started_at", "text", "when the trial started, in UTC", "", ""),
    ("valid", "yes or no", "whether the trial counts", "", ""),
    ("invalid_reason", "text", "why the trial does not count", "", ""),
    ("limited_by", "text", "what limited the trial, if not the server", "", ""),
)
"""Which trial a row is; the columns before the factors."""

_NUMBERS = (
    *_of(
        _CALLS,
        ("requests", "count", "calls that started in the window", "higher", ""),
        ("errors", "count", "calls that started in the window and failed", "lower", ""),
        (
            "throughput_rps",
            "rate",
            "successful calls that ended in the window, divided by the length of the window",
            "higher",
            "throughput",
        ),
        ("window_s", "time", "length of the measured window", "", ""),
    ),
    *_of(
        _LATENCY,
        ("latency_mean_s", "time", "mean latency of all calls", "lower", "mean latency"),
        ("latency_min_s", "time", "latency of the fastest call", "lower", "lowest latency"),
        ("latency_max_s", "time", "latency of the slowest call", "lower", "highest latency"),
    ),
    *_percentiles(
        "latency",
        PERCENTILES,
        "{} latency of all calls; in an open loop, measured from the planned start of each call",
        subject=_LATENCY,
        words="{} latency",
    ),
    *_percentiles(
        "latency_ok",
        ("p50", "p99"),
        "{} latency of the successful calls",
        subject=_LATENCY,
        words="{} latency of successful calls",
    ),
    *_percentiles(
        "latency_uncorrected",
        ("p99",),
        "{} latency of all calls, measured from the actual send of each call",
        subject=_LATENCY,
        words="{} latency from the actual sends",
    ),
    *_percentiles(
        "first_message",
        ("p50", "p99"),
        "{} of the time from the start of a call to the first message",
        subject=_STREAMS,
        words="{} time to the first message",
    ),
    *_percentiles(
        "message_gap",
        ("p50", "p99"),
        "{} of the time from one message of a stream to the next",
        subject=_STREAMS,
        words="{} gap between messages",
        of_calls=False,  # a call has many
    ),
    *_of(
        _SCHEDULE,
        ("offered_rps", "rate", "rate at which calls were to be sent", "", "offered rate"),
        ("late_p50_s", "time", "p50 delay of a send", "lower", "median delay of the sends"),
        ("late_p99_s", "time", "p99 delay of a send", "lower", "p99 delay of the sends"),
        ("late_max_s", "time", "largest delay of a send", "lower", "largest delay of the sends"),
    ),
    *_of(
        _CONNECTIONS,
        ("held", "count", "calls that waited because of the server's stream limit", "lower", ""),
        ("in_flight_max", "count", "largest number of calls in flight at the same time", "", ""),
        ("connections_lost", "count", "connections lost in the window", "lower", ""),
        ("outage_s", "time", "time without any open connection", "lower", "time without a connection"),
        (
            "time_to_first_success_s",
            "time",
            "time from the end of an idle period to the end of the first successful call",
            "lower",
            "time to the first success",
        ),
        (
            "first_success_censored",
            "yes or no",
            "whether no call succeeded, in which case the time to the first success is a lower bound",
            "",
            "",
        ),
    ),
    *_of(
        _SERVER,
        (
            "server_cpu_s",
            "time",
            "CPU time of all server processes in the window, or in the slices, including their ramps and tails",
            "lower",
            "server CPU time",
        ),
        ("server_cpu_per_call_s", "time", "server CPU time per call", "lower", "server CPU per call"),
        ("server_user_s", "time", "server CPU time in user space", "lower", "server CPU time in user space"),
        ("server_kernel_s", "time", "server CPU time in the kernel", "lower", "server CPU time in the kernel"),
        ("server_kernel_share", "share", "share of the server CPU time spent in the kernel", "", ""),
        (
            "server_peak_rss_bytes",
            "bytes",
            "peak resident memory of the server",
            "lower",
            "peak resident memory of the server",
        ),
        ("server_processes", "count", "number of server processes", "", ""),
    ),
    *_of(
        _CLIENT,
        (
            "client_cpu_s",
            "time",
            "CPU time of all load workers in the window, including spinning",
            "lower",
            "client CPU time",
        ),
        (
            "client_spin_s",
            "time",
            "time that the load workers spent spinning until the next send",
            "lower",
            "time the client spent spinning",
        ),
        (
            "client_cpu_per_call_s",
            "time",
            "CPU time of the load workers per call, without spinning",
            "lower",
            "client CPU per call",
        ),
        (
            "client_busy_share",
            "share",
            "CPU time of the busiest load worker, without spinning, divided by the length of the window",
            "lower",
            "",
        ),
    ),
    *_of(
        _SERVER,
        (
            "residence_mean_s",
            "time",
            "mean time of a call inside the server, as reported by a reference server",
            "lower",
            "",
        ),
    ),
    *_of(
        _CONNECTIONS,
        ("connections", "count", "connections of all server processes at the end of the window", "", ""),
    ),
    *_of(
        _SERVER,
        (
            "server_event_engine_share",
            "share",
            "share of the server CPU time spent in gRPC core's own threads",
            "",
            "",
        ),
        (
            "server_voluntary_switches_per_call",
            "count",
            "voluntary context switches of the server per call",
            "lower",
            "",
        ),
        (
            "server_involuntary_switches_per_call",
            "count",
            "involuntary context switches of the server per call",
            "lower",
            "",
        ),
    ),
    *_of(
        _CONNECTIONS,
        (
            "connections_opened",
            "count",
            "connections that the client has opened since the start of the warm-up",
            "lower",
            "connections opened",
        ),
        ("client_pings", "count", "pings that the client sent", "", ""),
        ("server_pings", "count", "pings that the server sent", "", ""),
        ("goaways", "count", "GOAWAY frames that the server sent", "lower", ""),
        (
            "attempts",
            "count",
            "attempts to make a call, including retries; 0 without client.retries or with a channel per call",
            "lower",
            "",
        ),
        (
            "link_connections",
            "count",
            "connections through the emulated link",
            "lower",
            "connections opened through the link",
        ),
        ("link_client_pings", "count", "pings that the client sent over the link", "", ""),
        ("link_server_pings", "count", "pings that the server sent over the link", "", ""),
        ("link_goaways", "count", "GOAWAY frames sent over the link", "lower", ""),
    ),
    *_of(
        _PROFILE,
        ("profile_samples", "count", "samples that py-spy took", "", ""),
        ("profile_errors", "count", "samples that py-spy missed", "", ""),
        *((f"share_{family}", "share", f"share of py-spy's samples: {work}", "", "") for family, work in WORK.items()),
        ("perf_samples", "count", "samples that perf took", "", ""),
        ("perf_lost", "count", "samples that perf lost", "", ""),
        ("perf_kernel_share", "share", "share of perf's samples: in the kernel", "", ""),
        *(
            (f"perf_share_{family}", "share", f"share of perf's samples: {work}", "", "")
            for family, work in WORK.items()
        ),
        ("syscalls_per_call", "count", "system calls of the server per call, as counted by strace", "lower", ""),
    ),
    *_of(
        _SETTINGS,
        (
            "server_advertised_window_bytes",
            "bytes",
            "flow-control window of a stream, as advertised by the server",
            "",
            "",
        ),
        (
            "server_advertised_connection_window_bytes",
            "bytes",
            "flow-control window of a connection, as advertised by the server",
            "",
            "",
        ),
        (
            "server_advertised_max_streams",
            "count",
            "largest number of streams per connection that the server accepts",
            "",
            "",
        ),
        ("server_advertised_max_frame_bytes", "bytes", "largest frame that the server accepts", "", ""),
        (
            "client_advertised_window_bytes",
            "bytes",
            "flow-control window of a stream, as advertised by the client",
            "",
            "",
        ),
        (
            "client_advertised_connection_window_bytes",
            "bytes",
            "flow-control window of a connection, as advertised by the client",
            "",
            "",
        ),
        ("client_advertised_max_frame_bytes", "bytes", "largest frame that the client accepts", "", ""),
    ),
    *_of(
        _MACHINE,
        ("others_cores", "cores", "cores that other processes used", "lower", ""),
        ("stolen_s", "time", "CPU time that the hypervisor took from this machine", "lower", ""),
        ("throttled_s", "time", "time during which a CPU quota stopped processes of the trial", "lower", ""),
        ("cpu_pressure_share", "share", "share of the window in which some task waited for a core", "lower", ""),
        ("memory_pressure_share", "share", "share of the window in which some task waited for memory", "lower", ""),
        (
            "io_pressure_share",
            "share",
            "share of the window in which some task waited for input or output",
            "lower",
            "",
        ),
        (
            "server_waited_s",
            "time",
            "time during which the server's threads were ready to run but had no core",
            "lower",
            "",
        ),
        (
            "client_waited_s",
            "time",
            "time during which the load generator's threads were ready to run but had no core",
            "lower",
            "",
        ),
        ("stopped_s", "time", "time during which a process was stopped by a signal or a tracer", "lower", ""),
        ("generator_still_s", "time", "time during which an event loop of the load generator stalled", "lower", ""),
        ("silence_s", "time", "longest time in which no call ended although calls were in flight", "lower", ""),
        (
            "server_waited_share",
            "share",
            "upper bound on the share of the server's slices spent waiting for a core that something else was using",
            "lower",
            "",
        ),
    ),
    *_of(
        _CALLS,
        (
            "throughput_even_rps",
            "rate",
            "throughput corrected for the speed of the server's cores; comparisons within a group use this value",
            "",
            "",
        ),
        ("pass_count", "count", "number of valid slices; 0 if the trial was measured in one window", "", ""),
        ("slices_left_out", "count", "number of invalid slices", "", ""),
        ("calls_made", "count", "all calls sent, including those of warm-up, ramp and tail", "", ""),
    ),
    *_of(
        _CONNECTIONS,
        (
            "sent_per_call_bytes",
            "bytes",
            "bytes per call that the client sent over TCP, including headers and TLS, averaged over all calls",
            "lower",
            "bytes sent per call",
        ),
        (
            "received_per_call_bytes",
            "bytes",
            "bytes per call that the client received over TCP, including headers and TLS, averaged over all calls",
            "lower",
            "bytes received per call",
        ),
    ),
    *_of(
        _SERVER,
        (
            "server_outside_cores",
            "cores",
            "cores that the server used between its slices, when there were no calls to handle",
            "lower",
            "",
        ),
    ),
    *_of(
        _CLIENT,
        (
            "collector_cores",
            "cores",
            "cores that the stand-in for a trace collector used during the load, on the load generator's cores",
            "lower",
            "",
        ),
        (
            "scraper_cores",
            "cores",
            "cores that the stand-in for Prometheus used during the load, on the load generator's cores",
            "lower",
            "",
        ),
        ("scrapes", "count", "reads of the server's page /metrics during the load", "", ""),
        ("scrapes_failed", "count", "reads of the server's page /metrics that failed", "lower", ""),
    ),
)
"""What a trial measures; NaN where it did not."""

_NOTES = _of(
    _DETAILS,
    ("errors_by_status", "JSON", "failed calls by gRPC status", "", ""),
    ("failures", "JSON", "failed calls, each with status, text and count", "", ""),
    ("notices", "JSON", "notices about the trial, each with kind, severity, text and remedy", "", ""),
    ("connections_by_process", "JSON", "connections of each server process", "", ""),
    ("threads_per_call", "JSON", "CPU time of the server's threads per call, by name, including the warm-up", "", ""),
    ("syscalls_per_call_by_name", "JSON", "system calls of the server per call, by name", "", ""),
    ("profile_note", "text", "why py-spy returned nothing, or a caution about its samples", "", ""),
    ("perf_note", "text", "why perf returned nothing, or a caution about its samples", "", ""),
    ("strace_note", "text", "why strace returned nothing, or a caution about its counts", "", ""),
    ("without_effect", "JSON", "factors that had no effect, each with the reason", "", ""),
    ("measured_on", "JSON", "the machine and the versions", "", ""),
)
"""What is told of a trial in words, or in more than one number."""

METRICS: dict[str, Metric] = {metric.name: metric for metric in (*_IDENTITY, *_NUMBERS, *_NOTES)}
"""Every column of trials.parquet that is no factor, by its name, in the order of the file."""
IDENTITY: tuple[str, ...] = tuple(metric.name for metric in _IDENTITY)
"""The columns that say which trial a row is, and whether it counts."""
MEASURED: tuple[str, ...] = tuple(metric.name for metric in _NUMBERS)
"""The columns with what a trial measured: numbers, NaN where it did not measure one."""


OF_CALL = "@"
"""Stands between a metric and the name of the call of a mix that it is measured of: ``latency_p99_s@pay``."""


def of_call(metric: str, call: str) -> str:
    """The column of one call of a mix."""
    return f"{metric}{OF_CALL}{call}"


def metric_named(name: str) -> Metric:
    """The metric of this name, or of one call of a mix.

    One that is not in the table, as another version may store it, is what its name says: a column carries its unit.
    """
    if name in METRICS:
        return METRICS[name]
    base, at, call = name.partition(OF_CALL)
    if at:
        whole = metric_named(base)
        words, meaning = (f"{text} of {call}" if text else "" for text in (whole.words, whole.meaning))
        return replace(whole, name=name, words=words, meaning=meaning, derived=None)
    per_call = name.endswith(("_per_call", "_per_call_s"))
    rate = name.endswith("_rps") or ("_per_" in name and not per_call)
    quantity: Quantity = "rate" if name.endswith("_rps") else "time" if name.endswith("_s") else "count"
    return Metric(name=name, quantity=quantity, meaning="", better="higher" if rate else "lower")


def lower_is_faster(name: str) -> bool:
    """Whether less of this metric is better; also where neither is."""
    return metric_named(name).better != "higher"


def is_latency(name: str) -> bool:
    """Whether this metric is a latency, of a call or of a message."""
    return metric_named(name).subject in (_LATENCY, _STREAMS)


def metric_words(name: str) -> str:
    """The metric in words that follow "in": ``latency_p999_s`` is "p99.9 latency". Its own name if there are none."""
    return metric_named(name).words or name


def derived(values: Mapping[str, float | None]) -> dict[str, float]:
    """The metrics that are computed from others and that these values do not hold."""
    numbers = _numbers(values)
    return {
        name: derive(numbers) for name in MEASURED if (derive := METRICS[name].derived) and math.isnan(numbers[name])
    }


def value_text(name: str, value: object) -> str:
    """A metric's value with its unit, as a report writes it."""
    quantity = metric_named(name).quantity
    if quantity == "rate":
        shown = qty.amount(value)
        return shown if shown == qty.MISSING else f"{shown} requests/s"
    return qty.duration(value) if quantity == "time" else qty.amount(value)


def completed(values: Mapping[str, float | None]) -> dict[str, float]:
    """Every number that a trial stores: what was measured, what is derived from it, NaN for what is not known."""
    return _numbers(values) | derived(values)


def _numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if (value := values.get(name)) is None else float(value) for name in MEASURED}
