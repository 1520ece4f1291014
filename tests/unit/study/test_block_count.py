"""The number of blocks of a study, by the noise and the costs of its first ones."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grpclab.analysis.study_plan import PlannedConfiguration, PlannedGroup, PlannedHeadline, StudyPlan
from grpclab.study.block_count import MOST_BLOCKS, by_noise, noise_of, seconds_of_blocks, within_budget

PLAN = StudyPlan(
    blocks=6,
    delta=0.05,
    metric="throughput_rps",
    configurations=tuple(PlannedConfiguration(name=name, scenario="s") for name in "ab"),
    headline=PlannedHeadline(scenario="s", metric="throughput_rps", baseline="a", candidate="b"),
    groups=(PlannedGroup(hub="a", members=("a", "b")),),
)


def trials(noise: float, *, effect: float = 1.0, window_s: float = 1.0) -> pd.DataFrame:
    """Four blocks whose ratio varies by so much, the same each time."""
    drawn = np.random.default_rng(7).normal(0, 1, 4)
    drawn = noise * (drawn - drawn.mean()) / drawn.std(ddof=1)
    rows = [
        {
            "scenario": "s",
            "configuration": name,
            "block": block,
            "group": 0,
            "valid": True,
            "throughput_rps": 1000.0 * (effect * np.exp(drawn[block]) if name == "b" else 1.0),
            "window_s": window_s,
        }
        for block in range(4)
        for name in "ab"
    ]
    return pd.DataFrame(rows)


def test_a_quiet_pilot_plans_the_fewest_blocks_and_a_noisy_one_the_most() -> None:
    assert by_noise(trials(0.003), PLAN, 3.0).blocks == 6
    middle = by_noise(trials(0.03), PLAN, 3.0)
    assert 6 < middle.blocks < MOST_BLOCKS
    assert f"{middle.blocks} blocks are planned" in middle.reason
    most = by_noise(trials(0.3), PLAN, 3.0)
    assert most.blocks == MOST_BLOCKS
    assert "would be needed" in most.reason
    named = by_noise(trials(0.1), PLAN, 3.0)
    assert named.blocks == MOST_BLOCKS
    assert re.search(r"--blocks (\d+) takes about \d+ min", named.reason), "how to lift the cap"
    assert len(most.lines) == 6


def test_the_effect_of_the_pilot_changes_nothing() -> None:
    assert noise_of(trials(0.03, effect=3.0), PLAN) == pytest.approx(noise_of(trials(0.03), PLAN))
    assert by_noise(trials(0.03, effect=3.0), PLAN, 3.0) == by_noise(trials(0.03), PLAN, 3.0)
    budgets = [within_budget(trials(0.03, effect=effect), PLAN, 100.0, 720.0) for effect in (1.0, 1.3)]
    assert budgets[0] == budgets[1]


def test_a_budget_takes_the_blocks_that_fit() -> None:
    noisy = trials(0.2)
    assert within_budget(noisy, PLAN, 10.0, 720.0).blocks > within_budget(noisy, PLAN, 60.0, 720.0).blocks >= 6
    quiet = within_budget(trials(0.003), PLAN, 10.0, 720.0)
    assert quiet.blocks == 6, "more of them would show nothing more"
    assert quiet.counted_s is None


def test_a_slow_machine_counts_for_less_time_before_the_budget_is_exceeded() -> None:
    long = trials(0.01, window_s=30.0)
    fitted = within_budget(long, PLAN, 130.0, 720.0)
    assert fitted.blocks == 6
    assert fitted.counted_s is not None
    assert 0.5 <= fitted.counted_s < 1.0
    assert within_budget(long, PLAN, 130.0, 7200.0, blocks=8).blocks == 8
    assert within_budget(long, PLAN, 130.0, 7200.0, blocks=5).blocks == 5, "as many as were asked for"


def test_noise_that_is_not_of_the_slices_does_not_grow_with_less_counted_time() -> None:
    def fitted(slices_sd: float) -> str:
        return within_budget(trials(0.05, window_s=30.0), PLAN, 130.0, 720.0, slices_sd=slices_sd).reason

    def smallest(reason: str) -> float:
        return float(reason.partition("effects of ")[2].partition(" %")[0])

    assert smallest(fitted(0.001)) < smallest(fitted(math.nan))
    assert fitted(0.05) == fitted(math.nan), "all of it from the slices is the worst that can be"


def test_what_no_budget_can_hold_is_told() -> None:
    assert "exceeds the budget" in within_budget(trials(0.01), PLAN, 300.0, 720.0).reason


def test_a_plan_without_a_headline_has_no_noise() -> None:
    found = by_noise(trials(0.01), replace(PLAN, headline=None), 3.0)
    assert found.blocks == MOST_BLOCKS


def test_a_block_takes_its_groups_and_what_is_beside_them() -> None:
    seconds = {(0, 0): 3.0, (1, 0): 5.0, (0, 1): 2.0, (1, 1): 4.0}
    four = trials(0.01)
    assert seconds_of_blocks(four[four["block"] < 2], seconds, 0.5) == pytest.approx(8.0)
