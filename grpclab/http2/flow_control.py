"""Flow control (RFC 9113, 5.2): what the peer may send, what this side may send, and the DATA that wait for it.

All of it counts the payload of DATA frames, padding included. :class:`ReceiveWindows` give back what was received as
soon as half of a window is used up; :class:`SendQueue` sends what waits, a frame of each stream in turn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, Generic, Protocol, TypeVar

from grpclab.http2 import frames
from grpclab.http2.frames import MAX_WINDOW, ErrorCode
from grpclab.http2.protocol_errors import FloodCounter, ProtocolError, StreamError


class SendWindows:
    """The bytes that the peer is ready to receive: on the whole connection, on a new stream, in one frame."""

    __slots__ = ("connection", "max_frame", "stream")

    def __init__(self) -> None:
        self.connection = frames.DEFAULT_WINDOW
        self.stream = frames.DEFAULT_WINDOW
        self.max_frame = frames.DEFAULT_MAX_FRAME

    def widen(self, increment: int) -> None:
        """The peer is ready to receive so much more on the whole connection. Raises ProtocolError."""
        self.connection += increment
        check_connection_window(self.connection)


def check_connection_window(size: int) -> None:
    """Raise ProtocolError for a window of the connection that is beyond what the protocol knows."""
    if size > MAX_WINDOW:
        raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is beyond 2^31 - 1")


class Receiving(Protocol):
    """A stream on which DATA comes."""

    stream_id: int
    unreturned: int
    """Bytes of DATA that the stream's window was not yet given back."""


class ReceiveWindows:
    """The bytes that this side is ready to receive. What comes on the connection is consumed as it comes, so no peer
    can be seen to overrun its window; `stream` is the window of each stream.
    """

    __slots__ = ("_give_back_at", "_outgoing", "consumed", "give_back_stream_at", "stream")

    def __init__(self, outgoing: list[bytes], *, stream: int, connection: int) -> None:
        self._outgoing = outgoing
        self._give_back_at = max(1, connection // 2)
        self.stream = stream
        self.give_back_stream_at = max(1, stream // 2)
        """A stream that has received so much has its window given back."""
        self.consumed = 0
        """Bytes of DATA that the connection's window was not yet given back."""

    def consume(self, size: int) -> None:
        """So many bytes of DATA came, on whatever streams."""
        self.consumed += size
        if self.consumed >= self._give_back_at:
            self._outgoing.append(frames.window_update(0, self.consumed))
            self.consumed = 0

    def give_back(self, stream: Receiving) -> None:
        """Give back the window of a stream. Raises StreamError where it was overrun."""
        if stream.unreturned > self.stream:
            text = "more data than the stream's window allows"
            raise StreamError(ErrorCode.FLOW_CONTROL_ERROR, text, stream.stream_id)
        self._outgoing.append(frames.window_update(stream.stream_id, stream.unreturned))
        stream.unreturned = 0


class Flow:
    """The DATA that a stream has to send, and what its window allows of them.

    A stream has one where its DATA are not sent all at once, or where the peer has widened its window.
    """

    __slots__ = ("ends", "granted", "pieces", "queued", "sent")

    def __init__(self, *, ends: bool) -> None:
        self.ends = ends
        """The last piece ends the stream: no more follow. Never where trailers do."""
        self.pieces: deque[memoryview] = deque()
        """What is to be sent, in order."""
        self.sent = 0
        """Bytes of DATA, as far as they were sent by a :class:`SendQueue`."""
        self.granted = 0
        """Bytes, by WINDOW_UPDATE."""
        self.queued = False

    @property
    def incomplete(self) -> bool:
        """True while something is to be sent, or may still follow."""
        return bool(self.pieces) or not self.ends

    @property
    def unsent(self) -> int:
        """Bytes that are to be sent."""
        return sum(map(len, self.pieces))


class Sending(Protocol):
    """A stream that sends DATA."""

    stream_id: int
    flow: Flow | None


Sender = TypeVar("Sender", bound=Sending)


class SendQueue(Generic[Sender]):
    """The streams of a connection that have DATA to send, and what the windows allow of them.

    `open` has the streams that are open; those that are not send nothing. A stream whose own window is used up leaves
    the queue until it is opened. Every frame sent makes up for `calms` idle frames.
    """

    __slots__ = ("_calms", "_idle", "_open", "_outgoing", "_waiting", "_windows")

    def __init__(
        self,
        outgoing: list[bytes],
        windows: SendWindows,
        open: Mapping[int, Sender],
        *,
        idle: FloodCounter,
        calms: int,
    ) -> None:
        self._outgoing, self._windows, self._open = outgoing, windows, open
        self._idle, self._calms = idle, calms
        self._waiting: deque[Sender] = deque()

    def add(self, stream: Sender, flow: Flow, data: bytes) -> None:
        """Take DATA of a stream, not empty, to be sent by :meth:`send`."""
        flow.pieces.append(memoryview(data))
        self._queue(stream, flow)

    def _queue(self, stream: Sender, flow: Flow) -> None:
        if flow.pieces and not flow.queued:
            flow.queued = True
            self._waiting.append(stream)

    def send(self) -> list[Sender]:
        """Send what the windows allow. Returns the streams that have nothing left to send."""
        windows, waiting, drained = self._windows, self._waiting, []
        while waiting and windows.connection > 0:
            stream = waiting.popleft()
            flow = stream.flow
            if flow is None or self._open.get(stream.stream_id) is not stream:
                continue  # it is over
            allowed = min(windows.connection, windows.stream + flow.granted - flow.sent, windows.max_frame)
            if allowed <= 0:
                flow.queued = False
                continue
            piece = flow.pieces[0]
            if len(piece) > allowed:
                piece, flow.pieces[0] = piece[:allowed], piece[allowed:]
            else:
                flow.pieces.popleft()
            windows.connection -= len(piece)
            flow.sent += len(piece)
            self._idle.take_off(self._calms)
            if flow.pieces:
                waiting.append(stream)
            else:
                flow.queued = False
                drained.append(stream)
            end = flow.ends and not flow.pieces
            self._outgoing.append(frames.data(stream.stream_id, piece, end=end))
        return drained

    def grant(self, stream: Sender, flow: Flow, increment: int) -> None:
        """The peer has widened the window of a stream. Raises StreamError for a window that is wrong."""
        flow.granted += increment
        if increment == 0:
            raise StreamError(ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE of 0", stream.stream_id)
        if self._windows.stream + flow.granted - flow.sent > MAX_WINDOW:
            raise StreamError(ErrorCode.FLOW_CONTROL_ERROR, "the window exceeds 2^31 - 1 bytes", stream.stream_id)
        self._queue(stream, flow)

    def windows_moved(self) -> None:
        """The peer's initial window may have changed: every stream that has DATA is looked at again."""
        for stream in self._open.values():
            if stream.flow is not None:
                self._queue(stream, stream.flow)

    def clear(self) -> None:
        """The connection is over."""
        self._waiting.clear()


ALL: Final = 2**31
"""As `calms` of a queue: a frame that is sent makes up for all idle frames."""
