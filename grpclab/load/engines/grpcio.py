"""Engine `grpcio`: grpc.aio channels and the generated stub, what a Python client really does and costs."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import grpc
import grpc.aio
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from grpclab.channel_args import client_args
from grpclab.config import TrialConfig
from grpclab.errors import TargetError
from grpclab.generated import greet_pb2, greet_pb2_grpc
from grpclab.http2.headers import RESIDENCE_HEADER
from grpclab.load.calls import GREETER, CallSpec
from grpclab.load.engines import Counters
from grpclab.load.engines.loops import Call, Caller, Clock, OpenLoop
from grpclab.load.gate import Gate
from grpclab.load.reachability import connected
from grpclab.load.recorder import Recorder
from grpclab.load.traffic import Traffic, channelz_pings
from grpclab.pacing import Pacer
from grpclab.status import OK, UNKNOWN


class GrpcioEngine:
    """See :class:`grpclab.load.engines.Engine`. C-core queues calls beyond the peer's stream limit out of sight:
    `counters.held` stays 0."""

    def __init__(
        self,
        config: TrialConfig,
        target: str,
        root_certificates: bytes | None,
        call: CallSpec,
        *,
        residence: bool = False,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.counters = Counters()
        self._config = config
        self._target = target
        self._roots = root_certificates
        self._spec = call
        self._residence = residence
        self._clock = clock
        self._options = client_args(config.client)
        self._channels: list[grpc.aio.Channel] = []
        self._calls: list[Call] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._up = 0
        self._opened = 0
        self._down_since = math.nan
        self._under_way: Callable[[], list[float]] = list
        self._give_up: Callable[[], None] = _nothing

    # ---- connections -------------------------------------------------------------------------------------------

    async def connect(self, timeout_s: float) -> None:
        client = self._config.client
        count = client.connections if client.pooling == "pool" else 1
        channels = [self._channel() for _ in range(count)]
        try:
            await connected(_ready(channels), self._target, timeout_s, tls=self._roots is not None)
        except TargetError:
            await asyncio.gather(*(channel.close() for channel in channels))
            raise
        if client.pooling == "per_call":  # only asked whether someone is there
            self._opened = 1
            await channels[0].close()
            self._calls = [self._fresh_call]
        else:
            self._channels, self._up, self._opened = channels, count, count
            self._calls = [self._kept_call(channel) for channel in channels]
            self._watchers = [asyncio.create_task(self._watch(channel)) for channel in channels]

    async def close(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels))

    def traffic(self) -> Traffic:
        """See :class:`grpclab.load.engines.Engine`; the GOAWAYs stand in C-core's log, which the generator reads."""
        passed = Traffic(connections_opened=self._opened, server_pings=math.nan)
        if self._config.client.pooling != "per_call":  # a connection for one call is gone before it could ping
            # What the package grpcio-channelz is made of.
            passed.client_pings = channelz_pings(
                cygrpc.channelz_get_top_channels, cygrpc.channelz_get_subchannel, cygrpc.channelz_get_socket
            )
        return passed

    def _channel(self) -> grpc.aio.Channel:
        if self._roots is None:
            return grpc.aio.insecure_channel(self._target, options=self._options)
        return grpc.aio.secure_channel(self._target, grpc.ssl_channel_credentials(self._roots), options=self._options)

    async def _watch(self, channel: grpc.aio.Channel) -> None:
        """Count the times that a kept channel loses its connection, and for how long none is up."""
        ready, state = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.READY
        while True:
            await channel.wait_for_state_change(state)
            before, state = state, channel.get_state()
            if before is ready and state is not ready:
                self.counters.connections_lost += 1
                self._up -= 1
                if not self._up:
                    self._down_since = self._clock()
            elif state is ready and before is not ready:
                self._note_outage()
                self._up += 1
                self._opened += 1

    def _note_outage(self) -> None:
        """Add the outage so far, if there is one."""
        if not self._up and self._channels:
            now = self._clock()
            self.counters.outage_s += now - self._down_since
            self._down_since = now

    # ---- windows -----------------------------------------------------------------------------------------------

    async def run(self, gate: Gate, recorder: Recorder, concurrency: int) -> None:
        calls = self._calls
        callers = [Caller(calls[slot % len(calls)], gate, recorder, self._clock) for slot in range(concurrency)]
        tasks = [asyncio.create_task(caller.run()) for caller in callers]

        def give_up() -> None:
            gate.close()
            for task in tasks:
                task.cancel()

        self._under_way = lambda: [caller.began for caller in callers if not math.isnan(caller.began)]
        self._give_up = give_up
        try:
            await asyncio.gather(*tasks)
        finally:
            self._idle()
        self._note_outage()

    async def run_open(
        self, planned: Iterator[float], gate: Gate, recorder: Recorder, pacer: Pacer, max_in_flight: int
    ) -> None:
        loop = OpenLoop(
            self._calls,
            planned,
            gate=gate,
            recorder=recorder,
            pacer=pacer,
            max_in_flight=max_in_flight,
            counters=self.counters,
            clock=self._clock,
        )

        def give_up() -> None:
            gate.close(self._clock())
            loop.give_up()

        self._under_way = lambda: loop.under_way
        self._give_up = give_up
        try:
            await loop.run()
        finally:
            self._idle()
        self._note_outage()

    def under_way(self) -> list[float]:
        """See :class:`grpclab.load.engines.Engine`."""
        return self._under_way()

    def give_up(self) -> None:
        """See :class:`grpclab.load.engines.Engine`."""
        self._give_up()

    def _idle(self) -> None:
        """No window is running."""
        self._under_way = list
        self._give_up = _nothing

    # ---- calls -------------------------------------------------------------------------------------------------

    async def _fresh_call(self, start_s: float, recorder: Recorder) -> tuple[int, float]:
        """A channel for one call; opening and closing it are part of the call."""
        self._opened += 1
        async with self._channel() as channel:
            return await self._kept_call(channel)(start_s, recorder)

    def _kept_call(self, channel: grpc.aio.Channel) -> Call:
        method, request = self._method(channel)
        metadata, deadline_s = self._spec.grpcio_metadata or None, self._config.client.deadline_s
        streaming = self._spec.server_streaming

        async def make(start_s: float, recorder: Recorder) -> tuple[int, float]:
            call = method(request, timeout=deadline_s, metadata=metadata)
            residence_s, status = math.nan, OK
            try:
                if streaming:
                    await self._read(call, start_s, recorder)
                else:
                    await call
                if self._residence:
                    residence_s = _residence(await call.trailing_metadata())
            except grpc.aio.AioRpcError as error:
                status = int(error.code().value[0])
                details = _error_details(error.trailing_metadata())
                recorder.failures.note(status, error.details() or "", start_s, self._clock(), details)
            except (grpc.aio.UsageError, grpc.aio.InternalError) as error:
                status = UNKNOWN
                recorder.failures.note(status, f"grpcio: {error}", start_s, self._clock())
            return status, residence_s

        return make

    def _method(self, channel: grpc.aio.Channel) -> tuple[Any, Any]:
        """What is called and with what: our greeter by its generated stub, anything else as bytes."""
        spec = self._spec
        if spec.path in (f"{GREETER}SayHello", f"{GREETER}SayHelloStream"):
            stub: Any = greet_pb2_grpc.GreeterServiceStub(channel)
            name = spec.path.removeprefix(GREETER)
            return getattr(stub, name), greet_pb2.HelloRequest.FromString(spec.payload)
        shape = channel.unary_stream if spec.server_streaming else channel.unary_unary
        return shape(spec.path), spec.payload

    async def _read(self, call: Any, start_s: float, recorder: Recorder) -> None:
        """All messages of a stream, each with the time since the one before, or since the call was sent."""
        before = self._clock()
        async for _ in call:
            now = self._clock()
            recorder.message(now - before, start_s)
            before = now


def _nothing() -> None:
    """There is no call to give up."""


async def _ready(channels: Iterable[grpc.aio.Channel]) -> None:
    await asyncio.gather(*(channel.channel_ready() for channel in channels))


def _error_details(trailing: Any) -> bytes:
    """The bytes of `grpc-status-details-bin`; none where it is not there."""
    value = (trailing or {}).get("grpc-status-details-bin", b"")
    return value if isinstance(value, bytes) else b""


def _residence(trailing: Any) -> float:
    """Seconds inside the server, as it tells in its trailing metadata; NaN where it does not."""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return int(trailing[RESIDENCE_HEADER]) * 1e-9
    return math.nan
