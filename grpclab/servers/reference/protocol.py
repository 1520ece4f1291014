"""One connection of the reference server: bytes between a transport, HTTP/2 and the service; and its misbehaviour."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from grpclab.http2.server import ServerConnection
from grpclab.servers.reference.faults import Fault, Greeting, LastWords, Talk, Turn
from grpclab.servers.reference.service import Service, Visit
from grpclab.servers.reference.spec import ReferenceSpec

WRITE_BUFFER_BYTES = 1024 * 1024
"""A client that leaves more unread is not read from until it has read."""


@dataclass
class House:
    """What all connections of the server share."""

    spec: ReferenceSpec
    service: Service
    clock: Callable[[], float]
    touch: Callable[[], None]
    """Says that work was done."""
    peers: set[ReferencePeer] = field(default_factory=set)
    """The connections that are up."""

    def connection(self, fault: Fault | None = None) -> ServerConnection:
        """The HTTP/2 end of a new connection."""
        window = self.spec.window_kib * 1024
        return ServerConnection(
            stream_window=window if fault is None or fault.window is None else fault.window,
            connection_window=window,
            max_streams=self.spec.max_concurrent_streams,
            settings={} if fault is None else dict(fault.settings),
            make_stream=Visit,
        )


class ReferencePeer(asyncio.Protocol):
    """One transport. Everything that is read at once and due at once is answered in one write."""

    def __init__(self, house: House, http2: ServerConnection) -> None:
        self.http2 = http2
        self._house = house
        self._take, self._clock, self._touch = house.service.take, house.clock, house.touch
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        self._house.peers.add(self)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """The hot path begins here."""
        read_at = self._clock()
        news = self.http2.receive(data)
        if news:
            self._take(self, cast("list[Visit]", news), read_at)
        self.flush()
        self._touch()

    def answer(self, visits: Sequence[Visit], now: float) -> None:
        """Answer these calls, which leave at `now`."""
        reply, stamp = self.http2.reply, self._house.service.stamp
        for visit in visits:
            reply(visit, visit.reply, stamp(visit, now))

    def flush(self) -> None:
        """Write what is to be said; close where that was the last."""
        if self._transport is not None:
            if self.http2.outgoing:
                self._transport.write(self.http2.take())
            if self.http2.finished:
                self._transport.close()

    def pause_writing(self) -> None:
        self._pause()

    def resume_writing(self) -> None:
        self._read_on()

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.peers.discard(self)
        self._transport = None
        ended = self.http2.connection_lost(str(exc) if exc else "the client closed the connection")
        self._take(self, cast("list[Visit]", ended), self._clock())


class BadPeer(ReferencePeer):
    """One that misbehaves."""

    def __init__(self, house: House, fault: Fault, n: int) -> None:
        super().__init__(house, house.connection(fault))
        self._fault, self._talk = fault, Talk(n)
        self._opening = self.http2.take()
        self._opened = self._over = False
        self._unsaid = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        for delay_s, said in self._fault.opening(Greeting(self._opening, self._talk.n)):
            asyncio.get_running_loop().call_later(delay_s, self._say, said)

    def _say(self, said: bytes) -> None:
        self._opened = True
        if not self._over:
            self.http2.outgoing.insert(0, said)
            self._over = isinstance(said, LastWords)
        self.flush()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._fault.reads_slowly:
            self._pause()
            asyncio.get_running_loop().call_later(self._talk.n / 1000, self._read_on)

    def answer(self, visits: Sequence[Visit], now: float) -> None:
        if self._fault.answer is None:
            super().answer(visits, now)
            return
        for visit in visits:
            self._talk.calls += 1
            self._talk.highest = max(self._talk.highest, visit.stream_id)
            said = self._fault.answer(
                Turn(self._talk, visit.stream_id, visit.reply, self._house.service.stamp(visit, now))
            )
            self.http2.say_instead(visit, b"" if self._over else said)
            self._over = self._over or isinstance(said, LastWords)

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
