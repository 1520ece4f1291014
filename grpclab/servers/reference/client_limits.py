"""Bounds on what one client, and all of them together, can make the reference server hold and do. Pure.

Where a bound is reached, whoever holds the most goes: a client that holds little is never stopped by another.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

MIB: Final = 1024 * 1024
MAX_MESSAGE_BYTES: Final = 4 * MIB
"""Longest message that is received, as C-core's default (``grpc.max_receive_message_length``)."""
CONNECTION_BYTES: Final = 24 * MIB
"""What the calls of one connection hold: further calls and messages are refused."""
SERVER_BYTES: Final = 48 * MIB
"""What all connections hold, unread answers included: beyond it those that hold the most are ended."""
CALM: Final = 0.9
"""Ending them goes on until this share of SERVER_BYTES is left, so that it does not come one by one."""
MAX_CONNECTIONS: Final = 4096
"""Connections at once: beyond it those that have been silent for the longest are ended."""
SPARE_FILES: Final = 64
"""Files that the server needs besides its connections."""
WRITE_AHEAD_BYTES: Final = MIB
"""DATA given to a transport before it has written what it had."""
TURN_STEPS: Final = 500
"""After so much work, about a frame each, on what one connection has said it is the turn of the others."""
TURN_BYTES: Final = 64 * 1024
"""...and after a read of so many bytes: the loop reads on and on where a client is faster than it."""
STEP_BYTES: Final = 4 * 1024
"""Smaller changes of what a connection holds are not looked at..."""
FEW_STREAMS: Final = 64
"""...nor is it while so many calls that are all alike are all there is."""


class Holder(Protocol):
    """A connection, as :class:`Ledger` sees it."""

    @property
    def read_at(self) -> float:
        """When something came from it last."""

    @property
    def held(self) -> int:
        """Bytes of memory that it makes the server hold."""


class Ledger:
    """The memory that each connection holds. It returns the connections to be ended, which it has forgotten already."""

    def __init__(self, *, most_bytes: int = SERVER_BYTES, most_connections: int = MAX_CONNECTIONS) -> None:
        self.total = 0
        """Bytes held by all."""
        self._most_bytes = most_bytes
        self._most_connections = max(1, most_connections)
        self._held: dict[Holder, int] = {}

    def admit(self, holder: Holder) -> list[Holder]:
        """A new connection."""
        dismissed: list[Holder] = []
        if len(self._held) >= self._most_connections:
            silent = sorted(self._held, key=lambda other: other.read_at)
            dismissed = silent[: len(silent) - int(self._most_connections * CALM) + 1]
            self._forget_all(dismissed)
        self._held[holder] = 0
        return dismissed

    def settle(self, holder: Holder, held: int) -> list[Holder]:
        """Record how much a connection holds now. One that is forgotten stays so."""
        before = self._held.get(holder)
        if before is None:
            return []
        self._held[holder] = held
        self.total += held - before
        if self.total <= self._most_bytes:
            return []
        for other in self._held:  # some may hold less by now than they said last
            self._held[other] = other.held
        self.total = sum(self._held.values())
        dismissed: list[Holder] = []
        if self.total > self._most_bytes:
            left = self.total
            for other in sorted(self._held, key=self._held.__getitem__, reverse=True):
                if left <= self._most_bytes * CALM:
                    break
                left -= self._held[other]
                dismissed.append(other)
            self._forget_all(dismissed)
        return dismissed

    def forget(self, holder: Holder) -> None:
        """A connection is over."""
        self.total -= self._held.pop(holder, 0)

    def _forget_all(self, holders: Iterable[Holder]) -> None:
        for holder in holders:
            self.forget(holder)
