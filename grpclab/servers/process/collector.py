"""A stand-in for an OpenTelemetry collector beside a server that sends spans: it takes them by OTLP and drops them.

``python -m grpclab.servers.process.collector`` listens on a free port of loopback, says so as a ServerListening, and
ends when its standard input closes. Somebody's own collector takes its place (OTEL_EXPORTER_OTLP_ENDPOINT).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpclab.errors import ServerError, WorkerError
from grpclab.factors.config import ServerConfig
from grpclab.servers.process.server_messages import ServerListening
from grpclab.system.optional import needs
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, die_with_parent, say

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
"""The variable by which OpenTelemetry's exporter finds its collector."""
MODULE = "grpclab.servers.process.collector"


LONGEST_FOLDER = 60
"""The path of a Unix socket has 107 bytes at most, and this one is in a folder within."""


def scratch(config: ServerConfig, folder: Path) -> dict[str, str]:
    """The variable by which pygrpc-native keeps the socket to the server behind it in our `folder`.

    Where it is killed, it leaves that socket behind. Empty for other servers, and where the path would be too long.
    """
    if not config.implementation.startswith("pygrpc") or len(os.fsencode(folder)) > LONGEST_FOLDER:
        return {}
    return {"TMPDIR": str(folder)}


@dataclass(frozen=True, kw_only=True)
class RunningCollector:
    """The stand-in, running."""

    pid: int
    endpoint: str
    """The level of ENDPOINT with which spans find it."""


@contextlib.contextmanager
def running_collector(cpus: Collection[int] | None, env: Mapping[str, str] | None = None) -> Iterator[RunningCollector]:
    """The stand-in, until the block is left, on other cores than `cpus`, those of the server.

    Raises MissingDependencyError without OpenTelemetry, ServerError where it cannot be started.
    """
    try:
        import opentelemetry.proto.collector  # noqa: F401
    except ImportError:
        raise needs("tracing_share", "opentelemetry-exporter-otlp-proto-grpc", "tracing") from None
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    with Child(MODULE, name="the stand-in collector", cpus=own - set(cpus or ()), env=env) as child:
        try:
            listening = child.receive(START_TIMEOUT_S, ServerListening)
        except WorkerError as error:
            raise ServerError(str(error)) from None
        yield RunningCollector(pid=child.pid, endpoint=f"http://127.0.0.1:{listening.port}")


@contextlib.contextmanager
def collected(
    config: ServerConfig, env: Mapping[str, str | None] | None, cpus: Collection[int] | None
) -> Iterator[dict[str, str | None]]:
    """The changes of the environment `env` of a server with which its spans, if it sends any, find a collector.

    That is the stand-in, unless `env` names one. Raises as :func:`running_collector`.
    """
    changes = dict(env or {})
    if config.tracing_share is None or changes.get(ENDPOINT):
        yield changes
        return
    with running_collector(cpus) as collector:
        yield changes | {ENDPOINT: collector.endpoint}


def main() -> None:
    """See the module's docstring."""
    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    class Dropping:
        def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
            return trace_service_pb2.ExportTraceServiceResponse()

    die_with_parent()
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", -1)])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Dropping(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    say(ServerListening(port=port, pids=(os.getpid(),)))
    threading.Event().wait()


if __name__ == "__main__":
    main()
