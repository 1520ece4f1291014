"""Plans as the documents that a manifest holds, which tests take apart."""

from __future__ import annotations

from typing import Any

from grpclab.analysis.study_plan import PlannedEngines, StudyPlan
from grpclab.study.designs.design import argument_rows
from grpclab.study.stored_values import written


def document(plan: StudyPlan) -> dict[str, Any]:
    """The JSON object of a plan."""
    return dict(written(plan))


def bare() -> dict[str, Any]:
    """The document of a plan that measures nothing yet."""
    return document(StudyPlan(engines=PlannedEngines(), mapping=argument_rows()))
