"""Calls that wait for a thread: how they are counted, and which are refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from grpclab.servers.admission import HEALTH, Admission, CountedPool
from grpclab.servers.elastic import ElasticThreadPool

THREADS = 2


@pytest.fixture(params=[lambda: ThreadPoolExecutor(THREADS), lambda: ElasticThreadPool(1, THREADS - 1)])
def pool(request: pytest.FixtureRequest) -> Iterator[CountedPool]:
    inner: Executor = request.param()
    yield CountedPool(inner, THREADS)
    inner.shutdown()


def test_calls_wait_that_no_thread_is_left_for(pool: CountedPool) -> None:
    door = threading.Event()
    calls: list[Future[Any]] = []
    waiting = []
    for _ in range(THREADS + 3):
        calls.append(pool.submit(door.wait, 60))
        waiting.append(pool.waiting)
    assert waiting == [0] * THREADS + [1, 2, 3]
    door.set()
    assert [call.result(60) for call in calls] == [True] * len(calls)
    assert pool.waiting == 0


def test_a_call_that_fails_or_is_given_up_waits_no_longer(pool: CountedPool) -> None:
    door = threading.Event()

    def fail() -> None:
        door.wait(60)
        raise ValueError("sold out")

    calls = [pool.submit(fail) for _ in range(THREADS + 2)]
    calls[-1].cancel()
    assert pool.waiting == 1
    door.set()
    wait(calls, 60)
    assert pool.waiting == 0
    assert [type(call.exception()) for call in calls[:-1]] == [ValueError] * (THREADS + 1)


@pytest.mark.parametrize(
    "make",
    [
        grpc.unary_unary_rpc_method_handler,
        grpc.unary_stream_rpc_method_handler,
        grpc.stream_unary_rpc_method_handler,
        grpc.stream_stream_rpc_method_handler,
    ],
)
def test_a_refusal_is_of_the_methods_kind_and_has_threads_of_its_own(make: Callable[[Any], Any]) -> None:
    handler = make(lambda request, context: request)
    pool = SimpleNamespace(waiting=0)
    admission = Admission(3, pool)  # type: ignore[arg-type]

    def answered(method: str = "/shop.Shop/Buy") -> Any:
        return admission.intercept_service(lambda _details: handler, SimpleNamespace(method=method))

    pool.waiting = 2
    assert answered() is handler
    pool.waiting = 3
    refusal = answered()
    kind = (handler.request_streaming, handler.response_streaming)
    assert (refusal.request_streaming, refusal.response_streaming) == kind
    (function,) = filter(None, (refusal.unary_unary, refusal.unary_stream, refusal.stream_unary, refusal.stream_stream))
    assert isinstance(function.experimental_thread_pool, ThreadPoolExecutor)
    assert answered(f"{HEALTH}Check") is handler
    assert admission.intercept_service(lambda _details: None, SimpleNamespace(method="/shop.Shop/Sell")) is None
