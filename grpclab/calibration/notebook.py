"""What the cells of ``calibration.ipynb`` call, so that the notebook stays thin."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from grpclab.calibration import page
from grpclab.calibration.claims import claims_table
from grpclab.calibration.experiments import EXPERIMENTS
from grpclab.calibration.neighbours import Reading, others_share
from grpclab.calibration.plan import Plan
from grpclab.calibration.store import Results
from grpclab.errors import DesignError, MeasurementError, MissingDependencyError, invalid
from grpclab.places import project_root
from grpclab.report.blocks import Section
from grpclab.study.progress import say


class CalibrationNotebook:
    """``calibration.ipynb``: the lab measures itself."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        if unknown := [name for name in plan.parts if name not in EXPERIMENTS]:
            raise DesignError(
                invalid("only", plan.only, f"names out of {', '.join(EXPERIMENTS)}; {unknown[0]!r} is none")
            )
        self.results = Results(project_root())
        self._made: dict[str, Section] = {}

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, Any]) -> CalibrationNotebook:
        """Out of the notebook's variables. Raises DesignError, shown in one line."""
        return cls(Plan.from_namespace(namespace))

    def machine(self) -> pd.DataFrame:
        """Begin: what an earlier run has left goes. Returns the facts of the machine."""
        self.results.begin(self.plan)
        facts = self.results.about()["machine"]
        return pd.DataFrame({"value": {name: str(value) for name, value in facts.items() if value is not None}})

    def measure(self, name: str) -> Section:
        """Make one experiment and store it; returns its section of the report.

        One that cannot be made here, or whose measurement is invalid, leaves a note and the others go on.
        """
        experiment, began = EXPERIMENTS[name], Reading.take()
        if self.plan.parts and name not in self.plan.parts:
            self.results.note(name, f"not asked for (only={self.plan.only})")
            self._made[name] = page.section(self.results, experiment)
            return self._made[name]
        try:
            frame = experiment.sized(self.plan)
            ended = Reading.take()
            self.results.put(name, frame, others=others_share(began, ended, cores=os.cpu_count() or 1))
        except (MissingDependencyError, MeasurementError) as error:
            self.results.note(name, str(error))
            say(f"{experiment.title}: not measured: {error}")
        else:
            say(f"{experiment.title}: {ended.at_s - began.at_s:.0f} s")
        self._made[name] = page.section(self.results, experiment)
        return self._made[name]

    def claims(self) -> Section:
        """What must hold, and whether it does."""
        groups = {e.title: page.experiment_claims(self.results, e) for e in EXPERIMENTS.values()}
        return Section(title="Claims", html=claims_table(groups))

    def report(self) -> None:
        """Write the HTML report and say where it is."""
        say(f"report: {page.write(self.results.root, self._made)}")
