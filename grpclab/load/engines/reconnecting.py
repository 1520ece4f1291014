"""One of the client's connections: dialled, kept alive, and dialled again when it is gone.

It outlives its transports. A server that says GOAWAY keeps the calls it has accepted while the connection is already
dialled anew; calls that find none, or no room under the server's stream limit, wait in order.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from grpclab.http2.messages import DEADLINE_EXCEEDED, UNAVAILABLE
from grpclab.load.core.recorder import GIVEN_UP
from grpclab.load.core.traffic import TrafficCounter
from grpclab.load.engines.backoff import BACKOFF_S, Backoff
from grpclab.load.engines.connection_settings import ConnectionSettings
from grpclab.load.engines.engine import Counters
from grpclab.load.engines.http2_protocol import Http2Protocol, WireCall
from grpclab.load.reachability import FILES_RUN_OUT, system_text
from grpclab.status import NOT_ENDED
from grpclab.system.addresses import UNIX

CONNECT_TIMEOUT_S = 20.0
"""Longest attempt to connect, C-core's own; a call's deadline does not end the attempt, only the call."""
CLOSE_TIMEOUT_S = 1.0
"""The longest wait for transports to be gone, once they are closing."""


class ReconnectingConnection:
    """A connection that dials again when it is lost. Calls that are over go to `on_ended` with it, in order."""

    def __init__(
        self,
        settings: ConnectionSettings,
        counters: Counters,
        traffic: TrafficCounter,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        """Count into `counters` and `traffic`, which all connections share. They also share `backoff` with a
        connection for each call.
        """
        self.settings = settings
        self.counters = counters
        self._traffic = traffic
        self._backoff = backoff or Backoff()
        self.on_ended: Callable[[ReconnectingConnection, list[WireCall]], None] = _ignore
        self.on_messages: Callable[[list[WireCall]], None] = _ignore
        """Given a call for each message that came, where the connection watches them."""
        self.on_encoded: Callable[[list[WireCall]], None] = _ignore
        """Given the calls that are over on a connection with compressed messages, before `on_ended`."""
        self.on_turn: Callable[[Http2Protocol], None] = _ignore
        """Given a transport after each piece of what the server has sent: a flood of that keeps timers from firing."""
        self.on_stream: Callable[[Http2Protocol, WireCall], None] = _ignore
        """Given a call that has begun with its transport, where its client does more after its start."""
        self.on_change: Callable[[], None] = _ignore
        """Called when the connection has come or gone."""
        self.protocol: Http2Protocol | None = None
        """The transport that takes calls; None while there is none."""
        self.waiting: deque[WireCall] = deque()
        self.error = ""
        """The reason why the last attempt to dial failed."""
        self._protocols: set[Http2Protocol] = set()
        self._dialling: asyncio.Task[None] | None = None
        self._dialled_at = float("-inf")
        self._closed = False

    def submit(self, calls: Sequence[WireCall]) -> None:
        """Start calls now as far as there is room, else as soon as there is. :meth:`flush` sends them."""
        protocol = self.protocol
        started = 0 if protocol is None or self.waiting else protocol.start_calls(calls)
        if started < len(calls):
            for call in calls[started:]:
                self._wait(call)

    def flush(self) -> None:
        """Send what was submitted."""
        if self.protocol is not None:
            self.protocol.flush()

    def _wait(self, call: WireCall) -> None:
        self.waiting.append(call)
        if self.protocol is None:
            self.dial()
        elif not self.protocol.http2.draining:
            self.counters.held += 1

    # ---- dialling ----------------------------------------------------------------------------------------------

    def dial(self) -> asyncio.Task[None]:
        """Begin to connect, again and again until it works or this is closed."""
        if self._dialling is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        return self._dialling

    async def _dial(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            # Connections that end as soon as they are made are no reason to dial faster than ones that never are.
            early_s = max(self._dialled_at + BACKOFF_S[0], self._backoff.until_s) - clock()
            if early_s > 0:
                await asyncio.sleep(early_s)
            self._dialled_at = clock()
            protocol = await self._attempt()
            if protocol is not None:
                self._backoff.succeeded()
                break
            self._backoff.failed(clock())
            if self.settings.single_use:
                break
            self._fail_waiting()
        self._dialling = None
        if protocol is None:
            self._fail_waiting()
            return
        self.protocol = protocol
        self.settle(protocol)
        self.on_change()
        protocol.flush()

    async def _attempt(self) -> Http2Protocol | None:
        """Return a transport on which the server has sent its settings; None, and `error`, where that fails."""
        settings = self.settings
        protocol = Http2Protocol(self, settings.connection())
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                transport = await self._connect(protocol)
                self._protocols.add(protocol)
                self._traffic.connections_opened += 1
                if settings.tls and transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
                    raise ConnectionError("the server did not agree on HTTP/2 in the TLS handshake (ALPN h2)")
                await protocol.greeted
        except TimeoutError:
            self.error = f"no answer within {CONNECT_TIMEOUT_S:g} s"
        except OSError as error:
            # asyncio puts other words on a refused connection.
            number = error.errno if isinstance(error, ConnectionError) or error.errno in FILES_RUN_OUT else None
            self.error = system_text(number) if number else str(error) or type(error).__name__
        else:
            return protocol
        protocol.abandon()
        self._forget(protocol)
        return None

    async def _connect(self, protocol: Http2Protocol) -> asyncio.BaseTransport:
        """Return a transport to the first address with a listener. Raises the OSError of the first address without any.

        No name is looked up here: the addresses have been judged before.
        """
        settings, nobody, loop = self.settings, None, asyncio.get_running_loop()
        name = settings.server_name if settings.tls else None
        for address in settings.addresses:
            try:
                if address.startswith(UNIX):
                    path = address.removeprefix(UNIX)
                    transport, _ = await loop.create_unix_connection(
                        lambda: protocol, path, ssl=settings.tls, server_hostname=name
                    )
                    return transport
                transport, _ = await loop.create_connection(
                    lambda: protocol, address, settings.port, ssl=settings.tls, server_hostname=name
                )
            except OSError as error:
                if isinstance(error, ssl.SSLError):
                    raise
                nobody = nobody or error
            else:
                return transport
        assert nobody is not None
        raise nobody

    def _fail_waiting(self) -> None:
        ended, self.waiting = list(self.waiting), deque()
        for call in ended:
            call.status, call.text = UNAVAILABLE, self.error
        if ended:
            self.on_ended(self, ended)

    def _forget(self, protocol: Http2Protocol) -> None:
        """Forget a transport that is gone, and count its traffic once."""
        if protocol in self._protocols:
            self._protocols.discard(protocol)
            protocol.count_into(self._traffic)

    def count_open_into(self, traffic: TrafficCounter) -> None:
        """Add what has passed on the transports that are there."""
        for protocol in self._protocols:
            protocol.count_into(traffic)

    @property
    def open(self) -> bool:
        """Return whether there is a connection, or will be one."""
        return bool(self._protocols) or self._dialling is not None

    async def close(self) -> None:
        """Close every transport, and wait until it is gone: a loop cannot end before (uvloop's would hang)."""
        endings = [protocol.gone for protocol in self._protocols]
        self.abandon()
        if endings:
            await asyncio.wait(endings, timeout=CLOSE_TIMEOUT_S)

    def abandon(self) -> None:
        """Let go of every transport; nothing is dialled any more."""
        self._closed = True
        self.protocol = None
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        for protocol in list(self._protocols):
            protocol.abandon()

    # ---- the end of a window --------------------------------------------------------------------------------------

    @property
    def under_way(self) -> list[WireCall]:
        """Calls that were submitted and have not ended."""
        return [*(call for protocol in self._protocols for call in self._open(protocol)), *self.waiting]

    def give_up(self) -> None:
        """End every call that is under way as NOT_ENDED; the connections stay."""
        waiting, self.waiting = self.waiting, deque()
        given_up = list(waiting)
        for protocol in list(self._protocols):
            for call in self._open(protocol):
                protocol.http2.cancel(call.stream_id, status=NOT_ENDED)
                given_up.append(call)
            self.settle(protocol)
            protocol.flush()
        for call in given_up:
            call.status, call.text = NOT_ENDED, GIVEN_UP
        if given_up:
            self.on_ended(self, given_up)
        if self.settings.single_use:
            self.abandon()

    @staticmethod
    def _open(protocol: Http2Protocol) -> list[WireCall]:
        return list(cast("dict[int, WireCall]", protocol.http2.calls).values())

    # ---- what is rare ------------------------------------------------------------------------------------------

    def settle(self, protocol: Http2Protocol) -> None:
        """Handle events other than answers on `protocol`, and calls that wait for room."""
        http2 = protocol.http2
        if self.protocol is protocol:
            if http2.draining:
                self._down(lost=http2.closed is not None or http2.control.peer_goaway is not None)
            while self.waiting and protocol.start_calls((self.waiting[0],)):
                self.waiting.popleft()
        if http2.closed is not None or (http2.draining and not http2.calls):
            protocol.close()

    def ended(self, protocol: Http2Protocol, calls: list[WireCall]) -> None:
        """Take calls that are over; with `resend`, those that the server surely did not process go again, once."""
        if self.settings.resend:
            unprocessed = [call for call in calls if call.unprocessed and not call.resent]
            if unprocessed:
                calls = [call for call in calls if call not in unprocessed]
                self.waiting.extend(_second_attempt(call) for call in unprocessed)
        if calls:
            self.on_ended(self, calls)
        if self.settings.single_use:
            protocol.http2.drain()

    def lost(self, protocol: Http2Protocol, reason: str) -> None:
        """Handle the loss of a transport."""
        self._forget(protocol)
        ended = cast("list[WireCall]", protocol.http2.connection_lost(reason))
        if self._closed:
            return
        if self.protocol is protocol:
            self._down(lost=True)
        if ended:
            self.ended(protocol, ended)
            self.flush()

    def _down(self, *, lost: bool) -> None:
        """Take no further call on the connection; `lost` unless that is for want of stream ids.

        As with grpcio, one that got a GOAWAY is lost, and one that was for a single call is not.
        """
        self.protocol = None
        self.counters.connections_lost += lost and not self.settings.single_use
        if self.waiting or not self.settings.single_use:
            self.dial()
        self.on_change()

    # ---- now and then ------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """Look after everything that depends on time: deadlines, keepalive, a server that does not read."""
        for protocol in list(self._protocols):
            if self.settings.deadline_s is not None:
                self._expire(protocol, now)
            protocol.look(now)
        if self.settings.deadline_s is not None and self.waiting:
            self._expire_waiting(now)
        self.flush()

    def _overdue(self, calls: Iterable[WireCall], now: float) -> list[WireCall]:
        """Return the calls whose deadline has passed. The oldest come first, but for those that were sent again."""
        assert self.settings.deadline_s is not None
        began = now - self.settings.deadline_s
        over = []
        for call in calls:
            if call.started + call.late <= began:
                over.append(call)
            elif not self.settings.resend:
                break
        return over

    def _expire(self, protocol: Http2Protocol, now: float) -> None:
        over = self._overdue(cast("dict[int, WireCall]", protocol.http2.calls).values(), now)
        for call in over:
            text = f"no answer within {self.settings.deadline_s:g} s"
            protocol.http2.cancel(call.stream_id, status=DEADLINE_EXCEEDED, text=text)
        if over:
            self.ended(protocol, over)
            self.settle(protocol)
            protocol.flush()

    def _expire_waiting(self, now: float) -> None:
        over = self._overdue(self.waiting, now)
        if over:
            expired = set(over)
            self.waiting = deque(call for call in self.waiting if call not in expired)
            for call in over:
                call.status = DEADLINE_EXCEEDED
                call.text = f"not sent within {self.settings.deadline_s:g} s"
            if self.settings.single_use:
                self.abandon()
            self.on_ended(self, over)


def _second_attempt(call: WireCall) -> WireCall:
    """Return the call to be sent again, at its old start. It goes once more at most (gRFC A6, transparent retries)."""
    fresh = WireCall()
    fresh.started, fresh.late, fresh.resent, fresh.request = call.started, call.late, True, call.request
    fresh.number, fresh.block = call.number, call.block
    return fresh


def _ignore(*_: Any) -> None:
    """Take an event that nobody handles."""
