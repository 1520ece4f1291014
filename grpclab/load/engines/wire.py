"""Engine `wire`: HTTP/2 frames of our own (:mod:`grpclab.http2`), so that the client is never the bottleneck.

The hot path is one page: ``Http2Protocol.data_received`` (http2_protocol.py) hands a batch of bytes to
``ClientConnection.receive`` and the calls that ended in it to :meth:`WireEngine._closed_loop` or
:meth:`WireEngine._open_loop` here. The clock is read once for each batch: requests that follow are written at
once.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import operator
import time
from collections.abc import Callable, Iterator, Sequence

from grpclab.factors.config import TrialConfig
from grpclab.http2.headers import residence_s
from grpclab.http2.messages import error_details
from grpclab.http2.peer_settings import PeerSettings
from grpclab.load.calls.answer_watch import AnswerWatch
from grpclab.load.calls.method import CallSpec
from grpclab.load.calls.turns import CallTurns
from grpclab.load.core.arrivals import Change
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.core.traffic import Traffic
from grpclab.load.engines.connection_settings import connection_settings, encoding_of, first_settings
from grpclab.load.engines.engine import LOOK_S, Counters
from grpclab.load.engines.http2_protocol import Http2Protocol, WireCall, new_calls
from grpclab.load.engines.loops import WantedCallers, record_never_sent, shrink
from grpclab.load.engines.pool import LOOK_AT_ONE_S, ConnectionPool
from grpclab.load.engines.reconnecting import ReconnectingConnection
from grpclab.load.engines.wire_streams import Handler, WireStreams
from grpclab.status import ENDED_BY_CLIENT, OK, status_in_time
from grpclab.system.pacing import Pacer
from grpclab.system.transport import Security

TURN_S = 0.02
"""After so long without a turn of the event loop, servers that send without pause are not read."""
BATCH = 64
"""The number of late calls that are sent before answers are read again."""
MANY = 6
"""The fewest answers that are cheaper to record together than one by one."""
status_of = operator.attrgetter("status")


class WireEngine:
    """The engine on this package's own HTTP/2."""

    VARIES_CALLS = STREAMS = True

    def __init__(
        self,
        config: TrialConfig,
        target: str,
        security: Security,
        call: CallSpec,
        *,
        residence: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.counters = Counters()
        self._client = config.client
        self._target = target
        self._clock = clock
        self._residence = residence
        self._streams = WireStreams(call, config.load, clock)
        self._streaming = call.streams_either_way
        self._answers = AnswerWatch(call, self._streams.all_plans)
        self._turns = CallTurns(call, self._answers, encoding=encoding_of(config.client))
        self._single = config.client.pooling == "per_call"
        settings = connection_settings(
            config.client,
            target,
            security,
            call,
            streams=self._streams.plans,
            watch=self._answers.watch,
            turns=iter(self._turns),
        )
        self._look_every_s = settings.look_every_s
        self._pool = ConnectionPool(
            settings,
            self.counters,
            size=config.client.connections if config.client.pooling == "pool" else 1,
            attach=self._listen,
            clock=clock,
        )
        # Of the window:
        self._recorder = Recorder(None)
        self._gate = Gate(opens_at=math.inf)
        self._handle: Handler = self._closed_loop
        self._running = 0
        self._wanted = WantedCallers(0, (), clock, self._fill)
        self._finished: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._look_at = math.inf
        self._turned_at = math.inf
        self._turn_scheduled = False
        self._paused: set[Http2Protocol] = set()
        # Of an open loop:
        self._pacer: Pacer | None = None
        self._planned: Iterator[float] = iter(())
        self._due = math.inf
        self._max_in_flight = 0
        self._full = self._waited = False
        self._full_until = -math.inf

    # ---- the hot path: calls that ended, calls that follow -----------------------------------------------------

    @staticmethod
    def client_settings(config: TrialConfig) -> PeerSettings:
        """Return the settings that the engine sends first."""
        return first_settings(config)

    def _closed_loop(self, connection: ReconnectingConnection, ended: list[WireCall]) -> None:
        """Record calls that ended; each of their callers calls again."""
        now = self._clock()
        if len(ended) >= MANY and not any(map(status_of, ended)):
            self._recorder.record_batch([over.started for over in ended], now)
            following = new_calls(self._gate.admit_batch(now, len(ended)), now)
        else:
            following = self._one_by_one(ended, now)
        self._running -= len(ended) - len(following)
        connection.submit(following)
        if not self._running:
            self._finish()

    def _one_by_one(self, ended: list[WireCall], now: float) -> list[WireCall]:
        """Record calls that ended; returns those that follow."""
        record, admit = self._recorder.record, self._gate.admit
        following = []
        for over in ended:
            if over.status:
                self._note_failure(over, now)
            record(over.started, now, over.status)
            if admit(now):
                call = WireCall()
                call.started = now
                following.append(call)
        return following

    def _open_loop(self, _connection: ReconnectingConnection, ended: list[WireCall]) -> None:
        """Record calls that ended; calls that waited for the bound may follow."""
        now = self._clock()
        record = self._recorder.record
        for call in ended:
            if call.status:
                self._note_failure(call, now)
            record(call.started, now, call.status, call.late)
        self._running -= len(ended)
        assert self._pacer is not None
        self._pacer.touch()
        if self._full or (not self._running and self._gate.over(self._due)):
            self._send_due()

    def _send_due(self) -> None:
        """Send what is due, however late; then wait for the next time, or for room."""
        now = self._clock()
        if self._full:
            self._full, self._full_until = False, now
        used: list[ReconnectingConnection] = []
        while self._due <= now and len(used) < BATCH and not self._gate.over(self._due):
            if self._running >= self._max_in_flight:
                self._full = True
                break
            if self._gate.admit(self._due):
                self.counters.bound_hits += self._due <= self._full_until
                call = WireCall()
                call.started = self._due
                call.late = self._clock() - self._due
                self._running += 1
                connection = self._pool.pick()
                connection.submit((call,))
                used.append(connection)
                self._due = next(self._planned, math.inf)
        for connection in used:
            connection.flush()
        if not self._gate.over(self._due):
            assert self._pacer is not None
            soon = now + LOOK_S
            self._pacer.wake_at(soon if self._full else min(self._due, soon), self._send_due)
        elif not self._running:
            self._finish()

    # ---- the other ways a call can be looked at ----------------------------------------------------------------

    def _refilling(self, _connection: ReconnectingConnection, ended: list[WireCall]) -> None:
        """Record calls that ended where callers become fewer, or have a connection for each call."""
        now = self._clock()
        for call in ended:
            if call.status:
                self._note_failure(call, now)
            self._recorder.record(call.started, now, call.status)
        self._running -= len(ended)
        self._fill(now)

    def _fill(self, ended_at: float | None = None) -> None:
        """Start calls until as many are in flight as wanted: at `ended_at`, or now."""
        used = []
        while self._running < self._wanted.number:
            started = self._clock() if ended_at is None else ended_at
            if not self._gate.admit(started):
                break
            call = WireCall()
            call.started = started
            self._running += 1
            used.append(self._pool.pick())
            used[-1].submit((call,))
        for connection in used:
            connection.flush()
        if not self._running:
            self._finish()

    def _note_failure(self, call: WireCall, now: float) -> None:
        """Note the text of a failed call that was not cancelled as planned."""
        if call.status == ENDED_BY_CLIENT:
            return
        call.status = status_in_time(call.status, call.taken(now), self._client.deadline_s)
        self._recorder.failures.note(call.status, call.text, call.started, now, error_details(call.trailers))

    def _looking(self, handle: Handler) -> Handler:
        """Wrap `handle`: first look into the answers, and note the reference server's account of each, and its turn."""

        def looked(connection: ReconnectingConnection, ended: list[WireCall]) -> None:
            if self._answers.active:
                self._answers.end(ended, self._recorder.answers)
            if self._residence:
                for call in ended:
                    self._recorder.residence(residence_s(call.trailers))
            if self._turns.mixed:
                for call in ended:
                    self._recorder.call(call.number if call.request else next(self._turns.unsent))
            handle(connection, ended)

        return looked

    def _note_encoded(self, calls: list[WireCall]) -> None:
        """Count the compressed answers of the window."""
        for call in calls:
            if call.encoding and call.status == OK and self._gate.counts(call.started):
                self._recorder.encoded(call.encoding)

    # ---- windows -----------------------------------------------------------------------------------------------

    async def run(self, gate: Gate, recorder: Recorder, concurrency: int, changes: Sequence[Change] = ()) -> None:
        """See :class:`grpclab.load.engines.engine.Engine`."""
        self._wanted = WantedCallers(concurrency, changes, self._clock, self._fill)
        handle = self._refilling if shrink(changes) or self._single else self._closed_loop
        with self._window(gate, recorder, handle) as finished:
            self._fill()
            self._wanted.begin()
            try:
                await finished
            finally:
                self._wanted.end()

    async def run_open(
        self, planned: Iterator[float], gate: Gate, recorder: Recorder, pacer: Pacer, max_in_flight: int
    ) -> None:
        """See :class:`grpclab.load.engines.engine.Engine`."""
        with self._window(gate, recorder, self._open_loop) as finished:
            self._pacer, self._max_in_flight = pacer, max_in_flight
            self._full, self._waited, self._full_until = False, False, -math.inf
            self._planned, self._due = planned, next(planned, math.inf)
            self._send_due()
            try:
                await finished
            finally:
                pacer.cancel()
            due = itertools.chain([self._due], planned)
            unsent = record_never_sent(due, gate, recorder, self._clock(), self._turns.unsent)
            self.counters.bound_hits += unsent if self._waited else 0

    def under_way(self) -> list[float]:
        """See :class:`grpclab.load.engines.engine.Engine`."""
        return [call.started for connection in self._pool.connections for call in connection.under_way]

    def give_up(self) -> None:
        """See :class:`grpclab.load.engines.engine.Engine`."""
        self._gate.close(self._clock())
        self._waited = self._full  # by then, calls that are due wait for `max_in_flight`
        for connection in list(self._pool.connections):
            connection.give_up()
        if not self._running:
            self._finish()

    @contextlib.contextmanager
    def _window(self, gate: Gate, recorder: Recorder, handle: Handler) -> Iterator[asyncio.Future[None]]:
        """Serve this window; the future is done when its last call has ended."""
        self._gate, self._recorder, self._running = gate, recorder, 0
        looks = self._residence or self._answers.active or self._turns.mixed
        self._handle = self._streams.ending(self._looking(handle) if looks else handle)
        self._streams.recorder = recorder
        self._finished = asyncio.get_running_loop().create_future()
        for connection in self._pool.connections:
            self._listen(connection)
        self._pool.begin_window()
        self._turned_at = self._clock()
        self._look()
        try:
            yield self._finished
        finally:
            assert self._timer is not None
            self._timer.cancel()
            self._look_at = math.inf
            self._pool.note_outage()
            self._pool.be_idle()

    def _finish(self) -> None:
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _after_reading(self, protocol: Http2Protocol) -> None:
        """Keep timers on time while servers send without a pause: uvloop reads each up to 32 times first."""
        now = self._clock()
        if now >= self._look_at:
            assert self._timer is not None
            self._timer.cancel()
            self._look()
        if now - self._turned_at <= TURN_S:
            return
        if not self._turn_scheduled:  # turns are not counted; one that is scheduled comes at once, except in a flood
            self._turn_scheduled, self._turned_at = True, now
            asyncio.get_running_loop().call_soon(self._turn)
        elif protocol not in self._paused:
            self._paused.add(protocol)
            protocol.pause()

    def _turn(self) -> None:
        """Go on reading: the event loop has come round."""
        self._turn_scheduled, self._turned_at = False, self._clock()
        paused, self._paused = self._paused, set()
        for protocol in paused:
            protocol.resume()

    def _look(self) -> None:
        """Look after deadlines, keepalive, outages and records now and then."""
        now = self._clock()
        self._look_at = math.inf  # not again from within
        self._recorder.flush_full()
        self._pool.look(now)
        every_s = max(self._look_every_s, LOOK_AT_ONE_S * len(self._pool.connections))
        self._timer = asyncio.get_running_loop().call_later(every_s, self._look)
        self._look_at = now + every_s

    # ---- connections -------------------------------------------------------------------------------------------

    async def connect(self, timeout_s: float) -> None:
        """Open the connections. Raises TargetError if nothing answers."""
        await self._pool.connect(self._target, timeout_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()

    def traffic(self) -> Traffic:
        """See :class:`grpclab.load.engines.engine.Engine`."""
        return self._pool.traffic()

    def _listen(self, connection: ReconnectingConnection) -> None:
        connection.on_ended = self._handle
        connection.on_encoded = self._note_encoded
        connection.on_turn = self._after_reading
        if self._streaming:
            connection.on_messages, connection.on_stream = self._streams.note_messages, self._streams.begin
