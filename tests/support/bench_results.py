"""Bench results made by hand, for the tests of what is said of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.bench_result import BenchResult
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.recorder import Floats, Records
from grpclab.load.core.summary import lateness, summarise
from grpclab.load.core.worker_window import Window
from grpclab.load.output.call_columns import csv_chunks
from grpclab.load.output.formats import json_chunks
from grpclab.load.run import LoadRun
from grpclab.load.slo import parse_slo
from grpclab.load.steps import RateStep, merged

OK, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 4, 14
SAY_HELLO = CallSpec(path="/greet.GreeterService/SayHello", payload=b"")
STARTED_AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
OPENED_AT = 100.0


def result(
    latency_s: Sequence[float] | Floats,
    status: Sequence[int] | None = None,
    *,
    workers: int = 1,
    busy_share: float = 0.5,
    interrupted: bool = False,
    by_process: tuple[int, ...] = (),
    levels: Mapping[str, Level] | None = None,
    call: CallSpec = SAY_HELLO,
    first_s: Sequence[float] = (),
    gap_s: Sequence[float] = (),
    slo: str = "",
    notes: tuple[str, ...] = (),
    **run: Any,
) -> BenchResult:
    """Calls of a closed loop that all start as the window opens, dealt out to the workers in turn."""
    latency = np.array(latency_s, dtype=np.float64)
    codes = np.array(status if status is not None else np.zeros(len(latency)), dtype=np.uint8)
    config = TrialConfig().replace({"load.requests": max(1, len(latency)), "load.warmup_s": 0.0} | dict(levels or {}))
    windows = [
        Window(
            records=Records(
                start_s=np.full(len(latency[w::workers]), OPENED_AT),
                latency_s=latency[w::workers],
                status=codes[w::workers],
                message_s=np.array([*first_s, *gap_s]),
                message_start_s=np.full(len(first_s) + len(gap_s), OPENED_AT),
                message_first=np.array([True] * len(first_s) + [False] * len(gap_s), dtype=np.bool_),
            ),
            opened_at=OPENED_AT,
            requests=config.load.requests,
            closes_at=None if config.load.duration_s is None else OPENED_AT + config.load.duration_s,
        )
        for w in range(workers)
    ]
    load_run = LoadRun(
        windows=windows, summary=summarise(windows), cpu_s=0.4, busy_share=busy_share, interrupted=interrupted, **run
    )
    return BenchResult(
        target="localhost:50051",
        config=config,
        call=call,
        started_at=STARTED_AT,
        run=load_run,
        connections=4,
        connections_by_process=by_process,
        objectives=parse_slo(slo) if slo else (),
        notes=notes,
    )


def thousand(**more: Any) -> BenchResult:
    """1, 2, ... 1000 ms; the calls over 990 ms failed."""
    status = [OK] * 990 + [UNAVAILABLE] * 7 + [DEADLINE_EXCEEDED] * 3
    return result(np.arange(1, 1001) / 1000, status, **more)


def rate_run(
    rate_rps: float,
    latency_s: Sequence[float] | Floats,
    late_s: Sequence[float] | Floats | float = 0.0,
    *,
    opened_at: float = OPENED_AT,
    **run: Any,
) -> LoadRun:
    """An open loop at a constant rate; the window is as long as the schedule of these calls."""
    count = len(latency_s)
    closes_at = opened_at + count / rate_rps
    late = np.broadcast_to(np.array(late_s, dtype=np.float64), (count,))
    window = Window(
        records=Records(
            start_s=opened_at + np.arange(count) / rate_rps,
            latency_s=np.array(latency_s, dtype=np.float64),
            status=np.zeros(count, dtype=np.uint8),
            late_s=late,
        ),
        opened_at=opened_at,
        requests=None,
        closes_at=closes_at,
        held_open=True,
    )
    known = {"cpu_s": 0.4, "busy_share": 0.3, "offered_rps": rate_rps, "planned": count, "sent": count}
    return LoadRun(windows=[window], summary=summarise([window]), lateness=lateness([window]), **(known | run))


def open_loop(*arguments: Any, slo: str = "", **run: Any) -> BenchResult:
    """The result of :func:`rate_run`."""
    load_run = rate_run(*arguments, **run)
    config = TrialConfig().replace(
        {"load.rate_rps": load_run.offered_rps, "load.requests": None, "load.duration_s": 10.0}
    )
    return BenchResult(
        target="localhost:50051",
        config=config,
        call=SAY_HELLO,
        started_at=STARTED_AT,
        run=load_run,
        connections=1,
        objectives=parse_slo(slo) if slo else (),
    )


def schedule(*runs: LoadRun, slo: str = "") -> BenchResult:
    """A schedule of these open loops."""
    first = runs[0].offered_rps
    config = TrialConfig().replace({"load.rate_rps": first, "load.requests": None, "load.duration_s": 10.0})
    return BenchResult(
        target="localhost:50051",
        config=config,
        call=SAY_HELLO,
        started_at=STARTED_AT,
        run=merged(runs),
        connections=1,
        steps=tuple(
            RateStep(rate_rps=run.offered_rps or 0.0, run=run, limited_by=run.limited_by("shared")) for run in runs
        ),
        objectives=parse_slo(slo) if slo else (),
    )


def ghz_json(found: BenchResult, *, details: bool = False) -> Any:
    """The JSON of a result, read again."""
    return json.loads("".join(json_chunks(found, details=details)))


def csv_text(found: BenchResult) -> str:
    """The CSV of a result."""
    return "".join(csv_chunks(found))
