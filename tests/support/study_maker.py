"""Configurations with their true throughput, and the trials that nobody ran of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from grpclab.factors.config import TrialConfig

_START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
_NO_SAMPLES = "the profiler is not asked for in this configuration"
OPTIMIZED: dict[str, Any] = {
    "client.pooling": "pool",
    "client.connections": 4,
    "client.window_kib": 16_384,
    "client.adaptive_window": False,
    "server.threads": 10_000,
    "server.max_concurrent_streams": 10_000,
    "server.processes": 0,
}

BASIC: dict[str, Any] = {"client.pooling": "per_call"}
CLIENT_US = {"grpcio": 190.0, "wire": 8.0}
"""What a call costs each engine's client; four times as much where it opens a channel for it."""


@dataclass
class StudyMaker:
    """Collects configurations with their true throughput, then runs the blocks that nobody ran."""

    blocks: int = 6
    seed: int = 20261123
    noise: float = 0.02
    engine: str = "grpcio"
    configurations: list[dict[str, Any]] = field(default_factory=list)
    truth: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        title: str,
        rps: float,
        settings: dict[str, Any],
        *,
        scenario: str = "chatter",
        without_effect: dict[str, str] | None = None,
        limited_by: str = "",
        noise: float = 1.0,
    ) -> str:
        """Put a configuration into the plan; returns its name."""
        self.configurations.append(
            {
                "name": name,
                "scenario": scenario,
                "title": title,
                "settings": {"load.engine": self.engine, **settings},
                "without_effect": without_effect or {},
            }
        )
        self.truth[name] = {"rps": rps, "limited_by": limited_by, "noise": noise, "scenario": scenario}
        return name

    def trials(self, *, study: str, profiled: tuple[str, ...] = ()) -> pd.DataFrame:
        """One row a trial, in random order inside each block, on a machine that drifts a little."""
        random = np.random.default_rng(self.seed)
        rows = []
        for block in range(self.blocks):
            level = float(np.exp(random.normal(0, self.noise * 1.5)))
            for order, at in enumerate(random.permutation(len(self.configurations))):
                configuration = self.configurations[int(at)]
                trial = self._trial(
                    configuration, block, order, study=study, level=level, random=random, profiled=profiled
                )
                rows.append(trial)
        return pd.DataFrame(rows)

    def _trial(
        self,
        configuration: dict[str, Any],
        block: int,
        order: int,
        *,
        study: str,
        level: float,
        random: np.random.Generator,
        profiled: tuple[str, ...],
    ) -> dict[str, Any]:
        name = configuration["name"]
        truth = self.truth[name]
        flat = TrialConfig().replace(configuration["settings"]).flat()
        rps = truth["rps"] * level * float(np.exp(random.normal(0, self.noise * truth["noise"])))
        in_flight = float(flat["load.concurrency"] or 1)
        mean = in_flight / rps
        requests = int(rps * 4)
        per_call = flat["client.pooling"] == "per_call"
        server_us = (320 if per_call else 170) * float(np.exp(random.normal(0, 0.01)))
        client_us = CLIENT_US[str(flat["load.engine"])] * (4 if per_call else 1)
        number = block * len(self.configurations) + order
        row: dict[str, Any] = {
            "study": study,
            "trial": f"{block:02d}-{order:02d}-{name}",
            "scenario": configuration["scenario"],
            "configuration": name,
            "block": block,
            "order": order,
            "started_at": (_START + timedelta(seconds=7 * number)).isoformat(),
            "valid": True,
            "invalid_reason": "",
            "limited_by": truth["limited_by"],
            **flat,
            "requests": float(requests),
            "errors": 0.0,
            "throughput_rps": rps,
            "window_s": 4.0,
            "latency_mean_s": mean,
            "latency_p50_s": mean * 0.9,
            "latency_p90_s": mean * 1.6 * float(np.exp(random.normal(0, 0.03))),
            "latency_p99_s": mean * 3.1 * float(np.exp(random.normal(0, 0.08))),
            "errors_by_status": "{}",
            "server_cpu_s": requests * server_us * 1e-6,
            "server_cpu_per_call_s": server_us * 1e-6,
            "server_kernel_share": 0.34 + random.normal(0, 0.01),
            "client_cpu_s": requests * client_us * 1e-6,
            "client_cpu_per_call_s": client_us * 1e-6,
            "client_spin_s": 0.0,
            "client_busy_share": rps * client_us * 1e-6,
            "offered_rps": np.nan,
            "late_p99_s": np.nan,
            "held": 0.0,
            "connections_lost": 0.0,
            "outage_s": 0.0,
            "connections": float(flat["client.connections"] or 1),
            "profile_samples": np.nan,
            "profile_note": _NO_SAMPLES,
        }
        if name in profiled:
            row |= _looks(random, per_call=per_call)
            row["server_kernel_share"] += 0.2 if per_call else 0.0
        return row


def _looks(random: np.random.Generator, *, per_call: bool) -> dict[str, Any]:
    """What py-spy, perf and strace bring of one trial."""
    looks: dict[str, Any] = {"profile_note": "", "perf_note": "", "strace_note": ""}
    for prefix, wait, column in (("share_", 0.42 if per_call else 0.24, "profile"), ("perf_share_", 0.0, "perf")):
        work = [12, 9, 8, 11, 2, 14, 3, 8, 4, 1] if per_call else [15, 8, 11, 5, 4, 20, 5, 12, 4, 1]
        shares = random.dirichlet(np.array(work) * 10) * (1 - wait)
        looks |= {f"{prefix}{f}": share for f, share in zip(FAMILIES, shares, strict=True)} | {f"{prefix}wait": wait}
        looks[f"{column}_samples"] = float(random.integers(380, 420))
    looks["perf_kernel_share"] = sum(looks[f"perf_share_{f}"] for f in ("send", "receive", "locks", "other_kernel"))
    counts = (
        {"futex": 9.0, "recvmsg": 7.6, "sendmsg": 3.0} if per_call else {"futex": 6.0, "recvmsg": 1.5, "sendmsg": 1.0}
    )
    looks["syscalls_per_call_by_name"] = json.dumps(counts)
    looks["syscalls_per_call"] = sum(counts.values())
    threads = {"python": {"user_s": 1e-4, "kernel_s": 3e-5}, "event_engine": {"user_s": 5e-5, "kernel_s": 6e-5}}
    looks["threads_per_call"] = json.dumps(threads)
    return looks | {
        "server_event_engine_share": 0.45 if per_call else 0.2,
        "server_voluntary_switches_per_call": 6.0 if per_call else 4.2,
        "server_involuntary_switches_per_call": 2.9 if per_call else 1.6,
    }


FAMILIES = ("send", "receive", "locks", "other_kernel", "handler", "python", "protobuf", "grpc_core", "memory", "other")


def comparison(title: str, baseline: str, candidate: str, scenario: str = "chatter") -> dict[str, Any]:
    """An entry of the plan that compares two configurations on throughput."""
    return {
        "title": title,
        "scenario": scenario,
        "metric": "throughput_rps",
        "baseline": baseline,
        "candidate": candidate,
        "family": "throughput_rps",
    }
