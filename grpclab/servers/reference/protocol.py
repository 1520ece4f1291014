"""One connection of the reference server: bytes between a transport, HTTP/2 and the service; and its misbehaviour."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from grpclab.http2.frames import ErrorCode
from grpclab.http2.server import ServerConnection
from grpclab.servers.reference.client_limits import (
    CONNECTION_BYTES,
    FEW_STREAMS,
    MAX_MESSAGE_BYTES,
    STEP_BYTES,
    TURN_BYTES,
    TURN_STEPS,
    WRITE_AHEAD_BYTES,
    Holder,
    Ledger,
)
from grpclab.servers.reference.faults import Fault, FaultState, FinalBytes, OpeningContext, ResponseContext
from grpclab.servers.reference.service import ServerCall, Service
from grpclab.servers.reference.spec import ReferenceSpec

WRITE_BUFFER_BYTES = 512 * 1024
"""A client that leaves more unread is not read from until it has read."""
LINGER_S = 1.0
"""So long a client has to read the last words of a connection."""


@dataclass
class ServerContext:
    """The things that all connections of the server share."""

    spec: ReferenceSpec
    service: Service
    clock: Callable[[], float]
    touch: Callable[[], None]
    """Says that work was done."""
    protocols: set[ReferenceProtocol] = field(default_factory=set)
    """The connections that are up."""
    ledger: Ledger = field(default_factory=Ledger)
    """What they hold."""

    def connection(self, fault: Fault | None = None) -> ServerConnection:
        """The HTTP/2 end of a new connection."""
        window = self.spec.window_kib * 1024
        made = ServerConnection(
            stream_window=window if fault is None or fault.window is None else fault.window,
            connection_window=window,
            max_streams=self.spec.max_concurrent_streams,
            settings={} if fault is None else dict(fault.settings),
            max_message_bytes=MAX_MESSAGE_BYTES,
            max_held_bytes=CONNECTION_BYTES,
            steps_at_once=TURN_STEPS,
            write_ahead=WRITE_AHEAD_BYTES if fault is None else None,
            make_stream=ServerCall,
        )
        made.control.now = self.clock()
        return made


class ReferenceProtocol(asyncio.Protocol):
    """One transport. Everything that is read at once and due at once is answered in one write.

    Much that comes at once is read in turns (:data:`TURN_STEPS`), between which others have theirs.
    """

    lingers = True
    """At the end it waits for the client to close."""

    def __init__(self, context: ServerContext, http2: ServerConnection) -> None:
        self.http2 = http2
        self._context = context
        self._take, self._clock, self._touch = context.service.take, context.clock, context.touch
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._settled = 0
        self._turn_is_due = False
        self._stuffed = False
        """The client leaves too much unread."""
        self._resting = False
        """Nothing is to be read for a while (the misbehaving protocol)."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        self._context.protocols.add(self)
        self._dismiss(self._context.ledger.admit(self), "too many connections, and this one has been idle for too long")
        self.flush()

    @property
    def read_at(self) -> float:
        """When something came from the client last."""
        return self.http2.control.now

    @property
    def held(self) -> int:
        """About how many bytes of memory the client makes the server hold."""
        return self.http2.held + (0 if self._transport is None else self._transport.get_write_buffer_size())

    def data_received(self, data: bytes) -> None:
        """The hot path begins here."""
        http2 = self.http2
        if self._closing:
            return
        http2.control.now = read_at = self._clock()
        news = http2.receive(data)
        if news:
            self._take(self, cast("list[ServerCall]", news), read_at)
        self.flush()
        self._touch()
        if http2.connection.behind or len(data) >= TURN_BYTES:
            self._wait_for_turn()
            self._read_on()

    def _wait_for_turn(self) -> None:
        """Go on, with what has come first, when others have had their turn."""
        if not self._turn_is_due:
            self._turn_is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        if self.http2.connection.behind and not (self._stuffed or self._resting):
            self.data_received(b"")
        self._read_on()

    def answer(self, calls: Sequence[ServerCall], now: float) -> None:
        """Answer these calls, which leave at `now`."""
        reply, stamp = self.http2.answers.reply, self._context.service.stamp
        for call in calls:
            reply(call, call.reply, stamp(call, now))

    def flush(self) -> None:
        """Write what is to be said; close where that was the last."""
        transport, http2 = self._transport, self.http2
        if transport is None or self._closing:
            http2.outgoing.clear()
            return
        if http2.outgoing:
            transport.write(http2.take())
        answers = http2.answers
        while http2.windows.connection <= answers.refill_at and not self._stuffed:
            answers.written()
            if not http2.outgoing:
                break
            transport.write(http2.take())
        if http2.connection.unusual or self._settled or len(http2.streams) > FEW_STREAMS:
            http2.connection.unusual = False
            if self._stuffed or abs(http2.held - self._settled) >= STEP_BYTES:
                self._settle()
        if http2.finished:
            self._closing = True
            if self.lingers:  # with something of the client's unread, close() would reset what it has yet to read
                transport.write_eof()
                transport.resume_reading()
            else:
                transport.close()
            asyncio.get_running_loop().call_later(LINGER_S, self.abort)

    def _settle(self) -> None:
        held = self.http2.held
        self._settled = held if held >= STEP_BYTES else 0
        dismissed = self._context.ledger.settle(self, self.held)
        self._dismiss(dismissed, "the server holds too much data, most of it for this connection")

    @staticmethod
    def _dismiss(protocols: Sequence[Holder], why: str) -> None:
        for protocol in protocols:
            asyncio.get_running_loop().call_soon(cast("ReferenceProtocol", protocol).dismiss, why)

    def dismiss(self, why: str) -> None:
        """End the connection, for the sake of others."""
        self._take(self, cast("list[ServerCall]", self.http2.abort(ErrorCode.ENHANCE_YOUR_CALM, why)), self._clock())
        if self._stuffed:
            self.abort()
        else:
            self.flush()

    def pause_writing(self) -> None:
        self._stuffed = True
        self._read_on()

    def resume_writing(self) -> None:
        self._stuffed = False
        self.flush()
        self._settle()
        self._wait_for_turn()
        self._read_on()

    def _read_on(self) -> None:
        """Read from the transport, or not."""
        if self._transport is not None and not self._closing:
            if self._stuffed or self._resting or self._turn_is_due:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._context.protocols.discard(self)
        self._context.ledger.forget(self)
        self._transport = None
        ended = self.http2.connection_lost(str(exc) if exc else "the client closed the connection")
        self._take(self, cast("list[ServerCall]", ended), self._clock())


class FaultyProtocol(ReferenceProtocol):
    """One that misbehaves."""

    lingers = False

    def __init__(self, context: ServerContext, fault: Fault, n: int) -> None:
        super().__init__(context, context.connection(fault))
        self._fault, self._state = fault, FaultState(n)
        self._opening = self.http2.take()
        self._opened = self._over = False
        self._unsaid = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        for delay_s, content in self._fault.opening(OpeningContext(self._opening, self._state.n)):
            asyncio.get_running_loop().call_later(delay_s, self._say, content)

    def _say(self, content: bytes) -> None:
        self._opened = True
        if not self._over:
            self.http2.outgoing.insert(0, content)
            self._over = isinstance(content, FinalBytes)
        self.flush()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._fault.reads_slowly:
            self._resting = True
            self._read_on()
            asyncio.get_running_loop().call_later(self._state.n / 1000, self._rested)

    def _rested(self) -> None:
        self._resting = False
        self._wait_for_turn()
        self._read_on()

    def answer(self, calls: Sequence[ServerCall], now: float) -> None:
        if self._fault.answer is None:
            super().answer(calls, now)
            return
        for call in calls:
            self._state.calls += 1
            self._state.highest = max(self._state.highest, call.stream_id)
            content = self._fault.answer(
                ResponseContext(self._state, call.stream_id, call.reply, self._context.service.stamp(call, now))
            )
            self.http2.answers.substitute(call, b"" if self._over else content)
            self._over = self._over or isinstance(content, FinalBytes)

    def flush(self) -> None:
        if not self._opened and not self.http2.finished:
            return
        if self._fault.dribbles:
            self._dribble()
            return
        super().flush()
        if self._over and self._transport is not None:
            self._transport.close()

    def _dribble(self) -> None:
        """A byte now, the next one in the next turn of the loop."""
        begin = not self._unsaid
        self._unsaid += self.http2.take()
        if begin:
            self._drip()

    def _drip(self) -> None:
        if self._unsaid and self._transport is not None:
            self._transport.write(bytes(self._unsaid[:1]))
            del self._unsaid[:1]
            asyncio.get_running_loop().call_soon(self._drip)
