"""A generator process: one engine on one event loop, controlled by the messages of :mod:`grpclab.load.worker_messages`.

``python -m grpclab.load.worker [ENGINE]`` loads that engine while it waits for its first message. Messages come on
standard input, which is its lifeline as well, and leave on standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import math
import sys
import time

from grpclab.errors import MissingDependencyError, PluginError, StorageError, TargetError, UsageError
from grpclab.factors.client_features import most_sends
from grpclab.factors.config import LoadConfig
from grpclab.factors.registries import ENGINES
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.arrivals import planned, read_ahead
from grpclab.load.core.bounds import NO_DEADLINE_S, caller_changes, staggered
from grpclab.load.core.budget import Budget, RationedGate, Supplies
from grpclab.load.core.failures import FailureLog
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.core.running import Heartbeat, Tally
from grpclab.load.core.summary import percentile
from grpclab.load.engines.engine import Engine, EngineFactory
from grpclab.load.sliced_worker import SlicedWorker
from grpclab.load.worker_messages import (
    CloseSlices,
    Connect,
    Connected,
    EndWindow,
    Failed,
    MeasureWindow,
    OpenSlices,
    PrepareSlice,
    WindowEnded,
    WindowProgress,
    WorkerOrder,
)
from grpclab.load.worker_usage import GIVE_UP_S, WorkerUsage, beat, beside, traffic_of, until
from grpclab.metrics import PERCENTILES
from grpclab.system import event_loop, ulimits
from grpclab.system.allowance import TIME
from grpclab.system.json_lines import decode
from grpclab.system.pacing import Pacer
from grpclab.system.subprocesses import die_with_parent, say

PROGRESS_EVERY_S = 0.25
WATCH_EVERY_S = 0.1
"""The time from one report to the next where thresholds are watched."""
STAGGER_MOST_S = 0.5
"""The callers of a window begin over no more than this, and no more than half of the warm-up."""
PROGRESS_CALLS = 1000
"""A running p99 is that of the last so many calls at least; fewer do not carry one."""

Orders = asyncio.Queue[WorkerOrder]


async def _work(orders: Orders) -> None:
    setup = await orders.get()
    assert isinstance(setup, Connect)
    try:
        create: EngineFactory = ENGINES[setup.config.load.engine]
        if missing := _missing(create, setup.call, setup.config.load):
            raise PluginError(f"load.engine={setup.config.load.engine} does not support {missing}: use wire or grpcio")
        engine = create(setup.config, setup.target, setup.security, setup.call, residence=setup.residence)
        read_ahead(setup.config.load.arrival)
        await engine.connect(setup.connect_timeout_s)
    except (TargetError, UsageError) as error:  # UsageError: a target that is not on this machine, after all
        say(Failed(kind="target", text=str(error)))
        return
    except PluginError as error:
        say(Failed(kind="plugin", text=str(error)))
        return
    except MissingDependencyError as error:
        say(Failed(kind="dependency", text=str(error)))
        return
    say(Connected())
    gc.collect()
    gc.freeze()
    worker = _Worker(engine, setup, orders)
    slices = SlicedWorker(engine, setup, orders, worker.supplies)
    while True:
        order = await orders.get()
        try:
            if isinstance(order, MeasureWindow):  # the end of a window may come after it has ended by itself
                say(await worker.window(order))
            elif isinstance(order, OpenSlices):
                slices.open(order)
            elif isinstance(order, PrepareSlice):
                await slices.run(order)
            elif isinstance(order, CloseSlices):
                say(slices.close())
        except StorageError as error:
            say(Failed(kind="storage", text=str(error)))


def _missing(create: EngineFactory, call: CallSpec, load: LoadConfig) -> str:
    """What a call asks for that not every engine has; nothing where the engine has it all."""
    if any(call.stream_plans(load)) and not getattr(create, "STREAMS", False):
        return "part of the client in streams"
    if getattr(create, "VARIES_CALLS", False):
        return ""
    asked = {
        "mix of calls": call.mix,
        "requests that vary": call.payloads,
        "metadata that varies": call.headers,
        "--check": call.check,
        "concurrency that changes": caller_changes(load),
    }
    return next((name for name, value in asked.items() if value), "")


class _Worker:
    """A connected engine and what it was set up for."""

    def __init__(self, engine: Engine, setup: Connect, orders: Orders) -> None:
        self._engine = engine
        self._setup = setup
        self._orders = orders
        self._budget = None
        if setup.allowance is not None:
            cost = most_sends(setup.config.client)
            self._budget = Budget(setup.allowance, ends_at=setup.ends_at, cost=cost)
        self.supplies = Supplies(setup.call.supply, self._budget)

    async def window(self, order: MeasureWindow) -> WindowEnded:
        """Measure one window. Raises StorageError where its records cannot be written."""
        gate = self.supplies.gate(
            opens_at=order.opens_at,
            closes_at=order.closes_at,
            requests=order.requests,
            repeats=order.record is None,  # the load for a profile may begin again
        )
        failures = FailureLog(opens_at=gate.opens_at)
        tally = Tally(opens_at=gate.opens_at, limits_s=order.watch_s)
        setup = self._setup
        mixed = setup.call.mix is not None
        recorder = Recorder(order.record, residence=setup.residence, mixed=mixed, failures=failures, tally=tally)
        heartbeat = Heartbeat(opens_at=gate.opens_at, closes_at=gate.closes_at or math.inf)
        pacer = Pacer(asyncio.get_running_loop(), spin=setup.spin)
        counters = self._engine.counters
        counters.reset()
        running = asyncio.create_task(self._load(order, gate, recorder, pacer))
        async with beside(self._end_in_time(gate, order.drain_s, running)), beside(beat(heartbeat)):
            # The window's own share of a core: from its opening (the warm-up left out) to the end of its last call.
            await until(gate.opens_at, running)
            opening = WorkerUsage.take(recorder, pacer)
            if order.opens_at > order.starts_at:  # else what is counted so far is the window's own
                counters.reset()
            async with beside(self._watch(recorder, gate, opening, report=order.progress)):
                await asyncio.wait([running])
        if not running.cancelled():
            running.result()
        end = WorkerUsage.take(recorder, pacer)
        pacer.close()
        recorder.close()
        self.supplies.take(gate, recorder.calls - recorder.unsent)
        return WindowEnded(
            **dataclasses.asdict(end.since(opening)),
            admitted=gate.admitted,
            ran_out_at=gate.ran_out_at,
            ceiling=gate.ceiling,
            spent=self.supplies.spent,
            made=self.supplies.made,
            unsent=recorder.unsent,
            still_s=heartbeat.still_s,
            traffic=traffic_of(self._engine, self._setup),
            encodings=recorder.encodings,
            failures=failures.entries(),
            answers=recorder.answers.samples(),
            **dataclasses.asdict(counters),
        )

    async def _load(self, order: MeasureWindow, gate: Gate, recorder: Recorder, pacer: Pacer) -> None:
        setup, load = self._setup, self._setup.config.load
        if order.rate_rps is None:
            changes = caller_changes(
                load, concurrency=setup.callers, opens_at=order.opens_at, worker=setup.worker, workers=setup.workers
            )
            if not changes and getattr(self._engine, "VARIES_CALLS", False):
                over_s = min(STAGGER_MOST_S, (order.opens_at - order.starts_at) / 2)
                changes = staggered(load.concurrency, starts_at=order.starts_at, over_s=over_s)
            while (early_s := order.starts_at - time.perf_counter()) > 0:  # a timer may fire a little early
                await asyncio.sleep(early_s)
            await self._engine.run(gate, recorder, load.concurrency, *([changes] if changes else []))
            return
        due = planned(
            order.rate_rps,
            load.arrival,
            starts_at=order.starts_at,
            seed=setup.seed,
            worker=setup.worker,
            workers=setup.workers,
            opens_at=order.opens_at,
        )
        await self._engine.run_open(due, gate, recorder, pacer, load.max_in_flight)

    async def _end_in_time(self, gate: Gate, drain_s: float, running: asyncio.Task[None]) -> None:
        """Give up the calls under way `drain_s` after the end of the window, which an order may bring about."""
        clock = time.perf_counter
        give_up_at = math.inf if gate.closes_at is None else gate.closes_at + drain_s
        if self._budget is not None:
            give_up_at = min(give_up_at, self._budget.ends_at)
        while (left_s := give_up_at - clock()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s if left_s < math.inf else None):
                    if isinstance(order := await self._orders.get(), EndWindow):
                        gate.close(order.cut_at)
                        give_up_at = min(give_up_at, clock() + order.drain_s)
        if isinstance(gate, RationedGate) and self._budget is not None and clock() >= self._budget.ends_at:
            gate.reach(TIME, self._budget.ends_at)
        self._engine.give_up()
        await asyncio.wait([running], timeout=GIVE_UP_S)
        running.cancel()

    async def _watch(self, recorder: Recorder, gate: Gate, opened: WorkerUsage, *, report: bool) -> None:
        """Report the progress now and then; end the window when its records cannot be written, or nothing ends it."""
        calls_before, ended_at = opened.calls, opened.at_s
        watched = bool(recorder.tally.limits_s)
        endless = gate.closes_at is None and self._setup.config.client.deadline_s is None
        while True:
            await asyncio.sleep(WATCH_EVERY_S if watched else PROGRESS_EVERY_S)
            now, calls = time.perf_counter(), recorder.calls
            if recorder.failure:
                gate.close()
            if calls != calls_before:
                ended_at = now
            if endless and now - ended_at > NO_DEADLINE_S:
                self._engine.give_up()
            if report:
                lately = min(max(calls - calls_before, PROGRESS_CALLS), calls - opened.calls)
                progress = WindowProgress(
                    calls=calls - opened.calls,
                    errors=recorder.errors - opened.errors,
                    latency_p99_s=percentile(recorder.recent(lately), PERCENTILES["p99"]),
                    over=gate.closed or (gate.closes_at is not None and now >= gate.closes_at),
                    running=recorder.tally_so_far().running(self._engine.under_way(), now),
                )
                say(progress)
            calls_before = calls


async def _main() -> None:
    loop = asyncio.get_running_loop()
    orders: Orders = asyncio.Queue()

    def on_line(line: str) -> None:
        loop.call_soon_threadsafe(lambda: orders.put_nowait(decode(WorkerOrder, line)))

    die_with_parent(on_line)
    await _work(orders)


def main() -> None:
    """Run a worker, as the module's docstring says."""
    ulimits.raise_open_files()
    with contextlib.suppress(PluginError):  # reported once the engine is needed
        for name in sys.argv[1:]:
            ENGINES[name]
    event_loop.run(_main())


if __name__ == "__main__":
    main()
