"""``sweep.ipynb``: the study, its answer on top."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import Any

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import Judgement
from grpclab.notebook.live import LineList, Output, TrialProgress, note, report_link
from grpclab.report import Section, sections
from grpclab.report.blocks import Folded, Shown
from grpclab.report.content import VERDICT
from grpclab.report.finished import FinishedStudy
from grpclab.report.publish import publish
from grpclab.report.sections import configurations
from grpclab.study import values
from grpclab.study.parameters import StudyParameters
from grpclab.study.runner import Study
from grpclab.study.spread_blocks import block_machines
from grpclab.study.trial_progress import tell_terminal

LAST = ("question", "method", "machine", "terms", "again")
"""The sections, by their anchors, that a notebook of a study leaves to the report."""


class SweepNotebook:
    """``sweep.ipynb``: a study. The answer is at the top of the notebook and is filled in when the study is
    complete."""

    TOP: tuple[str, ...] = ("answer",)
    """The sections of the answer, by their anchors; the other ones of `VERDICT` are folded below it."""
    OPEN: tuple[str, ...] = ("throughput",)
    """The sections of :meth:`figures` that are not folded."""

    def __init__(self) -> None:
        self._top = Output()
        self._cluster = contextlib.ExitStack()
        """The cluster that measures, until the measurement ends, or the kernel."""

    def answer(self) -> None:
        """Reserve the place for the answer."""
        self._top.show(note("Not measured yet. The answer will appear here when the study is complete."))

    def prepare(self, namespace: Mapping[str, Any]) -> Shown:
        """Plan the study that the notebook's variables describe; returns its design. Raises DesignError, shown in one
        line."""
        parameters = self.parameters(namespace)
        machines = self._cluster.enter_context(block_machines(parameters.cluster))
        self.study = Study.prepare(parameters, machines=machines)
        planned = FinishedStudy.of(self.study.manifest, pd.DataFrame(), Judgement())
        title = qty.count(len(planned.configurations), "configuration")
        section = Section(title=title, data=configurations.table(planned, measured=False))
        renamed = values.note("study", namespace.get("study", ""))
        summary = "\n".join(line for line in (self.study.summary(), renamed) if line)
        return Shown(parts=[LineList(lines=tuple(summary.splitlines())), Folded(sections=[section])], text=summary)

    @staticmethod
    def parameters(namespace: Mapping[str, Any]) -> StudyParameters:
        """The study's parameters from the notebook's variables."""
        return StudyParameters.from_namespace(namespace)

    def run(self) -> None:
        """Measure the missing trials; progress is shown here and at the top."""
        total, stored = len(self.study.trials), len(self.study.trials) - len(self.study.missing())
        progress = TrialProgress(
            total=total, stored=stored, output=Output(), elsewhere=self._top, terminal=tell_terminal
        )
        try:
            self.study.run(progress.write)
        finally:
            progress.end()
            self._cluster.close()

    def collect(self) -> pd.DataFrame:
        """All trials, one row per trial; see results/<study>/trials.parquet. Fills in the answer."""
        self.evaluation = self.study.evaluate()
        self.__dict__.pop("_sections", None)  # those of what was there before
        self._top.update(self._answered())
        return self.evaluation.trials

    def figures(self) -> Shown:
        """The report's sections with figures and tables, in its order; all but the first are folded."""
        rest = [section for section in self._sections if section.anchor not in (*VERDICT, *LAST)]
        return Shown(
            parts=[Folded(sections=rest, unfolded=self.OPEN)], text="\n".join(section.title for section in rest)
        )

    def report(self) -> Shown:
        """Write the HTML report; returns its path, which is also shown at the top."""
        path = publish(self.study).path
        tell_terminal(f"report: {path}")
        link = report_link(path)
        self._top.update(self._answered(link))
        return link

    def _answered(self, link: Shown | None = None) -> Shown:
        """The answer, with the link to the report where there is one; what it rests on is folded."""
        top = [section for section in self._sections if section.anchor in self.TOP]
        more = [section for section in self._sections if section.anchor in VERDICT and section.anchor not in self.TOP]
        links = link.parts if link else []
        return Shown(parts=[*top, *links, Folded(sections=more)], text=self.evaluation.judgement.sentence)

    @functools.cached_property
    def _sections(self) -> list[Section]:
        it = self.evaluation
        histograms = it.artifacts.histograms
        return sections(FinishedStudy.of(self.study.manifest, it.trials, it.judgement, histograms=histograms))
