"""The machines of a cluster as a study names them: a host, or a part of its cores for each worker there.

A worker is one machine, and no two workers share a core: those on one kernel (by its boot id, so that containers are
seen, too) share its cores out among themselves.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from grpclab.analysis.study_plan import StoredCores
from grpclab.cluster.connection import Cluster
from grpclab.errors import DesignError, UsageError, invalid
from grpclab.factors.levels import Level
from grpclab.study.model import Manifest, StoredMachine
from grpclab.system import environment
from grpclab.system.environment import Machine
from grpclab.text.printable import printable

VERSIONS = ("python", "grpcio", "protobuf", "uvloop")
"""The facts of an identity that must be the same on all machines of a study."""
LONGEST_NAME = 80


@dataclass(frozen=True, kw_only=True)
class WorkerFacts:
    """A worker's machine as the worker itself sees it; `boot` is the same for all that share a kernel."""

    boot: str
    machine: Machine
    identity: Mapping[str, Level]


def facts() -> WorkerFacts:
    """The facts of the process that calls it, on a worker."""
    boot = environment.read_text(Path("/proc/sys/kernel/random/boot_id"))
    machine = environment.machine()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return WorkerFacts(
        boot=boot or machine.host or "",
        machine=replace(machine, affinity=tuple(sorted(cores))),
        identity=environment.identity(machine, environment.versions()),
    )


def stored_machines(found: Mapping[str, WorkerFacts], cluster: str) -> dict[str, StoredMachine]:
    """The machines by the addresses of their workers, with their names and the cores that each measures on. Pure.

    Raises UsageError where a host has more workers than cores, and where workers have different versions.
    """
    first = next(iter(found.values()))
    for address, one in found.items():
        if differing := [name for name in VERSIONS if one.identity.get(name) != first.identity.get(name)]:
            name = differing[0]
            texts = f"{name} {one.identity.get(name)} instead of {first.identity.get(name)}"
            raise UsageError(
                invalid("--cluster", cluster, f"workers with the same versions, but {address} has {texts}")
            )
    shares = _shares(found, cluster)
    machines = {}
    names: Counter[str] = Counter()
    for address, one in found.items():
        whole = shares[address] == one.machine.affinity
        host = printable(one.machine.host or "unknown", LONGEST_NAME)
        name = host if whole else f"{host}:{_numbers(shares[address])}"
        names[name] += 1
        name += f"#{names[name]}" if names[name] > 1 else ""
        cores = environment.split_cores(shares[address])
        machines[address] = StoredMachine(
            name=name,
            cores=StoredCores(server=cores.server, generator=cores.generator, shared=cores.shared),
            identity=one.identity,
            machine=one.machine,
        )
    return machines


def _shares(found: Mapping[str, WorkerFacts], cluster: str) -> dict[str, tuple[int, ...]]:
    """The cores of each worker, none of which another one has."""
    shares = {}
    for boot in dict.fromkeys(one.boot for one in found.values()):
        beside = [address for address, one in found.items() if one.boot == boot]
        taken = [core for address in beside for core in found[address].machine.affinity]
        cores = sorted(set(taken))
        if len(taken) == len(cores):  # they are apart already
            shares.update({address: found[address].machine.affinity for address in beside})
            continue
        if len(beside) > len(cores):
            host = found[beside[0]].machine.host
            expected = f"at most {len(cores)} workers on {host}, one for each core, to measure blocks"
            raise UsageError(invalid("--cluster", cluster, f"{expected}; got {len(beside)}"))
        for number, address in enumerate(beside):
            part = cores[number * len(cores) // len(beside) : (number + 1) * len(cores) // len(beside)]
            allowed = tuple(core for core in part if core in found[address].machine.affinity)
            if not allowed:
                expected = f"workers on {found[address].machine.host} that all use the same cores, or none in common"
                raise UsageError(invalid("--cluster", cluster, expected))
            shares[address] = allowed
    return shares


def _numbers(cores: Sequence[int]) -> str:
    """Cores as text: ``0``, ``4-7``, or ``0,2``."""
    if len(cores) > 2 and list(cores) == list(range(cores[0], cores[-1] + 1)):
        return f"{cores[0]}-{cores[-1]}"
    return ",".join(map(str, cores))


def _plan_text(cores: StoredCores) -> str:
    return f"{_numbers(cores.server)}/{_numbers(cores.generator)}"


def machines_of(cluster: Cluster) -> dict[str, StoredMachine]:
    """The machines of a cluster by the addresses of their workers. Raises UsageError."""
    answers = cluster.client.run(facts, workers=[worker.address for worker in cluster.workers], on_error="return")
    for address, answer in answers.items():
        if not isinstance(answer, WorkerFacts):
            raise UsageError(
                invalid("--cluster", cluster.address, f"workers with grpclab[study], but {address} says: {answer}")
            )
    return stored_machines({worker.address: answers[worker.address] for worker in cluster.workers}, cluster.address)


def on_machines(here: Manifest, machines: Sequence[StoredMachine]) -> Manifest:
    """The surroundings of a study that is measured on these machines: see :func:`.manifests.surroundings`.

    The cores are those of the machine with the fewest, for the plan and what limits a configuration.
    """
    fewest = min(machines, key=lambda one: (len(one.cores.server), len(one.cores.generator), not one.cores.shared))
    identity = {name: machines[0].identity[name] for name in VERSIONS if name in machines[0].identity}
    return replace(here, identity=identity, machine=Machine(), cores=fewest.cores, machines=tuple(machines))


def with_machines(stored: Manifest, machines: Sequence[StoredMachine]) -> Manifest:
    """A study's manifest that lists these machines as well. Raises DesignError where one is no longer what it was."""
    known = {one.name: one for one in stored.machines}
    for one in machines:
        before = known.setdefault(one.name, one)
        facts_before, facts_now = (
            {**each.identity, "cores for server and generator": _plan_text(each.cores)} for each in (before, one)
        )
        if different := [key for key in facts_before if facts_before[key] != facts_now.get(key)]:
            key = different[0]
            raise DesignError(
                f"{one.name} has changed since it measured a part of {stored.study} ({key} was {facts_before[key]} and "
                f"is now {facts_now.get(key)}): give this study another name (study=...)"
            )
    return replace(stored, machines=tuple(known.values()))
