"""The study of two sides: its plan, its manifest, and trials that need no notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from grpclab.analysis.study_plan import PlannedHeadline, StoredProgram, StudyPlan
from grpclab.errors import MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.study.designs.design import ScheduledGroup
from grpclab.study.group_order import measure_group
from grpclab.study.manifests import manifest_of, with_outside
from grpclab.study.model import Manifest, StoredPilot, StoredResult
from grpclab.study.runner import Study
from grpclab.study.sides import A, B
from grpclab.study.store import Store
from grpclab.study.target import Subject
from grpclab.study.trial import run_trial
from grpclab.study.trial_progress import say
from grpclab.study.trial_result import TrialIdentity


class ComparingStudy(Study):
    """A study of two sides, whose trials need no notebook."""

    def __init__(
        self, store: Store, manifest: Manifest, root: Path, subjects: Mapping[str, Subject] | None = None
    ) -> None:
        """`subjects`: those of the manifest, with the secrets that it does not hold."""
        super().__init__(store, manifest, root, subjects)
        if manifest.repeats is None:  # a repeat finds its folder again by itself
            self.CONTINUES = f"the same command with --study {self.name}"
        timeout = manifest.parameters.get("start_timeout_s")
        self.subjects = {name: subject.started_within(timeout) for name, subject in self.subjects.items()}
        self._measured: set[str] = set()
        self.fresh = False
        """Whether its folder is new: one that holds nothing is then removed again."""

    @property
    def heading(self) -> str:
        """How many blocks are measured, as far as that is known, and where they are stored."""
        pilot = self.manifest.pilot
        blocks = "blocks" if pilot and not pilot.fixed else f"{self.plan.blocks} blocks"
        return f"{blocks} of {len(self.plan.configurations)} trials each, stored in results/{self.name}:"

    @property
    def outputs(self) -> list[Path]:
        """Its folder; only a repeat writes a report of its own accord."""
        return [self.store.folder] if self.manifest.repeats is None else super().outputs

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
        expected = (self.manifest.servers or {}).get(side)
        subject = self.subjects[side]
        result = run_trial(
            config,
            folder,
            cores=self._cores,
            identity=identity,
            subject=subject,
            expected=expected,
            data_files=self.manifest.data_files,
        )
        if not result.valid and side not in self._measured:
            raise MeasurementError(f"{side.upper()} could not be measured: {result.invalid_reason}")
        self._measured.add(side)
        return ""

    def measure_group(self, group: ScheduledGroup, folder: Path, folders: Mapping[str, Path]) -> str:
        """Measure a group here."""
        measure_group(group, folder, folders, manifest=self.manifest, subjects=self.subjects)
        return ""

    def accept(self, results: Sequence[StoredResult]) -> None:
        """Raise MeasurementError if the first trial of a side is invalid."""
        for result in results:
            side = result.configuration
            if not result.valid and side not in self._measured:
                raise MeasurementError(f"{side.upper()} could not be measured: {result.invalid_reason}")
        self._measured.update(result.configuration for result in results if result.valid)


def comparison_manifest(
    here: Manifest,
    plan_: StudyPlan,
    *,
    name: str,
    seed: int,
    start_timeout_s: float | None,
    servers: Mapping[str, StoredProgram] | None = None,
    pilot: StoredPilot | None = None,
) -> Manifest:
    """The manifest of a comparison that is measured here; `servers` are the programs behind its sides."""
    parameters = {"study": name, "blocks": plan_.blocks, "seed": seed, "start_timeout_s": start_timeout_s}
    compared = plan_.headline or PlannedHeadline()
    question = f"Is {compared.candidate_label or B} faster than {compared.baseline_label or A}?"
    manifest = manifest_of(here, plan_, design_name="compare", question=question, parameters=parameters)
    return replace(with_outside(manifest, servers or {}), pilot=pilot)
