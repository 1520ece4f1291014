"""Streams of engine `wire`: what the client does in a call after its start, on timers of the event loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from grpclab.factors.config import LoadConfig
from grpclab.http2.messages import unframed
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.recorder import Recorder
from grpclab.load.core.stream_plan import ClientSide, StreamPlan
from grpclab.load.engines.http2_protocol import Http2Protocol, WireCall
from grpclab.load.engines.reconnecting import ReconnectingConnection
from grpclab.status import ENDED_BY_CLIENT

Handler = Callable[[ReconnectingConnection, list[WireCall]], None]
"""Takes the calls that are over on a connection."""

BATCH = 64
"""Messages of one stream that are sent before the event loop has a turn."""


class WireStreams:
    """The streams of one engine."""

    def __init__(self, call: CallSpec, load: LoadConfig, clock: Callable[[], float]) -> None:
        self.all_plans = call.stream_plans(load)
        """What the client does in each call of a mix after its start, or in the one."""
        self.plans = self.all_plans if any(self.all_plans) else ()
        """The same; empty where it does nothing in any of them."""
        self._watched = [one.streams_either_way for one in call.members]
        self._clock = clock
        self.recorder = Recorder(None)
        """That of the running window."""

    def begin(self, protocol: Http2Protocol, call: WireCall) -> None:
        """Begin what the client does in a call."""
        plan = self.plans[call.number]
        assert plan is not None
        stream = WireStream(plan, protocol, call, self._clock)
        call.stream = stream
        stream.begin()

    def note_messages(self, calls: list[WireCall]) -> None:
        """Record the times of messages that have come: a call for each."""
        now = self._clock()
        for call in calls:
            if call.status == ENDED_BY_CLIENT or not self._watched[call.number]:
                continue  # it came after the last one that was wanted, or its call does not stream
            self.recorder.message(now, call.last_message_at, call.started, call.last_sent_at, call.number)
            call.last_message_at = now
            if call.stream is not None:
                call.stream.answered(now)

    def ending(self, handle: Handler) -> Handler:
        """Wrap `handle`, where there is a plan: end first what the client does in the calls that are over."""
        plans = self.plans
        if not plans:
            return handle

        def ended_streams(connection: ReconnectingConnection, ended: list[WireCall]) -> None:
            for call in ended:
                if call.stream is not None:
                    call.stream.stop()
                    if (plan := plans[call.number]) is not None and plan.sends:
                        self.recorder.sent(call.started, call.stream.sent, call.number)
                    call.stream = None
            handle(connection, ended)

        return ended_streams


class WireStream:
    """One stream: sends its messages when they are due, and ends it as planned."""

    __slots__ = ("_call", "_clock", "_ending", "_plan", "_protocol", "_received", "_sending", "_side")

    def __init__(self, plan: StreamPlan, protocol: Http2Protocol, call: WireCall, clock: Callable[[], float]) -> None:
        self._plan, self._protocol, self._call, self._clock = plan, protocol, call, clock
        self._side = ClientSide(plan, unframed(call.request) if plan.sends else (), clock())
        self._received = 0
        self._sending: asyncio.TimerHandle | None = None
        self._ending: asyncio.TimerHandle | None = None

    @property
    def sent(self) -> int:
        """Messages that the client has sent."""
        return self._side.sent

    def begin(self) -> None:
        """Send what is due at once. Whoever has begun the call flushes its transport."""
        if self._plan.duration_s is not None:
            self._ending = asyncio.get_running_loop().call_later(self._plan.duration_s, self._time_over)
        if self._plan.sends:
            self._call.on_drained = self._drained
            self._send_due()

    def answered(self, now: float) -> None:
        """Note a message that has come; the next one may be due, or it was the last that was wanted."""
        self._received += 1
        if self._received == self._plan.receives_at_most:
            self._cancel()
        elif self._plan.ping_pong:
            self._side.answered(now)
            self._send_due()

    def stop(self) -> None:
        """Do nothing more: the call is over."""
        for timer in (self._sending, self._ending):
            if timer is not None:
                timer.cancel()
        self._call.on_drained = None

    def _send_due(self) -> None:
        """Send what is due; then wait for the next time, for the peer's windows, or for an answer."""
        side, call, http2 = self._side, self._call, self._protocol.http2
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        for _ in range(BATCH):
            if call.status >= 0 or call.blocked:
                return
            now = self._clock()
            if side.due_s > now:
                break
            call.last_sent_at = now
            message = side.take()
            http2.send_message(call.stream_id, message, end=side.over)
        if side.over:
            http2.end_stream(call.stream_id)
        elif side.due_s < math.inf:
            wait_s = max(0.0, side.due_s - self._clock())
            self._sending = asyncio.get_running_loop().call_later(wait_s, self._wake)

    def _wake(self) -> None:
        self._sending = None
        self._send_due()
        self._protocol.flush()

    def _drained(self, _call: WireCall) -> None:
        """Go on: the peer's windows have opened. The transport is flushed by whoever read that."""
        self._send_due()

    def _time_over(self) -> None:
        """End the stream, or the client's side of it."""
        if self._call.status >= 0:
            return
        if self._plan.cancels:
            self._cancel()
            return
        self._side.close()
        self._protocol.http2.end_stream(self._call.stream_id)
        self._protocol.flush()

    def _cancel(self) -> None:
        protocol, call = self._protocol, self._call
        if call.status >= 0:
            return
        protocol.http2.cancel(call.stream_id, status=ENDED_BY_CLIENT)
        protocol.owner.ended(protocol, [call])
        protocol.owner.settle(protocol)
        protocol.flush()
        protocol.owner.flush()
