"""Start a server as a child process, be sure it is the one that answers, and leave nothing behind.

::

    with launch(OPTIMIZED.server, cpus={0}) as server:
        server.target        # "127.0.0.1:41873"
        server.usage()       # CPU and memory over all its processes and threads

The port is free (the kernel chose it), the child is known to listen on it itself, and its health service says
SERVING before anyone is let in: a stale server cannot be measured by mistake.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from grpclab.errors import ServerError, UsageError, WorkerError
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.servers.process.server_messages import (
    ApplicationEnded,
    CommandOrder,
    ServedCalls,
    ServerAnswer,
    ServerEnd,
    ServerFailed,
    ServerListening,
    ServerProgram,
)
from grpclab.servers.process.serving import ServeSpec, address
from grpclab.system import procfs
from grpclab.system.channels import open_channel
from grpclab.system.programs import descendants, kill
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, describe_exit, telling_lines
from grpclab.system.temporary import TemporaryFolder
from grpclab.system.transport import PLAINTEXT, Security
from grpclab.text.printable import printable

HEALTH_TIMEOUT_S = 30.0
COMMAND_TIMEOUT_S = 25.0
"""So long a command may take until it listens, unless told otherwise."""


@dataclass
class RunningServer:
    """A server that answers. `calls` and `high_water` are known once it has stopped.

    Without a `process` it runs by itself: nobody here started it, and nobody here stops it; `pids` may be unknown.
    """

    process: Child | None
    target: str
    port: int
    pids: list[int]
    log_path: Path
    security: Security = PLAINTEXT
    """The security of connections to it."""
    desk: str = ""
    """Where its profiling desk is, if it has one."""
    by_command: bool = False
    """Whether somebody's command started it."""
    calls: int | None = None
    high_water: int | None = None
    descriptors: tuple[bytes, ...] = ()
    """Serialized FileDescriptorProtos of an application's services, each after those that it imports."""
    program: ServerProgram = field(default_factory=ServerProgram)
    """The identity of an application's program when it had registered."""
    program_at_end: ServerProgram | None = None
    """The same when it had stopped: with what was imported later."""
    own_health: bool = False
    """Whether its health service is the application's; `health` is then what that says."""
    health: str = ""
    threaded: tuple[str, ...] = ()
    """The methods of an application whose handlers are not ``async def``."""
    trouble: str = ""
    """What went wrong when an application was closed."""
    end_timeout_s: float = 10.0
    _stopped: bool = field(default=False, repr=False)

    @property
    def child(self) -> Child:
        """The process of ours that started it, and that stops it."""
        assert self.process is not None, "nobody here started it"
        return self.process

    @property
    def alive(self) -> bool:
        """True while it runs; of a server that runs by itself nothing else is known."""
        return self.process is None or self.process.alive

    def require_alive(self) -> None:
        """Raise ServerError, with the last lines of its log, if it has died."""
        if not self.alive:
            if self.by_command:
                raise ServerError(_command_failure(self.log_path))
            code = self.child.popen.poll()
            assert code is not None
            raise ServerError(f"the server {describe_exit(code)}{log_tail(self.log_path)}")

    def await_end(self, timeout_s: float) -> None:
        """Wait until it has ended, for so long at most."""
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.popen.wait(timeout_s)

    def usage(self) -> procfs.Usage:
        """CPU and memory so far, over all its processes and threads; NaN where these are unknown."""
        used = procfs.usage(self.pids)
        return used if self.pids else replace(used, cpu_s=math.nan, user_s=math.nan, kernel_s=math.nan)

    def connections(self, *, excluding: Collection[int] = ()) -> list[int]:
        """TCP connections established to it now, seen from outside, one count for each of its processes."""
        return procfs.connections(self.pids, self.port, excluding=excluding)

    def stop(self) -> None:
        """Drain and stop it; learns `calls` and `high_water`. Safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        if self.process is None:
            return
        if self.alive:
            self.child.popen.terminate()
            with contextlib.suppress(WorkerError):
                end = self.child.receive(self.end_timeout_s, ServerEnd)
                if isinstance(end, ServedCalls):
                    self.calls, self.high_water = end.calls, end.high_water
                if isinstance(end, ApplicationEnded):
                    self.trouble = end.trouble
                    self.program_at_end = ServerProgram(files=end.files, versions=self.program.versions)
        self.child.stop()

    def abandon(self) -> None:
        """Stop it at once, whatever calls it has."""
        self._stopped = True
        if self.process is not None:
            self.child.abandon()


def log_tail(path: Path, lines: int = 3) -> str:
    """The last telling lines of a log as ``: ...``, or nothing."""
    last_lines = _telling_lines(path)[-lines:]
    return f": {' | '.join(last_lines)}" if last_lines else ""


def _telling_lines(path: Path) -> list[str]:
    try:
        return telling_lines(path.read_text(errors="replace"))
    except OSError:
        return []


def _command_failure(path: Path) -> str:
    """The reason why a command's server ended, by the last line of its log, and the last line that it wrote itself."""
    *written, why = _telling_lines(path) or ["the command ended"]
    return f"{why}; its last line was: {printable(written[-1], 200)}" if written else f"{why}; it wrote nothing"


def _failure(answer: ServerFailed) -> ServerError | UsageError:
    """The error about a server that says why it cannot start; ``-v`` shows the traceback of the user's code."""
    if answer.usage:
        return UsageError(answer.text)
    error = ServerError(f"the server could not be started: {answer.text}")
    if answer.trace:
        error.add_note(answer.trace)
    return error


@contextlib.contextmanager
def launch(
    config: ServerConfig,
    *,
    cpus: Collection[int] | None = None,
    log_path: Path | None = None,
    env: Mapping[str, str] | None = None,
    port: int = 0,
    seed: int = 1,
    hold: int = 0,
) -> Iterator[RunningServer]:
    """Run a server of this configuration on loopback until the block is left. Raises ServerError."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(TemporaryFolder())
        if config.tls:
            from grpclab.servers import tls

            tls.issue(folder)
        settings = TrialConfig(server=config).differences(TrialConfig())
        spec = ServeSpec(settings=settings, port=port, seed=seed, hold=hold, folder=str(folder))
        roots = (folder / "ca.pem").read_bytes() if config.tls else None
        security = Security(tls=config.tls, roots=roots)
        server = stack.enter_context(
            launched(
                "grpclab.servers.process.child",
                spec,
                cpus=cpus,
                log_path=log_path,
                env=env,
                security=security,
            )
        )
        yield server


@contextlib.contextmanager
def launch_command(
    command: str,
    *,
    cpus: Collection[int] | None = None,
    log_path: Path | None = None,
    env: Mapping[str, str] | None = None,
    start_timeout_s: float = COMMAND_TIMEOUT_S,
) -> Iterator[RunningServer]:
    """Run a server by its command, in which ``{port}`` becomes a free port, until the block is left.

    It must listen on 127.0.0.1 without TLS, within `start_timeout_s`. Raises ServerError.
    """
    with launched(
        "grpclab.servers.process.command",
        CommandOrder(command=command, timeout_s=start_timeout_s),
        cpus=cpus,
        log_path=log_path,
        env=env,
        healthy=False,
        by_command=True,
        timeout_s=START_TIMEOUT_S + start_timeout_s,  # what starts the command needs some of it, on a busy machine
    ) as server:
        yield server


@contextlib.contextmanager
def launched(
    module: str | Sequence[str],
    order: object,
    *,
    cpus: Collection[int] | None = None,
    log_path: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    security: Security = PLAINTEXT,
    healthy: bool = True,
    by_command: bool = False,
    timeout_s: float = START_TIMEOUT_S,
) -> Iterator[RunningServer]:
    """Run `module`, which serves what its `order` says, as a child process on loopback until the block is left.

    `module` may also be the words of a program. Without `healthy` nobody asks whether it is. It may take `timeout_s` to
    start. Raises ServerError, or UsageError where it says that what was asked for cannot be right.
    """
    with contextlib.ExitStack() as stack:
        if log_path is None:
            folder = stack.enter_context(TemporaryFolder())
            log_path = folder / "server.log"
        log = stack.enter_context(log_path.open("wb"))
        started: list[psutil.Process] = []
        stack.callback(kill, started)  # what is left of a command, where the child that looks after it was killed
        child = stack.enter_context(Child(module, name="server", cpus=cpus, log=log, env=env))
        try:
            child.send(order)
            answer = child.receive(timeout_s, ServerAnswer)
        except WorkerError as error:
            why = _command_failure(log_path) if by_command else f"{error}{log_tail(log_path)}"
            raise ServerError(f"the server could not be started: {why}") from None
        if isinstance(answer, ServerFailed):
            raise _failure(answer)
        assert isinstance(answer, ServerListening)
        listening = answer
        for pid in listening.started:
            with contextlib.suppress(psutil.Error):
                started.append(psutil.Process(pid))
        server = RunningServer(
            process=child,
            target=address("127.0.0.1", listening.port),
            port=listening.port,
            pids=list(listening.pids),
            log_path=log_path,
            security=security,
            desk=listening.desk,
            by_command=by_command,
            descriptors=listening.descriptors,
            program=listening.program,
            own_health=listening.own_health,
            threaded=listening.threaded,
        )
        strangers = procfs.listening_pids(server.port) - {*server.pids, child.pid}
        strangers -= {process.pid for process in descendants(child.pid)}  # workers that came up meanwhile
        if strangers:
            raise ServerError(f"port {server.port} is shared with another server (pid {min(strangers)}): stop it")
        if healthy:
            check_health(server.target, server.security)
        try:
            yield server
        except KeyboardInterrupt:  # a handler that never ends must not hold up who wants to leave
            server.abandon()
            raise
        finally:
            server.stop()


def check_health(target: str, security: Security = PLAINTEXT, timeout_s: float = HEALTH_TIMEOUT_S) -> None:
    """Wait until the health service at `target` says SERVING. Raises ServerError after `timeout_s`."""
    with open_channel(target, security=security) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s, wait_for_ready=True)
        except grpc.RpcError as error:
            raise ServerError(f"the server at {target} is not healthy: {error.code().name}") from None
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise ServerError(f"the server at {target} is not serving: health status {answer.status}")
