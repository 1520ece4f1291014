"""Factors that did not take effect: what was asked for, beside what each side advertised; and those that say nothing.

Static rules (:func:`grpclab.factors.channel_args.without_effect`) say what cannot act; what was seen
(:mod:`grpclab.load.peer_probe`) says what did not. Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from grpclab.factors.channel_args import without_effect
from grpclab.factors.config import FACTORS, ClientConfig, ServerConfig, TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.own import PYTHON, REQUIREMENTS, REVISION
from grpclab.http2 import frames
from grpclab.http2.peer_settings import PeerSettings

COLUMNS: tuple[str, ...] = (
    "server_advertised_window_bytes",
    "server_advertised_connection_window_bytes",
    "server_advertised_max_streams",
    "server_advertised_max_frame_bytes",
    "client_advertised_window_bytes",
    "client_advertised_connection_window_bytes",
    "client_advertised_max_frame_bytes",
)
"""What :func:`as_row` gives. A client's limit of streams is for pushes only, so it is no column."""


PROCESSES = "server.processes"
MORE_CONNECTIONS = "set client.pooling=pool and several client.connections for each process"
"""What gives each process of a server a connection; the kernel spreads them by hash."""

OF_OUR_CALL = ("load.method", "load.request_bytes")
"""The factors that describe our own greeter's call."""

CHECKED: tuple[str, ...] = (
    "server.window_kib",
    "server.adaptive_window",
    "server.max_concurrent_streams",
    "server.max_frame_kib",
    "client.window_kib",
    "client.adaptive_window",
)
"""The factors whose effect shows in what the sides advertise."""


def effects(config: TrialConfig, server: PeerSettings, client: PeerSettings, *, hosted: bool = False) -> dict[str, str]:
    """The factors that are set and did not take effect, each with the reason in one line.

    As :func:`~grpclab.factors.channel_args.without_effect`, whose reasons gain the numbers that were seen; without
    "no effect:", which whoever shows a reason puts before it.
    """
    reasons = without_effect(config, hosted=hosted)
    wire = config.load.engine == "wire"
    reasons |= _window("server.window_kib", config.server, server)
    reasons |= _window("client.window_kib", config.client, client, probes=not wire)
    if wire and not config.client.adaptive_window and config.client.window_kib is None:
        reasons["client.adaptive_window"] = (
            f"the wire engine does no BDP probing, so its window is {client.window_bytes:,} bytes either way; set "
            "window_kib"
        )
    reasons |= _streams(config.server, server)
    reasons |= _frame(config.server, server)
    return reasons


def idle_processes(config: TrialConfig, connections: Sequence[int] = ()) -> dict[str, str]:
    """``server.processes`` with its reason where only one of several processes gets any call, since connections spread
    over the processes, and calls do not.

    `connections` are those seen, by process; without them, what the number of connections says beforehand. With a
    connection for each call, those at one moment say nothing.
    """
    asked, client = config.server.processes, config.client
    if asked == 1 or client.pooling == "per_call":
        return {}
    alone = config.load.workers == 1 if client.pooling == "shared" else client.connections == 1
    if not connections and alone:
        return {PROCESSES: f"a single connection reaches only one process; {MORE_CONNECTIONS}"}
    if len(connections) > 1 and sum(map(bool, connections)) == 1:
        found = f"one of {len(connections)} processes has {_all(sum(connections))}, so the others get no calls"
        return {PROCESSES: f"{found}; {MORE_CONNECTIONS}"}
    return {}


def unreached_processes(config: TrialConfig) -> str:
    """The sentence on a server with more processes than the client has connections; "" where each may have one.

    What is said beforehand, of what is known then: with a process for each core (0), or a connection for each
    generator process, the number is not.
    """
    asked, client = config.server.processes, config.client
    connections = client.connections if client.pooling == "pool" else config.load.workers
    if asked <= 1 or client.pooling == "per_call" or not connections or connections >= asked:
        return ""
    if connections == 1:
        return (
            f"{PROCESSES}={asked} cannot take effect, since a single connection reaches only one process; "
            f"{MORE_CONNECTIONS}"
        )
    return (
        f"{PROCESSES}={asked} is too many: {connections} connections reach at most {connections} processes; "
        f"{MORE_CONNECTIONS}"
    )


def _all(connections: int) -> str:
    return "the only connection" if connections == 1 else f"all {connections:,} connections"


OF_OUR_HANDLER = tuple(
    name
    for name in FACTORS
    if name.startswith(("server.handler_", "server.stream_")) or name == "server.response_bytes"
)
"""The factors that describe what our own greeter's handlers do."""


class Described(Protocol):
    """The target of a trial and its call, as far as factors turn on them; "" for those of our own."""

    @property
    def app(self) -> str:
        """The application ``MODULE:NAME``."""

    @property
    def command(self) -> str:
        """The command that starts its server, with ``{port}``."""

    @property
    def address(self) -> str:
        """Where its server runs already."""

    @property
    def has_call(self) -> bool:
        """Whether it says what is called; else that is our greeter's call."""


def unknown_factors(target: Described | None, settings: Mapping[str, Level]) -> frozenset[str]:
    """The factors that say nothing of a trial: its server is not ours, or its call is not our greeter's.

    `target` is None for our own greeter; `settings` are the factors that were set.
    """
    if target is None:
        return frozenset()
    factors: set[str] = set()
    if target.command or target.address:
        factors |= {name for name in FACTORS if name.startswith("server.")}
    if target.app:
        factors |= set(OF_OUR_HANDLER)
    if target.has_call:
        factors |= set(OF_OUR_CALL)
    elif target.command or target.app or target.address:  # our greeting to somebody else's greeter
        factors |= {name for name in OF_OUR_CALL if name not in settings}
    return frozenset(factors)


_PART_OF_A_TARGET = {
    PYTHON: "the interpreter that hosts an application",
    REQUIREMENTS: "for the interpreter that hosts an application",
    REVISION: "the revision of an application, or of a command's folder",
}


def not_of(target: Described, factor: str) -> str:
    """The reason why a target has no such factor, with {who} for the target's name; "" where it has.

    Our own greeter takes every factor of the table, and the user's own of its environment.
    """
    section = factor.partition(".")[0]
    if target.address and section in ("server", "arg", "env", "target"):
        return f"{factor} is a factor of a server that grpclab starts, but {{who}} is already running"
    if target.command and section == "server":
        return f"{factor} is a factor of grpclab's own servers, but a command starts {{who}}; set it in that command"
    if section == "target" and not target.app and (factor != REVISION or not target.command):
        return f"{factor} is {_PART_OF_A_TARGET[factor]}, but {{who}} has none"
    if target.app and factor in (*OF_OUR_HANDLER, *OF_OUR_CALL):
        return f"{factor} is a factor of grpclab's own greeter, but {{who}} is an application"
    if section == "arg" and not (target.app or target.command):
        return f"{factor} sets part of a command or a parameter of an application, but {{who}} is grpclab's own greeter"
    return ""


def as_row(server: PeerSettings, client: PeerSettings) -> dict[str, float]:
    """The columns of :data:`COLUMNS`: bytes, and streams; NaN for a setting that was not sent.

    The windows of the connection are never NaN: without a WINDOW_UPDATE it is 65,535.
    """
    values = (
        server.initial_window_size,
        server.connection_window_bytes,
        server.max_concurrent_streams,
        server.max_frame_size,
        client.initial_window_size,
        client.connection_window_bytes,
        client.max_frame_size,
    )
    return {name: math.nan if value is None else float(value) for name, value in zip(COLUMNS, values, strict=True)}


def _window(
    factor: str, side: ServerConfig | ClientConfig, advertised: PeerSettings, *, probes: bool = True
) -> dict[str, str]:
    """The window of a stream; that of the connection follows it, but never below the RFC's 65,535."""
    if side.window_kib is None:
        return {}
    requested = side.window_kib * 1024
    numbers = f"{requested:,} bytes requested, {advertised.window_bytes:,} advertised"
    if side.adaptive_window:
        why = "BDP probing overrides it" if probes else "the wire engine only supports a fixed window"
        return {factor: f"{numbers}; {why}; set adaptive_window=false"}
    if advertised.window_bytes != requested:
        return {factor: numbers}
    least, connection = max(requested, frames.DEFAULT_WINDOW), advertised.connection_window_bytes
    if connection < least:
        return {factor: f"{least:,} bytes expected for the connection, {connection:,} advertised"}
    return {}


def _streams(side: ServerConfig, peer: PeerSettings) -> dict[str, str]:
    requested, advertised = side.max_concurrent_streams, peer.max_concurrent_streams
    if requested is None or requested == advertised:
        return {}
    limit = "no limit" if advertised is None else f"{advertised:,}"
    return {"server.max_concurrent_streams": f"{requested:,} streams requested, {limit} advertised"}


def _frame(side: ServerConfig, peer: PeerSettings) -> dict[str, str]:
    if side.max_frame_kib is None:
        return {}
    requested, advertised = side.max_frame_kib * 1024, peer.max_frame_bytes
    text = f"{requested:,} bytes requested, {advertised:,} advertised"
    if side.adaptive_window:
        return {"server.max_frame_kib": f"{text}; BDP probing overrides it; set adaptive_window=false"}
    return {} if requested == advertised else {"server.max_frame_kib": text}
