"""The interceptors of a server, and the agent for the diagnostics server.

What is off is not imported, and does not listen; nor does this module import grpcio, of which the parent of several
server processes and the reference server have no need.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from grpclab.factors.config import ServerConfig
from grpclab.system.optional import needs

if TYPE_CHECKING:
    from grpclab.servers.interceptors import AsyncInterceptor, SyncInterceptor

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which all server processes keep their counters; prometheus_client reads it when it is imported."""


def interceptors(config: ServerConfig, pool: Any = None) -> list[Any]:
    """The server's interceptors, the outermost first: what refuses a call is inside what counts it.

    `pool` are the threads of a sync server: a CountedPool where the factor `admission` asks for it. Raises
    MissingDependencyError where prometheus_client or OpenTelemetry is asked for and missing.
    """
    from grpclab.servers import interceptors as parts

    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and config.desk:
        from grpclab.servers import agent

        agent.start(folder)
    asynchronous = not config.threaded
    return [
        *_metrics(config, asynchronous=asynchronous),
        *_admission(config, pool),
        *_tracing(config, asynchronous=asynchronous),
        *parts.chosen(asynchronous=asynchronous, **{name: getattr(config, name) for name in parts.SETTINGS}),
    ]


def _metrics(config: ServerConfig, *, asynchronous: bool) -> list[Any]:
    if not config.metrics:
        return []
    from grpclab.servers import interceptors as parts

    try:
        from grpclab.servers.prometheus import counted_by
    except ImportError:
        raise needs("server.metrics", "prometheus_client", "desk") from None
    kind: type[AsyncInterceptor | SyncInterceptor]
    kind = parts.AsyncInterceptor if asynchronous else parts.SyncInterceptor
    return [kind(counted_by(parts))]


def _admission(config: ServerConfig, pool: Any) -> list[Any]:
    if config.admission is None or not config.threaded:
        return []
    from grpclab.servers.admission import Admission

    return [Admission(config.admission, pool)]


def _tracing(config: ServerConfig, *, asynchronous: bool) -> list[Any]:
    if config.tracing_share is None:
        return []
    try:
        from grpclab.servers.tracing import interceptor
    except ImportError:
        raise needs("server.tracing_share", "opentelemetry-instrumentation-grpc", "tracing") from None
    return [interceptor(config.tracing_share, asynchronous=asynchronous)]


def flush(config: ServerConfig) -> None:
    """Send what a server that has ended its calls keeps: its spans."""
    if config.tracing_share is not None:
        from grpclab.servers import tracing

        tracing.flush()
