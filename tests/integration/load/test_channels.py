"""Proxy variables of the environment, which companies set for everything: no connection of ours goes to a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpclab.load.calls.schema import from_server
from grpclab.servers.process.health import check_health
from grpclab.system.channels import open_aio_channel, open_channel
from grpclab.testing import fake_target
from tests.support.proxies import VARIABLES, Proxy


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A server with health and reflection."""
    with fake_target() as fake:
        yield fake.address


def health_of(channel: grpc.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


def test_a_channel_of_grpcio_obeys_a_proxy_variable(target: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError):
        health_of(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
    assert proxy.connections > 0


@pytest.mark.parametrize("variable", VARIABLES)
def test_no_channel_goes_to_a_proxy(variable: str, target: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, proxy.url)
    check_health(target)
    from_server(target, "grpc.health.v1.Health", "Check", timeout_s=60)
    with open_channel(target) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)

    async def dial() -> None:
        async with open_aio_channel(target) as channel:
            await asyncio.wait_for(channel.channel_ready(), 5)

    asyncio.run(dial())
    assert proxy.connections == 0
