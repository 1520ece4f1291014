"""What papermill, YAML and cells make of a parameter, in every notebook: taken as what it can mean."""

from __future__ import annotations

import ast
import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from papermill.cli import _resolve_type

from grpclab.calibration.plan import Plan
from grpclab.errors import DesignError
from grpclab.notebook import explore
from grpclab.notebook.replication import ReplicationNotebook
from grpclab.notebook.trial import TrialNotebook, group_number
from grpclab.study import values
from grpclab.study.parameters import StudyParameters, plain_values
from grpclab.system.paths import notebook

WORDS = ("2024", "001", "2024-01-01", "7.0", "2.5e3", "true", "True", "a1", "None", "nan", "1_0", " x ")


@pytest.mark.parametrize("word", [*WORDS, "-5", "inf", "0x10", "1e400", ""])
def test_what_papermill_passes_on_is_known(word: str) -> None:
    expected, found = _resolve_type(word), values.as_papermill_reads(word)
    assert repr(found) == repr(expected)  # nan, too


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none(), st.dates(), st.lists(st.integers())))
def test_a_value_is_taken_or_refused_with_nothing_else_in_between(value: Any) -> None:
    for read in (values.text, values.number, values.switch):
        try:
            read(value)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("001", "001"),
        (1, "1"),
        (7.0, "7.0"),
        (True, "True"),
        (datetime.date(2024, 1, 1), "2024-01-01"),
        (np.int8(3), "3"),
    ],
)
def test_a_name_is_the_word_that_it_was_as_nearly_as_can_be_told(value: Any, word: str) -> None:
    assert values.text(value) == word
    assert bool(values.note("study", value)) == (not isinstance(value, str))
    assert word in values.note("study", value) or isinstance(value, str)


@pytest.mark.parametrize("value", [None, [1], {}, object(), np.array([1, 2])])
def test_what_never_was_a_word_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="word"):
        values.text(value)


# ---- every parameter of every notebook ---------------------------------------------------------------------------


def cell(name: str) -> dict[str, Any]:
    """The parameters of a notebook with their defaults."""
    cells = nbformat.read(notebook(name), as_version=4).cells
    source = next(one.source for one in cells if "parameters" in one.metadata.get("tags", []))
    return {
        node.target.id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }


def sweep(given: Mapping[str, Any]) -> dict[str, Any]:
    return vars(StudyParameters.from_namespace(given))


def replication(given: Mapping[str, Any]) -> dict[str, Any]:
    return vars(StudyParameters(design="replication", **plain_values(given, ReplicationNotebook.NAMES)))


def trial(given: Mapping[str, Any]) -> dict[str, Any]:
    made = TrialNotebook.from_namespace(given)
    identity = {name: getattr(made.identity, name) for name in ("study", "trial", "block", "order")}
    load = {name: getattr(made.config.load, name) for name in TrialNotebook.LOAD}
    group = group_number("group", given["group"])
    return identity | load | {"group": group, "profile": made.profile, "output_dir": made.folder.name}


def calibration(given: Mapping[str, Any]) -> dict[str, Any]:
    return vars(Plan.from_namespace(given))


NOTEBOOKS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "sweep": sweep,
    "replication": replication,
    "trial": trial,
    "calibration": calibration,
}
SPELLINGS: dict[type, list[tuple[str, Any]]] = {
    int: [("7", 7), ("7.0", 7), ("7e0", 7), ("1_0", 10)],
    float: [("2", 2.0), ("2.0", 2.0), ("2e0", 2.0)],
    bool: [("true", True), ("False", False), ("1", True), ("0", False), ("no", False)],
}
NAMES: list[tuple[str, Any]] = [("2024", "2024"), ("2024-01-01", "2024-01-01"), ("true", "true"), ("7.0", "7.0")]


def spellings() -> list[tuple[str, str, str, Any]]:
    cases = []
    for book in NOTEBOOKS:
        for name, default in cell(book).items():
            words = SPELLINGS.get(type(default), NAMES if name in ("study", "trial", "output_dir") else [])
            cases += [(book, name, word, meant) for word, meant in words]
    return cases


@pytest.mark.parametrize(("book", "name", "word", "meant"), spellings())
def test_a_parameter_is_what_was_written_after_papermill_has_read_it(
    book: str, name: str, word: str, meant: Any, tmp_path: Path
) -> None:
    given = cell(book) | {name: _resolve_type(word)}
    found = NOTEBOOKS[book](given)[name]
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(("name", "value"), [("settings", [1]), ("variant", {"a": 1}), ("block", "1.5"), ("order", -1)])
def test_what_a_trial_cannot_take_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(DesignError, match=f"^invalid {name}="):
        TrialNotebook.from_namespace(cell("trial") | {name: value})


def test_the_explorer_finds_the_study_that_a_number_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("001", "2024", "monday"):
        (tmp_path / "results" / name).mkdir(parents=True)
    monkeypatch.setattr(explore, "load_study", lambda path: path.name)

    def found(given: dict[str, Any]) -> tuple[Any, Any]:
        return explore.studies(given, tmp_path)

    for study, other in (("001", "2024"), ("2024", "001"), ("monday", "001")):
        given = {"study": _resolve_type(study), "other": _resolve_type(other)}
        assert found(given) == (study, other)
    (tmp_path / "results" / "1").mkdir()
    assert found({"study": 1, "other": "001"}) == ("1", "001")
    with pytest.raises(DesignError, match=r"^invalid other="):
        explore.studies({"study": "001", "other": [1]}, tmp_path)
