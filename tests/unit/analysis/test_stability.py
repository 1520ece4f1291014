"""Drift over the blocks, and blocks that stand apart: told, never dropped."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grpclab.analysis.inference.stability import block_apart, drift, drift_warning, outlier_p

ARMS = {"a": 1000.0, "b": 3000.0, "c": 500.0}


def study(
    blocks: int, factor: dict[int, float] | None = None, *, slope: float = 0.0, noise: float = 0.01
) -> pd.DataFrame:
    """Throughput of three arms; `factor` multiplies b's in a block, `slope` is the drift in ln from block to block."""
    rng = np.random.default_rng(5)
    rows = [
        {
            "scenario": "s",
            "configuration": arm,
            "block": block,
            "valid": True,
            "throughput_rps": level
            * math.exp(slope * block + noise * rng.standard_normal())
            * (factor or {}).get(block, 1.0) ** (arm == "b"),
            "load.rate_rps": math.nan,
        }
        for block in range(blocks)
        for arm, level in ARMS.items()
    ]
    return pd.DataFrame(rows)


def test_a_machine_that_slows_down_is_told_with_its_interval() -> None:
    seen = drift(study(6, slope=-0.05))
    assert seen is not None
    assert seen.low < math.exp(-0.25) < seen.high
    warning = drift_warning(study(6, slope=-0.05), 0.05)
    assert warning.startswith("the machine became slower during the study: throughput in the last block is 0.7")
    assert "faster" in drift_warning(study(6, slope=0.05), 0.05)


def test_a_steady_machine_a_small_drift_and_a_few_blocks_give_no_warning() -> None:
    assert drift_warning(study(6), 0.05) == ""
    assert drift_warning(study(6, slope=0.002, noise=0.0001), 0.05) == "", "real, but below what is of interest"
    assert drift(study(3, slope=-0.5)) is None
    assert drift(study(6).assign(valid=False)) is None
    assert drift(study(6).assign(**{"load.rate_rps": 100.0})) is None, "an open loop's throughput is its rate"


def test_a_missing_trial_is_no_drift() -> None:
    whole = study(6, noise=0.0)
    seen = drift(whole[~((whole["block"] == 5) & (whole["configuration"] == "b"))])
    assert seen is not None
    assert seen.ratio == pytest.approx(1.0)


def test_a_block_that_stands_apart_is_named() -> None:
    told = block_apart(study(6, {4: 0.5}), scenario="s", metric="throughput_rps", baseline="a", candidate="b")
    assert told.startswith("block 4 is an outlier with 1.5")
    assert "while the other 5 blocks give 3.0" in told
    assert block_apart(study(6), scenario="s", metric="throughput_rps", baseline="a", candidate="b") == ""


def test_grubbs_agrees_with_its_published_critical_values() -> None:
    # Two-sided, alpha 0.05: G = 1.887 at n = 6, 2.290 at n = 10.
    for n, critical in ((6, 1.887), (10, 2.290)):
        t2 = stats.t.ppf(1 - 0.05 / (2 * n), n - 2) ** 2
        assert (n - 1) / math.sqrt(n) * math.sqrt(t2 / (n - 2 + t2)) == pytest.approx(critical, abs=1e-3)
    rng = np.random.default_rng(1)
    samples = rng.standard_normal((2000, 6))
    assert np.mean([outlier_p(sample)[1] < 0.05 for sample in samples]) == pytest.approx(0.05, abs=0.015)


def test_values_that_cannot_be_judged() -> None:
    assert outlier_p([1.0, 1.0, 9.0])[0] == -1
    assert outlier_p([2.0] * 8)[0] == -1
    assert outlier_p([0.0, 0.0, 0.0, 0.0, 1.0])[1] == pytest.approx(0.0, abs=1e-6)
