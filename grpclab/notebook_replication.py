"""What the cells of ``replication.ipynb`` call, so that the notebook stays thin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grpclab.analysis import replication
from grpclab.notebook import SweepNotebook
from grpclab.report import claims, figures
from grpclab.report.blocks import FigureBlock, Section
from grpclab.report.study import Study as Told
from grpclab.study.parameters import StudyParameters, plain_values
from grpclab.study.progress import say


class ReplicationNotebook(SweepNotebook):
    """``replication.ipynb``: a study of the design ``replication``, and what became of each claim."""

    NAMES = ("study", "requests", "blocks", "rtt_ms", "max_trial_s", "seed", "profile")

    @classmethod
    def from_namespace(cls, namespace: Mapping[str, Any]) -> ReplicationNotebook:
        """Out of the notebook's variables. Raises DesignError, shown in one line."""
        given = plain_values(namespace, cls.NAMES)
        return cls(StudyParameters(design="replication", **given), name=given.get("study", ""))

    def claims(self) -> Section:
        """The claims with their verdicts, as the report shows them."""
        return Section(title="The claims", anchor="claims", html=claims.section(self._told()))

    def claims_frame(self) -> pd.DataFrame:
        """The same as a frame, one row a claim: see :data:`grpclab.analysis.replication.COLUMNS`."""
        return replication.claims(self.trials, self.judgement.as_dict(), self.study.plan)

    def figure(self, name: str) -> None:
        """Show one of the report's figures: ``forest``, ``windows``, ``engines`` or ``idle``; or say that it lacks
        data."""
        from IPython.display import display

        drawn: FigureBlock | list[FigureBlock] | None = getattr(figures, name)(self._told())
        if not drawn:
            say(f"no figure {name}: too few valid trials")
        for block in (drawn if isinstance(drawn, list) else [drawn]) if drawn else []:
            display(block)  # type: ignore[no-untyped-call]

    def _told(self) -> Told:
        return Told.of(self.study.manifest, self.trials, self.judgement.as_dict())
