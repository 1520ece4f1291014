"""How long the slices of a configuration last, and what its server needs: estimates from factors alone. Pure.

They are for plans: which configurations fit into one group, and how long a study takes as far as that is known before
anything is measured. The cost of a call is that of our greeter on one core of a machine of 2024. No estimate decides
what is measured: the lengths of slices are fixed after the warm-up, from what it saw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from grpclab.factors.config import TrialConfig
from grpclab.factors.service_time import parse_milliseconds
from grpclab.load.core import slices

CALL_S, CHANNEL_S, BYTE_S = 120e-6, 400e-6, 2e-9
"""CPU time of a call, of a channel opened for it, and of a byte that it carries."""
QUEUE_TAIL, WAIT_TAIL = 2.0, 1.3
"""The p99 latency as a multiple of the median, where calls wait for their turn and where they wait for a time."""
HAND_OVER_S = 0.005
START_S, MEMBER_START_S = 0.5, 0.7
"""Before the warm-up of a group: once, and for each server with its generator."""
WINDOW_KIB = 64
"""The window of an HTTP/2 stream where nobody sets one and none adapts."""
SERVER_BYTES, THREAD_BYTES = 60 * 2**20, 100 * 2**10


@dataclass(frozen=True, kw_only=True)
class ExpectedTimes:
    """What is expected of a configuration: its latencies, a slice of it and the parts of one, in seconds.

    `slice_s`: from the start of a slice to the start of the next, with ramp, counted stretch, tail, drain, hand-over.
    """

    config: TrialConfig
    p50_s: float
    p99_s: float
    counted_s: float
    slice_s: float

    @classmethod
    def of(cls, config: TrialConfig) -> ExpectedTimes:
        """The estimate from its factors: calls wait on their way, or for their turn, whichever is longer."""
        load = config.load
        in_flight = load.concurrency if load.rate_rps is None else 1  # an open loop is planned such that none waits
        waited_s, queued_s = _waited_s(config, in_flight), in_flight * _work_s(config)
        p50_s, p99_s = max(waited_s, queued_s), max(WAIT_TAIL * waited_s, QUEUE_TAIL * queued_s)
        warm = slices.WarmUp(calls=1, latency_p50_s=p50_s, latency_p99_s=p99_s, throughput_rps=in_flight / p50_s)
        rate = load.rate_rps
        lengths = slices.closed_lengths([warm]) if rate is None else slices.open_lengths([warm], [rate])
        return cls(
            config=config,
            p50_s=p50_s,
            p99_s=p99_s,
            counted_s=lengths.counted_s,
            slice_s=lengths.ramp_s + lengths.counted_s + p99_s + p50_s + HAND_OVER_S,
        )

    def window_s(self, least_s: float) -> float:
        """The counted time of a trial: at least `least_s` and until its calls are made, at most its longest window."""
        load, most_s = self.config.load, self.config.load.duration_s or math.inf
        if load.requests is None:
            return most_s
        in_flight = load.concurrency if load.rate_rps is None else 1
        per_second = load.rate_rps or in_flight / self.p50_s
        return min(max(least_s, load.requests / per_second), most_s)

    def alone_s(self, least_s: float) -> float:
        """A trial that is measured alone in one window, from the start of its server to its end."""
        load = self.config.load
        return START_S + MEMBER_START_S + load.warmup_s + load.pause_s + self.window_s(least_s) + self.p50_s


def _work_s(config: TrialConfig) -> float:
    """The time of a core that a call takes."""
    carried = config.server.response_bytes + config.load.request_bytes
    channel_s = CHANNEL_S if config.client.pooling == "per_call" else 0.0
    return CALL_S + channel_s + BYTE_S * carried + config.server.handler_work_us * 1e-6


def _waited_s(config: TrialConfig, in_flight: int) -> float:
    """The time in which a call needs no core: its round trips, its handler's wait, other handlers' waits before it."""
    server = config.server
    handler_s = parse_milliseconds(server.handler_wait_ms).mean_s
    threads = server.threads + server.spare_threads if server.threaded else in_flight
    return config.link.rtt_ms / 1e3 * _round_trips(config) + handler_s * max(in_flight / threads, 1.0)


def _round_trips(config: TrialConfig) -> int:
    """How many round trips a call takes where a window limits it, and one more for the channel of each call."""
    trips = 2 if config.client.pooling == "per_call" else 1
    for side, carried in ((config.client, config.server.response_bytes), (config.server, config.load.request_bytes)):
        if not side.adaptive_window:
            trips += max(math.ceil(carried / 1024 / (side.window_kib or WINDOW_KIB)) - 1, 0)
    return trips


def memory_bytes(config: TrialConfig) -> int:
    """The memory of the servers of a trial, in bytes; one process where their number follows the cores."""
    server, load = config.server, config.load
    in_flight = load.concurrency if load.rate_rps is None else load.max_in_flight
    threads = min(server.threads + server.spare_threads, in_flight) if server.threaded else 1
    return max(server.processes, 1) * (SERVER_BYTES + threads * THREAD_BYTES)
