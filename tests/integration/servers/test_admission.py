"""The factor `server.admission`: a call that would wait too long is refused while the others still wait."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from grpclab.factors.config import ServerConfig
from grpclab.servers.hosting.application import launch_application
from grpclab.servers.process.launcher import launch
from tests.support.greeting import greeter_at, hello
from tests.support.processes import until

THREADS, MOST, CALLS = 2, 3, 20
BLOCKING = """
import pathlib
import time

import grpc.aio

from grpclab.generated import greet_pb2, greet_pb2_grpc


class Greeter(greet_pb2_grpc.GreeterServiceServicer):
    def SayHello(self, request, context):
        folder = pathlib.Path(request.name)
        (folder / "inside").touch()
        while not (folder / "door").exists():
            time.sleep(0.01)
        return greet_pb2.HelloResponse(message="done")


class AsyncGreeter(Greeter):
    async def SayHello(self, request, context):
        return super().SayHello(request, context)


def register(server):
    greeter = AsyncGreeter() if isinstance(server, grpc.aio.Server) else Greeter()
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(greeter, server)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "blocking.py").write_text(BLOCKING)
    return tmp_path


@pytest.mark.parametrize(
    ("config", "accepted", "code"),
    [
        (ServerConfig(threads=THREADS), {THREADS + MOST}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (ServerConfig(threads=1, spare_threads=THREADS - 1), {THREADS + MOST}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        # One call blocks the loop; gRPC's core may have one that the loop has asked for.
        (ServerConfig(implementation="asyncio"), {1 + MOST, 2 + MOST}, grpc.StatusCode.CANCELLED),
    ],
    ids=["threads", "spare threads", "event loop"],
)
def test_calls_beyond_the_bound_fail_while_those_before_them_wait(
    config: ServerConfig, accepted: set[int], code: grpc.StatusCode, folder: Path
) -> None:
    hosted = replace(config, admission=MOST)
    request = hello(str(folder))
    with (
        launch_application("blocking:register", hosted, app_dir=str(folder)) as server,
        greeter_at(server.target) as stub,
    ):
        calls: list[Any] = [stub.SayHello.future(request, timeout=60)]
        assert until((folder / "inside").exists)
        calls += [stub.SayHello.future(request, timeout=60) for _ in range(CALLS - 1)]
        assert until(lambda: sum(call.done() for call in calls) >= CALLS - max(accepted))
        assert {call.code() for call in calls if call.done()} == {code}
        (folder / "door").touch()
        codes = [call.code() for call in calls]
        assert set(codes) == {grpc.StatusCode.OK, code}
        assert codes.count(grpc.StatusCode.OK) in accepted
        assert stub.SayHello(request, timeout=60).message == "done", "a server that has caught up accepts calls again"


def test_the_greeter_refuses_calls_as_well() -> None:
    config = ServerConfig(threads=THREADS, admission=MOST, handler_wait_ms="1000", metrics=True)
    with launch(config) as server, greeter_at(server.target) as stub:
        calls = [stub.SayHello.future(hello(), timeout=60) for _ in range(CALLS)]
        codes = [call.code() for call in calls]
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes.count(grpc.StatusCode.OK) >= THREADS + MOST
