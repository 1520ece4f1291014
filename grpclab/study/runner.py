"""The engine room of a study, for ``notebooks/sweep.ipynb`` and ``grpclab study`` alike.

::

    study = Study.prepare(StudyParameters(requests=2500))
    study.run()                  # executes trial.ipynb for every trial that is missing
    trials = study.collect()     # trials.parquet
    judgement = study.judge()    # verdict.json
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Self

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import Judgement, analyse
from grpclab.analysis.study_plan import StoredCores
from grpclab.errors import DesignError, GrpclabError, MeasurementError
from grpclab.factors.config import TrialConfig
from grpclab.factors.effective import unknown_factors
from grpclab.load.calls.payloads import PAYLOAD_FOLDER
from grpclab.servers.leave import RemoteLeave
from grpclab.study import collection
from grpclab.study.collection import Artifacts, Evaluation
from grpclab.study.designs import design, file_design
from grpclab.study.documents import read_json, write_json
from grpclab.study.kernel import KERNEL, execute_trial
from grpclab.study.manifests import link_check, manifest_for, manifest_of_file
from grpclab.study.model import Manifest, StoredResult
from grpclab.study.parameters import StudyParameters
from grpclab.study.program_watch import ProgramWatch
from grpclab.study.store import Store
from grpclab.study.stored_values import read
from grpclab.study.target import Subject, rehearse
from grpclab.study.trial import run_trial
from grpclab.study.trial_order import variables
from grpclab.study.trial_progress import Failing, Progress, say
from grpclab.study.trial_result import TrialIdentity, TrialResult, now_text
from grpclab.system.environment import CorePlan
from grpclab.system.paths import project_root, require_outputs, written_to
from grpclab.text.printable import printable

SECONDS_BESIDE_WINDOW = 2.0
"""Rough cost of a trial beside its window: server start, warm-up, notebook. For the first estimate only."""


class StudyInterruptedError(GrpclabError):
    """Ctrl-C, or Jupyter's Interrupt, in the middle of a study."""

    exit_code = 130


class Study:
    """One study: its folder, its manifest, its trials."""

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
        self.manifest = manifest
        self.root = root
        self.plan = manifest.plan
        self.seed = manifest.seed or 0
        self.trials = design.schedule(self.plan.names, blocks=self.plan.blocks, seed=self.seed)
        cores = manifest.cores or StoredCores()
        self._cores = CorePlan(server=cores.server, generator=cores.generator, shared=cores.shared)
        self._given = subjects or {}
        self._programs = ProgramWatch({})

    @functools.cached_property
    def subjects(self) -> dict[str, Subject]:
        """The servers and calls by configuration, where they are not our greeter's."""
        return {name: Subject.of(target) for name, target in self.plan.subjects.items()} | dict(self._given)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.store.name

    @classmethod
    def prepare(cls, parameters: StudyParameters, root: Path | None = None) -> Study:
        """Plan the study, and begin its folder or go on with the one that is there. Raises DesignError."""
        root = root or project_root()
        manifest = manifest_for(parameters, root)
        return cls(Store(root / "results" / manifest.study), manifest, root).begin()

    @classmethod
    def described(
        cls, path: Path, name: str | None = None, root: Path | None = None, *, leave: RemoteLeave | None = None
    ) -> Study:
        """The study that a TOML file describes, without beginning its folder.

        Without a `name` it is called after the file and the programs of its servers. `leave`: its server may run on
        another machine. Raises DesignError.
        """
        root = root or project_root()
        own = file_design.read(path, leave)
        manifest = manifest_of_file(path, own, name, root)
        study = cls(Store(root / "results" / manifest.study), manifest, root, own.subjects)
        study.note, study.rehearsed = own.note, True
        return study

    def begin(self) -> Self:
        """Begin the folder of a study that is only planned so far, or go on with it. Raises DesignError."""
        manifest = self.manifest
        if self.store.manifest() is None:
            require_outputs(*self.outputs)
            manifest = replace(manifest, link_check=link_check(self.plan))
        begun = type(self)(self.store, self.store.open(manifest), self.root, self.subjects)
        begun.note, begun.rehearsed = self.note, self.rehearsed
        return begun

    @classmethod
    def planned(cls, parameters: StudyParameters, root: Path | None = None) -> Study:
        """The study as it would be, without beginning its folder. Raises DesignError."""
        root = root or project_root()
        manifest = manifest_for(parameters, root)
        return cls(Store(root / "results" / manifest.study), manifest, root)

    @classmethod
    def stored(cls, folder: Path) -> Study:
        """A study as it lies in ``results/<study>``. Raises DesignError if there is none."""
        store = Store(folder.resolve())
        manifest = store.manifest()
        if manifest is None:
            raise DesignError(f"no study in {folder}: there is no manifest.json")
        return cls(store, manifest, store.folder.parent.parent)

    @property
    def outputs(self) -> list[Path]:
        """The folders that it writes into."""
        return [self.store.folder, self.root / "reports"]

    def missing(self) -> list[design.Trial]:
        """The trials not yet there; invalid ones are measured again."""
        valid = {name for name, result in self.store.results().items() if result.valid}
        return [trial for trial in self.trials if trial.name not in valid]

    def summary(self) -> str:
        """The design in a few lines."""
        missing = self.missing()
        length = self.manifest.parameters["max_trial_s"] * 0.7 + SECONDS_BESIDE_WINDOW
        lines = [
            *([self.note] if self.note else []),
            f"study {self.name}: {len(self.plan.configurations)} configurations x {self.plan.blocks} blocks"
            f" = {len(self.trials)} trials, order drawn from seed {self.seed}",
        ]
        if len(missing) < len(self.trials):
            lines.append(f"{len(self.trials) - len(missing)} trials are stored already, {len(missing)} are missing")
        if missing:
            lines.append(f"about {qty.rough_duration(len(missing) * length)} to go; Ctrl-C (Interrupt) loses nothing")
        if warning := design.no_verdict(self.plan.blocks):
            lines.append(warning)
        return "\n".join(lines)

    def run(self, write: Callable[[str], None] = say) -> None:
        """Execute trial.ipynb for every trial that is missing, in the order of the design.

        Raises StudyInterruptedError on Ctrl-C, and MeasurementError where no trial is valid: at the end, and as soon
        as the first few failed alike; StorageError where one of its folders is full or cannot be written to. Everything
        measured so far is stored.
        """
        require_outputs(*self.outputs)
        solved = f"the stored trials are complete; once that is solved, {self.CONTINUES} continues there"
        with written_to(self.store.folder, solved), self.store.lock(), PAYLOAD_FOLDER.in_use():
            try:
                for name, why in self.store.set_aside().items():
                    write(f"trial {name} is damaged: {why}; set aside in {self.store.folder / 'damaged'}")
                missing = self.missing()
                self._programs = ProgramWatch(self.store.results())
                if not self.rehearsed:
                    rehearse(self.subjects, self.plan, [trial.configuration for trial in missing])
                self.rehearsed = False
                progress = Progress(total=len(self.trials), stored=len(self.trials) - len(missing), write=write)
                failing = Failing(valid=len(missing) < len(self.trials))
                for trial in missing:
                    if reason := self.subjects.get(trial.configuration, Subject()).over:
                        raise MeasurementError(reason)
                    result = self._run_trial(trial)
                    progress.finished(trial.name, result)
                    if failing.enough(result):
                        raise MeasurementError(f"stopped: {failing.summary(len(self.trials))}; {self._kept()}")
                if missing and not failing.valid:
                    raise MeasurementError(f"{failing.summary(len(self.trials))}; {self._kept()}")
            except KeyboardInterrupt:
                done = len(self.trials) - len(self.missing())
                raise StudyInterruptedError(
                    f"stopped: {done} of {len(self.trials)} trials are stored; {self.CONTINUES} continues there"
                ) from None
            finally:
                KERNEL.stop()

    def _kept(self) -> str:
        return f"what was measured is in {self.store.folder}: fix the cause, and {self.CONTINUES} measures them again"

    def _run_trial(self, trial: design.Trial) -> StoredResult:
        planned = self.plan.configuration(trial.configuration)
        config = planned.config
        identity = TrialIdentity(
            study=self.name,
            trial=trial.name,
            scenario=planned.scenario,
            configuration=trial.configuration,
            block=trial.block,
            order=trial.order,
        )
        with self.store.writing(trial.name) as folder:
            reason = self.measure(config, identity, folder)
            if reason or not (folder / "result.json").exists():
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
        """Measure one trial into `folder`; the reason why that failed, or nothing.

        A trial of our greeter is a notebook. One of another target is not: notebooks would keep the secrets of a call.
        """
        profiled_blocks = self.plan.blocks if self.plan.profiled_blocks is None else self.plan.profiled_blocks
        profile = identity.configuration in self.plan.profiled and identity.block < profiled_blocks
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

    def collect(self, *, allow_mixed: bool = False) -> pd.DataFrame:
        """Every stored trial as one tidy frame; writes trials.parquet.

        Raises DesignError if some were measured on another machine or with other versions than the study, unless
        `allow_mixed`: then :meth:`judge` warns of it.
        """
        trials = self._without_unknown(collection.frame(self.store.results().values()))
        if (mixed := collection.mixed(trials, self.manifest.identity)) and not allow_mixed:
            raise DesignError(
                f"{self.store.folder} holds trials that were {mixed}: remove their folders, or add --allow-mixed"
            )
        if len(trials):
            with written_to(self.store.folder):
                self.store.write_frame(trials)
        return trials

    def _without_unknown(self, trials: pd.DataFrame) -> pd.DataFrame:
        """Nothing in the place of factors that do not describe a command's server: an earlier version stored ours."""
        for configuration in self.plan.configurations:
            target = self.plan.subjects.get(configuration.name)
            for name in unknown_factors(target, configuration.settings) & set(trials.columns):
                trials[name] = trials[name].astype(object).mask(trials["configuration"].eq(configuration.name), None)
        return trials

    def damaged_warning(self) -> str:
        """Which stored trials are damaged, in words; "" for none."""
        damaged = self.store.damaged()
        if not damaged:
            return ""
        trials = "1 trial is" if len(damaged) == 1 else f"{len(damaged):,} trials are"
        name, why = next(iter(damaged.items()))
        return (
            f"damaged: of {self.name} {trials} left out, such as {printable(name, 100)}: {why}; the command that began"
            " the study sets it aside and measures it again"
        )

    def evaluate(self, *, allow_mixed: bool = False) -> Evaluation:
        """Everything that a report shows of the study; writes trials.parquet and verdict.json.

        Raises MeasurementError if it holds no trial yet, DesignError as :meth:`collect` does.
        """
        trials = self.collect(allow_mixed=allow_mixed)
        if trials.empty:
            raise MeasurementError(self.damaged_warning() or f"study {self.name} holds no trial yet: run it first")
        return Evaluation(trials=trials, judgement=self.judge(trials), artifacts=self.artifacts(trials))

    def artifacts(self, trials: pd.DataFrame) -> Artifacts:
        """What a report shows of single trials beside their frame."""
        folder, results = self.store.trials_folder, self.store.results()
        return Artifacts(
            profiles=collection.profiles(folder, self.plan.profiled, trials),
            histograms=collection.histograms(results, self.plan.names, trials),
            details=collection.details(folder, results),
        )

    def judge(self, trials: pd.DataFrame | None = None) -> Judgement:
        """What the trials say; writes verdict.json."""
        trials = self.collect() if trials is None else trials
        judgement = analyse(trials, self.plan, self.manifest.cores)
        if mixed := collection.mixed(trials, self.manifest.identity):
            judgement = replace(
                judgement,
                sentence=f"{judgement.sentence} But it mixes machines or versions: see the warnings.",
                warnings=(f"mixed: trials were {mixed}", *judgement.warnings),
            )
        if damaged := self.damaged_warning():
            judgement = replace(judgement, warnings=(damaged, *judgement.warnings))
        with written_to(self.store.folder):
            write_json(self.store.folder / "verdict.json", judgement.as_dict())
        return judgement
