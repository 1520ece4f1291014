"""The emulated link without its sockets: when each byte is due, and which bytes are lost.

Pure: no clock, no I/O. Times are seconds of one clock that never runs backwards, passed in by the caller
(:mod:`grpclab.link.emulation` passes ``time.monotonic()``).

A direction is a :class:`DelayLine`. Bytes are first put on the wire, one after the other, at the bandwidth;
then they travel for half the round trip. A segment is due when its last byte has arrived, so nothing is
ever early. A connection is an :class:`EmulatedPath`: two lines, and a middlebox that forgets connections it
has been silent for longer than the idle timeout.
"""

from __future__ import annotations

import enum
from collections import deque

from grpclab.factors.config import LinkConfig

UNSHAPED_BUFFER_BYTES = 64 * 2**20
SHAPED_BUFFER_MIN_BYTES, SHAPED_BUFFER_MAX_BYTES = 64 * 2**10, 2**30
SEGMENT_BYTES = 1448
"""Payload of an Ethernet frame: the smallest piece in which a slow link hands bytes over."""

Chunk = bytes | memoryview


class Ending(enum.Enum):
    """An item that travels behind the bytes, in order: the end of one direction, or a reset of the connection."""

    END = "end"
    RESET = "reset"


class Direction(enum.IntEnum):
    """The direction in which bytes travel."""

    UP = 0
    """From the client to the target."""
    DOWN = 1
    """From the target to the client."""

    @property
    def opposite(self) -> Direction:
        """The opposite direction."""
        return Direction(1 - self)


def buffer_bytes(config: LinkConfig) -> int:
    """Return the most bytes that one direction holds before its sender is held back.

    Without a bandwidth 64 MiB, which one sender does not fill within a usual delay. With one, twice what fits
    on the path in a round trip (a full path and a router queue), at least 20 ms worth: more would only be
    seconds of queue in front of each byte that the sender believes sent.
    """
    if config.bandwidth_mbps is None:
        return UNSHAPED_BUFFER_BYTES
    seconds = max(2 * config.rtt_ms / 1e3, 0.02)
    return int(min(max(config.bandwidth_mbps * 1e6 / 8 * seconds, SHAPED_BUFFER_MIN_BYTES), SHAPED_BUFFER_MAX_BYTES))


class DelayLine:
    """One direction of the link: a queue of segments, each with the time at which it is due."""

    def __init__(self, *, delay_s: float, bytes_per_s: float | None = None, limit_bytes: int = UNSHAPED_BUFFER_BYTES):
        self._delay = delay_s
        self._seconds_per_byte = 0.0 if bytes_per_s is None else 1 / bytes_per_s
        # A millisecond's worth at a time: finer would wake the relay more often than its timers can.
        self._segment = 0 if bytes_per_s is None else max(SEGMENT_BYTES, int(bytes_per_s / 1000))
        self._limit = limit_bytes
        self._wire_free = float("-inf")
        self._queue: deque[tuple[float, Chunk | Ending]] = deque()
        self.held_bytes = 0

    def push(self, data: Chunk, now: float) -> None:
        """Let bytes enter at `now`. The line keeps the buffer: the caller must not change it."""
        self.held_bytes += len(data)
        if not self._segment:
            self._queue.append((max(now, self._wire_free) + self._delay, data))
            return
        pieces: list[Chunk] = [data]
        if len(data) > self._segment:
            view = memoryview(data)
            pieces = [view[at : at + self._segment] for at in range(0, len(view), self._segment)]
        free = max(now, self._wire_free)
        for piece in pieces:
            free += len(piece) * self._seconds_per_byte
            self._queue.append((free + self._delay, piece))
        self._wire_free = free

    def push_ending(self, ending: Ending, now: float) -> None:
        """Let the end of the stream, or a reset, enter behind all bytes so far."""
        self._queue.append((max(now, self._wire_free) + self._delay, ending))

    def hold_until(self, time: float) -> None:
        """Let nothing onto the wire before `time` (the handshake of TCP is still under way)."""
        self._wire_free = max(self._wire_free, time)

    def pop_due(self, now: float) -> tuple[list[Chunk], Ending | None]:
        """Return what has arrived by `now`: the segments in order, and the ending behind them if it is due."""
        queue = self._queue
        chunks: list[Chunk] = []
        while queue and queue[0][0] <= now:
            item = queue.popleft()[1]
            if isinstance(item, Ending):
                return chunks, item
            self.held_bytes -= len(item)
            chunks.append(item)
        return chunks, None

    def clear(self) -> None:
        """Lose all that is under way."""
        self._queue.clear()
        self.held_bytes = 0

    @property
    def next_due(self) -> float | None:
        """The moment at which the first segment arrives; None with nothing under way."""
        return self._queue[0][0] if self._queue else None

    @property
    def full(self) -> bool:
        """Return whether the sender must be held back."""
        return self.held_bytes >= self._limit

    @property
    def has_room(self) -> bool:
        """Return whether a sender that was held back may go on: half the buffer is free again."""
        return self.held_bytes <= self._limit // 2


class EmulatedPath:
    """The path of one TCP connection: a line each way, and the middlebox's memory of it.

    A path is silent while nothing enters it, is under way on it or leaves it. Once it has been silent for
    longer than the idle timeout it is black-holed for good: whatever enters is lost, without notice.
    """

    def __init__(self, config: LinkConfig, *, opened: float):
        rate = None if config.bandwidth_mbps is None else config.bandwidth_mbps * 1e6 / 8
        limit = buffer_bytes(config)
        self._rtt = config.rtt_ms / 1e3
        self.lines = tuple(DelayLine(delay_s=self._rtt / 2, bytes_per_s=rate, limit_bytes=limit) for _ in Direction)
        self._timeout = config.idle_timeout_s
        self._last_seen = self.established = opened + 1.5 * self._rtt
        """The moment at which the target sees the connection: SYN, SYN-ACK and ACK have crossed. A client's first
        bytes leave with that ACK, a round trip after it began to connect."""
        self.lines[Direction.UP].hold_until(opened + self._rtt)
        self.black_holed = False

    def enter(self, direction: Direction, item: Chunk | Ending, now: float) -> bool:
        """Let bytes or an ending enter. Returns False where they are lost."""
        if not self._notices(now):
            return False
        line = self.lines[direction]
        if isinstance(item, Ending):
            line.push_ending(item, now)
        else:
            line.push(item, now)
        return True

    def leave(self, direction: Direction, now: float) -> tuple[list[Chunk], Ending | None]:
        """Return what arrives at the far end by `now`, as :meth:`DelayLine.pop_due` does."""
        chunks, ending = self.lines[direction].pop_due(now)
        if chunks or ending:
            self._last_seen = max(self._last_seen, now)
        return chunks, ending

    def _notices(self, now: float) -> bool:
        if self._timeout is not None and not self.black_holed:
            under_way = any(line.next_due is not None for line in self.lines)
            self.black_holed = not under_way and now - self._last_seen > self._timeout
            self._last_seen = max(self._last_seen, now)
        return not self.black_holed
