"""Ratios within blocks, their interval and their p values."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from grpclab.analysis import (
    block_ratios,
    compare,
    fewest_blocks,
    holm,
    log_t_interval,
    paired_t_p,
    sign_flip_p,
    t_interval,
)
from grpclab.analysis.inference.pairing import pair_blocks
from tests.support.frames import trials_of

METRIC = "throughput_rps"
rates = st.floats(min_value=1.0, max_value=1e5)
pairs = st.lists(st.tuples(rates, rates), min_size=2, max_size=8)


def ratios(frame: pd.DataFrame) -> pd.DataFrame:
    return block_ratios(frame, scenario="chatter", metric=METRIC, baseline="old", candidate="new")


def notes(frame: pd.DataFrame) -> str:
    paired = pair_blocks(frame, scenario="chatter", metric=METRIC, baseline="old", candidate="new")
    return "; ".join(paired.notes)


def test_a_ratio_is_candidate_over_baseline_within_each_block() -> None:
    found = ratios(trials_of({"old": [100, 200], "new": [150, 500]}))
    assert list(found.columns) == ["block", "baseline", "candidate", "ratio"]
    assert found["block"].tolist() == [0, 1]
    assert found["ratio"].tolist() == [1.5, 2.5]


def test_rows_in_any_order_pair_by_block() -> None:
    frame = trials_of({"old": [100, 200, 300], "new": [200, 400, 900]})
    shuffled = frame.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(ratios(frame), ratios(shuffled))


def test_an_invalid_trial_takes_its_block_out_with_the_reason() -> None:
    frame = trials_of({"old": [100, 200, 300], "new": [200, 400, 900]})
    frame.loc[1, "valid"] = False
    frame.loc[1, "invalid_reason"] = "server died"
    assert ratios(frame)["block"].tolist() == [0, 2]
    assert notes(frame) == "block 1 was left out because the trial of old is invalid (server died)"


def test_a_trial_whose_calls_all_failed_is_excluded_and_said_so() -> None:
    frame = trials_of({"old": [100, 200, 300], "new": [200, 0, 900]})
    assert ratios(frame)["block"].tolist() == [0, 2]
    assert (
        notes(frame)
        == "block 1 was left out because the trial of new measured a throughput_rps of 0, which has no logarithm"
    )


def test_a_value_that_was_not_measured_is_excluded_and_said_so() -> None:
    frame = trials_of({"old": [100, math.nan], "new": [200, 300]})
    assert ratios(frame)["block"].tolist() == [0]
    assert "block 1 was left out because the trial of old did not measure throughput_rps" in notes(frame)


def test_a_block_with_one_side_only_is_excluded_and_said_so() -> None:
    frame = trials_of({"old": [100, 200], "new": [200]})
    assert ratios(frame)["block"].tolist() == [0]
    assert notes(frame) == "block 1 was left out because there is no trial of new"


def test_a_configuration_without_trials_gives_no_ratios_and_one_note() -> None:
    frame = trials_of({"old": [100, 200]})
    assert ratios(frame).empty
    assert notes(frame) == "no trial of new in scenario chatter"


def test_frames_without_rows_or_columns_give_no_ratios() -> None:
    assert ratios(pd.DataFrame()).empty
    assert ratios(trials_of({"old": [1.0], "new": [2.0]}).iloc[:0]).empty
    assert ratios(trials_of({"old": [1.0], "new": [2.0]}).drop(columns=METRIC)).empty


def test_a_valid_flag_that_is_missing_is_not_valid() -> None:
    frame = trials_of({"old": [100, 200], "new": [200, 300]}).astype({"valid": object})
    frame.loc[0, "valid"] = None
    assert ratios(frame)["block"].tolist() == [1]


def test_trials_repeated_within_a_block_count_as_their_geometric_mean() -> None:
    frame = trials_of({"old": [100], "new": [200]})
    again = trials_of({"new": [800]})
    assert ratios(pd.concat([frame, again], ignore_index=True))["ratio"].tolist() == pytest.approx([4.0])


def test_other_scenarios_stay_out() -> None:
    frame = trials_of({"old": [100], "new": [200]})
    frame["scenario"] = "bulk"
    assert ratios(frame).empty


def test_the_t_interval_matches_a_hand_calculation() -> None:
    # 1, 2, 3: mean 2, s = 1, t(0.975, 2) = 4.30265
    found = t_interval([1.0, 2.0, 3.0])
    half = 4.302653 / math.sqrt(3)
    assert (found.mean, found.blocks) == (2.0, 3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_the_interval_of_ratios_is_taken_on_logarithms() -> None:
    # ln 2, ln 4, ln 8: mean ln 4, s = ln 2, t(0.975, 2) = 4.30265, half = 4.30265 ln 2 / sqrt 3 = 1.72188
    found = log_t_interval([2.0, 4.0, 8.0])
    assert found.mean == pytest.approx(4.0)
    assert found.high == pytest.approx(4 * math.exp(1.72188), rel=1e-4)
    assert found.low == pytest.approx(4 * math.exp(-1.72188), rel=1e-4)


def test_two_values_have_a_mean_and_no_interval_which_would_say_nothing() -> None:
    found = log_t_interval([2.0, 8.0])
    assert found.mean == pytest.approx(4.0)
    assert found.blocks == 2
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_one_block_has_a_mean_and_no_interval_and_none_has_neither() -> None:
    one, none = t_interval([5.0, math.nan]), t_interval([])
    assert (one.mean, one.blocks) == (5.0, 1)
    assert math.isnan(one.low)
    assert none.blocks == 0
    assert math.isnan(none.mean)


def test_an_interval_too_wide_for_a_float_is_infinite_not_an_error() -> None:
    assert log_t_interval([1e-300, 1.0, 1e300]).high == math.inf


def test_the_sign_flip_p_is_least_when_all_blocks_agree() -> None:
    for blocks in range(2, 11):
        assert sign_flip_p(np.linspace(0.1, 0.3, blocks)) == pytest.approx(2 / 2**blocks)


def test_the_sign_flip_p_matches_an_enumeration_by_hand() -> None:
    # of the 8 sums +-3 +-2 +-1, two reach 4 (6, 4) and two -4: p = 4 / 8
    assert sign_flip_p([3.0, 2.0, -1.0]) == pytest.approx(0.5)


def test_six_blocks_are_the_fewest_that_the_exact_test_can_decide() -> None:
    assert fewest_blocks() == 6
    assert fewest_blocks(0.002) == 10
    assert sign_flip_p([0.5] * 5) > 0.05 > sign_flip_p([0.5] * 6)


def test_many_blocks_are_flipped_at_random_from_a_fixed_seed() -> None:
    sample = np.random.default_rng(1).normal(0.02, 0.1, 30)
    assert sign_flip_p(sample) == sign_flip_p(sample)
    assert sign_flip_p(sample) == pytest.approx(paired_t_p(sample), abs=0.03)


def test_the_paired_t_p_is_scipys() -> None:
    sample = [0.3, 0.1, 0.25, -0.05, 0.2]
    assert paired_t_p(sample) == pytest.approx(stats.ttest_1samp(sample, 0).pvalue)


def test_blocks_that_agree_to_the_last_digit_need_no_warning() -> None:
    assert paired_t_p([0.1] * 4) == 0.0
    assert paired_t_p([0.0] * 4) == 1.0
    assert sign_flip_p([0.0] * 4) == 1.0


def test_one_block_has_no_p() -> None:
    assert math.isnan(sign_flip_p([0.3]))
    assert math.isnan(paired_t_p([]))


def test_holm_matches_a_hand_calculation() -> None:
    # sorted 0.01, 0.03, 0.04 by 3, 2, 1: 0.03, 0.06, 0.04 raised to 0.06
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_holm_leaves_out_what_has_no_p() -> None:
    found = holm([0.01, math.nan, 0.02])
    assert math.isnan(found[1])
    assert [found[0], found[2]] == pytest.approx([0.02, 0.02])
    assert holm([]) == []


def test_holm_refuses_what_is_no_p() -> None:
    with pytest.raises(ValueError, match=r"1\.5 is not a p value"):
        holm([0.1, 1.5])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    by_p = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert by_p == sorted(by_p)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_does_not_depend_on_the_order_given(p_values: list[float]) -> None:
    assert holm(p_values[::-1])[::-1] == holm(p_values)


@settings(max_examples=40)
@given(pairs)
def test_swapping_the_sides_inverts_ratio_and_interval_and_keeps_the_p(
    sides: list[tuple[float, float]],
) -> None:
    frame = trials_of({"old": [a for a, _ in sides], "new": [b for _, b in sides]})
    there = compare(frame, scenario="chatter", metric=METRIC, baseline="old", candidate="new", exact=True)
    back = compare(frame, scenario="chatter", metric=METRIC, baseline="new", candidate="old", exact=True)
    assert back.ratio == pytest.approx(1 / there.ratio)
    if there.has_interval and there.ci_low > 0 and there.ci_high < math.inf:
        assert back.ci_low == pytest.approx(1 / there.ci_high)
        assert back.ci_high == pytest.approx(1 / there.ci_low)
    assert back.p_value == pytest.approx(there.p_value, nan_ok=True)


@settings(max_examples=40)
@given(pairs, st.sampled_from([0.125, 0.5, 4.0, 1024.0]))
def test_the_unit_of_the_metric_does_not_matter(sides: list[tuple[float, float]], scale: float) -> None:
    old, new = [a for a, _ in sides], [b for _, b in sides]
    plain = ratios(trials_of({"old": old, "new": new}))["ratio"]
    scaled = ratios(trials_of({"old": [a * scale for a in old], "new": [b * scale for b in new]}))["ratio"]
    assert plain.tolist() == scaled.tolist()


@settings(max_examples=40)
@given(pairs, st.sampled_from([0.5, 2.0, 8.0]))
def test_a_disturbance_that_a_block_shares_cancels(sides: list[tuple[float, float]], slow: float) -> None:
    calm = trials_of({"old": [a for a, _ in sides], "new": [b for _, b in sides]})
    stormy = calm.copy()
    stormy.loc[stormy["block"] == 0, METRIC] *= slow
    assert ratios(calm)["ratio"].tolist() == ratios(stormy)["ratio"].tolist()


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth, rng = 1.3, np.random.default_rng(20_240)
    covered = 0
    for _ in range(200):
        found = log_t_interval(truth * np.exp(rng.normal(0, 0.08, 6)))
        covered += found.low <= truth <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_equal_configurations_are_rarely_called_different() -> None:
    rng = np.random.default_rng(7)
    alarms = sum(sign_flip_p(rng.normal(0, 0.08, 6)) < 0.05 for _ in range(200))
    assert alarms / 200 <= 0.07
