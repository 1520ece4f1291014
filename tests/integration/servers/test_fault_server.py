"""What plug-ins' tests get: a server with a fault, and a loop whose clock moves by itself."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from grpclab.generated import greet_pb2, greet_pb2_grpc
from grpclab.system.channels import open_channel
from grpclab.testing import FaultSpec, fault_server
from grpclab.testing.virtual import VirtualLoop, run


def test_a_server_has_the_fault_that_was_asked_for() -> None:
    with (
        fault_server(FaultSpec(fault="percent-message")) as server,
        open_channel(server.target) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        greet_pb2_grpc.GreeterServiceStub(channel).SayHello(greet_pb2.HelloRequest(name="x"), timeout=60)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_an_hour_on_a_virtual_loop_takes_no_time() -> None:
    async def wait(loop: VirtualLoop) -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert run(wait) == 3600
