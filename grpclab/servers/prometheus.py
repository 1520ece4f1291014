"""Calls counted inside the server, under the names that gRPC's Prometheus libraries share.

prometheus_client keeps the numbers in files of PROMETHEUS_MULTIPROC_DIR, one set for each process; who reads
them (:mod:`grpclab.diagnostics.app`) adds them up. A call is handled when its handler ends; one that the
client gave up counts as CANCELLED.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
from prometheus_client import Counter, Histogram

_CALL = ("grpc_type", "grpc_service", "grpc_method")
STARTED = Counter("grpc_server_started", "Calls started.", _CALL)
HANDLED = Counter("grpc_server_handled", "Completed calls, by status code.", (*_CALL, "grpc_code"))
BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Finer than prometheus_client's own below 5 ms, where handlers are."""
SECONDS = Histogram("grpc_server_handling_seconds", "Time spent in the handler, in seconds.", _CALL, buckets=BUCKETS_S)
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


class _Call:
    """One call, from its start to its end."""

    def __init__(self, labels: tuple[str, str, str], context: Any) -> None:
        self._labels, self._context, self._begin = labels, context, time.perf_counter()
        STARTED.labels(*labels).inc()

    def end(self, error: BaseException | None) -> None:
        SECONDS.labels(*self._labels).observe(time.perf_counter() - self._begin)
        HANDLED.labels(*self._labels, code_name(self._context.code(), error)).inc()


def code_name(code: Any, error: BaseException | None) -> str:
    """The status code's name: what the context says; without that UNKNOWN or CANCELLED after an error, else OK."""
    name = _NAMES[code] if isinstance(code, int) else code.name if code is not None else "OK"
    if name != "OK" or error is None:
        return name
    return "UNKNOWN" if isinstance(error, Exception) else "CANCELLED"


def _counted(handler: Any, method: str) -> Any:
    """A handler whose calls are counted."""
    service, _, name = method.lstrip("/").rpartition("/")
    many_in, many_out = handler.request_streaming, handler.response_streaming
    kind = f"{'stream' if many_in else 'unary'}_{'stream' if many_out else 'unary'}"
    wire = {(False, False): "unary", (True, False): "client_stream", (False, True): "server_stream"}
    labels = (wire.get((many_in, many_out), "bidi_stream"), service, name)
    make = getattr(grpc, f"{kind}_rpc_method_handler")
    behaviour = _wrap(getattr(handler, kind), labels, many_out)
    return make(behaviour, handler.request_deserializer, handler.response_serializer)


def _wrap(inner: Callable[..., Any], labels: tuple[str, str, str], many_out: bool) -> Callable[..., Any]:
    """`inner` between start and end, of the same kind as it: grpc.aio asks what kind a handler is."""

    def plain(request: Any, context: Any) -> Any:
        call = _Call(labels, context)
        error: BaseException | None = None
        try:
            return inner(request, context)
        except BaseException as caught:
            error = caught
            raise
        finally:
            call.end(error)

    def generator(request: Any, context: Any) -> Iterator[Any]:
        call = _Call(labels, context)
        error: BaseException | None = None
        try:
            yield from inner(request, context)
        except BaseException as caught:
            error = caught
            raise
        finally:
            call.end(error)

    async def coroutine(request: Any, context: Any) -> Any:
        call = _Call(labels, context)
        error: BaseException | None = None
        try:
            return await inner(request, context)
        except BaseException as caught:
            error = caught
            raise
        finally:
            call.end(error)

    async def async_generator(request: Any, context: Any) -> AsyncIterator[Any]:
        call = _Call(labels, context)
        error: BaseException | None = None
        try:
            async for answer in inner(request, context):
                yield answer
        except BaseException as caught:
            error = caught
            raise
        finally:
            call.end(error)

    if inspect.isasyncgenfunction(inner):
        return async_generator
    if inspect.iscoroutinefunction(inner):
        return coroutine
    return generator if many_out else plain


class SyncMetrics(grpc.ServerInterceptor):
    """For ``grpc.server``."""

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """See grpc.ServerInterceptor."""
        handler = continuation(details)
        return None if handler is None else _counted(handler, details.method)


class AsyncMetrics(grpc.aio.ServerInterceptor):
    """For ``grpc.aio.server``."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(details)
        return None if handler is None else _counted(handler, details.method)
