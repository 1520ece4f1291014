"""Somebody listens at a target, or not: told at once, or waited for where that is asked for."""

from __future__ import annotations

import socket

import pytest
from command import unused_port

from grpclab.errors import TargetError, UsageError
from grpclab.load.reach import await_listener


class Clock:
    """Time passes by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at_last: list[socket.socket] = []
        self.comes_at = float("inf")
        self.port = unused_port()

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.comes_at and not self.at_last:
            self.at_last.append(socket.create_server(("127.0.0.1", self.port)))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_listener_is_found_at_once(clock: Clock, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        await_listener(f"{host}:{server.getsockname()[1]}", 5, clock=lambda: clock.now, sleep=clock.sleep)
    assert clock.now == 0


def test_nobody_is_told_without_waiting(clock: Clock) -> None:
    with pytest.raises(TargetError, match=r"connection refused.*--connect-timeout"):
        await_listener(f"localhost:{clock.port}", clock=lambda: clock.now, sleep=clock.sleep)
    assert clock.now == 0


def test_who_is_waited_for_may_come_later_but_not_too_late(clock: Clock) -> None:
    with pytest.raises(TargetError, match="within 3 s"):
        await_listener(f"localhost:{clock.port}", 3, clock=lambda: clock.now, sleep=clock.sleep)
    assert clock.now == pytest.approx(3, abs=0.1)
    clock.comes_at = 5.0
    await_listener(f"localhost:{clock.port}", 3, clock=lambda: clock.now, sleep=clock.sleep)
    clock.at_last[0].close()


def test_a_target_elsewhere_is_refused_without_a_connection() -> None:
    with pytest.raises(UsageError):
        await_listener("192.0.2.1:50051")
