"""Engine `grpcio`: grpc.aio channels and the generated stub, what a Python client really does and costs."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

import grpc
import grpc.aio
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from grpclab.errors import TargetError
from grpclab.factors.channel_args import client_args
from grpclab.factors.config import TrialConfig
from grpclab.http2.messages import DEADLINE_EXCEEDED, UNAVAILABLE
from grpclab.http2.peer_settings import PeerSettings
from grpclab.load.calls.method import CallSpec
from grpclab.load.core.arrivals import Change
from grpclab.load.core.gate import Gate
from grpclab.load.core.recorder import Recorder
from grpclab.load.core.traffic import (
    Traffic,
    channelz_attempts,
    channelz_channels,
    channelz_connections,
    channelz_pings,
    channelz_subchannels,
)
from grpclab.load.engines.backoff import Backoff
from grpclab.load.engines.circuit_breaker import CircuitBreaker
from grpclab.load.engines.engine import Counters
from grpclab.load.engines.grpcio_calls import CallMaker, Next, send_spans, tracing
from grpclab.load.engines.loops import CallFunction, Clock, ClosedLoop, OpenLoop
from grpclab.load.peer_probe import channel_settings
from grpclab.load.reachability import connected, look
from grpclab.status import STATUS_NAMES, statuses_of
from grpclab.system.channels import ChannelRoute, open_aio_channel
from grpclab.system.pacing import Pacer
from grpclab.system.transport import Security

TurnFunction = Callable[[Next, float, Recorder], Awaitable[tuple[int, float]]]
"""A call, and what it sends."""

COUNT_EVERY_S = 0.25
"""The shortest time between two counts of lost connections, while connections come and go."""
REFUSED = "refused by the circuit breaker"
REFUSED_PAUSE_S = 0.01
"""The time that a caller of a closed loop takes for a call that is refused; else it would do nothing but try."""


class _Line:
    """A kept channel or, with one for each call, all of them: whether it is up, and when to try again if not."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.backoff = Backoff()


class GrpcioEngine:
    """The engine of grpc.aio. C-core queues calls beyond the peer's stream limit out of sight:
    `counters.held` stays 0. So does it decompress answers: `Recorder.encodings` stays empty."""

    VARIES_CALLS = STREAMS = True

    def __init__(
        self,
        config: TrialConfig,
        target: str,
        security: Security,
        call: CallSpec,
        *,
        residence: bool = False,
        clock: Clock = time.perf_counter,
    ) -> None:
        self.counters = Counters()
        self._config = config
        self._target = target
        self._security = security
        self._route = ChannelRoute.to(target, security) if security.verify else None
        self._maker = CallMaker(call, config.load, residence=residence, clock=clock)
        self._clock = clock
        client = config.client
        self._options = client_args(client)
        self._tracing = client.tracing_share is not None
        self._interceptors = tracing(client.tracing_share)
        failures, open_s = client.circuit_breaker, client.breaker_open_s
        self._breaker = None if failures is None else CircuitBreaker(failures, open_s)
        self._broken = {STATUS_NAMES.index(name) for name in statuses_of(client.breaker_statuses)}
        """The statuses that are failures to the breaker."""
        self._refused_s = 0.0
        self._channels: list[grpc.aio.Channel] = []
        self._calls: list[CallFunction] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._foreign: set[str] = set()
        """Channels of this process that are not this engine's, by channelz id."""
        self._lost = 0
        self._attempts: dict[int, int] = {}
        """The attempts at calls by the number of their subchannel, also where that is gone; with retries only."""
        self._counted_at = -math.inf
        self._up = 0
        self._opened = 0
        self._down_since = math.nan
        self._under_way: Callable[[], list[float]] = list
        self._give_up: Callable[[], None] = _nothing

    # ---- connections -------------------------------------------------------------------------------------------

    @staticmethod
    def client_settings(config: TrialConfig) -> PeerSettings:
        """Return the settings that a channel with its arguments sends first."""
        return channel_settings(config.client)

    async def connect(self, timeout_s: float) -> None:
        client = self._config.client
        count = client.connections if client.pooling == "pool" else 1
        self._foreign = {one["ref"]["channelId"] for one in channelz_channels(cygrpc.channelz_get_top_channels)}
        if self._route is None:
            self._route = await asyncio.to_thread(_unverified, self._target, self._security)
        channels = [self._channel() for _ in range(count)]
        try:
            await connected(_ready(channels), self._target, timeout_s, security=self._security)
        except TargetError:
            await asyncio.gather(*(channel.close() for channel in channels))
            raise
        if client.pooling == "per_call":  # it only finds out whether someone is there
            self._opened = 1
            await channels[0].close()
            self._calls = [self._in_turn(self._fresh_call(_Line()))]
        else:
            self._channels, self._up, self._opened = channels, count, count
            lines = [_Line() for _ in channels]
            self._calls = [self._in_turn(self._kept_call(*pair)) for pair in zip(channels, lines, strict=True)]
            self._watchers = [asyncio.create_task(self._watch(*pair)) for pair in zip(channels, lines, strict=True)]

    async def close(self) -> None:
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels))

    def traffic(self) -> Traffic:
        """Return the traffic, without GOAWAYs: those stand in C-core's log, which the generator reads."""
        pings = 0
        if self._config.client.pooling != "per_call":  # a connection for one call is gone before it could ping
            # What the package grpcio-channelz is made of.
            pings = channelz_pings(
                cygrpc.channelz_get_top_channels, cygrpc.channelz_get_subchannel, cygrpc.channelz_get_socket
            )
        return Traffic(
            connections_opened=self._opened,
            client_pings=pings,
            server_pings=math.nan,
            attempts=sum(self._attempts.values()),
        )

    def _channel(self) -> grpc.aio.Channel:
        return open_aio_channel(self._target, route=self._route, options=self._options, interceptors=self._interceptors)

    async def _watch(self, channel: grpc.aio.Channel, line: _Line) -> None:
        """Signal the calls of a kept channel when it is up, and count the time in which none is."""
        ready, state = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.READY
        line.up.set()
        while True:
            await channel.wait_for_state_change(state)
            previous, state = state, channel.get_state()
            if self._clock() >= self._counted_at + COUNT_EVERY_S:
                self._read_channelz()
            if previous is ready and state is not ready:
                line.up.clear()
                self._up -= 1
                if not self._up:
                    self._down_since = self._clock()
            elif state is ready and previous is not ready:
                line.up.set()
                line.backoff.succeeded()
                self._note_outage()
                self._up += 1

    def _read_channelz(self) -> None:
        """Add the connections that were lost since this was last done, and the attempts at calls."""
        own_channels = [
            channel
            for channel in channelz_channels(cygrpc.channelz_get_top_channels)
            if channel["ref"]["channelId"] not in self._foreign
        ]
        client = self._config.client
        balanced = client.load_balancing != "pick_first"  # then a channel has a connection to each server
        looked_into = own_channels if client.retries or balanced else ()
        subchannels = channelz_subchannels(looked_into, cygrpc.channelz_get_subchannel)
        counts = [channelz_connections(one) for one in (subchannels.values() if balanced else own_channels)]
        lost = sum(each for _, each in counts)
        self.counters.connections_lost += max(0, lost - self._lost)
        self._opened, self._lost, self._counted_at = sum(each for each, _ in counts), lost, self._clock()
        if client.retries:
            self._attempts |= {number: channelz_attempts(one) for number, one in subchannels.items()}

    def _note_outage(self) -> None:
        """Add the outage so far, if there is one."""
        if not self._up and self._channels:
            now = self._clock()
            self.counters.outage_s += now - self._down_since
            self._down_since = now

    # ---- windows -----------------------------------------------------------------------------------------------

    async def run(self, gate: Gate, recorder: Recorder, concurrency: int, changes: Sequence[Change] = ()) -> None:
        loop = ClosedLoop(self._calls, concurrency, changes, gate=gate, recorder=recorder, clock=self._clock)

        def give_up() -> None:
            gate.close()
            loop.give_up()

        self._under_way = lambda: loop.under_way
        self._give_up = give_up
        self._refused_s = REFUSED_PAUSE_S
        try:
            await loop.run()
        finally:
            self._idle()
        await self._window_over()

    async def run_open(
        self, planned: Iterator[float], gate: Gate, recorder: Recorder, pacer: Pacer, max_in_flight: int
    ) -> None:
        loop = OpenLoop(
            self._calls,
            planned,
            gate=gate,
            recorder=recorder,
            pacer=pacer,
            max_in_flight=max_in_flight,
            counters=self.counters,
            clock=self._clock,
            numbers=self._maker.unsent,
        )

        def give_up() -> None:
            gate.close(self._clock())
            loop.give_up()

        self._under_way = lambda: loop.under_way
        self._give_up = give_up
        try:
            await loop.run()
        finally:
            self._idle()
        await self._window_over()

    async def _window_over(self) -> None:
        if self._tracing:
            await send_spans()
        self._note_outage()
        if self._channels:
            self._read_channelz()

    def under_way(self) -> list[float]:
        """See :class:`grpclab.load.engines.engine.Engine`."""
        return self._under_way()

    def give_up(self) -> None:
        """See :class:`grpclab.load.engines.engine.Engine`."""
        self._give_up()

    def _idle(self) -> None:
        """Handle a call while no window is running."""
        self._under_way = list
        self._give_up = _nothing
        self._refused_s = 0.0

    # ---- calls -------------------------------------------------------------------------------------------------

    def _in_turn(self, call: TurnFunction) -> CallFunction:
        if self._breaker is not None:
            call = self._guarded(call, self._breaker)

        async def make(start_s: float, recorder: Recorder) -> tuple[int, float]:
            """Make the next call; note which call of a mix it was just before it is recorded."""
            turn = self._maker.next()
            try:
                return await call(turn, start_s, recorder)
            finally:
                recorder.call(turn.call)

        return make

    def _guarded(self, call: TurnFunction, breaker: CircuitBreaker) -> TurnFunction:
        async def make(turn: Next, start_s: float, recorder: Recorder) -> tuple[int, float]:
            """Make a call if the breaker lets it go."""
            leave = breaker.admit(self._clock())
            if leave is None:
                recorder.failures.note(UNAVAILABLE, REFUSED, start_s, self._clock())
                if self._refused_s:
                    await asyncio.sleep(self._refused_s)
                return UNAVAILABLE, math.nan
            try:
                status, residence_s = await call(turn, start_s, recorder)
            except BaseException:
                breaker.abandoned(leave)
                raise
            breaker.ended(leave, self._clock(), failed=status in self._broken)
            return status, residence_s

        return make

    def _fresh_call(self, line: _Line) -> TurnFunction:
        async def make(turn: Next, start_s: float, recorder: Recorder) -> tuple[int, float]:
            """Make a channel for one call; opening and closing it are part of the call."""
            self._opened += 1
            async with self._channel() as channel:
                return await self._kept_call(channel, line)(turn, start_s, recorder)

        return make

    def _kept_call(self, channel: grpc.aio.Channel, line: _Line) -> TurnFunction:
        methods, deadline_s = self._maker.methods_on(channel), self._config.client.deadline_s
        reconnects = bool(self._channels)

        async def make(turn: Next, start_s: float, recorder: Recorder) -> tuple[int, float]:
            left_s = deadline_s
            if self._clock() < line.backoff.until_s:
                left_s = await self._pause(line, deadline_s)
                if left_s is not None and left_s <= 0:
                    text = f"not sent within {deadline_s:g} s"
                    recorder.failures.note(DEADLINE_EXCEEDED, text, start_s, self._clock())
                    return DEADLINE_EXCEEDED, math.nan
            status, residence_s = await self._maker.make(turn, methods[turn.call], left_s, start_s, recorder)
            if status != UNAVAILABLE:
                if not reconnects:
                    line.backoff.succeeded()
            elif channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                line.backoff.failed(self._clock())
            return status, residence_s

        return make

    async def _pause(self, line: _Line, deadline_s: float | None) -> float | None:
        """Wait for the connection or for the next attempt, as engine `wire` does; C-core would fail the call at once.

        Returns what is left of the deadline.
        """
        begun = self._clock()
        pause_s = line.backoff.until_s - begun
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s if deadline_s is None else min(pause_s, deadline_s)):
                await line.up.wait()
        return None if deadline_s is None else deadline_s - (self._clock() - begun)


def _nothing() -> None:
    """Give up no call: none is under way."""


def _unverified(target: str, security: Security) -> ChannelRoute:
    """Return the way to a server that is not verified. Raises TargetError, in the words of both engines."""
    try:
        return ChannelRoute.to(target, security)
    except TargetError as error:
        raise (TargetError(text) if (text := look(target, security).text) else error) from None


async def _ready(channels: Iterable[grpc.aio.Channel]) -> None:
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
