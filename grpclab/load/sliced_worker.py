"""The slices of one worker: one engine, one file of records, any number of slices (:mod:`grpclab.load.core.slices`).

Between slices the engine keeps its connections, and an open loop its schedule, whose time stands still. The end of a
slice is said at once: what it brought is worked out later, and the records in memory are written in the next ramp.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time

from grpclab.errors import StorageError
from grpclab.load.core.arrivals import StandingSchedule, planned
from grpclab.load.core.bounds import staggered
from grpclab.load.core.budget import RationedGate, Supplies
from grpclab.load.core.failures import FailureLog
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.core.running import Heartbeat
from grpclab.load.core.slices import StretchFigures
from grpclab.load.core.traffic import Traffic
from grpclab.load.engines.engine import Engine
from grpclab.load.worker_messages import (
    BeginSlice,
    Connect,
    EndTail,
    EndWindow,
    OpenSlices,
    PrepareSlice,
    SliceEnded,
    SlicesClosed,
    TailEnded,
    WindowEnded,
    WorkerOrder,
)
from grpclab.load.worker_usage import GIVE_UP_S, SecondsUsed, WorkerUsage, beat, beside, traffic_of, until
from grpclab.system.allowance import TIME
from grpclab.system.pacing import Pacer
from grpclab.system.subprocesses import say

LOOK_S, LOOK_SHARE = 0.001, 0.05
"""The time from one look at the calls under way to the next, and the largest share of it that a look may take."""
ORDERS_S = 0.02
"""The time from one look at what was ordered meanwhile to the next, in the drain."""


class SlicedWorker:
    """The slices of one worker, between :class:`OpenSlices` and :class:`CloseSlices`."""

    def __init__(self, engine: Engine, setup: Connect, orders: asyncio.Queue[WorkerOrder], supplies: Supplies) -> None:
        self._engine = engine
        self._setup = setup
        self._orders = orders
        self._supplies = supplies
        self._recorder = Recorder(None)
        self._schedule: StandingSchedule | None = None
        self._counted: list[WindowEnded] = []

    def open(self, order: OpenSlices) -> None:
        """Begin a file of records, and the schedule of an open loop."""
        setup = self._setup
        self._recorder = Recorder(order.record, residence=setup.residence, mixed=setup.call.mix is not None)
        self._schedule = None
        self._counted = []
        if order.rate_rps is not None:
            arrivals = planned(
                order.rate_rps,
                setup.config.load.arrival,
                starts_at=0.0,
                seed=setup.seed,
                worker=setup.worker,
                workers=setup.workers,
            )
            self._schedule = StandingSchedule(arrivals)

    def close(self) -> SlicesClosed:
        """End the file. Raises StorageError where it cannot be written."""
        self._recorder.close()
        return SlicesClosed(
            counted=tuple(self._counted),
            made=self._supplies.made,
            traffic=traffic_of(self._engine, self._setup),
            answers=self._recorder.answers.samples(),
        )

    async def run(self, order: PrepareSlice) -> None:
        """Measure one slice, and say when it has ended. Raises StorageError where the records cannot be written."""
        running = _RunningSlice(
            engine=self._engine,
            setup=self._setup,
            recorder=self._recorder,
            schedule=self._schedule,
            order=order,
            supplies=self._supplies,
        )
        async with beside(running.obey(self._orders)):
            ended = await running.run()
        say(ended)  # before anything else: another configuration waits for its turn
        if not order.warm_up:
            self._counted.append(running.counted())


class _RunningSlice:
    """One slice from its start to its drain."""

    def __init__(
        self,
        *,
        engine: Engine,
        setup: Connect,
        recorder: Recorder,
        schedule: StandingSchedule | None,
        order: PrepareSlice,
        supplies: Supplies,
    ) -> None:
        self._engine, self._setup, self._recorder, self._order = engine, setup, recorder, order
        self._schedule, self._supplies = schedule, supplies
        self._starts_at = self._opens_at = self._closes_at = math.inf
        self._gate: Gate = supplies.gate(opens_at=math.inf)
        self._give_up_at = math.inf
        self._begins: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._tails_ended = asyncio.Event()
        self._used = SecondsUsed()
        """Within the counted stretch."""
        self._still_s = 0.0
        self._held = self._unsent = 0

    async def obey(self, orders: asyncio.Queue[WorkerOrder]) -> None:
        """Obey what is ordered while the slice runs."""
        while True:
            order = await orders.get()
            if isinstance(order, BeginSlice):
                self._begins.set_result(order.starts_at)
            elif isinstance(order, EndTail):
                self._tails_ended.set()
            elif isinstance(order, EndWindow):
                self._gate.close(order.cut_at)
                self._give_up_at = min(self._give_up_at, time.perf_counter() + order.drain_s)

    async def run(self) -> SliceEnded:
        """Measure the slice. Raises StorageError where the records cannot be written."""
        pacer = Pacer(asyncio.get_running_loop(), spin=self._setup.spin)
        starts_at, started = await self._begins, asyncio.Event()
        pacer.wake_at(starts_at, started.set)
        await started.wait()
        now = time.perf_counter()
        # One worker alone is never late: its slice begins when it does.
        self._starts_at = starts_at if self._order.together else now
        self._opens_at = self._gate.opens_at = self._starts_at + self._order.ramp_s
        self._closes_at = self._gate.counts_until = self._opens_at + self._order.counted_s
        self._give_up_at = min(self._give_up_at, self._closes_at + self._order.drain_s)
        if self._supplies.budget is not None:
            self._give_up_at = min(self._give_up_at, self._supplies.budget.ends_at)
        order, recorder, gate = self._order, self._recorder, self._gate
        first, unsent = recorder.calls, recorder.unsent
        recorder.failures = FailureLog(opens_at=self._opens_at, counts_until=self._closes_at)
        recorder.encodings = {}
        heartbeat = Heartbeat(opens_at=self._starts_at)  # a stretch alone is too short to miss a beat
        before = WorkerUsage.take(recorder, pacer)
        load = asyncio.create_task(self._load(pacer))
        async with beside(beat(heartbeat)):
            await asyncio.sleep(0)  # the first calls are on their way
            recorder.flush()
            await until(self._opens_at, load)
            self._engine.counters.reset()
            opened = WorkerUsage.take(recorder, pacer)
            await until(self._closes_at, load)
            closed, self._held = WorkerUsage.take(recorder, pacer), self._engine.counters.held
            await self._tail(load)
        cut, tail_ended_at = gate.closed, time.perf_counter()
        if not cut and tail_ended_at < self._give_up_at:
            gate.close()
            if self._supplies.budget is None:  # the calls of the tail have as long
                self._give_up_at = tail_ended_at + order.drain_s
        await self._drain(load)
        after = WorkerUsage.take(recorder, pacer)
        pacer.close()
        if recorder.failure:
            raise StorageError(recorder.failure)
        self._unsent = recorder.unsent - unsent
        calls = recorder.calls - first - self._unsent
        self._supplies.take(gate, calls)
        self._used, self._still_s = closed.since(opened), heartbeat.still_s
        return SliceEnded(
            number=order.number,
            started_at=self._starts_at,
            late_s=now - starts_at,
            tail_ended_at=tail_ended_at,
            drained_at=after.at_s,
            cut=cut,
            calls=calls,
            started=gate.admitted + self._unsent,
            cpu_s=after.cpu_s - before.cpu_s,
            waited_s=after.waited_s - before.waited_s,
            busy_s=max(0.0, self._used.cpu_s - self._used.spin_s),
            still_s=self._still_s,
            out=gate.ran_out_at is not None,
            ceiling=gate.ceiling,
            spent=self._supplies.spent,
            made=self._supplies.made,
            stretch=self._figures(first) if order.warm_up else None,
        )

    def counted(self) -> WindowEnded:
        """The figures of the counted stretch, once the slice has ended."""
        gate, recorder = self._gate, self._recorder
        return WindowEnded(
            **dataclasses.asdict(self._used),
            admitted=gate.admitted,
            ran_out_at=gate.ran_out_at,
            ceiling=gate.ceiling,
            spent=self._supplies.spent,
            made=self._supplies.made,
            unsent=self._unsent,
            still_s=self._still_s,
            traffic=Traffic(),
            encodings=recorder.encodings,
            failures=recorder.failures.entries(),
            **dataclasses.asdict(self._engine.counters) | {"held": self._held},
        )

    def _figures(self, first: int) -> StretchFigures:
        """The figures of the counted stretch, from call number `first` on."""
        rows = self._recorder.written(first)
        return StretchFigures.of(
            rows["start_s"], rows["latency_s"], rows["status"], opened_at=self._opens_at, closed_at=self._closes_at
        )

    async def _load(self, pacer: Pacer) -> None:
        load, engine = self._setup.config.load, self._engine
        if self._schedule is None:
            changes = []
            if getattr(engine, "VARIES_CALLS", False):
                changes = staggered(load.concurrency, starts_at=self._starts_at, over_s=self._order.stagger_s)
            await engine.run(self._gate, self._recorder, load.concurrency, *([changes] if changes else []))
            return
        due = self._schedule.resume(self._order.schedule_s, self._starts_at)
        await engine.run_open(due, self._gate, self._recorder, pacer, load.max_in_flight)

    async def _tail(self, load: asyncio.Task[None]) -> None:
        """Let the load go on until no counted call is under way, in any worker."""
        said = False
        while not (load.done() or self._gate.closed or self._tails_ended.is_set()):
            cpu_s = time.thread_time()
            if time.perf_counter() >= self._give_up_at or self._recorder.failure:
                return
            if not said and not self._counted_under_way():
                if not self._order.together:
                    return
                said = True
                say(TailEnded())
            await asyncio.sleep(max(LOOK_S, (time.thread_time() - cpu_s) / LOOK_SHARE))

    def _counted_under_way(self) -> bool:
        """Return whether a call that started in the counted stretch, or was planned to, has not ended."""
        if self._schedule is not None and self._schedule.due < self._closes_at:
            return True
        return any(start < self._closes_at for start in self._engine.under_way())

    async def _drain(self, load: asyncio.Task[None]) -> None:
        """Wait for the calls under way, and give up those that do not end."""
        clock, gate, budget = time.perf_counter, self._gate, self._supplies.budget
        while not load.done() and clock() < self._give_up_at:
            if self._schedule is not None and not self._engine.under_way():
                break  # an open loop that waits for its next call does not notice at once that there will be none
            await asyncio.wait([load], timeout=LOOK_S if self._schedule is not None else ORDERS_S)
        if not load.done():
            if isinstance(gate, RationedGate) and budget is not None and clock() >= budget.ends_at:
                gate.reach(TIME, budget.ends_at)
            self._engine.give_up()
            await asyncio.wait([load], timeout=GIVE_UP_S)
            load.cancel()
        if load.done() and not load.cancelled():
            load.result()
