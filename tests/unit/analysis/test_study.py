"""A whole study judged: families, the A/A arm, warnings, the sentence, and the frames of its figures."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

import grpclab.analysis as room
from grpclab.analysis import Judgement, analyse, holm, ladder_steps, levels
from grpclab.analysis.judgement import headline_of
from grpclab.analysis.sentence import sentence
from grpclab.analysis.study_plan import StoredCores, StudyPlan
from grpclab.errors import DesignError
from grpclab.quantities import ratio
from tests.support import plans

METRIC = "throughput_rps"
LEVELS = {"basic": 100.0, "reuse": 300.0, "optimized": 340.0, "basic-again": 100.0}


def trials(
    means: Mapping[str, float] = LEVELS, blocks: int = 6, noise: float = 0.02, seed: int = 5, **columns: Any
) -> pd.DataFrame:
    """Valid trials around those means, with that spread of ln throughput."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "scenario": "chatter",
            "configuration": name,
            "block": block,
            "valid": True,
            "invalid_reason": "",
            "limited_by": "",
            "requests": 500.0,
            "errors": 0.0,
            "errors_by_status": "{}",
            METRIC: mean * math.exp(rng.normal(0, noise)),
            "latency_p99_s": 1 / mean * math.exp(rng.normal(0, noise)),
        }
        | columns
        for block in range(blocks)
        for name, mean in means.items()
    ]
    return pd.DataFrame(rows)


def entry(baseline: str, candidate: str, **more: Any) -> dict[str, Any]:
    common = {"title": f"{candidate} over {baseline}", "scenario": "chatter", "metric": METRIC}
    return common | {"baseline": baseline, "candidate": candidate} | more


CLIENT = entry("basic", "reuse", side="client", phrase="the client keeping its connections")
SERVER = entry("reuse", "optimized", side="server", phrase="the server")


def plan(**changes: Any) -> StudyPlan:
    document = {
        "blocks": 6,
        "delta": 0.05,
        "metric": METRIC,
        "configurations": [{"name": name, "scenario": "chatter"} for name in LEVELS],
        "headline": entry("basic", "optimized", title="optimized against basic at concurrency 64"),
        "parts": [CLIENT, SERVER],
        "comparisons": [CLIENT, SERVER],
        "aa": entry("basic", "basic-again", title="A/A"),
    }
    return plans.value(document | changes)


def judged(frame: pd.DataFrame | None = None, **changes: Any) -> Judgement:
    return analyse(trials() if frame is None else frame, plan(**changes))


def warning(found: Judgement, words: str) -> str:
    """The one warning that holds those words."""
    (text,) = [text for text in found.warnings if words in text]
    return text


def headline_only(ratio: float, noise: float = 0.02, blocks: int = 6, **changes: Any) -> Judgement:
    means = {"basic": 100.0, "optimized": 100.0 * ratio, "basic-again": 100.0}
    return analyse(trials(means, blocks, noise), plan(**{"parts": [], "comparisons": [], "blocks": blocks} | changes))


def test_the_names_of_the_room_are_sorted_and_complete() -> None:
    assert room.__all__ == sorted(room.__all__)
    assert all(hasattr(room, name) for name in room.__all__)


def test_the_sentence_gives_ratio_interval_blocks_verdict_and_parts() -> None:
    found = judged(trials(noise=0.002))
    assert found.headline.verdict == "faster"
    assert found.sentence == (
        "optimized is 3.4x basic in throughput at concurrency 64, 95 % interval 3.4 to 3.4, 6 blocks: "
        "faster; 3.0x of it comes from the client keeping its connections, 1.13x from the server."
    )
    assert found.warnings == ()


def test_the_parts_multiply_to_the_headline() -> None:
    found = judged()
    client, server = found.comparisons
    assert client.ratio * server.ratio == pytest.approx(found.headline.ratio)


def test_labels_of_the_plan_beat_its_title_and_names_are_the_last_resort() -> None:
    labels = {"candidate_label": "Paul", "baseline_label": "Peter", "at": "over a slow link"}
    frame = trials(noise=0.002)
    given = judged(frame, headline=entry("basic", "optimized", title="x against y at noon") | labels)
    assert given.sentence.startswith("Paul is 3.4x Peter in throughput over a slow link, 95 %")
    bare = judged(frame, headline=entry("basic", "optimized", title="whole variant"))
    assert bare.sentence.startswith("optimized is 3.4x basic in throughput, 95 %")


def test_a_slower_headline_reads_naturally() -> None:
    found = headline_only(0.8)
    assert found.headline.verdict == "slower"
    assert found.sentence.startswith("optimized is 0.8")
    assert found.sentence.endswith("6 blocks: slower.")


def test_an_equivalent_headline_says_within_what() -> None:
    found = headline_only(1.0, noise=0.005)
    assert found.headline.verdict == "equivalent"
    assert found.sentence.endswith("6 blocks: equivalent, the whole interval lies within 5 % of 1.")


def test_parts_that_cancel_are_shown_under_an_equivalent_headline() -> None:
    means = {"basic": 100.0, "reuse": 200.0, "optimized": 100.0, "basic-again": 100.0}
    found = judged(trials(means, noise=0.005))
    assert "of its parts, 2.0x comes from the client keeping its connections and 0.50x" in found.sentence


def test_an_inconclusive_headline_says_how_many_blocks_would_decide() -> None:
    found = headline_only(1.1, noise=0.1)
    assert found.headline.verdict == "inconclusive"
    needed = found.headline.blocks_needed
    assert found.sentence.endswith(f"inconclusive; at this noise a new study of about {needed} blocks would decide it.")


def test_two_blocks_promise_nothing() -> None:
    found = headline_only(3.4, blocks=2)
    assert (found.headline.verdict, found.headline.blocks_needed) == ("inconclusive", None)
    assert found.sentence.endswith("2 blocks: inconclusive; 2 blocks are too few for a verdict, run at least 6.")
    assert "6 can carry one" in warning(found, "the study has 2 blocks")


@pytest.mark.parametrize("blocks", [2, 3, 4, 5])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 3.4])
def test_fewer_blocks_than_can_carry_a_verdict_give_none_anywhere(blocks: int, ratio: float) -> None:
    means = {name: level * ratio**at for at, (name, level) in enumerate(LEVELS.items())}
    frame = trials(means, noise=1e-4, blocks=blocks)
    found = judged(frame, blocks=blocks)
    for one in (found.headline, *found.comparisons, found.aa):
        assert one is not None
        assert one.verdict == "inconclusive"
        assert math.isnan(one.p_value)
        assert math.isnan(one.p_adjusted)
        assert one.has_interval == (blocks >= 3)


def test_a_ratio_on_the_edge_of_delta_is_not_promised_a_decision() -> None:
    frame = trials({"basic": 100.0, "optimized": 105.0}, noise=0.0)
    up = frame["block"] % 2 == 0
    frame.loc[frame["configuration"].eq("optimized") & up, METRIC] *= 1.1
    frame.loc[frame["configuration"].eq("optimized") & ~up, METRIC] /= 1.1
    found = analyse(frame, plan(parts=[], comparisons=[]))
    assert "not even 1,000 blocks would decide it" in found.sentence


def test_less_latency_reads_as_faster() -> None:
    found = judged(headline=entry("basic", "optimized", title="", metric="latency_p99_s"), parts=[], comparisons=[])
    assert found.headline.verdict == "faster"
    assert found.sentence.startswith("optimized is 0.29x basic in p99 latency, where less is faster, 95 %")


def test_a_part_that_is_undecided_is_marked() -> None:
    means = LEVELS | {"optimized": 303.0}
    assert "1.0" in judged(trials(means)).sentence
    assert "from the server (" in judged(trials(means)).sentence


def test_what_a_client_that_keeps_its_channel_gains_is_said_with_its_interval() -> None:
    found = judged(parts=[CLIENT, SERVER | {"already": "A client that already keeps its channel"}])
    part = next(c for c in found.comparisons if c.candidate == "optimized")
    told = found.sentence.partition(". ")[2]
    assert told.startswith(
        f"What is left for a client that already keeps its channel: {ratio(part.ratio, 'sentence')}, 95 % interval "
    )
    assert told.endswith(f", {part.verdict}.")


def test_without_trials_nothing_is_claimed_and_nothing_raises() -> None:
    for frame in (pd.DataFrame(), trials().iloc[:0]):
        found = judged(frame)
        assert "inconclusive, there is no ratio" in found.sentence
        assert found.headline.note in found.sentence
        assert "has not been checked" in warning(found, "A/A arm could not be computed")
        assert "there is no ratio for" in warning(found, "reuse over basic")


def test_a_headline_with_one_valid_block_is_inconclusive() -> None:
    frame = trials()
    frame.loc[frame["block"] > 0, "valid"] = False
    found = judged(frame)
    assert found.headline.blocks == 1
    assert "the headline rests on 1 of 6 planned blocks: too few for a verdict" in warning(found, "headline")


def test_failed_blocks_are_warned_of_even_when_enough_remain() -> None:
    frame = trials(blocks=8)
    frame.loc[frame["configuration"].eq("basic") & frame["block"].eq(2), METRIC] = 0.0
    found = judged(frame, blocks=8)
    assert found.headline.blocks == 7
    assert warning(found, "7 of 8 planned blocks").endswith(
        "block 2 left out: basic, throughput_rps is 0, which has no logarithm"
    )


def test_all_other_comparisons_form_one_family_per_metric() -> None:
    entries = [
        entry("basic", "reuse"),
        entry("reuse", "optimized"),
        entry("basic", "reuse", metric="latency_p99_s"),
    ]
    found = judged(comparisons=entries, parts=[])
    assert [c.family for c in found.comparisons] == [METRIC, METRIC, "latency_p99_s"]
    first, second, alone = found.comparisons
    assert [first.p_adjusted, second.p_adjusted] == pytest.approx(holm([first.p_value, second.p_value]))
    assert alone.p_adjusted == alone.p_value
    assert (found.headline.family, found.headline.p_adjusted) == ("", found.headline.p_value)


def test_a_hypothesis_listed_twice_counts_once() -> None:
    once = judged(comparisons=[entry("basic", "reuse"), entry("reuse", "optimized")], parts=[])
    twice = judged(
        comparisons=[entry("basic", "reuse"), entry("reuse", "optimized"), entry("reuse", "basic")], parts=[]
    )
    assert [c.p_adjusted for c in twice.comparisons[:2]] == pytest.approx([c.p_adjusted for c in once.comparisons])
    assert twice.comparisons[2].verdict == "slower"


def test_the_blocks_needed_in_a_family_grow_with_it() -> None:
    names = [f"c{i}" for i in range(30)]
    frame = trials({"basic": 100.0, "optimized": 115.0} | dict.fromkeys(names, 115.0), noise=0.02)
    frame.loc[frame["configuration"].isin(names) & (frame["block"] % 2 == 0), METRIC] *= 1.3
    frame.loc[frame["configuration"].isin(names) & (frame["block"] % 2 == 1), METRIC] /= 1.3
    alone = judged(frame, comparisons=[entry("basic", "c0")], parts=[]).comparisons[0]
    crowd = judged(frame, comparisons=[entry("basic", name) for name in names], parts=[]).comparisons[0]
    assert alone.verdict == crowd.verdict == "inconclusive"
    assert alone.blocks_needed is not None
    assert crowd.blocks_needed is not None
    assert crowd.blocks_needed > alone.blocks_needed


def test_parts_that_the_plan_forgot_to_list_are_judged_in_the_family() -> None:
    assert [c.title for c in judged(comparisons=[]).comparisons] == [
        "reuse over basic",
        "optimized over reuse",
    ]


def test_what_this_machine_cannot_test_is_no_comparison() -> None:
    found = judged(comparisons=[entry("", "", title="a process per core")])
    assert all(c.baseline for c in found.comparisons)


def test_an_aa_arm_that_excludes_one_is_a_warning_on_the_whole_study() -> None:
    found = judged(trials(LEVELS | {"basic-again": 120.0}))
    assert found.warnings[0].startswith("the A/A arm excludes 1: basic-again is 1.")
    assert "every ratio of this study is in doubt" in found.warnings[0]
    assert found.sentence.endswith("But the A/A arm differs from itself: see the warnings.")
    assert found.headline.delta == 0.05
    assert found.headline.verdict == "faster"


def test_a_study_without_an_aa_arm_says_so() -> None:
    found = judged(aa=None)
    assert found.aa is None
    assert found.as_dict()["aa"] is None
    assert "no A/A arm" in found.warnings[0]


def test_invalid_trials_are_counted_with_their_reasons() -> None:
    frame = trials()
    frame.loc[[0, 5], "valid"] = False
    frame.loc[0, "invalid_reason"] = "server died"
    assert warning(judged(frame), "invalid and were") == (
        "2 of 24 trials are invalid and were left out: server died (1); no reason given (1)"
    )


def test_failed_calls_are_counted_by_status() -> None:
    frame = trials()
    mine = frame["configuration"].eq("optimized")
    frame.loc[mine, "errors"] = 2.0
    frame.loc[mine, "errors_by_status"] = '{"UNAVAILABLE": 2}'
    assert warning(judged(frame), "calls failed").endswith("optimized 12 of 3,000 (UNAVAILABLE 12)")


def test_a_status_column_that_cannot_be_read_does_not_hide_the_failures() -> None:
    frame = trials()
    frame.loc[0, "errors"] = 3.0
    frame.loc[0, "errors_by_status"] = "{broken"
    assert "basic 3 of 3,000 (unreadable 1)" in warning(judged(frame), "calls failed")


def test_a_generator_bound_candidate_makes_the_headline_a_lower_bound() -> None:
    frame = trials()
    frame.loc[frame["configuration"].eq("optimized"), "limited_by"] = "generator-bound"
    found = judged(frame)
    bound = (
        "the load generator reached its limit in trials of optimized: its true throughput is at least this, "
        "so the ratio is a lower bound"
    )
    assert bound in found.warnings
    assert found.sentence.endswith(f"But {bound}.")
    assert "'optimized over reuse'" in warning(found, "such ratios are bounds")
    assert found.headline.limited_by == ("generator-bound",)


def test_a_generator_bound_baseline_makes_it_an_upper_bound() -> None:
    frame = trials()
    frame.loc[frame["configuration"].eq("basic"), "limited_by"] = "generator-bound"
    assert "so the ratio is an upper bound" in judged(frame).sentence


def test_a_client_that_is_the_factor_under_test_is_a_fact_and_no_bound() -> None:
    frame = trials()
    frame.loc[frame["configuration"].eq("basic"), "limited_by"] = "client-cpu"
    found = judged(frame)
    assert "not an invalid result" in warning(found, "client-cpu")
    assert "bound" not in found.sentence
    assert found.headline.limited_by == ("client-cpu",)


def two_engines(wire_ratio: float, grpcio_ratio: float = 3.4) -> Judgement:
    """A study whose variants were measured with both engines."""
    means = LEVELS | {"optimized": 100 * grpcio_ratio, "basic-wire": 200.0, "optimized-wire": 200 * wire_ratio}
    rows = [
        {"variant": variant, "configurations": {"grpcio": variant, "wire": f"{variant}-wire"}}
        for variant in ("basic", "optimized")
    ]
    wire = entry("basic-wire", "optimized-wire", title="optimized against basic with engine wire")
    engines = {"scenario": "chatter", "base": "grpcio", "other": "wire", "rows": rows}
    return analyse(trials(means), plan(parts=[], comparisons=[wire], engines=engines))


def test_engines_with_opposite_verdicts_are_a_warning() -> None:
    assert warning(two_engines(0.7), "opposite verdicts") == (
        "the two engines give opposite verdicts: optimized is faster than basic with engine grpcio (3.5x) and slower "
        "with engine wire (0.70x). What differs is the client, so neither is a verdict on the server"
    )
    assert "faster than basic with engine wire" in warning(two_engines(1.5, 0.7), "opposite verdicts")


@pytest.mark.parametrize("wire_ratio", [1.2, 1.0, 5.0])
def test_engines_that_differ_in_size_only_are_none(wire_ratio: float) -> None:
    assert not [text for text in two_engines(wire_ratio).warnings if "opposite" in text]


def test_connections_lost_in_valid_trials_are_told_with_the_time_without_any() -> None:
    frame = trials(connections_lost=0.0, outage_s=0.0)
    assert not [text for text in judged(frame).warnings if "connections were lost" in text]
    first, second = frame.index[frame["configuration"].eq("optimized")][:2]
    frame.loc[[first, second], "connections_lost"] = 2.0
    frame.loc[first, "outage_s"] = 0.3125
    basic = frame.index[frame["configuration"].eq("basic")][:2]
    frame.loc[basic, "connections_lost"] = [1.0, 9.0]
    frame.loc[basic[1], "valid"] = False
    assert warning(judged(frame), "connections were lost") == (
        "connections were lost in valid trials: basic 1 and optimized 4 (0.31 s without any)"
    )


def test_the_judgement_becomes_plain_json() -> None:
    for frame in (trials(), pd.DataFrame()):
        stored = judged(frame).as_dict()
        assert json.loads(json.dumps(stored, allow_nan=False)) == stored
        parts = {"schema_version", "sentence", "headline", "comparisons", "aa", "warnings", "notices", "limits"}
        assert set(stored) == parts


def test_the_judgement_names_what_limited_each_configuration() -> None:
    frame = trials().assign(server_cpu_s=3.0, requests=3000.0, **{"load.rate_rps": 1000.0, "server.processes": 1})
    frame["throughput_rps"] = 1000.0
    found = analyse(frame, plan(), StoredCores(server=(0,))).limits
    assert [limit.configuration for limit in found] == list(dict.fromkeys(frame["configuration"]))
    assert {(limit.resource, limit.certain) for limit in found} == {("server-cpu", True)}
    assert {limit.certain for limit in analyse(frame, plan()).limits} == {False}  # how many cores is not told


def test_a_plan_without_a_headline_is_refused() -> None:
    with pytest.raises(DesignError, match="the plan names no headline"):
        analyse(trials(), StudyPlan(blocks=6))


def test_an_end_of_an_interval_that_is_not_one_does_not_read_as_one() -> None:
    close = dataclasses.replace(judged().headline, ratio=1.1, ci_low=1.003, ci_high=1.206)
    assert "95 % interval 1.003 to 1.206" in sentence(close, headline_of(plan()), [])


def test_levels_keep_the_order_given_and_say_what_is_missing() -> None:
    frame = trials({"c1": 100.0, "c8": 400.0}, blocks=3, noise=0.0)
    frame.loc[frame["configuration"].eq("c8") & frame["block"].eq(1), METRIC] = 0.0
    frame.loc[frame["configuration"].eq("c8"), "limited_by"] = "generator-bound"
    found = levels(frame, ["c8", "absent", "c1"], METRIC)
    assert found["configuration"].tolist() == ["c8", "absent", "c1"]
    assert found["blocks"].tolist() == [2, 0, 3]
    assert found["mean"].tolist() == pytest.approx([400.0, math.nan, 100.0], nan_ok=True)
    assert found["limited_by"].tolist() == ["generator-bound", "", ""]
    assert "block 1 left out" in found["note"][0]
    assert found["note"].tolist()[1:] == ["no trial of absent", ""]


def test_a_level_is_a_geometric_mean_over_blocks() -> None:
    frame = trials({"c1": 1.0}, blocks=3, noise=0.0)
    frame[METRIC] = [100.0, 200.0, 400.0]
    (row,) = levels(frame, ["c1"], METRIC).to_dict("records")
    assert row["mean"] == pytest.approx(200.0)
    assert row["ci_low"] < 200 < row["ci_high"]


def test_no_configurations_give_an_empty_frame_with_the_columns() -> None:
    assert list(levels(trials(), [], METRIC).columns)[:3] == ["configuration", "mean", "ci_low"]
    assert list(ladder_steps(trials(), plan(), METRIC).columns)[-1] == "cumulative"


def rung(name: str, baseline: str, *, kept: bool = True, not_testable: str = "") -> dict[str, Any]:
    configuration = "" if not_testable else name
    return {
        "name": name,
        "title": name,
        "configuration": configuration,
        "baseline": baseline,
        "kept": kept,
        "not_testable": not_testable,
    }


LADDER: Sequence[dict[str, Any]] = (
    rung("basic", ""),
    rung("reuse", "basic"),
    rung("asyncio", "reuse", kept=False),
    rung("processes", "", not_testable="not testable here: 1 core"),
    rung("optimized", "reuse"),
)


def test_the_ladder_multiplies_along_kept_rungs_only() -> None:
    frame = trials(LEVELS | {"asyncio": 150.0}, noise=0.001)
    found = ladder_steps(frame, plan(ladder=LADDER), METRIC).set_index("name")
    assert found["cumulative"].tolist() == pytest.approx([1, 3, math.nan, math.nan, 3.4], rel=0.01, nan_ok=True)
    assert found["ratio"].tolist() == pytest.approx([math.nan, 3, 0.5, math.nan, 3.4 / 3], rel=0.01, nan_ok=True)
    assert found["verdict"].tolist() == ["", "faster", "slower", "", "faster"]
    assert found["not_testable"]["processes"] == "not testable here: 1 core"


def test_the_ladder_agrees_with_the_judgement() -> None:
    steps = [entry("basic", "reuse"), entry("reuse", "optimized"), entry("reuse", "asyncio")]
    frame = trials(LEVELS | {"asyncio": 310.0}, noise=0.05)
    whole = plan(ladder=LADDER, comparisons=steps, parts=[])
    by_name = ladder_steps(frame, whole, METRIC).set_index("name")["verdict"]
    for comparison in analyse(frame, whole).comparisons:
        assert by_name[comparison.candidate] == comparison.verdict


def test_a_rung_without_trials_breaks_the_product_instead_of_counting_as_one() -> None:
    frame = trials()
    found = ladder_steps(frame[frame["configuration"] != "reuse"], plan(ladder=LADDER), METRIC)
    assert found["cumulative"].tolist() == pytest.approx([1] + [math.nan] * 4, nan_ok=True)


def test_the_ladder_can_be_read_on_a_metric_the_plan_does_not_compare() -> None:
    found = ladder_steps(trials(), plan(ladder=LADDER), "latency_p99_s").set_index("name")
    assert found["verdict"]["reuse"] == "faster"
    assert found["ratio"]["reuse"] == pytest.approx(1 / 3, rel=0.1)
