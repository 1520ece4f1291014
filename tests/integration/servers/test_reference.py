"""The reference server as a real process, and as a command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpclab.errors import ServerError
from grpclab.factors.config import TrialConfig
from grpclab.http2.headers import RESIDENCE_HEADER
from grpclab.load.calls.method import greeting
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.engines.wire import WireEngine
from grpclab.servers.process.launcher import RunningServer
from grpclab.servers.reference.faults import FAULTS
from grpclab.servers.reference.launcher import launch_reference
from grpclab.servers.reference.serving import listening
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.system.transport import PLAINTEXT
from tests.support.command import GRPCLAB, assert_refused, run, taken_port
from tests.support.greeting import channel_to, greeter_at, hello
from tests.support.processes import until

# ---- as a real process -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    asked: dict[str, Any] = {"stream_messages": 3, "stream_interval_ms": 20}
    with launch_reference(ReferenceSpec(service_time="constant:20ms", pacing="timer", **asked)) as running:
        yield running


def test_grpcio_is_greeted_and_told_the_residence(server: RunningServer) -> None:
    with greeter_at(server.target) as stub:
        began = time.perf_counter()
        reply, call = stub.SayHello.with_call(hello("Ada"), timeout=60)
        took_s = time.perf_counter() - began
    assert reply.message == "Hello Ada!"
    residence_s = int(dict(call.trailing_metadata())[RESIDENCE_HEADER]) * 1e-9
    assert 0.020 <= residence_s < took_s


def test_grpcio_gets_the_stream(server: RunningServer) -> None:
    with greeter_at(server.target) as stub:
        assert [reply.message for reply in stub.SayHelloStream(hello(), timeout=60)] == ["Hello world!"] * 3


def test_the_health_service_says_serving(server: RunningServer) -> None:
    with channel_to(server.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=60)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_an_unknown_method_is_unimplemented(server: RunningServer) -> None:
    with channel_to(server.target) as channel:
        call: Any = channel.unary_unary("/a.B/C")
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=60)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_it_is_seen_from_outside_and_counts_its_calls() -> None:
    with launch_reference(ReferenceSpec(response_bytes=100_000)) as running:
        assert running.usage().rss_bytes > 0
        with greeter_at(running.target) as stub:
            assert len(stub.SayHello(hello("x" * 300_000), timeout=60).message) == 100_000
            assert sum(running.connections(excluding=[])) >= 1
    assert (running.calls, running.high_water) == (1, 1)


def test_a_call_that_is_inside_ends_before_the_server_does() -> None:
    with launch_reference(ReferenceSpec(service_time="constant:300ms")) as running:
        with greeter_at(running.target) as stub:
            call = stub.SayHello.future(hello(), timeout=60)
            assert not until(call.done, within_s=0.1)
            running.child.popen.terminate()
            assert call.result().message == "Hello world!"
            assert until(lambda: not running.alive)
        running.stop()


def test_a_taken_port_is_refused(ours: Callable[[], list[int]]) -> None:
    with (
        taken_port(shared=True) as port,
        pytest.raises(ServerError, match=rf"port {port} on 127\.0\.0\.1 is in use"),
        launch_reference(ReferenceSpec(port=port)),
    ):
        pass
    assert ours() == []


@pytest.mark.parametrize("connections", [1, 4])
def test_ten_thousand_calls_are_inside_at_once(connections: int) -> None:
    calls = 10_000
    config = TrialConfig().replace(
        {"client.pooling": "pool", "client.connections": connections, "client.deadline_s": 60.0}
    )

    async def load(target: str) -> Recorder:
        engine, recorder = WireEngine(config, target, PLAINTEXT, greeting(config.load)), Recorder(None)
        await engine.connect(10)
        await engine.run(Gate(opens_at=0, requests=calls), recorder, calls)
        await engine.close()
        return recorder

    with launch_reference(ReferenceSpec(hold=calls)) as running:
        recorder = asyncio.run(load(running.target))
    assert (recorder.calls, recorder.errors) == (calls, 0)
    assert (running.calls, running.high_water) == (calls, calls)


def test_it_may_listen_inside_another_process_too() -> None:
    async def call() -> tuple[int, int]:
        async with listening(ReferenceSpec(max_concurrent_streams=2, pacing="timer")) as (context, port):
            config = TrialConfig()
            engine, recorder = WireEngine(config, f"127.0.0.1:{port}", PLAINTEXT, greeting(config.load)), Recorder(None)
            await engine.connect(10)
            await engine.run(Gate(opens_at=0, requests=100), recorder, 10)
            await engine.close()
            assert context.service.high_water <= 2
            return recorder.calls, recorder.errors

    assert asyncio.run(call()) == (100, 0)


# ---- the command -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [*GRPCLAB, "serve", "reference", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child, child.stdout.readline()
        finally:
            child.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_is_and_what_it_served(number: signal.Signals) -> None:
    with serving("--service-time", "uniform:1ms,2ms", "--pacing", "timer") as (child, line):
        assert "reference server on 127.0.0.1:" in line
        assert f"(service time uniform:1ms,2ms, timer, pid {child.pid}); Ctrl-C stops it" in line
        with greeter_at(line.split(" on ")[1].split(" ")[0]) as stub:
            for _ in range(3):
                stub.SayHello(hello(), timeout=60)
        os.kill(child.pid, number)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (0, "served 3 calls, at most 1 at once\n", "")


def test_the_command_misbehaves_where_it_is_asked_to() -> None:
    with serving("--fault", "trailers-only") as (_, line):
        assert ", fault trailers-only, pid" in line
        with greeter_at(line.split(" on ")[1].split(" ")[0]) as stub, pytest.raises(grpc.RpcError) as ended:
            stub.SayHello(hello(), timeout=60)
        assert ended.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        (["reference", "--service-time", "soon"], "invalid --service-time=soon: expected constant:1ms"),
        (["reference", "--set", "server.threads=3"], "--set server.threads=3: serve reference has its own options"),
        (["basic", "--service-time", "constant:1ms"], "--service-time works only with `serve reference`"),
    ],
)
def test_the_command_refuses_in_one_line(words: list[str], pattern: str) -> None:
    assert_refused(run("serve", *words, "--port", "0"), 2, pattern)


def test_the_help_names_every_fault() -> None:
    text = run("serve", "--help").stdout
    assert all(f"  {name} " in text for name in FAULTS)


def test_the_log_of_a_child_says_why_it_did_not_start(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerError, match=r"could not be started: .*cannot listen on 203\.0\.113\.1:0"),
        launch_reference(ReferenceSpec(host="203.0.113.1"), log_path=tmp_path / "server.log"),
    ):
        pass
