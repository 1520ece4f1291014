"""The connections of engine `wire`: those that are kept, taken in turn, or a new one for each call."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from grpclab.errors import TargetError
from grpclab.load.core.traffic import Traffic, TrafficCounter
from grpclab.load.engines.backoff import Backoff
from grpclab.load.engines.connection_settings import ConnectionSettings
from grpclab.load.engines.engine import Counters
from grpclab.load.engines.reconnecting import ReconnectingConnection
from grpclab.load.reachability import connected

LOOK_AT_ONE_S = 50e-6
"""Pause for each connection that is looked after: some percent of a core at most, however many there are."""


class ConnectionPool:
    """The connections of one engine: `size` are kept; `attach` is called with each one that is made for a call."""

    def __init__(
        self,
        settings: ConnectionSettings,
        counters: Counters,
        *,
        size: int,
        attach: Callable[[ReconnectingConnection], None],
        clock: Callable[[], float],
    ) -> None:
        self.connections: list[ReconnectingConnection] = []
        self._settings = settings
        self._counters = counters
        self._size = size
        self._attach = attach
        self._clock = clock
        self._passed = TrafficCounter()
        """On transports that are gone, and every connection that was opened."""
        self._backoff = Backoff() if settings.single_use else None
        self._next = 0
        self._down_since: float | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def connect(self, target: str, timeout_s: float) -> None:
        """Open the connections. Raises TargetError if nothing answers."""
        self.connections = [
            ReconnectingConnection(self._settings, self._counters, self._passed) for _ in range(self._size)
        ]
        try:
            security = self._settings.security
            await connected(self._dial(), target, timeout_s, security=security, why=lambda: self.connections[0].error)
        except TargetError:
            await self.close()
            raise
        if self._settings.single_use:  # it only found out whether someone is there
            await self.close()
        for connection in self.connections:
            connection.on_change = self.note_outage
        self.be_idle()

    async def _dial(self) -> None:
        while down := [connection for connection in self.connections if connection.protocol is None]:
            await asyncio.gather(*(connection.dial() for connection in down))  # one for a single call dials but once

    # ---- between windows -----------------------------------------------------------------------------------------

    def be_idle(self) -> None:
        """Look after keepalive until the next window begins: no call is under way that depends on time."""
        every_s = max(self._settings.look_idle_every_s, LOOK_AT_ONE_S * len(self.connections))
        if self.connections and every_s < math.inf:
            self._idle = asyncio.get_running_loop().call_later(every_s, self._look_idle)

    def _look_idle(self) -> None:
        self.look(self._clock())
        self.be_idle()

    def _end_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    async def close(self) -> None:
        """Close the connections."""
        self._end_idle()
        await asyncio.gather(*(connection.close() for connection in self.connections))
        self.connections = []

    def pick(self) -> ReconnectingConnection:
        """Pick the connections in turn; with one for each call, make a new one."""
        if self._settings.single_use:
            connection = ReconnectingConnection(self._settings, self._counters, self._passed, backoff=self._backoff)
            self.connections.append(connection)
            self._attach(connection)
            return connection
        self._next = (self._next + 1) % len(self.connections)
        return self.connections[self._next]

    def look(self, now: float) -> None:
        """Look after deadlines and keepalive of each connection; forget those that were for one call and are over."""
        for connection in list(self.connections):
            connection.look(now)
        self.note_outage()
        if self._settings.single_use:
            self.connections = [connection for connection in self.connections if connection.open]

    def traffic(self) -> Traffic:
        """Return what passed beside calls since the first connection was opened."""
        on_open_transports = TrafficCounter()
        for connection in self.connections:
            connection.count_open_into(on_open_transports)
        return self._passed.total() + on_open_transports.total()

    def begin_window(self) -> None:
        """Begin to count outages anew; whoever measures looks after the connections from now on."""
        self._end_idle()
        self._down_since = None

    def note_outage(self) -> None:
        """Count the outage so far: one lasts while no kept connection takes calls."""
        now = self._clock()
        if self._down_since is not None:
            self._counters.outage_s += now - self._down_since
        down = not self._settings.single_use and all(connection.protocol is None for connection in self.connections)
        self._down_since = now if down else None
