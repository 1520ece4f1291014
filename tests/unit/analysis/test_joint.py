"""Several runs as one estimate, held against published numbers and simulated runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grpclab.analysis import Comparison
from grpclab.analysis.inference.joint import joined
from grpclab.analysis.inference.random_effects import hartung_knapp
from grpclab.analysis.inference.ratios import t_quantile

BCG = (
    *((4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619), (33, 5036, 47, 5761)),
    *((180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892), (29, 7470, 45, 7232)),
    *((17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338), (27, 16886, 29, 17825)),
)
"""Thirteen trials of the BCG vaccine (Colditz et al., JAMA 271 (1994), 698-702): cases and others, of either arm."""


def run(ratio: float, sd: float = 0.02, blocks: int = 9, **more: object) -> Comparison:
    half = t_quantile(0.975, blocks - 1) * sd / math.sqrt(blocks)
    return Comparison(
        metric="throughput_rps",
        baseline="a",
        candidate="b",
        ratio=ratio,
        ci_low=ratio * math.exp(-half),
        ci_high=ratio * math.exp(half),
        blocks=blocks,
        **more,  # type: ignore[arg-type]
    )


def test_the_interval_is_the_published_one() -> None:
    # metafor, rma(measure="RR", method="REML", test="knha") of these trials: -0.7145 (-1.1084 to -0.3206), tau^2 0.3132
    risks = [math.log(a / (a + b) / (c / (c + d))) for a, b, c, d in BCG]
    errors = [math.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)) for a, b, c, d in BCG]
    found = hartung_knapp(risks, errors)
    assert (found.mean, found.low, found.high) == pytest.approx((-0.7145, -1.1084, -0.3206), abs=5e-5)
    assert found.tau**2 == pytest.approx(0.3132, abs=5e-5)
    assert found.p_value == pytest.approx(0.0019, abs=5e-5)
    assert found.runs == 13


def test_runs_of_equal_weight_have_the_t_interval_of_their_means() -> None:
    values = [0.10, 0.16, 0.13, 0.09]
    found = hartung_knapp(values, [0.02] * 4)
    half = t_quantile(0.975, 3) * float(np.std(values, ddof=1)) / 2
    assert found.mean == pytest.approx(0.12)
    assert (found.low, found.high) == pytest.approx((0.12 - half, 0.12 + half))


@pytest.mark.parametrize("tau", [0.0, 0.03])
def test_the_interval_of_few_runs_holds_the_truth_in_nineteen_of_twenty(tau: float) -> None:
    rng = np.random.default_rng(5)
    errors = np.array([0.01, 0.02, 0.015, 0.012])
    held = [
        found.low <= 0.1 <= found.high
        for _ in range(1000)
        for found in [hartung_knapp(0.1 + rng.normal(0, np.sqrt(errors**2 + tau**2)), errors)]
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(("values", "errors"), [([0.1], [0.1]), ([0.1, 0.2], [0.1, 0.0]), ([0.1, math.nan], [1, 1])])
def test_what_cannot_be_pooled_is_refused(values: list[float], errors: list[float]) -> None:
    with pytest.raises(ValueError, match="expected at least two estimates"):
        hartung_knapp(values, errors)


def test_two_runs_have_their_ratios_and_spread_but_no_interval() -> None:
    found = joined([run(1.20), run(1.30), Comparison()], delta=0.05)
    assert (found.low, found.high) == pytest.approx((1.20, 1.30))
    assert found.ratio == pytest.approx(math.sqrt(1.2 * 1.3))
    assert found.pooled is None
    assert found.verdict == "inconclusive"
    assert math.isnan(found.interval[0])
    assert len(found.runs) == 2


def test_three_runs_that_agree_have_a_verdict() -> None:
    found = joined([run(1.20), run(1.21), run(1.19)], delta=0.05)
    assert found.verdict == "faster"
    assert found.blocks == 27
    assert found.interval[0] < 1.2 < found.interval[1]


def test_runs_that_differ_more_than_each_says_are_not_sure_together() -> None:
    found = joined([run(1.30, sd=0.005), run(1.00, sd=0.005), run(1.15, sd=0.005)], delta=0.05)
    assert found.verdict == "inconclusive"
    assert found.pooled is not None
    assert found.pooled.tau > 0.05
    assert found.interval[0] < 1


def test_runs_that_agree_on_no_difference_are_equivalent() -> None:
    assert joined([run(1.002), run(0.999), run(1.0)], delta=0.05).verdict == "equivalent"


def test_exchanging_the_sides_of_all_runs_mirrors_the_joint_verdict() -> None:
    one = joined([run(1.2), run(1.3), run(1.25)], delta=0.05)
    other = joined([run(1 / 1.2), run(1 / 1.3), run(1 / 1.25)], delta=0.05)
    assert (one.verdict, other.verdict) == ("faster", "slower")
    assert other.interval == pytest.approx((1 / one.interval[1], 1 / one.interval[0]))


def test_a_generator_that_was_the_limit_of_a_run_is_that_of_all() -> None:
    runs = [run(1.2), run(1.21), run(1.19, bound_sides=("a",))]
    assert joined(runs, delta=0.05).verdict == "inconclusive"
    assert joined(runs, delta=0.05).bound
