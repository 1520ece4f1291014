"""Plans as the documents that a manifest holds, which tests take apart, and as the values that they stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from grpclab.analysis.study_plan import PlannedEngines, StudyPlan
from grpclab.study.designs.design import argument_rows
from grpclab.study.stored_values import read, written


def document(plan: StudyPlan) -> dict[str, Any]:
    """The JSON object of a plan."""
    return dict(written(plan))


def value(document: Mapping[str, Any]) -> StudyPlan:
    """The plan of a document, read as a manifest's is."""
    return read(StudyPlan, json.loads(json.dumps(document)))


def bare() -> dict[str, Any]:
    """The document of a plan that measures nothing yet."""
    return document(StudyPlan(engines=PlannedEngines(), mapping=argument_rows()))
