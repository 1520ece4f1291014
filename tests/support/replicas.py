"""Servers with the same port on several addresses of this machine, as `grpclab serve` starts them, and their calls."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.command import GRPCLAB, unused_port

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


@dataclass(kw_only=True)
class Replica:
    """One of the servers. It logs each call, so that they can be counted, also those before it was killed."""

    host: str
    port: int
    implementation: str
    log: Path
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self) -> None:
        """Start it, or start it again; it is listening then."""
        self.begin()
        self.await_listening()

    def begin(self) -> None:
        """Start it without waiting for it."""
        levels = (f"server.implementation={self.implementation}", "server.access_log_share=1")
        words = ["basic", "--host", self.host, "--port", str(self.port), *(w for one in levels for w in ("--set", one))]
        with self.log.open("a") as log:
            process = subprocess.Popen([*GRPCLAB, "serve", *words], stdout=subprocess.PIPE, stderr=log, text=True)
        self._running.append(process)

    def await_listening(self) -> None:
        """Wait until it listens."""
        process = self._running[-1]
        assert process.stdout is not None
        assert f" on {self.host}:{self.port} " in process.stdout.readline()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        for process in self._running:
            process.kill()
            process.communicate(timeout=60)
        self._running.clear()

    @property
    def running(self) -> bool:
        """Whether it was started, and not killed since."""
        return bool(self._running)

    @property
    def calls(self) -> int:
        """The greetings that it has answered so far."""
        return self.log.read_text().count('"method": "/greet.GreeterService/SayHello"')


@contextlib.contextmanager
def replicas(implementation: str, folder: Path) -> Iterator[list[Replica]]:
    """Three servers that are listening; none is left behind."""
    port = unused_port()
    servers = [Replica(host=host, port=port, implementation=implementation, log=folder / host) for host in HOSTS]
    try:
        for server in servers:
            server.begin()
        for server in servers:
            server.await_listening()
        yield servers
    finally:
        for server in servers:
            server.kill()
