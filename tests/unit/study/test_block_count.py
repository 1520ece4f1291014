"""The number of blocks of a study, by the noise of its first ones."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from grpclab.analysis.study_plan import PlannedConfiguration, PlannedGroup, PlannedHeadline, StudyPlan
from grpclab.study.block_count import MOST_BLOCKS, by_noise, noise_of

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
    assert re.search(r"\(--blocks (\d+), about \d+ min\)", named.reason), "how to lift the cap"
    assert len(most.lines) == 6


def test_the_effect_of_the_pilot_changes_nothing() -> None:
    assert noise_of(trials(0.03, effect=3.0), PLAN) == pytest.approx(noise_of(trials(0.03), PLAN))
    assert by_noise(trials(0.03, effect=3.0), PLAN, 3.0) == by_noise(trials(0.03), PLAN, 3.0)


def test_a_plan_without_a_headline_has_no_noise() -> None:
    found = by_noise(trials(0.01), replace(PLAN, headline=None), 3.0)
    assert found.blocks == MOST_BLOCKS
