"""Compression in both engines against grpcio's servers: what arrives, and how many bytes it takes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import pytest

import grpclab
from grpclab.factors.config import ServerConfig
from grpclab.generated import greet_pb2
from grpclab.load.bench_result import BenchResult
from grpclab.servers.hosting.application import launch_application
from grpclab.servers.process.launcher import launch
from grpclab.testing import fake_target

ENGINES = ["wire", "grpcio"]
CALLS = 60
ECHO = """
import grpc

def register(server):
    def answer(request, context):
        return request

    methods = {"SayHello": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("greet.GreeterService", methods),))
"""
"""An application that answers with the request, whose kind is much like that of the answer."""


def load(target: str, engine: str, settings: dict[str, Any], **call: Any) -> BenchResult:
    levels = {"load.warmup_s": 0.0, **settings}
    return asyncio.run(grpclab.bench(target, requests=CALLS, concurrency=4, engine=engine, settings=levels, **call))


def bytes_per_call(found: BenchResult) -> tuple[float, float]:
    assert found.run.summary.succeeded == CALLS
    both = found.run.traffic.bytes_per_call(found.run.calls_made)
    return both["sent_per_call_bytes"], both["received_per_call_bytes"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("count", [1, 3])
def test_requests_arrive_whole_and_take_fewer_bytes(engine: str, count: int) -> None:
    texts = ["lorem ipsum " * 200 + str(number) for number in range(count)]
    sent = {}
    for level in ("none", "gzip"):
        with fake_target() as target:
            call = {"call": "greet.GreeterService/SayHello", "data": [{"name": text} for text in texts]}
            found = load(target.address, engine, {"client.compression": level}, **call)
        names = {greet_pb2.HelloRequest.FromString(*received.messages).name for received in target.calls}
        assert names == set(texts)
        assert found.without_effect == {}
        sent[level] = bytes_per_call(found)[0]
    assert sent["none"] > 2400
    assert sent["gzip"] < sent["none"] / 4


@pytest.mark.parametrize("engine", ENGINES)
def test_a_short_request_is_sent_as_it_is_which_is_said(engine: str) -> None:
    with fake_target() as target:
        found = load(target.address, engine, {"client.compression": "gzip"})
    assert found.run.summary.succeeded == CALLS
    assert list(found.without_effect) == ["client.compression"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("implementation", ["sync", "asyncio"])
def test_a_server_compresses_its_answers(engine: str, implementation: Literal["sync", "asyncio"]) -> None:
    received = {}
    for level in ("none", "gzip"):
        with launch(ServerConfig(implementation=implementation, response_bytes=5000, compression=level)) as server:
            found = load(server.target, engine, {})
        received[level] = bytes_per_call(found)[1]
        if engine == "wire":
            assert found.run.encodings == ({"gzip": CALLS} if level == "gzip" else {})
    assert received["none"] > 5000
    assert received["gzip"] < 1000


def test_an_application_compresses_its_answers(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    config = ServerConfig(compression="gzip")
    with launch_application("echo:register", config, app_dir=str(tmp_path)) as server:
        found = load(server.target, "wire", {"load.request_bytes": 3000})
    assert found.run.encodings == {"gzip": CALLS}
    sent, received = bytes_per_call(found)
    assert received < 1000
    assert sent > 3000


def test_a_channel_for_each_call_leaves_the_bytes_unknown() -> None:
    with fake_target() as target:
        found = load(target.address, "wire", {"client.pooling": "per_call"})
    assert found.run.traffic.to_json()["bytes_sent"] is None
