"""Calls counted inside the server, under the names that gRPC's Prometheus libraries share.

prometheus_client keeps the numbers in files of PROMETHEUS_MULTIPROC_DIR, one set for each process; who reads
them (:mod:`grpclab.diagnostics.app`) adds them up. A call is handled when its handler ends; one that the
client gave up counts as CANCELLED.
"""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import Counter, Histogram

from grpclab.servers.interceptors import around, code_name, kind_of

_CALL = ("grpc_type", "grpc_service", "grpc_method")
STARTED = Counter("grpc_server_started", "Calls started.", _CALL)
HANDLED = Counter("grpc_server_handled", "Completed calls, by status code.", (*_CALL, "grpc_code"))
BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Finer than prometheus_client's own below 5 ms, where handlers are."""
SECONDS = Histogram("grpc_server_handling_seconds", "Time spent in the handler, in seconds.", _CALL, buckets=BUCKETS_S)
_TYPES = {(False, False): "unary", (True, False): "client_stream", (False, True): "server_stream"}


class _Call:
    """One call, from its start to its end."""

    def __init__(self, labels: tuple[str, str, str], context: Any) -> None:
        self._labels, self._context, self._begin = labels, context, time.perf_counter()
        STARTED.labels(*labels).inc()

    def end(self, error: BaseException | None) -> None:
        SECONDS.labels(*self._labels).observe(time.perf_counter() - self._begin)
        HANDLED.labels(*self._labels, code_name(self._context.code(), error)).inc()


def counted(handler: Any, details: Any) -> Any:
    """The handler, whose calls are counted."""
    service, _, name = details.method.lstrip("/").rpartition("/")
    labels = (_TYPES.get(kind_of(handler), "bidi_stream"), service, name)
    return around(handler, lambda context: _Call(labels, context).end)
