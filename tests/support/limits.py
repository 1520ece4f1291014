"""Rows of trials in which nothing is remarkable but what a test changes, and the resource that limited them."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from grpclab.analysis.limits.resources import Limit, limit_of
from grpclab.analysis.study_plan import StoredCores, StudyPlan
from grpclab.factors.config import TrialConfig

ONE, FOUR = (StoredCores(server=tuple(range(number)), generator=(number,)) for number in (1, 4))

IDLE: dict[str, Any] = {"server_cores": 0.2, "client_busy_share": 0.1}
STREAM = {"load.method": "SayHelloStream", "server.stream_messages": 3, "server.stream_interval_ms": 50.0}
BACKLOG = {**STREAM, "server.threads": 2, "throughput_rps": 19.0, "latency_p50_s": 2.6}
WAITING = {**IDLE, "server.handler_wait_ms": "5", "latency_p50_s": 0.026}
LINK = {"server.response_bytes": 100_000, "link.bandwidth_mbps": 8.0, "connections": 2.0}
ROUND_TRIP = {**IDLE, "link.rtt_ms": 20.0, "latency_p50_s": 0.022, "load.concurrency": 8}


def rows(name: str = "it", *, blocks: int = 3, **changes: Any) -> list[dict[str, Any]]:
    """Trials of a configuration in which nothing is remarkable; a list holds a value for each block.

    `server_cores` stands for the CPU seconds that so many cores spend on the window's calls.
    """
    levels = TrialConfig().flat()
    common = {
        "scenario": "chatter",
        "configuration": name,
        "valid": True,
        "limited_by": "",
        **levels,
        "requests": 4000.0,
        "errors": 0.0,
        "throughput_rps": 1000.0,
        "latency_p50_s": 0.05,
        "latency_mean_s": 0.05,
        "offered_rps": math.nan,
        "held": 0.0,
        "connections": 1.0,
        "connections_by_process": "[1]",
        "server_cores": 0.7,
        "server_cpu_per_call_s": 0.0007,
        "client_cpu_s": 2.4,
        "client_spin_s": 0.0,
        "client_cpu_per_call_s": 0.0006,
        "client_busy_share": 0.6,
        **changes,
    }
    found = []
    for block in range(blocks):
        row = {key: value[block] if isinstance(value, list) else value for key, value in common.items()}
        under_way = row["load.concurrency"] if row["load.rate_rps"] is None else 0
        cpu_s = row.pop("server_cores") * (row["requests"] + under_way) / row["throughput_rps"]
        found.append({"server_cpu_s": cpu_s, **row, "block": block})
    return found


def judged(*configurations: list[dict[str, Any]], cores: StoredCores | None = ONE, name: str = "it") -> Limit:
    return limit_of(name, pd.DataFrame([row for rows_ in configurations for row in rows_]), StudyPlan(), cores)


NOISE = [1.01, 0.99, 1.0, 1.005, 0.995, 1.0]


def pair(low: dict[str, Any], high: dict[str, Any], *, ratio: float) -> list[list[dict[str, Any]]]:
    faster = [1000 * ratio * noise for noise in NOISE]
    return [rows(blocks=6, **low), rows("more", blocks=6, **{**low, **high, "throughput_rps": faster})]
