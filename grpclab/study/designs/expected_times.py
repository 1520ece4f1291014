"""How long the slices of a configuration last, and what its server needs: estimates from factors alone. Pure.

They are for plans: which configurations fit into one group, and how long a study takes as far as that is known before
anything is measured. The cost of a call is that of our greeter on one core of a machine of 2024. No estimate decides
what is measured: the lengths of slices are fixed after the warm-up, from what it saw.
"""

from __future__ import annotations

import math

from grpclab.factors.config import TrialConfig
from grpclab.factors.service_time import parse_milliseconds

CALL_S, CHANNEL_S, BYTE_S = 120e-6, 400e-6, 2e-9
"""CPU time of a call, of a channel opened for it, and of a byte that it carries."""
QUEUE_TAIL, WAIT_TAIL = 2.0, 1.3
"""The p99 latency as a multiple of the median, where calls wait for their turn and where they wait for a time."""
RAMP_S, COUNTED_S, HAND_OVER_S = 0.025, 0.075, 0.005
RAMP_P99, COUNTED_P50 = 2.0, 5.0
"""A ramp lasts at least so many p99 latencies, a counted stretch so many medians."""
OPEN_SLICE_S, OPEN_CALLS, OPEN_P99 = 1.0, 200, 10.0
"""A slice of an open loop lasts at least so long, so many planned calls, and so many p99 latencies."""
LONGEST_SLICE_S, LONGEST_OPEN_S = 2.0, 5.0
"""What would take longer is measured alone in one window."""
START_S, MEMBER_START_S = 0.5, 0.7
"""Before the warm-up of a group: once, and for each server with its generator."""
WINDOW_KIB = 64
"""The window of an HTTP/2 stream where nobody sets one and none adapts."""
SERVER_BYTES, THREAD_BYTES = 60 * 2**20, 100 * 2**10


def latency_s(config: TrialConfig) -> float:
    """The median latency of a call: the waits on its way, or its turn among those in flight, whichever is longer."""
    return max(_waited_s(config), _queued_s(config))


def tail_s(config: TrialConfig) -> float:
    """The p99 latency of a call."""
    return max(WAIT_TAIL * _waited_s(config), QUEUE_TAIL * _queued_s(config))


def _queued_s(config: TrialConfig) -> float:
    """The time until all calls in flight had the server's core once."""
    carried = config.server.response_bytes + config.load.request_bytes
    work_s = CALL_S + BYTE_S * carried + config.server.handler_work_us * 1e-6
    work_s += CHANNEL_S if config.client.pooling == "per_call" else 0.0
    return _in_flight(config) * work_s


def _waited_s(config: TrialConfig) -> float:
    """The time in which a call needs no core: its round trips, its handler's wait, other handlers' waits before it."""
    server = config.server
    handler_s = parse_milliseconds(server.handler_wait_ms).mean_s
    threads = server.threads + server.spare_threads if server.implementation == "sync" else _in_flight(config)
    return config.link.rtt_ms / 1e3 * _round_trips(config) + handler_s * max(_in_flight(config) / threads, 1.0)


def _in_flight(config: TrialConfig) -> int:
    """The calls in flight of a closed loop; an open one is planned such that none waits for another."""
    return config.load.concurrency if config.load.rate_rps is None else 1


def _round_trips(config: TrialConfig) -> int:
    """How many round trips a call takes where a window limits it, and one more for the channel of each call."""
    trips = 2 if config.client.pooling == "per_call" else 1
    for side, carried in ((config.client, config.server.response_bytes), (config.server, config.load.request_bytes)):
        if not side.adaptive_window:
            trips += max(math.ceil(carried / 1024 / (side.window_kib or WINDOW_KIB)) - 1, 0)
    return trips


def counted_s(config: TrialConfig) -> float:
    """The counted stretch of a slice, in seconds."""
    if config.load.rate_rps is not None:
        return max(OPEN_SLICE_S, OPEN_CALLS / config.load.rate_rps, OPEN_P99 * tail_s(config))
    return max(COUNTED_S, COUNTED_P50 * latency_s(config))


def slice_s(config: TrialConfig) -> float:
    """A slice from its start to the start of the next: ramp, counted stretch, tail, drain, hand-over."""
    p50_s, p99_s = latency_s(config), tail_s(config)
    return max(RAMP_S, RAMP_P99 * p99_s) + counted_s(config) + p99_s + p50_s + HAND_OVER_S


def window_s(config: TrialConfig, least_s: float) -> float:
    """The counted time of a trial: at least `least_s` and until its calls are made, at most its longest window."""
    load, most_s = config.load, config.load.duration_s or math.inf
    if load.requests is None:
        return most_s
    per_second = load.rate_rps or _in_flight(config) / latency_s(config)
    return min(max(least_s, load.requests / per_second), most_s)


def alone_s(config: TrialConfig, least_s: float) -> float:
    """A trial that is measured alone in one window, from the start of its server to its end, in seconds."""
    load = config.load
    return START_S + MEMBER_START_S + load.warmup_s + load.pause_s + window_s(config, least_s) + latency_s(config)


def memory_bytes(config: TrialConfig) -> int:
    """The memory of the servers of a trial, in bytes; one process where their number follows the cores."""
    server, load = config.server, config.load
    in_flight = load.concurrency if load.rate_rps is None else load.max_in_flight
    threads = min(server.threads + server.spare_threads, in_flight) if server.implementation == "sync" else 1
    return max(server.processes, 1) * (SERVER_BYTES + threads * THREAD_BYTES)
