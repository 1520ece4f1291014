"""The greeter: what both servers answer, and the count of the calls inside it.

The two servicers differ only in how they wait; replies, CPU burning, drawn waits and counting are shared. Each call is
counted from the moment its handler starts until it returns, so `high_water` is the number of calls that were
really inside the server at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

from grpclab.factors.config import ServerConfig
from grpclab.factors.service_time import parse_milliseconds
from grpclab.generated import greet_pb2, greet_pb2_grpc

HOLD_TIMEOUT_S = 60.0


class CallCount:
    """Calls so far, inside now, and inside at once at most. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = 0
        self.inside = 0
        self.high_water = 0

    def enter(self) -> int:
        """A call comes in; how many are inside now."""
        with self._lock:
            self.calls += 1
            self.inside += 1
            self.high_water = max(self.high_water, self.inside)
            return self.inside

    def leave(self) -> None:
        """A call goes out."""
        with self._lock:
            self.inside -= 1


def burn_cpu(work_us: float) -> None:
    """Use this much CPU time of this thread, in microseconds; waiting does not count."""
    end = time.thread_time_ns() + round(work_us * 1000)
    while time.thread_time_ns() < end:
        pass


class _Replies:
    """The replies: a greeting, or `response_bytes` of text."""

    def __init__(self, config: ServerConfig, response: Any) -> None:
        self.config, self._response = config, response
        filler = "x" * config.response_bytes
        self._fixed = response(message=filler) if config.response_bytes else None

    def reply(self, request: Any) -> Any:
        if self.config.handler_work_us:
            burn_cpu(self.config.handler_work_us)
        return self._fixed or self._response(message=f"Hello {request.name}!")


class _Waits:
    """The time that each handler waits, in seconds; the same for the same seed. Safe to use from many threads."""

    def __init__(self, config: ServerConfig, seed: int) -> None:
        law = parse_milliseconds(config.handler_wait_ms)
        self._lock = threading.Lock()
        self._draws = law.draws(seed) if law.mean_s else None

    def next_s(self) -> float:
        if self._draws is None:
            return 0.0
        with self._lock:
            return next(self._draws)


class SyncGreeter(greet_pb2_grpc.GreeterServiceServicer):
    """For ``grpc.server``. With `hold` above 1, every call waits inside until that many are in."""

    def __init__(self, config: ServerConfig, count: CallCount, *, seed: int = 1, hold: int = 0) -> None:
        self._replies = _Replies(config, greet_pb2.HelloResponse)
        self._waits = _Waits(config, seed)
        self._count = count
        self._hold = hold
        self._full = threading.Event()

    def _enter(self) -> None:
        inside = self._count.enter()
        if self._hold:
            if inside >= self._hold:
                self._full.set()
            self._full.wait(HOLD_TIMEOUT_S)

    def _wait(self) -> None:
        if wait_s := self._waits.next_s():
            time.sleep(wait_s)

    def SayHello(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self._enter()
        try:
            self._wait()
            return self._replies.reply(request)
        finally:
            self._count.leave()

    def SayHelloStream(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        self._enter()
        try:
            self._wait()
            config = self._replies.config
            for index in range(config.stream_messages):
                if index:
                    time.sleep(config.stream_interval_ms / 1000)
                if not context.is_active():
                    return
                yield self._replies.reply(request)
        finally:
            self._count.leave()


class AsyncGreeter(greet_pb2_grpc.GreeterServiceServicer):
    """For ``grpc.aio.server``; otherwise the same. `response` is the class of its answers."""

    def __init__(
        self,
        config: ServerConfig,
        count: CallCount,
        *,
        seed: int = 1,
        hold: int = 0,
        response: Any = greet_pb2.HelloResponse,
    ) -> None:
        self._replies = _Replies(config, response)
        self._waits = _Waits(config, seed)
        self._count = count
        self._hold = hold
        self._full = asyncio.Event()

    async def _enter(self) -> None:
        inside = self._count.enter()
        if self._hold:
            if inside >= self._hold:
                self._full.set()
            await asyncio.wait_for(self._full.wait(), HOLD_TIMEOUT_S)

    async def _wait(self) -> None:
        if wait_s := self._waits.next_s():
            await asyncio.sleep(wait_s)

    async def SayHello(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        await self._enter()
        try:
            await self._wait()
            return self._replies.reply(request)
        finally:
            self._count.leave()

    async def SayHelloStream(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ARG002, N802
        await self._enter()
        try:
            await self._wait()
            config = self._replies.config
            for index in range(config.stream_messages):
                if index:
                    await asyncio.sleep(config.stream_interval_ms / 1000)
                yield self._replies.reply(request)
        finally:
            self._count.leave()
