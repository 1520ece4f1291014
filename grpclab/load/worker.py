"""A generator process: one engine on one event loop, told what to do in JSON lines.

``python -m grpclab.load.worker [ENGINE]`` loads that engine while it waits, and reads, on standard input (also its
lifeline):

1. its configuration: ``settings``, ``target``, ``roots`` (PEM text or null), ``call``, ``residence``, ``spin``
   (whether an open loop may keep a core busy between sends), ``worker`` of ``workers``, ``seed``,
   ``connect_timeout_s``; answers
   ``{"ready": true}`` or ``{"error": text, "kind": "target"}``, or kind "plugin";
2. any number of windows: ``starts_at``, ``opens_at`` (perf_counter, seconds), ``closes_at`` or null, ``requests``
   or null, ``drain_s`` (how long calls may go on after ``closes_at``), ``rate_rps`` of all workers together (null: a
   closed loop), ``record`` (a file for the records, or null), ``progress`` (whether to report while it runs),
   ``watch_s`` (the limits of latency that are watched meanwhile).
   Answers, when all calls are over, with the CPU time ``cpu_s``, of which ``spin_s`` was spinning, the length
   ``busy_s`` it was used in, the CPU time of the event loop's thread ``loop_s`` and ``waited_s``, for how long that
   could have run and had no core, ``admitted``, ``unsent`` (calls that were due and never sent), ``still_s`` (for how
   long the event loop stood still), and the engine's counters, all since the window opened, the ``failures`` (see
   :mod:`grpclab.load.core.failures`) and ``encodings`` of the window's calls, and the ``traffic`` beside calls since it
   connected. ``{"close": moment, "drain_s": seconds}`` in between ends the running window, and after that time the
   calls under way.
   ``{"progress": ...}`` come before the answer; ``{"error": text, "kind": "storage"}`` may come instead of it.

No call is made before ``starts_at``, the moment that all workers have in common; between it and ``opens_at`` lies
the warm-up. The schedule of an open loop begins there.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import json
import math
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from grpclab.errors import PluginError, StorageError, TargetError, UsageError
from grpclab.factors.config import TrialConfig
from grpclab.factors.registries import ENGINES
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.arrivals import planned
from grpclab.load.core.bounds import NO_DEADLINE_S
from grpclab.load.core.failures import FailureLog
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.core.running import BEAT_S, Heartbeat, Tally
from grpclab.load.core.summary import percentile
from grpclab.load.engines.engine import Engine, EngineFactory
from grpclab.metrics import PERCENTILES
from grpclab.system import ulimits
from grpclab.system.accounting import thread_waited_seconds
from grpclab.system.pacing import Pacer
from grpclab.system.subprocesses import die_with_parent, say

PROGRESS_EVERY_S = 0.25
WATCH_EVERY_S = 0.1
"""The same where thresholds are watched."""
PROGRESS_CALLS = 1000
"""A running p99 is that of the last so many calls at least; fewer do not carry one."""

GIVE_UP_S = 8.0
"""So long an engine may take to end the calls that were given up."""

Message = dict[str, Any]
Commands = asyncio.Queue[Message]


async def _work(commands: Commands) -> None:
    setup = await commands.get()
    config = TrialConfig().replace(setup["settings"])
    roots = setup["roots"]
    try:
        create: EngineFactory = ENGINES[config.load.engine]
        engine = create(
            config,
            setup["target"],
            roots.encode() if roots else None,
            CallSpec.from_json(setup["call"]),
            residence=setup["residence"],
        )
        await engine.connect(setup["connect_timeout_s"])
    except (TargetError, UsageError) as error:  # UsageError: a target that is not on this machine, after all
        say(error=str(error), kind="target")
        return
    except PluginError as error:
        say(error=str(error), kind="plugin")
        return
    say(ready=True)
    gc.collect()
    gc.freeze()
    worker = _Worker(engine, config, setup, commands)
    while True:
        command = await commands.get()
        if "opens_at" in command:
            try:
                await worker.window(command)
            except StorageError as error:
                say(error=str(error), kind="storage")


class _Worker:
    """A connected engine and what it was set up for."""

    def __init__(self, engine: Engine, config: TrialConfig, setup: Message, commands: Commands) -> None:
        self._engine = engine
        self._config = config
        self._setup = setup
        self._commands = commands

    async def window(self, command: Message) -> None:
        """One window, and its answer."""
        gate = Gate(opens_at=command["opens_at"], closes_at=command["closes_at"], requests=command["requests"])
        record = Path(command["record"]) if command["record"] else None
        failures = FailureLog(opens_at=gate.opens_at)
        tally = Tally(opens_at=gate.opens_at, limits_s=command["watch_s"])
        recorder = Recorder(record, residence=self._setup["residence"], failures=failures, tally=tally)
        heartbeat = Heartbeat(opens_at=gate.opens_at, closes_at=gate.closes_at or math.inf)
        pacer = Pacer(asyncio.get_running_loop(), spin=self._setup["spin"])
        counters = self._engine.counters
        counters.reset()
        running = asyncio.create_task(self._load(command, gate, recorder, pacer))
        async with _beside(self._end_in_time(gate, command["drain_s"], running)), _beside(_beat(heartbeat)):
            # The window's own share of a core: from its opening (the warm-up left out) to the end of its last call.
            await _until(gate.opens_at, running)
            opening = _Reading.take(recorder, pacer)
            if command["opens_at"] > command["starts_at"]:  # else what is counted so far is the window's own
                counters.reset()
            async with _beside(self._watch(recorder, gate, opening, tell=command["progress"])):
                await asyncio.wait([running])
        if not running.cancelled():
            running.result()
        end = _Reading.take(recorder, pacer)
        pacer.close()
        recorder.close()
        say(
            cpu_s=end.cpu_s - opening.cpu_s,
            spin_s=end.spin_s - opening.spin_s,
            busy_s=end.at_s - opening.at_s,
            loop_s=end.loop_s - opening.loop_s,
            waited_s=end.waited_s - opening.waited_s,
            admitted=gate.admitted,
            unsent=recorder.unsent,
            still_s=heartbeat.still_s,
            traffic=self._engine.traffic().to_json(),
            encodings=recorder.encodings,
            failures=failures.to_json(),
            **dataclasses.asdict(counters),
        )

    async def _load(self, command: Message, gate: Gate, recorder: Recorder, pacer: Pacer) -> None:
        load, setup = self._config.load, self._setup
        if command["rate_rps"] is None:
            while (early_s := command["starts_at"] - time.perf_counter()) > 0:  # a timer may fire a little early
                await asyncio.sleep(early_s)
            await self._engine.run(gate, recorder, load.concurrency)
            return
        due = planned(
            command["rate_rps"],
            load.arrival,
            starts_at=command["starts_at"],
            seed=setup["seed"],
            worker=setup["worker"],
            workers=setup["workers"],
        )
        await self._engine.run_open(due, gate, recorder, pacer, load.max_in_flight)

    async def _end_in_time(self, gate: Gate, drain_s: float, running: asyncio.Task[None]) -> None:
        """Give the calls up that are still under way so long after the end of the window, which a command may bring."""
        clock = time.perf_counter
        give_up_at = math.inf if gate.closes_at is None else gate.closes_at + drain_s
        while (left_s := give_up_at - clock()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s if left_s < math.inf else None):
                    if (command := await self._commands.get()).get("close"):
                        gate.close(command["close"])
                        give_up_at = min(give_up_at, clock() + command["drain_s"])
        self._engine.give_up()
        await asyncio.wait([running], timeout=GIVE_UP_S)
        running.cancel()

    async def _watch(self, recorder: Recorder, gate: Gate, opened: _Reading, *, tell: bool) -> None:
        """Report now and then how the window goes; end it when its records cannot be written, or nothing ends it."""
        told, ended_at = opened.calls, opened.at_s
        watched = bool(recorder.tally.limits_s)
        endless = gate.closes_at is None and self._config.client.deadline_s is None
        while True:
            await asyncio.sleep(WATCH_EVERY_S if watched else PROGRESS_EVERY_S)
            now, calls = time.perf_counter(), recorder.calls
            if recorder.failure:
                gate.close()
            if calls != told:
                ended_at = now
            if endless and now - ended_at > NO_DEADLINE_S:
                self._engine.give_up()
            if tell:
                lately = min(max(calls - told, PROGRESS_CALLS), calls - opened.calls)
                report = {
                    "calls": calls - opened.calls,
                    "errors": recorder.errors - opened.errors,
                    "latency_p99_s": percentile(recorder.recent(lately), PERCENTILES["p99"]),
                    "over": gate.closed or (gate.closes_at is not None and now >= gate.closes_at),
                }
                say(progress=report | recorder.running().report(self._engine.under_way(), now))
            told = calls


async def _beat(heartbeat: Heartbeat) -> None:
    """Let it beat for as long as it is let."""
    while True:
        heartbeat.beat(time.perf_counter(), time.thread_time())
        await asyncio.sleep(BEAT_S)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reading:
    """What had been used and done at a moment."""

    at_s: float
    cpu_s: float
    spin_s: float
    loop_s: float
    waited_s: float
    calls: int
    errors: int

    @classmethod
    def take(cls, recorder: Recorder, pacer: Pacer) -> _Reading:
        return cls(
            at_s=time.perf_counter(),
            cpu_s=time.process_time(),
            spin_s=pacer.spin_s,
            loop_s=time.thread_time(),
            waited_s=thread_waited_seconds(),
            calls=recorder.calls,
            errors=recorder.errors,
        )


async def _until(moment: float, running: asyncio.Task[None]) -> None:
    """Wait for a moment, or for the end of what is running."""
    waiting = asyncio.create_task(asyncio.sleep(max(0.0, moment - time.perf_counter())))
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do that as well while the block runs; it ends with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _main() -> None:
    loop = asyncio.get_running_loop()
    commands: Commands = asyncio.Queue()

    def on_line(line: str) -> None:
        loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))

    die_with_parent(on_line)
    await _work(commands)


def main() -> None:
    """See the module's docstring."""
    ulimits.raise_open_files()
    with contextlib.suppress(PluginError):  # said when it is asked for
        for name in sys.argv[1:]:
            ENGINES[name]
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main())
    else:
        uvloop.run(_main())


if __name__ == "__main__":
    main()
