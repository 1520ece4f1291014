"""Verdicts, the blocks that would decide them, and notes on what limited a number."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.analysis import Comparison, blocks_needed, compare, judge, log_t_interval
from grpclab.analysis.inference.edition import FIRST_EDITION, TODAY, Rules
from grpclab.analysis.inference.validity import bound_note
from grpclab.errors import UsageError
from tests.support.frames import trials_of

THROUGHPUT, LATENCY = "throughput_rps", "latency_p99_s"


def trials(old: Sequence[float], new: Sequence[float], metric: str = THROUGHPUT) -> pd.DataFrame:
    return trials_of({"old": old, "new": new}, metric)


def against(frame: pd.DataFrame, metric: str = THROUGHPUT, **options: Any) -> Comparison:
    return compare(frame, scenario="chatter", metric=metric, baseline="old", candidate="new", **options)


def ruling(metric: str, ratio: float, low: float, high: float, *, p: float = 0.01, delta: float = 0.05) -> str:
    return judge(metric=metric, ratio=ratio, ci_low=low, ci_high=high, p_value=p, delta=delta, blocks=6)


@pytest.mark.parametrize(
    ("ratio", "low", "high", "p", "verdict"),
    [
        (1.20, 1.10, 1.30, 0.01, "faster"),
        (1.20, 1.10, 1.30, 0.05, "inconclusive"),  # the p does not hold
        (1.20, 0.99, 1.45, 0.01, "inconclusive"),  # the interval holds 1
        (1.04, 1.02, 1.06, 0.01, "inconclusive"),  # beyond 1, not beyond delta
        (1.03, 1.02, 1.04, 0.01, "equivalent"),  # a difference, too small to matter
        (1.00, 0.96, 1.04, 0.90, "equivalent"),
        (1.00, 0.94, 1.06, 0.90, "inconclusive"),
        (0.80, 0.70, 0.90, 0.01, "slower"),
        (0.80, 0.70, 0.90, math.nan, "inconclusive"),
        (math.nan, math.nan, math.nan, math.nan, "inconclusive"),
    ],
)
def test_the_verdict_follows_interval_p_and_delta(
    ratio: float, low: float, high: float, p: float, verdict: str
) -> None:
    assert ruling(THROUGHPUT, ratio, low, high, p=p) == verdict


def test_less_latency_is_faster() -> None:
    assert ruling(LATENCY, 0.5, 0.4, 0.6) == "faster"
    assert ruling(LATENCY, 2.0, 1.8, 2.2) == "slower"
    assert ruling(LATENCY, 1.0, 0.98, 1.02) == "equivalent"


@given(st.floats(0.2, 5), st.floats(0, 0.5), st.floats(0, 1), st.floats(0.01, 0.3), st.sampled_from([1.0, -1.0]))
def test_verdicts_on_a_rate_and_on_a_latency_are_mirror_images(
    ratio: float, width: float, p: float, delta: float, sign: float
) -> None:
    ends = ratio * math.exp(-width), ratio * math.exp(width)
    mirror = {"faster": "slower", "slower": "faster"}
    rate = ruling(THROUGHPUT, ratio, *ends, p=p, delta=delta)
    assert ruling(LATENCY, ratio, *ends, p=p, delta=delta) == mirror.get(rate, rate)


def test_a_comparison_of_six_agreeing_blocks_is_decided_exactly() -> None:
    found = against(trials([100] * 6, [150, 151, 149, 152, 148, 150]), exact=True)
    assert found.verdict == "faster"
    assert found.p_value == found.p_adjusted == pytest.approx(0.03125)
    assert found.blocks_needed is None
    assert found.ratio == pytest.approx(1.5, rel=0.01)


def test_five_blocks_never_decide_exactly_however_large_the_effect() -> None:
    found = against(trials([100] * 5, [1000, 1001, 999, 1000, 1002]), exact=True)
    assert (found.verdict, found.blocks_needed) == ("inconclusive", 6)


def test_the_paired_t_test_decides_from_four_blocks_on_and_in_the_first_edition_from_six() -> None:
    times_ten = [1000.0, 1001, 999, 1000, 1002, 998]

    def found(blocks: int, rules: Rules = TODAY) -> Comparison:
        return against(trials([100] * blocks, times_ten[:blocks]), rules=rules)

    assert (found(3).verdict, found(3).too_few_blocks) == ("inconclusive", True)
    assert found(3).obstacles == ("3 blocks are too few for a verdict: run at least 6",)
    assert (found(4).verdict, found(4).too_few_blocks) == ("faster", False)
    assert found(5, FIRST_EDITION).verdict == "inconclusive"
    assert found(6, FIRST_EDITION).verdict == "faster"


def test_the_number_of_blocks_matches_a_hand_calculation() -> None:
    # ln 1.2 = 0.1823, s = 0.2, t(0.975) + t(0.8) with n - 1 degrees of freedom:
    # n = 12: (2.201 + 0.876) 0.2 / sqrt 12 = 0.1777, and to the edge ln 1.05 there is 0.1335 > 0.876 x 0.0577
    # n = 11: (2.228 + 0.879) 0.2 / sqrt 11 = 0.1874, too much
    half = 2.570582 * 0.2 / math.sqrt(6)
    low, high = 1.2 * math.exp(-half), 1.2 * math.exp(half)
    assert blocks_needed(ratio=1.2, ci_low=low, ci_high=high, blocks=6, delta=0.05) == 12


def test_a_ratio_inside_delta_needs_the_blocks_that_show_it_equivalent() -> None:
    # s = 0.1, the nearer edge is ln 1.05 = 0.04879: (2.032 + 0.853) 0.1 / sqrt n falls below it near n = 35
    half = 2.570582 * 0.1 / math.sqrt(6)
    found = blocks_needed(ratio=1.0, ci_low=math.exp(-half), ci_high=math.exp(half), blocks=6, delta=0.05)
    assert found is not None
    assert 34 <= found <= 37


def test_a_larger_family_needs_more_blocks() -> None:
    alone = blocks_needed(ratio=1.3, ci_low=0.9, ci_high=1.878, blocks=6, delta=0.05)
    crowd = blocks_needed(ratio=1.3, ci_low=0.9, ci_high=1.878, blocks=6, delta=0.05, tests=40)
    assert alone is not None
    assert crowd is not None
    assert crowd > alone


@pytest.mark.parametrize(
    ("ratio", "low", "high", "blocks"),
    [
        (1.2, 0.9, 1.6, 2),  # two blocks do not know their noise
        (math.nan, math.nan, math.nan, 1),
        (1.2, 0.0, math.inf, 6),
        (1.05, 0.95, 1.1605, 6),  # on the edge of delta no number of blocks decides
    ],
)
def test_no_number_of_blocks_is_promised_without_ground(ratio: float, low: float, high: float, blocks: int) -> None:
    assert blocks_needed(ratio=ratio, ci_low=low, ci_high=high, blocks=blocks, delta=0.05) is None


def test_the_promised_number_of_blocks_decides_in_about_four_cases_of_five() -> None:
    truth, noise = math.log(1.2), 0.2
    half = 2.570582 * noise / math.sqrt(6)
    needed = blocks_needed(
        ratio=1.2, ci_low=math.exp(truth - half), ci_high=math.exp(truth + half), blocks=6, delta=0.05
    )
    assert needed is not None
    rng = np.random.default_rng(11)
    decided = 0
    for _ in range(200):
        found = log_t_interval(np.exp(rng.normal(truth, noise, needed)))
        decided += found.low > 1 and found.mean > 1.05
    assert 0.7 <= decided / 200 <= 0.92


@settings(max_examples=50)
@given(st.floats(0.3, 3.0), st.floats(0.01, 0.6), st.integers(3, 12))
def test_more_blocks_are_asked_for_than_were_run(ratio: float, half: float, blocks: int) -> None:
    found = blocks_needed(
        ratio=ratio,
        ci_low=ratio * math.exp(-half),
        ci_high=ratio * math.exp(half),
        blocks=blocks,
        delta=0.05,
    )
    assert found is None or found > blocks


def test_an_adjusted_p_can_take_a_verdict_back() -> None:
    found = against(trials([100] * 6, [118, 122, 121, 119, 120, 120]))
    assert found.verdict == "faster"
    taken = found.adjusted(0.2, tests=20)
    assert (taken.verdict, taken.p_adjusted, taken.p_value) == ("inconclusive", 0.2, found.p_value)
    assert taken.ratio == found.ratio
    assert taken.blocks_needed is not None


@pytest.mark.parametrize("blocks", [0, 1])
def test_below_two_blocks_there_is_no_ratio_and_the_note_says_why(blocks: int) -> None:
    frame = trials([100, 100], [200, 200])
    frame.loc[frame["block"] >= blocks, "valid"] = False
    found = against(frame, exact=True)
    assert (found.verdict, found.blocks, found.blocks_needed) == ("inconclusive", blocks, None)
    assert not found.computed
    assert "a ratio needs at least 2" in found.note
    assert "left out because the trial of old is invalid" in found.note


def test_a_comparison_becomes_plain_json() -> None:
    found = against(trials([100], [200])).as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["ratio"] is None
    assert found["p_adjusted"] is None
    assert found["limited_by"] == []
    assert found["title"] == "new against old"


def test_an_endless_interval_becomes_null() -> None:
    found = against(trials([1e-150, 1e150], [1e150, 1e-150])).as_dict()
    assert found["ci_high"] is None
    assert found["ratio"] == pytest.approx(1.0)


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 5.0])
def test_an_impossible_delta_is_refused(delta: float) -> None:
    with pytest.raises(UsageError, match="expected a fraction between 0 and 1"):
        against(trials([1, 1], [2, 2]), delta=delta)


@pytest.mark.parametrize(
    ("metric", "limited", "words"),
    [
        (THROUGHPUT, ["new"], "limit in trials of new: the server's true throughput is at least as high as measured, "
         "so the ratio is a lower bound"),
        (THROUGHPUT, ["old"], "limit in trials of old: the server's true throughput is at least as high as measured, "
         "so the ratio is an upper bound"),
        (LATENCY, ["new"], "the server's true p99 latency is at most as high as measured, "
         "so the ratio is an upper bound"),
        (LATENCY, ["old"], "the server's true p99 latency is at most as high as measured, "
         "so the ratio is a lower bound"),
        (THROUGHPUT, ["new", "old"], "not a bound in either direction"),
        ("server_cpu_s", ["new"], "was not measured at the highest load that the server can take"),
    ],
)  # fmt: skip
def test_a_limited_generator_bounds_the_ratio_in_the_right_direction(
    metric: str, limited: list[str], words: str
) -> None:
    assert words in bound_note(metric, baseline="old", candidate="new", limited=limited)


def test_without_a_limit_there_is_no_bound() -> None:
    assert bound_note(THROUGHPUT, baseline="old", candidate="new", limited=["other"]) == ""


def test_a_comparison_carries_the_limits_of_both_sides() -> None:
    frame = trials([100] * 6, [150, 151, 149, 152, 148, 150])
    frame.loc[frame["configuration"].eq("old"), "limited_by"] = "client-cpu"
    frame.loc[frame["configuration"].eq("new") & frame["block"].eq(3), "limited_by"] = "generator-bound"
    found = against(frame)
    assert found.limited_by == ("client-cpu", "generator-bound")
    assert "so the ratio is a lower bound" in found.note
    assert "in trials of old, the client under test was at its limit" in found.note
    assert found.verdict == "faster"


def test_limits_of_invalid_trials_do_not_count() -> None:
    frame = trials([100] * 3, [150, 151, 149])
    frame.loc[0, "limited_by"] = "generator-bound"
    frame.loc[0, "valid"] = False
    assert against(frame).limited_by == ()


# ---- beside others ---------------------------------------------------------------------------------------------


def beside_others(frame: pd.DataFrame, marked: int, kind: str = "others") -> pd.DataFrame:
    """The trials, of which the first so many have a notice of that kind."""
    notice = json.dumps([{"kind": kind, "severity": "warning", "text": "other processes used 1.1 of the 2 cores"}])
    return frame.assign(notices=[notice if at < marked else "[]" for at in range(len(frame))])


def test_beside_others_a_difference_has_to_be_clearer() -> None:
    """Against itself beside a study, `optimized` came out so; three times the throughput is seen all the same."""
    measured: dict[str, Any] = {"ratio": 0.8907, "ci_low": 0.8306, "ci_high": 0.9552, "p_value": 0.016, "blocks": 7}
    assert judge(metric=THROUGHPUT, delta=0.05, **measured) == "slower"
    assert judge(metric=THROUGHPUT, delta=0.05, disturbed=True, **measured) == "inconclusive"
    clear: dict[str, Any] = {"ratio": 3.0, "ci_low": 2.7, "ci_high": 3.3333, "p_value": 0.016, "blocks": 7}
    assert judge(metric=THROUGHPUT, delta=0.05, disturbed=True, **clear) == "faster"


@pytest.mark.parametrize("kind", ["others", "server-waited", "stolen"])
def test_a_verdict_that_others_on_the_cores_hold_back_says_so(kind: str) -> None:
    frame = trials([100, 101, 99, 100, 102, 98], [90, 94, 84, 91, 96, 85])
    assert against(beside_others(frame, 6, kind)).verdict == "slower", "half of the trials are not most of them"
    found = against(beside_others(frame, 7, kind))
    assert found.held_back == (kind != "stolen")
    assert found.verdict == ("slower" if kind == "stolen" else "inconclusive")
    if found.held_back:
        assert found.as_dict()["disturbed"] is True
        assert found.blocks_needed is None
        assert "measure again" in found.obstacles[0]


def test_what_others_have_nothing_to_do_with_is_inconclusive_as_ever() -> None:
    found = against(beside_others(trials([100, 130, 80, 100, 120, 90], [110, 90, 120, 80, 130, 100]), 12))
    assert found.disturbed
    assert not found.held_back
    assert found.obstacles == ()
    assert found.blocks_needed is not None


@pytest.mark.parametrize("stored", [None, "", "null", "[]", "3", '{"kind": "others"}', "[1]", "[{}]"])
def test_notices_that_are_none_disturb_nothing(stored: str | None) -> None:
    frame = trials([100.0] * 6, [90.0, 91.0] * 3)
    assert not against(frame.assign(notices=pd.Series([stored] * len(frame), dtype=object))).disturbed
