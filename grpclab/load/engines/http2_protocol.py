"""One transport with its HTTP/2 connection: where the hot path of engine `wire` begins."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

from grpclab.http2 import frames
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call
from grpclab.http2.frames import ErrorCode
from grpclab.http2.mixture import MixedConnection
from grpclab.load.core.traffic import TrafficCounter, goaway_text
from grpclab.load.engines.connection_settings import ConnectionSettings

TURN_BYTES = 32 * 1024
"""The bytes that are taken in at a time, before a look at whatever else is due."""
MAX_UNREAD_BYTES = 64 * 1024 * 1024
"""A peer that leaves this much unread is given up."""


class OpenStream(Protocol):
    """What the client does in a call after its start, as whoever ends the call sees it."""

    @property
    def sent(self) -> int:
        """Messages that the client has sent."""

    def answered(self, now: float) -> None:
        """Note a message that has come."""

    def stop(self) -> None:
        """Do nothing more: the call is over."""


class WireCall(Call):
    """A call with its times, in seconds of the generator's clock."""

    started: float = 0.0
    """The moment at which the caller began, or was planned to."""
    late: float = 0.0
    """The time from then until the call was handed over."""
    last_message_at: float = 0.0
    """The moment at which its last message came; 0 before the first."""
    last_sent_at: float = math.nan
    """The moment at which its client handed over the last message of a stream; NaN where there was none."""
    stream: OpenStream | None = None
    """What its client does after its start, where it does anything."""
    resent: bool = False
    """True for a second attempt: there is no third."""
    number: int = 0
    """Which call of a mix it is; unknown before its request was taken."""
    block: bytes = b""
    """The block of its metadata that differs from call to call, likewise."""

    def taken(self, now: float) -> float:
        """Return the time since the call was handed over."""
        return now - self.started - self.late


def new_calls(number: int, started: float) -> list[WireCall]:
    """So many calls, whose callers all begin at the same moment."""
    calls = []
    for _ in range(number):
        call = WireCall()
        call.started = started
        calls.append(call)
    return calls


class Owner(Protocol):
    """The client's connection that a transport belongs to, as its transports see it."""

    settings: ConnectionSettings
    protocol: Http2Protocol | None
    """The transport that takes calls."""
    waiting: deque[WireCall]
    on_messages: Callable[[list[WireCall]], None]
    on_encoded: Callable[[list[WireCall]], None]
    on_turn: Callable[[Http2Protocol], None]
    on_stream: Callable[[Http2Protocol, WireCall], None]

    def ended(self, protocol: Http2Protocol, calls: list[WireCall]) -> None:
        """Take calls that are over."""

    def settle(self, protocol: Http2Protocol) -> None:
        """Handle events other than answers, and calls that wait for room."""

    def lost(self, protocol: Http2Protocol, reason: str) -> None:
        """Handle the loss of the transport."""

    def flush(self) -> None:
        """Send what was submitted."""


class Http2Protocol(asyncio.Protocol):
    """One transport, with its HTTP/2 connection."""

    def __init__(self, owner: Owner, http2: ClientConnection) -> None:
        self.owner = owner
        self.http2 = http2
        self.start_calls: Callable[[Sequence[WireCall]], int]
        """Begins calls, in order, as far as there is room for them; returns how many were begun."""
        self.start_calls = self._start_streams if owner.settings.streams else http2.start_calls
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done once the peer's settings have come."""
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._heard = True
        self._silent_since = 0.0
        self._pinged_at: float | None = None
        self._transport: asyncio.Transport | None = None
        self._reason = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Take a batch of answers: the beginning of the hot path."""
        if len(data) > TURN_BYTES:
            for at in range(0, len(data), TURN_BYTES):
                self.data_received(data[at : at + TURN_BYTES])
            return
        http2, owner = self.http2, self.owner
        ended: list[Any] = http2.receive(data)
        self._heard = True
        if http2.arrived:
            owner.on_messages(cast("list[WireCall]", http2.arrived))
            http2.arrived.clear()
        if ended:
            if http2.encoded:
                owner.on_encoded(ended)
            owner.ended(self, ended)
        if owner.waiting or http2.draining or owner.protocol is not self:
            self._rarely()
        if http2.outgoing:
            self.flush()
        owner.on_turn(self)

    def _rarely(self) -> None:
        if self.http2.ready and not self.greeted.done():
            self.greeted.set_result(None)
        self.owner.settle(self)
        self.owner.flush()  # the calls that followed may have gone to its new connection

    def _start_streams(self, calls: Sequence[WireCall]) -> int:
        """Begin calls in which their client does more after the start."""
        http2, plans = self.http2, self.owner.settings.streams
        for number, call in enumerate(calls):
            if isinstance(http2, MixedConnection) and http2.room > 0:
                http2.take_turn(call)  # which says of what kind it is
            plan = plans[call.number]
            if not (http2.start_stream(call) if plan is not None and plan.sends else http2.start(call)):
                return number
            if plan is None:
                continue
            self.owner.on_stream(self, call)
        return len(calls)

    def flush(self) -> None:
        """Hand the outgoing bytes to the transport."""
        if self.http2.outgoing and self._transport is not None:
            self._transport.write(self.http2.take())

    def pause(self) -> None:
        """Read nothing more until :meth:`resume`."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def look(self, now: float) -> None:
        """Ping a silent peer; give up one that does not answer, or does not read."""
        settings = self.owner.settings
        unread = self._transport.get_write_buffer_size() if self._transport is not None else 0
        if unread > MAX_UNREAD_BYTES:
            self.abandon(f"the server left {unread:,} bytes unread")
        elif settings.keepalive_s is None or not self.http2.ready:
            return
        elif self._heard:
            self._heard, self._silent_since, self._pinged_at = False, now, None
        elif self._pinged_at is not None:
            if now - self._pinged_at >= settings.keepalive_timeout_s:
                self.abandon(f"no answer to a keepalive ping within {settings.keepalive_timeout_s:g} s")
        elif now - self._silent_since >= settings.keepalive_s:
            self._pinged_at = now
            self.http2.control.ping()
            self.flush()

    def count_into(self, traffic: TrafficCounter) -> None:
        """Add the pings and GOAWAYs of this connection; cheap, since a connection for each call comes here, too."""
        control = self.http2.control
        traffic.client_pings += control.pings_sent
        traffic.server_pings += control.pings_received
        for code, reason in control.goaways_received:
            traffic.goaways[goaway_text(code, reason)] += 1

    def close(self) -> None:
        """Say goodbye, and close once everything is sent."""
        if self._transport is not None and not self._transport.is_closing():
            if self.http2.closed is None:
                self.http2.outgoing.append(frames.goaway(0, ErrorCode.NO_ERROR))
            self.flush()
            self._transport.close()

    def abandon(self, reason: str = "") -> None:
        """Close without waiting for anyone."""
        self._reason = reason
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        reason = self._reason or self.http2.closed or (str(exc) if exc else "the server closed the connection")
        if not self.greeted.done():
            self.greeted.set_exception(ConnectionError(reason))
            self.greeted.exception()  # whoever waited may have given up
        self.gone.set_result(None)
        self.owner.lost(self, reason)
