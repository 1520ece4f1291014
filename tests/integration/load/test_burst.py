"""Thousands of calls at the same moment: `optimized` has room for all of them, `basic` hides none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from grpclab.factors.config import ClientConfig, LoadConfig, ServerConfig, TrialConfig
from grpclab.factors.variants import BASIC, OPTIMIZED
from grpclab.load.generator import Generator
from grpclab.load.run import LoadRun
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.status import OK


def burst(config: ServerConfig, calls: int, *, hold: int = 0) -> tuple[LoadRun, RunningServer]:
    """All the calls at once over four connections, each with a minute to end."""
    load = TrialConfig(
        client=ClientConfig(pooling="pool", connections=4, deadline_s=60),
        load=LoadConfig(requests=calls, concurrency=calls, warmup_s=0),
    )
    with launch(config, hold=hold) as server:
        with Generator(load, server.target) as generator:
            run = generator.measure()
        server.stop()
    return run, server


@pytest.mark.parametrize("calls", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_optimized_holds_all_calls_at_once_and_answers_them_all(calls: int) -> None:
    run, server = burst(replace(OPTIMIZED.server, processes=1), calls, hold=calls)
    assert run.summary.errors_by_status == {}
    assert run.summary.requests == calls
    assert server.high_water == calls
    assert server.calls == calls


def test_basic_accounts_for_every_one_of_ten_thousand_calls() -> None:
    calls = 10_000
    run, server = burst(BASIC.server, calls)
    summary = run.summary
    status = np.concatenate([window.records.status for window in run.windows])
    succeeded = int((status == OK).sum())
    assert len(status) == summary.requests == calls
    assert succeeded + sum(summary.errors_by_status.values()) == calls
    assert server.calls is not None
    assert 0 < succeeded <= server.calls
    assert server.high_water is not None
    assert server.high_water <= BASIC.server.threads
