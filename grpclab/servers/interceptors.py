"""What a server does around each call: an access log, a quota, a rate limit, interceptors that do nothing.

This module needs nothing but grpcio: the interpreter of an application, which may lack grpclab, imports it by its path.
Health checks are neither logged nor limited.
"""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import inspect
import json
import logging
import math
import random
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

if TYPE_CHECKING:
    End = Callable[[BaseException | None], object]
    """Is called when a handler has ended, with the exception that it raised, if any."""
    Begin = Callable[[Any], End]
    """Is called with a call's context before its handler."""
    Change = Callable[[Any, Any], Any]
    """Gives the handler to use for a call, from the method's own and the call's grpc.HandlerCallDetails."""

SETTINGS = (
    *("access_log_share", "quota_rps", "quota_burst", "quota_key"),
    *("rate_limit_rps", "rate_limit_burst", "interceptors"),
)
"""The factors of the server that :func:`chosen` reads, by their last part."""
HEALTH = "/grpc.health.v1.Health/"
PUSHBACK = "grpc-retry-pushback-ms"
"""The metadata key that tells a client's retry policy when to try again (gRFC A6)."""
DETAILS = "grpc-status-details-bin"
MOST_CLIENTS = 10_000
"""So many clients have a token bucket of their own."""
OWN_POOL = "experimental_thread_pool"
"""The attribute of a handler's function that names its threads, where they are not the server's."""
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}


def chosen(
    *,
    asynchronous: bool,
    access_log_share: float,
    quota_rps: float | None,
    quota_burst: int,
    quota_key: str,
    rate_limit_rps: float | None,
    rate_limit_burst: int,
    interceptors: int,
) -> list[SyncInterceptor | AsyncInterceptor]:
    """The interceptors for these levels of :data:`SETTINGS`, the outermost first."""
    changes: list[Change] = []
    if access_log_share:
        changes.append(AccessLog(access_log_share, access_logger().info))
    if quota_rps is not None:
        text = f"more than {quota_rps:g} calls per second with the same {quota_key}"
        changes.append(RateLimit(Quota(quota_rps, quota_burst, quota_key).take, text, asynchronous=asynchronous))
    if rate_limit_rps is not None:
        text = f"more than {rate_limit_rps:g} calls per second"
        bucket = TokenBucket(rate_limit_rps, rate_limit_burst)
        changes.append(RateLimit(lambda _details: bucket.take(), text, asynchronous=asynchronous))
    changes += [unchanged] * interceptors
    return [AsyncInterceptor(change) if asynchronous else SyncInterceptor(change) for change in changes]


class SyncInterceptor(grpc.ServerInterceptor):
    """Changes the handlers of ``grpc.server``."""

    def __init__(self, change: Change) -> None:
        self._change = change

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """See grpc.ServerInterceptor."""
        handler = continuation(details)
        return None if handler is None else self._change(handler, details)


class AsyncInterceptor(grpc.aio.ServerInterceptor):
    """Changes the handlers of ``grpc.aio.server``."""

    def __init__(self, change: Change) -> None:
        self._change = change

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """See grpc.aio.ServerInterceptor."""
        handler = await continuation(details)
        return None if handler is None else self._change(handler, details)


def unchanged(handler: Any, _details: Any) -> Any:
    """The handler itself."""
    return handler


# ---- the access log --------------------------------------------------------------------------------------------------


class AccessLog:
    """Writes a line of JSON for a share of the calls: time, method, peer, status code, seconds in the handler."""

    def __init__(self, share: float, write: Callable[[str], object], draw: Callable[[], float] = random.random) -> None:
        self._share, self._write, self._draw = share, write, draw

    def __call__(self, handler: Any, details: Any) -> Any:
        """The handler, whose calls are logged if this one is drawn."""
        method = details.method
        if method.startswith(HEALTH) or self._draw() >= self._share:
            return handler

        def begin(context: Any) -> End:
            started = time.perf_counter()
            at = datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017 (an interpreter older than 3.11)

            def end(error: BaseException | None) -> None:
                entry = {
                    "time": at.isoformat(timespec="milliseconds"),
                    "method": method,
                    "peer": context.peer(),
                    "code": code_name(context.code(), error),
                    "seconds": round(time.perf_counter() - started, 6),
                }
                self._write(json.dumps(entry))

            return end

        return around(handler, begin)


def access_logger() -> logging.Logger:
    """The logger that writes the access log to standard error, a line an entry and nothing else."""
    logger = logging.getLogger("grpclab.access")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


# ---- the rate limit and the quota ------------------------------------------------------------------------------------


class TokenBucket:
    """Lets at most ``rate_rps * t + burst`` calls through in any t seconds. Safe to use from many threads.

    It begins with `tokens`, by default with as many as it can hold.
    """

    def __init__(
        self,
        rate_rps: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        tokens: float | None = None,
    ) -> None:
        self.rate_rps, self.burst = rate_rps, burst
        self._clock = clock
        self._tokens, self._at = float(burst) if tokens is None else tokens, clock()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take a token: returns 0, or the seconds until there will be one."""
        with self._lock:
            self._fill()
            if self._tokens < 1:
                return (1 - self._tokens) / self.rate_rps
            self._tokens -= 1
            return 0.0

    @property
    def tokens(self) -> float:
        """The tokens that it holds now."""
        with self._lock:
            self._fill()
            return self._tokens

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate_rps)
        self._at = now


class Quota:
    """A token bucket for each client, by the value of a metadata key. Safe to use from many threads.

    Calls without the key are those of one client. At most `most` clients have a bucket of their own; the one that has
    been idle for longest gives its bucket up once that is full, when it is as good as a new one. As long as none is,
    further clients share a bucket. Whoever gets a bucket later begins with the tokens of the shared one, so that the
    bound of :class:`TokenBucket` holds for each client over any change.
    """

    def __init__(
        self,
        rate_rps: float,
        burst: int,
        key: str,
        *,
        most: int = MOST_CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate_rps, self._burst, self._key, self._most, self._clock = rate_rps, burst, key, most, clock
        self._shared = TokenBucket(rate_rps, burst, clock)
        self._own: OrderedDict[bytes, TokenBucket] = OrderedDict()
        """By a hash of the value, which is short and no secret; the client that called last is the last one."""
        self._lock = threading.Lock()

    def take(self, details: Any) -> float:
        """Take a token of a call's client: returns 0, or the seconds until there will be one."""
        value = next((value for key, value in details.invocation_metadata or () if key == self._key), b"")
        content = value if isinstance(value, bytes) else value.encode()
        with self._lock:
            return self._bucket(hashlib.blake2b(content, digest_size=16).digest()).take()

    def _bucket(self, client: bytes) -> TokenBucket:
        bucket = self._own.get(client)
        if bucket is not None:
            self._own.move_to_end(client)
            return bucket
        if len(self._own) >= self._most:
            longest_idle = next(iter(self._own.values()))
            if longest_idle.tokens < self._burst:
                return self._shared
            self._own.popitem(last=False)
        bucket = TokenBucket(self._rate_rps, self._burst, self._clock, tokens=self._shared.tokens)
        self._own[client] = bucket
        return bucket


class RateLimit:
    """Fails calls with RESOURCE_EXHAUSTED for which `take` says that they come too early, and says when to try again.

    The time is in the trailing metadata twice: as :data:`PUSHBACK`, and, where google.rpc is installed, as RetryInfo.
    """

    def __init__(self, take: Callable[[Any], float], text: str, *, asynchronous: bool) -> None:
        self._take, self._text, self._asynchronous = take, text, asynchronous

    def __call__(self, handler: Any, details: Any) -> Any:
        """The handler, or one that fails the call."""
        if details.method.startswith(HEALTH):
            return handler
        wait_s = self._take(details)
        return self._refusal(handler, wait_s) if wait_s else handler

    def _refusal(self, handler: Any, wait_s: float) -> Any:
        metadata = self._metadata(wait_s)
        code = grpc.StatusCode.RESOURCE_EXHAUSTED

        def refuse(_request: Any, context: Any) -> Any:
            context.set_trailing_metadata(metadata)
            context.abort(code, self._text)

        async def refuse_async(_request: Any, context: Any) -> Any:
            context.set_trailing_metadata(metadata)
            await context.abort(code, self._text)

        return _alike(handler, refuse_async if self._asynchronous else refuse)

    def _metadata(self, wait_s: float) -> tuple[tuple[str, Any], ...]:
        pushback = (PUSHBACK, str(math.ceil(1000 * wait_s)))
        try:
            from google.rpc import error_details_pb2, status_pb2
        except ImportError:
            return (pushback,)
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(math.ceil(1e9 * wait_s))
        status = status_pb2.Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message=self._text)
        status.details.add().Pack(retry)
        return (pushback, (DETAILS, status.SerializeToString()))


# ---- around a handler ------------------------------------------------------------------------------------------------


def kind_of(handler: Any) -> tuple[bool, bool]:
    """Whether the client streams, and whether the server does."""
    return handler.request_streaming, handler.response_streaming


def code_name(code: Any, error: BaseException | None) -> str:
    """The status code's name: what the context says; without that UNKNOWN or CANCELLED after an error, else OK."""
    name = _NAMES[code] if isinstance(code, int) else code.name if code is not None else "OK"
    if name != "OK" or error is None:
        return name
    return "UNKNOWN" if isinstance(error, Exception) else "CANCELLED"


def around(handler: Any, begin: Begin) -> Any:
    """A handler that calls `begin` with the context before each call of this one, and what that returns after it."""
    inner = _behaviour(handler)
    wrapped = _wrapped(inner, begin, handler.response_streaming)
    if hasattr(inner, OWN_POOL):
        setattr(wrapped, OWN_POOL, getattr(inner, OWN_POOL))
    return _alike(handler, wrapped)


def _kind_name(handler: Any) -> str:
    many_in, many_out = kind_of(handler)
    return f"{'stream' if many_in else 'unary'}_{'stream' if many_out else 'unary'}"


def _behaviour(handler: Any) -> Callable[..., Any]:
    """The function of a handler."""
    function: Callable[..., Any] = getattr(handler, _kind_name(handler))
    return function


def _alike(handler: Any, behaviour: Callable[..., Any]) -> Any:
    """A handler like this one, with another function."""
    make = getattr(grpc, f"{_kind_name(handler)}_rpc_method_handler")
    return make(behaviour, handler.request_deserializer, handler.response_serializer)


def _once(end: End) -> End:
    """The same, of which only the first call counts."""
    left = [end]
    return lambda error: left.pop()(error) if left else None


def _wrapped(inner: Callable[..., Any], begin: Begin, many_out: bool) -> Callable[..., Any]:
    """`inner` between begin and end, of the same kind as it: grpc.aio asks what kind a handler is."""

    def plain(request: Any, context: Any) -> Any:
        end = begin(context)
        error: BaseException | None = None
        try:
            return inner(request, context)
        except BaseException as caught:
            error = caught
            raise
        finally:
            end(error)

    def generator(request: Any, context: Any) -> Iterator[Any]:
        end = begin(context)
        error: BaseException | None = None
        try:
            yield from inner(request, context)
        except BaseException as caught:
            error = caught
            raise
        finally:
            end(error)

    async def coroutine(request: Any, context: Any) -> Any:
        end = begin(context)
        error: BaseException | None = None
        try:
            return await inner(request, context)
        except BaseException as caught:
            error = caught
            raise
        finally:
            end(error)

    async def async_generator(request: Any, context: Any) -> AsyncIterator[Any]:
        end = _once(begin(context))
        # A stream that its client leaves stands at a `yield` until it is collected, which may be long after.
        context.add_done_callback(lambda _: end(asyncio.CancelledError()))
        error: BaseException | None = None
        try:
            async for answer in inner(request, context):
                yield answer
        except BaseException as caught:
            error = caught
            raise
        finally:
            end(error)

    if inspect.isasyncgenfunction(inner):
        return async_generator
    if inspect.iscoroutinefunction(inner):
        return coroutine
    return generator if many_out else plain
