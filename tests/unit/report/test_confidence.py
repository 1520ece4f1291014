"""How sure, how noisy, and what limits each side: the words on the first screen."""

from __future__ import annotations

import pytest

from grpclab.report import confidence
from grpclab.report.finished import FinishedStudy
from tests.support import synthetic


def study(made: synthetic.MadeStudy) -> FinishedStudy:
    return made.finished()


def test_all_blocks_agree() -> None:
    told = confidence.sure(study(synthetic.small_study()))
    assert told.startswith("The fast one was faster in 6 of 6 blocks, with ratios from ")
    assert (
        "once in 32 studies (sign-flip test, p = 0.031, the smallest value possible with this number of blocks)" in told
    )


def test_a_slower_candidate_is_slower() -> None:
    made = synthetic.small_study()
    headline = made.verdict["headline"]
    turned = {**headline, "baseline": headline["candidate"], "candidate": headline["baseline"]}
    assert confidence.sure(study(synthetic.MadeStudy(made.manifest, made.trials, {"headline": turned}))).startswith(
        "The basic one was slower in 6 of 6 blocks"
    )


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        (1, "There is none, because fewer than two blocks have results for both sides."),
        (3, "3 blocks cannot rule out chance: at least 6 are needed."),
    ],
)
def test_few_blocks_are_said_to_be_few(blocks: int, told: str) -> None:
    assert told in confidence.sure(study(synthetic.small_study(blocks=blocks)))


def test_noise_is_told_by_the_arm_that_is_the_baseline_twice() -> None:
    made = synthetic.small_study()

    def told(low: float, high: float) -> str:
        aa = {**made.verdict["aa"], "ratio": (low * high) ** 0.5, "ci_low": low, "ci_high": high}
        return confidence.noise(study(synthetic.MadeStudy(made.manifest, made.trials, made.verdict | {"aa": aa})))

    assert told(0.98, 1.03).endswith("so the comparison found no difference where there is none.")
    assert told(0.8, 1.3).endswith(
        "With this number of blocks, a ratio inside that interval cannot be distinguished from noise."
    )
    assert told(1.1, 1.3).endswith(
        "Identical configurations gave different results, so treat every ratio in this study with caution."
    )
    assert confidence.noise(study(synthetic.MadeStudy(made.manifest, made.trials, {}))) == ""


def test_each_side_says_what_limits_it() -> None:
    pairs = dict(confidence.reasons(study(synthetic.full_study())))
    assert pairs["Basic, 64 in flight, is limited by"].startswith("client-cpu: ")
    assert "Optimized, 64 in flight, is limited by" in pairs


def test_a_study_with_groups_says_what_its_blocks_can_show() -> None:
    made = synthetic.small_study()
    assert confidence.seen(study(made)) == ""  # of the first edition
    names = [row["name"] for row in made.manifest["plan"]["configurations"]]
    plan = {**made.manifest["plan"], "groups": [{"hub": names[0], "members": names}]}
    grouped = study(synthetic.MadeStudy({**made.manifest, "plan": plan}, made.trials, made.verdict))
    told = confidence.seen(grouped)
    assert told.startswith("With 6 blocks whose ratios vary by ")
    assert "detect an effect of " in told
    assert ("What these blocks can detect", told) in confidence.reasons(grouped)
    assert grouped.margins == (1 / (1 + grouped.delta), 1 + grouped.delta)
    assert study(made).margins == (1 - grouped.delta, 1 + grouped.delta)
