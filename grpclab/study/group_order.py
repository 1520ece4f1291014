"""A group as it is ordered: by a study that measures it here, or as the variables of ``notebooks/trial.ipynb``.

:func:`variables_of_group` writes them for a study, and :class:`GroupOrder` reads them in the notebook's process. The
rest is in the study's manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from grpclab.analysis.study_plan import StoredCores
from grpclab.errors import DesignError, invalid
from grpclab.study.designs.design import ScheduledGroup, blocks_with_profiles, profiled_in, scheduled_group
from grpclab.study.documents import write_json
from grpclab.study.group import run_group
from grpclab.study.group_result import GROUP_SCHEMA_VERSION, GroupMember
from grpclab.study.model import Manifest
from grpclab.study.parameters import plain_values
from grpclab.study.store import Store
from grpclab.study.target import Subject
from grpclab.study.trial_folders import GROUP, MEMBERS, group_name
from grpclab.study.trial_order import TrialOrder, place, scratch_folder, word
from grpclab.study.trial_result import TrialIdentity, TrialResult
from grpclab.system.environment import CorePlan
from grpclab.system.json_fields import Json
from grpclab.system.paths import project_root


def measure_group(
    group: ScheduledGroup,
    folder: Path,
    folders: Mapping[str, Path],
    *,
    manifest: Manifest,
    subjects: Mapping[str, Subject],
    machine: str | None = None,
) -> Mapping[str, TrialResult]:
    """Measure a group of a study: each trial into its folder, by its name, and ``group.json`` into `folder`.

    `subjects` are the servers and calls by configuration, where they are not the greeter's. `machine` is the machine of
    the manifest that this is; without one, the cores are the study's. Returns the trials by configuration.
    """
    places = {one.name: one.cores for one in manifest.machines}
    cores = (manifest.cores if machine is None else places[machine]) or StoredCores()
    members = [
        GroupMember(
            config=manifest.plan.configuration(trial.configuration).config,
            identity=identity_of(group, trial.configuration, manifest, machine),
            folder=folders[trial.name],
            profile=is_profiled(group, trial.configuration, manifest),
            subject=subjects.get(trial.configuration, Subject()),
            expected=(manifest.servers or {}).get(trial.configuration),
            data_files=manifest.data_files,
        )
        for trial in group.trials
    ]
    result = run_group(
        members,
        folder,
        group=group.group,
        cores=CorePlan(server=cores.server, generator=cores.generator, shared=cores.shared),
        seed=manifest.seed or 0,
    )
    write_json(folder / GROUP, result.document())
    return result.trials


def unmeasured(group: ScheduledGroup, reason: str) -> dict[str, Json]:
    """The content of ``group.json`` of a group that could not be measured."""
    members = [{"configuration": trial.configuration, "trial": trial.name} for trial in group.trials]
    return {
        "schema_version": GROUP_SCHEMA_VERSION,
        "block": group.block,
        "group": group.number,
        "hub": group.group.hub,
        "members": members,
        "reasons": [reason] if reason else [],
    }


def identity_of(group: ScheduledGroup, name: str, manifest: Manifest, machine: str | None = None) -> TrialIdentity:
    """Which trial of the study the one of a configuration in a group is, on a machine of a cluster if so."""
    (trial,) = (trial for trial in group.trials if trial.configuration == name)
    return TrialIdentity(
        study=manifest.study,
        trial=trial.name,
        scenario=manifest.plan.configuration(name).scenario,
        configuration=name,
        block=trial.block,
        order=trial.order,
        group=trial.group,
        machine=machine,
    )


def is_profiled(group: ScheduledGroup, name: str, manifest: Manifest) -> bool:
    """Whether a configuration is looked into in a group: in the first blocks, and of several groups in the first."""
    plan = manifest.plan
    if group.number is None or not plan.groups:
        profiled = list(plan.profiled)
    else:
        profiled = profiled_in(plan, group.number % len(plan.groups))
    return name in profiled and group.block < blocks_with_profiles(plan)


# ---- as the variables of a notebook ------------------------------------------------------------------------------


def variables_of_group(study: str, group: ScheduledGroup, folder: Path) -> dict[str, str | int]:
    """The variables of a group that a study asks for."""
    assert group.number is not None
    return {
        "study": study,
        "block": group.block,
        "group": group.number,
        "configuration": ",".join(group.group.members),
        "output_dir": str(folder),
    }


class GroupOrder:
    """A group of a stored study, to be measured once and written into a folder.

    By hand ``study``, ``block`` and ``group`` are enough: it is then written into a folder of its own, and the study
    stays as it is.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        study, block, number = word(given, "study"), place("block", given["block"]), place("group", given["group"])
        chosen = word(given, "output_dir")
        self.folder = Path(chosen or scratch_folder()).resolve()
        self.manifest = self._manifest(study)
        plan = self.manifest.plan
        if not plan.groups:
            raise DesignError(invalid("group", number, f"-1: the study {study} has no groups"))
        names = [name for name in word(given, "configuration").split(",") if name]
        if unknown := [name for name in names if name not in plan.names]:
            raise DesignError(invalid("configuration", unknown[0], f"configurations of the study {study}"))
        self.group = scheduled_group(plan, block, number, self.manifest.seed or 0, names or None)
        self.name = group_name(block, number)
        self.folders = {trial.name: self.folder / MEMBERS / trial.name for trial in self.group.trials}
        self.results: Mapping[str, TrialResult] = {}

    def _manifest(self, study: str) -> Manifest:
        """The manifest of the study: that around the folder, or that of the project's."""
        for folder in (self.folder.parent.parent, project_root() / "results" / study):
            if folder.name == study and (manifest := Store(folder).manifest()):
                return manifest
        raise DesignError(invalid("study", study, "a study under results/"))

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, Any]) -> Self:
        """Out of the notebook's variables. Raises DesignError, shown in one line."""
        return cls(plain_values(namespace, TrialOrder.NAMES))

    def run(self) -> Any:
        """Measure and write; returns what the cell shows."""
        for folder in self.folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        subjects = {name: Subject.of(target) for name, target in self.manifest.plan.subjects.items()}
        self.results = measure_group(self.group, self.folder, self.folders, manifest=self.manifest, subjects=subjects)
        return self.shown(self.results)

    def shown(self, results: Mapping[str, TrialResult]) -> Any:
        """The view that the measuring cell shows: the results themselves, unless a notebook has one of its own."""
        return results
