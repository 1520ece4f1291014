"""The frames of figures: levels and the ladder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest

from grpclab.analysis import analyse, ladder_steps, levels
from tests.support.judgements import LEVELS, METRIC, entry, plan, trials


def test_levels_keep_the_order_given_and_say_what_is_missing() -> None:
    frame = trials({"c1": 100.0, "c8": 400.0}, blocks=3, noise=0.0)
    frame.loc[frame["configuration"].eq("c8") & frame["block"].eq(1), METRIC] = 0.0
    frame.loc[frame["configuration"].eq("c8"), "limited_by"] = "generator-bound"
    found = levels(frame, ["c8", "absent", "c1"], METRIC)
    assert found["configuration"].tolist() == ["c8", "absent", "c1"]
    assert found["blocks"].tolist() == [2, 0, 3]
    assert found["mean"].tolist() == pytest.approx([400.0, math.nan, 100.0], nan_ok=True)
    assert found["limited_by"].tolist() == ["generator-bound", "", ""]
    assert "block 1 was left out" in found["note"][0]
    assert found["note"].tolist()[1:] == ["no trial of absent", ""]


def test_a_level_is_a_geometric_mean_over_blocks() -> None:
    frame = trials({"c1": 1.0}, blocks=3, noise=0.0)
    frame[METRIC] = [100.0, 200.0, 400.0]
    (row,) = levels(frame, ["c1"], METRIC).to_dict("records")
    assert row["mean"] == pytest.approx(200.0)
    assert row["ci_low"] < 200 < row["ci_high"]


def test_no_configurations_give_an_empty_frame_with_the_columns() -> None:
    assert list(levels(trials(), [], METRIC).columns)[:3] == ["configuration", "mean", "ci_low"]
    assert list(ladder_steps(trials(), plan(), METRIC).columns)[-1] == "cumulative"


def rung(name: str, baseline: str, *, kept: bool = True, not_testable: str = "") -> dict[str, Any]:
    configuration = "" if not_testable else name
    return {
        "name": name,
        "title": name,
        "configuration": configuration,
        "baseline": baseline,
        "kept": kept,
        "not_testable": not_testable,
    }


LADDER: Sequence[dict[str, Any]] = (
    rung("basic", ""),
    rung("reuse", "basic"),
    rung("asyncio", "reuse", kept=False),
    rung("processes", "", not_testable="not testable here: 1 core"),
    rung("optimized", "reuse"),
)


def test_the_ladder_multiplies_along_kept_rungs_only() -> None:
    frame = trials(LEVELS | {"asyncio": 150.0}, noise=0.001)
    found = ladder_steps(frame, plan(ladder=LADDER), METRIC).set_index("name")
    assert found["cumulative"].tolist() == pytest.approx([1, 3, math.nan, math.nan, 3.4], rel=0.01, nan_ok=True)
    assert found["ratio"].tolist() == pytest.approx([math.nan, 3, 0.5, math.nan, 3.4 / 3], rel=0.01, nan_ok=True)
    assert found["verdict"].tolist() == ["", "faster", "slower", "", "faster"]
    assert found["not_testable"]["processes"] == "not testable here: 1 core"


def test_the_ladder_agrees_with_the_judgement() -> None:
    steps = [entry("basic", "reuse"), entry("reuse", "optimized"), entry("reuse", "asyncio")]
    frame = trials(LEVELS | {"asyncio": 310.0}, noise=0.05)
    whole = plan(ladder=LADDER, comparisons=steps, parts=[])
    judged = analyse(frame, whole).comparisons
    found = ladder_steps(frame, whole, METRIC)
    by_name = found.set_index("name")["verdict"]
    for comparison in judged:
        assert by_name[comparison.candidate] == comparison.verdict
    pd.testing.assert_frame_equal(ladder_steps(frame, whole, METRIC, judged), found)
    pd.testing.assert_frame_equal(ladder_steps(frame, whole, METRIC, judged[1:]), found)
    taken_over = ladder_steps(frame.iloc[:0], whole, METRIC, judged)
    assert taken_over["verdict"].tolist() == found["verdict"].tolist(), "without a look at the trials"


def test_a_rung_without_trials_breaks_the_product_instead_of_counting_as_one() -> None:
    frame = trials()
    found = ladder_steps(frame[frame["configuration"] != "reuse"], plan(ladder=LADDER), METRIC)
    assert found["cumulative"].tolist() == pytest.approx([1] + [math.nan] * 4, nan_ok=True)


def test_the_ladder_can_be_read_on_a_metric_the_plan_does_not_compare() -> None:
    found = ladder_steps(trials(), plan(ladder=LADDER), "latency_p99_s").set_index("name")
    assert found["verdict"]["reuse"] == "faster"
    assert found["ratio"]["reuse"] == pytest.approx(1 / 3, rel=0.1)
