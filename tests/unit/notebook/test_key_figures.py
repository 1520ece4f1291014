"""The key figures of a single trial, as its notebook shows them."""

from __future__ import annotations

import math
from typing import Any

from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.notebook.trial import key_figures
from grpclab.study.trial_result import TrialIdentity, TrialResult


def figures(settings: dict[str, Level], **metrics: float) -> dict[str, Any]:
    """What is shown of a valid trial with these levels and metrics."""
    measured = {
        "requests": 5000.0,
        "errors": 0.0,
        "window_s": 2.0,
        "throughput_rps": 2500.0,
        **{f"latency_{name}_s": 0.002 for name in ("p50", "p90", "p95", "p99")},
        **{f"late_{name}_s": math.nan for name in ("p50", "p99", "max")},
        "server_cpu_s": 1.5,
        "server_kernel_share": 0.3,
        "client_busy_share": 0.4,
        "connections": 4.0,
        "connections_lost": 0.0,
        "outage_s": 0.0,
    }
    result = TrialResult(
        identity=TrialIdentity(),
        config=TrialConfig().replace(settings),
        started_at="2026-11-23T09:00:00+00:00",
        valid=True,
        metrics=measured | metrics,
        connections_by_process=[4],
    )
    return dict(key_figures(result)["value"])


def test_a_closed_loop_says_its_engine_and_has_no_late_sends() -> None:
    shown = figures({"load.engine": "grpcio", "load.concurrency": 64})
    assert shown["load"] == "engine grpcio, closed loop with 64 calls in flight"
    assert not {"late sends", "connections lost"} & set(shown)


def test_an_open_loop_says_its_rate_and_how_late_it_sent() -> None:
    settings: dict[str, Level] = {"load.rate_rps": 2500.0, "load.arrival": "poisson"}
    shown = figures(settings, late_p50_s=12e-6, late_p99_s=80e-6, late_max_s=0.0013)
    assert shown["load"] == "engine wire, open loop at 2,500 requests/s, poisson arrivals"
    assert shown["late sends"] == "p50 12 µs, p99 80 µs, max 1.3 ms"


def test_lost_connections_are_shown_with_the_time_without_any() -> None:
    assert figures({}, connections_lost=3.0, outage_s=0.25)["connections lost"] == "3, 250 ms without a connection"


def test_the_kernels_part_is_shown_where_cpu_time_was_counted() -> None:
    assert figures({})["server CPU"] == "1.50 s, 30% in the kernel"
    assert figures({}, server_cpu_s=0.0, server_kernel_share=math.nan)["server CPU"] == "0.00 s"
    assert figures({}, server_cpu_s=math.nan)["server CPU"] == "not known"
