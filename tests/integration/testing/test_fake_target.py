"""A server in this process, for the tests of plug-ins and of users."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from typing import Any, cast

import grpc
import pytest

from grpclab.generated import greet_pb2
from grpclab.load.bench import run_bench
from grpclab.load.bench_result import BenchResult
from grpclab.load.calls.schema import from_server
from grpclab.load.plan import planned
from grpclab.servers.process.health import check_health
from grpclab.testing import FakeTarget, fake_target
from tests.support.greeting import channel_to, greeter_at, hello
from tests.support.processes import until

METHOD = "/greet.GreeterService/SayHello"


def benched(target: FakeTarget) -> BenchResult:
    return run_bench(target.address, planned({"load.requests": 20, "load.concurrency": 4, "load.warmup_s": 0.0}))


def test_it_answers_every_call_of_a_bench_and_keeps_them() -> None:
    with fake_target() as target:
        summary = benched(target).run.summary
    assert (summary.requests, summary.errors) == (20, 0)
    assert {call.method for call in target.calls} == {METHOD}
    assert len(target.calls) == 20


def test_it_answers_no_sooner_than_its_latency() -> None:
    with fake_target(latency_s=0.02) as target:
        assert benched(target).run.summary.latency_min_s >= 0.02


def test_it_fails_with_the_status_that_was_asked_for() -> None:
    with fake_target(status="RESOURCE_EXHAUSTED", text="no more") as target:
        found = benched(target).run
    assert found.summary.errors_by_status == {"RESOURCE_EXHAUSTED": 20}
    assert [failure.text for failure in found.failures] == ["no more"]


SERVING = (
    "from grpclab.testing import fake_target\nwith fake_target() as target: print(target.address, flush=True); input()"
)
CALLS_AT_ONCE = 2400


def test_a_server_that_stood_still_answers_all_calls_that_came_meanwhile() -> None:
    """grpcio's own default cancels some of the calls beyond the 1000 that wait (1194 of 1200 were answered)."""
    command = [sys.executable, "-c", SERVING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with channel_to(process.stdout.readline().strip()) as channel:
                call: Any = channel.unary_unary(METHOD)
                call(b"", timeout=60)
                process.send_signal(signal.SIGSTOP)
                calls = [call.future(b"", timeout=60) for _ in range(CALLS_AT_ONCE)]
                process.send_signal(signal.SIGCONT)
                assert [one.result() for one in calls] == [b""] * CALLS_AT_ONCE
        finally:
            process.kill()


def test_a_call_is_kept_with_its_metadata_and_a_stream_gets_one_message() -> None:
    reply = greet_pb2.HelloResponse(message="there").SerializeToString()
    with fake_target(answer=reply) as target, greeter_at(target.address) as stub:
        assert stub.SayHello(hello("you"), metadata=(("shelf", "left"),)).message == "there"
        assert [message.message for message in stub.SayHelloStream(hello())] == ["there"]
    assert target.calls[0].messages == (hello("you").SerializeToString(),)
    assert ("shelf", "left") in target.calls[0].metadata


def test_it_is_healthy_and_describes_its_services() -> None:
    with fake_target() as target:
        check_health(target.address)
        schema = from_server(target.address, "greet.GreeterService", "SayHello", timeout_s=60)
    assert schema.pool.FindMessageTypeByName("greet.HelloRequest")
    assert target.calls == []


def test_without_an_answer_only_the_handlers_are_served() -> None:
    handler: Any = grpc.unary_unary_rpc_method_handler(lambda request, _: request)
    echo = grpc.method_handlers_generic_handler("a.Shop", {"Echo": handler})
    with fake_target(echo, answer=None, services=()) as target, channel_to(target.address) as channel:
        shop, greeter = (cast("Any", channel.unary_unary(method)) for method in ("/a.Shop/Echo", METHOD))
        assert shop(b"x", timeout=60) == b"x"
        with pytest.raises(grpc.RpcError) as error:
            greeter(b"", timeout=60)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_call_inside_does_not_hold_up_the_end() -> None:
    with contextlib.ExitStack() as stack:
        with fake_target(latency_s=600) as target:
            channel: Any = stack.enter_context(channel_to(target.address))
            call = channel.unary_unary(METHOD).future(b"")
            assert until(lambda: target.calls)
        assert call.code() is not grpc.StatusCode.OK
