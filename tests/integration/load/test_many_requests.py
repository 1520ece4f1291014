"""Requests that differ from call to call, as both engines send them; the server writes down what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpclab.errors import UsageError
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.registries import ENGINES
from grpclab.load.calls.method import CallSpec, find_call
from grpclab.load.calls.payloads import PAYLOAD_FOLDER, Payloads
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.generator import Generator
from grpclab.load.plan import CallRequest, choose_call
from grpclab.status import OK, WRONG_ANSWER
from grpclab.system.transport import PLAINTEXT
from grpclab.testing import fake_target
from tests.support.scribe import scribe

BOTH = pytest.mark.parametrize("engine", ["wire", "grpcio"])


def call_of(payloads: Payloads, worker: int = 0, workers: int = 1) -> CallSpec:
    call = CallSpec(path="/a.Shop/Buy", payload=payloads.message(0), payloads=payloads)
    return call.of_worker(worker, workers)


def load(engine: str, target: str, call: CallSpec, calls: int, *, concurrency: int = 1, **client: Any) -> list[int]:
    """The statuses of so many calls."""
    return list(recorded(engine, target, call, calls, concurrency=concurrency, **client).statuses)


def recorded(engine: str, target: str, call: CallSpec, calls: int, *, concurrency: int = 1, **client: Any) -> Recorder:
    """So many calls."""

    async def main() -> Recorder:
        settings = {f"client.{name}": level for name, level in client.items()}
        made = ENGINES[engine](TrialConfig().replace(settings), target, PLAINTEXT, call, residence=False)
        await made.connect(10)
        recorder = Recorder(None)
        async with asyncio.timeout(60):
            await made.run(Gate(opens_at=0, requests=calls), recorder, concurrency)
        await made.close()
        return recorder

    return asyncio.run(main())


@BOTH
def test_each_request_arrives_once_and_in_order(engine: str) -> None:
    sizes = [0, 1, 300, 20_000, 70_000, 5]  # within a frame and a window, and beyond them
    messages = [b"%06d" % number + bytes(sizes[number % len(sizes)]) for number in range(60)]
    with scribe() as (target, came):
        assert load(engine, target, call_of(PAYLOAD_FOLDER.write(messages)), 60) == [0] * 60
    assert came == messages


@BOTH
@pytest.mark.long
def test_ten_thousand_requests_arrive_each_once_and_in_order(engine: str) -> None:
    messages = [b"%06d" % number for number in range(10_000)]
    with scribe() as (target, came):
        load(engine, target, call_of(PAYLOAD_FOLDER.write(messages, repeat=False)), 10_000)
    assert came == messages


@BOTH
def test_over_many_connections_each_arrives_once(engine: str) -> None:
    messages = [b"%06d" % number for number in range(300)]
    with scribe() as (target, came):
        call = call_of(PAYLOAD_FOLDER.write(messages))
        load(engine, target, call, 300, concurrency=8, pooling="pool", connections=4)
    assert sorted(came) == messages


@BOTH
def test_after_the_last_the_first_comes_again(engine: str) -> None:
    with scribe() as (target, came):
        load(engine, target, call_of(PAYLOAD_FOLDER.write([b"a", b"b", b"c"])), 7)
    assert came == [b"a", b"b", b"c", b"a", b"b", b"c", b"a"]


@BOTH
@pytest.mark.parametrize("asked", [200, 10_000])
def test_two_workers_share_the_requests_and_end_where_they_may_not_repeat(engine: str, asked: int) -> None:
    messages = [b"%06d" % number for number in range(200)]
    payloads = PAYLOAD_FOLDER.write(messages, repeat=False)
    levels: dict[str, Level] = {"load.engine": engine, "load.workers": 2, "load.concurrency": 4, "load.warmup_s": 0.0}
    with scribe() as (target, came):
        trial = TrialConfig().replace({**levels, "load.requests": asked})
        with Generator(trial, target, call=call_of(payloads)) as generator:
            run = generator.measure()
    assert len(came) == len(set(came)) == run.summary.requests
    assert run.summary.errors == 0
    if asked == 200:
        assert sorted(came) == messages
        assert (run.ran_out, run.stopped_because) == (False, "")
    else:  # the faster of the two has sent its half
        assert 100 <= len(came) <= 200
        assert run.ran_out
        assert "all 200 requests" in run.stopped_because


def test_a_call_that_is_sent_again_sends_the_same_request() -> None:
    from grpclab.load.engines.http2_protocol import WireCall
    from grpclab.load.engines.reconnecting import _second_attempt

    call = WireCall()
    call.request = b"\0\0\0\0\1x"
    assert _second_attempt(call).request == call.request


@BOTH
def test_metadata_may_differ_from_call_to_call(engine: str) -> None:
    came: list[dict[str, Any]] = []

    def answer(request: bytes, context: grpc.ServicerContext) -> bytes:
        came.append(dict(context.invocation_metadata()))
        return request

    handlers: dict[str, Any] = {"SayHello": grpc.unary_unary_rpc_method_handler(answer)}
    handler = grpc.method_handlers_generic_handler("greet.GreeterService", handlers)
    words = ("x-number={{.RequestNumber}}", "x-same=a", "x-long={{randomString 300 301}}")
    trial = TrialConfig().replace({"load.requests": 5, "load.warmup_s": 0.0, "load.concurrency": 1})
    call = choose_call("127.0.0.1:1", trial, CallRequest(metadata=words))
    with fake_target(handler, answer=None) as target:
        assert load(engine, target.address, call, 5) == [OK] * 5
    assert [one["x-number"] for one in came] == ["0", "1", "2", "3", "4"]
    assert {one["x-same"] for one in came} == {"a"}
    assert [len(one["x-long"]) for one in came] == [300] * 5
    assert len({one["x-long"] for one in came}) == 5


def test_metadata_that_no_header_takes_is_refused() -> None:
    for words in (('x-a={{choice " b"}}',), ("x-a={{.Foo}}",)):
        with pytest.raises(UsageError):
            choose_call("127.0.0.1:1", TrialConfig(), CallRequest(metadata=words))


# ---- answers -----------------------------------------------------------------------------------------------------


@BOTH
def test_the_answers_of_a_sample_are_kept_by_the_number_of_the_request(engine: str) -> None:
    messages = [b"%06d" % number + bytes([0, 20_000][number % 2]) for number in range(8)]
    with scribe() as (target, _):
        call = replace(call_of(PAYLOAD_FOLDER.write(messages)), keeps_answers=True)
        samples = recorded(engine, target, call, 40, concurrency=3).answers.samples()
    assert {one.number: one.messages for one in samples} == {at: (message,) for at, message in enumerate(messages)}
    assert sum(one.count for one in samples) == 40


@BOTH
def test_so_are_those_of_one_request_and_of_a_stream(engine: str) -> None:
    def answer(request: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
        yield from (request, b"", request * 1000)

    handler = grpc.method_handlers_generic_handler("a.Shop", {"Watch": grpc.unary_stream_rpc_method_handler(answer)})
    call = CallSpec(path="/a.Shop/Watch", payload=b"xy", server_streaming=True, keeps_answers=True)
    with fake_target(handler, answer=None) as target:
        (sample,) = recorded(engine, target.address, call, 5).answers.samples()
    assert (sample.number, sample.messages, sample.count) == (0, (b"xy", b"", b"xy" * 1000), 5)


@BOTH
def test_a_call_whose_answer_does_not_pass_the_check_has_failed(engine: str, tmp_path: Path) -> None:
    pytest.importorskip("simpleeval", reason="pip install 'grpclab[check]'")
    proto = tmp_path / "shop.proto"
    proto.write_text(
        'syntax = "proto3"; package a; message M { int32 n = 1; } service Shop { rpc Buy(M) returns (M); }'
    )
    data = [{"n": number} for number in (1, 2, 3, 0)]
    call = replace(find_call("", "a.Shop/Buy", data=data, proto=proto), check="reply.n > 0 and reply.n != 2")
    with scribe() as (target, _):
        recorder = recorded(engine, target, call, 8)
    assert list(recorder.statuses) == [OK, WRONG_ANSWER, OK, WRONG_ANSWER] * 2
    (entry,) = {(str(one.status), one.text) for one in recorder.failures.entries()}
    assert entry == ("WRONG_ANSWER", "the answer does not pass --check 'reply.n > 0 and reply.n != 2'")
