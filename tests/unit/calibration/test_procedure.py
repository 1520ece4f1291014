"""Whole comparisons, from the pilot's noise to the verdict, on simulated blocks whose truth is known."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from grpclab.calibration.procedure import (
    CASES,
    COVERED,
    DECIDED,
    EXPERIMENT,
    FOUND,
    GOALS,
    NOISES,
    WRONG,
    Case,
    body,
    claims,
    simulate,
    verdicts,
)
from grpclab.study.block_count import MOST_BLOCKS
from tests.support.pages import html_of


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return simulate(comparisons=25, seed=3)


def test_every_case_has_its_shares(frame: pd.DataFrame) -> None:
    same = sum(case.truth == 1.0 for case in CASES)
    assert len(frame) == len(NOISES) * (3 * same + 2 * (len(CASES) - same))
    assert set(frame["what"]) == set(GOALS)
    assert frame["share"].between(0, 1).all()
    assert frame["blocks"].between(6, MOST_BLOCKS).all()


def test_nothing_is_called_faster_than_itself_and_a_quiet_machine_decides(frame: pd.DataFrame) -> None:
    assert frame.loc[frame["what"].eq(WRONG), "share"].max() <= 0.04
    quiet = frame[frame["noise"].eq(NOISES[0])]
    assert quiet.loc[quiet["what"].isin([DECIDED, FOUND]), "share"].min() >= 0.9


def test_more_noise_takes_more_blocks(frame: pd.DataFrame) -> None:
    blocks = frame[frame["truth"].eq(1.0) & frame["what"].eq(DECIDED) & frame["delta"].eq(0.02)]["blocks"]
    assert list(blocks) == sorted(blocks)
    assert blocks.iloc[-1] > blocks.iloc[0]


def test_a_goal_that_is_missed_is_told(frame: pd.DataFrame) -> None:
    spoilt = frame.assign(share=frame["share"].where(frame["what"].ne(WRONG), 0.2))
    by_what = dict(zip(GOALS, claims(spoilt), strict=True))
    assert by_what[WRONG].holds is False
    assert "20.0%" in by_what[WRONG].measured
    assert by_what[DECIDED].holds
    assert "25 simulated comparisons" in html_of(body(frame))
    assert EXPERIMENT.claims is claims


def test_the_same_seed_gives_the_same_verdicts() -> None:
    case = Case(truth=1.1, delta=0.05)
    one, other = (verdicts(case, 0.02, comparisons=5, seed=9) for _ in range(2))
    assert one == other
    assert all(math.isfinite(end.blocks) for end in one)


@pytest.mark.long
def test_the_interval_holds_the_truth_though_the_pilot_fixed_the_number_of_blocks() -> None:
    ends = [
        end
        for noise in NOISES
        for delta in (0.02, 0.05)
        for end in verdicts(Case(truth=1.0, delta=delta), noise, comparisons=1500, seed=1)
    ]
    assert sum(end.covers for end in ends) / len(ends) == pytest.approx(0.94, abs=0.015)
    assert COVERED in GOALS
