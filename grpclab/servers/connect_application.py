"""The greeter on connectrpc: the ASGI application that pyvoy runs in an interpreter inside Envoy.

Its order comes in on standard input, which stays open as the lifeline. It says that it is loaded, and, once it has
drained, what it has served.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import queue
import threading
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn

from connectrpc.code import Code
from connectrpc.compat import google_protobuf_codecs
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.server import ConnectASGIApplication, Endpoint
from grpc_health.v1 import health, health_pb2

from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.generated import greet_pb2
from grpclab.servers.greeter import AsyncGreeter, CallCount
from grpclab.system.json_lines import decode
from grpclab.system.subprocesses import die_with_parent, say

SERVICE = "greet.GreeterService"
LOOK_EVERY_S = 0.01
SENT_S = 0.05
"""Envoy takes so long at most to send what it was given."""
ACCEPTED = b"grpc-accept-encoding"


@dataclass(frozen=True, kw_only=True)
class ConnectOrder:
    """The order to serve. `settings` are server factors by dotted name, `reflected` the services that it lists."""

    settings: Mapping[str, Level]
    seed: int
    hold: int
    reflected: tuple[str, ...] = ()

    @property
    def config(self) -> ServerConfig:
        """The server's factors."""
        return TrialConfig().replace(self.settings).server


@dataclass(frozen=True, kw_only=True)
class ConnectLoaded:
    """The answer once it is loaded."""


@dataclass(frozen=True, kw_only=True)
class ConnectServed:
    """The answer once it has drained."""

    calls: int
    high_water: int


@dataclass(frozen=True, kw_only=True)
class ConnectRequest:
    """What it is told after its order: to report NOT_SERVING, or, with `drain_s`, to drain for so long at most."""

    drain_s: float | None = None


class _Context:
    """What the health servicer for grpc.aio asks of its context."""

    async def abort(self, code: Any) -> NoReturn:
        """End the call with a status."""
        raise ConnectError(Code[code.name], "")


class ConnectGreeter(ConnectASGIApplication[AsyncGreeter]):
    """The greeter with health and reflection."""

    def __init__(self, order: ConnectOrder) -> None:
        self._order, self._config, self._count = order, order.config, CallCount()
        self._states = health.aio.HealthServicer()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining, self._inside = False, 0
        asyncio.run(self._states.set(SERVICE, health_pb2.HealthCheckResponse.SERVING))
        greeter = AsyncGreeter(self._config, self._count, seed=order.seed, hold=order.hold)
        # By default it takes messages of up to 4 MiB, as grpcio does; grpclab's servers have no limit.
        super().__init__(service=greeter, endpoints=self._all, read_max_bytes=None, codecs=google_protobuf_codecs())

    @property
    def path(self) -> str:
        """Where it is mounted."""
        return ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._loop = asyncio.get_running_loop()
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        # It compresses with what a client lists first, which is identity for grpcio's clients alone.
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != ACCEPTED]
        counted = scope["path"].startswith(f"/{SERVICE}/")
        self._inside += counted
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._inside -= counted

    def obey(self, lines: queue.SimpleQueue[str]) -> None:
        """Do what the lines say, until there is one to drain."""
        while (drain_s := decode(ConnectRequest, lines.get()).drain_s) is None:
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(self._states.enter_graceful_shutdown(), self._loop)
        self._draining = True
        end = time.monotonic() + drain_s
        while self._inside and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)
        time.sleep(SENT_S)
        say(ConnectServed(calls=self._count.calls, high_water=self._count.high_water))

    def _all(self, greeter: AsyncGreeter) -> dict[str, Any]:
        hello, asked = (
            (greet_pb2.HelloRequest, greet_pb2.HelloResponse),
            (
                health_pb2.HealthCheckRequest,
                health_pb2.HealthCheckResponse,
            ),
        )
        made: dict[str, Any] = {}

        def add(service: str, name: str, kind: str, types: tuple[Any, Any], function: Any) -> None:
            method = MethodInfo(
                name=name,
                service_name=service,
                input=types[0],
                output=types[1],
                idempotency_level=IdempotencyLevel.UNKNOWN,
                stream_type=StreamType[kind.upper()],
            )
            made[f"/{service}/{name}"] = getattr(Endpoint, kind)(method, function)

        async def say_hello(request: Any, _context: Any) -> Any:
            self._refuse_late()
            return await greeter.SayHello(request, None)

        async def say_hello_stream(request: Any, _context: Any) -> AsyncIterator[Any]:
            self._refuse_late()
            async for answer in greeter.SayHelloStream(request, None):
                yield answer

        async def check(request: Any, _context: Any) -> Any:
            context: Any = _Context()
            return await self._states.Check(request, context)

        add(SERVICE, "SayHello", "unary", hello, say_hello)
        add(SERVICE, "SayHelloStream", "server_stream", hello, say_hello_stream)
        add(health.SERVICE_NAME, "Check", "unary", asked, check)
        add(health.SERVICE_NAME, "Watch", "server_stream", asked, self._watch)
        if self._order.reflected:
            from grpc_reflection.v1alpha import reflection, reflection_pb2

            servicer = reflection.aio.ReflectionServicer(self._order.reflected)
            types = (reflection_pb2.ServerReflectionRequest, reflection_pb2.ServerReflectionResponse)
            add(reflection.SERVICE_NAME, "ServerReflectionInfo", "bidi_stream", types, servicer.ServerReflectionInfo)
        return made

    def _refuse_late(self) -> None:
        if self._draining:
            raise ConnectError(Code.UNAVAILABLE, "the server is shutting down")

    async def _watch(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        answers: asyncio.Queue[Any] = asyncio.Queue()
        context: Any = SimpleNamespace(write=answers.put)
        watching = asyncio.create_task(self._states.Watch(request, context))
        try:
            while True:
                yield await answers.get()
        finally:
            watching.cancel()


@functools.cache
def _application() -> ConnectGreeter:
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    die_with_parent(lines.put)
    order = decode(ConnectOrder, lines.get())
    application = ConnectGreeter(order)
    threading.Thread(target=application.obey, args=(lines,), name="orders", daemon=True).start()
    gc.collect()
    gc.freeze()  # as grpclab's other servers do
    say(ConnectLoaded())
    return application


def __getattr__(name: str) -> ConnectGreeter:
    """``app``, which pyvoy asks for: made then, since an import alone must not wait for an order."""
    if name == "app":
        return _application()
    raise AttributeError(name)
