"""How far another clock is off, by exchanges that take their time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from grpclab.cluster.clocks import ClockOffset, estimated, exchanged, spread


@pytest.mark.parametrize("offset_s", [0.0, 0.25, -86_400.0])
def test_the_offset_is_within_its_bound_however_unevenly_messages_travel(offset_s: float) -> None:
    random = np.random.default_rng(7)
    exchanges = []
    for there_s, back_s in random.exponential(0.002, (50, 2)).tolist():
        asked = float(random.uniform(0, 100))
        exchanges.append((asked, asked + there_s + offset_s, asked + there_s + back_s))
    clock = estimated(exchanges)
    assert abs(clock.offset_s - offset_s) <= clock.bound_s + 1e-9
    assert clock.bound_s == pytest.approx(min(end - begin for begin, _, end in exchanges) / 2)


def test_the_shortest_exchange_counts() -> None:
    readings = iter([0.0, 10.0, 10.0, 10.002, 11.0, 11.5])
    there = iter([9.0, 20.001, 12.0])

    async def ask() -> float:
        return next(there)

    clock = asyncio.run(exchanged(ask, lambda: next(readings), times=3))
    assert clock.offset_s == pytest.approx(10.0)
    assert clock.bound_s == pytest.approx(0.001)


def test_a_moment_travels_there_and_back() -> None:
    clock = ClockOffset(offset_s=0.25, bound_s=0.001)
    assert clock.there(1.0) == 1.25
    assert clock.here(clock.there(1.0)) == 1.0


def test_a_drift_widens_the_bound() -> None:
    clock = ClockOffset(offset_s=0.25, bound_s=0.001)
    assert clock.until(ClockOffset(offset_s=0.25, bound_s=0.0005)) == 0.001
    assert clock.until(ClockOffset(offset_s=0.26, bound_s=0.002)) == pytest.approx(0.012)


def test_the_spread_is_from_the_first_to_the_last() -> None:
    assert spread([3.0, 1.0, 2.0]) == 2.0
    assert spread([]) == 0.0
