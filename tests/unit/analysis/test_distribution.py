"""Distributions of latency over many trials: histograms are added up, percentiles are never averaged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.analysis.inference.distribution import distribution, merge
from grpclab.load.core.summary import histogram
from grpclab.metrics import MIN_BEYOND

LATENCIES = st.lists(st.floats(min_value=1e-5, max_value=100), min_size=1, max_size=300)


@settings(max_examples=40)
@given(LATENCIES, LATENCIES)
def test_two_trials_together_are_the_distribution_of_all_their_calls(first: list[float], second: list[float]) -> None:
    apart = distribution([histogram(np.array(first)), histogram(np.array(second))])
    whole = distribution([histogram(np.array(first + second))])
    assert apart.count == whole.count == len(first) + len(second)
    np.testing.assert_array_equal(apart.latency_s, whole.latency_s)
    np.testing.assert_array_equal(apart.at_or_below, whole.at_or_below)


@settings(max_examples=40)
@given(st.lists(st.floats(min_value=1e-4, max_value=10), min_size=11, max_size=500), st.floats(0, 1))
def test_a_percentile_is_an_observed_value_to_three_digits(values: list[float], share: float) -> None:
    found = distribution([histogram(np.array(values))])
    if share > found.last:
        assert math.isnan(found.at(share))
    else:
        exact = np.sort(values)[max(1, math.ceil(share * len(values) - 1e-9)) - 1]
        assert found.at(share) == pytest.approx(exact, rel=2e-3, abs=2e-6)


def test_a_curve_ends_where_too_few_calls_lie_beyond() -> None:
    found = distribution([histogram(np.linspace(0.001, 0.1, 1000))])
    shares, latency = found.curve()
    assert shares[0] == 0
    assert shares[-1] == found.last == 1 - MIN_BEYOND / 1000
    assert (np.diff(latency) >= 0).all()
    assert np.isfinite(latency).all()


def test_without_calls_there_is_no_curve() -> None:
    nothing = distribution(["", ""])
    assert merge([]) is None
    assert nothing.count == 0
    assert math.isnan(nothing.at(0.5))
    assert len(nothing.curve()[0]) == 0
    few = distribution([histogram(np.array([0.1, 0.2]))])
    assert few.last == 0


def test_what_is_no_histogram_is_refused() -> None:
    with pytest.raises(ValueError, match="not a valid encoded HdrHistogram: HISTF"):
        distribution(["HISTFAAA"])
