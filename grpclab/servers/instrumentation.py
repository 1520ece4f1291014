"""The interceptors of a server, and the agent for the diagnostics server.

What is off is not imported, and does not listen.
"""

from __future__ import annotations

import os
from typing import Any

from grpclab.factors.config import ServerConfig
from grpclab.servers import interceptors as parts
from grpclab.servers.interceptors import SETTINGS, AsyncInterceptor, SyncInterceptor, chosen
from grpclab.system.optional import needs

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which all server processes keep their counters; prometheus_client reads it when it is imported."""


def interceptors(config: ServerConfig, pool: Any = None) -> list[Any]:
    """The server's interceptors, the outermost first: what refuses a call is inside what counts it.

    `pool` are the threads of a sync server: a CountedPool where the factor `admission` asks for it. Raises
    MissingDependencyError where prometheus_client or OpenTelemetry is asked for and missing.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and config.desk:
        from grpclab.servers import agent

        agent.start(folder)
    asynchronous = not config.threaded
    return [
        *_metrics(config, AsyncInterceptor if asynchronous else SyncInterceptor),
        *_admission(config, pool),
        *_tracing(config, asynchronous=asynchronous),
        *chosen(asynchronous=asynchronous, **{name: getattr(config, name) for name in SETTINGS}),
    ]


def _metrics(config: ServerConfig, kind: type[AsyncInterceptor | SyncInterceptor]) -> list[Any]:
    if not config.metrics:
        return []
    try:
        from grpclab.servers.prometheus import counted_by
    except ImportError:
        raise needs("server.metrics", "prometheus_client", "desk") from None
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
