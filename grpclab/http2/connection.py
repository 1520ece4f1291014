"""The shared half of both sides: bytes in, bytes out, and the recognition of what comes again and again.

:meth:`Connection.receive` is the one way in and :meth:`Connection.take` the one way out. A peer that breaks the
protocol ends the connection, never the process: what is to be said to it is in the outgoing bytes, and `closed`
says why. What is rare is next door (:mod:`grpclab.http2.control`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from grpclab.http2 import frames
from grpclab.http2.control import MAX_IDLE_FRAMES, Control, ProtocolError
from grpclab.http2.frames import DATA, END_STREAM, HEADERS, ErrorCode, Setting, unpack_header
from grpclab.http2.headers import HeaderError

__all__ = ["LEARN_EVERY", "MAX_IDLE_FRAMES", "Connection", "ProtocolError"]

USUAL_STEPS: Final = 3
"""A whole stream that is recognised is as much work as so many more frames."""
LEARN_EVERY: Final = 16
"""Every so many unusual exchanges one is learnt: where they all differ, the attempt must cost nothing."""


class Connection(Control):
    """The shared half. `stream_window` and `connection_window` are what this side is ready to receive, in bytes."""

    def __init__(self, *, stream_window: int, connection_window: int, settings: dict[int, int]) -> None:
        super().__init__()
        self.stream_window = stream_window
        self._connection_window = max(connection_window, frames.DEFAULT_WINDOW)
        self._consumed = 0
        self._give_back_at = max(1, self._connection_window // 2)
        self._give_back_stream_at = max(1, stream_window // 2)
        self._events: list[Any] = []
        self._rest = b""
        self.steps_at_once = sys.maxsize
        """After so much work, about a frame each, :meth:`receive` leaves the rest for the next time."""
        self.behind = False
        """It did: ``receive(b"")`` goes on."""
        self.unusual = True
        """Frames came that were not recognised; for the owner to reset."""
        self._further_steps = 0
        # The usual frames up to the end of a stream, cut at its id; found by their first five bytes. At most two: a
        # whole stream, which begins with HEADERS, and what is left of one whose HEADERS came before, from DATA on.
        self._usual: dict[bytes, tuple[bytes, ...]] = {}
        self._usual_data = [0, 0]  # bytes of DATA in them, by the type of the first frame
        self._ending_data = 0
        self._unusual = 0
        self._handlers: tuple[Callable[[int, int, bytes], None], ...] = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_rst_stream,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
            self._on_unknown,
        )
        own = {Setting.INITIAL_WINDOW_SIZE: stream_window, Setting.HEADER_TABLE_SIZE: 0} | settings
        self.outgoing.append(frames.settings(own))
        if self._connection_window > frames.DEFAULT_WINDOW:
            self.outgoing.append(frames.window_update(0, self._connection_window - frames.DEFAULT_WINDOW))

    # ---- in and out --------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Any]:
        """Take bytes from the peer; returns what happened (see the subclass). Never raises on what a peer sends."""
        if self.closed is not None:
            return []
        events = self._events = []
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        begun_at, begun_id = 0, 0
        usual = self._usual
        steps = self.steps_at_once
        try:
            while at + 9 <= end and steps > 0:
                steps -= 1
                pieces = usual.get(data[at : at + 5])
                if pieces is not None:
                    # The fast way: frames up to the end of a stream that are those of a stream before, but for
                    # the stream id, are recognised in one comparison. What is unusual goes frame by frame.
                    name = data[at + 5 : at + 9]
                    whole = name.join(pieces)
                    if data.startswith(whole, at) and self._on_usual(data[at + 3], int.from_bytes(name, "big")):
                        at += len(whole)
                        steps -= USUAL_STEPS
                        continue
                high, low, kind, flags, stream_id = unpack_header(data, at)
                if stream_id != begun_id:
                    begun_at, begun_id = at, stream_id
                length = high << 8 | low
                if length > frames.DEFAULT_MAX_FRAME or not self.ready or self._inside_block:
                    self._check_start(length, kind, data[at : at + 9])
                stop = at + 9 + length
                if stop > end:
                    break
                self._handlers[kind if kind < 10 else 10](flags, stream_id & 0x7FFFFFFF, data[at + 9 : stop])
                at = stop
                if flags & END_STREAM and kind <= HEADERS:
                    self._learn(data[begun_at:stop], stream_id)
                    begun_id = 0
                self.unusual = True
                if self._further_steps:
                    steps -= self._further_steps
                    self._further_steps = 0
            self._rest = data[at:]
            self.behind = steps <= 0
        except ProtocolError as error:
            self._break_off(error.code, str(error))
        except HeaderError as error:
            self._break_off(ErrorCode.COMPRESSION_ERROR, str(error))
        return events

    def _check_start(self, length: int, kind: int, start: bytes) -> None:
        """Refuse a frame by its first 9 bytes."""
        if not self.ready and start.startswith(b"HTTP/1"):
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "the peer speaks HTTP/1, not HTTP/2")
        if not self.ready and kind != frames.SETTINGS:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "the peer's first frame is not SETTINGS: is this HTTP/2?")
        if self._inside_block and kind != frames.CONTINUATION:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "a frame inside a header block")
        if length > frames.DEFAULT_MAX_FRAME:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length:,} bytes")

    def _learn(self, ending: bytes, stream_id: int) -> None:
        """Remember the frames with which a stream came to its end, all in one piece, as the usual ones."""
        self._unusual += 1
        kind = ending[3]
        if (self._unusual - 1) % LEARN_EVERY or kind > HEADERS:
            return
        pieces, at, cut, data_bytes = [], 0, 0, 0
        while at < len(ending):
            high, low, frame_kind, _, frame_id = unpack_header(ending, at)
            if frame_id != stream_id:
                return  # others came in between
            length = high << 8 | low
            pieces.append(ending[cut : at + 5])
            cut = at + 9
            at = cut + length
            data_bytes += length if frame_kind == DATA else 0
        self._ending_data = data_bytes
        if len(pieces) > 1 and self._is_usual(stream_id):
            for start in [start for start in self._usual if start[3] == kind]:
                del self._usual[start]
            self._usual[ending[:5]] = (*pieces, ending[cut:])
            self._usual_data[kind] = data_bytes
            self._on_learnt(kind)

    def take(self) -> bytes:
        """The bytes to send to the peer; empties the queue."""
        out = b"".join(self.outgoing)
        self.outgoing.clear()
        return out

    def abort(self, code: ErrorCode, reason: str) -> list[Any]:
        """End the connection with a GOAWAY. Returns what that ended."""
        self._events = []
        if self.closed is None:
            self._break_off(code, reason)
        return self._events

    def connection_lost(self, reason: str) -> list[Any]:
        """The transport is gone. Returns what that ended."""
        self._events = []
        if self.closed is None:
            self._finish(reason)
        # Cycles would keep all this until they are looked for: the handlers, and calls that know their connection.
        self._handlers = ()
        ended, self._events = self._events, []
        return ended

    # ---- for the two sides -------------------------------------------------------------------------------------

    def _on_data(self, flags: int, stream_id: int, body: bytes) -> None:
        raise NotImplementedError

    def _is_usual(self, stream_id: int) -> bool:
        """True if the stream that has just come to its end may stand for others of the same bytes.

        The DATA of these bytes is `_ending_data` long.
        """
        raise NotImplementedError

    def _on_learnt(self, kind: int) -> None:
        """That stream stands for others from now on, where they begin with a frame of this type."""

    def _on_usual(self, kind: int, stream_id: int) -> bool:
        """The usual frames came, of which the first is of this type; False if they were not to be expected."""
        raise NotImplementedError

    def _end_everything(self, reason: str) -> None:
        """The connection is over."""

    def _last_peer_stream(self) -> int:
        return 0

    def _break_off(self, code: ErrorCode, reason: str) -> None:
        self.outgoing.append(frames.goaway(self._last_peer_stream(), code, reason.encode()[:256]))
        self._finish(f"{code.name}: {reason}")

    def _finish(self, reason: str) -> None:
        self.closed = reason
        self.draining = True
        self.behind = False
        self._rest, self._fragments, self._fragments_bytes = b"", [], 0
        self._usual.clear()
        self._end_everything(reason)

    def _give_back(self) -> None:
        """Return the connection's window. Subclasses count `_consumed` themselves, and call this at the half of it.

        What comes is consumed as it comes, so no peer can be seen to overrun this window.
        """
        self.outgoing.append(frames.window_update(0, self._consumed))
        self._consumed = 0

    def _header_block(self, flags: int, stream_id: int, body: bytes) -> bytes | None:
        block = super()._header_block(flags, stream_id, body)
        if block is None:
            self._usual.clear()  # nothing but CONTINUATION may follow, however usual
        return block
