"""Applications, as users write them: a service of package `greet` that is not ours, and faulty ones."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grpclab.servers.process.launcher import RunningServer
from grpclab.system.channels import open_channel
from tests.support.processes import until

MARKED = 120
"""The request of which the service marks when it comes and when it is answered."""

PROTO = """
syntax = "proto3";
package greet;
message HelloRequest { int32 id = 1; }
message HelloReply { string fact = 1; }
service GreeterService { rpc Tell(HelloRequest) returns (HelloReply); }
service Other { rpc Tell(HelloRequest) returns (HelloReply); }
"""

SERVER = '''
"""A service whose answers are facts about its own process."""

import codecs
import json
import os
import sys
import threading
import time

import grpc.aio

import greet_pb2
import greet_pb2_grpc

REGISTERED = []
INSIDE = []
MARKED = 120
ENDED = os.environ.get("ENDED_FILE", os.devnull)


def facts():
    ours = sorted(name for name in sys.modules if name.partition(".")[0] == "grpclab")
    return {"pid": os.getpid(), "ours": ours, "registered": REGISTERED, "thread": threading.current_thread().name}


def mark(word):
    with open(ENDED, "a") as file:
        file.write(f"{word} ")


class Greeter(greet_pb2_grpc.GreeterServiceServicer):
    def Tell(self, request, context):
        INSIDE.append(1)
        if request.id == MARKED:
            mark("inside")
        time.sleep(request.id / (250 if request.id == MARKED else 1000))
        inside = len(INSIDE)
        INSIDE.pop()
        if request.id == MARKED:
            mark("answered")
        return greet_pb2.HelloReply(fact=json.dumps({**facts(), "inside": inside}))


class AsyncGreeter(greet_pb2_grpc.GreeterServiceServicer):
    async def Tell(self, request, context):
        import late_part

        return greet_pb2.HelloReply(fact=json.dumps({**facts(), "late": late_part.__name__}))


def note(server, **given):
    kind = "aio" if isinstance(server, grpc.aio.Server) else "sync" if isinstance(server, grpc.Server) else ""
    REGISTERED.append({"kind": kind, "given": given, "cwd": os.getcwd()})
    print("a line that the application prints")


class Closing:
    def close(self):
        with open(ENDED, "a") as file:
            file.write("closed ")


class AsyncClosing:
    async def aclose(self):
        with open(ENDED, "a") as file:
            file.write("aclosed ")


def register(server, threads, shelf, depth: int = 1):
    note(server, threads=threads, shelf=shelf, depth=depth)
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(Greeter(), server)
    return Closing()


async def register_async(server):
    note(server)
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(AsyncGreeter(), server)
    greet_pb2_grpc.add_OtherServicer_to_server(Greeter(), server)
    return AsyncClosing()


def with_own_health(server):
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha import reflection

    states = health.HealthServicer()
    states.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(states, server)
    reflection.enable_server_reflection(["only.this.Service"], server)
    register(server, 1, "")


def with_async_handlers(server):
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(AsyncGreeter(), server)


def with_a_port(server):
    try:
        server.add_insecure_port("127.0.0.1:0")
    except Exception:
        pass


def with_a_start(server):
    server.start()


def with_a_number(server):
    return 7


def failing(server):
    codecs.decode(b'\\xff', 'ascii')


def with_children(server):
    import subprocess

    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    register(server, 1, "")


def with_a_yield(server):
    register(server, 1, "")
    yield


async def with_an_async_yield(server):
    register(server, 1, "")
    yield


def with_a_hidden_yield(server):
    return with_a_yield(server)


class Pooled(greet_pb2_grpc.GreeterServiceServicer):
    def __init__(self, pool):
        self.pool = pool

    def Tell(self, request, context):
        return greet_pb2.HelloReply(fact=json.dumps({"worker_cpu_s": self.pool.submit(burn).result()}))


def burn():
    while time.process_time() < 0.5:
        pass
    return time.process_time()


def with_a_pool(server):
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork"))
    pool.submit(os.getpid).result()
    greet_pb2_grpc.add_GreeterServiceServicer_to_server(Pooled(pool), server)


def closing_late(server):
    register(server, 1, "")

    class Late:
        def close(self):
            time.sleep(600)

    return Late()


def closing_badly(server):
    register(server, 1, "")

    class Bad:
        def close(self):
            raise OSError("the till is locked")

    return Bad()
'''


def write(folder: Path) -> Path:
    """Write the application, compiled, into a folder; gives that."""
    folder.mkdir(exist_ok=True)
    (folder / "greet.proto").write_text(PROTO)
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--grpc_python_out=.", "greet.proto"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    (folder / "telling.py").write_text(SERVER)
    (folder / "late_part.py").write_text("")
    (folder / "broken_import.py").write_text("import telling\nimport no_such_library\n")
    (folder / "broken_syntax.py").write_text("def register(server:\n    pass\n")
    return folder


def ask(server: RunningServer, *, service: str = "greet.GreeterService", id_: int = 0) -> dict[str, Any]:
    """What the service says of its process."""
    (fact,) = ask_at_once(server, 1, service=service, id_=id_)
    return fact


def ask_at_once(
    server: RunningServer, calls: int, *, service: str = "greet.GreeterService", id_: int = 0
) -> list[dict[str, Any]]:
    """What it says to each of so many calls that are made at once."""
    with open_channel(server.target, security=server.security) as channel:
        call: Any = channel.unary_unary(f"/{service}/Tell")
        request = bytes([0x08, id_]) if id_ else b""
        answers: list[Any] = [call.future(request, timeout=60) for _ in range(calls)]
        return [
            json.loads(answer.result().partition(b"{")[1] + answer.result().partition(b"{")[2]) for answer in answers
        ]


@contextlib.contextmanager
def call_inside(server: RunningServer, ended: Path, *, service: str = "greet.GreeterService") -> Iterator[Any]:
    """A call that is inside the server when the block begins; both its ends are marked in the file `ended`."""
    with open_channel(server.target, security=server.security) as channel:
        call: Any = channel.unary_unary(f"/{service}/Tell")
        answer = call.future(bytes([0x08, MARKED]), timeout=60)
        assert until(lambda: ended.exists() and "inside" in ended.read_text())
        yield answer


def services_at(server: RunningServer) -> set[str]:
    """The services that reflection lists."""
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    with open_channel(server.target, security=server.security) as channel:
        return set(ProtoReflectionDescriptorDatabase(channel).get_services())
