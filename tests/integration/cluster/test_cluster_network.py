"""Load from four machines, which are network namespaces, to a server in a fifth; machines that are lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'grpclab[cluster]'")

from distributed import Client

import grpclab
from grpclab.cluster.connection import opened
from grpclab.errors import MeasurementError, UsageError
from grpclab.load.bench import run_bench
from grpclab.load.bench_result import BenchResult
from grpclab.load.plan import planned
from grpclab.system.allowance import Allowance
from tests.support import namespaces
from tests.support.cluster_network import ClusterNetwork, cluster_network
from tests.support.processes import until

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(namespaces.missing()), reason=namespaces.missing())]

AHEAD_S = 0.25
"""By so much the clock of the last machine is ahead."""
ALLOWANCE = Allowance(rate_rps=1e6, calls=10**8, time_s=600)
END_S = 15.0
"""The time after a loss in which a load has to end."""


@pytest.fixture
def network() -> Iterator[ClusterNetwork]:
    with cluster_network(4, clock_s=AHEAD_S) as it:
        with Client(it.scheduler, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(4, timeout=120)
        yield it


def bench(network: ClusterNetwork, **given: float) -> BenchResult:
    return asyncio.run(
        grpclab.bench(
            network.target,
            cluster=network.scheduler,
            allow_remote=True,
            max_rate_rps=ALLOWANCE.rate_rps,
            max_calls=ALLOWANCE.calls,
            max_time_s=ALLOWANCE.time_s,
            **given,  # type: ignore[arg-type]
        )
    )


def test_the_merged_counts_are_the_servers_and_clocks_that_differ_change_only_the_offset(
    network: ClusterNetwork,
) -> None:
    closed = bench(network, requests=400, concurrency=8)
    opened_loop = bench(network, rate_rps=200, duration_s=2.0)
    assert closed.run.summary.requests == 400
    assert opened_loop.run.summary.requests == opened_loop.run.planned == 400
    for result in (closed, opened_loop):
        cluster = result.cluster
        assert cluster is not None
        assert cluster.machines == 4
        assert [one.calls for one in cluster.generators] == [100] * 4
        (ahead,) = [one for one in cluster.generators if one.name.endswith(" w3")]
        others = [one for one in cluster.generators if one is not ahead]
        assert [(one.offset_s, one.bound_s) for one in others if abs(one.offset_s) > one.bound_s] == []
        assert abs(ahead.offset_s - AHEAD_S) <= ahead.bound_s
        assert [
            (one.started_after_s, cluster.bound_s)
            for one in cluster.generators
            if one.started_after_s <= -2 * cluster.bound_s
        ] == []
        assert result.run.summary.window_s < 60
    assert closed.run.calls_made + opened_loop.run.calls_made == network.served()


def test_load_goes_nowhere_without_leave(network: ClusterNetwork) -> None:
    with pytest.raises(UsageError, match="--allow-remote"), opened(network.scheduler):
        pass
    with opened(network.scheduler, allow_remote=True) as cluster:
        with pytest.raises(UsageError, match="all machines reach"):
            run_bench("localhost:1", planned({}), cluster=cluster)
        with pytest.raises(UsageError):
            run_bench(network.target, planned({}), cluster=cluster)
    assert network.served() == 0


def cut(network: ClusterNetwork) -> None:
    network.unplug(2)
    threading.Timer(5.0, network.plug, [2]).start()


def kill(network: ClusterNetwork) -> None:
    os.killpg(network.processes[network.workers[2]].pid, signal.SIGKILL)


def kill_scheduler(network: ClusterNetwork) -> None:
    os.killpg(network.processes["scheduler"].pid, signal.SIGKILL)


@pytest.mark.parametrize(("fault", "lost"), [(cut, "w2"), (kill, "w2"), (kill_scheduler, "the Dask scheduler at tcp")])
def test_a_machine_that_is_lost_ends_the_load_with_a_clear_error(
    network: ClusterNetwork, fault: Callable[[ClusterNetwork], None], lost: str
) -> None:
    at: list[float] = []

    def break_once(_: str, progress: object) -> None:
        if not at:
            at.append(time.monotonic())
            fault(network)

    plan = planned({"load.duration_s": 60.0, "load.warmup_s": 0.0}, "100")
    with opened(network.scheduler, allow_remote=True) as cluster:
        with pytest.raises(MeasurementError, match=rf"{lost}.* was lost.*had completed"):
            run_bench(network.target, plan, cluster=cluster, allowance=ALLOWANCE, watcher=break_once)
        assert time.monotonic() - at[0] < END_S
    assert until(lambda: not network.generators(), END_S)
