"""gRPC's health service of a server, as a client sees it."""

from __future__ import annotations

from typing import Any

import grpclab.system.grpc_log  # noqa: F401  # isort: skip  # before grpcio
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpclab.errors import ServerError
from grpclab.system.channels import open_channel
from grpclab.system.transport import PLAINTEXT, Security

HEALTH_TIMEOUT_S = 30.0


def health_status(target: str, security: Security = PLAINTEXT, timeout_s: float = 5.0) -> str:
    """The status that the health service at `target` gives, or the status code of an answer without one."""
    with open_channel(target, security=security) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def check_health(target: str, security: Security = PLAINTEXT, timeout_s: float = HEALTH_TIMEOUT_S) -> None:
    """Wait until the health service at `target` says SERVING. Raises ServerError after `timeout_s`."""
    with open_channel(target, security=security) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            raise ServerError(f"the server at {target} is not healthy: {error.code().name}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise ServerError(f"the server at {target} is not serving: health status {answer.status}")
