"""Ten thousand calls at the same moment: `optimized` has room for all of them, `basic` hides none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from grpclab.factors.config import ClientConfig, LoadConfig, ServerConfig, TrialConfig
from grpclab.factors.variants import BASIC, OPTIMIZED
from grpclab.load.generator import Generator
from grpclab.load.run import LoadRun
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.status import OK

CALLS = 10_000


def burst(config: ServerConfig, *, hold: int) -> tuple[LoadRun, RunningServer]:
    """All the calls at once over four connections, each with a minute to end."""
    load = TrialConfig(
        client=ClientConfig(pooling="pool", connections=4, deadline_s=60),
        load=LoadConfig(requests=CALLS, concurrency=CALLS, warmup_s=0),
    )
    with launch(config, hold=hold) as server:
        with Generator(load, server.target) as generator:
            run = generator.measure()
        server.stop()
    return run, server


def test_optimized_holds_ten_thousand_calls_at_once_and_answers_them_all() -> None:
    run, server = burst(replace(OPTIMIZED.server, processes=1), hold=CALLS)
    assert run.summary.errors_by_status == {}
    assert run.summary.requests == CALLS
    assert server.high_water == CALLS
    assert server.calls == CALLS


def test_basic_accounts_for_every_one_of_ten_thousand_calls() -> None:
    run, server = burst(BASIC.server, hold=0)
    summary = run.summary
    status = np.concatenate([window.records.status for window in run.windows])
    succeeded = int((status == OK).sum())
    assert len(status) == summary.requests == CALLS
    assert succeeded + sum(summary.errors_by_status.values()) == CALLS
    assert server.calls is not None
    assert 0 < succeeded <= server.calls
    assert server.high_water is not None
    assert server.high_water <= BASIC.server.threads
