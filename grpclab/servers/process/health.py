"""gRPC's health service of a server, as a client sees it.

``python -m grpclab.servers.process.health [HOST:PORT]`` prints what it says, and ends with 0 if that is SERVING, else
with 1: for the health check of a container. The default is the server that GRPC_SERVER_PORT names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import grpclab.system.grpc_log  # noqa: F401  # isort: skip  # before grpcio
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpclab.errors import ServerError, UsageError
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


def main(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """See the module's docstring; returns the exit code, 2 for an address that is none."""
    target = words[0] if words else f"127.0.0.1:{environ.get('GRPC_SERVER_PORT', '50051')}"
    try:
        status = health_status(target)
    except UsageError as error:
        print(f"grpclab: {error}", file=sys.stderr)
        return 2
    print(status)
    return 0 if status == "SERVING" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
