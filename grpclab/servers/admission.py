"""A bound on the calls that wait for a thread of a sync server: further calls fail at once instead of late.

This module needs nothing but grpcio: the interpreter of an application, which may lack grpclab, imports it by its path.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import grpc

HEALTH = "/grpc.health.v1.Health/"
REFUSING_THREADS = 4
_MAKE: dict[tuple[bool, bool], Callable[..., Any]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class CountedPool(Executor):
    """Another pool with so many threads, which knows how many calls it has."""

    def __init__(self, pool: Executor, threads: int) -> None:
        self._pool, self._threads = pool, threads
        self._lock = threading.Lock()
        self._calls = 0

    @property
    def waiting(self) -> int:
        """The calls for which there is no thread yet."""
        return max(0, self._calls - self._threads)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call on a thread of the pool, as Executor.submit."""
        future = self._pool.submit(fn, *args, **kwargs)
        with self._lock:
            self._calls += 1
        future.add_done_callback(self._end)
        return future

    def _end(self, _future: Future[Any]) -> None:
        with self._lock:
            self._calls -= 1


class Admission(grpc.ServerInterceptor):
    """Refuses calls with RESOURCE_EXHAUSTED while as many as `most` wait for a thread; health checks are not refused.

    grpcio runs interceptors before a call gets into the pool, one call at a time, so the bound is exact. A refusal has
    threads of its own: it would wait for the pool as well.
    """

    def __init__(self, most: int, pool: CountedPool) -> None:
        self._most, self._pool = most, pool
        text = f"{most:,} calls are already waiting for a thread"

        def refuse(_request: Any, context: Any) -> Any:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

        refuse.experimental_thread_pool = ThreadPoolExecutor(REFUSING_THREADS, "refusals")  # type: ignore[attr-defined]
        self._refusals: dict[tuple[bool, bool], Any] = {kind: make(refuse) for kind, make in _MAKE.items()}

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """See grpc.ServerInterceptor."""
        handler = continuation(details)
        if handler is None or self._pool.waiting < self._most or details.method.startswith(HEALTH):
            return handler
        return self._refusals[handler.request_streaming, handler.response_streaming]
