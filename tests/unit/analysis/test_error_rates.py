"""What intervals and verdicts are worth, on simulated studies whose truth is known.

Blocks have noise of their own on each side, a trend that both sides share, and now and then a block in which one side
is hit. Seeds are fixed: the shares below are what they are, not what they might be.
"""

from __future__ import annotations

import numpy as np
import pytest

from grpclab.calibration.simulation import block_ratios, claims, covered, share_of, simulate

STUDIES = 2000

pytestmark = pytest.mark.long


@pytest.mark.parametrize("blocks", [6, 12])
@pytest.mark.parametrize("noise", [0.02, 0.05, 0.10])
@pytest.mark.parametrize("outliers", [0.0, 0.05])
def test_intervals_cover_the_true_ratio(blocks: int, noise: float, outliers: float) -> None:
    found = block_ratios(blocks, ratio=1.3, noise=noise, seed=3, studies=STUDIES, outliers=outliers)
    assert 0.93 <= covered(found, 1.3) <= 0.98


@pytest.mark.parametrize(("blocks", "noise"), [(6, 0.02), (6, 0.10), (8, 0.05)])
def test_a_configuration_against_itself_is_seldom_faster_or_slower(blocks: int, noise: float) -> None:
    found = block_ratios(blocks, ratio=1.0, noise=noise, seed=4, studies=400, outliers=0.05)
    assert share_of(found, {"faster", "slower"}) <= 0.05


def test_a_tenth_at_two_percent_of_noise_is_found_with_eight_blocks() -> None:
    found = block_ratios(8, ratio=1.10, noise=0.02, seed=5, studies=400)
    assert share_of(found, {"faster"}) >= 0.95


def test_the_simulation_of_the_calibration_tells_every_case_and_judges_it() -> None:
    frame = simulate(studies=10, seed=1)
    assert len(frame) == 3 * 2 * 2 * 2 + 1
    assert np.isfinite(frame["share"]).all()
    told = claims(frame.assign(share=[0.5, *frame["share"][1:]]))
    assert told[0].holds is False
    assert "50%" in told[0].measured
