"""A closed and an open loop over calls that are awaited. The clock and the pacer are passed in."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from grpclab.load.engines import LOOK_S, Counters
from grpclab.load.gate import Gate
from grpclab.load.recorder import Recorder
from grpclab.pacing import Pacer

Clock = Callable[[], float]


class Call(Protocol):
    """One call from its sending to its end."""

    async def __call__(self, start_s: float, recorder: Recorder) -> tuple[int, float]:
        """Make it; returns its gRPC status, and its time inside the server in seconds, NaN where that is not told.

        `start_s`, when it began or was planned to, goes with its messages.
        """


async def closed_loop(call: Call, gate: Gate, recorder: Recorder, clock: Clock) -> None:
    """One caller: one call after the other."""
    start = clock()
    while gate.admit(start):
        status, residence_s = await call(start, recorder)
        recorder.residence(residence_s)
        recorder.record(start, clock(), status)
        recorder.flush_full()
        start = clock()


class OpenLoop:
    """One run of an open loop: a task for each arrival, on the calls in turn."""

    def __init__(
        self,
        calls: Sequence[Call],
        planned: Iterator[float],
        *,
        gate: Gate,
        recorder: Recorder,
        pacer: Pacer,
        max_in_flight: int,
        counters: Counters,
        clock: Clock,
    ) -> None:
        self._calls = calls
        self._planned = planned
        self._gate = gate
        self._recorder = recorder
        self._pacer = pacer
        self._max_in_flight = max_in_flight
        self._counters = counters
        self._clock = clock
        self._due = math.inf
        self._sent = 0
        self._full = False
        """The arrivals that are due wait for `max_in_flight`."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        """Send until the gate refuses an arrival; wait for the last call."""
        self._due = next(self._planned)
        self._send_due()
        try:
            await self._over
        finally:
            self._pacer.cancel()
            for task in self._tasks:  # none is left but where this was cancelled, or a call raised
                task.cancel()

    def _send_due(self) -> None:
        """Send all that is due now; then wait for the next, or for room."""
        now = self._clock()
        waited, self._full = self._full, False
        while self._due <= now and not self._gate.over(self._due):
            if len(self._tasks) >= self._max_in_flight:
                self._full = True
                return
            if self._gate.admit(self._due):
                self._counters.bound_hits += waited
                self._send(self._due)
                self._due = next(self._planned)
        if not self._gate.over(self._due):
            self._pacer.wake_at(min(self._due, now + LOOK_S), self._send_due)
        elif not self._tasks and not self._over.done():
            self._over.set_result(None)

    def _send(self, planned: float) -> None:
        task = self._loop.create_task(self._make(self._calls[self._sent % len(self._calls)], planned))
        self._sent += 1
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _make(self, call: Call, planned: float) -> None:
        late_s = self._clock() - planned
        self._pacer.touch()
        status, residence_s = await call(planned, self._recorder)
        self._recorder.residence(residence_s)
        self._recorder.record(planned, self._clock(), status, late_s)
        self._recorder.flush_full()
        self._pacer.touch()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._over.done():
            return
        if task.cancelled():
            self._over.cancel()
        elif (error := task.exception()) is not None:
            self._over.set_exception(error)
        elif self._full or (not self._tasks and self._gate.over(self._due)):
            self._send_due()
