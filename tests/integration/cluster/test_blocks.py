"""Blocks of a study on the workers of real Dask clusters: each block on one machine, each once, however a run ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

pytest.importorskip("distributed", reason="distributed is not installed: pip install 'grpclab[cluster]'")

from grpclab.cluster import slot
from grpclab.cluster.connection import Cluster, opened
from grpclab.errors import DesignError, MeasurementError, UsageError
from grpclab.factors.variants import variant
from grpclab.servers.target import Address, App
from grpclab.study import spread_blocks
from grpclab.study.comparing import compare
from grpclab.study.comparison import CompareResult
from grpclab.study.machines import machines_of
from grpclab.study.measured_study import StudyInterruptedError
from grpclab.study.pilot import estimate_comparison
from grpclab.study.sides import A, B, Side
from grpclab.study.spread_blocks import ClusterMachines
from tests.support.processes import gone, processes_of, until

pytestmark = pytest.mark.long

SMALL = {"load.requests": 60, "load.duration_s": 0.3, "load.warmup_s": 0.05}
SHOP = """
syntax = "proto3";
package shop.v1;
message Order { int32 id = 1; }
message Receipt { string text = 1; }
service Till { rpc Pay(Order) returns (Receipt); }
"""
SERVER = """
from pathlib import Path

import shop_pb2
import shop_pb2_grpc

PRICE = (Path(__file__).parent / "price.txt").read_text()
print("the till of", __file__, flush=True)


class Till(shop_pb2_grpc.TillServicer):
    def Pay(self, request, context):
        return shop_pb2.Receipt(text=f"{request.id}: {PRICE}")


def register(server):
    shop_pb2_grpc.add_TillServicer_to_server(Till(), server)
"""
RUNS = """
import sys
from grpclab.study.comparing import compare
settings = {"load.requests": 60, "load.duration_s": 0.3, "load.warmup_s": 0.05}
compare("optimized", "optimized", settings=settings, blocks=4, study="killed", cluster="local:2")
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRPCLAB_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def two() -> Iterator[Cluster]:
    with opened("local:2") as cluster:
        yield cluster


def two_cores() -> bool:
    return len(psutil.Process().cpu_affinity()) >= 2


needs_two_cores = pytest.mark.skipif(not two_cores(), reason="needs two cores, one for each worker")


def measured(cluster: object, blocks: int, write: Callable[[str], None] = print) -> CompareResult:
    return compare(
        "optimized",
        "optimized",
        settings=SMALL,
        blocks=blocks,
        study="small",
        cluster=cluster,  # type: ignore[arg-type]
        write=write,
    )


def blocks_of(folder: Path) -> pd.DataFrame:
    """The trials of a study, after a look that each block was measured once, and on one machine."""
    trials = pd.read_parquet(folder / "trials.parquet")
    assert trials.groupby("block")["machine"].nunique().eq(1).all()
    assert trials.groupby("block")["trial"].count().eq(2).all()
    groups = [json.loads(path.read_text()) for path in folder.glob("groups/*/group.json")]
    assert sorted(group["block"] for group in groups) == sorted(trials["block"].unique())
    return trials


@needs_two_cores
def test_an_application_in_a_folder_is_compared_on_two_machines_that_share_the_blocks_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := root / "shop").mkdir()
    (folder / "shop.proto").write_text(SHOP)
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--grpc_python_out=.", "shop.proto"]
    subprocess.run(protoc, cwd=folder, check=True)
    (folder / "till.py").write_text(SERVER)
    (folder / "price.txt").write_text("42")
    (folder / ".secret").write_text("stays here")
    monkeypatch.chdir(folder)
    lines: list[str] = []
    app = App("till:register")
    result = compare(
        app,
        app,
        call="shop.v1.Till/Pay",
        data={"id": 7},
        settings=SMALL,
        b_settings={"server.threads": 4},
        blocks=4,
        study="shop",
        cluster="local:2",
        write=lines.append,
    )
    trials = blocks_of(root / "results/shop")
    assert trials["valid"].all()
    assert sorted(trials.groupby("machine")["block"].nunique()) == [2, 2]
    assert [one.blocks for one in result.judgement.headline.by_machine] == [2, 2]
    assert any(f"copying {folder}" in line for line in lines)
    for log in (root / "results/shop/trials").glob("*/server.log"):
        text = log.read_text()
        assert "the till of" in text
        assert str(folder) not in text
    notices = trials["notices"].str.cat()
    assert "share" in notices  # one core carries both


def test_one_machine_measures_as_this_one_and_says_which_it_is(root: Path) -> None:
    result = measured("local:1", 2)
    trials = blocks_of(root / "results/small")
    (machine,) = trials["machine"].unique()
    manifest = json.loads((root / "results/small/manifest.json").read_text())
    assert [one["name"] for one in manifest["machines"]] == [machine]
    assert "host" not in manifest["identity"]
    assert not any("machines" in warning for warning in result.judgement.warnings)
    with pytest.raises(DesignError, match="was started with --cluster"):
        measured(None, 2)


@needs_two_cores
def test_a_run_that_is_killed_leaves_no_process_and_goes_on_with_what_is_missing(root: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", RUNS], cwd=root)
    groups = root / "results/killed/groups"
    assert until(lambda: any(groups.glob("[!.]*/group.json")), 120)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert until(lambda: not processes_of("killed"))
    before = {path.parent.name: path.stat().st_mtime_ns for path in groups.glob("[!.]*/group.json")}
    subprocess.run([sys.executable, "-c", RUNS], cwd=root, check=True, timeout=300)
    blocks_of(root / "results/killed")
    after = {path.parent.name: path.stat().st_mtime_ns for path in groups.glob("*/group.json")}
    assert len(after) == 4
    assert {name: after[name] for name in before} == before


@needs_two_cores
def test_the_blocks_of_a_worker_that_is_killed_are_measured_by_the_other(root: Path, two: Cluster) -> None:
    pids = two.client.run(_pid)
    names = [machines_of(two)[worker.address].name for worker in two.workers]
    lines: list[str] = []

    def write(line: str) -> None:
        lines.append(line)
        if line.startswith("[") and not any("is lost" in one for one in lines):
            worker = psutil.Process(pids[two.workers[0].address])
            if not gone(worker):
                worker.kill()

    measured(two.client, 4, write)
    trials = blocks_of(root / "results/small")
    lost, left = names
    assert any(line.startswith(f"{lost} is lost") for line in lines)
    assert trials["valid"].all()
    assert set(trials["block"]) == {0, 1, 2, 3}
    assert trials["machine"].eq(left).sum() >= 4


def _pid() -> int:
    import os

    return os.getpid()


@needs_two_cores
def test_an_interrupt_ends_what_the_workers_measure_though_the_cluster_stays(two: Cluster) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("["):
            raise KeyboardInterrupt

    with pytest.raises(StudyInterruptedError):
        measured(two.client, 4, interrupt)
    assert until(lambda: not processes_of("small"), 15)
    assert until(lambda: not any(two.client.run(_holds).values()), 15)


def _holds() -> bool:
    try:
        slot.take("a look")
    except MeasurementError:
        return True
    slot.release()
    return False


@needs_two_cores
def test_a_worker_that_measures_something_else_is_not_used(two: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spread_blocks, "BUSY_S", 1.0)
    two.client.run(slot.take, "the load of somebody else")
    with pytest.raises(MeasurementError, match="the load of somebody else"):
        measured(two.client, 2)


def test_a_server_that_all_machines_would_share_is_refused() -> None:
    server = Address("localhost:1")
    with pytest.raises(UsageError, match="blocks on several machines would share one server"):
        compare(server, server, call="a.B/C", cluster="local:1")


@needs_two_cores
def test_more_workers_than_cores_cannot_measure_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = psutil.Process().cpu_affinity()
    psutil.Process().cpu_affinity(cores[:1])
    try:
        with opened("local:2") as cluster, pytest.raises(UsageError, match="at most 1 workers"):
            machines_of(cluster)
    finally:
        psutil.Process().cpu_affinity(cores)


@needs_two_cores
def test_a_plan_is_piloted_on_the_machines_and_says_how_many_blocks_each_has(two: Cluster) -> None:
    sides = {name: Side(label=name, config=variant("optimized").replace(SMALL)) for name in (A, B)}
    lines: list[str] = []
    machines = ClusterMachines(two)
    estimate_comparison(
        sides, blocks=7, delta=0.05, seed=1, write=lines.append, progress=lines.append, machines=machines
    )
    text = "\n".join(lines)
    assert machines.text in text
    assert "2 machines with at most 4 blocks each" in text
    assert sum(line.startswith("[") for line in lines) == 8
    assert "blocks needed to detect an effect" in text
