"""A server, sync or asyncio, in this process: it notes each attempt at a call, and fails those that a test chooses.

Its health service reports what a test sets.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from grpclab.load.calls.method import CallSpec

BUY = CallSpec(path="/a.Shop/Buy", payload=b"\x0a\x03tea")
"""The call that it answers."""
KINDS = ("sync", "asyncio")
STATES = {
    True: health_pb2.HealthCheckResponse.SERVING,
    False: health_pb2.HealthCheckResponse.NOT_SERVING,
}

Decide = Callable[[int, int], grpc.StatusCode]
"""What becomes of an attempt, given how many came before it, and how many of the same call."""


@dataclass
class FailingServer:
    """A running server. `attempts`: for each that arrived, how many of the same call came before it."""

    address: str
    decide: Decide
    report: Callable[[bool], None] = lambda _: None
    """Have its health service report SERVING, or NOT_SERVING."""
    attempts: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def outcome(self, context: Any) -> grpc.StatusCode:
        """Note an attempt; return what becomes of it."""
        before = int(dict(context.invocation_metadata()).get("grpc-previous-rpc-attempts", 0))
        with self._lock:
            self.attempts.append(before)
            return self.decide(len(self.attempts) - 1, before)


@contextlib.contextmanager
def failing_server(
    kind: str, decide: Decide = lambda _, __: grpc.StatusCode.OK, *, address: str = "127.0.0.1:0"
) -> Iterator[FailingServer]:
    """Serve on loopback until the block is left."""
    server = FailingServer(address=address, decide=decide)
    with _sync(server) if kind == "sync" else _asyncio(server) as port:
        server.address = f"{address.partition(':')[0]}:{port}"
        yield server


def _handlers(answer: Any) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler("a.Shop", {"Buy": grpc.unary_unary_rpc_method_handler(answer)})


@contextlib.contextmanager
def _sync(server: FailingServer) -> Iterator[int]:
    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        if (code := server.outcome(context)) is not grpc.StatusCode.OK:
            context.abort(code, "as asked")
        return request

    running, state = grpc.server(ThreadPoolExecutor(16), handlers=[_handlers(answer)]), health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, running)
    server.report = lambda serving: state.set("", STATES[serving])
    server.report(True)
    port = running.add_insecure_port(server.address)
    running.start()
    try:
        yield port
    finally:
        running.stop(None).wait()


@contextlib.contextmanager
def _asyncio(server: FailingServer) -> Iterator[int]:
    async def answer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        if (code := server.outcome(context)) is not grpc.StatusCode.OK:
            await context.abort(code, "as asked")
        return request

    loop, over, state = asyncio.new_event_loop(), asyncio.Event(), health.aio.HealthServicer()

    def report(serving: bool) -> None:
        asyncio.run_coroutine_threadsafe(state.set("", STATES[serving]), loop).result(60)

    server.report = report

    async def start() -> tuple[grpc.aio.Server, int]:
        running = grpc.aio.server(handlers=[_handlers(answer)])
        health_pb2_grpc.add_HealthServicer_to_server(state, running)
        await state.set("", STATES[True])
        port = running.add_insecure_port(server.address)
        await running.start()
        return running, port

    async def stop(running: grpc.aio.Server) -> None:
        await running.stop(None)
        over.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(over.wait()))
    thread.start()
    running, port = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(stop(running), loop).result(60)
        thread.join()
        loop.close()
