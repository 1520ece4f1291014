"""What the lab is measured against: nghttpd, a server in C that knows nothing of gRPC but serves its bytes, and the
reference server, which tells how long each call was inside it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from grpclab.calibration.program import ProgramEnded, ProgramStarted, kept
from grpclab.errors import ServerError, WorkerError
from grpclab.generated import greet_pb2
from grpclab.http2.messages import prefixed
from grpclab.servers.process.serving import free_port
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.system import procfs
from grpclab.system.environment import CorePlan
from grpclab.system.subprocesses import START_TIMEOUT_S, Child
from grpclab.system.temporary import TemporaryFolder

SAY_HELLO = "greet.GreeterService/SayHello"
HINT = "sudo apt install nghttp2-client nghttp2-server"
LISTEN_TIMEOUT_S = 10.0
ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True)
class StaticServer:
    """nghttpd, listening. `folder` holds what it serves."""

    target: str
    folder: Path
    pid: int


@contextlib.contextmanager
def nghttpd(cpus: Collection[int] | None = None) -> Iterator[StaticServer]:
    """Serve one greeting, framed and with grpc-status 0, from one thread of nghttpd on loopback.

    Raises MissingDependencyError where it is not installed, ServerError where it does not start.
    """
    with TemporaryFolder() as folder:
        reply = folder / SAY_HELLO
        reply.parent.mkdir()
        greeting = greet_pb2.HelloResponse(message="Hello world").SerializeToString()
        reply.write_bytes(prefixed(greeting))
        for attempt in range(ATTEMPTS):
            port = free_port()
            where = ("-d", str(folder), "-a", "127.0.0.1")
            arguments = ("--no-tls", "-n1", *where, "--trailer", "grpc-status: 0", str(port))
            with kept("nghttpd", *arguments, hint=HINT, cpus=cpus) as keeper:
                pid = keeper.receive(START_TIMEOUT_S, ProgramStarted).pid
                if not _listens(keeper, pid, port) and attempt + 1 < ATTEMPTS:
                    continue  # someone took the port in between
                _require(keeper, pid, port)
                yield StaticServer(target=f"127.0.0.1:{port}", folder=folder, pid=pid)
                return


def _listens(keeper: Child, pid: int, port: int) -> bool:
    """Wait until the program listens, and it alone."""
    end = time.monotonic() + LISTEN_TIMEOUT_S
    while time.monotonic() < end and keeper.alive:
        if procfs.listening_pids(port) == {pid}:
            return True
        time.sleep(0.01)
    return False


def _require(keeper: Child, pid: int, port: int) -> None:
    if procfs.listening_pids(port) == {pid}:
        return
    last_line = ""
    with contextlib.suppress(WorkerError):
        last_line = keeper.receive(0.5, ProgramEnded).output.strip().rpartition("\n")[2]
    raise ServerError(f"nghttpd did not start listening on port {port}{f': {last_line}' if last_line else ''}")


def reference(service_time: str = "none", *, stall: str = "", cores: CorePlan, seed: int) -> ReferenceSpec:
    """What the reference server is asked for: it spins to meet its times where it has a core of its own."""
    return ReferenceSpec(
        service_time=service_time,
        stalls=(stall,) if stall else (),
        pacing="timer" if cores.shared else "spin",
        seed=seed,
    )
