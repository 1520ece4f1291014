"""The health check of a container, against real servers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health as health_service
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpclab.servers.process import health
from grpclab.servers.process.launcher import RunningServer
from grpclab.system.subprocesses import module_command


@pytest.fixture
def draining() -> Iterator[str]:
    """A server that answers, and does not want calls."""
    server = grpc.server(ThreadPoolExecutor(1))
    service = health_service.HealthServicer()
    service.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


def test_a_server_that_serves_is_healthy(quick_server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert health.main([quick_server.target], {}) == 0
    assert health.main([], {"GRPC_SERVER_PORT": str(quick_server.port)}) == 0
    assert capsys.readouterr().out == "SERVING\nSERVING\n"


def test_a_server_that_drains_is_not(draining: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert health.main([draining], {}) == 1
    assert capsys.readouterr().out == "NOT_SERVING\n"


def test_what_is_no_address_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert health.main(["elsewhere"], {}) == 2
    assert capsys.readouterr().err.startswith("grpclab: invalid ")


def test_it_is_a_program(quick_server: RunningServer) -> None:
    command = module_command("grpclab.servers.process.health", quick_server.target)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "SERVING\n"
