"""A connection: bytes in, frames to the side that owns it, and the parts that client and server share.

:class:`Connection` cuts what comes into frames and carries out the transitions of
:data:`~grpclab.http2.states.CONNECTION`; streams that are like one before take the
:class:`~grpclab.http2.fast_path.FastPath`. :class:`Endpoint` is what users see of either side:
:meth:`Endpoint.receive` is the one way in, :meth:`Endpoint.take` the one way out. A peer that breaks the protocol ends
the connection, never the process: what is to be said to it is in the outgoing bytes, and `closed` says why.

No part keeps its side: that is passed in. So a connection that is over is freed at once, without a search for cycles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from grpclab.http2 import control, frames
from grpclab.http2.control import Control
from grpclab.http2.fast_path import FastPath
from grpclab.http2.flow_control import ReceiveWindows
from grpclab.http2.frames import (
    DATA,
    DEFAULT_MAX_FRAME,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    ErrorCode,
    Setting,
    unpack_header,
)
from grpclab.http2.header_blocks import HeaderBlocks
from grpclab.http2.headers import HeaderError
from grpclab.http2.protocol_errors import ProtocolError, StreamError
from grpclab.http2.states import CONNECTION, ConnectionState, FrameAction, FrameInput, frame_input

USUAL_STEPS: Final = 4
"""A whole stream that is recognised is as much work as so many frames."""

Event = TypeVar("Event")
FrameFunction = Callable[[Any, int, int, bytes], None]
"""An action on a frame: a function of the side, the frame's flags, its stream and its payload."""
Row = tuple[FrameFunction, ...]
"""The actions of a state, by a frame's type and END_HEADERS (:class:`~grpclab.http2.states.FrameInput`)."""


class Connection:
    """The frames of a connection, whose parts its side owns."""

    def __init__(
        self,
        outgoing: list[bytes],
        *,
        blocks: HeaderBlocks[Any],
        received: ReceiveWindows,
        fast_path: FastPath[Any],
    ) -> None:
        self._outgoing, self._blocks, self._received, self._fast_path = outgoing, blocks, received, fast_path
        self.error: ProtocolError | None = None
        """The rule that the peer broke, or that it is said to have broken."""
        self.closed: str | None = None
        """Why the connection is over; None while it is not."""
        self.rest = b""
        """The beginning of a frame that has not come whole, and what this side has not got round to."""
        self.steps_at_once = sys.maxsize
        """After so much work, about a frame each, :meth:`read` leaves the rest for the next time."""
        self.further_steps = 0
        """Work on the frame at hand beyond a frame's; for the side to add to."""
        self.behind = False
        """It did: more bytes, or none, and it goes on."""
        self.unusual = True
        """Frames came that were not recognised; for the owner to reset."""
        self._state = int(ConnectionState.GREETING)
        self._row = STEPS

    def read(self, side: Endpoint[Any], data: bytes) -> None:
        """Hand the frames in the data to the side. Raises ProtocolError, HeaderError."""
        at, end = 0, len(data)
        begun_at, begun_id = 0, 0
        fast_path = self._fast_path
        usual = fast_path.usual
        steps, consumed = self.steps_at_once, 0
        try:
            while at + 9 <= end and steps > 0:
                steps -= 1
                found, taken = usual.get(data[at : at + 5]), 0
                while found is not None and not taken:
                    like = found.with_end(data, at) if found.varying else found
                    taken = like.recognised(side, data, at, steps // USUAL_STEPS + 1)
                    at += taken * like.size
                    consumed += taken * like.data_bytes
                    found = found.other
                if taken:
                    steps -= taken * USUAL_STEPS - 1
                    continue
                high, low, kind, flags, stream_id = unpack_header(data, at)
                if stream_id != begun_id:
                    begun_at, begun_id = at, stream_id
                length = high << 8 | low
                row = self._row
                if length > DEFAULT_MAX_FRAME or row is STEPS:
                    self._check_start(length, kind, flags, data[at : at + 9])
                stop = at + 9 + length
                if stop > end:
                    break
                action = row[(kind if kind < 10 else 10) | (flags & END_HEADERS) << 2]
                try:
                    action(side, flags, stream_id & 0x7FFFFFFF, data[at + 9 : stop])
                except StreamError as error:
                    side.on_stream_error(error)
                at = stop
                if kind == DATA:
                    consumed += length
                if flags & END_STREAM and kind <= HEADERS:
                    fast_path.learn(side, data, begun_at, stop, stream_id)
                    begun_id = 0
                self.unusual = True
                if self.further_steps:
                    steps -= self.further_steps
                    self.further_steps = 0
            self.rest = data[at:]
            self.behind = steps <= 0
        finally:
            if consumed:
                self._received.consume(consumed)

    def _check_start(self, length: int, kind: int, flags: int, start: bytes) -> None:
        """Refuse a frame by its first 9 bytes."""
        if self._state == ConnectionState.GREETING and start.startswith(b"HTTP/1"):
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, "the peer speaks HTTP/1, not HTTP/2")
        stream_id = int.from_bytes(start[5:], "big") & frames.MAX_STREAM_ID
        CONNECTION.step(self._state, frame_input(kind, flags), stream_id)
        if length > DEFAULT_MAX_FRAME:
            raise ProtocolError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length:,} bytes", stream_id)

    def step(self, side: Endpoint[Any], kind: int, flags: int, stream_id: int, body: bytes) -> None:
        """Carry out any transition. Raises ProtocolError where there is none."""
        action, self._state = CONNECTION.step(self._state, frame_input(kind, flags), stream_id)
        self._row = open_row(type(side)) if self._state == ConnectionState.OPEN else STEPS
        _function(type(side), action)(side, flags, stream_id, body)

    def break_off(self, side: Endpoint[Any], error: ProtocolError) -> None:
        """End the connection with a GOAWAY, unless it is over."""
        if self.closed is None:
            self.error = error
            self._outgoing.append(frames.goaway(side.last_peer_stream, error.code, str(error).encode()[:256]))
            self.end(side, f"{error.code.name}: {error}")

    def end(self, side: Endpoint[Any], reason: str) -> None:
        """The connection is over, if it was not before."""
        if self.closed is not None:
            return
        _, self._state = CONNECTION.step(self._state, FrameInput.END)
        self.closed = reason
        self.behind = False
        self.rest, self._row = b"", STEPS
        self._blocks.drop()
        self._fast_path.forget()
        side.on_end(reason)


class Endpoint(Generic[Event]):
    """One end of a connection, client's or server's: its parts, and the bytes in and out.

    `stream_window` and `connection_window` are what this side is ready to receive, in bytes. The methods `on_...` are
    called for what comes; `sample`, `varying` and `recognise` are those of the fast path.
    """

    def __init__(
        self,
        *,
        stream_window: int,
        connection_window: int,
        settings: dict[int, int],
        blocks: HeaderBlocks[Any],
        fast_path: FastPath[Any],
    ) -> None:
        connection_window = max(connection_window, frames.DEFAULT_WINDOW)
        own = {Setting.INITIAL_WINDOW_SIZE: stream_window, Setting.HEADER_TABLE_SIZE: 0} | settings
        self.outgoing: list[bytes] = [frames.settings(own)]
        """What is to be sent to the peer."""
        if connection_window > frames.DEFAULT_WINDOW:
            self.outgoing.append(frames.window_update(0, connection_window - frames.DEFAULT_WINDOW))
        self.control = Control(self.outgoing)
        self.windows = self.control.windows
        self.received = ReceiveWindows(self.outgoing, stream=stream_window, connection=connection_window)
        self.blocks = blocks
        self.fast_path = fast_path
        self.connection = Connection(self.outgoing, blocks=blocks, received=self.received, fast_path=fast_path)
        self._events: list[Event] = []

    @property
    def closed(self) -> str | None:
        """Why the connection is over; None while it is not."""
        return self.connection.closed

    @property
    def ready(self) -> bool:
        """The peer's settings have come."""
        return self.control.ready

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes from the peer; returns what happened (see the subclass). Never raises on what a peer sends."""
        events: list[Event] = []
        connection = self.connection
        if connection.closed is not None:
            return events
        self._events = events
        try:
            connection.read(self, connection.rest + data if connection.rest else data)
        except ProtocolError as error:
            connection.break_off(self, error)
        except HeaderError as error:
            connection.break_off(self, ProtocolError(ErrorCode.COMPRESSION_ERROR, str(error)))
        else:
            if self.control.windows_moved:
                self.control.windows_moved = False
                self.on_windows_moved()
        return events

    def take(self) -> bytes:
        """The bytes to send to the peer; empties the queue."""
        out = b"".join(self.outgoing)
        self.outgoing.clear()
        return out

    def abort(self, code: ErrorCode, reason: str) -> list[Event]:
        """End the connection with a GOAWAY. Returns what that ended."""
        self._events = []
        self.connection.break_off(self, ProtocolError(code, reason))
        return self._events

    def connection_lost(self, reason: str) -> list[Event]:
        """The transport is gone. Returns what that ended."""
        self._events = []
        self.connection.end(self, reason)
        ended, self._events = self._events, []  # which know their connection
        return ended

    # ---- what comes --------------------------------------------------------------------------------------------

    @property
    def last_peer_stream(self) -> int:
        """The last stream of the peer that this side has looked at."""
        return 0

    def sample(self, kind: int, stream_id: int, data_bytes: int) -> Any:
        return None

    def varying(self, block: bytes) -> int:
        return 0

    def recognise(self, stream_ids: Sequence[int], sample: Any, ends: Sequence[bytes]) -> int:
        return 0

    def on_headers(self, flags: int, stream_id: int, body: bytes) -> None:
        """A header block, all of it."""
        raise NotImplementedError

    def on_long_block(self, flags: int, stream_id: int) -> None:
        """A header block has come to its end that was too long to be kept."""
        raise NotImplementedError

    def on_data(self, flags: int, stream_id: int, body: bytes) -> None:
        """DATA; that it was consumed is counted already."""
        raise NotImplementedError

    def on_stream_error(self, error: StreamError) -> None:
        """The peer went wrong on a stream, which is to be reset."""
        raise NotImplementedError

    def on_windows_moved(self) -> None:
        """The windows of streams may have moved with the peer's settings."""

    def on_end(self, reason: str) -> None:
        """The connection is over."""

    # Of the frames that move no call (see grpclab.http2.control.Controlled):

    def on_settings(self) -> None: ...

    def on_settings_acked(self) -> None:
        self.blocks.decoder.independent()  # the peer's table is empty from now on

    def on_pong(self, opaque: bytes) -> None: ...

    def on_going_away(self, last_stream_id: int, text: str) -> None: ...

    def on_window(self, increment: int) -> None:
        self.windows.widen(increment)

    def on_stream_window(self, stream_id: int, increment: int) -> None:
        raise NotImplementedError

    def on_reset(self, stream_id: int, code: int) -> None:
        raise NotImplementedError


# ---- actions -----------------------------------------------------------------------------------------------------


def _begin_block(side: Endpoint[Any], flags: int, stream_id: int, body: bytes) -> None:
    side.fast_path.forget()  # nothing but CONTINUATION may follow, however usual
    side.blocks.begin(flags, stream_id, body)


def _continue_block(side: Endpoint[Any], flags: int, stream_id: int, body: bytes) -> None:
    side.control.idle_frame()
    side.blocks.go_on(stream_id, body)


def _end_block(side: Endpoint[Any], flags: int, stream_id: int, body: bytes) -> None:
    _continue_block(side, flags, stream_id, body)
    block = side.blocks.end()
    if block.too_long:
        side.on_long_block(block.flags, block.stream_id)
    else:
        side.on_headers(block.flags, block.stream_id, block.content)


_FUNCTIONS: Final[dict[FrameAction, FrameFunction]] = {
    FrameAction.BEGIN_BLOCK: _begin_block,
    FrameAction.CONTINUE_BLOCK: _continue_block,
    FrameAction.END_BLOCK: _end_block,
    FrameAction.PRIORITY: control.on_priority,
    FrameAction.RESET: control.on_rst_stream,
    FrameAction.SETTINGS: control.on_settings,
    FrameAction.PING: control.on_ping,
    FrameAction.GOAWAY: control.on_goaway,
    FrameAction.WINDOW: control.on_window_update,
    FrameAction.IGNORE: control.on_unknown,
}


def _function(side: type[Endpoint[Any]], action: FrameAction) -> FrameFunction:
    if action is FrameAction.DATA:
        return side.on_data
    return side.on_headers if action is FrameAction.HEADERS else _FUNCTIONS[action]


def _stepping(kind: int) -> FrameFunction:
    """The function that looks the transition of such a frame up when it comes."""

    def step(side: Endpoint[Any], flags: int, stream_id: int, body: bytes) -> None:
        side.connection.step(side, kind, flags, stream_id, body)

    return step


PLACES: Final = FrameInput.LAST_CONTINUATION + 2
"""The length of a row: the place of a frame is its type, and 16 more with END_HEADERS."""
STEPS: Final[Row] = tuple(_stepping(place & 15) for place in range(PLACES))
"""The row of every state but OPEN: what comes there is rare."""


_open_rows: dict[type[Endpoint[Any]], Row] = {}


def open_row(side: type[Endpoint[Any]]) -> Row:
    """The row of the state OPEN for one kind of side: the functions of all transitions that stay there."""
    known = _open_rows.get(side)
    if known is not None:
        return known
    row = list(STEPS)
    for place in range(PLACES):
        found = CONNECTION.rows[ConnectionState.OPEN][frame_input(place & 15, place >> 2)]
        if found is not None and found[1] == ConnectionState.OPEN:
            row[place] = _function(side, found[0])
    _open_rows[side] = tuple(row)
    return _open_rows[side]
