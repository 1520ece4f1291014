"""The greeter on grpclib, a server of asyncio in pure Python: with health, reflection, TLS, and a drain of our own.

Health and reflection are those of grpcio: grpclib's own define the same messages in other files, and protobuf takes
only one of them in a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Sequence
from typing import Any, NoReturn

import grpclib.const
import grpclib.exceptions
import grpclib.server
from grpc_health.v1 import health, health_pb2

from grpclab.errors import ServerError
from grpclab.factors.config import ServerConfig
from grpclab.generated import greet_pb2
from grpclab.servers.greeter import AsyncGreeter, CallCount

SERVICE = "greet.GreeterService"
LOOK_EVERY_S = 0.01
BACKLOG = 4096


class _AdaptedContext:
    """What a servicer for grpc.aio asks of its context, as far as those here do."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def abort(self, code: Any) -> NoReturn:
        """End the call with a status."""
        raise grpclib.exceptions.GRPCError(grpclib.const.Status(code.value[0]))

    async def write(self, message: Any) -> None:
        """Send a message."""
        await self._stream.send_message(message)


class AdaptedServices:
    """Servicers for grpc.aio as grpclib calls them. New calls are refused while it is `draining`."""

    def __init__(
        self,
        greeter: AsyncGreeter,
        states: health.aio.HealthServicer,
        *,
        hello: tuple[Any, Any],
        reflected: Sequence[str],
    ) -> None:
        self.draining = False
        kinds = grpclib.const.Cardinality
        asked = (health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse)
        self._handlers = {
            f"/{SERVICE}/SayHello": (self._one(greeter.SayHello), kinds.UNARY_UNARY, *hello),
            f"/{SERVICE}/SayHelloStream": (self._many(greeter.SayHelloStream), kinds.UNARY_STREAM, *hello),
            f"/{health.SERVICE_NAME}/Check": (self._one(states.Check), kinds.UNARY_UNARY, *asked),
            f"/{health.SERVICE_NAME}/Watch": (self._writing(states.Watch), kinds.UNARY_STREAM, *asked),
        }
        if reflected:
            from grpc_reflection.v1alpha import reflection, reflection_pb2

            servicer = reflection.aio.ReflectionServicer(reflected)
            self._handlers[f"/{reflection.SERVICE_NAME}/ServerReflectionInfo"] = (
                self._conversing(servicer.ServerReflectionInfo),
                kinds.STREAM_STREAM,
                reflection_pb2.ServerReflectionRequest,
                reflection_pb2.ServerReflectionResponse,
            )

    def __mapping__(self) -> dict[str, Any]:
        return {path: grpclib.const.Handler(*parts) for path, parts in self._handlers.items()}

    def _refuse_late(self) -> None:
        if self.draining:
            raise grpclib.exceptions.GRPCError(grpclib.const.Status.UNAVAILABLE, "the server is shutting down")

    def _one(self, method: Any) -> Any:
        async def answer(stream: Any) -> None:
            self._refuse_late()
            await stream.send_message(await method(await stream.recv_message(), _AdaptedContext(stream)))

        return answer

    def _many(self, method: Any) -> Any:
        async def answer(stream: Any) -> None:
            self._refuse_late()
            async with contextlib.aclosing(method(await stream.recv_message(), None)) as answers:
                async for message in answers:
                    await stream.send_message(message)

        return answer

    def _writing(self, method: Any) -> Any:
        async def answer(stream: Any) -> None:
            self._refuse_late()
            await method(await stream.recv_message(), _AdaptedContext(stream))

        return answer

    def _conversing(self, method: Any) -> Any:
        async def answer(stream: Any) -> None:
            async for message in method(stream, None):
                await stream.send_message(message)

        return answer


class GrpclibServer:
    """A server that is bound, used like a ``grpc.aio.server``."""

    def __init__(
        self,
        server: Any,
        services: AdaptedServices,
        count: CallCount,
        listener: socket.socket,
        context: ssl.SSLContext | None,
    ) -> None:
        self._server, self._services, self._count = server, services, count
        self._listener, self._context = listener, context

    async def start(self) -> None:
        """Accept connections."""
        await self._server.start(sock=self._listener, ssl=self._context, backlog=BACKLOG)

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, and end those inside after so long at the latest: ``close()`` alone cancels them."""
        self._services.draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._count.inside:
                    await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.sleep(LOOK_EVERY_S)  # the last answers are sent after their handlers
        self._server.close()


async def bound(
    config: ServerConfig,
    address: str,
    count: CallCount,
    *,
    seed: int,
    hold: int,
    context: ssl.SSLContext | None,
    reflected: Sequence[str],
) -> tuple[GrpclibServer, health.aio.HealthServicer, int]:
    """A bound, not yet started server; its health (SERVING); its port. `reflected` are the services that it lists.

    Raises ServerError where the address is taken.
    """
    states = health.aio.HealthServicer()
    for name in ("", SERVICE):
        await states.set(name, health_pb2.HealthCheckResponse.SERVING)
    hello = _messages(config)
    greeter = AsyncGreeter(config, count, seed=seed, hold=hold, response=hello[1])
    services = AdaptedServices(greeter, states, hello=hello, reflected=reflected)
    server = grpclib.server.Server([services])
    listener = _listener(address, shared=config.processes != 1)
    made = GrpclibServer(server, services, count=count, listener=listener, context=context)
    return made, states, int(listener.getsockname()[1])


def _messages(config: ServerConfig) -> tuple[Any, Any]:
    """The classes of the greeter's requests and answers. Raises ImportError without betterproto2."""
    if config.implementation == "betterproto2":
        from grpclab.servers.betterproto2_messages import HelloRequest, HelloResponse

        return HelloRequest, HelloResponse
    return greet_pb2.HelloRequest, greet_pb2.HelloResponse


def _listener(address: str, *, shared: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=BACKLOG, reuse_port=shared)
    except OSError as error:
        raise ServerError(f"cannot listen on {address}: {error.strerror}") from None
