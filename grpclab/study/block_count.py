"""How many blocks a study has: fixed by the noise of its first ones, never by an effect. Pure.

The first blocks are a pilot that counts, since nothing that is fixed after them depends on what they say of a
comparison: its own mean is taken out of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import (
    block_ratios,
    blocks_for,
    effect_lines,
    effect_table,
    fewest_blocks,
    spread_within_pairs,
)
from grpclab.analysis.study_plan import PlannedComparison, StudyPlan

PILOT_BLOCKS = 4
MOST_BLOCKS = 60
"""No more are planned for the noise alone, however noisy the machine: about six minutes of a comparison.

They decide at the noise that measurements show: 3 to 5% one after the other at margins of 5%, 2.4% in slices at
margins of 2%. Whoever wants to wait longer says how many, or for how long.
"""


@dataclass(frozen=True, kw_only=True)
class BlockCount:
    """The number of blocks that was fixed, and why; `counted_s` is the counted time that was fitted, if it was.

    `sampled_blocks`: in how many of them the groups are measured that were to be in a few only; None where there are
    none. `lines` say what can be seen with it.
    """

    blocks: int
    reason: str
    counted_s: float | None = None
    sampled_blocks: int | None = None
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
    noise = f"the ratio varies by {100 * sd:.1f}% from block to block"
    if not math.isfinite(sd):
        return BlockCount(
            blocks=most,
            reason=f"fewer than two blocks have a ratio, so {most} blocks are planned, the maximum",
            lines=lines,
        )
    if needed is None or needed > most:
        limit = "the most that grpclab plans without --blocks"
        reason = f"{noise}: {_needed(needed, block_s)}; {most} blocks are planned, {limit}"
        return BlockCount(blocks=most, reason=reason, lines=lines)
    blocks = max(fewest, needed)
    reason = f"{noise}: {blocks} blocks are planned, enough to decide in four out of five cases"
    return BlockCount(blocks=blocks, reason=reason, lines=lines)


def _needed(blocks: int | None, block_s: float) -> str:
    """How many blocks a decision takes, more than are planned, and how to get them."""
    if blocks is None:
        return "more than 1,000 blocks would be needed, so use a larger --min-effect or a quieter machine"
    takes = qty.rough_duration(blocks * block_s)
    return f"about {blocks:,} blocks would be needed (--blocks {blocks}, about {takes})"
