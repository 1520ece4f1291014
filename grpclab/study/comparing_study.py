"""The study of two sides: its plan, its manifest, and trials that need no notebook."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

from grpclab.analysis.study_plan import StoredCores, StoredFile, StoredProgram, StudyPlan
from grpclab.errors import MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.metadata import references
from grpclab.servers.process import program
from grpclab.study.manifests import manifest_of
from grpclab.study.model import Manifest
from grpclab.study.runner import Study
from grpclab.study.sides import A, B
from grpclab.study.store import Store
from grpclab.study.target import Subject
from grpclab.study.trial import run_trial
from grpclab.study.trial_progress import say
from grpclab.study.trial_result import TrialIdentity
from grpclab.system.environment import CorePlan


def servers_of(plan: StudyPlan) -> dict[str, StoredProgram]:
    """The commands of a plan with the files they run, by configuration."""
    commands = {name: target.command for name, target in plan.subjects.items()}
    return {name: _program(command) for name, command in commands.items() if command}


def _program(command: str) -> StoredProgram:
    files = program.files_of(shlex.split(command))
    return StoredProgram(command=command, files=tuple(StoredFile(**vars(file)) for file in files))


def references_of(plan: StudyPlan) -> dict[str, str]:
    """What the references in the metadata of a plan stand for now. Raises UsageError."""
    return references([word for target in plan.subjects.values() for word in target.metadata])


class ComparingStudy(Study):
    """A study of two sides, whose trials need no notebook."""

    def __init__(
        self, store: Store, manifest: Manifest, root: Path, subjects: Mapping[str, Subject] | None = None
    ) -> None:
        """`subjects`: those of the manifest, with the secrets that it does not hold."""
        super().__init__(store, manifest, root)
        if manifest.repeats is None:  # a repeat finds its folder again by itself
            self.CONTINUES = f"the same command with --study {self.name}"
        cores = manifest.cores or StoredCores()
        self._cores = CorePlan(server=cores.server, generator=cores.generator, shared=cores.shared)
        timeout = manifest.parameters.get("start_timeout_s")
        stored = {name: Subject.of(target) for name, target in self.plan.subjects.items()}
        self._subjects = {
            name: subject.started_within(timeout) for name, subject in {**stored, **(subjects or {})}.items()
        }
        self._measured: set[str] = set()
        self.fresh = False
        """Whether its folder is new: one that holds nothing is then removed again."""

    @property
    def outputs(self) -> list[Path]:
        """Its folder; only a repeat writes a report of its own accord."""
        return [self.store.folder] if self.manifest.repeats is None else super().outputs

    def begin(self) -> Self:
        """As :meth:`Study.begin`; the folder's manifest holds no secrets, this study still does."""
        begun = super().begin()
        return type(self)(begun.store, begun.manifest, begun.root, self._subjects)

    def run(self, write: Callable[[str], None] = say) -> None:
        """As :meth:`Study.run`; a new folder goes again where nothing could be measured."""
        try:
            super().run(write)
        except BaseException:
            if self.fresh and not self.store.results():
                self.store.discard()
            raise

    def measure(self, config: TrialConfig, identity: TrialIdentity, folder: Path) -> str:
        """Measure one trial into `folder`. Raises MeasurementError if the first of a side is invalid."""
        side = identity.configuration
        result = run_trial(config, folder, cores=self._cores, identity=identity, subject=self._subjects[side])
        if not result.valid and side not in self._measured:
            raise MeasurementError(f"{side.upper()} cannot be measured: {result.invalid_reason}")
        self._measured.add(side)
        return ""


def comparison_manifest(
    here: Manifest, plan_: StudyPlan, *, name: str, seed: int, start_timeout_s: float | None
) -> Manifest:
    """The manifest of a comparison that is measured here."""
    parameters = {"study": name, "blocks": plan_.blocks, "seed": seed, "start_timeout_s": start_timeout_s}
    question = f"Is {plan_.configuration(B).title} faster than {plan_.configuration(A).title}?"
    manifest = manifest_of(here, plan_, design_name="compare", question=question, parameters=parameters)
    return replace(manifest, servers=servers_of(plan_), references=references_of(plan_))
