"""The interceptors that count calls, and the agent for the diagnostics server.

Off, nothing is imported and nothing listens.
"""

from __future__ import annotations

import os
from typing import Any

from grpclab.factors.config import ServerConfig
from grpclab.system.optional import needs

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which all server processes keep their counters; prometheus_client reads it when it is imported."""


def interceptors(config: ServerConfig) -> list[Any]:
    """The server's interceptors. Raises MissingDependencyError where prometheus_client is asked for and missing."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and config.desk:
        from grpclab.servers import agent

        agent.start(folder)
    if not config.metrics:
        return []
    try:
        from grpclab.servers.prometheus import AsyncMetrics, SyncMetrics
    except ImportError:
        raise needs("server.metrics", "prometheus_client", "desk") from None
    return [AsyncMetrics()] if config.implementation == "asyncio" else [SyncMetrics()]
