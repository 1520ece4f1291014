"""What a server does around each call, without a server: the bucket's bound, the share of the log, what is chosen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.servers.interceptors import HEALTH, AccessLog, Quota, RateLimit, TokenBucket, around, chosen

OFF: dict[str, Any] = {
    **{"interceptors": 0, "access_log_share": 0.0, "rate_limit_rps": None, "rate_limit_burst": 100},
    **{"quota_rps": None, "quota_burst": 100, "quota_key": "tenant"},
}


def call(method: str = "/shop.Shop/Buy", **metadata: str | bytes) -> Any:
    """A call's details."""
    return SimpleNamespace(method=method, invocation_metadata=tuple(metadata.items()))


METHOD = call()


class Context:
    """As much of a call's context as the log asks."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def code(self) -> grpc.StatusCode | None:
        return None


def handler(answer: Callable[[Any, Any], Any] = lambda request, _context: request) -> Any:
    return grpc.unary_unary_rpc_method_handler(answer)


@given(
    rate=st.floats(0.5, 1000),
    burst=st.integers(1, 50),
    steps=st.lists(st.floats(0, 0.5) | st.floats(0, 30), min_size=1, max_size=200),
)
def test_no_window_holds_more_calls_than_the_rate_and_the_burst_allow(
    rate: float, burst: int, steps: list[float]
) -> None:
    now = 100.0
    bucket = TokenBucket(rate, burst, clock=lambda: now)
    accepted = []
    for step in steps:
        now += step
        if bucket.take() == 0:
            accepted.append(now)
    for first, start in enumerate(accepted):
        for count, end in enumerate(accepted[first:], 1):
            assert count <= rate * (end - start) + burst + 1e-6


@given(rate=st.floats(0.5, 1000), burst=st.integers(1, 50))
def test_a_refused_caller_that_waits_as_long_as_it_is_told_is_accepted(rate: float, burst: int) -> None:
    now = 100.0
    bucket = TokenBucket(rate, burst, clock=lambda: now)
    assert [bucket.take() for _ in range(burst)] == [0] * burst
    wait_s = bucket.take()
    assert 0 < wait_s <= 1 / rate
    now += wait_s / 2
    assert bucket.take() > 0
    now += wait_s / 2 + 1e-6
    assert bucket.take() == 0


@given(
    rate=st.floats(0.5, 1000),
    burst=st.integers(1, 20),
    most=st.integers(1, 3),
    steps=st.lists(st.tuples(st.floats(0, 0.5) | st.floats(0, 30), st.sampled_from("abcde")), min_size=1, max_size=200),
)
def test_no_window_holds_more_calls_of_a_client_than_its_quota_however_many_clients_there_are(
    rate: float, burst: int, most: int, steps: list[tuple[float, str]]
) -> None:
    now = 100.0
    quota = Quota(rate, burst, "tenant", most=most, clock=lambda: now)
    accepted: dict[str, list[float]] = {client: [] for client in "abcde"}
    for step, client in steps:
        now += step
        if quota.take(call(tenant=client)) == 0:
            accepted[client].append(now)
        assert len(quota._own) <= most
    for times in accepted.values():
        for first, start in enumerate(times):
            for count, end in enumerate(times[first:], 1):
                assert count <= rate * (end - start) + burst + 1e-6


def test_a_client_does_not_use_up_the_quota_of_another() -> None:
    quota = Quota(1, 3, "tenant", clock=lambda: 0.0)
    clients = [call(tenant="a"), call(tenant="b"), call(tenant=b"\xff"), call(), call(token="a")]
    waits = [[quota.take(client) for _ in range(4)] for client in clients[:4]]
    assert waits == [[0, 0, 0, 1]] * 4
    assert quota.take(clients[4]) == 1, "calls without the key are those of one client"


def test_a_client_without_a_bucket_of_its_own_gets_one_once_another_has_been_idle_for_long_enough() -> None:
    now = 0.0
    quota = Quota(1, 2, "tenant", most=1, clock=lambda: now)
    a, b, c = (call(tenant=client) for client in "abc")
    assert [quota.take(a), quota.take(a)] == [0, 0]
    assert [quota.take(one) for one in (b, c, b)] == [0, 0, 1], "both share a bucket"
    now = 2.0
    assert [quota.take(c), quota.take(c), quota.take(c)] == [0, 0, 1]
    assert [quota.take(b), quota.take(a)] == [0, 0]


def test_the_log_takes_its_share_and_leaves_health_checks_out() -> None:
    lines: list[str] = []
    draws = iter([0.0, 0.24, 0.25, 0.9])
    log = AccessLog(0.25, lines.append, lambda: next(draws))
    plain = handler()
    assert log(plain, call(f"{HEALTH}Check")) is plain
    answers = [log(plain, METHOD).unary_unary(number, Context()) for number in range(4)]
    assert answers == [0, 1, 2, 3]
    entries = [json.loads(line) for line in lines]
    assert [(one["method"], one["peer"], one["code"]) for one in entries] == [
        (METHOD.method, "ipv4:127.0.0.1:1", "OK")
    ] * 2
    assert all(one["seconds"] >= 0 for one in entries)


def test_an_exception_of_the_handler_reaches_the_caller_and_the_log() -> None:
    def fail(_request: Any, _context: Any) -> Any:
        raise ValueError("sold out")

    lines: list[str] = []
    log = AccessLog(1, lines.append)
    with pytest.raises(ValueError, match="sold out"):
        log(handler(fail), METHOD).unary_unary(1, Context())
    assert [json.loads(line)["code"] for line in lines] == ["UNKNOWN"]


def test_a_wrapped_handler_keeps_its_kind_and_its_serializers() -> None:
    bare = grpc.stream_stream_rpc_method_handler(
        lambda requests, _context: requests, request_deserializer=bytes.decode, response_serializer=str.encode
    )
    seen: list[str] = []

    def begin(_context: Any) -> Callable[[BaseException | None], None]:
        seen.append("begin")
        return lambda error: seen.append(f"end {error}")

    wrapped = around(bare, begin)
    assert (wrapped.request_streaming, wrapped.response_streaming) == (True, True)
    assert (wrapped.request_deserializer, wrapped.response_serializer) == (bytes.decode, str.encode)
    assert list(wrapped.stream_stream(iter("ab"), Context())) == ["a", "b"]
    assert seen == ["begin", "end None"]


def test_a_wrapped_handler_keeps_its_own_threads() -> None:
    def answer(request: Any, _context: Any) -> Any:
        return request

    with ThreadPoolExecutor(1) as threads:
        answer.experimental_thread_pool = threads  # type: ignore[attr-defined]
        wrapped = around(handler(answer), lambda _context: lambda _error: None)
        assert wrapped.unary_unary.experimental_thread_pool is threads


@pytest.mark.parametrize("asynchronous", [False, True])
def test_nothing_is_between_a_call_and_its_handler_unless_a_factor_asks_for_it(asynchronous: bool) -> None:
    assert chosen(asynchronous=asynchronous, **OFF) == []
    everything = OFF | {"interceptors": 5, "access_log_share": 0.5, "rate_limit_rps": 7.0, "quota_rps": 7.0}
    assert len(chosen(asynchronous=asynchronous, **everything)) == 8


def test_a_rate_limit_leaves_health_checks_alone() -> None:
    bucket = TokenBucket(1, 1, clock=lambda: 0.0)
    limit, plain = RateLimit(lambda _details: bucket.take(), "too many", asynchronous=False), handler()
    assert limit(plain, METHOD) is plain
    assert limit(plain, METHOD) is not plain
    assert limit(plain, call(f"{HEALTH}Check")) is plain


class LeftContext:
    """The context of a call whose client leaves."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[[Any], object]] = []

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        self.callbacks.append(callback)


def test_a_stream_that_its_client_leaves_ends_with_its_call_and_once() -> None:
    """Its generator is still there, at a `yield`, when the call is over."""
    ended: list[str] = []

    async def endless(_request: object, _context: object) -> AsyncIterator[int]:
        while True:
            yield 1

    async def leave() -> None:
        handler: Any = grpc.unary_stream_rpc_method_handler(endless)
        wrapped = around(handler, lambda _context: lambda error: ended.append(type(error).__name__))
        context = LeftContext()
        answers = wrapped.unary_stream(None, context)
        assert await anext(answers) == 1
        assert ended == []
        for callback in context.callbacks:
            callback(context)
        assert ended == ["CancelledError"]
        await answers.aclose()

    asyncio.run(leave())
    assert ended == ["CancelledError"]
