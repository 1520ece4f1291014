"""The machines of a cluster: their names and cores, and what they must have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from grpclab.analysis.study_plan import StoredCores
from grpclab.errors import DesignError, UsageError
from grpclab.factors.levels import Level
from grpclab.study import collection
from grpclab.study.machines import WorkerFacts, on_machines, stored_machines, with_machines
from grpclab.study.model import Manifest, StoredMachine
from grpclab.system.environment import Machine

VERSIONS = {"python": "3.12.1", "grpcio": "1.85.3", "protobuf": "7.0", "uvloop": "0.23"}


def facts(host: str, cores: tuple[int, ...], *, boot: str = "", **versions: str) -> WorkerFacts:
    identity: dict[str, Level] = {"host": host, "cores": len(cores), **VERSIONS, **versions}
    return WorkerFacts(boot=boot or host, machine=Machine(host=host, affinity=cores), identity=identity)


def cores(machine: StoredMachine) -> tuple[Any, ...]:
    return machine.cores.server, machine.cores.generator, machine.cores.shared


def test_a_worker_alone_on_its_host_has_all_its_cores_and_its_name() -> None:
    found = stored_machines({"tcp://1": facts("x", (0, 1, 2, 3)), "tcp://2": facts("y", (0, 1))}, "c")
    assert [one.name for one in found.values()] == ["x", "y"]
    assert cores(found["tcp://1"]) == ((0, 1, 2), (3,), False)
    assert cores(found["tcp://2"]) == ((0,), (1,), False)


def test_workers_on_one_host_share_its_cores_out_and_none_has_a_core_of_another() -> None:
    found = stored_machines({f"tcp://{n}": facts("x", (0, 1, 2, 3, 4, 5)) for n in range(2)}, "c")
    assert [one.name for one in found.values()] == ["x:0-2", "x:3-5"]
    assert [cores(one) for one in found.values()] == [((0, 1), (2,), False), ((3, 4), (5,), False)]


def test_a_worker_with_one_core_shares_it_between_server_and_generator() -> None:
    found = stored_machines({f"tcp://{n}": facts("x", (0, 1)) for n in range(2)}, "local:2")
    assert [one.name for one in found.values()] == ["x:0", "x:1"]
    assert [cores(one) for one in found.values()] == [((0,), (0,), True), ((1,), (1,), True)]


def test_containers_on_one_kernel_share_its_cores_out() -> None:
    found = stored_machines({"a": facts("pod-a", (0, 1), boot="k"), "b": facts("pod-b", (0, 1), boot="k")}, "c")
    assert [one.name for one in found.values()] == ["pod-a:0", "pod-b:1"]


def test_workers_that_are_pinned_apart_keep_their_cores() -> None:
    found = stored_machines({"a": facts("x", (0, 1)), "b": facts("x", (2, 3))}, "c")
    assert [cores(one)[:2] for one in found.values()] == [((0,), (1,)), ((2,), (3,))]
    assert len({one.name for one in found.values()}) == 2


def test_more_workers_than_cores_are_refused() -> None:
    with pytest.raises(UsageError, match="at most 2 workers on x"):
        stored_machines({f"tcp://{n}": facts("x", (0, 1)) for n in range(3)}, "local:3")


def test_workers_with_different_libraries_are_refused() -> None:
    with pytest.raises(UsageError, match=r"b has protobuf 6\.0 instead of 7\.0"):
        stored_machines({"a": facts("x", (0,)), "b": facts("y", (0,), protobuf="6.0")}, "c")


def machines(*names: str) -> list[StoredMachine]:
    return list(stored_machines({name: facts(name, (0, 1)) for name in names}, "c").values())


def test_a_study_of_machines_is_identified_by_its_versions_alone() -> None:
    here = on_machines(Manifest(identity={"host": "laptop", **VERSIONS}), machines("x", "y"))
    assert here.identity == VERSIONS
    assert [one.name for one in here.machines] == ["x", "y"]
    assert here.cores == StoredCores(server=(0,), generator=(1,), shared=False)


def test_the_manifest_lists_machines_that_come_later_and_refuses_one_that_has_changed() -> None:
    stored = on_machines(Manifest(study="s"), machines("x"))
    assert [one.name for one in with_machines(stored, machines("x", "y")).machines] == ["x", "y"]
    (x,) = machines("x")
    for changed in (
        replace(x, identity={**x.identity, "kernel": "7"}, name="x"),
        replace(x, cores=StoredCores(server=(0,), generator=(0,), shared=True)),
    ):
        before = replace(x, identity={**x.identity, "kernel": "6"}) if "kernel" in changed.identity else x
        with pytest.raises(DesignError, match="has changed since it measured"):
            with_machines(replace(stored, machines=(before,)), [changed])


def measured(place: str | None, host: str) -> pd.DataFrame:
    return pd.DataFrame([{"trial": "t", "machine": place, "measured_on": f'{{"host": "{host}"}}'}])


def test_a_trial_is_mixed_in_where_it_is_not_of_the_machine_that_it_names() -> None:
    study = Manifest(
        identity={"python": "3"},
        machines=(StoredMachine(name="x", identity={"host": "x"}), StoredMachine(name="y", identity={"host": "y"})),
    )
    assert collection.mixed(measured("x", "x"), study) == ""
    assert "host=z, but x in the study" in collection.mixed(measured("x", "z"), study)
    assert "machine=z, which the study does not list" in collection.mixed(measured("z", "z"), study)
    assert "host=x, but None" in collection.mixed(measured(None, "x"), study)
