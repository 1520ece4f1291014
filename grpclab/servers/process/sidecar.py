"""The diagnostics server beside a server: a process of its own, started by name, so that no server imports it.

While a server counts its calls (``server.metrics``) or has a diagnostics server (``server.desk``), its processes share
a private folder: prometheus_client's counters, and a socket of each process for what only it can tell (see
:mod:`grpclab.servers.agent`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import os
import re
import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from grpclab.errors import MissingDependencyError, ServerError, UsageError, WorkerError, invalid
from grpclab.servers.instrumentation import FOLDER_VARIABLE
from grpclab.servers.process.exposure import listen_address
from grpclab.servers.process.server_messages import (
    DiagnosticsAnswer,
    DiagnosticsFailed,
    DiagnosticsListening,
    DiagnosticsOrder,
    ServerListening,
)
from grpclab.servers.process.serving import Announce, ServeSpec, address, require_free_port
from grpclab.system.addresses import is_loopback
from grpclab.system.optional import needs
from grpclab.system.subprocesses import START_TIMEOUT_S, Child
from grpclab.system.temporary import TemporaryFolder

DEFAULT_PORT = 3000
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,}", re.ASCII)
"""A token that somebody chose, which fits into an address as it is."""
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
log = logging.getLogger("grpclab.serve")
NEEDS = ("aiohttp", "jinja2", "prometheus_client")


def require_diagnostics() -> None:
    """Raise MissingDependencyError, with the remedy, where its libraries are missing."""
    for name in NEEDS:
        if importlib.util.find_spec(name) is None:
            raise needs("the diagnostics server", name, "desk")


@dataclass(frozen=True, kw_only=True)
class DiagnosticsAddress:
    """The address on which a diagnostics server listens; `port` 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 0
    token: str = ""
    """What each request has to carry; "" is nothing on loopback, and a token that is made up elsewhere."""

    @property
    def local(self) -> bool:
        """True if only this machine reaches it."""
        return is_loopback(self.host)


def diagnostics_address(
    environ: Mapping[str, str], *, default: bool, host: str | None = None
) -> DiagnosticsAddress | None:
    """The diagnostics server's address by PPROF_ENABLED, PPROF_PORT, PPROF_TOKEN and `host`, which asks for it.

    None without one, which is a warning where nobody asked for one that cannot be had. Raises UsageError for what is no
    switch, port or token, and MissingDependencyError or ServerError for one that was asked for and cannot be had.
    """
    switch = environ.get("PPROF_ENABLED", "").strip().lower()
    requested = switch or host is not None
    if switch not in ("", *_YES, *_NO):
        raise UsageError(invalid("PPROF_ENABLED", switch, "true or false"))
    text = environ.get("PPROF_PORT", "").strip() or str(DEFAULT_PORT)
    if not text.isdecimal() or int(text) > 65535:
        raise UsageError(f"PPROF_PORT={text} is not a port: expected a whole number from 0 to 65535")
    token = environ.get("PPROF_TOKEN", "").strip()
    if token and not TOKEN.fullmatch(token):
        raise UsageError("invalid PPROF_TOKEN: expected at least 16 letters, digits, - or _")
    if switch in _NO and host is not None:
        raise UsageError(
            invalid("--desk-host", host, "no --desk-host, since PPROF_ENABLED turns the diagnostics server off")
        )
    if switch in _NO or not (requested or default):
        return None
    address = DiagnosticsAddress(port=int(text), token=token)
    if host is not None:
        address = dataclasses.replace(address, host=listen_address(host, option="--desk-host").addresses[0])
    try:
        require_diagnostics()
        require_free_port(address.host, address.port, remedy="PPROF_PORT")
    except (MissingDependencyError, ServerError) as error:
        if requested:
            raise
        log.warning("no diagnostics server: %s", error)
        return None
    return address


def about_diagnostics(diagnostics: DiagnosticsAddress | None, served: ServerListening) -> str:
    """A clause on who reaches the diagnostics server, beside a server that others reach."""
    if not served.desk or diagnostics is None:
        return "there is no diagnostics server"
    if diagnostics.local:
        return f"the diagnostics server and the metrics are on {diagnostics.host}, only for this machine"
    return f"anyone with the token can reach the diagnostics server and the metrics: {served.desk}"


@dataclass(frozen=True, kw_only=True)
class RunningDiagnostics:
    """A diagnostics server that answers."""

    address: str
    """The URL of its first page, without the slash at its end."""
    pid: int


@contextlib.contextmanager
def beside(
    pids: Sequence[int],
    *,
    where: DiagnosticsAddress = DiagnosticsAddress(),
    folder: str = "",
    heap: bool = True,
    cpus: Collection[int] | None = None,
) -> Iterator[RunningDiagnostics]:
    """Run the diagnostics server for these processes until the block is left, on these cores.

    With a `folder`, it shows their counters, and with `heap`, what their agents tell of their memory.

    Beyond loopback, and where `where` has a token, it answers only requests that carry it; the address holds one that
    was made up here. Raises MissingDependencyError without its libraries, ServerError if it cannot start.
    """
    require_diagnostics()
    made_up = "" if where.local or where.token else secrets.token_urlsafe(24)
    token = where.token or made_up
    # What it writes while it profiles goes with the folder: it is ended without ceremony.
    order = DiagnosticsOrder(pids=tuple(pids), host=where.host, port=where.port, folder=folder, token=token, heap=heap)
    env = {"TMPDIR": folder} if folder else None
    with Child("grpclab.diagnostics", name="the diagnostics server", env=env, cpus=cpus) as child:
        try:
            child.send(order)
            answer = child.receive(START_TIMEOUT_S, DiagnosticsAnswer)
        except WorkerError as error:
            raise ServerError(str(error)) from None
        if isinstance(answer, DiagnosticsFailed):
            raise ServerError(answer.text)
        assert isinstance(answer, DiagnosticsListening)
        url = f"http://{address(where.host, answer.port)}{f'/?token={made_up}' if made_up else ''}"
        yield RunningDiagnostics(address=url, pid=child.pid)


@contextlib.contextmanager
def observed(
    spec: ServeSpec, announce: Announce, *, diagnostics: DiagnosticsAddress = DiagnosticsAddress()
) -> Iterator[Announce]:
    """Provide what a server needs beside itself: the folder of its counters, and its diagnostics server.

    Yields the `announce` to give to the server: it starts the diagnostics server, adds its address, and passes on. One
    of several processes on a port leaves both to its parent.
    """
    config = spec.config
    if spec.shared_port or not (config.metrics or config.desk):
        yield announce
        return
    with contextlib.ExitStack() as stack:
        folder = spec.folder or str(stack.enter_context(TemporaryFolder()))
        os.environ[FOLDER_VARIABLE] = folder
        stack.callback(os.environ.pop, FOLDER_VARIABLE, None)

        def with_diagnostics(served: ServerListening) -> None:
            if config.desk:
                desk = stack.enter_context(beside(served.pids, where=diagnostics, folder=folder))
                served = dataclasses.replace(served, desk=desk.address)
            announce(served)

        yield with_diagnostics
