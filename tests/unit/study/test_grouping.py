"""Which configurations are measured together."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.analysis.study_plan import PlannedComparison, PlannedGroup, PlannedHeadline, StoredTarget, StudyPlan
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.study.designs import expected_times
from grpclab.study.designs.design import Configurations, comparison, headline
from grpclab.study.designs.expected_times import ExpectedTimes
from grpclab.study.designs.grouping import (
    FARTHEST_S,
    LONGEST_GROUP_S,
    MOST_MEMBERS,
    NOT_COMPARED,
    can_be_sampled,
    group_s,
    grouped,
    pass_s,
)
from grpclab.study.parameters import DESIGNS, StudyParameters

FAST: dict[str, Level] = {"load.concurrency": 64, "load.requests": 2500, "load.duration_s": 2.0}
SLOW: dict[str, Level] = FAST | {"client.pooling": "per_call"}
SLOWER: dict[str, Level] = SLOW | {"load.concurrency": 200}
OPEN: dict[str, Level] = FAST | {"load.rate_rps": 500.0}
KINDS: dict[str, dict[str, Level]] = {
    "fast": FAST,
    "slow": SLOW,
    "slower": SLOWER,
    "open": OPEN,
    "silent": OPEN | {"load.pause_s": 3.0},
    "forgotten": FAST | {"link.idle_timeout_s": 2.0},
    "rare": OPEN | {"load.rate_rps": 20.0},
    "many": FAST | {"load.concurrency": 10_000},
}
APART = {"silent", "forgotten", "rare", "many"}


def plan_of(kinds: dict[str, str], pairs: list[tuple[str, str]], aa: tuple[str, str] | None = None) -> StudyPlan:
    """A plan of configurations by the kind of their load; the first pair is the headline."""
    planned = Configurations()
    for name, kind in kinds.items():
        planned.add(name, name, "chatter", TrialConfig().replace(KINDS[kind]))
    for baseline, candidate in pairs[1:]:
        planned.compare("", "chatter", baseline, candidate)
    plan = planned.plan(blocks=6)
    return replace(
        plan,
        headline=headline("", "chatter", *pairs[0], labels=("", "")) if pairs else PlannedHeadline(),
        aa=comparison("", "chatter", *aa) if aa else PlannedComparison(),
    )


@st.composite
def plans(draw: st.DrawFn) -> StudyPlan:
    names = [f"c{i}" for i in range(draw(st.integers(1, 14)))]
    few = draw(st.sampled_from([["fast"], ["fast", "slow"], list(KINDS)]))
    kinds = {name: draw(st.sampled_from(few)) for name in names}
    pair = st.tuples(st.sampled_from(names), st.sampled_from(names)).filter(lambda pair: pair[0] != pair[1])
    pairs = draw(st.lists(pair, max_size=20)) if len(names) > 1 else []
    return plan_of(kinds, pairs, draw(st.none() | pair) if len(names) > 1 else None)


def pairs_of(plan: StudyPlan) -> list[PlannedComparison]:
    arms = [arm for arm in (plan.headline, plan.aa) if arm]
    return [one for one in (*arms, *plan.parts, *plan.comparisons) if one.testable]


def holding(plan: StudyPlan, *names: str) -> list[PlannedGroup]:
    return [group for group in plan.groups if set(names) <= set(group.members)]


def slices(plan: StudyPlan, group: PlannedGroup) -> float:
    return max(ExpectedTimes.of(plan.configuration(name).config).slice_s for name in group.members)


def trials(plan: StudyPlan) -> int:
    return sum(len(group.members) for group in plan.groups)


def star(candidates: int, kind: str = "fast") -> StudyPlan:
    names = [f"c{i}" for i in range(candidates)]
    return plan_of(dict.fromkeys(["hub", *names], kind), [("hub", name) for name in names])


@given(plans())
@settings(max_examples=50, deadline=None)
def test_both_sides_of_every_comparison_share_a_group_and_no_configuration_is_left_out(plan: StudyPlan) -> None:
    found = grouped(plan)
    assert grouped(plan) == found
    assert {name for group in found.groups for name in group.members} == set(plan.names)
    for one in pairs_of(plan):
        assert holding(found, one.baseline, one.candidate)
    compared = {name for one in pairs_of(plan) for name in (one.baseline, one.candidate)}
    for group in found.groups:
        assert group.members[0] == group.hub
        assert len(set(group.members)) == len(group.members) <= MOST_MEMBERS
        assert (len(group.members) == 1) == (group.members[0] not in compared)
        assert all(any(one.baseline in group.members and one.candidate in group.members and name in
                       (one.baseline, one.candidate) for one in pairs_of(plan)) for name in group.members
                   if len(group.members) > 1)  # fmt: skip


@given(plans())
@settings(max_examples=50, deadline=None)
def test_the_sides_of_a_comparison_start_close_to_each_other_in_every_pass(plan: StudyPlan) -> None:
    """Any two members do, or every comparison that needs the group is with its hub, which is visited again."""
    found = grouped(plan)
    for one in pairs_of(plan):
        groups = holding(found, one.baseline, one.candidate)
        assert any(
            not group.interleaved
            or len(group.members) == 2
            or (len(group.members) - 1) * slices(plan, group) <= FARTHEST_S
            or group.hub in (one.baseline, one.candidate)
            for group in groups
        )
    for group in found.groups:
        assert len(group.members) == 2 or group_s(plan, group) <= LONGEST_GROUP_S
        if group.interleaved:
            assert group.pass_s is not None
            assert group.pass_s >= len(group.members) * slices(plan, group)


@given(plans())
@settings(max_examples=40, deadline=None)
def test_what_cannot_be_interleaved_is_measured_one_after_the_other_with_a_reason(plan: StudyPlan) -> None:
    found = grouped(plan)
    for group in found.groups:
        configs = [plan.configuration(name).config for name in group.members]
        apart = any(config.load.pause_s or config.link.idle_timeout_s for config in configs)
        apart |= any((config.load.rate_rps or 1000) < 40 or config.load.concurrency == 10_000 for config in configs)
        assert group.interleaved != (apart or len(group.members) == 1)
        assert bool(group.reason) != group.interleaved


@pytest.mark.parametrize(
    ("kind", "words"),
    [("silent", "load.pause_s=3"), ("forgotten", "link.idle_timeout_s=2"), ("rare", "load.rate_rps=20"), ("many", "s")],
)
def test_the_reason_names_the_factor_that_forbids_slices(kind: str, words: str) -> None:
    (group,) = grouped(plan_of({"a": "fast", "b": kind}, [("a", "b")])).groups
    assert (group.members, group.interleaved, group.pass_s) == (("a", "b"), False, None)
    assert words in group.reason


def test_the_idle_scenario_is_never_interleaved() -> None:
    plan = grouped(DESIGNS["idle"].plan(StudyParameters(design="idle"), 1))
    assert not any(group.interleaved for group in plan.groups)


def test_a_reason_that_a_caller_gives_is_kept() -> None:
    plan = plan_of(dict.fromkeys("abc", "fast"), [("a", "b"), ("b", "c"), ("a", "c")])
    found = grouped(plan, apart={"c": "a fixed port"})
    assert [(set(group.members), group.interleaved, group.reason) for group in found.groups] == [
        ({"a", "b"}, True, ""),
        ({"a", "b", "c"}, False, "a fixed port"),
    ]


def test_a_few_that_are_compared_with_each_other_are_one_group() -> None:
    plan = plan_of(dict.fromkeys("abcdef", "fast"), [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f")])
    (group,) = grouped(plan).groups
    assert set(group.members) == set("abcdef")
    assert group.hub in "bcde"
    assert (group.interleaved, group.counted_s) == (True, 1.0)


@pytest.mark.parametrize("candidates", [1, 5, 6, 10, 11, 40])
def test_a_star_is_measured_around_its_hub_with_few_trials(candidates: int) -> None:
    found = grouped(star(candidates))
    assert {group.hub for group in found.groups} == {"hub"}
    assert len(found.groups) == math.ceil(candidates / (MOST_MEMBERS - 1))
    assert trials(found) == candidates + len(found.groups)


@pytest.mark.parametrize("rungs", [2, 6, 7, 11, 12, 30])
def test_a_ladder_becomes_groups_that_overlap_in_one_rung(rungs: int) -> None:
    names = [f"r{i}" for i in range(rungs)]
    found = grouped(plan_of(dict.fromkeys(names, "fast"), list(itertools.pairwise(names))))
    assert len(found.groups) == math.ceil((rungs - 1) / (MOST_MEMBERS - 1))
    assert max(Counter(name for group in found.groups for name in group.members).values()) <= 2
    assert trials(found) == rungs + len(found.groups) - 1


def test_comparisons_with_a_slow_side_do_not_lengthen_the_slices_of_others() -> None:
    kinds = {"basic": "slow", "kept": "fast", "a": "fast", "b": "fast"}
    found = grouped(plan_of(kinds, [("basic", "kept"), ("kept", "a"), ("kept", "b")]))
    assert [set(group.members) for group in found.groups] == [{"basic", "kept"}, {"kept", "a", "b"}]
    slow, fast = (group.pass_s or 0 for group in found.groups)
    assert fast < 0.6 < slow


def test_the_noise_is_measured_in_the_group_of_the_headline() -> None:
    kinds = {"base": "fast", "new": "slow", "again": "fast", **{f"c{i}": "fast" for i in range(6)}}
    found = grouped(plan_of(kinds, [("base", "new"), *(("base", f"c{i}") for i in range(6))], aa=("base", "again")))
    assert found.groups[0].hub == "base"
    assert {"base", "new", "again"} <= set(found.groups[0].members)
    assert len(holding(found, "base", "again")) == 1


@pytest.mark.parametrize("kind", ["slow", "slower", "open"])
def test_the_hub_of_long_slices_is_visited_more_than_once_in_a_pass(kind: str) -> None:
    plan = star(3, kind)
    (group,) = grouped(plan).groups
    visits = (group.pass_s or 0) / slices(plan, group)
    assert visits == pytest.approx(5 if kind != "slow" else 4)


def test_a_group_of_long_windows_ends_within_a_minute() -> None:
    plan = star(5, "silent")
    settings: dict[str, Level] = {**KINDS["silent"], "load.requests": None, "load.duration_s": 8.0}
    long = tuple(replace(one, settings=settings) for one in plan.configurations)
    found = grouped(replace(plan, configurations=long))
    assert len(found.groups) > 1
    assert all(group_s(found, group) <= LONGEST_GROUP_S for group in found.groups)


def test_what_is_in_no_comparison_is_measured_alone_for_half_the_time() -> None:
    found = grouped(plan_of(dict.fromkeys("abc", "fast"), [("a", "b")]))
    assert found.groups[-1] == PlannedGroup(
        hub="c",
        members=("c",),
        interleaved=False,
        reason=NOT_COMPARED,
        counted_s=0.5,
        memory_bytes=found.groups[-1].memory_bytes,
    )


def test_the_memory_of_a_group_is_that_of_its_servers_where_it_can_be_told() -> None:
    plan = star(2)
    (group,) = grouped(plan).groups
    assert group.memory_bytes == 3 * expected_times.memory_bytes(plan.configuration("hub").config)
    own = replace(plan, subjects={"c1": StoredTarget(command="./server")})
    assert grouped(own).groups[0].memory_bytes is None


@pytest.mark.parametrize("design", list(DESIGNS.builtin))
def test_every_design_has_groups_that_hold_its_comparisons(design: str) -> None:
    found = grouped(DESIGNS[design].plan(StudyParameters(design=design), 1))
    for one in pairs_of(found):
        assert holding(found, one.baseline, one.candidate), one.title
    assert trials(found) <= 1.5 * len(found.names)


# ---- estimates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "low_s", "high_s"),
    [
        ({}, 0.1, 0.2),
        ({"load.concurrency": 1}, 0.1, 0.12),
        ({"client.pooling": "per_call"}, 0.3, 0.5),
        ({"server.handler_wait_ms": "5"}, 0.25, 0.4),
        ({"server.handler_wait_ms": "5", "server.threads": 64}, 0.1, 0.2),
        ({"server.handler_wait_ms": "5", "server.implementation": "asyncio"}, 0.1, 0.2),
        ({"link.rtt_ms": 20.0, "load.concurrency": 8}, 0.15, 0.25),
        ({"load.rate_rps": 1000.0}, 1.0, 1.1),
        ({"load.rate_rps": 100.0}, 2.0, 2.1),
    ],
)
def test_a_slice_is_expected_to_last_as_long_as_its_latencies_ask_for(
    changes: dict[str, Any], low_s: float, high_s: float
) -> None:
    assert low_s <= ExpectedTimes.of(TrialConfig().replace(FAST | changes)).slice_s <= high_s


def test_a_window_lasts_until_its_calls_are_made_and_no_longer_than_it_may() -> None:
    slow = TrialConfig().replace(FAST | {"load.concurrency": 1, "link.rtt_ms": 20.0})
    endless = TrialConfig().replace(OPEN | {"load.duration_s": None})
    windows = [ExpectedTimes.of(config).window_s(1.0) for config in (slow, TrialConfig().replace(FAST), endless)]
    assert windows == [2.0, 1.0, 5.0]


def test_a_pass_is_one_slice_of_each_where_they_are_short() -> None:
    times = ExpectedTimes.of(TrialConfig().replace(FAST))
    assert pass_s([times] * 6) == pytest.approx(6 * times.slice_s)


@pytest.mark.parametrize("reason", ["it is in no comparison", "its silence is what is measured"])
def test_a_group_that_an_earlier_version_planned_can_still_be_sampled(reason: str) -> None:
    group = PlannedGroup(members=("a",), interleaved=False, reason=f"load.pause_s=4: {reason}")
    assert can_be_sampled(group)
    assert not can_be_sampled(replace(group, interleaved=True))
    assert not can_be_sampled(replace(group, reason="another reason"))
