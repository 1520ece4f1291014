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
import os
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from grpclab.errors import ServerError, UsageError, WorkerError, invalid
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.servers.process.collector import collected, scratch
from grpclab.servers.process.filling import SOCKET, placeholders
from grpclab.servers.process.health import check_health
from grpclab.servers.process.program import ServerProgram, identity_of
from grpclab.servers.process.server_log import bounded, end_of, quoted
from grpclab.servers.process.server_messages import (
    ApplicationEnded,
    CommandOrder,
    ServedCalls,
    ServerAnswer,
    ServerEnd,
    ServerFailed,
    ServerListening,
)
from grpclab.servers.process.serving import ServeSpec, address
from grpclab.system import procfs
from grpclab.system.addresses import UNIX
from grpclab.system.notices import Notice
from grpclab.system.programs import descendants, kill
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, describe_exit, exit_code_within
from grpclab.system.temporary import TemporaryFolder
from grpclab.system.transport import PLAINTEXT, Security

COMMAND_TIMEOUT_S = 25.0
"""So long a command may take until it is ready, unless told otherwise."""
MOST_LINES = 3
"""Of a command's output in the error about its end."""
LONGEST_SOCKET_PATH = 103
"""In bytes; what the least of the systems takes."""


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
    """The address of its diagnostics server, if it has one."""
    helpers: list[int] = field(default_factory=list)
    """Processes beside it that belong to what it costs, and that it has not started itself."""
    by_command: bool = False
    """Whether somebody's command started it."""
    calls: int | None = None
    high_water: int | None = None
    descriptors: tuple[bytes, ...] = ()
    """Serialized FileDescriptorProtos of an application's services, each after those that it imports."""
    program: ServerProgram = field(default_factory=ServerProgram)
    """The identity of its program: of an application when it had registered, of a command before it was started."""
    program_at_end: ServerProgram | None = None
    """The same when it had stopped: with what was imported later."""
    own_health: bool = False
    """Whether its health service is the application's; `health` is then what that says."""
    health: str = ""
    threaded: tuple[str, ...] = ()
    """The methods of an application whose handlers are not ``async def``."""
    from_checkout: tuple[str, ...] = ()
    """The modules of an application at a revision that came from the user's checkout all the same."""
    trouble: str = ""
    """What went wrong when an application was closed."""
    notices: list[Notice] = field(default_factory=list)
    """What whoever reads its figures should know."""
    prepare_s: float | None = None
    """So long the command took that was run before its start; None without one."""
    cleanup_s: float | None = None
    """So long the one took that was run after its stop."""
    end_timeout_s: float = 10.0
    _stopped: bool = field(default=False, repr=False)

    @property
    def child(self) -> Child:
        """The process of ours that started it, and that stops it."""
        assert self.process is not None, "grpclab did not start it"
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
                exit_code_within(self.child.popen, timeout_s)

    def usage(self) -> procfs.Usage:
        """CPU and memory so far, over all its processes and threads, its helpers, and all that these started; NaN where
        its processes are unknown."""
        used = procfs.usage([*self.pids, *self.helpers], families=True)
        return used if self.pids else replace(used, cpu_s=math.nan, user_s=math.nan, kernel_s=math.nan)

    def connections(self, *, excluding: Collection[int] = ()) -> list[int]:
        """Connections established to it now, seen from outside, one count for each of its processes.

        Those to a Unix socket have no other end that is known: all count, whatever is to be excluded.
        """
        if self.target.startswith(UNIX):
            counts = procfs.UnixSocket.at(self.target.removeprefix(UNIX)).connections
            return [counts.get(pid, 0) for pid in self.pids]
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
                    self.program_at_end = replace(self.program, files=end.files)
        self.child.stop()

    def abandon(self) -> None:
        """Stop it at once, whatever calls it has."""
        self._stopped = True
        if self.process is not None:
            self.child.abandon()


def log_tail(path: Path, lines: int = 3) -> str:
    """The last telling lines of a log as ``: ...``, or nothing."""
    last_lines = end_of(path)[-lines:]
    return f": {' | '.join(last_lines)}" if last_lines else ""


def _command_failure(path: Path) -> str:
    """The reason why a command's server ended, by the last line of its log, and the last lines that it wrote itself."""
    *written, why = end_of(path) or ["the command ended"]
    if not written:
        return f"{why}; it wrote nothing"
    lines = written[-MOST_LINES:]
    return f"{why}; its last {'line was' if len(lines) == 1 else 'lines were'}: {quoted(lines)}"


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
    env: Mapping[str, str | None] | None = None,
    port: int = 0,
    seed: int = 1,
    hold: int = 0,
) -> Iterator[RunningServer]:
    """Run a server of this configuration on loopback until the block is left. Raises ServerError."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(TemporaryFolder())
        security = PLAINTEXT
        if config.tls:
            from grpclab.servers import tls

            security = tls.issue(folder, mutual=config.mutual_tls)
        settings = TrialConfig(server=config).differences(TrialConfig())
        spec = ServeSpec(settings=settings, port=port, seed=seed, hold=hold, folder=str(folder))
        server = stack.enter_context(
            launched(
                "grpclab.servers.process.child",
                spec,
                cpus=cpus,
                log_path=log_path,
                env={**scratch(config, folder), **stack.enter_context(collected(config, env, cpus))},
                security=security,
            )
        )
        yield server


@contextlib.contextmanager
def launch_command(
    command: str,
    *,
    arguments: Mapping[str, str] | None = None,
    changes: Mapping[str, str | None] | None = None,
    cwd: str = "",
    ready: str = "tcp",
    security: Security = PLAINTEXT,
    cpus: Collection[int] | None = None,
    log_path: Path | None = None,
    env: Mapping[str, str] | None = None,
    start_timeout_s: float = COMMAND_TIMEOUT_S,
) -> Iterator[RunningServer]:
    """Run a server by its command until the block is left.

    In the command ``{port}`` becomes a free port, or ``{socket}`` the path of a Unix socket, and ``{NAME}`` the
    argument of that name. It runs in the folder `cwd` with these `changes` of its environment, of which None unsets a
    variable, and has to listen on 127.0.0.1 with this `security`, and to be `ready`
    (:mod:`grpclab.servers.process.readiness`), within `start_timeout_s`. Raises ServerError.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(TemporaryFolder())
        log_path = log_path or folder / "server.log"
        socket = _socket_path(folder) if SOCKET in placeholders(command) else ""
        order = CommandOrder(
            command=command,
            timeout_s=start_timeout_s,
            arguments=dict(arguments or {}),
            changes=dict(changes or {}),
            cwd=cwd,
            ready=ready,
            security=security,
            socket=socket,
            log=str(log_path),
        )
        program = identity_of(command, arguments=arguments, cwd=cwd)
        server = stack.enter_context(
            launched(
                "grpclab.servers.process.command",
                order,
                cpus=cpus,
                log_path=log_path,
                env=env,
                security=security,
                healthy=False,
                by_command=True,
                timeout_s=START_TIMEOUT_S + start_timeout_s,  # what starts it needs some, on a busy machine
                socket=socket,
            )
        )
        server.program = program
        yield server


def _socket_path(folder: Path) -> str:
    """The path of a Unix socket in a folder. Raises UsageError where the system takes none so long."""
    path = folder / "s"
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise UsageError(invalid("TMPDIR", folder.parent, "a shorter path, since a Unix socket is created in it"))
    return str(path)


def _refuse_strangers(server: RunningServer) -> None:
    """Raise ServerError where another server listens on the same port."""
    strangers = procfs.listening_pids(server.port) - {*server.pids, server.child.pid}
    strangers -= {process.pid for process in descendants(server.child.pid)}  # workers that came up meanwhile
    if strangers:
        raise ServerError(f"port {server.port} is shared with another server (pid {min(strangers)}): stop it")


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
    socket: str = "",
) -> Iterator[RunningServer]:
    """Run `module`, which serves what its `order` says, as a child process on loopback until the block is left.

    `module` may also be the words of a program. Without `healthy` nobody asks whether it is. It may take `timeout_s` to
    start. It listens on a port that it chooses, or on the Unix socket with the path `socket`. Raises ServerError, or
    UsageError where it says that what was asked for cannot be right.
    """
    with contextlib.ExitStack() as stack:
        if log_path is None:
            folder = stack.enter_context(TemporaryFolder())
            log_path = folder / "server.log"
        log = stack.enter_context(log_path.open("wb"))
        stack.enter_context(bounded(log_path))
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
            target=f"{UNIX}{socket}" if socket else address("127.0.0.1", listening.port),
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
            from_checkout=listening.from_checkout,
        )
        if not socket:
            _refuse_strangers(server)
        if healthy:
            check_health(server.target, server.security)
        try:
            yield server
        except KeyboardInterrupt:  # a handler that never ends must not hold up who wants to leave
            server.abandon()
            raise
        finally:
            server.stop()
