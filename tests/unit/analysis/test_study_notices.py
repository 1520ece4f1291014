"""What the notices on trials say of a study."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.analysis import analyse
from grpclab.analysis.study_notices import study_notices
from tests.support import plans, synthetic


def notice(kind: str, severity: str = "warning", text: str = "it was so") -> dict[str, Any]:
    return {"kind": kind, "severity": severity, "text": text, "remedy": "mend it"}


def frame(*rows: tuple[str, bool, list[dict[str, Any]]]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"configuration": name, "valid": valid, "notices": json.dumps(notices)} for name, valid, notices in rows]
    )


def test_a_kind_is_told_once_with_the_trials_that_carry_it_and_warnings_come_first() -> None:
    found = study_notices(
        frame(
            ("a", True, [notice("clock-set", "note"), notice("others")]),
            ("b", True, [notice("others")]),
            ("b", True, []),
            ("b", False, [notice("others")]),
        )
    )
    assert [(one.kind, one.severity) for one in found] == [("others", "warning"), ("clock-set", "note")]
    assert found[0].text.startswith("in 2 of 3 valid trials (a 1, b 1), ")
    assert found[0].remedy == "mend it"


def test_a_trial_that_carries_a_kind_twice_counts_once() -> None:
    of_both = [notice("throttled", "note"), notice("throttled", text="the server was")]
    (found,) = study_notices(frame(("a", True, of_both), ("a", True, [])))
    assert (found.severity, found.text) == ("warning", "in 1 of 2 valid trials (a 1), the server was")


@pytest.mark.parametrize(
    ("texts", "combined"),
    [
        (["it waited for 3% of its time"] * 2, "it waited for 3% of its time"),
        (
            ["it waited for 3% of its time", "it waited for 12% of its time", "it waited for 5% of its time"],
            "it waited for 3 to 12% of its time",
        ),
        (
            ["stopped in 1,200 of 2,000 periods, for 0.5 s", "stopped in 900 of 2,000 periods, for 1.2e+02 s"],
            "stopped in 900 to 1,200 of 2,000 periods, for 0.5 to 1.2e+02 s",
        ),
        (["set by -0.5 s. No figure", "set by +3 s. No figure"], "set by -0.5 to +3 s. No figure"),
        (
            ["the server stopped for 1 s", "the link stopped for 3 s", "the link stopped for 2 s"],
            "the link stopped for 2 to 3 s; or the server stopped for 1 s",
        ),
        (["they shared core 0, so", "they shared core 1, so"], "they shared core 0, so; or they shared core 1, so"),
        (
            ["files of shop-2 3.1.0 changed: a1.py", "files of shop-2 3.1.2 changed: a1.py"],
            "files of shop-2 3.1.0 changed: a1.py; or files of shop-2 3.1.2 changed: a1.py",
        ),
        (["load.rate_rps=2: slow", "load.rate_rps=3: slow"], "load.rate_rps=2: slow; or load.rate_rps=3: slow"),
        (["one", "two", "three"], "one; or two"),
    ],
)
def test_a_figure_is_that_of_all_trials(texts: list[str], combined: str) -> None:
    (found,) = study_notices(frame(*(("a", True, [notice("others", text=text)]) for text in texts)))
    assert found.text == f"in all valid trials, {combined}"


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_the_range_of_a_figure_holds_that_of_each_trial(figures: list[float]) -> None:
    (found,) = study_notices(
        frame(*(("a", True, [notice("others", text=f"it took {figure:,.3g} s")]) for figure in figures))
    )
    ends = [
        float(end.replace(",", ""))
        for end in found.text.removeprefix("in all valid trials, it took ").removesuffix(" s").split(" to ")
    ]
    shown = [float(f"{figure:.3g}") for figure in figures]
    assert (ends[0], ends[-1]) == (min(shown), max(shown))


@pytest.mark.parametrize("stored", [None, float("nan"), "", "{", "7", "[7]", '[{"kind": "others"}]'])
def test_what_is_no_list_of_notices_tells_nothing(stored: object) -> None:
    assert study_notices(pd.DataFrame({"configuration": ["a"], "valid": [True], "notices": [stored]})) == ()


def test_trials_of_an_earlier_version_have_none() -> None:
    assert study_notices(pd.DataFrame({"configuration": ["a"], "valid": [True]})) == ()


def test_a_verdict_carries_the_notices_of_its_trials_as_values_and_among_its_warnings() -> None:
    study = synthetic.full_study()
    trials = study.trials.assign(notices=json.dumps([notice("throttled", text="held back by its quota")]))
    judged = analyse(trials, plans.value(study.manifest["plan"]))
    (found,) = judged.notices
    assert found.kind == "throttled"
    assert str(found) in judged.warnings
    assert judged.as_dict()["notices"] == [found.to_json()]
