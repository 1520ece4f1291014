"""What the cells of ``replication.ipynb`` call, so that the notebook stays thin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from grpclab.analysis.claims import replication
from grpclab.notebook.sweep import SweepNotebook
from grpclab.study.parameters import StudyParameters, plain_values


class ReplicationNotebook(SweepNotebook):
    """``replication.ipynb``: a study of the design ``replication``, and what became of each claim."""

    NAMES = ("study", "requests", "blocks", "rtt_ms", "max_trial_s", "seed", "profile")

    TOP = ("claims",)
    OPEN = ("windows",)

    @staticmethod
    def parameters(namespace: Mapping[str, Any]) -> StudyParameters:
        """The study's parameters among a notebook's variables."""
        return StudyParameters(design="replication", **plain_values(namespace, ReplicationNotebook.NAMES))

    def claims_frame(self) -> pd.DataFrame:
        """The claims as a frame, one row each: see :data:`grpclab.analysis.claims.replication.COLUMNS`."""
        return replication.claims(self.trials, self.judgement.judged, self.study.plan)
