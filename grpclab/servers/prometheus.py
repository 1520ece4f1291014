"""Calls counted inside the server, under the names that gRPC's Prometheus libraries share.

prometheus_client keeps the numbers in files of PROMETHEUS_MULTIPROC_DIR, one set for each process; who reads
them (:mod:`grpclab.diagnostics.app`) adds them up. A call is handled when its handler ends; one that the
client gave up counts as CANCELLED. This module needs nothing but prometheus_client and grpcio: the interpreter of an
application, which may lack grpclab, imports it by its path.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter, Histogram

_CALL = ("grpc_type", "grpc_service", "grpc_method")
STARTED = Counter("grpc_server_started", "Calls started.", _CALL)
HANDLED = Counter("grpc_server_handled", "Completed calls, by status code.", (*_CALL, "grpc_code"))
BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Finer than prometheus_client's own below 5 ms, where handlers are."""
SECONDS = Histogram("grpc_server_handling_seconds", "Time spent in the handler, in seconds.", _CALL, buckets=BUCKETS_S)
_TYPES = {(False, False): "unary", (True, False): "client_stream", (False, True): "server_stream"}


class _Call:
    """One call, from its start to its end."""

    def __init__(self, labels: tuple[str, str, str], context: Any, code_name: Callable[..., str]) -> None:
        self._labels, self._context, self._begin = labels, context, time.perf_counter()
        self._code_name = code_name
        STARTED.labels(*labels).inc()

    def end(self, error: BaseException | None) -> None:
        SECONDS.labels(*self._labels).observe(time.perf_counter() - self._begin)
        HANDLED.labels(*self._labels, self._code_name(self._context.code(), error)).inc()


def counted_by(parts: Any) -> Callable[[Any, Any], Any]:
    """What changes a handler, by the call's details, into one whose calls are counted.

    `parts` is the module :mod:`grpclab.servers.interceptors`, however it was imported.
    """

    def counted(handler: Any, details: Any) -> Any:
        service, _, name = details.method.lstrip("/").rpartition("/")
        labels = (_TYPES.get(parts.kind_of(handler), "bidi_stream"), service, name)
        return parts.around(handler, lambda context: _Call(labels, context, parts.code_name).end)

    return counted
