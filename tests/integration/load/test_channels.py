"""Proxy variables of the environment, which companies set for everything: no connection of ours goes to a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from grpclab.load.calls.schema import from_server
from grpclab.servers.process.launcher import check_health
from grpclab.system.channels import open_aio_channel, open_channel
from tests.support.proxies import VARIABLES, Proxy


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A server with health and reflection."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    reflection.enable_server_reflection([health.SERVICE_NAME], server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait(5)


def health_of(channel: grpc.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


def test_a_channel_of_grpcio_obeys_a_proxy_variable(target: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError):
        health_of(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert proxy.connections > 0


@pytest.mark.parametrize("variable", VARIABLES)
def test_no_channel_goes_to_a_proxy(variable: str, target: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, proxy.url)
    check_health(target)
    from_server(target, "grpc.health.v1.Health", "Check", timeout_s=5)
    with open_channel(target) as channel:
        grpc.channel_ready_future(channel).result(timeout=5)

    async def dial() -> None:
        async with open_aio_channel(target) as channel:
            await asyncio.wait_for(channel.channel_ready(), 5)

    asyncio.run(dial())
    assert proxy.connections == 0
