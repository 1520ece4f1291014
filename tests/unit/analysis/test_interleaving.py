"""How many times narrower interleaving makes an interval, on synthetic slices whose noise is known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from grpclab.analysis.inference.interleaving import FEWEST_GROUPS, narrowing, slices_spread


def slices(
    *, groups: int = 40, passes: int = 12, drift: float = 0.0, own: float = 0.01, pair: float = 0.0, seed: int = 1
) -> pd.DataFrame:
    """Slices of two servers; `drift` is the sd of the machine's speed from pass to pass, a random walk, `own` that of
    each slice, `pair` that between the two servers of a group."""
    rng = np.random.default_rng(seed)
    rows = []
    for block in range(groups):
        machine = np.cumsum(rng.normal(0, drift, passes))
        between = rng.normal(0, pair)
        for number in range(passes):
            for name, level in (("a", 0.0), ("b", 0.2 + between)):
                speed = 1000 * math.exp(level + machine[number] + rng.normal(0, own))
                rows.append(
                    {"block": block, "group": 0, "pass": number, "member": name, "throughput_rps": speed, "valid": True}
                )
    return pd.DataFrame(rows)


def test_a_machine_that_drifts_makes_interleaving_narrower_by_what_the_drift_is() -> None:
    found = narrowing(slices(drift=0.02), "a", "b")
    assert found is not None
    # Means over halves of six slices; of a random walk those lie sqrt(2 x 6 / 3 + 1 / (3 x 6)) steps apart.
    together = math.sqrt(2 / 6) * 0.01
    walk = 0.02 * math.sqrt(2 * 6 / 3 + 1 / (3 * 6))
    assert found.together == pytest.approx(together, rel=0.15)
    assert found.apart == pytest.approx(math.sqrt(together**2 + walk**2), rel=0.15)
    assert found.times == pytest.approx(found.apart / found.together)
    assert found.low < found.times < found.high
    assert f"the interval is {found.times:.1f} times narrower" in found.sentence()
    assert "cannot distinguish" not in found.sentence()


def test_without_drift_interleaving_brings_nothing_and_says_so() -> None:
    found = narrowing(slices(drift=0.0), "a", "b")
    assert found is not None
    assert found.times == pytest.approx(1.0, abs=0.25)
    assert found.low < 1 < found.high
    assert "a factor that 40 groups cannot distinguish from 1" in found.sentence()


def test_what_lies_between_two_servers_is_in_both_intervals() -> None:
    alone, beside = narrowing(slices(drift=0.02), "a", "b"), narrowing(slices(drift=0.02, pair=0.03), "a", "b")
    assert alone is not None
    assert beside is not None
    assert beside.times < alone.times
    assert beside.together == pytest.approx(math.hypot(0.03, alone.together), rel=0.3)


def test_the_effect_itself_does_not_enter() -> None:
    frame = slices(drift=0.02)
    doubled = frame.assign(throughput_rps=frame["throughput_rps"] * np.where(frame["member"].eq("b"), 2.0, 1.0))
    one, other = narrowing(frame, "a", "b"), narrowing(doubled, "a", "b")
    assert one is not None
    assert other is not None
    assert other.times == pytest.approx(one.times)


def test_exchanging_the_sides_changes_nothing() -> None:
    frame = slices(drift=0.02)
    one, other = narrowing(frame, "a", "b"), narrowing(frame, "b", "a")
    assert one is not None
    assert other is not None
    assert (other.together, other.apart) == pytest.approx((one.together, one.apart))


def test_invalid_slices_and_passes_of_one_side_are_left_out() -> None:
    frame = slices()
    spoilt = pd.concat([frame, frame.assign(throughput_rps=1.0, valid=False)], ignore_index=True)
    lonely = pd.DataFrame([{"block": 0, "group": 0, "pass": 99, "member": "a", "throughput_rps": 5.0, "valid": True}])
    assert narrowing(pd.concat([spoilt, lonely], ignore_index=True), "a", "b") == narrowing(frame, "a", "b")


@pytest.mark.parametrize(
    "frame", [slices(groups=FEWEST_GROUPS - 1), slices(passes=3), slices(own=0.0), slices().iloc[:0], pd.DataFrame()]
)
def test_of_too_little_nothing_is_said(frame: pd.DataFrame) -> None:
    assert narrowing(frame, "a", "b") is None


def test_the_spread_from_within_a_block_is_that_of_its_slices() -> None:
    assert slices_spread(slices(drift=0.05, pair=0.1), "a", "b") == pytest.approx(0.01 * math.sqrt(2 / 12), rel=0.1)
    assert math.isnan(slices_spread(slices(passes=3), "a", "b"))
