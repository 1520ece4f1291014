"""The settings of the connections of engine `wire`: the addresses that are dialled, and the first frames of each."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from grpclab import __version__
from grpclab.factors.config import ClientConfig
from grpclab.http2 import messages
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Request
from grpclab.http2.prepared import Requests, RequestSequence, SameRequest
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.stream_plan import StreamPlan
from grpclab.system.dialling import loopback_target
from grpclab.system.transport import Security

OWN_WINDOW_BYTES = 4 * 1024 * 1024
"""The window of this side where `window_kib` sets none; C-core's adaptation starts from it."""
KEEPALIVE_TIMEOUT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class ConnectionSettings:
    """The settings of a connection: its addresses, its first frames, and its keepalive."""

    security: Security
    server_name: str
    """The name that the server's certificate has to hold."""
    addresses: tuple[str, ...]
    """The addresses that are dialled one after the other until one answers."""
    port: int
    tls: ssl.SSLContext | None
    connection: Callable[[], ClientConnection]
    streams: StreamPlan | None
    """What the client does in a call after its start; None for nothing."""
    deadline_s: float | None
    keepalive_s: float | None
    keepalive_timeout_s: float
    resend: bool
    single_use: bool = False
    """For one call only: its transport is closed with it, and it dials but once."""

    @property
    def look_every_s(self) -> float:
        """A fiftieth of the shortest time that is to be kept, in steps of a millisecond at least."""
        times_s = (self.deadline_s, self.keepalive_s, self.keepalive_timeout_s)
        return max(0.001, min([0.05, *(seconds / 50 for seconds in times_s if seconds is not None)]))

    @property
    def look_idle_every_s(self) -> float:
        """The same while no call is under way; infinity where nothing is to be kept then."""
        if self.keepalive_s is None:
            return math.inf
        return max(0.01, min(self.keepalive_s, self.keepalive_timeout_s) / 50)


def connection_settings(
    client: ClientConfig,
    target: str,
    security: Security,
    call: CallSpec,
    *,
    streams: StreamPlan | None = None,
    watch: Callable[[Any], None] | None = None,
) -> ConnectionSettings:
    """Return the settings of this client's connections, whose calls `watch` is told of. Raises UsageError."""
    addresses, port = loopback_target(target, security.remote)
    tls = security.context() if security.tls else None
    request = Request(
        path=call.path,
        authority=security.authority_at(target),
        payload=call.payload,
        scheme="https" if tls else "http",
        server_streaming=call.server_streaming,
        timeout_s=client.deadline_s,
        metadata=call.metadata,
        encoding="" if client.compression == "none" else client.compression,
    )
    fixed = client.window_kib is not None and not client.adaptive_window
    window = (client.window_kib or 0) * 1024 if fixed else OWN_WINDOW_BYTES

    most = messages.UNLIMITED_BYTES if client.max_message_mib is None else client.max_message_mib * 2**20

    prepare: Callable[[Request, str], Requests] = SameRequest
    if call.client_streaming or call.payloads is not None or call.headers is not None or watch is not None:
        prepare = partial(  # the iterators are of all connections together
            RequestSequence,
            requests=call.streams() if call.client_streaming else call.messages(prefix=True, encoding=request.encoding),
            headers=None if call.headers is None else call.headers.messages(prefix=False),
            remember=client.resend,
            watch=watch,
        )

    def connection() -> ClientConnection:
        return ClientConnection(
            request,
            stream_window=window,
            connection_window=window,
            user_agent=f"grpclab/{__version__}",
            watch_messages=call.server_streaming or call.client_streaming,
            max_message_bytes=most,
            prepare=prepare,
        )

    return ConnectionSettings(
        server_name=security.server_name_at(target),
        security=security,
        addresses=addresses,
        port=port,
        tls=tls,
        connection=connection,
        streams=streams,
        deadline_s=client.deadline_s,
        keepalive_s=client.keepalive_s,
        keepalive_timeout_s=client.keepalive_timeout_s or KEEPALIVE_TIMEOUT_S,
        resend=client.resend,
        single_use=client.pooling == "per_call",
    )
