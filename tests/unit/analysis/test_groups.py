"""Comparisons of configurations that were measured in groups: paired within a group, never across."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.analysis import analyse, block_ratios, compare, judge, levels
from grpclab.analysis.configuration_summary import measure
from grpclab.analysis.inference.edition import FIRST_EDITION, TODAY, rules_of
from grpclab.analysis.inference.evidence import shift
from grpclab.analysis.inference.pairing import pair_blocks, share_a_group
from grpclab.analysis.inference.ratios import numbers
from grpclab.analysis.inference.verdict import SideName
from grpclab.analysis.neighbours import Neighbours
from grpclab.analysis.sentence import sentence
from grpclab.analysis.study_plan import PlannedComparison, PlannedGroup, PlannedHeadline, StudyPlan
from tests.support.frames import VALID

THROUGHPUT = "throughput_rps"
BLOCKS = 6
MIRROR = {"faster": "slower", "slower": "faster"}


def trial(name: str, block: int, group: float, value: float, **more: object) -> dict[str, object]:
    return {
        "scenario": "chatter",
        "configuration": name,
        "block": block,
        "group": group,
        THROUGHPUT: value,
        "pass_count": 9,
        **VALID,
        **more,
    }


def frame(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame(rows)


def two_groups(speeds: Sequence[float] = (1.0, 3.0)) -> pd.DataFrame:
    """The hub in two groups of each block, whose machine is three times as fast in the second."""
    rows = []
    for block in range(BLOCKS):
        noise = 1 + block / 1000
        rows += [
            trial("hub", block, 0, 100 * speeds[0]),
            trial("left", block, 0, 110 * speeds[0] * noise),
            trial("hub", block, 1, 100 * speeds[1]),
            trial("right", block, 1, 90 * speeds[1] * noise),
        ]
    return frame(rows)


def plan(*groups: PlannedGroup) -> StudyPlan:
    return StudyPlan(
        blocks=BLOCKS,
        delta=0.05,
        headline=PlannedHeadline(title="left against hub", scenario="chatter", baseline="hub", candidate="left"),
        comparisons=(PlannedComparison(title="right against hub", baseline="hub", candidate="right"),),
        groups=groups or (PlannedGroup(hub="hub", members=("hub", "left")), PlannedGroup(members=("hub", "right"))),
    )


def ratios(trials: pd.DataFrame, candidate: str, baseline: str = "hub") -> pd.DataFrame:
    return block_ratios(trials, scenario="chatter", metric=THROUGHPUT, baseline=baseline, candidate=candidate)


def test_a_hub_in_two_groups_is_paired_with_each_candidate_in_its_own() -> None:
    trials = two_groups()
    assert ratios(trials, "left")["ratio"].to_numpy() == pytest.approx([1.1 * (1 + b / 1000) for b in range(BLOCKS)])
    assert ratios(trials, "right")["ratio"].iloc[0] == pytest.approx(0.9)
    found = analyse(trials, plan())
    assert [c.verdict for c in found.judged] == ["faster", "slower"]
    assert [c.blocks for c in found.judged] == [BLOCKS, BLOCKS]


@given(st.floats(0.1, 10), st.floats(0.1, 10))
def test_what_the_machine_does_between_groups_is_in_no_ratio(first: float, second: float) -> None:
    assert ratios(two_groups((first, second)), "right")["ratio"].to_numpy() == pytest.approx(
        ratios(two_groups((1.0, 1.0)), "right")["ratio"].to_numpy()
    )


def test_sides_that_share_two_groups_give_one_ratio_a_block() -> None:
    rows = [
        trial(name, 0, group, value)
        for group, (hub, side) in enumerate([(100, 110), (300, 270)])
        for name, value in (("hub", hub), ("left", side))
    ]
    pairs = ratios(frame(rows), "left")
    assert len(pairs) == 1
    assert pairs["ratio"].iloc[0] == pytest.approx(math.sqrt(1.1 * 0.9))
    assert pairs["ratio"].iloc[0] == pytest.approx(pairs["candidate"].iloc[0] / pairs["baseline"].iloc[0])


def test_where_slices_interleave_in_one_shared_group_its_ratio_counts_alone() -> None:
    rows = [
        trial(name, block, group, value, pass_count=passes)
        for block in (0, 1)
        for group, passes, (hub, side) in [(0, 7, (100, 110)), (1, 0, (300, 900))]
        for name, value in [("hub", hub), ("left", side)]
        if (block, group, name) != (1, 0, "left")  # in that block only the other group holds both
    ]
    assert ratios(pd.DataFrame(rows), "left")["ratio"].tolist() == pytest.approx([1.1, 3.0])


def test_sides_that_share_no_group_have_no_ratio_and_the_note_says_why() -> None:
    trials = two_groups()
    assert ratios(trials, "right", baseline="left").empty
    found = compare(trials, scenario="chatter", metric=THROUGHPUT, baseline="left", candidate="right")
    assert not found.computed
    assert "left and right are not in the same group" in found.note
    assert not share_a_group(trials, scenario="chatter", baseline="left", candidate="right")


def test_a_member_measured_again_with_its_hub_counts_in_that_group() -> None:
    trials = two_groups()
    trials.loc[trials["configuration"].eq("right") & trials["block"].eq(2), "valid"] = False
    assert list(ratios(trials, "right")["block"]) == [0, 1, 3, 4, 5]
    again = frame([trial("hub", 2, 2, 1000.0), trial("right", 2, 2, 900.0)])
    both = pd.concat([trials, again], ignore_index=True)
    pairs = ratios(both, "right").set_index("block")["ratio"]
    assert pairs[2] == pytest.approx(0.9)
    assert len(pairs) == BLOCKS
    assert ratios(both, "left")["ratio"].to_numpy() == pytest.approx(ratios(trials, "left")["ratio"].to_numpy())


def test_a_block_without_a_shared_group_is_left_out_with_its_reason() -> None:
    trials = two_groups()
    trials = trials[~(trials["configuration"].eq("left") & trials["block"].eq(1))]
    moved = trials["configuration"].eq("left") & trials["block"].eq(3)
    trials = pd.concat([trials[~moved], frame([trial("left", 3, 7, 110.0)])], ignore_index=True)
    paired = pair_blocks(trials, scenario="chatter", metric=THROUGHPUT, baseline="hub", candidate="left")
    assert list(paired.frame["block"]) == [0, 2, 4, 5]
    assert paired.notes == (
        "block 1 was left out because there is no trial of left",
        "hub and left are in the same group in 4 of 5 blocks",
    )


@pytest.mark.parametrize("empty", [True, False])
def test_trials_of_the_first_edition_pair_by_block(empty: bool) -> None:
    trials = two_groups((1.0, 1.0)).query("group == 0 or configuration == 'right'")
    trials = trials.assign(group=math.nan) if empty else trials.drop(columns="group")
    assert len(ratios(trials, "right")) == BLOCKS
    assert ratios(trials, "right", baseline="left")["ratio"].to_numpy() == pytest.approx([90 / 110] * BLOCKS)


def test_a_level_counts_a_block_once_however_many_groups_it_stands_in() -> None:
    table = levels(two_groups(), ["hub", "left"], THROUGHPUT).set_index("configuration")
    assert list(table["blocks"]) == [BLOCKS, BLOCKS]
    assert table.loc["hub", "mean"] == pytest.approx(math.sqrt(100 * 300))


def test_a_level_needs_one_valid_trial_of_a_block() -> None:
    trials = two_groups((1.0, 1.0))
    trials.loc[trials["group"].eq(1) & trials["configuration"].eq("hub"), "valid"] = False
    table = levels(trials, ["hub"], THROUGHPUT)
    assert (table["blocks"].iloc[0], table["note"].iloc[0]) == (BLOCKS, "")


def test_shifts_of_other_figures_are_taken_within_groups_too() -> None:
    trials = two_groups((0.0, 50.0))
    trials[THROUGHPUT] = [5.0, 6.0, 55.0, 57.0] * BLOCKS
    values = numbers(trials, THROUGHPUT)
    assert shift(trials, "hub", "left", values).change.mean == pytest.approx(1.0)
    assert shift(trials, "hub", "right", values).change.mean == pytest.approx(2.0)


def test_neighbours_that_share_no_group_are_paired_by_block() -> None:
    trials = two_groups((1.0, 1.0))
    one, other = (m for m in measure(trials, plan(), None) if m.configuration != "hub")
    found = Neighbours(trials, [one, other])._against(other, one)
    assert (found.baseline, found.blocks) == ("right", BLOCKS)
    assert found.ratio == pytest.approx(110 / 90)


# ---- what was not interleaved ---------------------------------------------------------------------------------------


def test_a_row_that_was_measured_one_after_the_other_says_so() -> None:
    apart = PlannedGroup(hub="hub", members=("hub", "left"), interleaved=False, reason="a fixed port of its metrics")
    notes = [c.note for c in analyse(two_groups(), plan(apart, PlannedGroup(members=("hub", "right")))).judged]
    assert notes == ["measured one after the other: a fixed port of its metrics", ""]


def test_a_row_whose_member_was_measured_alone_says_how_often() -> None:
    trials = two_groups()
    trials.loc[trials["configuration"].eq("left") & trials["block"].lt(2), "pass_count"] = 0
    notes = [c.note for c in analyse(trials, plan()).judged]
    assert notes == ["measured alone, one after the other: left in 2 of 6 trials", ""]


# ---- the rules ------------------------------------------------------------------------------------------------------


def test_a_plan_without_groups_is_judged_by_the_rules_of_the_first_edition() -> None:
    assert rules_of(plan()) == TODAY
    assert rules_of(replace(plan(), groups=())) == FIRST_EDITION
    assert FIRST_EDITION.margins(0.25) == (0.75, 1.25)
    assert TODAY.margins(0.25) == (0.8, 1.25)


@given(
    st.tuples(st.floats(0.2, 5), st.floats(0, 0.5), st.floats(0, 0.5)),
    st.floats(0, 0.1),
    st.floats(0.01, 0.3),
    st.sampled_from([THROUGHPUT, "latency_p99_s"]),
    st.sets(st.sampled_from(["baseline", "candidate"])),
)
def test_exchanging_the_sides_mirrors_the_verdict(
    interval: tuple[float, float, float], p: float, delta: float, metric: str, bound: set[SideName]
) -> None:
    ratio, low, high = interval[0], interval[0] * math.exp(-interval[1]), interval[0] * math.exp(interval[2])
    swapped: dict[SideName, SideName] = {"baseline": "candidate", "candidate": "baseline"}
    one = judge(metric=metric, ratio=ratio, ci_low=low, ci_high=high, p_value=p, delta=delta, blocks=6, bound=bound)
    other = judge(
        metric=metric,
        ratio=1 / ratio,
        ci_low=1 / high,
        ci_high=1 / low,
        p_value=p,
        delta=delta,
        blocks=6,
        bound={swapped[side] for side in bound},
    )
    assert other == MIRROR.get(one, one)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.8, 1.25), min_size=6, max_size=12), st.booleans())
def test_comparing_the_other_way_round_mirrors_ratio_interval_and_verdict(found: list[float], exact: bool) -> None:
    rows = [row for b, x in enumerate(found) for row in (trial("a", b, 0, 100.0), trial("b", b, 0, 100.0 * x))]
    one, other = (
        compare(frame(rows), scenario="chatter", metric=THROUGHPUT, baseline=x, candidate=y, exact=exact)
        for x, y in (("a", "b"), ("b", "a"))
    )
    assert other.verdict == MIRROR.get(one.verdict, one.verdict)
    assert other.ratio == pytest.approx(1 / one.ratio)
    assert (other.ci_low, other.ci_high) == pytest.approx((1 / one.ci_high, 1 / one.ci_low))
    assert other.p_value == pytest.approx(one.p_value)


# ---- who is the limit -----------------------------------------------------------------------------------------------


def bound_pair(ratio: float, *bound: str, metric: str = THROUGHPUT, label: str = "generator-bound") -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = []
    for block in range(BLOCKS):
        for name, value in (("hub", 100.0), ("left", 100.0 * ratio)):
            limited = label if name in bound else ""
            rows.append(
                trial(name, block, 0, math.nan, limited_by=limited, **{metric: value * (1 + rng.normal(0, 1e-3))})
            )
    return frame(rows).assign(**{"load.engine": "grpcio"})


@pytest.mark.parametrize(
    ("metric", "ratio", "bound", "verdict", "word"),
    [
        (THROUGHPUT, 1.2, ["left"], "faster", "at least"),
        (THROUGHPUT, 1.2, ["hub"], "inconclusive", ""),
        (THROUGHPUT, 1.2, ["hub", "left"], "inconclusive", ""),
        (THROUGHPUT, 0.8, ["hub"], "slower", "at most"),
        (THROUGHPUT, 0.8, ["left"], "inconclusive", ""),
        (THROUGHPUT, 1.0, ["left"], "inconclusive", ""),
        (THROUGHPUT, 1.0, [], "equivalent", ""),
        ("latency_p50_s", 0.8, ["left"], "faster", "at most"),
        ("latency_p50_s", 1.2, ["hub"], "slower", "at least"),
        ("latency_p50_s", 1.2, ["left"], "inconclusive", ""),
        ("server_cpu_per_call_s", 0.8, ["hub", "left"], "faster", ""),
    ],
)
def test_a_verdict_about_a_server_needs_a_generator_that_is_not_the_limit(
    metric: str, ratio: float, bound: list[str], verdict: str, word: str
) -> None:
    trials = bound_pair(ratio, *bound, metric=metric)
    found = compare(trials, scenario="chatter", metric=metric, baseline="hub", candidate="left")
    assert (found.verdict, found.bound_word, found.at_least) == (verdict, word, bool(word))
    if verdict == "inconclusive":
        assert found.generator_limited
        assert found.blocks_needed is None
        assert "load.workers" in found.remedy
    first = compare(trials, scenario="chatter", metric=metric, baseline="hub", candidate="left", rules=FIRST_EDITION)
    assert (first.verdict, first.bound_sides) == (
        "equivalent" if ratio == 1.0 else "faster" if (ratio > 1) == (metric == THROUGHPUT) else "slower",
        (),
    )


def test_too_few_blocks_are_mended_before_the_generator() -> None:
    trials = bound_pair(1.2, "hub", "left")
    few = trials[trials["block"] < 2]
    found = compare(few, scenario="chatter", metric=THROUGHPUT, baseline="hub", candidate="left")
    first, second = found.obstacles
    assert first == "2 blocks are too few for a verdict: run at least 6"
    assert second == f"the load generator was the limit: {found.remedy}"
    whole = compare(trials, scenario="chatter", metric=THROUGHPUT, baseline="hub", candidate="left")
    assert whole.obstacles == (second,)
    said = sentence(found, PlannedHeadline(title="left against hub"), [])
    assert said.endswith(f"(2 blocks): inconclusive; {first}; {second}.")


def test_a_client_that_is_the_factor_is_judged_at_its_limit() -> None:
    trials = bound_pair(1.2, "hub", "left", label="client-cpu")
    found = compare(trials, scenario="chatter", metric=THROUGHPUT, baseline="hub", candidate="left")
    assert (found.verdict, found.at_least, found.bound_sides) == ("faster", False, ())


def test_the_sentence_says_at_least_and_what_to_change() -> None:
    bound, hidden = (analyse(bound_pair(1.2, side), plan()) for side in ("left", "hub"))
    assert "left has at least 1.20× the throughput of hub" in bound.sentence
    assert bound.as_dict()["headline"]["at_least"] is True
    assert "the load generator was the limit: use the wire engine (load.engine=wire)" in hidden.sentence
    assert hidden.as_dict()["headline"]["bound_sides"] == ["hub"]
    assert "bound_sides" not in analyse(bound_pair(1.2), plan()).as_dict()["headline"]


def test_a_limit_in_a_group_that_the_two_do_not_share_does_not_count() -> None:
    trials = two_groups()
    trials.loc[trials["configuration"].eq("hub") & trials["group"].eq(1), "limited_by"] = "generator-bound"
    left, right = analyse(trials, plan()).judged
    assert (left.verdict, left.bound_sides) == ("faster", ())
    assert (right.verdict, right.bound_sides, right.bound_word) == ("slower", ("hub",), "at most")
