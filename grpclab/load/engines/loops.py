"""A closed and an open loop over calls that are awaited. The clock and the pacer are passed in."""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from grpclab.load.core.arrivals import Change
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import GIVEN_UP, Recorder
from grpclab.load.engines.engine import LOOK_S, Counters
from grpclab.status import NOT_ENDED
from grpclab.system.pacing import Pacer

Clock = Callable[[], float]


class CallFunction(Protocol):
    """One call from its sending to its end."""

    async def __call__(self, start_s: float, recorder: Recorder) -> tuple[int, float]:
        """Make the call. Returns its gRPC status, and its time inside the server in seconds: NaN where it is unknown.

        `start_s`, when it began or was planned to, goes with its messages.
        """


def shrink(changes: Sequence[Change]) -> bool:
    """Return whether callers ever become fewer."""
    return any(after < before for (_, before), (_, after) in itertools.pairwise(changes))


class WantedCallers:
    """The calls in flight that a closed loop is to have now; `on_change` is called when there are to be others.

    It changes at planned moments of the clock, and never before one.
    """

    def __init__(
        self, concurrency: int, changes: Sequence[Change], clock: Clock, on_change: Callable[[], None]
    ) -> None:
        self.number = changes[0][1] if changes else concurrency
        self._changes = deque(changes)
        self._clock, self._on_change = clock, on_change
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Begin to change, until :meth:`end`."""
        before = self.number
        while self._changes and self._changes[0][0] <= self._clock():
            self.number = self._changes.popleft()[1]
        if self._changes:
            wait_s = max(0.0, self._changes[0][0] - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self.begin)
        if self.number != before:
            self._on_change()

    def end(self) -> None:
        """Change no more."""
        if self._timer is not None:
            self._timer.cancel()


class Caller:
    """One caller of a closed loop: one call after the other, as long as it is `wanted`."""

    def __init__(
        self,
        call: CallFunction,
        gate: Gate,
        recorder: Recorder,
        clock: Clock,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._call, self._gate, self._recorder, self._clock = call, gate, recorder, clock
        self._wanted = wanted
        self.began = math.nan
        """The moment at which the call under way began; NaN where there is none."""

    async def run(self) -> None:
        """Call until the gate refuses; cancelled after the gate has closed, the call under way is given up."""
        recorder = self._recorder
        start = self._clock()
        while self._wanted() and self._gate.admit(start):
            self.began = start
            status, residence_s = await _outcome(self._call, start, self._gate, recorder, self._clock)
            recorder.residence(residence_s)
            recorder.record(start, self._clock(), status)
            recorder.flush_full()
            start = self._clock()
        self.began = math.nan


async def _outcome(call: CallFunction, start: float, gate: Gate, recorder: Recorder, clock: Clock) -> tuple[int, float]:
    """Return the status of a call: NOT_ENDED where it was cancelled after the end of the window."""
    try:
        return await call(start, recorder)
    except asyncio.CancelledError:
        if not gate.closed:
            raise
        recorder.failures.note(NOT_ENDED, GIVEN_UP, start, clock())
        return NOT_ENDED, math.nan


class ClosedLoop:
    """One run of a closed loop: a task for each caller, on the calls in turn."""

    def __init__(
        self,
        calls: Sequence[CallFunction],
        concurrency: int,
        changes: Sequence[Change],
        *,
        gate: Gate,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._calls, self._gate, self._recorder, self._clock = calls, gate, recorder, clock
        self._wanted = WantedCallers(concurrency, changes, clock, self._fill)
        self._callers: list[Caller] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Call until the gate refuses; wait for the last call."""
        self._fill()
        self._wanted.begin()
        try:
            while running := [task for task in self._tasks if not task.done()]:
                done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_EXCEPTION)
                for task in done:
                    if not (task.cancelled() and self._gate.closed):  # given up before its first step
                        task.result()
        finally:
            self._wanted.end()
            for task in self._tasks:  # none is left but where this was cancelled, or a call raised
                task.cancel()

    def _fill(self) -> None:
        """Begin the callers that are wanted and do not call; those beyond their number stop by themselves."""
        for slot in range(self._wanted.number):
            if slot == len(self._callers):
                call, wanted = self._calls[slot % len(self._calls)], functools.partial(self._is_wanted, slot)
                self._callers.append(Caller(call, self._gate, self._recorder, self._clock, wanted))
                self._tasks.append(asyncio.create_task(self._callers[slot].run()))
            elif self._tasks[slot].done():
                self._tasks[slot] = asyncio.create_task(self._callers[slot].run())

    def _is_wanted(self, slot: int) -> bool:
        return slot < self._wanted.number

    @property
    def under_way(self) -> list[float]:
        """Return the moments at which the calls under way began."""
        return [caller.began for caller in self._callers if not math.isnan(caller.began)]

    def give_up(self) -> None:
        """End the calls under way, after the gate has closed."""
        for task in self._tasks:
            task.cancel()


class OpenLoop:
    """One run of an open loop: a task for each arrival, on the calls in turn."""

    def __init__(
        self,
        calls: Sequence[CallFunction],
        planned: Iterator[float],
        *,
        gate: Gate,
        recorder: Recorder,
        pacer: Pacer,
        max_in_flight: int,
        counters: Counters,
        clock: Clock,
        numbers: Iterator[int] | None = None,
    ) -> None:
        """`numbers`: those of further calls of a mix, for calls that are never sent."""
        self._calls = calls
        self._planned = planned
        self._gate = gate
        self._recorder = recorder
        self._pacer = pacer
        self._max_in_flight = max_in_flight
        self._counters = counters
        self._clock = clock
        self._numbers = numbers
        self._due = math.inf
        self._sent = 0
        self._full = False
        """The arrivals that are due wait for `max_in_flight`."""
        self._waited = False
        """True where calls waited for room when the run was given up."""
        self._tasks: dict[asyncio.Task[None], float] = {}
        """Each call under way, and when it was planned to be sent."""
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
        unsent = record_never_sent(
            itertools.chain([self._due], self._planned), self._gate, self._recorder, self._clock(), self._numbers
        )
        self._counters.bound_hits += unsent if self._waited else 0

    @property
    def under_way(self) -> list[float]:
        """Return the moments at which the calls under way were planned to be sent."""
        return list(self._tasks.values())

    def give_up(self) -> None:
        """End the calls under way, after the gate has closed."""
        self._waited = self._full
        for task in self._tasks:
            task.cancel()
        if not self._tasks:
            self._send_due()

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
        self._tasks[task] = planned
        task.add_done_callback(self._done)

    async def _make(self, call: CallFunction, planned: float) -> None:
        late_s = self._clock() - planned
        self._pacer.touch()
        status, residence_s = await _outcome(call, planned, self._gate, self._recorder, self._clock)
        self._recorder.residence(residence_s)
        self._recorder.record(planned, self._clock(), status, late_s)
        self._recorder.flush_full()
        self._pacer.touch()

    def _done(self, task: asyncio.Task[None]) -> None:
        planned = self._tasks.pop(task, math.nan)
        if self._over.done():
            return
        if task.cancelled() and self._gate.closed:  # given up before its first step
            self._recorder.never_sent(np.array([planned]), self._clock(), self._numbers)
            if not self._tasks:
                self._send_due()
            return
        if task.cancelled():
            self._over.cancel()
        elif (error := task.exception()) is not None:
            self._over.set_exception(error)
        elif self._full or (not self._tasks and self._gate.over(self._due)):
            self._send_due()


def record_never_sent(
    due: Iterator[float], gate: Gate, recorder: Recorder, now: float, numbers: Iterator[int] | None = None
) -> int:
    """Record the arrivals that were due in the window and never sent, where it was ended before; returns how many.

    `numbers`: those of the calls of a mix that would have been sent.
    """
    unsent = gate.never_sent(due) if gate.closed else np.empty(0)
    recorder.never_sent(unsent, now, numbers)
    return len(unsent)
