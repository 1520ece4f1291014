"""The messages between a server's process, or that of its diagnostics server, and the process that started it.

A server's first message is its order, a :class:`~grpclab.servers.process.serving.ServeSpec`, a ReferenceSpec, an
ApplicationOrder or a :class:`CommandOrder`. It answers with a :class:`ServerAnswer`, and with a :class:`ServerEnd` when
it has been stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from grpclab.servers.process.program import ProgramFile, ServerProgram
from grpclab.system.transport import PLAINTEXT, Security


@dataclass(frozen=True, kw_only=True)
class CommandOrder:
    """Start a server by its command, in which ``{port}`` stands for its port, or ``{socket}`` for its socket's path."""

    command: str
    timeout_s: float
    """The time within which it has to be ready."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """The levels of the plan's ``arg.NAME`` by NAME."""
    changes: Mapping[str, str | None] = field(default_factory=dict)
    """What becomes of variables of its environment; None unsets one."""
    cwd: str = ""
    ready: str = "tcp"
    """See :mod:`grpclab.servers.process.readiness`."""
    security: Security = PLAINTEXT
    """Of the connections on which its health service is asked."""
    socket: str = ""
    """The path of the Unix socket on which it is to listen; "" for a port."""
    log: str = ""
    """The path of the file that standard error is."""


@dataclass(frozen=True, kw_only=True)
class ErrandOrder:
    """Run a command to its end: one that prepares a server's start, or cleans up after it."""

    command: str
    timeout_s: float
    arguments: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, str | None] = field(default_factory=dict)
    cwd: str = ""


@dataclass(frozen=True, kw_only=True)
class ErrandDone:
    """The end of a command that an ErrandOrder started."""

    seconds: float
    trouble: str = ""
    """Why it failed, in words."""


class ServerAnswer:
    """The answer to a server's order."""


@dataclass(frozen=True, kw_only=True)
class ServerFailed(ServerAnswer):
    """The server cannot start."""

    text: str
    usage: bool = False
    """Whether what was asked for cannot be right."""
    trace: str = ""
    """The traceback of an exception in the user's code."""


@dataclass(frozen=True, kw_only=True)
class ServerListening(ServerAnswer):
    """The server answers calls on this port."""

    port: int
    pids: tuple[int, ...]
    """Its processes."""
    started: tuple[int, ...] = ()
    """Those of them that its command started here."""
    desk: str = ""
    """The address of its diagnostics server; empty where there is none."""
    descriptors: tuple[bytes, ...] = ()
    """Serialized FileDescriptorProtos of its services, each after those that it imports."""
    program: ServerProgram = field(default_factory=ServerProgram)
    own_health: bool = False
    """Whether its health service is the application's."""
    threaded: tuple[str, ...] = ()
    """The methods of an application whose handlers are not ``async def``."""
    from_checkout: tuple[str, ...] = ()
    """The modules of an application at a revision that came from the user's checkout all the same."""


class ServerEnd:
    """The end of a server that was stopped."""


@dataclass(frozen=True, kw_only=True)
class ServedCalls(ServerEnd):
    """The server has drained: its calls, and how many of them were inside at once at most."""

    calls: int
    high_water: int


@dataclass(frozen=True, kw_only=True)
class CommandEnded(ServerEnd):
    """The command has ended; nobody knows how many calls its server had."""


@dataclass(frozen=True, kw_only=True)
class ApplicationEnded(ServerEnd):
    """An application's server has drained, and the application has been closed."""

    trouble: str = ""
    """What went wrong when it was closed."""
    files: tuple[ProgramFile, ...] = ()
    """The files that it has imported in the end."""


@dataclass(frozen=True, kw_only=True)
class DiagnosticsOrder:
    """Show what these processes do, on this address; `port` 0 is any free one.

    `folder` holds their counters and their agents' sockets, if any; with a `token`, every request has to carry it.
    """

    pids: tuple[int, ...]
    host: str
    port: int
    folder: str
    token: str
    heap: bool = True
    """Whether their agents tell of their memory."""


class DiagnosticsAnswer:
    """The answer to a DiagnosticsOrder."""


@dataclass(frozen=True, kw_only=True)
class DiagnosticsListening(DiagnosticsAnswer):
    """The diagnostics server answers on this port."""

    port: int


@dataclass(frozen=True, kw_only=True)
class DiagnosticsFailed(DiagnosticsAnswer):
    """The diagnostics server cannot start."""

    text: str
