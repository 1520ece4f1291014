"""The resources that a worker has used up to a moment, and what it does beside a load."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import math
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from grpclab.load.core.recorder import Recorder
from grpclab.load.core.running import BEAT_S, Heartbeat
from grpclab.load.core.traffic import Traffic
from grpclab.load.engines.engine import Engine
from grpclab.load.worker_messages import Connect
from grpclab.system.accounting import thread_waited_seconds
from grpclab.system.listeners import bytes_carried
from grpclab.system.pacing import Pacer

GIVE_UP_S = 8.0
"""The time in which an engine has to end the calls that were given up."""


async def beat(heartbeat: Heartbeat) -> None:
    """Let the heart beat until this is cancelled, and once then: a stop may last to the end of the load."""
    try:
        while True:
            heartbeat.beat(time.perf_counter(), time.thread_time())
            await asyncio.sleep(BEAT_S)
    finally:
        heartbeat.beat(time.perf_counter(), time.thread_time())


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondsUsed:
    """The resources used between two moments, named as in :class:`grpclab.load.worker_messages.WindowEnded`."""

    cpu_s: float = 0.0
    spin_s: float = 0.0
    busy_s: float = 0.0
    loop_s: float = 0.0
    waited_s: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerUsage:
    """The resources used, and the calls made, up to a moment."""

    at_s: float
    cpu_s: float
    spin_s: float
    loop_s: float
    waited_s: float
    calls: int
    errors: int

    @classmethod
    def take(cls, recorder: Recorder, pacer: Pacer) -> WorkerUsage:
        return cls(
            at_s=time.perf_counter(),
            cpu_s=time.process_time(),
            spin_s=pacer.spin_s,
            loop_s=time.thread_time(),
            waited_s=thread_waited_seconds(),
            calls=recorder.calls,
            errors=recorder.errors,
        )

    def since(self, earlier: WorkerUsage) -> SecondsUsed:
        """Return what was used from an earlier moment to this one."""
        return SecondsUsed(
            cpu_s=self.cpu_s - earlier.cpu_s,
            spin_s=self.spin_s - earlier.spin_s,
            busy_s=self.at_s - earlier.at_s,
            loop_s=self.loop_s - earlier.loop_s,
            waited_s=self.waited_s - earlier.waited_s,
        )


def traffic_of(engine: Engine, setup: Connect) -> Traffic:
    """Return the traffic of the engine since it connected, with the bytes; NaN where a connection has been closed."""
    traffic = engine.traffic()
    connections, sent, received = bytes_carried(setup.target, setup.security.remote)
    known = connections == traffic.connections_opened
    carried = (float(sent), float(received)) if known else (math.nan, math.nan)
    return dataclasses.replace(traffic, bytes_sent=carried[0], bytes_received=carried[1])


async def until(moment: float, running: asyncio.Task[None]) -> None:
    """Wait for a moment, or for the end of what is running."""
    waiting = asyncio.create_task(asyncio.sleep(max(0.0, moment - time.perf_counter())))
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do the work while the block runs; it ends with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
