"""Dask clusters with real schedulers and worker processes: opened, checked, and ended in every way."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import trustme

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'grpclab[cluster]'")

import dask
from distributed import Client, LocalCluster
from distributed.security import Security

import grpclab
from grpclab.cluster import slot
from grpclab.cluster.connection import Cluster, described, opened
from grpclab.errors import MeasurementError, UsageError
from grpclab.system.subprocesses import Child
from tests.support.command import unused_port
from tests.support.processes import gone, until

pytestmark = pytest.mark.long

HOLDS_OPEN = """
import sys, time
from grpclab.cluster.connection import opened
with opened("local:2") as cluster:
    print("ready", *cluster.client.run(lambda: __import__("os").getpid()).values(), flush=True)
    time.sleep(120)
"""
ANOTHER_VERSION = """
import sys
import grpclab
grpclab.__version__ = "0.0.1"
from grpclab.cluster import local_worker
local_worker.main()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with opened("local:2") as it:
        yield it


def test_local_workers_are_processes_of_one_thread_that_share_no_core_where_there_are_enough(cluster: Cluster) -> None:
    pids = set(cluster.client.run(_pid).values())
    assert len(pids) == len(cluster.workers) == 2
    assert [worker.threads for worker in cluster.workers] == [1, 1]
    assert [worker.name for worker in cluster.workers] == ["local-0", "local-1"]
    assert cluster.machines == (described().machine,)
    first, second = (set(cluster.cores_of(worker)) for worker in cluster.workers)
    assert not first & second or len(described().cores) < 2


def _pid() -> int:
    import os

    return os.getpid()


def test_two_measurements_never_share_a_worker(cluster: Cluster) -> None:
    worker = [cluster.workers[0].address]
    cluster.client.run(slot.take, "a load of nobody", workers=worker)
    with pytest.raises(MeasurementError, match="a load of nobody"):
        cluster.client.run(slot.take, "another", workers=worker)
    cluster.client.run(slot.release, workers=worker)
    cluster.client.run(slot.take, "another", workers=worker)
    cluster.client.run(slot.release, workers=worker)


def test_a_client_that_exists_is_used_and_stays_open(cluster: Cluster) -> None:
    with opened(cluster.client) as again:
        assert again.workers == cluster.workers
    assert cluster.client.submit(sum, [1, 2]).result(timeout=30) == 3


def test_workers_of_other_versions_are_refused_with_a_list(tmp_path: Path) -> None:
    with LocalCluster(n_workers=0, host="127.0.0.1", scheduler_port=0, dashboard_address=":0") as scheduler:
        address = scheduler.scheduler_address
        with (
            Child([sys.executable, "-P", "-c", ANOTHER_VERSION], address, "old", str(tmp_path), name="old worker"),
            Child("grpclab.cluster.local_worker", address, "new", str(tmp_path), name="new worker"),
            Client(scheduler, set_as_default=False) as client,
        ):
            client.wait_for_workers(2, timeout=60)
            known = client.scheduler_info()["workers"]
            (old,) = (one for one, worker in known.items() if worker["name"] == "old")
            with pytest.raises(UsageError) as error, opened(address):
                pass
    assert f"{old} has grpclab 0.0.1 instead of {grpclab.__version__}" in str(error.value)
    assert str(error.value).count(" instead of ") == 1


def test_a_scheduler_without_workers_is_told(tmp_path: Path) -> None:
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", scheduler_port=0, dashboard_address=":0") as scheduler,
        pytest.raises(MeasurementError, match="no workers"),
        opened(scheduler.scheduler_address),
    ):
        pass


def test_a_scheduler_over_tls_is_joined_with_the_certificates_of_dasks_configuration(tmp_path: Path) -> None:
    authority = trustme.CA()
    ours = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "me.pem")
    role = {"cert": str(tmp_path / "me.pem"), "key": str(tmp_path / "me.pem")}
    authority_file = str(tmp_path / "ca.pem")
    tls = {f"distributed.comm.tls.{name}": role for name in ("scheduler", "worker", "client")}
    variables = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": authority_file} | {
        f"DASK_DISTRIBUTED__COMM__TLS__WORKER__{name.upper()}": path for name, path in role.items()
    }
    with (
        dask.config.set({"distributed.comm.tls.ca-file": authority_file, **tls}),
        LocalCluster(
            n_workers=0, host="127.0.0.1", protocol="tls", security=Security(), dashboard_address=":0"
        ) as scheduler,
        Child(
            *("grpclab.cluster.local_worker", scheduler.scheduler_address, "w", str(tmp_path)),
            name="worker",
            env=variables,
        ),
    ):
        assert scheduler.scheduler_address.startswith("tls://")
        with Client(scheduler, set_as_default=False) as client:
            client.wait_for_workers(1, timeout=60)
        with opened(scheduler.scheduler_address) as cluster:
            assert [worker.name for worker in cluster.workers] == ["w"]


def test_an_address_where_no_scheduler_listens_is_told() -> None:
    with pytest.raises(MeasurementError, match="no Dask scheduler"), opened(f"tcp://127.0.0.1:{unused_port()}"):
        pass


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_local_cluster_however_its_maker_ends(end: signal.Signals, tmp_path: Path) -> None:
    maker = subprocess.Popen(
        [sys.executable, "-c", HOLDS_OPEN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert maker.stdout is not None
    word, *pids = maker.stdout.readline().split()
    assert (word, len(pids)) == ("ready", 2)
    workers = [psutil.Process(int(pid)) for pid in pids]
    maker.send_signal(end)
    maker.communicate(timeout=60)
    assert until(lambda: all(map(gone, workers)))
    assert not list(tmp_path.iterdir())
