"""Servers of other libraries under our service and under an application: what they answer, and what they lack."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from grpclab.errors import FactorError, UsageError
from grpclab.factors.config import ClientConfig, LoadConfig, ServerConfig, TrialConfig
from grpclab.factors.implementations import IMPLEMENTATIONS
from grpclab.generated import greet_pb2_grpc
from grpclab.load.generator import Generator
from grpclab.servers.hosting.application import launch_application
from grpclab.servers.process.launcher import RunningServer, launch
from grpclab.servers.process.server_messages import ServedCalls
from grpclab.system.channels import open_channel
from tests.integration.load.test_interop import CASES
from tests.support import interop_application, interop_service
from tests.support.four_servers import starter
from tests.support.go_programs import go_program
from tests.support.greeting import channel_to, greeter_at, hello
from tests.support.processes import gone, until

OTHERS = [name for name, one in IMPLEMENTATIONS.items() if one.package != "grpcio"]
HOSTING = [name for name in OTHERS if IMPLEMENTATIONS[name].hosts_applications]
each_server = pytest.mark.parametrize("name", OTHERS)


def each_with(factor: str) -> pytest.MarkDecorator:
    """The servers that honour a factor; the others refuse it, as test_implementations sees."""
    return pytest.mark.parametrize("name", [name for name in OTHERS if factor not in IMPLEMENTATIONS[name].lacks])


def config(name: str, **levels: Any) -> ServerConfig:
    """The factors of a server, with levels of some; skips the test where its library is missing."""
    one = IMPLEMENTATIONS[name]
    pytest.importorskip(one.module, reason=f"{one.package} is missing: pip install 'grpclab[{one.extra}]'")
    chosen: dict[str, Any] = {"implementation": name, **levels}
    return ServerConfig(**chosen)


@pytest.fixture(scope="module", params=OTHERS)
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    with launch(config(request.param, stream_messages=3, stream_interval_ms=20)) as running:
        yield running


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
@pytest.mark.parametrize("method", ["SayHello", "SayHelloStream"])
def test_both_engines_load_it(server: RunningServer, engine: str, method: Any) -> None:
    load = LoadConfig(engine=engine, requests=60, concurrency=4, warmup_s=0, method=method)
    with Generator(TrialConfig(load=load), server.target) as generator:
        run = generator.measure()
    assert (run.summary.requests, run.summary.errors_by_status) == (60, {})


def test_it_answers_as_the_greeter_does(server: RunningServer) -> None:
    with greeter_at(server.target) as stub:
        assert stub.SayHello(hello("Ada"), timeout=60).message == "Hello Ada!"
        assert [reply.message for reply in stub.SayHelloStream(hello("Ada"), timeout=60)] == ["Hello Ada!"] * 3


def test_it_says_that_it_is_healthy_to_who_asks_and_to_who_watches(server: RunningServer) -> None:
    with channel_to(server.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "greet.GreeterService"):
            asked = health_pb2.HealthCheckRequest(service=service)
            assert stub.Check(asked, timeout=60).status == health_pb2.HealthCheckResponse.SERVING
        watching = stub.Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watching).status == health_pb2.HealthCheckResponse.SERVING
        watching.cancel()


def test_reflection_lists_its_services(server: RunningServer) -> None:
    with channel_to(server.target) as channel:
        names = ProtoReflectionDescriptorDatabase(channel).get_services()
    assert {"greet.GreeterService", "grpc.health.v1.Health"} <= set(names)


def test_an_unknown_method_is_unimplemented(server: RunningServer) -> None:
    with channel_to(server.target) as channel:
        call: Any = channel.unary_unary("/greet.GreeterService/SayNothing")
        with pytest.raises(grpc.RpcError) as refusal:
            call(b"", timeout=60)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_large_messages_go_both_ways(server: RunningServer) -> None:
    name = "ab" * 2_500_000
    unlimited = [("grpc.max_receive_message_length", -1)]
    with open_channel(server.target, options=unlimited) as channel:
        stub = greet_pb2_grpc.GreeterServiceStub(channel)
        assert stub.SayHello(hello(name), timeout=60).message == f"Hello {name}!"


@each_server
def test_compressed_requests_are_understood_unless_the_factor_is_refused(name: str) -> None:
    with launch(config(name)) as server, greeter_at(server.target) as stub:
        call = stub.SayHello.future(hello("ab" * 1000), timeout=60, compression=grpc.Compression.Gzip)
        lacks = "client.compression" in IMPLEMENTATIONS[name].lacks
        assert call.code() is (grpc.StatusCode.UNKNOWN if lacks else grpc.StatusCode.OK)


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
@each_server
def test_a_deadline_ends_the_call_at_the_client_and_a_cancelled_stream_leaves_the_server(
    name: str, engine: str
) -> None:
    load = LoadConfig(engine=engine, requests=2, concurrency=2, warmup_s=0, method="SayHelloStream")
    short = TrialConfig(load=load, client=ClientConfig(deadline_s=0.2))
    with launch(config(name, stream_messages=1_000_000, stream_interval_ms=10)) as server:
        with Generator(short, server.target) as generator:
            run = generator.measure()
        assert run.summary.errors_by_status == {"DEADLINE_EXCEEDED": 2}
        with greeter_at(server.target) as stub:
            call = stub.SayHelloStream(hello(), timeout=60)
            next(call)
            call.cancel()
        server.child.popen.terminate()
        ended = server.child.receive(4, ServedCalls)  # less than the drain: no handler is left inside
        assert ended.calls == 3


@each_with("server.max_concurrent_streams")
def test_calls_beyond_the_stream_limit_wait_and_all_succeed(name: str) -> None:
    levels = config(name, max_concurrent_streams=4, stream_messages=2, stream_interval_ms=20)
    load = LoadConfig(requests=40, concurrency=40, warmup_s=0, method="SayHelloStream")
    with launch(levels) as server:
        with Generator(TrialConfig(load=load), server.target) as generator:
            run = generator.measure()
        server.stop()
    assert (run.summary.requests, run.summary.errors_by_status) == (40, {})
    assert server.high_water is not None
    assert server.high_water <= 4


@each_server
def test_several_processes_share_a_port(name: str) -> None:
    with launch(config(name, processes=2)) as server:
        assert len(set(server.pids)) == 2

        def both_are_reached() -> bool:
            with greeter_at(server.target) as stub:
                stub.SayHello(hello(), timeout=60)
                reached.append(server.connections())
            return all(map(any, zip(*reached, strict=True)))

        reached: list[list[int]] = []
        assert until(both_are_reached)


# pygrpc-native closes its connections when the last handler has ended, at times before its answer has been sent.
_AT_TIMES = pytest.mark.flaky(reruns=4)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("name", [pytest.param(name, marks=_AT_TIMES if name in HOSTING else ()) for name in OTHERS])
def test_a_signal_lets_the_call_inside_end(name: str, number: signal.Signals) -> None:
    with launch(config(name, stream_messages=4, stream_interval_ms=75)) as server, greeter_at(server.target) as stub:
        call = stub.SayHelloStream(hello(), timeout=60)
        next(call)
        server.child.popen.send_signal(number)
        assert len(list(call)) == 3
        assert call.code() is grpc.StatusCode.OK
        assert server.child.receive(60, ServedCalls) == ServedCalls(calls=1, high_water=1)
        assert server.child.popen.wait(60) == 0


@each_with("server.tls")
def test_it_has_tls_and_asks_for_a_certificate(name: str) -> None:
    with launch(config(name, tls=True, mutual_tls=True)) as server:
        with greeter_at(server.target, server.security) as stub:
            assert stub.SayHello(hello("Ada"), timeout=60).message == "Hello Ada!"
        with greeter_at(server.target) as stub, pytest.raises(grpc.RpcError):
            stub.SayHello(hello(), timeout=60)


@pytest.mark.parametrize("name", [name for name in OTHERS if name not in HOSTING])
def test_a_server_with_servicers_of_its_own_takes_no_application(name: str, tmp_path: Path) -> None:
    with (
        pytest.raises(FactorError, match=f"^invalid server.implementation={name}: expected sync, asyncio, "),
        launch_application("greeting_app:register", config(name), app_dir=str(tmp_path)),
    ):
        pass


@pytest.mark.parametrize("name", HOSTING)
@pytest.mark.parametrize("hosted", [False, True])
def test_a_killed_server_leaves_nothing_in_the_temporary_folder(
    name: str, hosted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = config(name)
    with tempfile.TemporaryDirectory(prefix="left-") as short:  # that of a test is too long for a Unix socket
        monkeypatch.setenv("TMPDIR", short)
        start = starter(f"{name} {'application' if hosted else 'greeter'}", tmp_path)
        with start() as server:
            with channel_to(server.target) as channel:
                names = ProtoReflectionDescriptorDatabase(channel).get_services()  # by grpcio, behind a socket
            assert "greet.GreeterService" in names
            assert list(Path(short).rglob("fallback.sock"))
            for pid in server.pids:
                os.kill(pid, signal.SIGKILL)
            server.child.popen.wait(60)
        assert levels.implementation == name
        assert list(Path(short).rglob("fallback.sock")) == []


# ---- applications ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTING)
def test_it_serves_an_application_with_the_features_that_it_does_not_refuse(name: str, tmp_path: Path) -> None:
    config(name)
    start = starter(f"{name} application", tmp_path)
    log = tmp_path / "server.log"
    with start(access_log_share=1.0, interceptors=2, spare_threads=0) as server:
        with greeter_at(server.target) as stub:
            assert stub.SayHello(hello("Ada"), timeout=60).message == "Hello Ada!"
            assert next(stub.SayHelloStream(hello("Ada"), timeout=60)).message == "Hello Ada!"
        assert until(lambda: log.read_text().count('"method": "/greet.GreeterService/') == 2)
        for engine in ("wire", "grpcio"):
            load = LoadConfig(engine=engine, requests=20, concurrency=4, warmup_s=0)
            with Generator(TrialConfig(load=load), server.target) as generator:
                run = generator.measure()
            assert (run.summary.requests, run.summary.errors) == (20, 0)
        process = psutil.Process(server.pids[0])
    assert gone(process)


@pytest.mark.parametrize("name", HOSTING)
def test_an_interpreter_without_the_library_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    module = IMPLEMENTATIONS[name].module
    (tmp_path / "greeting_app.py").write_text("def register(server): ...\n")
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('No module named {module}')\n")
    chosen: dict[str, Any] = {"implementation": name}
    with (
        pytest.raises(UsageError) as refused,
        launch_application(
            "greeting_app:register", ServerConfig(**chosen), app_dir=str(tmp_path), env={"PYTHONPATH": str(tmp_path)}
        ),
    ):
        pass
    assert str(refused.value).startswith(f"invalid server.implementation={name}: expected sync or asyncio")
    assert module in str(refused.value)


@pytest.fixture(scope="module")
def interop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return interop_application.write(tmp_path_factory.mktemp("interop"))


@pytest.mark.long
@pytest.mark.parametrize("name", ["sync", "asyncio", *HOSTING])
def test_the_client_in_go_is_content_with_an_application_on_it(name: str, interop: Path) -> None:
    """The cases are those that the reference server has to pass as well."""
    client = go_program("google.golang.org/grpc/interop/client", interop_service.GO_VERSION)
    levels = config(name, threads=20)

    async def failing(port: int) -> dict[str, str]:
        failed = {}
        for case in CASES:
            code, output = await interop_service.run_case(client, port, case)
            if code:
                failed[case] = output
        return failed

    with launch_application("interop_app:register", levels, app_dir=str(interop)) as server:
        assert asyncio.run(failing(server.port)) == {}
