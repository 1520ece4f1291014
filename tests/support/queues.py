"""An open loop in virtual time, and a server that takes one call after the other."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder, Records
from grpclab.load.engines.engine import Counters
from grpclab.load.engines.loops import CallFunction, OpenLoop
from grpclab.status import OK
from grpclab.testing.virtual import VirtualLoop, pacer


class Queue:
    """A server that takes one call after the other; call k takes ``service_s[k]``, the last value for all that follow.

    It does nothing from `stall_at` on for `stall_s`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service_s: Iterable[float],
        *,
        stall_at: float = math.inf,
        stall_s: float = 0,
    ) -> None:
        self._loop = loop
        self._service = list(service_s)
        self._stall = (stall_at, stall_at + stall_s)
        self._free_at = 0.0
        self.calls = self.inside = self.high_water = 0

    async def __call__(self, start_s: float, recorder: Recorder) -> tuple[int, float]:  # noqa: ARG002
        service_s = self._service[min(self.calls, len(self._service) - 1)]
        self.calls += 1
        self.inside += 1
        self.high_water = max(self.high_water, self.inside)
        begins = max(self._free_at, self._loop.time())
        if self._stall[0] <= begins < self._stall[1]:
            begins = self._stall[1]
        self._free_at = begins + service_s
        await asyncio.sleep(self._free_at - self._loop.time())
        self.inside -= 1
        return OK, service_s


def evenly(every_s: float, *, first: float = 0.0) -> Iterator[float]:
    return (first + number * every_s for number in itertools.count())


async def send(
    loop: VirtualLoop,
    path: Path,
    call: CallFunction,
    planned: Iterator[float],
    gate: Gate,
    *,
    max_in_flight: int = 10_000,
    counters: Counters | None = None,
) -> Records:
    """An open loop to its end, and what was recorded."""
    with contextlib.closing(Recorder(path, residence=True)) as recorder:
        await OpenLoop(
            [call],
            planned,
            gate=gate,
            recorder=recorder,
            pacer=pacer(loop),
            max_in_flight=max_in_flight,
            counters=counters or Counters(),
            clock=loop.time,
        ).run()
    return Records.load(path, residence=True)
