"""The parameters of a study: what they take, and the one line that says why not."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.errors import DesignError
from grpclab.factors.defaults import COMPARISON_BUDGET_S
from grpclab.factors.registries import ENGINES
from grpclab.study.parameters import DESIGNS, StudyParameters, comparison_budget, plain_values

NAMES = [field.name for field in dataclasses.fields(StudyParameters)]


def refusal(**values: Any) -> str:
    with pytest.raises(DesignError) as error:
        StudyParameters(**values)
    return str(error.value)


BAD: list[tuple[str, Any, str]] = [
    ("study", "", "letters, digits"),
    ("study", "../elsewhere", "letters, digits"),
    ("study", ".hidden", "starting with a letter or digit"),
    ("study", "two words", "letters, digits"),
    ("study", "x" * 65, "at most 64"),
    ("study", None, "letters, digits"),
    ("study", -7, "letters, digits"),
    ("study", ["a"], "letters, digits"),
    ("study", "name\n", "letters, digits"),
    ("study", "README", "another name: README, index, calibration and calibration-..., in any case, are reserved for"),
    ("budget", "soon", "a time such as 12m, none or auto"),
    ("budget", 5, "seconds from 10 to 10^6"),
    ("budget", None, "none or auto"),
    ("design", "fast", "one of default, quick"),
    ("design", None, "one of default, quick"),
    ("design", ["quick"], "one of default, quick"),
    ("requests", 0, "a whole number of calls from 1 to 100,000,000"),
    ("requests", 10**12, "a whole number of calls from 1 to 100,000,000"),
    ("requests", 2500.5, "a whole number of calls"),
    ("requests", True, "a whole number of calls"),
    ("requests", "many", "a whole number of calls"),
    ("requests", math.inf, "a whole number of calls"),
    ("requests", math.nan, "a whole number of calls"),
    ("requests", None, "a whole number of calls"),
    ("concurrency", "", "e.g. 1,8,64"),
    ("concurrency", "1,eight", "e.g. 1,8,64"),
    ("concurrency", "1,,8,", "e.g. 1,8,64"),
    ("concurrency", "0", "e.g. 1,8,64"),
    ("concurrency", "1;8", "e.g. 1,8,64"),
    ("concurrency", (), "e.g. 1,8,64"),
    ("concurrency", [True], "e.g. 1,8,64"),
    ("concurrency", 200_000, "e.g. 1,8,64"),
    ("concurrency", {8: 1}, "e.g. 1,8,64"),
    ("blocks", 0, "1 to 1000"),
    ("blocks", 1001, "1 to 1000"),
    ("blocks", "six", "1 to 1000"),
    ("windows_kib", "none", "e.g. 64,1024"),
    ("windows_kib", "64,0", "e.g. 64,1024"),
    ("windows_kib", "2097152", "e.g. 64,1024"),
    ("stream_limits", "unlimited", "e.g. 8,10000"),
    ("stream_limits", "8.5", "e.g. 8,10000"),
    ("keepalive_s", "-1", "0 for off"),
    ("keepalive_s", "off", "0 for off"),
    ("keepalive_s", "nan", "0 for off"),
    ("keepalive_s", "0.001", "0 for off"),
    ("keepalive_s", [10**400], "0 for off"),
    ("keepalive_s", "3000000", "0 for off"),
    ("pool_sizes", "0", "e.g. 1,4,16"),
    ("pool_sizes", "10001", "e.g. 1,4,16"),
    ("rtt_ms", -1, "0 to 10000"),
    ("rtt_ms", "fast", "0 to 10000"),
    ("rtt_ms", math.nan, "0 to 10000"),
    ("rtt_ms", math.inf, "0 to 10000"),
    ("engine", "h2load", "one of wire, grpcio"),
    ("engine", None, "one of wire, grpcio"),
    ("profile", "maybe", "true or false"),
    ("profile", 2, "true or false"),
    ("profile", None, "true or false"),
    ("seed", -1, "0 to 10^18"),
    ("seed", 1.5, "0 to 10^18"),
    ("max_trial_s", 0, "0.05 to 3600"),
    ("max_trial_s", 3601, "0.05 to 3600"),
    ("max_trial_s", "2 h", "0.05 to 3600"),
    ("max_trial_s", "2 x", "0.05 to 3600"),
    ("seed", "1e999999", "10^18"),
    ("seed", None, "10^18"),
    ("requests", "2,500", "a whole number of calls"),
    ("implementation", "threads", "sync, asyncio or both"),
    ("implementation", None, "sync, asyncio or both"),
    ("cluster", 5, "local:N, or the address of a Dask scheduler"),
    ("rate", 0, "calls per second from 1 to 10^6, none or auto"),
    ("rate", "fast", "calls per second from 1 to 10^6, none or auto"),
    ("rate", "70,", "calls per second from 1 to 10^6, none or auto"),
    ("rate", "70,60,50", "at most one rate for each implementation"),
    ("rate", "70,60", "at most one rate for each implementation"),
]


@pytest.mark.parametrize(("name", "value", "wanted"), BAD, ids=lambda v: str(v)[:20])
def test_a_bad_value_is_refused_in_one_line_with_name_value_and_what_it_takes(
    name: str, value: Any, wanted: str
) -> None:
    text = refusal(**{name: value})
    assert text.startswith(f"invalid {name}={str(value).strip()[:190]}")
    assert ": expected " in text
    assert wanted in text
    assert "\n" not in text


def test_every_parameter_has_a_value_that_it_refuses() -> None:
    assert {name for name, _, _ in BAD} == set(NAMES)


def test_the_defaults_are_values_like_any_other() -> None:
    assert StudyParameters(**StudyParameters().as_dict()) == StudyParameters()
    assert json.loads(json.dumps(StudyParameters().as_dict())) == StudyParameters().as_dict()


@pytest.mark.parametrize(
    ("name", "given_as", "value"),
    [
        ("requests", "300", 300),
        ("requests", 300.0, 300),
        ("requests", np.int64(300), 300),
        ("concurrency", "1, 8\t64", (1, 8, 64)),
        ("concurrency", 8, (8,)),
        ("concurrency", [64, "8"], (64, 8)),
        ("concurrency", "8,64,8", (8, 64)),
        ("keepalive_s", "0,60", (0.0, 60.0)),
        ("keepalive_s", 0.5, (0.5,)),
        ("pool_sizes", (4, 1), (4, 1)),
        ("rtt_ms", "20", 20.0),
        ("profile", "False", False),
        ("profile", "1", True),
        ("profile", False, False),
        ("budget", "12m", "720"),
        ("budget", 90, "90"),
        ("budget", "None", "none"),
        ("max_trial_s", 1, 1.0),
        ("max_trial_s", "1s500ms", 1.5),
        ("max_trial_s", "1m30s", 90.0),
        ("rtt_ms", "0.02s", 20.0),
        ("keepalive_s", "0s,1m", (0.0, 60.0)),
        ("pool_sizes", 4.0, (4,)),
        ("concurrency", "8.0,1e2", (8, 100)),
        ("blocks", "7.0", 7),
        ("seed", 7.0, 7),
        ("seed", "7", 7),
        ("requests", 2.5e3, 2500),
        ("requests", "2.5e3", 2500),
        ("requests", np.float64(300), 300),
        ("profile", "on", True),
        ("profile", "No", False),
        ("design", " Quick", "quick"),
        ("study", "my-study_2.1", "my-study_2.1"),
        ("study", 2024, "2024"),
        ("study", 20.5, "20.5"),
        ("study", True, "True"),
        ("study", datetime.date(2024, 1, 1), "2024-01-01"),
        ("study", np.int64(7), "7"),
    ],
)
def test_values_are_taken_as_a_command_line_or_a_notebook_gives_them(name: str, given_as: Any, value: Any) -> None:
    found = getattr(StudyParameters(**{name: given_as}), name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("design", list(DESIGNS))
def test_every_design_can_be_asked_for(design: str) -> None:
    assert StudyParameters(design=design).design == design


def test_a_study_is_measured_as_a_python_client_does_unless_told_otherwise() -> None:
    assert StudyParameters().engine == "grpcio"
    assert [StudyParameters(engine=engine).engine for engine in ENGINES] == ["wire", "grpcio"]


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=8))
def test_a_list_keeps_its_order_and_loses_its_repetitions(levels: list[int]) -> None:
    words = ",".join(map(str, levels))
    assert StudyParameters(concurrency=words).concurrency == tuple(dict.fromkeys(levels))  # type: ignore[arg-type]


# ---- out of a notebook's variables ---------------------------------------------------------------------------


def test_a_notebooks_variables_are_the_parameters() -> None:
    namespace = {
        "requests": 300,
        "concurrency": "1,8",
        "_private": 3,
        "__name__": "__main__",
        "In": ["", "requests = 300"],
        "Out": {},
        "StudyParameters": StudyParameters,
        "json": json,
    }
    found = StudyParameters.from_namespace(namespace)
    assert found == StudyParameters(requests=300, concurrency=(1, 8))


@pytest.mark.parametrize(
    ("wrong", "right"), [("request", "requests"), ("block", "blocks"), ("pool_size", "pool_sizes")]
)
def test_an_unknown_name_is_refused_with_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(DesignError) as error:
        StudyParameters.from_namespace({wrong: 1})
    assert str(error.value) == f"unknown parameter {wrong!r}: did you mean {right}?"


def test_a_name_like_no_other_is_refused_with_all_there_are() -> None:
    with pytest.raises(DesignError) as error:
        StudyParameters.from_namespace({"zzzzzz": 1})
    assert str(error.value) == f"unknown parameter 'zzzzzz': expected one of {', '.join(NAMES)}"


@pytest.mark.parametrize("value", [None, {"requests": 300}, object])
def test_a_parameter_that_is_no_plain_value_is_refused_not_passed_over(value: Any) -> None:
    with pytest.raises(DesignError, match=r"^invalid requests="):
        StudyParameters.from_namespace({"requests": value})


def test_a_number_of_numpys_is_as_good_as_any_other() -> None:
    assert StudyParameters.from_namespace({"requests": np.int64(300)}).requests == 300


def test_only_plain_values_count_as_attempts_at_a_parameter() -> None:
    namespace = {"a": 1, "function": len, "nothing": None, "_b": 2}
    assert plain_values(namespace, ["a", "b"]) == {"a": 1}


def test_a_comparison_has_a_budget_unless_its_blocks_are_given() -> None:
    assert comparison_budget("budget_s", "auto", None) == COMPARISON_BUDGET_S
    assert comparison_budget("budget_s", "auto", 12) is None
    assert comparison_budget("budget_s", "none", None) is None
    assert comparison_budget("budget_s", "AUTO", None) == COMPARISON_BUDGET_S
    assert comparison_budget("budget_s", "2m", 12) == 120.0
    assert comparison_budget("budget_s", 30, None) == 30.0
    with pytest.raises(DesignError, match="budget_s=soon"):
        comparison_budget("budget_s", "soon", None)
