"""A server that writes down the requests that it gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from grpclab.testing import fake_target


@contextmanager
def scribe() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server whose a.Shop/Buy answers with the request, and the requests in the order in which they
    came."""
    came: list[bytes] = []

    def answer(request: bytes, _: grpc.ServicerContext) -> bytes:
        came.append(request)
        return request

    handler = grpc.method_handlers_generic_handler("a.Shop", {"Buy": grpc.unary_unary_rpc_method_handler(answer)})
    with fake_target(handler, answer=None) as target:
        yield target.address, came
