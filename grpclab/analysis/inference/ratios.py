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
from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

Floats = npt.NDArray[np.float64]

Place = tuple[int, int]
"""A block and a group in it."""
UNGROUPED = -1
"""Stands for the group of a trial that was measured without."""

CONFIDENCE = 0.95
ALPHA = 0.05
FEWEST_FOR_INTERVAL = 3
"""On two values the t interval has one degree of freedom: it is thirteen times as wide as they are apart, or says
"0 to 2,864,277,723"."""
TOO_FEW = "too few blocks"
"""What stands in the place of an interval that there is none of."""
_RESAMPLES = 99_999  # scipy tries all 2^n where they are no more than this: up to 16 blocks


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """The blocks in which both sides of a comparison were measured in one group.

    `frame` has the columns block (int), baseline, candidate (the metric's unit) and ratio, one row a block in
    ascending order; `notes` says of every other block why it was left out.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over blocks and its t interval; all NaN without blocks, the ends NaN below FEWEST_FOR_INTERVAL."""

    mean: float
    low: float
    high: float
    blocks: int


def fewest_blocks(alpha: float = ALPHA) -> int:
    """The fewest blocks with which the sign-flip test can fall below `alpha`: its least p is 2 / 2^n, so 6
    for 0.05."""
    blocks = 1
    while 2 / 2**blocks >= alpha:
        blocks += 1
    return blocks


def column(trials: pd.DataFrame, name: str) -> pd.Series:
    """That column, or one of NaN where the frame has none: a metric that was not measured."""
    return trials[name] if name in trials.columns else pd.Series(math.nan, index=trials.index, dtype=float)


def numbers(trials: pd.DataFrame, name: str) -> pd.Series:
    """That column as float64, NaN where it holds no finite number."""
    values = pd.to_numeric(column(trials, name), errors="coerce").astype(float)
    return values.where(np.isfinite(values))


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
    if columns is not None:
        trials = trials[[name for name in dict.fromkeys(columns) if name in trials.columns]]
    return trials[keep]


def valid_trials(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows whose `valid` is true; a missing value is not."""
    return trials[column(trials, "valid").eq(True)]


def block_columns(metric: str) -> tuple[str, ...]:
    """The columns that :func:`block_values` and :func:`pair_blocks` read."""
    return "block", "group", "valid", metric, "invalid_reason"


def groups_of(trials: pd.DataFrame) -> pd.Series:
    """The number of the group of each trial, UNGROUPED where it was measured without: the first edition had none."""
    return numbers(trials, "group").fillna(UNGROUPED).astype(int)


def block_values(trials: pd.DataFrame, metric: str) -> tuple[dict[int, float], dict[int, str]]:
    """The metric of one configuration in each block, and for the other blocks the reason why there is none.

    `trials` holds the rows of that configuration. Only finite positive values have a logarithm. Where it was measured
    in several groups of a block, their geometric mean is its level there; no ratio is made of it, which
    :func:`pair_blocks` takes within each group.
    """
    values, reasons = _place_values(trials, metric)
    by_block: dict[int, list[float]] = {}
    for (block, _), value in values.items():
        by_block.setdefault(block, []).append(value)
    left_out = {block: reason for (block, _), reason in reasons.items() if block not in by_block}
    return {block: _geometric_mean(each) for block, each in by_block.items()}, left_out


def _place_values(trials: pd.DataFrame, metric: str) -> tuple[dict[Place, float], dict[Place, str]]:
    """The metric of one configuration in each group of each block, and why there is none in the others."""
    measured: dict[Place, list[float]] = {}
    invalid: dict[Place, set[str]] = {}
    cells = zip(
        numbers(trials, "block"),
        groups_of(trials),
        column(trials, "valid").eq(True),
        numbers(trials, metric),
        column(trials, "invalid_reason"),
        strict=True,
    )
    for block, group, valid, value, why in cells:
        if math.isnan(block):
            continue
        place = int(block), int(group)
        if valid:
            measured.setdefault(place, []).append(float(value))
        else:
            invalid.setdefault(place, set()).update([why] if isinstance(why, str) and why else [])

    values: dict[Place, float] = {}
    reasons = {
        place: "invalid" + (f": {', '.join(sorted(texts))}" if texts else "")
        for place, texts in invalid.items()
        if place not in measured
    }
    for place, each in measured.items():
        if any(math.isnan(value) for value in each):
            reasons[place] = f"{metric} was not measured"
        elif min(each) <= 0:
            reasons[place] = f"{metric} is {min(each):g}, which has no logarithm"
        else:
            values[place] = _geometric_mean(each)
    return values, reasons


def _geometric_mean(values: Sequence[float]) -> float:
    """One trial is the rule, and its value is kept to the last digit."""
    return values[0] if len(values) == 1 else float(np.exp(np.log(values).mean()))


def share_a_group(trials: pd.DataFrame, *, scenario: str, baseline: str, candidate: str) -> bool:
    """Whether any block holds both in one group, valid or not; of trials without groups, any block at all."""
    return bool(_shared(trials, scenario, baseline, candidate))


def without_groups(trials: pd.DataFrame) -> pd.DataFrame:
    """The same trials as if none had been measured in a group, for two that share none: they pair by block.

    Where a configuration was measured more than once in a block, its geometric mean stands for it.
    """
    return trials.drop(columns="group", errors="ignore")


def trials_of_pair(trials: pd.DataFrame, *, scenario: str, baseline: str, candidate: str) -> pd.DataFrame:
    """The trials that a comparison of the two rests on: those in the groups that hold both.

    All of their trials where none was measured in a group.
    """
    keep = column(trials, "configuration").isin([baseline, candidate]) & column(trials, "scenario").eq(scenario)
    rows = trials[keep]
    groups = groups_of(rows)
    if groups.eq(UNGROUPED).all():
        return rows
    shared = _shared(rows, scenario, baseline, candidate)
    places = zip(numbers(rows, "block").fillna(UNGROUPED).astype(int), groups, strict=True)
    return rows[[place in shared for place in places]]


def _shared(trials: pd.DataFrame, scenario: str, baseline: str, candidate: str) -> set[Place]:
    shared: set[Place] | None = None
    for name in (baseline, candidate):
        rows = trials_of(trials, name, scenario, columns=("block", "group"))
        rows = rows[numbers(rows, "block").notna()]
        places = set(zip(numbers(rows, "block").astype(int), groups_of(rows), strict=True))
        shared = places if shared is None else shared & places
    return shared or set()


def pair_blocks(trials: pd.DataFrame, *, scenario: str, metric: str, baseline: str, candidate: str) -> Pairing:
    """Pair the two configurations within each group of each block, and say what was left out and why.

    A ratio is taken within a group alone. Where the two share several groups of a block, the block, which stays the
    unit of evidence, has the mean of the logarithms of their ratios. Trials without groups, those of the first
    edition, pair by block.
    """
    columns = block_columns(metric)
    sides = {name: trials_of(trials, name, scenario, columns=columns) for name in (baseline, candidate)}
    absent = [name for name, rows in sides.items() if rows.empty]
    notes = [f"no trial of {name} in {scenario}" for name in absent]
    by_side = {name: _place_values(rows, metric) for name, rows in sides.items()}
    (base, base_reasons), (other, other_reasons) = by_side[baseline], by_side[candidate]
    places = base.keys() | base_reasons.keys() | other.keys() | other_reasons.keys()
    both: dict[int, list[Place]] = {}
    for place in sorted(base.keys() & other.keys()):
        both.setdefault(place[0], []).append(place)
    if not absent:
        notes += _left_out(by_side, places, both)
    before = np.array([_geometric_mean([base[place] for place in each]) for each in both.values()], dtype=np.float64)
    after = np.array([_geometric_mean([other[place] for place in each]) for each in both.values()], dtype=np.float64)
    frame = pd.DataFrame(
        {
            "block": np.array(list(both), dtype=np.int64),
            "baseline": before,
            "candidate": after,
            "ratio": after / before,
        }
    )
    return Pairing(frame=frame, notes=tuple(notes))


def _left_out(
    by_side: Mapping[str, tuple[dict[Place, float], dict[Place, str]]], places: Set[Place], both: Container[int]
) -> list[str]:
    """Why blocks are left out, a line for each side that lacks a value in a block without a pair."""
    known = [values.keys() | reasons.keys() for values, reasons in by_side.values()]
    shared = known[0] & known[1]
    if not shared and any(group != UNGROUPED for _, group in places):
        return [f"{' and '.join(by_side)} share no group: a ratio is taken within a group alone"]
    lines = []
    for block in sorted({block for block, _ in places if block not in both}):
        there = [{place for place in of_side if place[0] == block} for of_side in known]
        ways = there[0] & there[1] if all(there) else there[0] | there[1]
        lines += [
            f"block {block} left out: {name}, {reasons.get(place, 'no trial')}"
            for place in sorted(ways)
            for name, (values, reasons) in by_side.items()
            if place not in values
        ]
        if not ways:
            lines.append(f"block {block} left out: {' and '.join(by_side)} share no group in it")
    return list(dict.fromkeys(lines))


def block_ratios(trials: pd.DataFrame, *, scenario: str, metric: str, baseline: str, candidate: str) -> pd.DataFrame:
    """The ratio candidate / baseline of the raw metric in every block where both are valid and positive.

    Columns: block (int), baseline, candidate (the metric's unit), ratio; empty where there is no such block.
    """
    paired = pair_blocks(trials, scenario=scenario, metric=metric, baseline=baseline, candidate=candidate)
    return paired.frame


def paired_levels(
    trials: pd.DataFrame, *, scenario: str, metric: str, baseline: str, candidate: str
) -> tuple[Interval, Interval]:
    """The levels of two configurations over the blocks in which both are valid: candidate / baseline of the two
    geometric means is the ratio that :func:`grpclab.analysis.compare` gives."""
    pairs = block_ratios(trials, scenario=scenario, metric=metric, baseline=baseline, candidate=candidate)
    return log_t_interval(pairs["baseline"]), log_t_interval(pairs["candidate"])


@functools.cache
def t_quantile(share: float, degrees: int) -> float:
    """The value below which that share of Student's t distribution lies."""
    return float(scipy.stats.t.ppf(share, degrees))


def t_interval(values: npt.ArrayLike) -> Interval:
    """The mean and its two-sided 95 % t interval, mean -/+ t(0.975, n - 1) s / sqrt(n). Values that are not
    finite are left out; below FEWEST_FOR_INTERVAL of them there is no interval."""
    sample = _finite(values)
    if not sample.size:
        return Interval(mean=math.nan, low=math.nan, high=math.nan, blocks=0)
    mean = float(sample.mean())
    if sample.size < FEWEST_FOR_INTERVAL:
        return Interval(mean=mean, low=math.nan, high=math.nan, blocks=int(sample.size))
    half = t_quantile((1 + CONFIDENCE) / 2, sample.size - 1) * _spread(sample) / math.sqrt(sample.size)
    return Interval(mean=mean, low=mean - half, high=mean + half, blocks=int(sample.size))


def log_t_interval(values: npt.ArrayLike) -> Interval:
    """The geometric mean of positive values, with the t interval taken on their logarithms. Values that are
    not finite and positive are left out."""
    sample = _finite(values)
    inside = t_interval(np.log(sample[sample > 0]))
    with np.errstate(over="ignore"):
        mean, low, high = (float(np.exp(x)) for x in (inside.mean, inside.low, inside.high))
    return Interval(mean=mean, low=low, high=high, blocks=inside.blocks)


def sign_flip_p(ln_ratios: npt.ArrayLike) -> float:
    """The two-sided p of the exact sign-flip test that ln ratios (shape: blocks) centre on 0. NaN below 2
    blocks.

    Under that hypothesis each sign is as likely as the other, so all 2^n are tried
    (scipy.stats.permutation_test). The least p is 2 / 2^n. Above 16 blocks 99,999 flips drawn from a fixed
    seed stand for them.
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
    """The two-sided p of the t test that ln ratios (shape: blocks) centre on 0. NaN below 2 blocks.

    Blocks that agree to the last digit have no spread to test against: p is then 0, or 1 where they are all
    0.
    """
    sample = _finite(ln_ratios)
    if sample.size < 2:
        return math.nan
    spread, mean = _spread(sample), float(sample.mean())
    if spread == 0:
        return 1.0 if abs(mean) < 1e-12 else 0.0
    return float(2 * scipy.stats.t.sf(abs(mean) / (spread / math.sqrt(sample.size)), sample.size - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: p values of one family, in the order given, adjusted.

    The i-th smallest of m becomes max over j <= i of (m - j + 1) p_j, at most 1. NaN stays NaN and does not
    count towards m. Raises ValueError on a value outside 0..1.
    """
    known = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: p_values[i])):
        if not 0 <= p_values[i] <= 1:
            raise ValueError(f"{p_values[i]} is not a p value: it takes 0 to 1")
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
