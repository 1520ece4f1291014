"""What the notices on trials say of a study."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

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
