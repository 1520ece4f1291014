"""How sure, how noisy, and what limits each side: the words on the first screen."""

from __future__ import annotations

import pytest
import synthetic

from grpclab.report import confidence
from grpclab.report.study import Study


def study(made: synthetic.MadeStudy) -> Study:
    return Study.of(made.manifest, made.trials, made.verdict)


def test_all_blocks_agree() -> None:
    told = confidence.sure(study(synthetic.small_study()))
    assert told.startswith("it was faster in 6 of 6 blocks, from ")
    assert "once in 32 studies (exact p 0.031, the least that so many blocks can give)" in told


def test_a_slower_candidate_is_slower() -> None:
    made = synthetic.small_study()
    headline = made.verdict["headline"]
    turned = {**headline, "baseline": headline["candidate"], "candidate": headline["baseline"]}
    assert confidence.sure(study(synthetic.MadeStudy(made.manifest, made.trials, {"headline": turned}))).startswith(
        "it was slower in 6 of 6 blocks"
    )


@pytest.mark.parametrize(
    ("blocks", "told"),
    [(1, "not at all: fewer than two blocks hold both sides."), (3, "3 blocks cannot rule out chance, 6 can.")],
)
def test_few_blocks_are_said_to_be_few(blocks: int, told: str) -> None:
    assert told in confidence.sure(study(synthetic.small_study(blocks=blocks)))


def test_noise_is_told_by_the_arm_that_is_the_baseline_twice() -> None:
    made = synthetic.small_study()
    assert "no difference is seen where there is none" in confidence.noise(study(made))
    apart = {**made.verdict["aa"], "ratio": 1.2, "ci_low": 1.1, "ci_high": 1.3}
    told = confidence.noise(study(synthetic.MadeStudy(made.manifest, made.trials, made.verdict | {"aa": apart})))
    assert told.endswith("it differs from itself, so doubt every ratio here.")
    assert confidence.noise(study(synthetic.MadeStudy(made.manifest, made.trials, {}))) == ""


def test_each_side_says_what_limits_it() -> None:
    pairs = dict(confidence.reasons(study(synthetic.full_study())))
    assert pairs["Basic, 64 in flight is limited by"].startswith("client-cpu: ")
    assert "Optimized, 64 in flight is limited by" in pairs
