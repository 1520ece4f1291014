"""When a server is ready: it accepts connections (``tcp``), says so in its log (``log:REGEX``), or is healthy.

``health`` asks gRPC's health service until it says SERVING. Whatever it says, a server that is ready also listens.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from grpclab.servers.process.server_log import LogWatch
from grpclab.system.addresses import UNIX
from grpclab.system.transport import PLAINTEXT, Security

TCP, HEALTH, LOG = "tcp", "health", "log:"
ASK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Where a server is to listen: a port of 127.0.0.1, or a Unix socket."""

    port: int = 0
    path: str = ""

    @property
    def target(self) -> str:
        """Its address, as a client dials it."""
        return f"{UNIX}{self.path}" if self.path else f"127.0.0.1:{self.port}"

    @property
    def name(self) -> str:
        """The same for a sentence."""
        return f"the Unix socket {self.path}" if self.path else f"127.0.0.1:{self.port}"

    def accepts(self) -> bool:
        """Whether it accepts a connection."""
        family, where = (socket.AF_UNIX, self.path) if self.path else (socket.AF_INET, ("127.0.0.1", self.port))
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(ASK_S)
            connection.connect(where)
            return True
        return False


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition on the way to a ready server."""

    holds: Callable[[], bool]
    missing: Callable[[], str]
    """What has not happened while it does not hold, for a sentence."""


def conditions(ready: str, listener: Listener, log: Path, security: Security = PLAINTEXT) -> list[Condition]:
    """The conditions that have to hold, one after another, until a server is ready. Its log is watched from now on."""
    listens = Condition(holds=listener.accepts, missing=lambda: f"listen on {listener.name}")
    if ready == TCP:
        return [listens]
    if ready == HEALTH:
        health = _Health(listener.target, security)
        return [
            listens,
            Condition(holds=health.serves, missing=lambda: f"become healthy: its health service {health.said}"),
        ]
    expression = ready.removeprefix(LOG)
    watch = LogWatch(log, re.compile(expression))
    return [Condition(holds=watch.matched, missing=lambda: f"write a line that matches {expression}"), listens]


class _Health:
    """The health service of a server that is being started."""

    def __init__(self, target: str, security: Security) -> None:
        self._target, self._security = target, security
        self.said = "was not asked"

    def serves(self) -> bool:
        """Whether it says SERVING."""
        from grpclab.servers.process.health import health_status  # loads grpcio, which few commands need

        status = health_status(self._target, self._security, ASK_S)
        self.said = f"says {status}" if status != "UNIMPLEMENTED" else "does not exist (ready = tcp does not need it)"
        return status == "SERVING"
