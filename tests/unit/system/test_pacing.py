"""The pacer, on a loop and a clock of the test's own: when it sleeps, when it spins, what it counts."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.system import pacing
from grpclab.system.pacing import SPIN_STRETCH_S, Pacer

TURN_S = 0.000_01


class Loop:
    """A loop whose time passes only when the test lets it: a turn costs TURN_S, an alarm fires to the point."""

    def __init__(self) -> None:
        self.now = 100.0
        self.turns = 0
        self._soon: list[Callable[[], None]] = []
        self._alarm: tuple[float, Callable[[], None]] | None = None

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        self._alarm = (self.now + seconds, callback)
        return Handle(self)

    def run(self) -> None:
        while self._soon or self._alarm:
            if self._soon:
                self.turns += 1
                self.now += TURN_S
                for callback in [self._soon.pop(0) for _ in range(len(self._soon))]:
                    callback()
            elif self._alarm:
                when, callback = self._alarm
                self._alarm = None
                self.now = max(self.now, when)
                callback()


class Handle:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def cancel(self) -> None:
        self._loop._alarm = None


@pytest.fixture(autouse=True)
def without_timerfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_timerfd_create", lambda: None)


def paced(spin: bool) -> tuple[Loop, Pacer]:
    loop = Loop()
    return loop, Pacer(cast("Any", loop), spin=spin, clock=lambda: loop.now)


@given(waits=st.lists(st.floats(0, 0.02), min_size=1, max_size=30), spin=st.booleans())
def test_no_wake_up_is_early_or_lost_and_a_late_one_is_late_by_a_turn(waits: list[float], spin: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing, "_timerfd_create", lambda: None)
        loop, pacer = paced(spin)
    planned = [100.0 + sum(waits[: i + 1]) for i in range(len(waits))]
    woken: list[float] = []

    def wake() -> None:
        woken.append(loop.now)
        if len(woken) < len(planned):
            pacer.wake_at(planned[len(woken)], wake)

    pacer.wake_at(planned[0], wake)
    loop.run()
    assert len(woken) == len(planned)
    for due, at in zip(planned, woken, strict=True):
        assert due <= at + 1e-12
        assert at - due <= 3 * TURN_S * len(planned)


def test_spinning_is_only_for_the_last_stretch_and_is_counted() -> None:
    loop, pacer = paced(spin=True)
    pacer.wake_at(loop.now + 1.0, lambda: None)
    loop.run()
    assert pacer.spin_s == pytest.approx(SPIN_STRETCH_S, rel=0.05)
    assert loop.turns == pytest.approx(SPIN_STRETCH_S / TURN_S, rel=0.05)


def test_without_spinning_the_alarm_does_it_all() -> None:
    loop, pacer = paced(spin=False)
    pacer.wake_at(loop.now + 1.0, lambda: None)
    loop.run()
    assert loop.turns <= 2
    assert pacer.spin_s <= 2 * TURN_S


def test_a_turn_in_which_work_was_done_is_not_spinning() -> None:
    idle_loop, idle = paced(spin=True)
    idle.wake_at(idle_loop.now + SPIN_STRETCH_S, lambda: None)
    idle_loop.run()
    loop, busy = paced(spin=True)

    def work() -> None:
        busy.touch()
        if math.isfinite(busy._when):
            loop.call_soon(work)

    busy.wake_at(loop.now + SPIN_STRETCH_S, lambda: None)
    loop.call_soon(work)
    loop.run()
    assert idle.spin_s > 0.9 * SPIN_STRETCH_S
    assert busy.spin_s < 0.1 * SPIN_STRETCH_S


def test_a_wake_up_can_be_moved_and_taken_back() -> None:
    loop, pacer = paced(spin=True)
    woken: list[str] = []
    pacer.wake_at(loop.now + 5.0, lambda: woken.append("late"))
    pacer.wake_at(loop.now + 1.0, lambda: woken.append("early"))
    loop.run()
    assert woken == ["early"]
    assert loop.now < 102
    pacer.wake_at(loop.now + 1.0, lambda: woken.append("never"))
    pacer.cancel()
    loop.run()
    assert woken == ["early"]


def test_on_a_real_loop_with_the_kernels_timer_none_is_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()

    async def main() -> list[float]:
        pacer = Pacer(asyncio.get_running_loop(), spin=False)
        early: list[float] = []
        for wait_s in (0.0, 0.003, 0.0005):
            done = asyncio.get_running_loop().create_future()
            due = time.perf_counter() + wait_s
            pacer.wake_at(due, lambda done=done: done.set_result(None))  # type: ignore[misc]
            await done
            early.append(due - time.perf_counter())
        pacer.close()
        pacer.close()
        return early

    assert max(asyncio.run(main())) <= 0
