"""Serving in one process: listen, say so, answer until told to stop, drain, say what was served."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import gc
import os
import select
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from grpclab.errors import ServerError
from grpclab.factors.config import ServerConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.servers.process.server_messages import ServedCalls, ServerListening

DRAIN_S = 5.0

Announce = Callable[[ServerListening], None]
"""Is called once the server answers."""


AtOnce = Callable[[int], object]
"""Ends the process on a second signal, which does not wait for the calls that are still inside; is given its number."""


def leave_at_once(_number: int) -> NoReturn:
    """End this process as a child does: what it leaves behind is its parent's."""
    os._exit(1)


def stop_signals() -> list[signal.Signals]:
    """The signals that stop a server; SIGHUP is none of them where nohup has it ignored."""
    hung_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]
    return [signal.SIGTERM, signal.SIGINT, *hung_up]


class StopSignals:
    """The signals that stop this process, caught from now on. Make one on the main thread.

    They come through a pipe that is written to as soon as one arrives. A handler in Python runs when the main thread
    next runs Python: one that arrives just before that thread begins to wait for a lock would be lost.
    """

    def __init__(self) -> None:
        self._numbers = stop_signals()
        self._pipe, wake = os.pipe()
        os.set_blocking(wake, False)
        for number in self._numbers:
            signal.signal(number, _go_on)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def wait(self, timeout_s: float | None = None) -> int:
        """The number of the next one; 0 where none comes in time."""
        while self._poll.poll(None if timeout_s is None else 1e3 * timeout_s):
            (number,) = os.read(self._pipe, 1)
            if number in self._numbers:  # an application may catch others
                return number
        return 0


def _go_on(*_: object) -> None:
    """Do nothing: the pipe has the signal."""


@dataclass(frozen=True, kw_only=True)
class ServeSpec:
    """The order to serve. `settings` are server factors by dotted name; `port` 0 is any free one."""

    settings: Mapping[str, Level] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 0
    hold: int = 0
    """Keep every call inside until this many are in (for tests of capacity)."""
    seed: int = 1
    """Of what is drawn: how long each handler waits."""
    folder: str = ""
    """Private to this server and removed by who started it: certificates, counters, sockets."""
    certs: str = ""
    """The folder of the user's certificates; "" for those in `folder`."""
    shared_port: bool = False
    """One of several processes on a port that their parent holds."""
    drain_delay_s: float = 0.0
    """When it is stopped, it reports NOT_SERVING for so long before it refuses calls. Clients that watch its health use
    other servers by then; without this time, calls that are on their way are lost."""

    @property
    def config(self) -> ServerConfig:
        """The server's factors."""
        return TrialConfig().replace(self.settings).server

    def replace(self, **changes: Any) -> ServeSpec:
        """A copy with changes."""
        return dataclasses.replace(self, **changes)


def address(host: str, port: int) -> str:
    """``host:port`` with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def free_port() -> int:
    """A port of loopback that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def require_free_port(host: str, port: int, *, remedy: str = "--port") -> None:
    """Raise ServerError if anything listens there already; `remedy` is what chooses another.

    SO_REUSEPORT, which grpcio sets, would let two servers share a port without a word; so the port is first
    bound without it.
    """
    if port == 0:
        return
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServerError(
                f"port {port} on {host} is in use: stop the program that listens there, or choose another port with "
                f"{remedy}"
            ) from None
        raise ServerError(f"cannot listen on {address(host, port)}: {error.strerror}") from None


def credentials(spec: ServeSpec) -> Any:
    """Server credentials, of the kind that the server takes, or None without TLS."""
    if not spec.config.tls:
        return None
    from grpclab.servers import tls

    config = spec.config
    if config.implementation in ("grpclib", "betterproto2"):
        return tls.ssl_context(Path(spec.certs or spec.folder), mutual=config.mutual_tls)
    if config.implementation == "connectrpc":
        return Path(spec.certs or spec.folder)
    return tls.server_credentials(Path(spec.certs or spec.folder), mutual=config.mutual_tls, reload=config.tls_reload)


def freeze_start_up() -> None:
    """Leave what was imported out of garbage collections.

    A full collection goes through all of it: about 10 ms in which no call is answered, several times a second under
    load, whenever chance has it. It is grpclab's and grpcio's, not a service's.
    """
    gc.collect()
    gc.freeze()


def serve(spec: ServeSpec, announce: Announce, at_once: AtOnce = leave_at_once) -> ServedCalls:
    """Serve in this process until a signal stops it; returns the counts. Call it on the main thread."""
    if not spec.shared_port:
        require_free_port(spec.host, spec.port)
    if spec.config.threaded:
        return _serve_sync(spec, announce, at_once)
    if spec.config.event_loop == "uvloop":
        try:
            import uvloop
        except ImportError:
            raise ServerError("server.event_loop=uvloop: uvloop is not installed (pip install uvloop)") from None
        return uvloop.run(_serve_async(spec, announce, at_once))
    return asyncio.run(_serve_async(spec, announce, at_once))


def _serve_sync(spec: ServeSpec, announce: Announce, at_once: AtOnce) -> ServedCalls:
    from grpclab.servers.build import sync_server
    from grpclab.servers.greeter import CallCount
    from grpclab.servers.instrumentation import flush

    signals = StopSignals()
    count = CallCount()
    server, health, port = sync_server(
        spec.config,
        address(spec.host, spec.port),
        count=count,
        seed=spec.seed,
        hold=spec.hold,
        credentials=credentials(spec),
    )
    server.start()
    freeze_start_up()
    announce(ServerListening(port=port, pids=(os.getpid(),)))
    signals.wait()
    health.enter_graceful_shutdown()
    if number := signals.wait(spec.drain_delay_s):
        at_once(number)
    drained = server.stop(DRAIN_S)
    # A second signal does not wait for the calls that are still inside.
    while not drained.wait(0.05):
        if number := signals.wait(0):
            at_once(number)
    flush(spec.config)
    return ServedCalls(calls=count.calls, high_water=count.high_water)


async def _serve_async(spec: ServeSpec, announce: Announce, at_once: AtOnce) -> ServedCalls:
    from grpclab.servers.build import async_server
    from grpclab.servers.greeter import CallCount
    from grpclab.servers.instrumentation import flush

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stop_signals():
        loop.add_signal_handler(number, stop.set)
    count = CallCount()
    server, health, port = await async_server(
        spec.config,
        address(spec.host, spec.port),
        count=count,
        seed=spec.seed,
        hold=spec.hold,
        credentials=credentials(spec),
    )
    await server.start()
    freeze_start_up()
    announce(ServerListening(port=port, pids=getattr(server, "pids", (os.getpid(),))))  # another process may serve
    await stop.wait()
    for number in stop_signals():
        loop.add_signal_handler(number, at_once, number)
    await health.enter_graceful_shutdown()
    await asyncio.sleep(spec.drain_delay_s)
    await server.stop(DRAIN_S)
    flush(spec.config)
    return ServedCalls(calls=count.calls, high_water=count.high_water)
