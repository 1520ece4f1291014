"""Plans as the documents that a manifest holds, which tests take apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpclab.analysis.study_plan import PlannedEngines, StudyPlan
from grpclab.factors.config import TrialConfig
from grpclab.study.designs.design import argument_rows
from grpclab.study.stored_values import read_plan, written


def document(plan: StudyPlan) -> dict[str, Any]:
    """The JSON object of a plan."""
    return dict(written(plan))


def bare() -> dict[str, Any]:
    """The document of a plan that measures nothing yet."""
    return document(StudyPlan(engines=PlannedEngines(), mapping=argument_rows()))


def trial_config(plan: Mapping[str, Any], name: str) -> TrialConfig:
    """The configuration of that name in the document of a plan."""
    return read_plan(plan).configuration(name).config
