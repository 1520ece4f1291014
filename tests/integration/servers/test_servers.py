"""Both servers as real processes: what they answer, what they refuse, and how they stop."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from grpclab.errors import ServerError
from grpclab.factors.config import LoadConfig, ServerConfig, TrialConfig
from grpclab.load.generator import Generator
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.servers.process.server_messages import ServedCalls
from tests.support.greeting import channel_to, greeter_at, hello
from tests.support.processes import until

CONFIGS = {
    "sync": ServerConfig(),
    "elastic": ServerConfig(threads=2, spare_threads=100),
    "asyncio": ServerConfig(implementation="asyncio"),
    "uvloop": ServerConfig(implementation="asyncio", event_loop="uvloop"),
}
each_server = pytest.mark.parametrize("kind", CONFIGS)
each_library = pytest.mark.parametrize("kind", ["sync", "uvloop"])


@pytest.fixture(scope="module", params=CONFIGS)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with launch(replace(CONFIGS[request.param], stream_messages=3, stream_interval_ms=50)) as running:
        yield running


@pytest.fixture(scope="module", params=CONFIGS)
def heavy_server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with launch(replace(CONFIGS[request.param], response_bytes=70_000, handler_work_us=5_000)) as running:
        yield running


# ---- what they answer --------------------------------------------------------------------------------------


def test_a_call_is_greeted_by_name(server: RunningServer) -> None:
    with greeter_at(server.target) as stub:
        assert stub.SayHello(hello("Ada"), timeout=60).message == "Hello Ada!"


def test_a_stream_has_the_asked_messages_with_the_asked_pause_between(server: RunningServer) -> None:
    with greeter_at(server.target) as stub:
        began = time.perf_counter()
        messages = [reply.message for reply in stub.SayHelloStream(hello("Ada"), timeout=60)]
        took = time.perf_counter() - began
    assert messages == ["Hello Ada!"] * 3
    assert took >= 0.95 * 2 * 0.050  # timers of an event loop are exact to a millisecond


@pytest.mark.parametrize("service", ["", "greet.GreeterService"])
def test_the_health_service_says_serving(server: RunningServer, service: str) -> None:
    with channel_to(server.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=60)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@each_library
def test_what_was_imported_is_out_of_garbage_collections(kind: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import gc, pathlib\ngc.freeze = lambda: pathlib.Path({str(tmp_path / 'frozen')!r}).touch()\n"
    )
    with launch(CONFIGS[kind], env={"PYTHONPATH": str(tmp_path)}):
        assert (tmp_path / "frozen").exists()


def test_reflection_lists_the_services(server: RunningServer) -> None:
    with channel_to(server.target) as channel:
        names = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert {"greet.GreeterService", "grpc.health.v1.Health"} <= set(names)


def test_the_answer_has_the_asked_size(heavy_server: RunningServer) -> None:
    with greeter_at(heavy_server.target) as stub:
        assert len(stub.SayHello(hello(), timeout=60).message) == 70_000


def test_handler_work_is_cpu_time_of_the_server(heavy_server: RunningServer) -> None:
    calls, work_s = 30, 5_000 / 1e6
    before = heavy_server.usage()
    with greeter_at(heavy_server.target) as stub:
        for _ in range(calls):
            stub.SayHello(hello(), timeout=60)
    assert heavy_server.usage().cpu_s - before.cpu_s >= calls * work_s


# ---- limits ------------------------------------------------------------------------------------------------


@each_library
def test_calls_beyond_max_concurrent_rpcs_are_rejected_and_not_queued(kind: str) -> None:
    config = replace(CONFIGS[kind], max_concurrent_rpcs=2, stream_messages=2, stream_interval_ms=1_000, threads=10)
    with launch(config) as server, greeter_at(server.target) as stub:
        inside = [stub.SayHelloStream(hello(), timeout=60) for _ in range(2)]
        for stream in inside:
            next(stream)
        with pytest.raises(grpc.RpcError) as refusal:
            stub.SayHello(hello(), timeout=60)
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert [len(list(stream)) for stream in inside] == [1, 1], "the calls inside are not disturbed"
        assert until(lambda: _accepts(server.target)), "there is room again"


@each_server
def test_calls_beyond_the_stream_limit_wait_and_all_succeed(kind: str) -> None:
    config = replace(CONFIGS[kind], max_concurrent_streams=4, stream_messages=2, stream_interval_ms=20)
    load = LoadConfig(requests=80, concurrency=80, warmup_s=0, method="SayHelloStream")
    with launch(config) as server:
        with Generator(TrialConfig(load=load), server.target) as generator:
            run = generator.measure()
        server.stop()
    assert (run.summary.requests, run.summary.errors_by_status) == (80, {})
    assert server.calls == 80
    assert server.high_water in (2, 3, 4)
    assert server.high_water == 4 or kind == "elastic", "its two threads may do: others are lent when they are blocked"


def test_spare_threads_are_lent_to_calls_that_block() -> None:
    with launch(CONFIGS["elastic"], hold=60) as server:
        with greeter_at(server.target) as stub:
            calls = [stub.SayHello.future(hello(), timeout=60) for _ in range(60)]
            assert {call.result().message for call in calls} == {"Hello world!"}
        server.stop()
    assert server.high_water == 60


# ---- TLS ---------------------------------------------------------------------------------------------------


@each_library
def test_tls_is_spoken_and_plain_text_is_not(kind: str) -> None:
    with launch(replace(CONFIGS[kind], tls=True)) as server:
        assert server.security.tls
        with greeter_at(server.target, server.security) as stub:
            assert stub.SayHello(hello(), timeout=60).message == "Hello world!"
        with greeter_at(server.target) as stub, pytest.raises(grpc.RpcError) as refusal:
            stub.SayHello(hello(), timeout=60)
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        config = TrialConfig(load=LoadConfig(requests=20, concurrency=4, warmup_s=0))
        with Generator(config, server.target, security=server.security) as generator:
            run = generator.measure()
        assert (run.summary.requests, run.summary.errors) == (20, 0)


# ---- the end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "processes", "number"),
    [
        ("sync", 1, signal.SIGTERM),
        ("sync", 1, signal.SIGINT),
        ("sync", 2, signal.SIGTERM),
        ("elastic", 1, signal.SIGINT),
        ("asyncio", 1, signal.SIGTERM),
        ("uvloop", 1, signal.SIGTERM),
        ("uvloop", 1, signal.SIGINT),
        ("uvloop", 2, signal.SIGINT),
    ],
)
def test_a_signal_lets_the_call_inside_end_and_the_server_leaves_with_0(
    kind: str, processes: int, number: signal.Signals
) -> None:
    config = replace(CONFIGS[kind], processes=processes, stream_messages=4, stream_interval_ms=75)
    with launch(config) as server, greeter_at(server.target) as stub:
        call = stub.SayHelloStream(hello(), timeout=60)
        next(call)
        server.child.popen.send_signal(number)
        assert len(list(call)) == 3
        assert call.code() is grpc.StatusCode.OK
        assert server.child.receive(60, ServedCalls) == ServedCalls(calls=1, high_water=1)
        assert server.child.popen.wait(60) == 0


@each_library
def test_a_second_signal_does_not_wait_for_the_call_inside(kind: str) -> None:
    config = replace(CONFIGS[kind], stream_messages=2, stream_interval_ms=60_000)
    with launch(config) as server, greeter_at(server.target) as stub:
        call = stub.SayHelloStream(hello(), timeout=60)
        next(call)
        server.child.popen.terminate()
        assert until(lambda: not _accepts(server.target)), "draining, which alone would take its full time"
        server.child.popen.terminate()
        assert server.child.popen.wait(60) == 1


def _accepts(target: str) -> bool:
    """Whether a new call gets an answer."""
    with greeter_at(target) as stub:
        try:
            stub.SayHello(hello(), timeout=5)
        except grpc.RpcError:
            return False
        return True


# ---- several processes -------------------------------------------------------------------------------------


@each_library
def test_processes_share_a_port_and_the_parent_reports_their_sum(kind: str) -> None:
    config = replace(CONFIGS[kind], processes=2)
    with launch(config) as server:
        assert len(set(server.pids)) == 2
        with contextlib.ExitStack() as stack:
            stubs = [stack.enter_context(greeter_at(server.target)) for _ in range(24)]
            for stub in stubs * 2:
                assert stub.SayHello(hello(), timeout=60).message == "Hello world!"
            by_process = server.connections()
        server.stop()
    assert sum(by_process) >= 24
    assert min(by_process) > 0
    assert server.calls == 48


def test_when_one_of_several_processes_is_killed_the_others_are_stopped() -> None:
    with launch(ServerConfig(processes=3)) as server:
        os.kill(server.pids[1], signal.SIGKILL)
        assert server.child.popen.wait(60) == 3
        assert until(lambda: not any(psutil.pid_exists(pid) for pid in server.pids))
        with pytest.raises(ServerError, match=r"exit code 3: .*server process 2 of 3 died"):
            server.require_alive()
