"""A service with several methods of several kinds, which writes down every call that it gets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from grpclab.testing import fake_target

PROTO = """
syntax = "proto3";
package a;
message Order { int32 id = 1; }
message Bill { int32 id = 1; }
service Shop {
  rpc Buy(Order) returns (Bill);
  rpc Look(Order) returns (Bill);
  rpc Watch(Order) returns (stream Bill);
  rpc Fail(Order) returns (Bill);
}
"""
MESSAGES = 3
"""Messages of the answer to Watch."""


@dataclass(frozen=True)
class Came:
    """A call as the server has seen it: its method without the service, its message, and its own metadata."""

    method: str
    request: bytes
    metadata: tuple[tuple[str, str | bytes], ...]


@dataclass
class BusyShop:
    """A running server, and the calls in the order in which they came."""

    address: str = ""
    came: list[Came] = field(default_factory=list)

    def count(self, method: str) -> int:
        """The calls of one method."""
        return sum(call.method == method for call in self.came)


@contextmanager
def busy_shop() -> Iterator[BusyShop]:
    """Serve a.Shop: Buy and Look answer with the request, Watch does so three times, Fail is INVALID_ARGUMENT."""
    shop, lock = BusyShop(), threading.Lock()

    def note(method: str, request: bytes, context: grpc.ServicerContext) -> None:
        metadata = tuple(pair for pair in context.invocation_metadata() if pair[0].startswith("x-"))
        with lock:
            shop.came.append(Came(method, request, tuple((key, value) for key, value in metadata)))

    def one(method: str) -> Any:
        def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
            note(method, request, context)
            if method == "Fail":
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such order")
            return request

        return grpc.unary_unary_rpc_method_handler(answer)

    def watch(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        note("Watch", request, context)
        yield from [request] * MESSAGES

    methods = {name: one(name) for name in ("Buy", "Look", "Fail")}
    methods["Watch"] = grpc.unary_stream_rpc_method_handler(watch)
    with fake_target(grpc.method_handlers_generic_handler("a.Shop", methods), answer=None) as target:
        shop.address = target.address
        yield shop
