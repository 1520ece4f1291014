"""The run of a study: group after group in the order of its design, what is missing of it, and nothing twice."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from grpclab.analysis.study_plan import StoredCores
from grpclab.errors import GrpclabError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.payloads import PAYLOAD_FOLDER
from grpclab.study.block_steps import BlockSteps, MeasureGroup, sent
from grpclab.study.designs import design
from grpclab.study.documents import read_json, write_json
from grpclab.study.fitting import fitted_blocks, trimmed_plan
from grpclab.study.group_order import identity_of, measure_group, unmeasured, variables_of_group
from grpclab.study.kernel import KERNEL, execute_trial
from grpclab.study.model import Manifest, StoredMachine, StoredPilot, StoredResult
from grpclab.study.program_watch import ProgramWatch
from grpclab.study.remaining import Remaining
from grpclab.study.run_watch import RunWatch
from grpclab.study.store import Store
from grpclab.study.stored_values import read
from grpclab.study.target import Subject, rehearse
from grpclab.study.trial import run_trial
from grpclab.study.trial_folders import GROUP
from grpclab.study.trial_order import variables
from grpclab.study.trial_progress import EncodingProgress, say
from grpclab.study.trial_result import TrialIdentity, TrialResult, now_text
from grpclab.system.environment import CorePlan
from grpclab.system.paths import require_outputs, written_to
from grpclab.system.repository import WORKTREES


class BlockMachines(Protocol):
    """Machines that measure the blocks of a study, each block on one of them."""

    @property
    def stored(self) -> Sequence[StoredMachine]:
        """The machines as a manifest lists them."""

    @property
    def text(self) -> str:
        """The machines in a line."""

    def measure(self, study: MeasuredStudy, steps: BlockSteps, say: Callable[[str], None]) -> None:
        """Measure what is missing, and store it by :meth:`MeasuredStudy.measured`. Raises MeasurementError."""


class StudyInterruptedError(GrpclabError):
    """Ctrl-C, or Jupyter's Interrupt, in the middle of a study."""

    exit_code = 130


class MeasuredStudy:
    """A study's folder and manifest, and the run over its groups."""

    CONTINUES = "the same command"
    note = ""
    """A line that its summary begins with."""
    rehearsed = False
    """Whether its applications have just been started once, by :func:`.server_programs.servers_of`."""

    def __init__(
        self, store: Store, manifest: Manifest, root: Path, subjects: Mapping[str, Subject] | None = None
    ) -> None:
        """`subjects`: those of the manifest's plan, with the secrets that a stored one does not hold."""
        self.store = store
        self.root = root
        self.seed = manifest.seed or 0
        self._take(manifest)
        cores = manifest.cores or StoredCores()
        self._cores = CorePlan(server=cores.server, generator=cores.generator, shared=cores.shared)
        self._given = subjects or {}
        self._programs = ProgramWatch({})
        self.machines: BlockMachines | None = None
        """What measures the blocks, if the plan is `on_machines`; None to measure here."""

    def _take(self, manifest: Manifest) -> None:
        """Go on by this manifest."""
        self.manifest, self.plan = manifest, manifest.plan
        self.groups = design.schedule_groups(self.plan, self.seed)
        self.trials = [trial for group in self.groups for trial in group.trials]

    @functools.cached_property
    def subjects(self) -> dict[str, Subject]:
        """The servers and calls by configuration, where they are not our greeter's."""
        return {name: Subject.of(target) for name, target in self.plan.subjects.items()} | dict(self._given)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.store.name

    @property
    def outputs(self) -> list[Path]:
        """The folders that it writes into."""
        return [self.store.folder, self.root / "reports"]

    def list_machines(self, machines: Sequence[StoredMachine]) -> None:
        """Have the manifest list the machines that measure from now on. Raises DesignError: see `with_machines`."""
        self._take(self.store.list_machines(machines))

    def missing(self) -> list[design.Trial]:
        """The trials not yet there; invalid ones are measured again."""
        results = self.store.results()
        if self.plan.groups:
            remaining = Remaining(self.plan, self.seed, results.values())
            left = {trial.name for trial in remaining.missing(self.plan.blocks)}
            return [trial for trial in self.trials if trial.name in left]
        valid = {name for name, result in results.items() if result.valid}
        return [trial for trial in self.trials if trial.name not in valid]

    def run(self, write: Callable[[str], None] = say) -> None:
        """Execute trial.ipynb for every group that is missing, in the order of the design.

        Raises StudyInterruptedError on Ctrl-C, and MeasurementError where no trial is valid: at the end, and as soon
        as the first few failed alike; StorageError where one of its folders is full or cannot be written to. Everything
        measured so far is stored.
        """
        require_outputs(*self.outputs)
        solved = f"the stored trials are complete; once this is fixed, {self.CONTINUES} resumes from there"
        encoding = PAYLOAD_FOLDER.in_use(EncodingProgress(write))
        with written_to(self.store.folder, solved), self.store.lock(), encoding, WORKTREES.in_use():
            try:
                for name, why in self.store.set_aside().items():
                    write(f"trial {name} is damaged: {why}; moved to {self.store.folder / 'damaged'}")
                missing = self.missing()
                self._programs = ProgramWatch(self.store.results())
                if not self.rehearsed:
                    rehearse(self.subjects, self.plan, [trial.configuration for trial in missing])
                self.rehearsed = False
                stored = len(self.trials) - len(missing)
                watch = RunWatch(
                    self.subjects,
                    total=len(self.trials),
                    stored=stored,
                    valid=len(missing) < len(self.trials),
                    kept=f"the measured trials are in {self.store.folder}: fix the cause, then {self.CONTINUES} "
                    "measures them again",
                    write=write,
                )
                if (pilot := self.manifest.pilot) and not pilot.fixed:
                    for blocks in (1, pilot.blocks):
                        self._measure_missing(blocks, watch)
                        self._trim(pilot, watch)
                    self._fix_blocks(pilot, watch)
                self._measure_missing(self.plan.blocks, watch)
                if missing:
                    watch.require_valid()
            except KeyboardInterrupt:
                done = len(self.trials) - len(self.missing())
                raise StudyInterruptedError(
                    f"stopped: {done} of {len(self.trials)} trials are stored; {self.CONTINUES} resumes from there"
                ) from None
            finally:
                KERNEL.stop()

    def _measure_missing(self, blocks: int, watch: RunWatch) -> None:
        """Measure what is missing of the first blocks, in the order of the design; on machines, several at a time."""
        missing = [trial for trial in self.missing() if trial.block < blocks]
        remaining = Remaining(self.plan, self.seed, self.store.results().values()) if self.plan.groups else None
        groups = [group for group in self.groups if group.block < blocks]
        steps = BlockSteps(groups, missing, remaining, watch)
        if self.machines is not None:
            self.machines.measure(self, steps, watch.say)
            return
        for block in steps.blocks:
            step = steps.of(block)
            group = next(step, None)
            while group is not None:
                results = [self._run_trial(group.trials[0])] if group.number is None else self.measured(group)
                group = sent(step, results)

    def _trim(self, pilot: StoredPilot, watch: RunWatch) -> None:
        """Shorten the plan where a budget would not last for the fewest blocks, by the first one's costs."""
        if self.manifest.pilot == pilot and (
            found := trimmed_plan(self.store, self.plan, pilot, at_once=self._at_once)
        ):
            self._take(self.store.trim(found))
            watch.expect(len(self.trials))
            watch.say(found.reason)

    def _fix_blocks(self, pilot: StoredPilot, watch: RunWatch) -> None:
        """Fix the number of blocks, and where there is a budget the counted time, by the pilot's noise and costs."""
        if found := fitted_blocks(self.store, self.plan, pilot, at_once=self._at_once):
            self._take(self.store.fix_blocks(found))
            watch.expect(len(self.trials))
            for line in (found.reason, *found.lines):
                watch.say(line)

    @property
    def _at_once(self) -> int:
        """The number of blocks that are measured at the same time."""
        return 1 if self.machines is None else len(self.machines.stored)

    def _run_trial(self, trial: design.Trial) -> StoredResult:
        planned = self.plan.configuration(trial.configuration)
        identity = TrialIdentity(
            study=self.name,
            trial=trial.name,
            scenario=planned.scenario,
            configuration=trial.configuration,
            block=trial.block,
            order=trial.order,
        )
        with self.store.writing(trial.name) as folder:
            reason = self.measure(planned.config, identity, folder)
            return self._settled(identity, folder, reason)

    def measured(
        self, group: design.ScheduledGroup, measure: MeasureGroup | None = None, *, machine: str | None = None
    ) -> list[StoredResult]:
        """Measure a group, by default here, and store it whole or not at all; the results of its trials.

        `measure` measures it elsewhere, on the `machine` of that name.
        """
        with self.store.writing_group(group.name, [trial.name for trial in group.trials]) as (folder, folders):
            reason = (measure or self.measure_group)(group, folder, folders)
            identities = [identity_of(group, trial.configuration, self.manifest, machine) for trial in group.trials]
            results = [self._settled(one, folders[one.trial], reason) for one in identities]
            self.accept(results)
            if not (folder / GROUP).exists():
                write_json(folder / GROUP, unmeasured(group, reason))
            return results

    def accept(self, results: Sequence[StoredResult]) -> None:
        """Raise MeasurementError where the results of a group show that the study cannot be measured."""

    def _settled(self, identity: TrialIdentity, folder: Path, reason: str) -> StoredResult:
        """The result in a trial's folder, which is an invalid one if there is a reason, or where none was written."""
        if reason or not (folder / "result.json").exists():
            config = self.plan.configuration(identity.configuration).config
            result = TrialResult(identity=identity, config=config, started_at=now_text())
            result.invalid_reason = reason or "trial.ipynb wrote no result"
            result.write(folder)
        return self._of_its_program(read(StoredResult, read_json(folder / "result.json", inside=folder)), folder)

    def _of_its_program(self, result: StoredResult, folder: Path) -> StoredResult:
        """The result of a trial, which does not count where its server's program changed. Raises DesignError."""
        if not result.valid or not (reason := self._programs.change(result)):
            return result
        document = read_json(folder / "result.json", inside=folder)
        write_json(folder / "result.json", {**document, "valid": False, "invalid_reason": reason})
        return replace(result, valid=False, invalid_reason=reason)

    def measure(self, config: TrialConfig, identity: TrialIdentity, folder: Path) -> str:
        """Measure one trial of a study without groups into `folder`; the reason why that failed, or nothing.

        A trial of our greeter is a notebook. One of another target is not: notebooks would keep the secrets of a call.
        """
        profile = identity.configuration in self.plan.profiled and identity.block < design.blocks_with_profiles(
            self.plan
        )
        if subject := self.subjects.get(identity.configuration):
            known = (self.manifest.servers or {}).get(identity.configuration)
            run_trial(
                config,
                folder,
                cores=self._cores,
                identity=identity,
                profile=profile,
                subject=subject,
                expected=known,
                data_files=self.manifest.data_files,
            )
            return ""
        return execute_trial(folder, variables(config, identity, folder, profile=profile))

    def measure_group(self, group: design.ScheduledGroup, folder: Path, folders: Mapping[str, Path]) -> str:
        """Measure a group: each trial into its folder, by its name, ``group.json`` and the rest into `folder`.

        Returns the reason why that failed, or nothing. Of our greeter it is a notebook; see :meth:`measure`.
        """
        if self.subjects.keys() & set(group.names):
            measure_group(group, folder, folders, manifest=self.manifest, subjects=self.subjects)
            return ""
        return execute_trial(folder, variables_of_group(self.name, group, folder))
