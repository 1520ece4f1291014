"""Ratios over machines: the mean with a machine's effect, and the verdict by it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy

from grpclab import quantities as qty
from grpclab.analysis import compare
from grpclab.analysis.inference.random_effects import across, machines_note, over_machines
from grpclab.analysis.judgement import Judgement
from grpclab.study.stored_values import read_verdict

LOGS = np.array([0.30, 0.32, 0.10, 0.12, 0.20, 0.22])
PLACES = ["m1", "m1", "m2", "m2", "m3", "m3"]


def test_with_as_many_blocks_on_each_machine_the_interval_is_the_t_interval_of_their_means() -> None:
    found = over_machines(LOGS, PLACES)
    means = LOGS.reshape(3, 2).mean(axis=1)
    low, high = scipy.stats.t.interval(0.95, 2, means.mean(), scipy.stats.sem(means))
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((means.mean(), low, high))
    assert found.p_value == pytest.approx(scipy.stats.ttest_1samp(means, 0).pvalue)
    assert found.tau == pytest.approx(math.sqrt(means.var(ddof=1) - 0.0002 / 2), rel=1e-3)


def test_one_block_on_each_machine_gives_the_t_interval_and_no_spread_of_its_own() -> None:
    found = over_machines(LOGS[::2], ["m1", "m2", "m3"])
    assert found is not None
    assert found.low == pytest.approx(scipy.stats.t.interval(0.95, 2, 0.2, scipy.stats.sem(LOGS[::2]))[0])
    assert math.isnan(found.tau)


@pytest.mark.parametrize("places", [["m1", "m2"] * 3, ["m1", "m2", "m3", "", "m2", "m3"], [""] * 6])
def test_two_machines_or_unknown_ones_have_no_mean_over_machines(places: list[str]) -> None:
    assert over_machines(LOGS, places) is None


def test_the_interval_over_machines_covers_the_true_ratio_where_that_over_blocks_does_not() -> None:
    covered = {"machines": 0, "blocks": 0}
    for seed in range(200):
        random = np.random.default_rng(seed)
        logs = (0.2 + random.normal(0, 0.1, 4).repeat(5)) + random.normal(0, 0.02, 20)
        found = over_machines(logs, [f"m{number}" for number in range(4) for _ in range(5)])
        assert found is not None
        low, high = scipy.stats.t.interval(0.95, 19, logs.mean(), scipy.stats.sem(logs))
        covered["machines"] += found.low < 0.2 < found.high
        covered["blocks"] += low < 0.2 < high
    assert covered["machines"] > 180
    assert covered["blocks"] < 140


def trials(places: list[str], ratios: list[float]) -> pd.DataFrame:
    """A study of two sides, a block for each ratio."""
    rows: list[dict[str, Any]] = []
    for block, (place, ratio) in enumerate(zip(places, ratios, strict=True)):
        for name, value in (("a", 100.0), ("b", 100.0 * ratio)):
            rows.append(
                {
                    **{"configuration": name, "scenario": "s", "block": block, "group": 0, "valid": True},
                    **{"throughput_rps": value, "pass_count": 3, "invalid_reason": "", "limited_by": ""},
                    "machine": place or None,
                }
            )
    return pd.DataFrame(rows)


def compared(places: list[str], ratios: list[float]) -> Any:
    return compare(
        trials(places, ratios), scenario="s", metric="throughput_rps", baseline="a", candidate="b", exact=True
    )


def test_machines_that_disagree_leave_a_comparison_undecided_that_blocks_alone_would_decide() -> None:
    ratios = [1.5, 1.51, 1.05, 1.06, 1.2, 1.21, 1.49, 1.07, 1.22]
    places = ["m1", "m1", "m2", "m2", "m3", "m3", "m1", "m2", "m3"]
    assert compared([""] * 9, ratios).verdict == "faster"
    found = compared(places, ratios)
    assert found.verdict == "inconclusive"
    assert found.blocks_needed is None  # more blocks on the same machines would not help
    assert (found.degrees, found.blocks) == (2, 9)
    assert [(one.machine, one.blocks) for one in found.by_machine] == [("m1", 3), ("m2", 3), ("m3", 3)]
    assert 0.1 < found.between_machines < 0.3


def test_machines_that_agree_decide() -> None:
    found = compared(["m1", "m2", "m3"] * 3, [1.30, 1.31, 1.29, 1.31, 1.30, 1.30, 1.29, 1.30, 1.31])
    assert found.verdict == "faster"
    assert found.between_machines < 0.02


def test_on_two_machines_the_verdict_is_that_of_the_blocks_and_says_for_which() -> None:
    ratios = [1.30, 1.25, 1.31, 1.24, 1.29, 1.26]
    found, alone = compared(["m1", "m2"] * 3, ratios), compared([""] * 6, ratios)
    assert (found.verdict, found.ci_low, found.p_value) == (alone.verdict, alone.ci_low, alone.p_value)
    assert math.isnan(found.between_machines)
    assert "1.25× to 1.30× on 2 machines" in found.note
    assert "1.25× to 1.30× on 2 machines" in machines_note(found.by_machine, None)
    assert machines_note(found.by_machine[:1], None) == ""


def test_a_verdict_keeps_the_ratios_of_its_machines_when_it_is_stored() -> None:
    found = compared(PLACES, [1.5, 1.51, 1.05, 1.06, 1.2, 1.21])
    back = read_verdict(Judgement(headline=found).as_dict()).headline
    assert [one.machine for one in back.by_machine] == ["m1", "m2", "m3"]
    assert back.by_machine[0].ratio == pytest.approx(math.sqrt(1.5 * 1.51))
    assert back.between_machines == pytest.approx(found.between_machines)
    assert back.degrees == 2


def test_a_study_without_a_cluster_stores_nothing_of_machines() -> None:
    assert not {"by_machine", "between_machines"} & set(compared([""] * 6, [1.1] * 6).as_dict())


def test_no_block_has_a_machine_where_no_block_names_one() -> None:
    assert across(np.array([1.1, 1.2]), ["", ""]).machines == ()


def test_a_range_of_ratios_that_read_the_same_is_one_figure() -> None:
    for places, words in ((["m1", "m2"] * 3, "is 2.00x on both machines"), (["a", "b", "c"] * 2, "on all 3 machines")):
        ratios = np.array([2.0, 2.001] * 3)
        found = across(ratios, places)
        assert words.replace("2.00x", qty.ratio(2.0, "sentence")) in found.note
        assert " to " not in found.note.partition(";")[0]
