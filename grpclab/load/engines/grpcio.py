"""Engine `grpcio`: grpc.aio channels and the generated stub, what a Python client really does and costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from grpclab.channel_args import client_args
from grpclab.config import TrialConfig
from grpclab.errors import TargetError
from grpclab.generated import greet_pb2, greet_pb2_grpc
from grpclab.load.gate import Gate
from grpclab.load.recorder import Recorder
from grpclab.status import OK, UNKNOWN

DEFAULT_NAME = "world"

Call = Callable[[], Awaitable[None]]


class GrpcioEngine:
    """See :class:`grpclab.load.engines.Engine`."""

    def __init__(self, config: TrialConfig, target: str, root_certificates: bytes | None = None) -> None:
        self._config = config
        self._target = target
        self._roots = root_certificates
        self._options = client_args(config.client)
        self._request = greet_pb2.HelloRequest(name="x" * config.load.request_bytes or DEFAULT_NAME)
        self._channels: list[grpc.aio.Channel] = []
        self._calls: list[Call] = []

    async def connect(self, timeout_s: float) -> None:
        client = self._config.client
        per_call = client.pooling == "per_call"
        count = client.connections if client.pooling == "pool" else 1
        channels = [self._channel() for _ in range(count)]
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(channel.channel_ready() for channel in channels))
        except TimeoutError:
            await asyncio.gather(*(channel.close() for channel in channels))
            raise TargetError(
                f"nothing answers at {self._target} within {timeout_s:g} s: start a server there"
                " (`grpclab serve optimized`), or name another target"
            ) from None
        if per_call:  # only asked whether someone is there
            await channels[0].close()
            self._calls = [self._fresh_call]
        else:
            self._channels = channels
            self._calls = [self._kept_call(channel) for channel in channels]

    def _channel(self) -> grpc.aio.Channel:
        if self._roots is None:
            return grpc.aio.insecure_channel(self._target, options=self._options)
        return grpc.aio.secure_channel(self._target, grpc.ssl_channel_credentials(self._roots), options=self._options)

    def _kept_call(self, channel: grpc.aio.Channel) -> Call:
        stub: Any = greet_pb2_grpc.GreeterServiceStub(channel)
        request, deadline = self._request, self._config.client.deadline_s
        if self._config.load.method == "SayHello":
            say_hello = stub.SayHello

            async def unary() -> None:
                await say_hello(request, timeout=deadline)

            return unary

        async def stream() -> None:
            async for _ in stub.SayHelloStream(request, timeout=deadline):
                pass

        return stream

    async def _fresh_call(self) -> None:
        async with self._channel() as channel:
            await self._kept_call(channel)()

    async def run(self, gate: Gate, recorder: Recorder, concurrency: int) -> None:
        calls = self._calls
        await asyncio.gather(*(_caller(calls[slot % len(calls)], gate, recorder) for slot in range(concurrency)))

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))


async def _caller(call: Call, gate: Gate, recorder: Recorder) -> None:
    """One call after the other. A per-call channel's opening and closing are part of its call."""
    clock = time.perf_counter
    start = clock()
    while gate.admit(start):
        try:
            await call()
            status = OK
        except grpc.aio.AioRpcError as error:
            status = int(error.code().value[0])
        except (grpc.aio.UsageError, grpc.aio.InternalError):
            status = UNKNOWN
        end = clock()
        recorder.record(start, end, status)
        start = clock()
