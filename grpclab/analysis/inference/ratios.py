"""Ratios within blocks, their interval and their p values.

The independent unit is the block, never the request. Within the groups of block i, r_i = ln(candidate_i / baseline_i);
what is reported is exp(mean r) with the paired t interval on r. The p value of the headline is the exact
sign-flip test, that of every other comparison the paired t test, corrected by Holm. Ratios and intervals
have no unit.

Sources: paired t on logarithms of ratios, Student 1908; sign flip, Fisher, The Design of Experiments
(1935), ch. 3; Holm, Scand. J. Statist. 6 (1979), 65-70.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

Floats = npt.NDArray[np.float64]


CONFIDENCE = 0.95
ALPHA = 0.05
WARY_ALPHA = 0.001
FEWEST_FOR_INTERVAL = 3
"""On two values the t interval has one degree of freedom: it is thirteen times as wide as they are apart, or says
"0 to 2,864,277,723"."""
TOO_FEW = "too few blocks"
"""What stands in the place of an interval that there is none of."""
_RESAMPLES = 99_999  # scipy tries all 2^n where they are no more than this: up to 16 blocks


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over blocks and its t interval. Without blocks, everything is NaN; below FEWEST_FOR_INTERVAL, the ends are
    NaN."""

    mean: float
    low: float
    high: float
    blocks: int


def fewest_blocks(alpha: float = ALPHA) -> int:
    """The fewest blocks with which the sign-flip test can fall below `alpha`.

    Its smallest p is 2 / 2^n, so the result for 0.05 is 6.
    """
    blocks = 1
    while 2 / 2**blocks >= alpha:
        blocks += 1
    return blocks


def column(trials: pd.DataFrame, name: str) -> pd.Series:
    """That column, or one of NaN where the frame has none: a metric that was not measured."""
    return trials[name] if name in trials.columns else pd.Series(math.nan, index=trials.index, dtype=float)


def numbers(trials: pd.DataFrame, name: str) -> pd.Series:
    """That column as float64, NaN where it holds no finite number."""
    values = column(trials, name)
    if values.dtype != np.float64:
        values = pd.to_numeric(values, errors="coerce").astype(float)
    return values.where(np.isfinite(values)) if np.isinf(values.to_numpy()).any() else values


def trials_of(
    trials: pd.DataFrame, configuration: str, scenario: str | None = None, *, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows of one configuration, valid or not; of one scenario where it is given.

    With `columns` only those of them that the frame has: to take rows out of the hundred and more columns of a study
    is most of the cost of looking at one.
    """
    keep = column(trials, "configuration").eq(configuration)
    if scenario is not None:
        keep &= column(trials, "scenario").eq(scenario)
    return rows_of(trials, keep, columns)


def rows_of(trials: pd.DataFrame, keep: pd.Series[bool], columns: Sequence[str] | None) -> pd.DataFrame:
    """The rows to keep; with `columns` only those of them that the frame has, where fewer columns take less time."""
    if columns is None or column(trials, "configuration").dtype == object:  # see `consolidated`
        return trials[keep]
    return trials.loc[keep, [name for name in dict.fromkeys(columns) if name in trials.columns]]


def consolidated(trials: pd.DataFrame) -> pd.DataFrame:
    """A copy from which rows are taken in a third of the time.

    Its texts are Python objects, and the columns of each type lie side by side in memory.
    """
    texts = [name for name, dtype in trials.dtypes.items() if isinstance(dtype, pd.StringDtype)]
    return trials.astype(dict.fromkeys(texts, object)).copy()


def valid_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows whose `valid` is true; a missing value is not."""
    return trials[column(trials, "valid").eq(True)]


@functools.cache
def t_quantile(share: float, degrees: int) -> float:
    """The value below which that share of Student's t distribution lies."""
    return float(scipy.stats.t.ppf(share, degrees))


def t_interval(values: npt.ArrayLike) -> Interval:
    """The mean and its two-sided 95% t interval, mean -/+ t(0.975, n - 1) s / sqrt(n).

    Values that are not finite are left out. With fewer than FEWEST_FOR_INTERVAL values there is no interval.
    """
    sample = _finite(values)
    if not sample.size:
        return Interval(mean=math.nan, low=math.nan, high=math.nan, blocks=0)
    mean = float(sample.mean())
    if sample.size < FEWEST_FOR_INTERVAL:
        return Interval(mean=mean, low=math.nan, high=math.nan, blocks=int(sample.size))
    half = t_quantile((1 + CONFIDENCE) / 2, sample.size - 1) * _spread(sample) / math.sqrt(sample.size)
    return Interval(mean=mean, low=mean - half, high=mean + half, blocks=int(sample.size))


def log_t_interval(values: npt.ArrayLike) -> Interval:
    """The geometric mean of positive values, with a t interval computed on their logarithms.

    Values that are not finite and positive are left out.
    """
    sample = _finite(values)
    inside = t_interval(np.log(sample[sample > 0]))
    with np.errstate(over="ignore"):
        mean, low, high = (float(np.exp(x)) for x in (inside.mean, inside.low, inside.high))
    return Interval(mean=mean, low=low, high=high, blocks=inside.blocks)


def sign_flip_p(ln_ratios: npt.ArrayLike) -> float:
    """The two-sided p of the exact sign-flip test of whether ln ratios (shape: blocks) centre on 0. NaN below 2 blocks.

    Under this hypothesis, both signs are equally likely, so all 2^n combinations are evaluated
    (scipy.stats.permutation_test). The smallest p is 2 / 2^n. Above 16 blocks, 99,999 combinations drawn with a fixed
    seed are used instead.
    """
    sample = _finite(ln_ratios)
    if sample.size < 2:
        return math.nan
    # In units of the largest and rounded, so that means that are equal tie, in whatever order they were summed.
    scaled = sample / (np.abs(sample).max() or 1.0)
    result = scipy.stats.permutation_test(
        (scaled,),
        _rounded_mean,
        permutation_type="samples",
        vectorized=True,
        alternative="two-sided",
        n_resamples=_RESAMPLES,
        batch=10_000,
        random_state=np.random.default_rng(0),
    )
    return float(result.pvalue)


def paired_t_p(ln_ratios: npt.ArrayLike) -> float:
    """The two-sided p of the t test of whether ln ratios (shape: blocks) centre on 0. NaN below 2 blocks.

    If all blocks are equal to the last digit, there is no spread to test against: p is then 0, or 1 if all are 0.
    """
    sample = _finite(ln_ratios)
    if sample.size < 2:
        return math.nan
    spread, mean = _spread(sample), float(sample.mean())
    if spread == 0:
        return 1.0 if abs(mean) < 1e-12 else 0.0
    return float(2 * scipy.stats.t.sf(abs(mean) / (spread / math.sqrt(sample.size)), sample.size - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the adjusted p values of one family, in the given order.

    The i-th smallest of m becomes max over j <= i of (m - j + 1) p_j, at most 1. NaN stays NaN and does not count
    towards m. Raises ValueError for a value outside 0 to 1.
    """
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: p_values[i])):
        if not 0 <= p_values[i] <= 1:
            raise ValueError(f"{p_values[i]} is not a p value: expected 0 to 1")
        largest = max(largest, min(1.0, (len(known) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _rounded_mean(sample: Floats, axis: int) -> Floats:
    return np.asarray(np.round(np.mean(sample, axis=axis), 12), dtype=np.float64)


def _finite(values: npt.ArrayLike) -> Floats:
    sample = np.asarray(values, dtype=np.float64)
    return sample[np.isfinite(sample)]


def _spread(sample: Floats) -> float:
    """The standard deviation, with what is only rounding taken as none."""
    spread = float(sample.std(ddof=1))
    return 0.0 if spread <= 1e-12 * max(1.0, float(np.abs(sample).max())) else spread
