"""How many blocks a study has: fixed by the noise and the costs of its first ones, never by an effect. Pure.

The first blocks are a pilot that counts, since nothing that is fixed after them depends on what they say of a
comparison: its own mean is taken out of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import (
    BlockCosts,
    PairNoise,
    block_ratios,
    blocks_for,
    effect_lines,
    effect_table,
    fewest_blocks,
    fit_budget,
    smallest_seen,
    spread_within_pairs,
)
from grpclab.analysis.study_plan import PlannedComparison, StudyPlan

PILOT_BLOCKS = 4
MOST_BLOCKS = 60
"""No more are planned for the noise alone, however noisy the machine: about six minutes of a comparison.

They decide at the noise that measurements show: 3 to 5 % one after the other at margins of 5 %, 2.4 % in slices at
margins of 2 %. Whoever wants to wait longer says how many, or for how long.
"""
SLICE_OVERHEAD = 1.6
"""The wall time of a second of counted time: ramp, tail, drain, hand-over."""
LEAST_COUNTED_S = 0.4
"""Counted time is not fitted to less."""
BESIDE_SHARE = 0.05
"""The part of a budget that blocks do not get: the start of the first kernel, the verdict, the report."""
LEAST_FIXED = 0.2
"""At least this share of a block's time does not depend on the counted time: the servers' starts, warm-ups."""


@dataclass(frozen=True, kw_only=True)
class BlockCount:
    """The number of blocks that was fixed, and why; `counted_s` is the counted time that was fitted, if it was.

    `lines` say what can be seen with it.
    """

    blocks: int
    reason: str
    counted_s: float | None = None
    lines: tuple[str, ...] = ()


def noise_of(trials: pd.DataFrame, plan: StudyPlan) -> tuple[float, int]:
    """The pooled sd of ln ratio within pairs, and its degrees of freedom, of what the study turns on.

    That is the headline, its A/A arm, and the comparisons of the same scenario and metric. NaN on 0 degrees where there
    are too few blocks.
    """
    ratios = [
        np.log(pairs["ratio"].to_numpy(dtype=float))
        for one in _in_question(plan)
        if len(
            pairs := block_ratios(
                trials, scenario=one.scenario, metric=one.metric, baseline=one.baseline, candidate=one.candidate
            )
        )
    ]
    return spread_within_pairs(ratios)


def _in_question(plan: StudyPlan) -> Iterator[PlannedComparison]:
    """The headline, and what is compared like it, each once."""
    if plan.headline is None:
        return
    first = plan.completed(plan.headline)
    others = [plan.completed(one) for one in (*plan.parts, *plan.comparisons)]
    found: dict[frozenset[str], PlannedComparison] = {}
    for one in (first, *([arm] if (arm := plan.aa_arm) else []), *others):
        if one.testable and (one.scenario, one.metric) == (first.scenario, first.metric):
            found.setdefault(frozenset((one.baseline, one.candidate)), one)
    yield from found.values()


def by_noise(trials: pd.DataFrame, plan: StudyPlan, block_s: float, *, most: int = MOST_BLOCKS) -> BlockCount:
    """The number of blocks that shows `equivalent` in four comparisons of five where there is no difference.

    `trials` are those of the pilot; a block takes `block_s` seconds.
    """
    sd, degrees = noise_of(trials, plan)
    delta, fewest = plan.smallest_effect, max(fewest_blocks(), PILOT_BLOCKS)
    needed = blocks_for(sd, degrees, delta=delta)
    lines = tuple(effect_lines(effect_table(sd, degrees, delta=delta, block_s=block_s), delta=delta))
    noise = f"the ratio varies by {100 * sd:.1f} % from block to block"
    if not math.isfinite(sd):
        return BlockCount(
            blocks=most, reason=f"fewer than two blocks have a ratio: {most} are planned, the maximum", lines=lines
        )
    if needed is None or needed > most:
        reason = f"{noise}: {_needed(needed, block_s)}; {most} are planned, the maximum that is chosen from noise"
        return BlockCount(blocks=most, reason=reason, lines=lines)
    blocks = max(fewest, needed)
    reason = f"{noise}: {blocks} blocks are planned, enough to decide in four out of five cases"
    return BlockCount(blocks=blocks, reason=reason, lines=lines)


def _needed(blocks: int | None, block_s: float) -> str:
    """How many blocks a decision takes, more than are planned, and how to get them."""
    if blocks is None:
        return "more than 1,000 blocks would be needed, so it takes a larger --min-effect or a quieter machine"
    takes = qty.rough_duration(blocks * block_s)
    return f"about {blocks:,} blocks would be needed: --blocks {blocks} takes about {takes}"


def within_budget(
    trials: pd.DataFrame,
    plan: StudyPlan,
    block_s: float,
    budget_s: float,
    *,
    blocks: int | None = None,
    slices_sd: float = math.nan,
) -> BlockCount:
    """The counted time and the number of blocks that fit into a budget of wall time, by costs and noise.

    `trials` are those of the pilot, whose blocks took `block_s` seconds each, and count. With `blocks` their number is
    given, and only the counted time is fitted. `slices_sd` is the part of the noise that comes from within a block, and
    grows where less time is counted; NaN where it is not known.
    """
    measured = max(1, trials["block"].nunique())
    counted_s = max((group.counted_s for group in plan.groups), default=1.0)
    costs = _costs(trials, counted_s, block_s)
    sd, degrees = noise_of(trials, plan)
    noise = PairNoise(
        sd=sd if math.isfinite(sd) else 0.05, degrees=max(degrees, 1), counted_s=counted_s, slices_sd=slices_sd
    )
    fewest = max(measured, fewest_blocks() if blocks is None else blocks)
    for_blocks_s = (1 - BESIDE_SHARE) * budget_s
    left_s = for_blocks_s - measured * block_s
    fit = fit_budget(
        costs,
        noise,
        for_blocks_s,
        delta=plan.smallest_effect,
        least_counted_s=min(LEAST_COUNTED_S, counted_s),
        most_counted_s=counted_s,
    )
    number = max(fewest, fit.blocks if blocks is None else 0)
    affordable = left_s / (number - measured) if number > measured else math.inf
    fitted_s = _counted_for(affordable, costs, counted_s)
    while number > fewest and costs.block_s(fitted_s) * (number - measured) > left_s:
        number -= 1
        fitted_s = _counted_for(left_s / max(number - measured, 1), costs, counted_s)
    total_s = measured * block_s + (number - measured) * costs.block_s(fitted_s)
    seen = smallest_seen(noise.at(fitted_s), number, noise.degrees, delta=plan.smallest_effect)
    words = f"{number} blocks of {qty.rough_duration(costs.block_s(fitted_s))} each"
    shorter = "" if fitted_s >= counted_s else f", {fitted_s:g} s of counted time instead of {counted_s:g} s"
    over = (
        ""
        if total_s <= budget_s * 1.02
        else (f"; this exceeds the budget, but fewer than {fewest} blocks give no verdict")
    )
    reason = (
        f"budget {qty.rough_duration(budget_s)}: {words}{shorter}, about {qty.rough_duration(total_s)} in total; "
        f"effects of {100 * seen:.0f} % are detected in four out of five cases{over}"
    )
    return BlockCount(blocks=number, reason=reason, counted_s=None if fitted_s >= counted_s else fitted_s)


def counted_within(trials: pd.DataFrame, plan: StudyPlan, block_s: float, budget_s: float) -> float | None:
    """The counted time with which the fewest blocks fit into a budget, by the costs of those that were measured.

    None where they fit as it is.
    """
    counted_s = max((group.counted_s for group in plan.groups), default=1.0)
    measured, fewest = max(1, trials["block"].nunique()), fewest_blocks()
    for_blocks_s = (1 - BESIDE_SHARE) * budget_s
    if fewest * block_s <= for_blocks_s:
        return None
    left_s = (for_blocks_s - measured * block_s) / max(fewest - measured, 1)
    fitted_s = _counted_for(left_s, _costs(trials, counted_s, block_s), counted_s)
    return fitted_s if fitted_s < counted_s else None


def _costs(trials: pd.DataFrame, counted_s: float, block_s: float) -> BlockCosts:
    """What a block costs, and how much of that the counted time does, which is that of the longest group."""
    spent_s = float(trials["window_s"].sum()) / max(1, trials["block"].nunique())
    slices_s = min(SLICE_OVERHEAD * spent_s, (1 - LEAST_FIXED) * block_s)
    return BlockCosts(fixed_s=block_s - slices_s, per_counted_s=slices_s / counted_s)


def _counted_for(block_s: float, costs: BlockCosts, most_s: float) -> float:
    """The counted time of a configuration that makes a block so long, within reason."""
    least_s = min(LEAST_COUNTED_S, most_s)
    if not math.isfinite(block_s) or costs.per_counted_s <= 0:
        return most_s
    wanted = (block_s - costs.fixed_s) / costs.per_counted_s
    return round(min(most_s, max(least_s, wanted)), 2)


def seconds_of_blocks(trials: pd.DataFrame, seconds: Mapping[tuple[int, int], float], beside_s: float) -> float:
    """The mean wall time of a block: of its groups, by (block, number), and so much beside each of them."""
    blocks = max(1, trials["block"].nunique()) if len(trials) else 1
    return sum(value + beside_s for value in seconds.values()) / blocks
