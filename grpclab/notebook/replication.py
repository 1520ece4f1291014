"""The code behind the cells of ``replication.ipynb``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpclab.notebook.sweep import SweepNotebook
from grpclab.study.parameters import StudyParameters, plain_values


class ReplicationNotebook(SweepNotebook):
    """``replication.ipynb``: a study with the design ``replication``, and the result for each claim."""

    NAMES = ("study", "requests", "blocks", "rtt_ms", "max_trial_s", "seed", "profile")

    TOP = ("claims",)
    OPEN = ("windows",)

    @staticmethod
    def parameters(namespace: Mapping[str, Any]) -> StudyParameters:
        """The study's parameters from the notebook's variables."""
        return StudyParameters(design="replication", **plain_values(namespace, ReplicationNotebook.NAMES))
