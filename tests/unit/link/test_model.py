"""The pure model of the emulated link, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.factors.config import LinkConfig
from grpclab.link.model import DelayLine, Direction, EmulatedPath, Ending, buffer_bytes

UP, DOWN = Direction.UP, Direction.DOWN

steps = st.lists(st.tuples(st.floats(0, 0.2), st.binary(min_size=1, max_size=4000)), max_size=20)


@given(steps=steps, delay=st.floats(0, 0.1), rate=st.none() | st.floats(1e3, 1e8), late=st.floats(0, 0.05))
def test_a_line_keeps_order_loses_nothing_and_hands_over_nothing_early(
    steps: list[tuple[float, bytes]], delay: float, rate: float | None, late: float
) -> None:
    line = DelayLine(delay_s=delay, bytes_per_s=rate)
    now, entered, earliest = 0.0, b"", []
    wire_free = 0.0
    for pause, data in steps:
        now += pause
        line.push(data, now)
        entered += data
        for _ in data if rate is not None else ():
            wire_free = max(wire_free, now) + 1 / (rate or 1)
            earliest.append(wire_free + delay)
        if rate is None:
            earliest += [now + delay] * len(data)
    line.push_ending(Ending.END, now)

    left, ending = b"", None
    while ending is None:
        due = line.next_due
        assert due is not None
        chunks, ending = line.pop_due(due + late)
        for chunk in chunks:
            left += bytes(chunk)
            # The sum of many small times is only as exact as floats are.
            assert due + late >= earliest[len(left) - 1] - 1e-9
    assert left == entered
    assert line.held_bytes == 0
    assert line.next_due is None


def test_bytes_are_due_half_a_round_trip_after_they_entered() -> None:
    path = EmulatedPath(LinkConfig(rtt_ms=20), opened=0)
    path.enter(DOWN, b"settings", 1.0)
    assert path.leave(DOWN, 1.009) == ([], None)
    assert path.leave(DOWN, 1.010) == ([b"settings"], None)


def test_a_new_connection_first_costs_the_handshake() -> None:
    path = EmulatedPath(LinkConfig(rtt_ms=20), opened=5.0)
    path.enter(UP, b"hello", 5.0)
    assert path.lines[UP].next_due == pytest.approx(5.030)
    assert path.established == pytest.approx(5.030)


def test_bandwidth_is_the_rate_at_which_bytes_come_out() -> None:
    path = EmulatedPath(LinkConfig(bandwidth_mbps=8), opened=0)  # 1 MB/s: 1 kB per ms
    path.enter(DOWN, bytes(10_000), 0.0)
    out = [sum(map(len, path.leave(DOWN, ms / 1e3)[0])) for ms in range(11)]
    assert sum(out) == 10_000
    assert all(sum(out[: ms + 1]) <= ms * 1000 for ms in range(11))


def test_a_silent_connection_is_forgotten_for_good_and_nobody_is_told() -> None:
    path = EmulatedPath(LinkConfig(idle_timeout_s=2), opened=0)
    assert path.enter(UP, b"a", 2.0)
    assert path.leave(UP, 2.0) == ([b"a"], None)
    assert path.enter(DOWN, b"b", 4.0), "exactly the timeout is not longer than it"
    assert path.leave(DOWN, 4.0) == ([b"b"], None)
    assert not path.enter(UP, b"c", 6.5)
    assert path.black_holed
    assert not path.enter(DOWN, b"d", 6.6)
    assert not path.enter(DOWN, Ending.END, 6.7)
    assert path.lines[UP].next_due is path.lines[DOWN].next_due is None


def test_traffic_either_way_keeps_both_ways_open() -> None:
    path = EmulatedPath(LinkConfig(idle_timeout_s=1), opened=0)
    for tenth in range(50):
        assert path.enter(DOWN, b"x", tenth / 10)
        path.leave(DOWN, tenth / 10)
    assert path.enter(UP, b"x", 5.5)


def test_bytes_under_way_are_not_silence() -> None:
    path = EmulatedPath(LinkConfig(rtt_ms=10_000, idle_timeout_s=1), opened=0)
    assert path.enter(DOWN, b"a", 15.0)
    assert path.enter(UP, b"b", 19.0)


def test_a_sender_is_held_back_at_the_limit_and_let_go_at_half_of_it() -> None:
    line = DelayLine(delay_s=1, limit_bytes=1000)
    for number in range(10):
        assert not line.full
        line.push(bytes(100), number / 10)
    assert line.full
    line.pop_due(1.3)
    assert not line.full
    assert not line.has_room
    line.pop_due(1.4)
    assert line.has_room


@pytest.mark.parametrize("rtt_ms", [0, 20, 300])
@pytest.mark.parametrize("bandwidth_mbps", [None, 1, 100, 10_000])
def test_the_buffer_holds_the_bandwidth_delay_product_and_is_bounded(
    rtt_ms: float, bandwidth_mbps: float | None
) -> None:
    size = buffer_bytes(LinkConfig(rtt_ms=rtt_ms, bandwidth_mbps=bandwidth_mbps))
    assert (bandwidth_mbps or 0) * 125 * rtt_ms <= size <= 2**30
