"""What intervals and verdicts are worth, on simulated studies whose truth is known.

Blocks have noise of their own on each side, a trend that both sides share, and now and then a block in which one side
is hit. Seeds are fixed: the shares below are what they are, not what they might be.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from grpclab.analysis import judge, log_t_interval, sign_flip_p

STUDIES = 2000
DELTA = 0.05


def block_ratios(
    blocks: int, *, ratio: float, noise: float, seed: int, studies: int = STUDIES, outliers: float = 0.0
) -> npt.NDArray[np.float64]:
    """Ratios, shape (studies, blocks); `noise` is the standard deviation of ln ratio over blocks.

    Both sides of a block have the machine's level of that moment, which falls by a fifth over the study; in a share
    `outliers` of the blocks one side loses 4 times the noise.
    """
    rng = np.random.default_rng([seed, blocks])
    level = np.exp(np.linspace(0, math.log(0.8), blocks))

    def side() -> npt.NDArray[np.float64]:
        own = np.exp(noise / math.sqrt(2) * rng.standard_normal((studies, blocks)))
        hit = np.where(rng.random((studies, blocks)) < outliers / 2, math.exp(-4 * noise), 1.0)
        return np.asarray(level * own * hit, dtype=np.float64)

    return ratio * side() / side()


def verdict(ratios: npt.NDArray[np.float64]) -> str:
    interval = log_t_interval(ratios)
    p = sign_flip_p(np.log(ratios))
    named = {"metric": "throughput_rps", "ratio": interval.mean, "ci_low": interval.low, "ci_high": interval.high}
    return judge(**named, p_value=p, delta=DELTA)  # type: ignore[arg-type]


@pytest.mark.parametrize("blocks", [6, 12])
@pytest.mark.parametrize("noise", [0.02, 0.05, 0.10])
@pytest.mark.parametrize("outliers", [0.0, 0.05])
def test_intervals_cover_the_true_ratio(blocks: int, noise: float, outliers: float) -> None:
    found = block_ratios(blocks, ratio=1.3, noise=noise, seed=3, outliers=outliers)
    intervals = [log_t_interval(ratios) for ratios in found]
    covered = np.mean([interval.low <= 1.3 <= interval.high for interval in intervals])
    assert 0.93 <= covered <= 0.98


@pytest.mark.parametrize(("blocks", "noise"), [(6, 0.02), (6, 0.10), (8, 0.05)])
def test_a_configuration_against_itself_is_seldom_faster_or_slower(blocks: int, noise: float) -> None:
    found = block_ratios(blocks, ratio=1.0, noise=noise, seed=4, studies=400, outliers=0.05)
    assert np.mean([verdict(ratios) in ("faster", "slower") for ratios in found]) <= 0.05


def test_a_tenth_at_two_percent_of_noise_is_found_with_eight_blocks() -> None:
    found = block_ratios(8, ratio=1.10, noise=0.02, seed=5, studies=400)
    assert np.mean([verdict(ratios) == "faster" for ratios in found]) >= 0.95
