"""How much of a study fits into a budget of wall time, by the costs and the noise of its first blocks."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.analysis.study_plan import PlannedGroup, StudyPlan
from grpclab.quantities import rough_duration
from grpclab.study.block_count import by_noise
from grpclab.study.designs.design import schedule_groups
from grpclab.study.designs.grouping import EXCLUSIVE, LATER, NO_SLICES_NEEDED
from grpclab.study.remaining import Remaining
from grpclab.study.wall_budget import (
    SAMPLED_BLOCKS,
    GroupTimes,
    Trimmed,
    for_blocks,
    sampled_in,
    trimmed,
    within_budget,
)
from tests.unit.study.test_block_count import PLAN, trials

BUDGET_S = 720.0
SLICED, LARGE, APART = 0, 1, 2
"""The places of the groups of MIXED."""
MIXED = replace(
    PLAN,
    groups=(
        PlannedGroup(hub="a", members=("a", "b")),
        PlannedGroup(hub="a", members=("a", "b"), interleaved=False, reason=NO_SLICES_NEEDED, counted_s=0.5),
        PlannedGroup(hub="a", members=("a", "b"), interleaved=False, reason=EXCLUSIVE),
    ),
    profiled=("a", "b"),
    profiled_blocks=3,
)


def times(block_s: float, *, blocks: int = 4) -> GroupTimes:
    """Blocks of one group that take so long each."""
    return GroupTimes(seconds={(block, 0): block_s for block in range(blocks)})


def first(*seconds: float) -> GroupTimes:
    """A first block whose groups took so long each."""
    return GroupTimes(seconds={(0, place): value for place, value in enumerate(seconds)})


def after_first(
    plan: StudyPlan, times: GroupTimes, *, window_s: float = 1.0, profile_s: float = 10.0
) -> Trimmed | None:
    """What the costs of the first block, which `times` are with its profiles, make of a plan."""
    one = trials(0.01, window_s=window_s)
    profiled = GroupTimes.of(plan, times.seconds, beside_s=0.0, profile_s=profile_s)
    return trimmed(one[one["block"] == 0], plan, profiled, BUDGET_S)


def test_the_effect_of_the_pilot_changes_nothing() -> None:
    budgets = [within_budget(trials(0.03, effect=effect), PLAN, times(100.0), BUDGET_S) for effect in (1.0, 1.3)]
    assert budgets[0] == budgets[1]


def test_a_group_that_is_measured_until_its_servers_are_idle_keeps_its_windows() -> None:
    long = PlannedGroup(hub="a", members=("a", "b"), interleaved=False, reason=LATER, counted_s=10.0, until_idle=True)
    plan = replace(PLAN, groups=(PlannedGroup(hub="a", members=("a", "b")), long))
    found = after_first(plan, first(95.0, 40.0), window_s=20.0)
    assert found is not None
    assert found.counted_s is not None
    assert found.counted_s < 1.0
    assert [group.counted_s for group in found.plan.groups] == [found.counted_s, 10.0]
    assert [group.blocks for group in found.plan.groups] == [None, SAMPLED_BLOCKS]


def test_a_group_that_is_planned_for_a_few_blocks_is_never_measured_in_fewer() -> None:
    long = PlannedGroup(
        hub="a", members=("a", "b"), interleaved=False, reason=LATER, counted_s=10.0, until_idle=True, blocks=4
    )
    plan = replace(PLAN, groups=(PlannedGroup(hub="a", members=("a", "b")), long))
    found = after_first(plan, first(150.0, 90.0))
    assert found is not None
    assert [group.blocks for group in found.plan.groups] == [None, 4]
    sampled = after_first(replace(plan, groups=(plan.groups[0], replace(long, blocks=None))), first(150.0, 90.0))
    assert sampled is not None
    assert (sampled.plan.groups[1].blocks or 6) < 4, "another one may be"


def test_a_budget_takes_the_blocks_that_fit() -> None:
    noisy = trials(0.2)
    assert (
        within_budget(noisy, PLAN, times(10.0), 720.0).blocks
        > within_budget(noisy, PLAN, times(60.0), 720.0).blocks
        >= 6
    )
    quiet = within_budget(trials(0.003), PLAN, times(10.0), 720.0)
    assert quiet.blocks == 6, "more of them would show nothing more"
    assert quiet.counted_s is None


def test_a_slow_machine_counts_for_less_time_before_the_budget_is_exceeded() -> None:
    long = trials(0.01, window_s=30.0)
    fitted = within_budget(long, PLAN, times(130.0), 720.0)
    assert fitted.blocks == 6
    assert fitted.counted_s is not None
    assert 0.4 < fitted.counted_s < 1.0
    assert within_budget(long, PLAN, times(130.0), 7200.0, blocks=8).blocks == 8
    assert within_budget(long, PLAN, times(130.0), 7200.0, blocks=5).blocks == 5, "as many as were asked for"


@pytest.mark.parametrize(
    "load", [{"load.arrival": "replay:day.calls@4"}, {"load.pause_s": 2.0}, {"load.rate_rps": 1500.0}]
)
def test_a_load_with_a_length_of_its_own_is_not_shortened(load: dict[str, str | float]) -> None:
    long = trials(0.01, window_s=30.0).assign(**load)
    fitted = within_budget(long, PLAN, times(130.0), 720.0)
    assert (fitted.blocks, fitted.counted_s) == (6, None)
    assert "counted time" not in fitted.reason
    assert "6 blocks of 2 min each" in fitted.reason


def test_noise_that_is_not_of_the_slices_does_not_grow_with_less_counted_time() -> None:
    def fitted(slices_sd: float) -> str:
        return within_budget(trials(0.05, window_s=30.0), PLAN, times(130.0), 720.0, slices_sd=slices_sd).reason

    def smallest(reason: str) -> float:
        return float(reason.partition("effects of ")[2].partition("%")[0])

    assert smallest(fitted(0.001)) < smallest(fitted(math.nan))
    assert fitted(0.05) == fitted(math.nan), "all of it from the slices is the worst that can be"


def test_what_no_budget_can_hold_is_told() -> None:
    assert "exceeds the budget" in within_budget(trials(0.01), PLAN, times(300.0), 720.0).reason


# ---- after the first block -------------------------------------------------------------------------------------


def test_a_plan_that_fits_stays_as_it_is() -> None:
    assert after_first(MIXED, first(50.0, 40.0, 20.0)) is None


def test_the_profiles_end_with_the_first_block_first() -> None:
    found = after_first(MIXED, first(60.0, 40.0, 30.0), window_s=30.0)
    assert found is not None
    assert found.plan.profiled_blocks == 1
    assert found.counted_s is None
    assert found.plan.groups == MIXED.groups


def test_then_what_carries_no_small_difference_is_measured_in_fewer_blocks() -> None:
    found = after_first(MIXED, first(80.0, 70.0, 20.0))
    assert found is not None
    few = found.plan.groups[LARGE].blocks
    assert few is not None
    assert 1 <= few < 6
    assert found.plan.groups[SLICED].blocks is None
    assert found.plan.groups[APART].blocks is None, "its servers cannot be up together, so its differences may be small"
    assert f"{few} block" in found.reason


def test_then_counted_time_is_shortened() -> None:
    found = after_first(MIXED, first(90.0, 50.0, 30.0), window_s=30.0)
    assert found is not None
    assert found.counted_s is not None
    shares = [group.counted_s / found.counted_s for group in found.plan.groups]
    assert shares == pytest.approx([1, 0.5, 1], abs=0.01)
    assert found.plan.profiled_blocks == 1
    assert [group.blocks for group in found.plan.groups] == [None, SAMPLED_BLOCKS, None]


@given(st.floats(10, 200), st.floats(10, 200), st.floats(0, 5))
def test_what_is_planned_fits_or_is_the_least(sliced_s: float, large_s: float, profile_s: float) -> None:
    plan = replace(MIXED, groups=MIXED.groups[:2])
    found = after_first(plan, first(sliced_s, large_s), window_s=0.0, profile_s=profile_s)
    each_s = sliced_s + large_s - 2 * profile_s
    if found is None:
        assert 6 * each_s + 3 * 2 * profile_s <= for_blocks(BUDGET_S, each_s) + 1e-5
        return
    few = found.plan.groups[LARGE].blocks
    expected_s = sliced_s + large_s + 5 * each_s - (6 - few if few else 0) * large_s
    assert expected_s <= for_blocks(BUDGET_S, each_s) + 1e-6 or few == 1


def test_groups_that_were_cut_short_are_in_their_first_blocks_only() -> None:
    plan = replace(MIXED, groups=sampled_in(MIXED.groups, 2, 6))
    scheduled = schedule_groups(plan, seed=1)
    assert sorted(group.block for group in scheduled if group.number == LARGE) == [0, 1]
    assert sorted(group.block for group in scheduled if group.number == SLICED) == list(range(6))
    missing = Remaining(plan, 1, []).missing(6)
    assert {trial.block for trial in missing if trial.group == LARGE} == {0, 1}


# ---- after the pilot -------------------------------------------------------------------------------------------


def test_what_is_left_of_a_budget_gives_blocks_back() -> None:
    plan = replace(MIXED, groups=sampled_in(MIXED.groups[:2], 1, 6))
    pilot = {(block, SLICED): 60.0 for block in range(4)} | {(0, LARGE): 70.0}
    found = within_budget(trials(0.01), plan, GroupTimes(seconds=pilot), BUDGET_S, blocks=6)
    assert found.blocks == 6
    assert found.sampled_blocks == 1 + int((for_blocks(BUDGET_S, 60.0) - 6 * 60.0 - 70.0) / 70.0)
    assert "in 4 blocks" in found.reason
    quick = {(block, SLICED): 20.0 for block in range(4)} | {(0, LARGE): 70.0}
    assert within_budget(trials(0.01), plan, GroupTimes(seconds=quick), BUDGET_S, blocks=6).sampled_blocks == 6
    assert all(group.blocks is None for group in sampled_in(plan.groups, 6, 6)), "in all of them"


def test_too_short_a_budget_says_what_a_decision_takes() -> None:
    enough = within_budget(trials(0.01), PLAN, times(5.0), 75.0)
    assert "would show" not in enough.reason
    short = within_budget(trials(0.04), PLAN, times(5.0), 75.0)
    unlimited = by_noise(trials(0.04), PLAN, 5.0)
    assert unlimited.blocks > short.blocks
    assert f"{unlimited.blocks} blocks (about {rough_duration(5.0 * unlimited.blocks)}) would show" in short.reason
    assert "would require a quieter machine" in within_budget(trials(2.0), PLAN, times(5.0), 75.0).reason


def test_a_group_takes_the_mean_of_its_blocks_and_what_is_beside_it() -> None:
    plan = replace(PLAN, groups=MIXED.groups[:2])
    stored = {(0, 0): 3.0, (1, 0): 5.0, (0, 1): 2.0, (1, 1): 4.0, (1, 2): 1.0}
    found = GroupTimes.of(plan, stored, beside_s=0.5)
    assert found.measured == 2
    assert found.spent_s == pytest.approx(17.5)
    assert found.block_s([0]) == pytest.approx((3.5 + 5.5 + 1.5) / 2), "measured again, it took both times"
    assert found.block_s([0, 1]) == pytest.approx(5.25 + 3.5)
    assert found.block_s([]) == 0


def test_profiles_are_no_part_of_what_a_block_takes() -> None:
    plan = replace(MIXED, groups=MIXED.groups[:2])
    found = GroupTimes.of(plan, {(block, SLICED): 30.0 for block in range(4)}, beside_s=0.0, profile_s=4.0)
    assert found.block_s([SLICED]) == pytest.approx((3 * 22.0 + 30.0) / 4), "three blocks of four have profiles"
    assert found.spent_s == pytest.approx(4 * 30.0)
    assert found.profiles_within_s(1, 6) == pytest.approx(2 * 8.0)
    assert found.profiles_within_s(4, 6) == 0


def test_the_report_takes_longer_on_a_slow_machine() -> None:
    assert for_blocks(720.0, 100.0) == pytest.approx(0.95 * 720.0)
    assert for_blocks(720.0, 200.0) == pytest.approx(720.0 - 50.0)
