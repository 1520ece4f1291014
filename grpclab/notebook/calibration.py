"""The code behind the cells of ``calibration.ipynb``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from grpclab.calibration import page
from grpclab.calibration.experiments import EXPERIMENTS
from grpclab.calibration.neighbours import Reading, others_share
from grpclab.calibration.plan import Plan
from grpclab.calibration.store import Results
from grpclab.errors import DesignError, MeasurementError, MissingDependencyError, invalid
from grpclab.notebook.live import Output, note, report_link
from grpclab.report import tables
from grpclab.report.blocks import Folded, Section, Shown
from grpclab.study.trial_progress import say, tell_terminal
from grpclab.system.paths import project_root


class CalibrationNotebook:
    """``calibration.ipynb``: grpclab measures itself. The answer is at the top of the notebook and is filled in at the
    end."""

    def __init__(self) -> None:
        self._top = Output()
        self._made: dict[str, Section] = {}

    def answer(self) -> None:
        """Reserve the place for the answer."""
        self._top.show(note("Not measured yet. The answer will appear here when all parts have been measured."))

    def prepare(self, namespace: Mapping[str, Any]) -> Shown:
        """Start the calibration that the notebook's variables describe; an earlier one with the same name is removed.

        Returns the facts of the machine. Raises DesignError, shown in one line.
        """
        self.plan = Plan.from_namespace(namespace)
        if unknown := [name for name in self.plan.parts if name not in EXPERIMENTS]:
            raise DesignError(
                invalid(
                    "only", self.plan.only, f"names from {', '.join(EXPERIMENTS)}; {unknown[0]!r} is not one of them"
                )
            )
        self.results = Results(project_root(), self.plan.name)
        self.results.begin(self.plan)
        facts = tables.flat(vars(self.results.about().machine))
        section = Section(title="The machine", data=tables.FactList(pairs=facts))
        return Shown(parts=[Folded(sections=[section])], text="\n".join(f"{term}: {text}" for term, text in facts))

    def measure(self, name: str) -> Section:
        """Run one experiment and store it; returns its section of the report.

        If it cannot run on this machine, or its measurement is invalid, it leaves a note, and the other experiments
        continue.
        """
        experiment, began = EXPERIMENTS[name], Reading.take()
        if self.plan.parts and name not in self.plan.parts:
            self.results.note(name, f"not selected (only={self.plan.only})")
            return self._shown(name)
        try:
            frame = experiment.sized(self.plan)
            ended = Reading.take()
            self.results.put(name, frame, others=others_share(began, ended, cores=os.cpu_count() or 1))
        except (MissingDependencyError, MeasurementError) as error:
            self.results.note(name, str(error))
            say(f"{experiment.title} was not measured: {error}")
        else:
            say(f"{experiment.title}: {ended.at_s - began.at_s:.0f} s")
        return self._shown(name)

    def _shown(self, name: str) -> Section:
        """The section of an experiment; the top says how many there are."""
        self._made[name] = page.section(self.results, name)
        self._top.update(note(f"{len(self._made)} of {len(list(EXPERIMENTS))} parts have been measured."))
        return self._made[name]

    def claims(self) -> Section:
        """The claims of the calibration, and whether each of them holds; fills in the answer at the top.

        Runs the experiments of other packages first, because the notebook has no cells for them.
        """
        for name in EXPERIMENTS:
            if name not in self._made and name not in EXPERIMENTS.builtin:
                self.measure(name)
        self._answer()
        return page.claims(self.results)

    def report(self) -> Shown:
        """Write the HTML report; returns its path, which is also shown at the top."""
        path = page.write(self.results, self._made)
        tell_terminal(f"report: {path}")
        link = report_link(path)
        self._answer(link)
        return link

    def _answer(self, link: Shown | None = None) -> None:
        answer = page.answer(self.results)
        more = [*(link.parts if link else []), Folded(sections=[page.claims(self.results)])]
        self._top.update(Shown(parts=[*answer.parts, *more], text=answer.text))
