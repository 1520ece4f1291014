"""A bench result in ghz's terms: its options, its units, its percentiles, its texts of errors."""

from __future__ import annotations

import math
from typing import Any

from grpclab.load.core.failures import only_text
from grpclab.load.core.recorder import Floats
from grpclab.load.core.summary import percentile
from grpclab.load.result import LoadResult
from grpclab.status import RECORDED_NAMES, go_name

GHZ_PERCENTAGES = (10, 25, 50, 75, 90, 95, 99)


def nanoseconds(seconds: float) -> int:
    """Whole nanoseconds; 0 where there is no value."""
    return 0 if math.isnan(seconds) else round(seconds * 1e9)


def call_name(result: LoadResult) -> str:
    """The call as ghz writes it: ``greet.GreeterService.SayHello``."""
    return ", ".join(dict.fromkeys(call.path.removeprefix("/").replace("/", ".") for call in result.call.members))


def ghz_options(result: LoadResult) -> dict[str, Any]:
    """The options of the load, named as in ghz; times are in nanoseconds."""
    config = result.config
    return {
        "call": call_name(result),
        "host": result.target,
        "total": config.load.requests or 0,
        "concurrency": config.load.concurrency,
        "connections": result.connections,
        "duration": nanoseconds(config.load.duration_s or 0.0),
        "timeout": nanoseconds(config.client.deadline_s or 0.0),
        "insecure": True,
        **_load_schedule(result),
    }


def end_reason(result: LoadResult) -> str:
    """The reason why the load ended, in ghz's words: normal, timeout or cancel."""
    requests = result.config.load.requests
    if result.run.interrupted or result.run.stopped_because:
        return "cancel"
    complete = requests is not None and result.run.summary.requests >= requests * max(1, len(result.steps))
    return "normal" if complete else "timeout"


def _load_schedule(result: LoadResult) -> dict[str, Any]:
    """ghz's options of an open loop; it knows whole rates only, ours are exact under ``grpclab``."""
    rates = [step.rate_rps for step in result.steps]
    load = result.config.load
    if len(rates) < 2:
        rate = round(load.rate_rps or 0)
        start, end, step, hold_s = 0, 0, 0, 0.0
    else:
        rate, start, end, step = 0, round(rates[0]), round(rates[-1]), round(rates[1] - rates[0])
        hold_s = load.duration_s or 0.0
    return ({"rps": rate} if rate else {}) | {
        "load-schedule": "step" if len(rates) > 1 else "const",
        "load-start": start,
        "load-end": end,
        "load-step": step,
        "load-step-duration": nanoseconds(hold_s),
        "load-max-duration": 0,
    }


def distribution(latency_s: Floats) -> dict[int, int]:
    """ghz's percentiles, in nanoseconds; one with too few calls beyond it is left out, since 0 would pass for fast."""
    latencies = {p: percentile(latency_s, p / 100) for p in GHZ_PERCENTAGES}
    return {p: nanoseconds(value) for p, value in latencies.items() if not math.isnan(value)}


def rpc_error(status: str, text: str) -> str:
    """An error as grpc-go, and so ghz, writes it."""
    return f"rpc error: code = {go_name(status)}" + (f" desc = {text}" if text else "")


def error_of_status(result: LoadResult) -> list[str]:
    """Return ghz's text of an error by code, with the calls' own text where all of that status had the same one."""
    return ["", *(rpc_error(name, only_text(result.run.failures, name)) for name in RECORDED_NAMES[1:])]
