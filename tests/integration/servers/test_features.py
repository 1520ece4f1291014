"""What a production server adds, seen from outside: access log, rate limit, interceptors, mutual TLS, reflection.

Each is tried on grpclab's own servers, sync and asyncio, and on an application that grpclab hosts on either.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.rpc import error_details_pb2, status_pb2

from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.generated import greet_pb2_grpc
from grpclab.load.generator import Generator
from grpclab.servers.interceptors import DETAILS, PUSHBACK
from grpclab.servers.process.launcher import RunningServer
from tests.support.applications import services_at
from tests.support.four_servers import Start
from tests.support.greeting import channel_to, greeter_at, hello
from tests.support.processes import until

COUNTING = """
import pathlib

import grpc.aio


def watch(module):
    real = module.server

    def server(*words, **options):
        pathlib.Path({path!r}).write_text(str(len(options.get("interceptors") or ())))
        return real(*words, **options)

    module.server = server


watch(grpc)
watch(grpc.aio)
"""


def entries(server: RunningServer) -> list[dict[str, Any]]:
    """The access log."""
    lines = server.log_path.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"time"')]


def test_each_call_has_a_line_in_the_access_log(start: Start) -> None:
    with start(access_log_share=1.0) as server, greeter_at(server.target) as stub:
        assert stub.SayHello(hello("Ada"), timeout=60).message == "Hello Ada!"
        assert next(stub.SayHelloStream(hello("Ada"), timeout=60)).message == "Hello Ada!"
        assert until(lambda: len(entries(server)) == 2)
        unary, stream = entries(server)
    assert (unary["method"], unary["code"]) == ("/greet.GreeterService/SayHello", "OK")
    assert unary["peer"].startswith("ipv4:127.0.0.1:")
    assert stream["method"] == "/greet.GreeterService/SayHelloStream"


def test_without_a_share_there_is_no_access_log(start: Start) -> None:
    with start() as server, greeter_at(server.target) as stub:
        stub.SayHello(hello(), timeout=60)
        server.stop()
        assert entries(server) == []


@pytest.mark.parametrize("callers", [1, 64])
def test_calls_beyond_the_rate_limit_are_refused_with_the_time_to_wait(start: Start, callers: int) -> None:
    rate, burst = 0.05, 5
    begin = time.monotonic()
    with start(rate_limit_rps=rate, rate_limit_burst=burst) as server, greeter_at(server.target) as stub:

        def call(_number: int) -> grpc.RpcError | None:
            try:
                stub.SayHello(hello(), timeout=60)
            except grpc.RpcError as error:
                return error
            return None

        with ThreadPoolExecutor(callers) as pool:
            errors = list(pool.map(call, range(64)))
        took_s = time.monotonic() - begin
        accepted = errors.count(None)
        assert burst <= accepted <= burst + rate * took_s
        (error, *_) = [error for error in errors if error is not None]
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailing: dict[str, Any] = {one.key: one.value for one in error.trailing_metadata()}
        assert 0 < int(trailing[PUSHBACK]) <= 1000 / rate
        status, retry = status_pb2.Status.FromString(trailing[DETAILS]), error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(retry)
        assert 0 < retry.retry_delay.ToMilliseconds() <= 1000 / rate
        with pytest.raises(grpc.RpcError) as refusal:
            next(stub.SayHelloStream(hello(), timeout=60))
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("callers", [1, 64])
def test_each_client_has_a_quota_of_its_own(start: Start, callers: int) -> None:
    rate, burst = 0.05, 5
    clients = [(("tenant", "a"),), (("tenant", "b"),), (("other", "c"),), ()]
    begin = time.monotonic()
    with start(quota_rps=rate, quota_burst=burst, quota_key="tenant") as server, greeter_at(server.target) as stub:

        def call(number: int) -> grpc.RpcError | None:
            try:
                stub.SayHello(hello(), metadata=clients[number % len(clients)], timeout=60)
            except grpc.RpcError as error:
                return error
            return None

        with ThreadPoolExecutor(callers) as pool:
            errors = list(pool.map(call, range(16 * len(clients))))
        most = burst + rate * (time.monotonic() - begin)
    a, b, without, nothing = (errors[first :: len(clients)].count(None) for first in range(len(clients)))
    assert burst <= a <= most
    assert burst <= b <= most
    assert burst <= without + nothing <= most
    refused = [error for error in errors if error is not None]
    assert {error.code() for error in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    waits_ms = [int({one.key: one.value for one in error.trailing_metadata()}[PUSHBACK]) for error in refused]
    assert all(0 < wait_ms <= 1000 / rate for wait_ms in waits_ms)


@pytest.mark.parametrize("number", [0, 5])
def test_empty_interceptors_are_installed_and_calls_go_through_them(start: Start, number: int, tmp_path: Path) -> None:
    count = tmp_path / "interceptors"
    (tmp_path / "sitecustomize.py").write_text(COUNTING.format(path=str(count)))
    with start(env={"PYTHONPATH": str(tmp_path)}, interceptors=number) as server, greeter_at(server.target) as stub:
        assert stub.SayHello(hello("Ada"), timeout=60).message == "Hello Ada!"
    assert count.read_text() == str(number)


def test_mutual_tls_takes_only_clients_with_a_certificate_of_the_authority(start: Start) -> None:
    with start(tls=True, mutual_tls=True) as server:
        ours = server.security
        with greeter_at(server.target, ours) as stub:
            assert stub.SayHello(hello("Ada"), timeout=60).message == "Hello Ada!"
        other = trustme.CA().issue_cert("stranger")
        stranger = replace(ours, certificate=other.cert_chain_pems[0].bytes(), key=other.private_key_pem.bytes())
        for wrong in (stranger, replace(ours, certificate=None, key=None)):
            with greeter_at(server.target, wrong) as stub, pytest.raises(grpc.RpcError) as refusal:
                stub.SayHello(hello(), timeout=60)
            assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        load = TrialConfig(load=LoadConfig(requests=20, concurrency=4, warmup_s=0))
        with Generator(load, server.target, security=ours) as generator:
            run = generator.measure()
        assert (run.summary.requests, run.summary.errors) == (20, 0)


def test_plain_tls_asks_no_certificate_of_clients(start: Start) -> None:
    with start(tls=True) as server, greeter_at(server.target, server.security) as stub:
        assert server.security.certificate is None
        assert stub.SayHello(hello("Ada"), timeout=60).message == "Hello Ada!"


def test_reflection_can_be_left_out(start: Start) -> None:
    with start() as server:
        assert "greet.GreeterService" in services_at(server)
    with start(reflection=False) as server, pytest.raises(grpc.RpcError) as refusal:
        services_at(server)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_channelz_tells_how_many_calls_the_server_has_begun(start: Start) -> None:
    channelz_pb2 = pytest.importorskip("grpc_channelz.v1.channelz_pb2", reason="pip install 'grpclab[desk]'")
    from grpc_channelz.v1 import channelz_pb2_grpc

    with start(channelz=True) as server, channel_to(server.target) as channel:
        assert "grpc.channelz.v1.Channelz" in services_at(server)
        greeter = greet_pb2_grpc.GreeterServiceStub(channel)
        for _ in range(20):
            greeter.SayHello(hello(), timeout=60)
        stub = channelz_pb2_grpc.ChannelzStub(channel)
        (found,) = stub.GetServers(channelz_pb2.GetServersRequest(), timeout=60).server
        assert found.data.calls_started >= 20
    with start() as server, channel_to(server.target) as channel, pytest.raises(grpc.RpcError) as refusal:
        channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest(), timeout=60)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
