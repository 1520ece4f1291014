"""Throughput at an even speed of the server's core: a core that was slow for one side is no slower server."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.analysis import block_ratios
from grpclab.analysis.inference.core_speed import (
    FEWEST_READINGS,
    FEWEST_SLICES,
    MOST_SLOPE,
    SpeedOfSlice,
    even_throughputs,
    slope_of,
    speed_of,
)
from grpclab.analysis.inference.interleaving import slices_spread

PASSES = 14


def slices(
    seed: int, *, effect: float = 0.0, slope: float = 1.2, noise: float = 0.01, slow: float = 0.15
) -> list[SpeedOfSlice]:
    """Passes of two members on a machine that is slow for single slices; b has exp(effect) times a's throughput."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(PASSES):
        common = rng.normal(0, 0.05)
        for member in "ab":
            ln_speed = -abs(rng.normal(0, slow))
            ln_rps = 9 + common + slope * ln_speed + rng.normal(0, noise) + (effect if member == "b" else 0.0)
            found.append(
                SpeedOfSlice(
                    pass_number=number, member=member, throughput_rps=math.exp(ln_rps), speed=math.exp(ln_speed)
                )
            )
    return found


def whole(of: list[SpeedOfSlice]) -> dict[str, float]:
    return {name: float(np.mean([each.throughput_rps for each in of if each.member == name])) for name in "ab"}


def ln_ratio(of: dict[str, float]) -> float:
    return math.log(of["b"] / of["a"])


def test_the_speed_of_a_stretch_is_the_mean_of_its_readings_over_the_cores() -> None:
    moments = np.arange(0.0, 1.0, 0.01)
    steady = np.column_stack([moments, np.full(100, 0.001)])
    slower = np.column_stack([moments, np.where(moments < 0.5, 0.001, 0.002)])
    assert speed_of([steady], 0.1, 0.2) == pytest.approx(1000)
    assert speed_of([slower], 0.4, 0.6) == pytest.approx(750), "half of the time at half the speed"
    assert speed_of([steady, slower], 0.6, 0.8) == pytest.approx(1000 / math.sqrt(2))
    assert math.isnan(speed_of([steady], 0.1, 0.1 + 0.01 * (FEWEST_READINGS - 1) - 1e-6))
    assert math.isnan(speed_of([steady], 2.0, 3.0))
    assert math.isnan(speed_of([], 0.1, 0.2))


def test_the_slope_is_found_and_no_difference_between_members_or_passes_has_a_part_in_it() -> None:
    of = slices(3, effect=1.0, slope=1.2)
    speeds = [each.speed * (3.0 if each.member == "b" else 1.0) * (1 + each.pass_number) for each in of]
    found = slope_of(
        [each.throughput_rps for each in of],
        speeds,
        members=[each.member for each in of],
        passes=[each.pass_number for each in of],
    )
    assert found == pytest.approx(1.2, abs=0.1)


def test_a_slope_stays_within_reason() -> None:
    names, passes = list("abab"), [0, 0, 1, 1]
    assert slope_of([1, 2, 4, 8], [1, 1, 1, 1], members=names, passes=passes) == 0.0
    assert slope_of([1, 2, 2, 1], [2, 1, 1, 2], members=names, passes=passes) == 0.0, "slower on a faster core"
    assert slope_of([1, 2, 2, 1], [1, 1.1, 1.1, 1], members=names, passes=passes) == MOST_SLOPE


@pytest.mark.parametrize("effect", [0.0, -0.05, 1.4])
def test_it_halves_the_noise_and_keeps_the_effect(effect: float) -> None:
    raw, even = [], []
    for seed in range(200):
        of = slices(seed, effect=effect)
        raw.append(ln_ratio(whole(of)))
        even.append(ln_ratio(even_throughputs(of, whole(of))))
    assert np.std(even) < 0.4 * np.std(raw)
    assert np.mean(even) == pytest.approx(effect, abs=4 * float(np.std(even)) / math.sqrt(200))


def test_on_a_machine_without_slow_moments_it_changes_little() -> None:
    changes = []
    for seed in range(100):
        of = slices(seed, noise=0.02, slow=0.003)
        changes.append(ln_ratio(even_throughputs(of, whole(of))) - ln_ratio(whole(of)))
    assert np.std(changes) < 0.003


def test_a_server_s_own_pauses_count_in_full() -> None:
    paused = []
    for each in slices(5, slow=0.05):
        share = 0.5 if each.member == "b" and each.pass_number % 4 == 0 else 1.0
        paused.append(
            SpeedOfSlice(
                pass_number=each.pass_number,
                member=each.member,
                throughput_rps=each.throughput_rps * share,
                speed=each.speed,
            )
        )
    before, after = ln_ratio(whole(paused)), ln_ratio(even_throughputs(paused, whole(paused)))
    assert before < -0.1
    assert after == pytest.approx(before, abs=0.06)


@given(st.integers(0, 1000), st.floats(-1, 1))
def test_exchanging_the_members_exchanges_their_values_and_their_mean_stays(seed: int, effect: float) -> None:
    of = slices(seed, effect=effect)
    found = even_throughputs(of, whole(of))
    other = {"a": "b", "b": "a"}
    exchanged = [
        SpeedOfSlice(
            pass_number=each.pass_number,
            member=other[each.member],
            throughput_rps=each.throughput_rps,
            speed=each.speed,
        )
        for each in of
    ]
    assert even_throughputs(exchanged, whole(exchanged)) == pytest.approx({"a": found["b"], "b": found["a"]})
    assert math.prod(found.values()) == pytest.approx(math.prod(whole(of).values()))


def test_too_little_that_is_known_gives_nothing() -> None:
    of = slices(1)
    assert even_throughputs(of, whole(of)).keys() == {"a", "b"}
    few = [each for each in of if each.pass_number < FEWEST_SLICES - 1 or each.member == "a"]
    assert even_throughputs(few, whole(of)) == {}
    assert even_throughputs(of, {"a": 5.0}) == {}
    assert even_throughputs(of, {"a": 5.0, "b": 0.0}) == {}
    unknown = [
        SpeedOfSlice(pass_number=each.pass_number, member=each.member, throughput_rps=5.0, speed=math.nan)
        for each in of
    ]
    assert even_throughputs(unknown, whole(of)) == {}


# ---- what comparisons make of it -------------------------------------------------------------------------------


def trials(*, group: int | None = 0, even: bool = True) -> pd.DataFrame:
    """Four blocks in which b seems 10% slower, since its core was."""
    rows = []
    for block in range(4):
        for name, rps in (("a", 1000.0), ("b", 900.0)):
            row = {"block": block, "configuration": name, "scenario": "s", "valid": True, "throughput_rps": rps}
            row |= {} if group is None else {"group": group, "pass_count": PASSES}
            row |= {"throughput_even_rps": 950.0} if even else {}
            rows.append(row)
    return pd.DataFrame(rows)


def ratios(of: pd.DataFrame) -> list[float]:
    frame = block_ratios(of, scenario="s", metric="throughput_rps", baseline="a", candidate="b")
    return [round(float(ratio), 9) for ratio in frame["ratio"]]


def test_a_ratio_of_one_group_is_that_at_an_even_speed() -> None:
    assert ratios(trials()) == [1.0] * 4
    assert ratios(trials(even=False)) == [0.9] * 4


def test_without_groups_or_on_one_side_alone_the_whole_throughputs_count() -> None:
    assert ratios(trials(group=None)) == [0.9] * 4, "it only has a meaning within a group"
    one_side = trials()
    one_side.loc[one_side["configuration"].eq("b") & one_side["block"].eq(1), "throughput_even_rps"] = math.nan
    assert ratios(one_side) == [1.0, 0.9, 1.0, 1.0]


def test_the_noise_within_a_block_is_that_at_an_even_speed() -> None:
    frame = pd.DataFrame(
        [
            {
                "block": block,
                "group": 0,
                "pass": each.pass_number,
                "member": each.member,
                "valid": True,
                "throughput_rps": each.throughput_rps,
                "core_speed": each.speed,
            }
            for block in range(6)
            for each in slices(block)
        ]
    )
    even = slices_spread(frame, "a", "b")
    assert even < 0.4 * slices_spread(frame.drop(columns="core_speed"), "a", "b")
    assert slices_spread(frame.assign(core_speed=math.nan), "a", "b") == pytest.approx(
        slices_spread(frame.drop(columns="core_speed"), "a", "b")
    )
