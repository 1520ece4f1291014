"""The JSON Schemas that are shipped: in step with the model, and true of what earlier versions stored."""

from __future__ import annotations

import json

import jsonschema
import pytest

from tests.support import first_edition
from tools import schemas


@pytest.mark.parametrize("name", schemas.FILES)
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
