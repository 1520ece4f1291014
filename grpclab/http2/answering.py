"""The server's half that speaks: answers, prepared or piece by piece, within the client's windows.

:meth:`Answering.reply` is on the hot path: a few prepared pieces of bytes, joined by the stream id.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from grpclab.http2 import frames, messages
from grpclab.http2.connection import Connection, ProtocolError
from grpclab.http2.control import FLOOD_S
from grpclab.http2.frames import ErrorCode, pack_id
from grpclab.http2.messages import MessageReader
from grpclab.http2.replies import BEGINNING, Reply, Trailers, http_status, trailers
from grpclab.http2.requests import NOTHING, RequestHead

_REMEMBERED: Final = 16_384
"""So many streams are known to have been ended early by this side: what is still under way on them is expected."""
REMEMBERED_BYTES: Final = 100
"""Memory that each of them takes."""
STREAM_BYTES: Final = 2_048
"""Memory that an open call takes besides its messages."""
MAX_RESETS: Final = 10_000
"""So many calls, more than were answered meanwhile, may be reset within FLOOD_S (CVE-2023-44487, CVE-2025-8671)."""
CALMED_BY_DATA: Final = 2
"""A frame of an answer that was sent makes up for so many idle frames: a window of the stream, and the connection's."""


class Stream:
    """One call. A server may hang attributes of its own on it by subclassing; the defaults stand on the class."""

    stream_id: int = 0
    request: RequestHead = NOTHING
    messages: tuple[bytes, ...] = ()
    """Messages of a request that is complete, without their prefixes."""
    received: Sequence[bytes] = ()
    """Messages of a request so far, where it did not come all at once."""
    half_closed: bool = False
    """The client has said all it had to say."""
    cancelled: str = ""
    """Why the stream is over without an answer: reset by either side, or the connection was lost."""
    _reader: MessageReader | None = None
    _received: int = 0
    _content: int = 0
    _kept: int = 0
    _begun: bool = False
    _unsent: bytes = b""
    _unsent_at: int = 0
    _queued: bool = False
    _last_block: bytes = b""
    _sent: int = 0
    _granted: int = 0
    on_drained: Callable[[Any], None] | None = None
    """Called with the stream when what waited for the client's window has been sent, and more may follow."""

    @property
    def answered(self) -> bool:
        """Whether its answer is complete, even where some of it waits for the client's window."""
        return bool(self._last_block)

    @property
    def blocked(self) -> bool:
        """Whether something of its answer waits for the client's window."""
        return bool(self._unsent)


class Answering(Connection):
    """What a server can say. Streams are opened by the subclass.

    At most `write_ahead` bytes of DATA are in the outgoing bytes between two calls of :meth:`written`.
    """

    def __init__(
        self, *, stream_window: int, connection_window: int, settings: dict[int, int], write_ahead: int | None = None
    ) -> None:
        super().__init__(stream_window=stream_window, connection_window=connection_window, settings=settings)
        self._write_ahead = write_ahead
        self.refill_at = -1 if write_ahead is None else write_ahead // 2
        """A `send_window` that is not above it may be widened by :meth:`written`."""
        self._withheld = 0
        """What the client is ready to receive besides `send_window`, bytes."""
        self._kept = 0
        self._resets = 0
        self._resets_since = 0.0
        self._windows_moved = False
        self.streams: dict[int, Stream] = {}
        """Calls that are open, by stream id."""
        self._last_id = 0
        self._writable: deque[Stream] = deque()
        self._ended_early: dict[int, None] = {}
        self._stray_bytes = 0
        """DATA on streams that were ended early, less what their windows allowed when they were."""

    def reply(self, stream: Stream, reply: Reply, stamp: bytes = b"") -> None:
        """Answer a call with what was prepared; `stamp` is the value of its last trailer."""
        size = reply.size
        if (
            size <= self.send_window
            and size <= self.peer_window
            and size <= frames.DEFAULT_MAX_FRAME
            and stream.half_closed
        ):
            self.send_window -= size
            del self.streams[stream.stream_id]
            if stream._kept:
                self._kept -= stream._kept
            if self._resets:
                self._resets -= 1
            self.outgoing.append(pack_id(stream.stream_id).join(reply.pieces(len(stamp))) + stamp)
            return
        if reply.body:
            self._begin(stream)
            stream._unsent += reply.body
        stream._last_block = (b"" if reply.body else BEGINNING) + reply.trailers(stamp.decode("ascii"))
        stream._begun = True
        self._write(stream)

    def send_message(self, stream: Stream, message: bytes) -> None:
        """One message of an answer that :meth:`finish` ends; it waits for the client's window."""
        self._begin(stream)
        stream._unsent = stream._unsent[stream._unsent_at :] + messages.prefixed(message)
        stream._unsent_at = 0
        self._write(stream)

    def finish(self, stream: Stream, status: int = messages.OK, text: str = "", further: Trailers = ()) -> None:
        """End an answer with its trailers, as soon as its messages are sent."""
        block = trailers(status, text, further)
        stream._last_block = block if stream._begun else BEGINNING + block
        stream._begun = True
        self._write(stream)

    def refuse(self, stream: Stream, status: int) -> None:
        """Say with an HTTP status that this is no gRPC request."""
        stream._begun, stream._last_block = True, http_status(status)
        self._write(stream)

    def say_instead(self, stream: Stream, said: bytes) -> None:
        """Any bytes in place of an answer (the misbehaving peer); the call is over for this side."""
        self._forget(stream)
        self._remember_early_end(stream)
        self.outgoing.append(said)

    def reset(self, stream: Stream, code: ErrorCode, reason: str) -> None:
        """Give a stream up: RST_STREAM; it is told as cancelled."""
        self._forget(stream)
        self._drop(stream, code)
        stream.cancelled = f"{code.name}: {reason}"
        self._events.append(stream)
        self._count_reset()

    def _forget(self, stream: Stream) -> None:
        """A call is over."""
        del self.streams[stream.stream_id]
        self._kept -= stream._kept

    def _count_reset(self) -> None:
        """A call is over without an answer, and the client made it so."""
        self._resets += 1
        if self._resets > MAX_RESETS:
            if self.now - self._resets_since < FLOOD_S:
                raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, f"{MAX_RESETS:,} calls reset")
            self._resets, self._resets_since = 0, self.now

    def _drop(self, stream: Stream, code: ErrorCode) -> None:
        self.outgoing.append(frames.rst_stream(stream.stream_id, code))
        self._remember_early_end(stream)

    def _remember_early_end(self, stream: Stream) -> None:
        if len(self._ended_early) >= _REMEMBERED:
            del self._ended_early[next(iter(self._ended_early))]
        self._ended_early[stream.stream_id] = None
        self._stray_bytes -= self.stream_window

    def _begin(self, stream: Stream) -> None:
        if not stream._begun:
            stream._begun = True
            self.outgoing.append(frames.headers(stream.stream_id, BEGINNING, end=False))

    def _write(self, stream: Stream) -> None:
        """Something of this stream is to be sent."""
        if stream._unsent and not stream._queued:
            stream._queued = True
            self._writable.append(stream)
        if stream._unsent:
            self._window_opened()
        elif stream._last_block:
            self._end(stream)

    def _window_opened(self) -> None:
        """Send what the windows allow, a frame of each stream in turn.

        A stream whose own window is used up leaves the queue until it is opened.
        """
        while self._writable and self.send_window > 0:
            stream = self._writable.popleft()
            at = stream._unsent_at
            allowed = min(self.send_window, self.peer_window + stream._granted - stream._sent, self.peer_max_frame)
            if stream.cancelled or allowed <= 0:
                stream._queued = False
                continue
            piece = stream._unsent[at : at + allowed]
            self.outgoing.append(frames.data(stream.stream_id, piece, end=False))
            self._calm(CALMED_BY_DATA)
            self.send_window -= len(piece)
            stream._sent += len(piece)
            stream._unsent_at += len(piece)
            if stream._unsent_at < len(stream._unsent):
                self._writable.append(stream)
                continue
            stream._unsent, stream._unsent_at, stream._queued = b"", 0, False
            if stream._last_block:
                self._end(stream)
            elif stream.on_drained is not None:
                stream.on_drained(stream)

    def _end(self, stream: Stream) -> None:
        """The last frame; to a client that is still talking, also that nobody listens (RFC 9113, 8.1)."""
        block = stream._last_block
        self.outgoing.append(frames.headers(stream.stream_id, block, end=True, max_frame=self.peer_max_frame))
        self._forget(stream)
        self._resets = max(0, self._resets - 1)
        if not stream.half_closed:
            self._drop(stream, ErrorCode.NO_ERROR)

    def _calm(self, frames_due: int) -> None:
        """Something was achieved that so many idle frames may be needed for."""
        if self._idle_frames:
            self._idle_frames = max(0, self._idle_frames - frames_due)

    # ---- windows and endings -----------------------------------------------------------------------------------

    def written(self) -> None:
        """What was taken has left for the most part: `write_ahead` bytes may follow."""
        if self._withheld and self._write_ahead is not None and self.send_window < self._write_ahead:
            granted = min(self._withheld, self._write_ahead - self.send_window)
            self._withheld -= granted
            self.send_window += granted
            self._window_opened()

    def _widen(self, increment: int) -> None:
        if self._write_ahead is None:
            super()._widen(increment)
            return
        self._withheld += increment
        if self.send_window + self._withheld > frames.MAX_WINDOW:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is beyond 2^31 - 1")

    def _on_stream_window(self, stream_id: int, increment: int) -> None:
        if stream_id % 2 == 0 or stream_id > self._last_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"a window for stream {stream_id}, which was never opened")
        stream = self.streams.get(stream_id)
        if stream is None:
            if increment == 0:  # an error of the stream by RFC 9113, 6.9; there is none left to be reset
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"a WINDOW_UPDATE of 0 on stream {stream_id}")
            return  # it ended a moment ago
        stream._granted += increment
        if increment == 0:
            self.reset(stream, ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE of 0")
        elif self.peer_window + stream._granted - stream._sent > frames.MAX_WINDOW:
            self.reset(stream, ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31 - 1")
        elif stream._unsent:
            self._write(stream)

    def _on_peer_settings(self) -> None:
        self._windows_moved = True

    def _move_windows(self) -> None:
        """The client's initial window may have changed, once or often since the last time."""
        self._windows_moved = False
        for stream in self.streams.values():
            if stream._unsent and not stream._queued:
                stream._queued = True
                self._writable.append(stream)
        self._window_opened()

    def _end_everything(self, reason: str) -> None:
        for stream in self.streams.values():
            stream.cancelled = reason
            self._events.append(stream)
        self.streams.clear()
        self._writable.clear()
        self._ended_early.clear()
        self._kept = 0
