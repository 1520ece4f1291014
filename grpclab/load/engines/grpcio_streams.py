"""Streams of engine `grpcio`: what the client does in a call after its start, in a task beside the one that reads."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc.aio

from grpclab.load.core.stream_plan import ClientSide, StreamPlan
from grpclab.load.engines.loops import Clock

_OVER = (asyncio.InvalidStateError, grpc.aio.AioRpcError, grpc.aio.UsageError, grpc.aio.InternalError)
"""What grpc.aio raises for a message that is written to a call which is over: its status says why."""


class GrpcioStream:
    """One stream: sends its messages when they are due, and ends it as planned."""

    def __init__(self, plan: StreamPlan, messages: Sequence[bytes], clock: Clock) -> None:
        self._plan, self._clock = plan, clock
        self._side = ClientSide(plan, messages, clock())
        self.sends = plan.sends
        """The client streams."""
        self._received = 0
        self._changed = asyncio.Event()
        """Something else may be due than was before."""
        self.sent = 0
        """Messages that the client has sent."""
        self.last_sent_at = math.nan
        """The moment at which it handed over the last of them."""
        self.ended_by_client = False
        """The client has cancelled the call, as planned."""

    @contextlib.asynccontextmanager
    async def beside(self, call: Any) -> AsyncIterator[None]:
        """Do the client's part in a call while the block reads it."""
        loop, tasks = asyncio.get_running_loop(), list[asyncio.Task[None]]()
        limit_s = self._plan.duration_s
        ending = None if limit_s is None else loop.call_later(limit_s, self._time_over, call)
        if self.sends:
            tasks.append(loop.create_task(self._send(call)))
        try:
            yield
        finally:
            if ending is not None:
                ending.cancel()
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome

    def answered(self, call: Any, now: float) -> None:
        """Note a message that has come; the next one may be due, or it was the last that was wanted."""
        self._received += 1
        if self._received == self._plan.receives_at_most:
            self._cancel(call)
        elif self._plan.ping_pong:
            self._side.answered(now)
            self._changed.set()

    def _time_over(self, call: Any) -> None:
        """End the stream, or the client's side of it."""
        if self._plan.cancels:
            self._cancel(call)
        else:
            self._side.close()
            self._changed.set()

    def _cancel(self, call: Any) -> None:
        self.ended_by_client = bool(call.cancel())  # a call that is over is not cancelled

    async def _send(self, call: Any) -> None:
        side = self._side
        with contextlib.suppress(*_OVER):
            while not side.over:
                wait_s = side.due_s - self._clock()
                if wait_s > 0:
                    await self._pause(wait_s)
                    continue
                message = side.take()
                self.last_sent_at = self._clock()
                await call.write(message)
                self.sent += 1
            await call.done_writing()

    async def _pause(self, seconds: float) -> None:
        """Wait for so long, or until something else is due."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == math.inf else seconds):
                await self._changed.wait()
        self._changed.clear()
