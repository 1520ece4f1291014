"""The Universal Scalability Law, and the ladder from its top."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.analysis.inference.interaction import rungs
from grpclab.analysis.inference.scalability import FEWEST_LEVELS, fit
from grpclab.factors.variants import LADDER, OPTIMIZED
from grpclab.report.sections import ladder, throughput
from grpclab.study.designs.leave_one_out import without
from tests.support import plans, synthetic
from tests.support.finished import finished
from tests.support.pages import html_of

LEVELS = [1, 2, 4, 8, 16, 32, 64]


def law(n: float, one: float, contention: float, coherency: float) -> float:
    return one * n / (1 + contention * (n - 1) + coherency * n * (n - 1))


@given(st.floats(100, 1e5), st.floats(0.01, 0.5), st.floats(1e-5, 1e-2))
def test_a_curve_that_follows_the_law_is_found_again(one: float, contention: float, coherency: float) -> None:
    found = fit(LEVELS, [law(n, one, contention, coherency) for n in LEVELS])
    assert found is not None
    assert found.fits
    for level in (1, 10, 60):
        assert found.at(level) == pytest.approx(law(level, one, contention, coherency), rel=0.02)


def test_the_peak_is_where_throughput_falls_again() -> None:
    found = fit(LEVELS, [law(n, 1000, 0.1, 0.001) for n in LEVELS])
    assert found is not None
    assert found.peak == pytest.approx(math.sqrt(0.9 / 0.001), rel=0.02)
    assert "highest throughput near 30 calls in flight" in throughput.sentence(found)


def test_too_few_levels_give_no_law_and_a_curve_that_does_not_follow_it_says_no_fit() -> None:
    assert fit(LEVELS[: FEWEST_LEVELS - 1], [1.0] * (FEWEST_LEVELS - 1)) is None
    found = fit(LEVELS, [100, 900, 50, 900, 50, 900, 50])
    assert found is not None
    assert not found.fits
    assert throughput.sentence(found).startswith("no fit: the curve misses one level by")


def test_without_a_rung_its_factors_are_back_below_it_and_all_others_stay() -> None:
    kept = {rung.name: rung for rung in LADDER[1:] if rung.kept}
    assert without("reuse").client.pooling == "per_call"
    assert without("pool").client.pooling == "shared"
    for name, rung in kept.items():
        changed = set(without(name).differences(OPTIMIZED))
        assert changed
        assert changed <= set(rung.changes)


def measured(**rows: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"scenario": "s", "configuration": name, "block": block, "valid": True, "throughput_rps": value}
            for name, values in rows.items()
            for block, value in enumerate(values)
        ]
    )


def test_a_rung_that_gives_more_on_the_way_up_than_at_the_top_is_told() -> None:
    plan = {
        "ladder": [
            {"name": "a", "baseline": "low", "configuration": "step"},
            {"name": "b", "baseline": "step", "configuration": "top"},
        ],
        "leave_one_out": [
            {"name": "a", "title": "A", "scenario": "s", "without": "bare", "top": "top"},
            {"name": "b", "title": "B", "scenario": "s", "without": "step", "top": "top"},
        ],
    }
    noise = np.linspace(0.99, 1.01, 6)
    trials = measured(low=[100.0] * 6, step=list(200 * noise), top=list(220 * noise), bare=list(200 / noise))
    first, second = rungs(trials, plans.value(plan), "throughput_rps")
    assert first.step.mean == pytest.approx(2.0, rel=0.01)
    assert first.top.mean == pytest.approx(1.1, rel=0.01)
    assert first.disagree
    assert second.apart.blocks == 0, "there is one comparison only"
    assert not second.disagree
    assert ladder.order_sentence([first, second]).startswith("The order matters: A has a different effect")
    assert ladder.order_sentence([second]).startswith("As far as these blocks can show, no rung")


def test_the_report_shows_the_ladder_from_its_top_and_leaves_it_out_where_the_plan_has_none() -> None:
    made = synthetic.full_study()
    assert ladder.from_the_top(made.finished()) is None
    plan = made.manifest["plan"]
    rung = [one for one in plan["ladder"] if one["kept"] and one["configuration"]][-1]
    scenario = plan["headline"]["scenario"]
    entry = {"name": rung["name"], "title": "<i>a rung", "scenario": scenario}
    entry |= {"without": plan["headline"]["baseline"], "top": plan["headline"]["candidate"]}
    with_top = {**made.manifest, "plan": {**plan, "leave_one_out": [entry]}}
    html = html_of(ladder.section(finished(with_top, made.trials, made.verdict)))
    assert "&lt;i&gt;a rung" in html
    assert "at the top" in html
