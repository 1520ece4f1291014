"""The engine room of a study, for ``notebooks/sweep.ipynb`` and ``grpclab study`` alike.

::

    study = Study.prepare(StudyParameters(requests=2500))
    study.run()                  # executes trial.ipynb for every group that is missing
    trials = study.collect()     # trials.parquet
    judgement = study.judge()    # verdict.json
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import Judgement, analyse
from grpclab.errors import DesignError, MeasurementError
from grpclab.factors.effective import unknown_factors
from grpclab.servers.leave import RemoteLeave
from grpclab.study import collection
from grpclab.study.carried import require_carriable
from grpclab.study.collection import Artifacts, Evaluation
from grpclab.study.designs import design, file_design
from grpclab.study.designs.grouping import group_s
from grpclab.study.documents import write_json
from grpclab.study.manifests import link_check, manifest_for, manifest_of_file
from grpclab.study.measured_study import BlockMachines, MeasuredStudy
from grpclab.study.parameters import AUTO, NO_BUDGET, StudyParameters
from grpclab.study.rates import rate_of_file, with_rate
from grpclab.study.remaining import Remaining
from grpclab.study.store import Store
from grpclab.system.paths import project_root, require_outputs, written_to
from grpclab.text.printable import printable

SECONDS_BESIDE_WINDOW = 2.0
"""Rough cost of a trial beside its window: server start, warm-up, notebook. For the first estimate only."""


class Study(MeasuredStudy):
    """A study: its folder, its manifest, its trials."""

    @classmethod
    def prepare(
        cls, parameters: StudyParameters, root: Path | None = None, *, machines: BlockMachines | None = None
    ) -> Study:
        """Plan the study, and create its folder or resume the one that exists. With `machines`, those of a cluster
        measure its blocks.

        Raises DesignError, and MeasurementError if a rate that the plan depends on cannot be measured.
        """
        return cls.planned(parameters, root, machines=machines).begin()

    @classmethod
    def described(
        cls,
        path: Path,
        name: str | None = None,
        root: Path | None = None,
        *,
        leave: RemoteLeave | None = None,
        budget_s: float | None = None,
        own_budget: bool = False,
        exclusive: bool = False,
        machines: BlockMachines | None = None,
    ) -> Study:
        """The study that a TOML file describes, without creating its folder.

        Without a `name`, the name is made from the file and the programs of its servers. `leave` permits its server to
        run on another machine. With `budget_s`, or `own_budget` and a file whose design has one, the first blocks
        adjust the counted time and the number of blocks to that many seconds. `exclusive` measures its servers one
        after the other. With `machines`, those of a cluster measure its blocks. Raises DesignError.
        """
        root = root or project_root()
        budget = AUTO if own_budget else NO_BUDGET if budget_s is None else f"{budget_s:g}"
        own = file_design.read(path, leave, exclusive=exclusive, budget=budget)
        if machines is not None:
            require_carriable(own.plan, own.subjects)
        budget_s = own.budget_s if own_budget else budget_s
        stored = machines.stored if machines else ()
        manifest = manifest_of_file(path, own, name, root, budget_s=budget_s, machines=stored)
        if own.at_rate is not None and not machines:
            own = own.at_rate(rate_of_file(own, root / "results" / manifest.study))
            manifest = manifest_of_file(path, own, manifest.study, root, budget_s=budget_s)
        study = cls(Store(root / "results" / manifest.study), manifest, root, own.subjects)
        study.note, study.rehearsed = own.note, True
        return study.on(machines)

    def on(self, machines: BlockMachines | None) -> Self:
        """Have machines of a cluster measure the blocks, or this one; returns the study."""
        self.machines = machines
        return self

    def begin(self) -> Self:
        """Create the folder of a planned study, or resume the study. Raises DesignError."""
        manifest, note = self.manifest, self.note
        if (stored := self.store.manifest()) is None:
            require_outputs(*self.outputs)
            manifest = replace(manifest, link_check=link_check(self.plan))
        elif manifest.design == "file":
            if manifest.pilot and (before := stored.pilot and stored.pilot.budget_s) != manifest.pilot.budget_s:
                what = f"a budget of {qty.rough_duration(before)}" if before else "no budget"
                note = "\n".join(filter(None, (note, f"this study was started with {what}, which still applies")))
            manifest = replace(manifest, pilot=stored.pilot)
        begun = type(self)(self.store, self.store.open(manifest), self.root, self.subjects)
        begun.note, begun.rehearsed = note, self.rehearsed
        return begun.on(self.machines)

    @classmethod
    def planned(
        cls, parameters: StudyParameters, root: Path | None = None, *, machines: BlockMachines | None = None
    ) -> Study:
        """The study as it would be run, without creating its folder. Raises the errors of :meth:`prepare`."""
        root = root or project_root()
        stored = machines.stored if machines else ()
        manifest = manifest_for(parameters, root, stored)
        chosen = with_rate(parameters, root / "results" / manifest.study, measure=not stored)
        if chosen != parameters:
            manifest = manifest_for(replace(chosen, study=manifest.study), root, stored)
        return cls(Store(root / "results" / manifest.study), manifest, root).on(machines)

    @classmethod
    def stored(cls, folder: Path) -> Study:
        """The study stored in ``results/<study>``. Raises DesignError if there is none."""
        store = Store(folder.resolve())
        manifest = store.manifest()
        if manifest is None:
            raise DesignError(f"no study in {folder}: there is no manifest.json")
        return cls(store, manifest, store.folder.parent.parent)

    def summary(self) -> str:
        """The design in a few lines."""
        missing, plan = self.missing(), self.plan
        groups = f" in {qty.count(len(plan.groups), 'group')}" if plan.groups else ""
        lines = [
            *([self.note] if self.note else []),
            f"study {self.name}: {len(plan.configurations)} configurations{groups} × {plan.blocks} blocks = "
            f"{len(self.trials)} trials, order drawn from seed {self.seed}",
            *(plan.left_out or ()),
            *([self.machines.text] if self.machines else []),
        ]
        pilot = self.manifest.pilot
        if pilot and pilot.budget_s is not None:
            within = f"a budget of {qty.rough_duration(pilot.budget_s)}"
            lines.append(
                pilot.reason
                or f"the first {pilot.blocks} blocks determine the counted time and the number of blocks for {within}"
            )
        if len(missing) < len(self.trials):
            lines.append(
                f"{len(self.trials) - len(missing)} trials are already stored, and {len(missing)} remain to be measured"
            )
        if missing:
            seconds = self._seconds_of(missing) / self._at_once
            if pilot and pilot.budget_s is not None and not pilot.fixed:  # what does not fit will be shortened
                seconds = min(seconds, pilot.budget_s)
            to_go = qty.rough_duration(seconds)
            lines.append(f"about {to_go} to go; Ctrl-C (Interrupt) keeps all finished trials")
        if warning := design.no_verdict(self.plan.blocks):
            lines.append(warning)
        return "\n".join(lines)

    def _seconds_of(self, trials: Sequence[design.Trial]) -> float:
        """What it takes to measure so many trials, for a first estimate."""
        if self.plan.groups:
            return sum(group_s(self.plan, self.plan.groups[at]) for _, at in {(t.block, t.group or 0) for t in trials})
        return len(trials) * (float(self.manifest.parameters["max_trial_s"]) * 0.7 + SECONDS_BESIDE_WINDOW)

    def collect(self, *, allow_mixed: bool = False) -> pd.DataFrame:
        """All stored trials as one tidy frame; writes trials.parquet.

        Raises DesignError if some were measured on another machine or with other versions than the study, unless
        `allow_mixed` is set: then :meth:`judge` warns about it.
        """
        trials = self._without_unknown(collection.frame(self.store.results().values()))
        if (mixed := collection.mixed(trials, self.manifest)) and not allow_mixed:
            raise DesignError(
                f"{self.store.folder} has trials that were {mixed}: remove their folders, or add --allow-mixed"
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
        """A sentence on the stored trials that are damaged; "" if there are none."""
        damaged = self.store.damaged()
        if not damaged:
            return ""
        trials = "1 trial is" if len(damaged) == 1 else f"{len(damaged):,} trials are"
        name, why = next(iter(damaged.items()))
        return (
            f"damaged: {trials} left out of {self.name}, e.g. {printable(name, 100)} ({why}); to measure damaged "
            "trials again, repeat the command that started the study"
        )

    def left_out_warnings(self) -> list[str]:
        """The configurations that were left out after their first two blocks, each with the reason."""
        if not self.plan.groups:
            return []
        remaining = Remaining(self.plan, self.seed, self.store.results().values())
        return [
            f"left out: {name} was invalid in its first two blocks and was not measured in the others: "
            f"{printable(why, 200)}"
            for name, why in remaining.left_out(self.plan.blocks).items()
        ]

    def evaluate(self, *, allow_mixed: bool = False) -> Evaluation:
        """Everything that a report shows about the study; writes trials.parquet and verdict.json.

        Raises MeasurementError if the study has no trials yet, and DesignError as :meth:`collect` does.
        """
        trials = self.collect(allow_mixed=allow_mixed)
        if trials.empty:
            raise MeasurementError(self.damaged_warning() or f"study {self.name} has no trials yet: run it first")
        return Evaluation(trials=trials, judgement=self.judge(trials), artifacts=self.artifacts(trials))

    def artifacts(self, trials: pd.DataFrame) -> Artifacts:
        """What a report shows of single trials, in addition to their frame."""
        folder, results = self.store.trials_folder, self.store.results()
        return Artifacts(
            profiles=collection.profiles(folder, self.plan.profiled, trials),
            histograms=collection.histograms(results, self.plan.names, trials),
            details=collection.details(folder, results),
        )

    def judge(self, trials: pd.DataFrame | None = None) -> Judgement:
        """The verdict on the trials; writes verdict.json."""
        trials = self.collect() if trials is None else trials
        judgement = analyse(trials, self.plan, self.manifest.cores)
        if mixed := collection.mixed(trials, self.manifest):
            judgement = replace(
                judgement,
                sentence=f"{judgement.sentence} But this result mixes machines or versions: see the warnings.",
                warnings=(f"mixed: trials were {mixed}", *judgement.warnings),
            )
        first = [damaged] if (damaged := self.damaged_warning()) else []
        judgement = replace(judgement, warnings=(*first, *self.left_out_warnings(), *judgement.warnings))
        with written_to(self.store.folder):
            write_json(self.store.folder / "verdict.json", judgement.as_dict())
        return judgement
