"""How many blocks a comparison takes, from its noise alone, held against simulated comparisons."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from grpclab.analysis import (
    BlockCosts,
    PairNoise,
    blocks_for,
    effect_lines,
    effect_table,
    fit_budget,
    judge,
    smallest_seen,
    spread_within_pairs,
    upper_spread,
)
from grpclab.analysis.inference.sample_size import EFFECTS, POWERS, PROMISED, is_promised, shows_equivalence

MANY = 10_000
"""Degrees of freedom at which the noise is known."""


def decided(wanted: str, *, truth: float, noise: float, blocks: int, delta: float, studies: int = 4000) -> float:
    """The share of simulated comparisons that end with this verdict, by the paired t test."""
    rng = np.random.default_rng(17)
    samples = rng.normal(math.log(truth), noise, (studies, blocks))
    mean, error = samples.mean(axis=1), samples.std(axis=1, ddof=1) / math.sqrt(blocks)
    half = scipy.stats.t.ppf(0.975, blocks - 1) * error
    p = 2 * scipy.stats.t.sf(np.abs(mean) / error, blocks - 1)
    verdicts = [
        judge(
            metric="throughput_rps",
            ratio=math.exp(middle),
            ci_low=math.exp(middle - width),
            ci_high=math.exp(middle + width),
            p_value=chance,
            delta=delta,
            blocks=blocks,
        )
        for middle, width, chance in zip(mean, half, p, strict=True)
    ]
    return verdicts.count(wanted) / studies  # type: ignore[arg-type]


def known(blocks: int | None) -> int:
    assert blocks is not None
    return blocks


def test_the_upper_bound_of_a_spread_matches_a_table() -> None:
    # chi-square with 3 degrees of freedom has 20 % of its mass below 1.005: sqrt(3 / 1.005) = 1.728
    assert upper_spread(0.02, 3) == pytest.approx(0.02 * 1.728, rel=1e-3)
    assert math.isnan(upper_spread(0.02, 0))


def test_four_pilots_in_five_have_a_bound_that_is_not_below_the_noise() -> None:
    rng = np.random.default_rng(3)
    seen = rng.normal(0, 0.03, (5000, 4)).std(axis=1, ddof=1)
    assert np.mean([upper_spread(sd, 3) >= 0.03 for sd in seen]) == pytest.approx(0.8, abs=0.02)


def test_spreads_are_pooled_without_the_effects_of_their_comparisons() -> None:
    one, other = [0.00, 0.02, 0.04, 0.02], [1.01, 1.01, 0.99, 0.99]
    sd, degrees = spread_within_pairs([one, other, [5.0], [math.nan, 1.0]])
    assert degrees == 6
    assert sd == pytest.approx(math.sqrt((0.0008 + 0.0004) / 6))
    assert spread_within_pairs([[1.0]])[1] == 0


@pytest.mark.parametrize("noise", [0.02, 0.04, 0.08])
def test_the_blocks_for_no_difference_end_equivalent_in_four_comparisons_of_five(noise: float) -> None:
    blocks = known(blocks_for(noise, MANY, delta=0.05))
    share = decided("equivalent", truth=1.0, noise=noise, blocks=blocks, delta=0.05)
    assert share >= 0.77
    assert share <= 0.9 or blocks == 6


@pytest.mark.parametrize(("effect", "delta", "noise"), [(0.10, 0.05, 0.04), (0.05, 0.02, 0.03), (0.03, 0.01, 0.02)])
@pytest.mark.parametrize("way", ["faster", "slower"])
def test_the_blocks_for_an_effect_find_it_in_four_comparisons_of_five(
    effect: float, delta: float, noise: float, way: str
) -> None:
    blocks = known(blocks_for(noise, MANY, delta=delta, effect=effect))
    truth = 1 + effect if way == "faster" else 1 / (1 + effect)
    share = decided(way, truth=truth, noise=noise, blocks=blocks, delta=delta)
    assert share >= 0.76
    assert share <= 0.92 or blocks == 6


@given(st.floats(0.001, 0.3), st.integers(1, 40), st.floats(0.005, 0.2))
def test_what_blocks_for_promises_smallest_seen_finds(noise: float, degrees: int, delta: float) -> None:
    effect = 3 * delta
    blocks = blocks_for(noise, degrees, delta=delta, effect=effect)
    if blocks is not None:
        assert smallest_seen(noise, blocks, degrees, delta=delta) <= effect * (1 + 1e-9)
        if blocks > 6:
            assert smallest_seen(noise, blocks - 1, degrees, delta=delta) > effect


@given(st.floats(0.001, 0.3), st.integers(3, 40))
def test_more_noise_takes_more_blocks_and_no_verdict_less_than_six(noise: float, degrees: int) -> None:
    few, many = blocks_for(noise, degrees, delta=0.05), blocks_for(1.5 * noise, degrees, delta=0.05)
    assert few is None or few >= 6
    assert few is None or many is None or many >= few
    assert few is None or shows_equivalence(noise, few, degrees, delta=0.05)


@pytest.mark.parametrize("effect", [0.01, 0.05, 0.075])
def test_an_effect_within_one_and_a_half_margins_is_never_promised(effect: float) -> None:
    assert blocks_for(0.001, MANY, delta=0.05, effect=effect) is None
    assert not is_promised(effect, 0.05)
    assert smallest_seen(0.0001, 30, MANY, delta=0.05) == pytest.approx(PROMISED * 0.05)


def test_noise_that_is_not_known_promises_nothing() -> None:
    assert blocks_for(math.nan, 3, delta=0.05) is None
    assert blocks_for(0.02, 0, delta=0.05) is None
    assert math.isnan(smallest_seen(0.02, 6, 0, delta=0.05))
    assert blocks_for(3.0, 3, delta=0.05) is None


def test_a_plan_says_what_each_effect_takes() -> None:
    rows = effect_table(0.02, 12, delta=0.02, block_s=5.0)
    assert [row.effect for row in rows] == [0.0, *EFFECTS]
    assert [row.promised for row in rows] == [True, True, True, False, False, False]
    assert [row.blocks for row in rows[1:3]] == [
        blocks_for(0.02, 12, delta=0.02, effect=effect) for effect in EFFECTS[:2]
    ]
    assert all(row.seconds == 5.0 * row.blocks for row in rows if row.blocks is not None)
    lines = effect_lines(rows, delta=0.02)
    assert lines[0].startswith("no difference (within 2 %)")
    assert "might not be detected" in lines[3]
    assert f"{rows[1].blocks} blocks" in lines[1]


COSTS, NOISE = BlockCosts(fixed_s=4.0, per_counted_s=6.0), PairNoise(sd=0.03, degrees=9, counted_s=1.0)


def test_a_budget_is_kept_and_a_larger_one_sees_no_less() -> None:
    tight, wide = (fit_budget(COSTS, NOISE, seconds, delta=0.01) for seconds in (120.0, 720.0))
    assert tight.fits
    assert wide.fits
    assert tight.seconds <= 120.0
    assert wide.seconds <= 720.0
    assert wide.smallest_effect < tight.smallest_effect
    assert tight.seconds == pytest.approx(tight.blocks * COSTS.block_s(tight.counted_s))


def test_a_machine_that_is_twice_as_slow_keeps_the_budget_and_sees_less() -> None:
    slow = BlockCosts(fixed_s=8.0, per_counted_s=12.0)
    fits = [fit_budget(costs, NOISE, 300.0, delta=0.01) for costs in (COSTS, slow)]
    assert [fit.seconds <= 300.0 for fit in fits] == [True, True]
    assert fits[1].smallest_effect > fits[0].smallest_effect


def test_a_quiet_machine_ends_before_its_budget() -> None:
    fit = fit_budget(COSTS, PairNoise(sd=0.004, degrees=9, counted_s=1.0), 3600.0, delta=0.05)
    assert fit.blocks == 6
    assert fit.smallest_effect == pytest.approx(PROMISED * 0.05)


def test_a_budget_shows_equivalence_with_more_certainty_if_there_is_time() -> None:
    noise = PairNoise(sd=0.015, degrees=3, counted_s=1.0)
    costs = BlockCosts(fixed_s=4.0, per_counted_s=1.0)
    fits = [
        fit_budget(costs, noise, seconds, delta=0.05, least_counted_s=1.0, most_counted_s=1.0)
        for seconds in (30.0, 45.0, 3600.0)
    ]
    shown = [
        max(
            power
            for power in (0.0, *POWERS)
            if not power or shows_equivalence(noise.sd, fit.blocks, noise.degrees, delta=0.05, power=power)
        )
        for fit in fits
    ]
    assert shown == sorted(shown)
    assert 0.0 < shown[0] < shown[-1] == 0.95
    before = fits[-1].blocks - 1
    assert not shows_equivalence(noise.sd, before, noise.degrees, delta=0.05, power=0.95), "no more than that takes"


def test_a_budget_too_small_for_a_verdict_says_so_and_plans_the_least() -> None:
    fit = fit_budget(COSTS, NOISE, 10.0, delta=0.05)
    assert not fit.fits
    assert (fit.blocks, fit.counted_s) == (6, 0.5)


def test_longer_slices_help_only_where_the_noise_lies_within_a_block() -> None:
    within = PairNoise(sd=0.05, degrees=9, counted_s=1.0, slices_sd=0.05)
    between = PairNoise(sd=0.05, degrees=9, counted_s=1.0, slices_sd=0.0)
    assert within.at(4.0) == pytest.approx(0.025)
    assert between.at(4.0) == pytest.approx(0.05)
    costs = BlockCosts(fixed_s=20.0, per_counted_s=1.0)
    long, short = (fit_budget(costs, noise, 400.0, delta=0.01) for noise in (within, between))
    assert long.counted_s > short.counted_s


def test_a_shorter_time_is_never_thought_to_be_free() -> None:
    assert NOISE.at(0.25) == pytest.approx(0.06)
    assert NOISE.at(4.0) == pytest.approx(0.03)
