"""Calls of the greeter by grpcio."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc

from grpclab.generated import greet_pb2, greet_pb2_grpc
from grpclab.system.channels import open_channel
from grpclab.system.transport import PLAINTEXT, Security


@contextlib.contextmanager
def channel_to(target: str, security: Security = PLAINTEXT) -> Iterator[grpc.Channel]:
    """A channel with a TCP connection of its own."""
    with open_channel(target, security=security, options=[("grpc.enable_retries", 0)]) as channel:
        yield channel


@contextlib.contextmanager
def greeter_at(target: str, security: Security = PLAINTEXT) -> Iterator[Any]:
    """A stub of the greeter."""
    with channel_to(target, security) as channel:
        yield greet_pb2_grpc.GreeterServiceStub(channel)


def hello(name: str = "world") -> Any:
    """A request."""
    return greet_pb2.HelloRequest(name=name)
