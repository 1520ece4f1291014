"""Load from the workers of Dask clusters on this machine, against the reference server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'grpclab[cluster]'")

import grpclab
from grpclab.cluster.connection import Cluster, opened
from grpclab.errors import MeasurementError, UsageError, WorkerError
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.bench import run_bench
from grpclab.load.bench_result import BenchResult, PartialLoadError
from grpclab.load.bench_windows import Watcher
from grpclab.load.calls.method import greeting
from grpclab.load.cluster_load import ClusterGenerator
from grpclab.load.core.summary import percentiles
from grpclab.load.plan import planned
from grpclab.load.run import LoadProgress
from grpclab.load.slo import parse_slo
from grpclab.servers.process.launcher import RunningServer
from grpclab.servers.reference.launcher import launch_reference
from grpclab.servers.reference.spec import ReferenceSpec
from tests.support.processes import gone, until

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with opened("local:3") as it:
        yield it


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with launch_reference(ReferenceSpec()) as it:
        yield it


def measured(
    cluster: Cluster, target: str, *, records: bool = False, rate: str | None = None, **levels: float
) -> BenchResult:
    plan = planned({f"load.{name}": level for name, level in levels.items()}, rate)
    return run_bench(target, plan, cluster=cluster, records=records)


def test_calls_and_callers_are_divided_exactly(cluster: Cluster, server: RunningServer) -> None:
    result = measured(cluster, server.target, requests=1000, concurrency=10, warmup_s=0.0)
    assert result.cluster is not None
    assert [one.calls for one in result.cluster.generators] == [334, 333, 333]
    assert result.run.summary.requests == result.run.calls_made == 1000
    assert result.run.summary.errors == 0
    assert result.connections == 3


def test_the_merged_figures_are_those_of_all_records_together(cluster: Cluster, server: RunningServer) -> None:
    config = TrialConfig().replace({"load.requests": 3000, "load.concurrency": 12, "load.warmup_s": 0.0})
    with ClusterGenerator(cluster, config, server.target, call=greeting(config.load)) as generator:
        run = generator.measure()
        records = [process.actor.records().result(timeout=60) for process in generator._processes]
    latency = np.concatenate([one.latency_s for one in records])
    assert run.summary.latency == percentiles(latency)
    assert (run.summary.requests, run.summary.latency_max_s) == (3000, latency.max())
    assert not run.windows


def test_an_open_loop_interleaves_as_one_schedule(cluster: Cluster, server: RunningServer) -> None:
    result = measured(cluster, server.target, records=True, rate="300", duration_s=2.0, warmup_s=0.2)
    start_s = result.to_frame()["start_s"].to_numpy()
    assert len(start_s) == result.run.planned == 600
    assert np.diff(start_s) == pytest.approx(1 / 300, abs=2 * result.cluster.bound_s + 1e-6 if result.cluster else 0)


def test_without_their_records_calls_cannot_be_listed(cluster: Cluster, server: RunningServer) -> None:
    result = measured(cluster, server.target, requests=300, concurrency=3)
    with pytest.raises(UsageError, match="records=True"):
        result.to_frame()
    shown = json.loads(result.to_text("json"))
    assert shown["count"] == sum(bucket["count"] for bucket in shown["histogram"]) == 300
    assert len(shown["grpclab"]["cluster"]["generators"]) == 3
    assert "3 processes on 1 machine" in str(result)
    assert "local-2" in result._repr_html_()


def test_the_command_sends_load_from_a_cluster_of_its_own(server: RunningServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpclab", "bench", server.target, "-n", "200", "-c", "4", "--cluster", "local:2"]
    done = subprocess.run([*command, "--json", "result.json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    shown = json.loads((tmp_path / "result.json").read_text())
    assert shown["count"] == 200
    assert shown["details"] == []
    assert [one["calls"] for one in shown["grpclab"]["cluster"]["generators"]] == [100, 100]
    assert "2 processes on 1 machine" in done.stdout


def test_python_takes_a_client_and_leaves_it_open(cluster: Cluster, server: RunningServer) -> None:
    result = asyncio.run(grpclab.bench(server.target, requests=100, concurrency=3, cluster=cluster.client))
    assert result.run.summary.requests == 100
    assert cluster.client.submit(sum, [1, 2]).result(timeout=30) == 3


@pytest.mark.parametrize(
    ("levels", "rate"), [({"load.workers": 4}, None), ({"link.rtt_ms": 5.0}, None), ({"load.pause_s": 1.0}, None)]
)
def test_what_a_cluster_cannot_do_is_refused(
    cluster: Cluster, server: RunningServer, levels: dict[str, float], rate: str | None
) -> None:
    with pytest.raises(UsageError):
        run_bench(server.target, planned(dict(levels), rate), cluster=cluster)


def test_a_worker_that_measures_is_not_used_by_another(cluster: Cluster, server: RunningServer) -> None:
    config = TrialConfig().replace({"load.requests": 30, "load.concurrency": 3})
    with (
        ClusterGenerator(cluster, config, server.target, call=greeting(config.load)),
        pytest.raises(MeasurementError, match="already measuring"),
    ):
        measured(cluster, server.target, requests=30, concurrency=3)
    assert measured(cluster, server.target, requests=30, concurrency=3).run.summary.requests == 30


def pid_of_worker() -> int:
    return os.getpid()


def test_a_killed_worker_ends_the_load_and_is_named(server: RunningServer) -> None:
    with opened("local:2") as cluster:
        pids = {address: psutil.Process(pid) for address, pid in cluster.client.run(pid_of_worker).items()}
        children: list[psutil.Process] = []

        def kill(_: str, progress: object) -> None:
            if not children:
                children.extend(child for process in pids.values() for child in process.children())
                pids[cluster.workers[1].address].kill()

        plan = planned({"load.duration_s": 60.0, "load.warmup_s": 0.0}, "100")
        began = time.monotonic()
        with pytest.raises(WorkerError, match=r"local-1 was lost.*had completed") as error:
            run_bench(server.target, plan, cluster=cluster, watcher=kill)
        assert "local-0" not in str(error.value)
        assert len(children) == 2
        assert until(lambda: all(map(gone, children)), 15)
        assert time.monotonic() - began < 45


def into_the_window(server: RunningServer, connections: int) -> None:
    """Wait until a load of a command has begun, which nobody announces."""
    assert server.process is not None
    process = psutil.Process(server.process.pid)

    def established() -> int:
        return sum(one.status == psutil.CONN_ESTABLISHED for one in process.net_connections("tcp"))

    assert until(lambda: established() >= connections, 60)
    time.sleep(4)


def test_ctrl_c_ends_the_load_early_and_leaves_nothing(server: RunningServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpclab", "bench", server.target, "-z", "60", "-r", "100", "--cluster", "local:2"]
    bench = subprocess.Popen(
        [*command, "--json", "result.json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    here = psutil.Process(bench.pid)
    assert until(lambda: len(here.children(recursive=True)) == 4, 60)
    below = here.children(recursive=True)
    into_the_window(server, 2)
    bench.send_signal(signal.SIGINT)
    out, err = bench.communicate(timeout=60)
    assert bench.returncode == 130, err
    assert "interrupted" in out
    assert json.loads((tmp_path / "result.json").read_text())["count"] > 0
    assert until(lambda: all(map(gone, below)), 15)


@contextlib.contextmanager
def losing(cluster: Cluster, number: int) -> Iterator[Watcher]:
    """A watcher that kills a worker of a cluster once it sees a call."""
    pids = cluster.client.run(pid_of_worker)
    worker, generators = psutil.Process(pids[cluster.workers[number].address]), list[psutil.Process]()

    def kill(_: str, progress: LoadProgress) -> None:
        if progress.calls > 20 and not generators:
            generators.extend(child for pid in pids.values() for child in psutil.Process(pid).children())
            worker.kill()

    yield kill
    assert len(generators) == len(pids)
    assert until(lambda: all(map(gone, generators)), 15)


def test_a_load_goes_on_without_a_lost_worker_and_says_which_part_of_the_rate_was_left(server: RunningServer) -> None:
    plan = planned({"load.duration_s": 4.0, "load.warmup_s": 0.0}, "60", objectives=parse_slo("errors=100%"))
    with opened("local:3") as cluster, losing(cluster, 1) as kill:
        result = run_bench(server.target, plan, cluster=cluster, watcher=kill, on_lost_worker="continue")
    figures = result.cluster
    assert figures is not None
    assert [one.calls for one in figures.generators] == [80, 80]
    (lost,) = figures.lost
    assert lost.name.endswith("local-1")
    assert 0 < lost.heard_s < 4
    assert not figures.ended
    assert result.run.summary.requests == result.run.planned == 160
    assert result.run.offered_rps == pytest.approx(40.0)
    assert result.run.share == pytest.approx(2 / 3)
    assert result.run.keeps_up
    assert "40/s of 60/s" in str(result)
    assert "40/s of 60/s" in result._repr_html_()
    assert "not tested at the planned load" in result.missed
    shown = json.loads(result.to_text("json"))["grpclab"]
    assert [one["name"] for one in shown["cluster"]["lost"]] == [lost.name]
    assert shown["open_loop"]["offered_rps"] == pytest.approx(40.0)
    assert "lost-worker" in [notice["kind"] for notice in shown["notices"]]


def test_a_closed_loop_goes_on_with_the_callers_that_are_left(server: RunningServer) -> None:
    plan = planned({"load.duration_s": 3.0, "load.concurrency": 6, "load.warmup_s": 0.0, "load.requests": None})
    with opened("local:3") as cluster, losing(cluster, 0) as kill:
        result = run_bench(server.target, plan, cluster=cluster, watcher=kill, on_lost_worker="continue")
    assert result.cluster is not None
    assert len(result.cluster.generators) == 2
    assert "4 of 6 calls in flight" in result.cluster.loss
    assert result.run.summary.requests == sum(one.calls for one in result.cluster.generators)


def test_a_load_that_ends_with_a_lost_worker_keeps_what_the_others_measured(server: RunningServer) -> None:
    plan = planned({"load.duration_s": 60.0, "load.warmup_s": 0.0}, "60")
    with opened("local:3") as cluster, losing(cluster, 1) as kill, pytest.raises(PartialLoadError) as error:
        run_bench(server.target, plan, cluster=cluster, watcher=kill)
    result = error.value.partial
    assert result.cluster is not None
    assert result.cluster.ended
    assert result.run.summary.window_s < 60
    assert result.run.summary.requests == sum(one.calls for one in result.cluster.generators) > 0
    assert result.run.summary.requests == pytest.approx(40 * result.run.summary.window_s, abs=3)
    assert "stopped early" in str(result)
    assert json.loads(result.to_text("json"))["endReason"] == "cancel"


def test_nobody_is_left_when_the_only_worker_is_lost(server: RunningServer) -> None:
    plan = planned({"load.duration_s": 60.0, "load.warmup_s": 0.0}, "60")
    with opened("local:1") as cluster, losing(cluster, 0) as kill, pytest.raises(WorkerError) as error:
        run_bench(server.target, plan, cluster=cluster, watcher=kill, on_lost_worker="continue")
    assert not isinstance(error.value, PartialLoadError)


def test_the_command_prints_what_was_measured_before_a_worker_was_lost(server: RunningServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpclab", "bench", server.target, "-z", "60", "-r", "60", "--cluster", "local:3"]
    bench = subprocess.Popen(
        [*command, "--json", "result.json"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    here = psutil.Process(bench.pid)
    assert until(lambda: len(here.children(recursive=True)) == 6, 60)
    below = here.children(recursive=True)
    into_the_window(server, 3)
    worker = next(one for one in here.children() if "local-2" in one.cmdline())
    worker.kill()
    out, err = bench.communicate(timeout=60)
    assert bench.returncode == 3, err
    assert "local-2 was lost" in err
    assert "1 of 3 generator processes was lost" in out
    shown = json.loads((tmp_path / "result.json").read_text())
    assert shown["count"] == sum(one["calls"] for one in shown["grpclab"]["cluster"]["generators"]) > 0
    assert until(lambda: all(map(gone, below)), 15)


@pytest.mark.parametrize("records", [False, True])
def test_a_schedule_of_rates_interleaves_as_one_at_every_rate(
    cluster: Cluster, server: RunningServer, records: bool
) -> None:
    result = measured(cluster, server.target, records=records, rate="60:180:60", duration_s=1.0, warmup_s=0.1)
    assert [step.rate_rps for step in result.steps] == [60, 120, 180]
    assert [step.run.summary.requests for step in result.steps] == [60, 120, 180]
    assert result.run.summary.requests == result.run.planned == 360
    assert result.cluster is not None
    assert [one.calls for one in result.cluster.generators] == [120] * 3
    assert result.knee is not None
    assert result.run.summary.latency_max_s == max(step.run.summary.latency_max_s for step in result.steps)
    assert len(json.loads(result.to_text("json"))["grpclab"]["steps"]) == 3
    assert "120" in str(result)
    assert "120" in result._repr_html_()
    if records:
        frame = result.to_frame()
        for rate_rps, calls in frame.groupby("rate_rps"):
            gaps = np.diff(calls["start_s"].to_numpy())
            assert gaps == pytest.approx(1 / float(str(rate_rps)), abs=2 * result.cluster.bound_s + 1e-6)


@pytest.mark.parametrize(("rate", "arrival"), [("40:160@2s", None), ("100", "steps:0.5,1@1s")])
def test_a_rate_that_changes_on_its_way_is_divided_exactly(
    cluster: Cluster, server: RunningServer, rate: str, arrival: str | None
) -> None:
    levels: dict[str, Level] = {"load.warmup_s": 0.0}
    if arrival is not None:
        levels |= {"load.arrival": arrival, "load.duration_s": 2.0}
    result = run_bench(server.target, planned(levels, rate), cluster=cluster)
    assert result.cluster is not None
    calls = [one.calls for one in result.cluster.generators]
    assert sum(calls) == result.run.planned == result.run.summary.requests
    assert max(calls) - min(calls) <= 1


def test_a_schedule_goes_on_without_a_worker_that_is_lost_and_every_rate_is_that_of_the_rest(
    server: RunningServer,
) -> None:
    plan = planned({"load.duration_s": 2.0, "load.warmup_s": 0.0}, "60:120:60")
    with opened("local:3") as cluster, losing(cluster, 2) as kill:
        result = run_bench(server.target, plan, cluster=cluster, watcher=kill, on_lost_worker="continue")
    assert [step.rate_rps for step in result.steps] == [40, 80]
    assert [step.run.summary.requests for step in result.steps] == [80, 160]
    assert "67% of the planned rate" in str(result)
    assert result.cluster is not None
    assert [one.calls for one in result.cluster.generators] == [120, 120]
