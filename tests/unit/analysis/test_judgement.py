"""A whole study judged: families of comparisons, warnings, bounds, what limited each configuration."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import grpclab.analysis as room
from grpclab.analysis import Judgement, analyse, holm
from grpclab.analysis.study_plan import StoredCores, StudyPlan
from grpclab.errors import DesignError
from tests.support.judgements import LEVELS, METRIC, entry, judged, plan, trials, warning


def test_the_names_of_the_room_are_there() -> None:
    assert all(hasattr(room, name) for name in room.__all__)


def test_without_trials_nothing_is_claimed_and_nothing_raises() -> None:
    for frame in (pd.DataFrame(), trials().iloc[:0]):
        found = judged(frame)
        assert "inconclusive, because no ratio could be computed" in found.sentence
        assert found.headline.missing in found.sentence
        assert "has not been checked" in warning(found, "A/A comparison could not be computed")
        assert "no ratio could be computed for" in warning(found, "reuse over basic")


def test_a_headline_with_one_valid_block_is_inconclusive() -> None:
    frame = trials()
    frame.loc[frame["block"] > 0, "valid"] = False
    found = judged(frame)
    assert found.headline.blocks == 1
    assert "the headline rests on 1 of 6 planned blocks, too few for a verdict" in warning(found, "headline")


def test_comparisons_without_a_ratio_are_named_once_each_with_their_reason() -> None:
    frame = trials()
    frame.loc[frame["block"] > 0, "valid"] = False
    gaps = [text for text in judged(frame).warnings if text.startswith("no ratio could be computed")]
    reasons = [text.rpartition("': ")[2] for text in gaps]
    assert len(set(reasons)) == len(reasons)
    assert sum("'reuse over basic'" in text for text in gaps) == 1


def test_failed_blocks_are_warned_of_even_when_enough_remain() -> None:
    frame = trials(blocks=8)
    frame.loc[frame["configuration"].eq("basic") & frame["block"].eq(2), METRIC] = 0.0
    found = judged(frame, blocks=8)
    assert found.headline.blocks == 7
    assert warning(found, "7 of 8 planned blocks").endswith(
        "block 2 was left out because the trial of basic measured a throughput_rps of 0, which has no logarithm"
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
    assert found.warnings[0].startswith("the A/A comparison shows a difference")
    assert "basic-again against basic gives 1." in found.warnings[0]
    assert "every ratio in this study is in doubt" in found.warnings[0]
    assert found.sentence.endswith("But the A/A comparison shows a difference: see the warnings.")
    assert found.headline.delta == 0.05
    assert found.headline.verdict == "faster"


def test_a_study_without_an_aa_arm_says_so() -> None:
    found = judged(aa=None)
    assert found.aa is None
    assert found.as_dict()["aa"] is None
    assert "no A/A comparison" in found.warnings[0]


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
        "the load generator was at its limit in trials of optimized: the server's true throughput is "
        "at least as high as measured, so the ratio is a lower bound"
    )
    assert bound in found.warnings
    assert found.sentence.endswith(f"But {bound}.")
    assert "'optimized over reuse'" in warning(found, "says whether the ratio is a bound")
    assert found.headline.limited_by == ("generator-bound",)


def test_a_generator_bound_baseline_makes_it_an_upper_bound() -> None:
    frame = trials()
    frame.loc[frame["configuration"].eq("basic"), "limited_by"] = "generator-bound"
    assert "so the ratio is an upper bound" in judged(frame).sentence


def test_a_client_that_is_the_factor_under_test_is_a_fact_and_no_bound() -> None:
    frame = trials()
    frame.loc[frame["configuration"].eq("basic"), "limited_by"] = "client-cpu"
    found = judged(frame)
    assert "the result is valid" in warning(found, "client-cpu")
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
        "the two engines give opposite verdicts: optimized is faster than basic with engine grpcio (3.5×) and "
        "slower with engine wire (0.70×). Only the client differs, so neither is a verdict on the server"
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
        "connections were lost in valid trials: basic 1 and optimized 4 (0.31 s without a connection)"
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
    with pytest.raises(DesignError, match="the plan has no headline"):
        analyse(trials(), StudyPlan(blocks=6))


def test_how_a_frame_keeps_its_texts_changes_nothing() -> None:
    frame = trials()
    frame.loc[frame["configuration"].eq("basic") & frame["block"].eq(2), "valid"] = False
    texts = [name for name, dtype in frame.dtypes.items() if isinstance(dtype, pd.StringDtype)]
    assert "configuration" in texts
    kinds = (object, "string[python]", "string[pyarrow]", "category")
    before = frame.copy()
    first, *others = (judged(frame.astype(dict.fromkeys(texts, kind))).as_dict() for kind in kinds)
    assert [str(other) for other in others] == [str(first)] * len(others)
    assert str(judged(frame).as_dict()) == str(first)
    pd.testing.assert_frame_equal(frame, before)
