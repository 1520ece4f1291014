"""What a metric's ratio means: which direction is faster, and the words for it."""

from __future__ import annotations

import re

from grpclab.load.core import summary

_PERCENTILE = re.compile(r"(?P<what>latency|latency_ok|first_message|message_gap)_p(?P<digits>\d+)_s")
_PERCENTILE_WORDS = {
    "latency": "p{} latency",
    "latency_ok": "p{} latency of successful calls",
    "first_message": "p{} time to the first message",
    "message_gap": "p{} gap between messages",
}
_WORDS = {
    "throughput_rps": "throughput",
    "latency_mean_s": "mean latency",
    "latency_min_s": "lowest latency",
    "latency_max_s": "highest latency",
    "server_cpu_s": "server CPU time",
    "server_user_s": "server CPU time in user space",
    "server_kernel_s": "server CPU time in the kernel",
    "server_peak_rss_bytes": "peak memory of the server",
    "client_cpu_s": "client CPU time",
    "client_spin_s": "time the client spent spinning",
    "server_cpu_per_call_s": "server CPU per call",
    "client_cpu_per_call_s": "client CPU per call",
    "latency_uncorrected_p99_s": "p99 latency from the actual sends",
    "late_p50_s": "median lateness of the sends",
    "late_p99_s": "p99 lateness of the sends",
    "late_max_s": "greatest lateness of the sends",
    "offered_rps": "offered rate",
    "time_to_first_success_s": "time to the first success",
    "outage_s": "time without a connection",
    "connections_opened": "connections opened",
    "link_connections": "connections opened through the link",
}


def lower_is_faster(metric: str) -> bool:
    """Whether less of this metric is better.

    More is better for rates (``_rps``), for what is counted per CPU-second (``_per_``) and for
    ``requests``; less is better for all else: latencies, CPU seconds (those of a call, ``_per_call_s``, too),
    bytes, errors.
    """
    counted = metric.endswith("_rps") or "_per_" in metric or metric == "requests"
    return not counted or metric.endswith("_per_call_s")


def calls_needed(metric: str) -> int:
    """The fewest calls that carry this metric: as many as a percentile needs, for anything else one."""
    found = _PERCENTILE.fullmatch(metric)
    if not found or found["what"] == "message_gap":  # a call has many
        return 1
    return summary.calls_needed(float(f"0.{found['digits']}"))


def is_latency(metric: str) -> bool:
    """Whether this metric is a latency, of a call or of a message."""
    return metric.startswith(("latency_", "first_message_", "message_gap_"))


def metric_words(metric: str) -> str:
    """The metric in words that follow "in": ``latency_p999_s`` is "p99.9 latency". Its own name if there
    are none."""
    found = _PERCENTILE.fullmatch(metric)
    if not found:
        return _WORDS.get(metric, metric)
    digits = found["digits"]
    percentile = digits if len(digits) <= 2 else f"{digits[:2]}.{digits[2:]}"
    return _PERCENTILE_WORDS[found["what"]].format(percentile)
