"""A schedule of concurrency on a real server: as many calls at a time as it says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.concurrency import concurrency_levels
from grpclab.load.generator import Generator
from grpclab.testing import fake_target

SERVICE_S = 0.02


class Waiting:
    """A server whose calls take a while, and the most that were inside at once."""

    def __init__(self) -> None:
        self.address = ""
        self.calls = self.most = self._inside = 0
        self._lock = threading.Lock()
        self._over = threading.Event()

    def answer(self, request: bytes, _: grpc.ServicerContext) -> bytes:
        with self._lock:
            self.calls += 1
            self._inside += 1
            self.most = max(self.most, self._inside)
        self._over.wait(SERVICE_S)
        with self._lock:
            self._inside -= 1
        return request


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """Such a server."""
    server = Waiting()
    methods: dict[str, Any] = {"Buy": grpc.unary_unary_rpc_method_handler(server.answer)}
    with fake_target(grpc.method_handlers_generic_handler("a.Shop", methods), answer=None) as target:
        server.address = target.address
        yield server


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_the_server_sees_as_many_calls_at_once_as_the_schedule_says(
    engine: str, workers: int, waiting: Waiting
) -> None:
    levels: dict[str, Level] = {
        **concurrency_levels("2:8:6@600ms"),
        "load.engine": engine,
        "load.workers": workers,
        "load.warmup_s": 0.1,
        "load.duration_s": 1.0,
        "load.requests": None,
    }
    call = CallSpec(path="/a.Shop/Buy", payload=b"x")
    with Generator(TrialConfig().replace(levels), waiting.address, call=call) as generator:
        run = generator.measure()
    assert run.summary.errors == 0
    assert waiting.calls == run.calls_made
    assert waiting.most == 8

    def in_flight(since_s: float) -> int:
        moments = [(window.records, window.opened_at + since_s) for window in run.windows]
        return sum(int(np.sum((calls.start_s <= at) & (calls.end_s > at))) for calls, at in moments)

    # A worker that this machine has not let run may begin later than at the warm-up's start.
    begun_s = max(float(window.records.start_s.min()) - window.opened_at for window in run.windows)
    early = [in_flight(since_s) for since_s in np.linspace(max(begun_s, -0.02), 0.58, 30)]
    late = [in_flight(since_s) for since_s in np.linspace(0.7, 0.95, 30)]
    # Between the end of a call and the start of the next one there may be a moment.
    assert max(early) <= 2
    assert np.median(early) == 2
    assert max(late) <= 8
    assert np.median(late) >= 7
