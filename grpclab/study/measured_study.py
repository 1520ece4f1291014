"""The run of a study: group after group in the order of its design, what is missing of it, and nothing twice."""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from grpclab.analysis.study_plan import StoredCores
from grpclab.errors import GrpclabError, MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.load.calls.payloads import PAYLOAD_FOLDER
from grpclab.study import collection, profile_window
from grpclab.study.block_count import by_noise
from grpclab.study.designs import design
from grpclab.study.documents import read_json, write_json
from grpclab.study.group_order import identity_of, measure_group, unmeasured, variables_of_group
from grpclab.study.kernel import KERNEL, execute_trial
from grpclab.study.model import Manifest, StoredPilot, StoredResult
from grpclab.study.program_watch import ProgramWatch
from grpclab.study.remaining import Remaining
from grpclab.study.store import Store
from grpclab.study.stored_groups import noise_of_slices
from grpclab.study.stored_values import read
from grpclab.study.target import Subject, rehearse
from grpclab.study.trial import run_trial
from grpclab.study.trial_folders import GROUP
from grpclab.study.trial_order import variables
from grpclab.study.trial_progress import EncodingProgress, Failing, Progress, say
from grpclab.study.trial_result import TrialIdentity, TrialResult, now_text
from grpclab.study.wall_budget import GroupTimes, trimmed, within_budget
from grpclab.system.environment import CorePlan
from grpclab.system.paths import require_outputs, written_to
from grpclab.system.repository import WORKTREES

BESIDE_GROUP_S = 0.5
"""Rough cost of a group beside its measurement: its notebook, what is written."""
TRIES = 2
"""So often a group is measured in a run, the second time with its invalid members only."""


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
        self._left_out: set[str] = set()

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
                progress = Progress(total=len(self.trials), stored=stored, write=write)
                failing = Failing(valid=len(missing) < len(self.trials))
                if (pilot := self.manifest.pilot) and not pilot.fixed:
                    for blocks in (1, pilot.blocks):
                        self._measure_missing(blocks, progress, failing)
                        self._trim(pilot, progress)
                    self._fix_blocks(pilot, progress)
                self._measure_missing(self.plan.blocks, progress, failing)
                if missing and not failing.valid:
                    raise MeasurementError(f"{failing.summary(len(self.trials))}; {self._kept()}")
            except KeyboardInterrupt:
                done = len(self.trials) - len(self.missing())
                raise StudyInterruptedError(
                    f"stopped: {done} of {len(self.trials)} trials are stored; {self.CONTINUES} resumes from there"
                ) from None
            finally:
                KERNEL.stop()

    def _measure_missing(self, blocks: int, progress: Progress, failing: Failing) -> None:
        """Measure what is missing of the first blocks: groups that have missing trials; without groups, those."""
        missing = [trial for trial in self.missing() if trial.block < blocks]
        names = {trial.name for trial in missing}
        left = {(trial.block, trial.group, trial.configuration) for trial in missing}
        remaining = Remaining(self.plan, self.seed, self.store.results().values()) if self.plan.groups else None
        for scheduled in [group for group in self.groups if group.block < blocks]:
            if remaining is None:
                (trial,) = scheduled.trials
                if trial.name in names:
                    self._require_allowance(scheduled)
                    self._finished([self._run_trial(trial)], progress, failing)
                continue
            assert scheduled.number is not None
            tries = TRIES
            while tries > 0 and (group := remaining.next(scheduled.block, scheduled.number)):
                self._require_allowance(group)
                results = self._run_group(group)
                places = {trial.name: (group.block, scheduled.number, trial.configuration) for trial in group.trials}
                self._finished(results, progress, failing, again={name for name in places if places[name] not in left})
                left.difference_update(places.values())
                tries -= 1 if group.number == scheduled.number else TRIES
                if all(result.valid or remaining.failed_before(result) for result in results) or not failing.valid:
                    tries = 0
                for result in results:
                    remaining.add(result)
            for name, why in remaining.left_out(scheduled.block + 1).items():
                self._say_left_out(name, why, progress)

    def _require_allowance(self, group: design.ScheduledGroup) -> None:
        """Raise MeasurementError where nothing more may be sent to one of its servers."""
        for name in group.names:
            if reason := self.subjects.get(name, Subject()).over:
                raise MeasurementError(reason)

    def _trim(self, pilot: StoredPilot, progress: Progress) -> None:
        """Shorten the plan where a budget would not last for the fewest blocks, by the first one's costs."""
        trials = collection.frame(self.store.results().values())
        known = pilot.reason or self.manifest.pilot != pilot
        if known or pilot.budget_s is None or trials.empty or trials["block"].nunique() > 1:
            return
        if found := trimmed(trials, self.plan, self._group_times(1), pilot.budget_s):
            self._take(self.store.trim(found))
            progress.expect(len(self.trials))
            progress.say(found.reason)

    def _group_times(self, blocks: int) -> GroupTimes:
        return GroupTimes.of(
            self.plan,
            self.store.seconds_of_groups(blocks),
            beside_s=BESIDE_GROUP_S,
            profile_s=profile_window.length_s(),
        )

    def _fix_blocks(self, pilot: StoredPilot, progress: Progress) -> None:
        """Fix the number of blocks, and where there is a budget the counted time, by the pilot's noise and costs."""
        trials = collection.frame(self.store.results().values())
        trials = trials[trials["block"] < pilot.blocks]
        if not trials["valid"].any():
            return
        times = self._group_times(pilot.blocks)
        if pilot.budget_s is None:
            found = by_noise(trials, self.plan, times.block_s(range(len(self.plan.groups))))
        else:
            given = self.plan.blocks if pilot.blocks_given else None
            slices_sd = noise_of_slices(self.store.folder, self.plan.headline)
            found = within_budget(trials, self.plan, times, pilot.budget_s, blocks=given, slices_sd=slices_sd)
        self._take(self.store.fix_blocks(found))
        progress.expect(len(self.trials))
        for line in (found.reason, *found.lines):
            progress.say(line)

    def _finished(
        self, results: Sequence[StoredResult], progress: Progress, failing: Failing, *, again: Container[str] = ()
    ) -> None:
        """Tell of trials that were measured together. Raises MeasurementError where all have failed alike so far."""
        progress.finished_together({result.trial: result for result in results}, again=again)
        enough = [failing.enough(result) for result in results]
        if any(enough) and not failing.valid:
            raise MeasurementError(f"stopped: {failing.summary(len(self.trials))}; {self._kept()}")

    def _say_left_out(self, name: str, why: str, progress: Progress) -> None:
        if name not in self._left_out:
            progress.say(f"{name} is left out of the remaining blocks, since it was invalid in its first two: {why}")
            self._left_out.add(name)

    def _kept(self) -> str:
        return (
            f"the measured trials are in {self.store.folder}: fix the cause, then {self.CONTINUES} measures them again"
        )

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

    def _run_group(self, group: design.ScheduledGroup) -> list[StoredResult]:
        with self.store.writing_group(group.name, [trial.name for trial in group.trials]) as (folder, folders):
            reason = self.measure_group(group, folder, folders)
            results = [
                self._settled(identity_of(group, trial.configuration, self.manifest), folders[trial.name], reason)
                for trial in group.trials
            ]
            if not (folder / GROUP).exists():
                write_json(folder / GROUP, unmeasured(group, reason))
            return results

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
