"""How much of a study fits into a budget of wall time, by the costs and the noise of its first blocks. Pure.

Two looks are taken, neither of them at an effect. After the first block, what it cost says whether the fewest blocks
can be afforded at all: if not, the profiles end with that block, then the groups that carry no small difference are
measured in a few blocks only, and then less time is counted. After the pilot, noise and costs fix the number of blocks
and the counted time, and what is left of the budget gives those groups back as many blocks as it pays for.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import BlockCosts, PairNoise, blocks_for, fewest_blocks, fit_budget, smallest_seen
from grpclab.analysis.inference.edition import TODAY
from grpclab.analysis.inference.ratios import column, numbers
from grpclab.analysis.study_plan import PlannedGroup, StudyPlan
from grpclab.load.core.shapes import replayed_file
from grpclab.study.block_count import BlockCount, noise_of
from grpclab.study.designs.design import blocks_with_profiles, profiled_in
from grpclab.study.designs.grouping import can_be_sampled

SLICE_OVERHEAD = 1.8
"""The wall time of a second that is counted in slices: ramp, tail, drain, hand-over."""
LEAST_COUNTED_S = 0.4
"""Counted time is not fitted to less."""
SAMPLED_BLOCKS = TODAY.fewest_for_t
"""Groups that carry no small difference are measured in so many blocks before less time is counted: enough for a
verdict."""
BESIDE_SHARE, REPORT_BLOCKS = 0.05, 0.25
"""What blocks do not get, for the start of the first kernel, the verdict and the report: that part of a budget, and at
least as long as that part of a block takes, which is longer on a slow machine."""
ROUNDING_S = 1e-6
LEAST_FIXED = 0.2
"""At least this share of a block's time does not depend on the counted time: the servers' starts, warm-ups."""


@dataclass(frozen=True, kw_only=True)
class GroupTimes:
    """The wall time of the groups that were measured, in seconds, by block and place in the plan.

    It is without the profiles, which took `profiles_s` in each of the first `profiled_blocks` blocks.
    """

    seconds: Mapping[tuple[int, int], float]
    profiles_s: float = 0.0
    profiled_blocks: int = 0

    @classmethod
    def of(
        cls, plan: StudyPlan, seconds: Mapping[tuple[int, int], float], *, beside_s: float, profile_s: float = 0.0
    ) -> GroupTimes:
        """Those of a plan, of what is stored by block and number; each group takes `beside_s` more.

        A group that was measured again has a number beyond the plan's, and adds to the time of its place. The profiles
        of one configuration take `profile_s`.
        """
        found: dict[tuple[int, int], float] = {}
        for (block, number), value in seconds.items():
            place = (block, number % max(1, len(plan.groups)))
            found[place] = found.get(place, 0.0) + value + beside_s
        blocks = blocks_with_profiles(plan)
        for block, at in found:
            if block < blocks:
                found[block, at] -= profile_s * len(profiled_in(plan, at))
        return cls(seconds=found, profiles_s=profile_s * len(plan.profiled), profiled_blocks=blocks)

    @property
    def measured(self) -> int:
        """The number of blocks."""
        return 1 + max((block for block, _ in self.seconds), default=-1)

    @property
    def spent_s(self) -> float:
        """What all of them took, with the profiles."""
        return math.fsum(self.seconds.values()) + self.profiles_within_s(0, self.measured)

    def profiles_within_s(self, begin: int, end: int) -> float:
        """What profiles take in the blocks from `begin` to before `end`."""
        return self.profiles_s * max(0, min(self.profiled_blocks, end) - begin)

    def block_s(self, places: Collection[int]) -> float:
        """What a block with the groups at these places takes, by the mean of the blocks in which each was measured."""
        by_place = [[value for (_, at), value in self.seconds.items() if at == place] for place in places]
        return math.fsum(math.fsum(values) / len(values) for values in by_place if values)


@dataclass(frozen=True, kw_only=True)
class Trimmed:
    """A plan that the costs of its first block made shorter, and the `reason` in a sentence.

    `counted_s` is the counted time that was fitted; None where it is as it was planned.
    """

    plan: StudyPlan
    reason: str
    counted_s: float | None = None


def trimmed(trials: pd.DataFrame, plan: StudyPlan, times: GroupTimes, budget_s: float) -> Trimmed | None:
    """The plan with which the fewest blocks fit into a budget, by the costs of the first one; None for this one."""
    everything = range(len(plan.groups))
    block_s, blocks = times.block_s(everything), max(fewest_blocks(), plan.blocks)
    left_s = (for_blocks(budget_s, block_s) - times.spent_s) / (fewest_blocks() - 1) + ROUNDING_S
    profiles_s = times.profiles_within_s(1, fewest_blocks())
    if block_s + profiles_s / (fewest_blocks() - 1) <= left_s:
        return None
    words = [f"a block takes {qty.rough_duration(block_s)}"]
    if profiles_s > 0:
        plan = replace(plan, profiled_blocks=1)
        words.append("servers are only profiled in the first block")
    more = fewest_blocks() - 1
    sampled_s = times.block_s([at for at in everything if can_be_sampled(plan.groups[at])])
    counted_s = _longest_s(plan.groups)
    costs = _costs(trials, plan, counted_s, block_s)

    def kept(each_s: float, least: int) -> int:
        """In how many further blocks the sampled groups can be, if a block with them takes so long."""
        if sampled_s <= 0 or each_s <= left_s:
            return more
        return max(least, math.floor(more - more * (each_s - left_s) / sampled_s))

    some = kept(block_s, SAMPLED_BLOCKS - 1)
    fitted_s = _counted_for(left_s + (more - some) * sampled_s / more, costs, counted_s)
    if fitted_s < counted_s:
        plan = replace(plan, groups=counted_for(plan.groups, fitted_s))
        words.append(f"counted time is shortened to {fitted_s:g} s")
    planned = [group.blocks for group in plan.groups if group.blocks is not None]  # those that the design asks for
    some = min(some, kept(costs.block_s(fitted_s), max(planned, default=1) - 1))
    if some < more:
        plan = replace(plan, groups=sampled_in(plan.groups, 1 + some, blocks))
        words.append(f"comparisons with large differences are measured in {qty.count(1 + some, 'block')}")
    return Trimmed(plan=plan, reason=", ".join(words), counted_s=fitted_s if fitted_s < counted_s else None)


def within_budget(
    trials: pd.DataFrame,
    plan: StudyPlan,
    times: GroupTimes,
    budget_s: float,
    *,
    blocks: int | None = None,
    slices_sd: float = math.nan,
) -> BlockCount:
    """The counted time and the number of blocks that fit into a budget of wall time, by costs and noise.

    `trials` are those of the pilot, whose groups took these times, and count. With `blocks` their number is given, and
    only the counted time is fitted. `slices_sd` is the part of the noise that comes from within a block, and grows
    where less time is counted; NaN where it is not known.
    """
    measured = max(1, trials["block"].nunique())
    everywhere = [at for at, group in enumerate(plan.groups) if group.blocks is None or group.blocks > measured]
    block_s, spent_s = times.block_s(everywhere), times.spent_s
    counted_s = _longest_s(plan.groups)
    costs = _costs(trials, plan, counted_s, block_s)
    sd, degrees = noise_of(trials, plan)
    noise = PairNoise(
        sd=sd if math.isfinite(sd) else 0.05, degrees=max(degrees, 1), counted_s=counted_s, slices_sd=slices_sd
    )
    fewest = max(measured, fewest_blocks() if blocks is None else blocks)
    for_blocks_s = for_blocks(budget_s, block_s)
    left_s = for_blocks_s - spent_s - times.profiles_within_s(measured, fewest)
    fit = fit_budget(
        costs,
        noise,
        left_s + measured * block_s,
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
    each_s = costs.block_s(fitted_s)
    total_s = for_blocks_s - left_s + (number - measured) * each_s
    seen = smallest_seen(noise.at(fitted_s), number, noise.degrees, delta=plan.smallest_effect)
    words = f"{number} blocks of {qty.rough_duration(each_s)} each"
    shorter = "" if fitted_s >= counted_s else f", {fitted_s:g} s of counted time instead of {counted_s:g} s"
    exceeded = f"; this exceeds the budget, but fewer than {fewest} blocks cannot give a verdict"
    over = exceeded if total_s > 1.02 * budget_s else ""
    reason = (
        f"budget {qty.rough_duration(budget_s)}: {words}{shorter}, about {qty.rough_duration(total_s)} in total; "
        f"effects of {100 * seen:.0f}% are detected in four out of five cases{over}"
    )
    sampled = _given_back(plan, times, for_blocks_s - total_s, number)
    if sampled is not None and sampled < number:
        reason += f"; comparisons with large differences are measured in {qty.count(sampled, 'block')}"
    reason += _to_decide(noise, number, block_s, plan.smallest_effect)
    return BlockCount(
        blocks=number, reason=reason, counted_s=None if fitted_s >= counted_s else fitted_s, sampled_blocks=sampled
    )


def _to_decide(noise: PairNoise, blocks: int, block_s: float, delta: float) -> str:
    """What a decision would take where there is no difference, if so many blocks are too few for that."""
    needed = blocks_for(noise.sd, noise.degrees, delta=delta)
    if needed is not None and needed <= blocks:
        return ""
    if needed is None:
        return (
            f"; showing that no difference exceeds {delta:.0%} would require a quieter machine or a larger --min-effect"
        )
    takes = qty.rough_duration(needed * block_s)
    return f"; {needed:,} blocks (about {takes}) would show that no difference exceeds {delta:.0%}: raise --budget"


def _given_back(plan: StudyPlan, times: GroupTimes, left_s: float, blocks: int) -> int | None:
    """In how many blocks the groups are measured that were to be in a few only; None where there are none of them."""
    sampled = {at: group.blocks for at, group in enumerate(plan.groups) if group.blocks is not None}
    if not sampled:
        return None
    each_s, so_far = times.block_s(sampled), max(sampled.values())
    more = math.floor(max(0.0, left_s) / each_s) if each_s > 0 else blocks
    return min(blocks, so_far + more)


def for_blocks(budget_s: float, block_s: float) -> float:
    """What blocks that take so long each get of a budget."""
    return budget_s - max(BESIDE_SHARE * budget_s, REPORT_BLOCKS * block_s)


def counted_for(groups: tuple[PlannedGroup, ...], counted_s: float | None) -> tuple[PlannedGroup, ...]:
    """Groups whose counted times are scaled so that the longest is that; as they are for None.

    Slices that are shortened end then, even with fewer calls than the load asks for: those would take a slow server
    the time that was to be saved.
    """
    if counted_s is None or not groups:
        return groups
    longest = _longest_s(groups)
    return tuple(
        group
        if group.until_idle
        else replace(
            group,
            counted_s=round(group.counted_s * counted_s / longest, 3),
            shortened=group.shortened or counted_s < longest,
        )
        for group in groups
    )


def sampled_in(groups: tuple[PlannedGroup, ...], some: int | None, blocks: int) -> tuple[PlannedGroup, ...]:
    """Groups of which those that can be sampled are measured in the first `some` of so many blocks; unchanged for None.

    In all of them where there are no more.
    """
    if some is None:
        return groups
    most = some if some < blocks else None
    return tuple(replace(group, blocks=most) if can_be_sampled(group) else group for group in groups)


def _longest_s(groups: Iterable[PlannedGroup]) -> float:
    """The counted time of the longest group that a budget may shorten."""
    return max((group.counted_s for group in groups if not group.until_idle), default=1.0)


def _costs(trials: pd.DataFrame, plan: StudyPlan, counted_s: float, block_s: float) -> BlockCosts:
    """What a block costs, and how much of that the counted time does, which is that of the longest group.

    Where differences are large, windows are as long as their calls take, whatever time is to be counted. So are those
    of replays and of loads with a pause, and those that end when a server is idle.
    """
    if plan.groups:
        shrinking = [at for at, group in enumerate(plan.groups) if not can_be_sampled(group)]
        trials = trials[(trials["group"] % len(plan.groups)).isin(shrinking)]
    shrinks = ~_have_own_length(trials)
    spent_s = float(trials["window_s"][shrinks].sum()) / max(1, trials["block"].nunique())
    slices_s = min(SLICE_OVERHEAD * spent_s, (1 - LEAST_FIXED) * block_s)
    return BlockCosts(fixed_s=block_s - slices_s, per_counted_s=slices_s / counted_s)


def _have_own_length(trials: pd.DataFrame) -> pd.Series:
    """Which trials last as their load says, whatever time is to be counted: replays, loads with a pause, open loops."""
    replays = column(trials, "load.arrival").map(replayed_file).astype(bool)
    return replays | (numbers(trials, "load.pause_s") > 0) | (numbers(trials, "load.rate_rps") > 0)


def _counted_for(block_s: float, costs: BlockCosts, most_s: float) -> float:
    """The counted time of a configuration that makes a block so long, within reason."""
    least_s = min(LEAST_COUNTED_S, most_s)
    if not math.isfinite(block_s) or costs.per_counted_s <= 0:
        return most_s
    wanted = (block_s - costs.fixed_s) / costs.per_counted_s
    return min(most_s, max(least_s, math.floor(100 * wanted) / 100))
