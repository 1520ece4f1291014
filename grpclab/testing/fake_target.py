"""A gRPC server in this process, without a process of its own: it answers every call, on a free port."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from grpclab.factors.channel_args import MAX_PENDING_REQUESTS, PENDING
from grpclab.servers.build import SERVICE
from grpclab.servers.process.serving import address

STOP_S = 5.0
"""The longest wait for the calls inside when the server is stopped."""


@dataclass(frozen=True, kw_only=True)
class ReceivedCall:
    """A call that was received: ``/package.Service/Method``, its metadata, and its messages as bytes."""

    method: str
    metadata: tuple[tuple[str, str | bytes], ...]
    messages: tuple[bytes, ...]


@dataclass(kw_only=True)
class FakeTarget:
    """A running server. `calls` are the calls that it has answered itself, in the order in which they arrived."""

    port: int
    calls: list[ReceivedCall] = field(default_factory=list)

    @property
    def address(self) -> str:
        """The address to load: ``127.0.0.1:PORT``."""
        return address("127.0.0.1", self.port)


@dataclass(frozen=True, kw_only=True)
class _Everything(grpc.GenericRpcHandler):
    """Every method, streaming or not, answered with one message; but gRPC's own services are not made up."""

    answer: bytes
    latency_s: float
    status: grpc.StatusCode
    text: str
    note: Callable[[ReceivedCall], None]
    over: threading.Event

    def service(self, details: Any) -> Any:
        """The handler of a method: a stream of one message, which is how a single answer is sent as well."""
        if details.method.startswith("/grpc."):
            return None

        def handle(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            metadata = tuple((key, value) for key, value in details.invocation_metadata)
            self.note(ReceivedCall(method=details.method, metadata=metadata, messages=tuple(requests)))
            if self.latency_s:
                self.over.wait(self.latency_s)
            if self.status is not grpc.StatusCode.OK:
                context.abort(self.status, self.text)
            yield self.answer

        return grpc.stream_stream_rpc_method_handler(handle)


@contextlib.contextmanager
def fake_target(
    *handlers: grpc.GenericRpcHandler,
    answer: bytes | None = b"",
    latency_s: float = 0.0,
    status: str = "OK",
    text: str = "",
    services: Sequence[str] = (SERVICE,),
    threads: int = 64,
    options: Sequence[tuple[str, Any]] = (),
    credentials: grpc.ServerCredentials | None = None,
) -> Iterator[FakeTarget]:
    """Serve on loopback until the block is left.

    Example::

        with fake_target(latency_s=0.01) as target:
            result = await grpclab.bench(target.address, requests=100)
        assert len(target.calls) == 100

    Every call is answered after `latency_s` with one message, `answer` (an empty message is valid for every type), or
    fails with `status`, the name of a gRPC status, and `text`. At most `threads` calls are handled at the same time.
    The others wait; grpcio's own default is to cancel some of them once 1000 wait.

    `handlers` take precedence: they answer the calls that a test cares about. If `answer` is None, all other calls are
    unimplemented. Reflection lists `services`, whose descriptors must be in the default pool; importing their generated
    code puts them there. The health status of the server is SERVING. Without `services`, there is neither reflection
    nor a health service. With `credentials`, the server uses TLS.

    The server shares this process's CPU with the test, so it is suitable for testing behaviour, but not for figures.
    """
    over = threading.Event()
    args = dict.fromkeys(PENDING, MAX_PENDING_REQUESTS) | dict(options)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="fake target")
    server = grpc.server(pool, options=list(args.items()))
    where = address("127.0.0.1", 0)
    target = FakeTarget(
        port=server.add_insecure_port(where) if credentials is None else server.add_secure_port(where, credentials)
    )
    server.add_generic_rpc_handlers(handlers)
    if services:
        state = health.HealthServicer()
        state.set("", health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(state, server)
        reflection.enable_server_reflection([*services, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    if answer is not None:
        everything = _Everything(
            answer=answer,
            latency_s=latency_s,
            status=grpc.StatusCode[status],
            text=text,
            note=target.calls.append,
            over=over,
        )
        server.add_generic_rpc_handlers((everything,))
    server.start()
    try:
        yield target
    finally:
        stopped = server.stop(None)  # ends the calls inside, before one of them can still be answered
        over.set()
        stopped.wait(STOP_S)
