"""The JSON Schemas that are shipped: in step with the model, and true of what is stored and of what is read."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from grpclab.errors import UsageError
from grpclab.factors.config import FACTORS
from grpclab.factors.levels import Factor, format_level
from grpclab.study.designs.study_file import study_file
from tests.support import first_edition
from tools import schemas

README = Path(__file__).resolve().parents[3] / "README.md"


@pytest.mark.parametrize("name", schemas.NAMES)
def test_a_schema_is_in_step_with_the_model(name: str) -> None:
    shipped = (schemas.FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert shipped == schemas.text(name), "`make guides` makes it anew"


def test_what_the_first_edition_stored_is_valid() -> None:
    with first_edition.unpacked() as folder:
        for name in schemas.FILES:
            check = jsonschema.Draft202012Validator(schemas.schema(name))
            stored = sorted(folder.glob(f"results/**/{name}.json"))
            assert stored
            for path in stored:
                assert [error.message for error in check.iter_errors(json.loads(path.read_text()))] == []


@pytest.mark.parametrize(("name", "wrong"), [("manifest", {"seed": "7"}), ("verdict", {"warnings": [None]})])
def test_what_cannot_be_read_is_invalid(name: str, wrong: dict[str, object]) -> None:
    assert not jsonschema.Draft202012Validator(schemas.schema(name)).is_valid(wrong)


# ---- the file that describes a study ------------------------------------------------------------------------------

FILE = jsonschema.Draft4Validator(schemas.schema(schemas.STUDY_FILE))


def test_the_example_of_the_readme_is_valid() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert [error.message for error in FILE.iter_errors(tomllib.loads(text))] == []


@pytest.mark.parametrize("factor", FACTORS.values(), ids=list(FACTORS))
def test_every_factor_is_in_the_schema_with_all_ways_to_write_a_level(factor: Factor) -> None:
    level = factor.default
    for value in (format_level(level), *([] if level is None else [level])):
        one = {factor.section: {factor.name: value}}
        several = {factor.section: {factor.name: [value]}, factor.dotted: [value]}
        assert FILE.is_valid({"headline": "x", "set": one, "factors": several})
    assert not FILE.is_valid({"headline": "x", "set": {factor.section: {factor.name: [level]}}, "factors": {}})
    assert not FILE.is_valid({"headline": "x", "factors": {factor.section: {factor.name: level or 0}}})


@pytest.mark.parametrize(
    "wrong",
    [
        {"factor": {}},
        {"question": 1},
        {"variant": "fast"},
        {"grid": "half"},
        {"blocks": 5},
        {"blocks": 1001},
        {"blocks": "6"},
        {"seed": -1},
        {"profile": 1},
        {"set": {"load": {"speed": 9}}},
        {"set": {"server": {"threads": 0}}},
        {"factors": {"server": {"threads": []}}},
        {"factors": {"server": {"threads": 4}}},
        {"factors": {"server": {"implementation": ["threads"]}}},
    ],
)
def test_a_mistake_in_a_study_file_is_invalid_and_refused(wrong: dict[str, object]) -> None:
    right = {"headline": "server.threads=4", "factors": {"server": {"threads": [2, 4]}}}
    assert FILE.is_valid(right)
    assert not FILE.is_valid(right | wrong)
    with pytest.raises(UsageError):
        study_file(right | wrong)
