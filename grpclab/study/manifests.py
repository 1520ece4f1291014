"""The manifest of a study that is about to begin: what is measured, in which order, where and with what."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from grpclab.analysis.study_plan import StoredCores, StoredProgram, StudyPlan
from grpclab.factors.config import LinkConfig
from grpclab.link.emulation import check_link
from grpclab.load.calls.metadata import references
from grpclab.study.block_count import PILOT_BLOCKS
from grpclab.study.designs.file_design import FileDesign
from grpclab.study.designs.grouping import grouped
from grpclab.study.documents import SCHEMA_VERSION
from grpclab.study.machines import on_machines
from grpclab.study.model import Manifest, StoredMachine, StoredPilot
from grpclab.study.parameters import AUTO, DESIGNS, StudyParameters, name_of_file, study_name
from grpclab.study.request_files import data_files_of
from grpclab.study.server_programs import servers_of, with_programs
from grpclab.study.stored_values import written
from grpclab.study.trial_result import now_text
from grpclab.system import environment
from grpclab.system.json_fields import Json

NEW_AT_DEFAULT = (("budget", AUTO), ("implementation", "sync"), ("rate", AUTO))
"""Parameters that the first edition did not have, at their defaults: they don't change the name of a study."""


def manifest_for(parameters: StudyParameters, root: Path, machines: Sequence[StoredMachine] = ()) -> Manifest:
    """The manifest of a study with these parameters; ``study=auto`` is named after its content.

    With `machines`, those measure its blocks.
    """
    here = surroundings(root, machines)
    design = DESIGNS[parameters.design]
    plan = design.plan(parameters, len(here.cores.server) if here.cores else 0)
    plan = replace(plan if plan.groups else grouped(plan), on_machines=bool(machines))
    chosen = parameters.as_dict()
    if parameters.study == "auto":
        known = {k: v for k, v in chosen.items() if k not in ("study", "cluster") and (k, v) not in NEW_AT_DEFAULT}
        content = json.dumps([known, written(replace(plan, groups=())), here.identity], sort_keys=True, default=str)
        digest = hashlib.sha256(content.encode()).hexdigest()[:6]
        chosen["study"] = f"{parameters.design}-{parameters.requests}x{parameters.blocks}-{digest}"
    manifest = manifest_of(here, plan, design_name=parameters.design, question=design.question, parameters=chosen)
    given = parameters.blocks != StudyParameters().blocks
    return replace(manifest, pilot=_pilot(plan, parameters.budget_s, blocks_given=given))


def _pilot(plan: StudyPlan, budget_s: float | None, *, blocks_given: bool) -> StoredPilot | None:
    """What the first blocks are to fix; None for a study without a budget, or too small for a pilot."""
    if budget_s is None or plan.blocks <= PILOT_BLOCKS:
        return None
    return StoredPilot(blocks=PILOT_BLOCKS, budget_s=budget_s, blocks_given=blocks_given)


def manifest_of(
    here: Manifest, plan: StudyPlan, *, design_name: str, question: str, parameters: Mapping[str, Json]
) -> Manifest:
    """A manifest; `here` are its :func:`surroundings`, `parameters` hold the study's name and its seed.

    A plan without groups stays as it is: see :func:`grpclab.study.designs.grouping.grouped`.
    """
    return replace(
        here,
        study=parameters["study"],
        design=design_name,
        question=question,
        parameters=parameters,
        seed=parameters["seed"],
        plan=plan,
    )


def manifest_of_file(
    path: Path,
    own: FileDesign,
    name: str | None,
    root: Path,
    *,
    budget_s: float | None = None,
    machines: Sequence[StoredMachine] = (),
) -> Manifest:
    """The manifest of a study that a TOML file describes; its first blocks fit it into `budget_s`.

    With `machines`, those measure its blocks.

    Without a `name` it is called after the file and, where its servers are not ours, after their programs: with others
    it is another study.
    """
    named = name_of_file(path) if name is None else study_name("--study", name)
    servers = servers_of(own.plan, own.subjects)
    name = with_programs(named, servers) if name is None else named
    chosen: dict[str, Json] = {"study": name, "seed": own.seed, "max_trial_s": own.longest_s}
    if own.rate:
        chosen["rate"] = own.rate
    budget = [] if budget_s is None else ["--budget", f"{budget_s:g}"]
    again = shlex.join(["grpclab", "study", "--file", str(path), "--study", name, *budget, *own.options])
    plan = replace(own.plan, on_machines=bool(machines))
    here = surroundings(root, machines)
    manifest = manifest_of(here, plan, design_name="file", question=own.question, parameters=chosen)
    if own.subjects:
        manifest = with_outside(manifest, servers)
    return replace(manifest, again=again, pilot=_pilot(own.plan, budget_s, blocks_given=own.blocks_given))


def surroundings(root: Path, machines: Sequence[StoredMachine] = ()) -> Manifest:
    """A manifest that says where and with what it is measured, and not yet what: here, or on these machines."""
    machine, versions = environment.machine(), environment.versions()
    cores = environment.split_cores(machine.affinity)
    here = Manifest(
        schema_version=SCHEMA_VERSION,
        created_at=now_text(),
        identity=environment.identity(machine, versions),
        machine=machine,
        versions=versions,
        git=environment.git_state(root),
        cores=StoredCores(server=cores.server, generator=cores.generator, shared=cores.shared),
    )
    return on_machines(here, machines) if machines else here


def link_check(plan: StudyPlan) -> dict[str, float]:
    """What the emulated link really does, where the plan uses one that delays: the first of its round trips."""
    if plan.on_machines:
        return {}  # the link of this machine is not the one that is measured
    trips = [rtt for configuration in plan.configurations if (rtt := configuration.config.link.rtt_ms)]
    return check_link(LinkConfig(rtt_ms=trips[0])) if trips else {}


def with_outside(manifest: Manifest, servers: Mapping[str, StoredProgram]) -> Manifest:
    """The manifest with what its plan refers to, as it is now: the programs of its servers, metadata and data files.

    Raises UsageError.
    """
    words = [word for target in manifest.plan.subjects.values() for word in target.metadata]
    return replace(
        manifest, servers=servers, references=references(words), data_files=data_files_of(manifest.plan) or None
    )
