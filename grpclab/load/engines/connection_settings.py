"""The settings of the connections of engine `wire`: the addresses that are dialled, and the first frames of each."""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from grpclab import __version__
from grpclab.factors.config import ClientConfig, TrialConfig
from grpclab.http2 import frames, messages
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Request
from grpclab.http2.mixture import MixedConnection, MixedRequests
from grpclab.http2.peer_settings import PeerSettings, PeerSettingsReader
from grpclab.http2.prepared import Requests, RequestSequence, SameRequest
from grpclab.load.calls.method import CallSpec, greeting
from grpclab.load.calls.turns import Turn
from grpclab.load.core.stream_plan import StreamPlan
from grpclab.system.dialling import loopback_target
from grpclab.system.transport import PLAINTEXT, Security

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
    streams: tuple[StreamPlan | None, ...]
    """What the client does in each call of a mix after its start, or in the one; empty where in none of them."""
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
    streams: tuple[StreamPlan | None, ...] = (),
    watch: Callable[[Any], None] | None = None,
    turns: Iterator[Turn] = iter(()),  # noqa: B008 (an empty one has no state)
) -> ConnectionSettings:
    """Return the settings of this client's connections, whose calls `watch` is told of; `turns` are those of a mix.

    Raises UsageError.
    """
    addresses, port = loopback_target(target, security.remote)
    tls = security.context() if security.tls else None
    encoding = encoding_of(client)

    def request_of(one: CallSpec) -> Request:
        return Request(
            path=one.path,
            authority=security.authority_at(target),
            payload=one.payload,
            scheme="https" if tls else "http",
            server_streaming=one.server_streaming,
            timeout_s=client.deadline_s,
            metadata=one.metadata,
            encoding=encoding,
        )

    request = request_of(call)
    fixed = client.window_kib is not None and not client.adaptive_window
    window = (client.window_kib or 0) * 1024 if fixed else OWN_WINDOW_BYTES

    most = messages.UNLIMITED_BYTES if client.max_message_mib is None else client.max_message_mib * 2**20

    kind: Callable[..., ClientConnection] = ClientConnection
    prepare: Callable[[Request, str], Requests] = SameRequest
    if call.mix is not None:
        kind = partial(MixedConnection, streams=[one.server_streaming for one in call.mix.calls])
        requests = [request_of(one) for one in call.mix.calls]
        prepare = partial(MixedRequests, requests=requests, turns=turns, watch=watch)
    elif call.client_streaming or call.payloads is not None or call.headers is not None or watch is not None:
        prepare = partial(  # the iterators are of all connections together
            RequestSequence,
            requests=call.streams() if call.client_streaming else call.messages(prefix=True, encoding=encoding),
            headers=None if call.headers is None else call.headers.messages(prefix=False),
            remember=client.resend,
            watch=watch,
        )

    def connection() -> ClientConnection:
        return kind(
            request,
            stream_window=window,
            connection_window=window,
            user_agent=f"grpclab/{__version__}",
            watch_messages=call.streams_either_way,
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


def encoding_of(client: ClientConfig) -> str:
    """Return the name of what requests are compressed with; nothing where they are not."""
    return "" if client.compression == "none" else client.compression


def first_settings(config: TrialConfig) -> PeerSettings:
    """Return the settings that a client of this configuration sends first, from the bytes of its core: no socket."""
    settings = connection_settings(config.client, "127.0.0.1:1", PLAINTEXT, greeting(config.load))
    reader = PeerSettingsReader()
    reader.receive(settings.connection().take().removeprefix(frames.PREFACE))
    return reader.peer_settings()
