"""What a value of the model is written as: the document that it was read from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grpclab.analysis.study_plan import StudyPlan
from grpclab.study.designs import compare_design
from grpclab.study.documents import plain
from grpclab.study.parameters import DESIGNS, StudyParameters
from grpclab.study.sides import PairOptions, pair
from grpclab.study.stored_values import read, read_manifest, written
from tests.support import first_edition

COMMAND = "python3 -m http.server {port}"


def planned_comparison() -> StudyPlan:
    asked = PairOptions(call="shop.Cart/Get", data='{"id": 1}', metadata=("user=me",))
    return compare_design.plan(pair(COMMAND, COMMAND, asked), blocks=6, delta=0.05)


@pytest.mark.parametrize("design", [*DESIGNS.builtin, "compare"])
def test_a_plan_that_was_written_is_read_as_it_was_planned(design: str) -> None:
    plan = planned_comparison() if design == "compare" else DESIGNS[design].plan(StudyParameters(design=design), 2)
    document = written(plan)
    assert plain(document) == document
    assert read(StudyPlan, document) == plan
    assert written(read(StudyPlan, document)) == document


def test_every_manifest_of_the_first_edition_is_written_as_it_is_stored(tmp_path: Path) -> None:
    first_edition.unpack(tmp_path)
    paths = list(tmp_path.glob("results/*/manifest.json"))
    assert paths
    for path in paths:
        document = json.loads(path.read_text())
        assert written(read_manifest(document)) == document
