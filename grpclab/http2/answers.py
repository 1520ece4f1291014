"""Answers out, prepared or piece by piece, within the client's windows.

:meth:`Answers.reply` is on the hot path: a few prepared pieces of bytes, joined by the stream id.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from grpclab.http2 import frames, messages
from grpclab.http2.control import FloodCounter, ProtocolError, SendWindows
from grpclab.http2.frames import ErrorCode, pack_id
from grpclab.http2.replies import BEGINNING, Reply, Trailers, http_status, trailers
from grpclab.http2.streams import OpenStreams, Stream

CALMED_BY_DATA: Final = 2
"""A frame of an answer that was sent makes up for so many idle frames: a window of the stream, and the connection's."""


class Answers:
    """The answers of a connection: those that wait for the client's windows send a frame of each stream in turn.

    `idle` counts the frames that moved no call. At most `write_ahead` bytes of DATA are in the outgoing bytes between
    two calls of :meth:`written`.
    """

    __slots__ = ("_idle", "_outgoing", "_streams", "_windows", "_withheld", "_writable", "_write_ahead", "refill_at")

    def __init__(
        self,
        outgoing: list[bytes],
        windows: SendWindows,
        streams: OpenStreams,
        *,
        idle: FloodCounter,
        write_ahead: int | None,
    ) -> None:
        self._outgoing, self._windows, self._streams, self._idle = outgoing, windows, streams, idle
        self._write_ahead = write_ahead
        self.refill_at = -1 if write_ahead is None else write_ahead // 2
        """A connection's window that is not above it may be widened by :meth:`written`."""
        self._withheld = 0
        """What the client is ready to receive besides that window, bytes."""
        self._writable: deque[Stream] = deque()

    def reply(self, stream: Stream, reply: Reply, stamp: bytes = b"") -> None:
        """Answer a call with what was prepared; `stamp` is the value of its last trailer."""
        size, windows = reply.size, self._windows
        if (
            size <= windows.connection
            and size <= windows.stream
            and size <= frames.DEFAULT_MAX_FRAME
            and stream.half_closed
        ):
            windows.connection -= size
            streams = self._streams
            del streams.open[stream.stream_id]
            if stream._kept:
                streams.kept -= stream._kept
            if streams.resets.number:
                streams.resets.number -= 1
            self._outgoing.append(pack_id(stream.stream_id).join(reply.pieces(len(stamp))) + stamp)
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

    def substitute(self, stream: Stream, content: bytes) -> None:
        """Send any bytes in place of an answer (the misbehaving peer); the call is over for this side."""
        self._streams.forget(stream)
        self._streams.remember_early_end(stream)
        self._outgoing.append(content)

    def _begin(self, stream: Stream) -> None:
        if not stream._begun:
            stream._begun = True
            self._outgoing.append(frames.headers(stream.stream_id, BEGINNING, end=False))

    def _write(self, stream: Stream) -> None:
        """Something of this stream is to be sent."""
        if stream._unsent and not stream._queued:
            stream._queued = True
            self._writable.append(stream)
        if stream._unsent:
            self.send()
        elif stream._last_block:
            self._end(stream)

    def send(self) -> None:
        """Send what the windows allow, a frame of each stream in turn.

        A stream whose own window is used up leaves the queue until it is opened.
        """
        windows = self._windows
        while self._writable and windows.connection > 0:
            stream = self._writable.popleft()
            at = stream._unsent_at
            allowed = min(windows.connection, windows.stream + stream._granted - stream._sent, windows.max_frame)
            if stream.cancelled or allowed <= 0:
                stream._queued = False
                continue
            piece = stream._unsent[at : at + allowed]
            self._outgoing.append(frames.data(stream.stream_id, piece, end=False))
            self._idle.take_off(CALMED_BY_DATA)
            windows.connection -= len(piece)
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
        self._outgoing.append(frames.headers(stream.stream_id, block, end=True, max_frame=self._windows.max_frame))
        self._streams.forget(stream)
        self._streams.resets.take_off(1)
        if not stream.half_closed:
            self._streams.drop(stream, ErrorCode.NO_ERROR)

    # ---- windows -----------------------------------------------------------------------------------------------

    def written(self) -> None:
        """Widen the window, as most of what was taken has left: `write_ahead` bytes may follow."""
        windows = self._windows
        if self._withheld and self._write_ahead is not None and windows.connection < self._write_ahead:
            granted = min(self._withheld, self._write_ahead - windows.connection)
            self._withheld -= granted
            windows.connection += granted
            self.send()

    def withhold(self, increment: int) -> bool:
        """Take what the client is ready to receive in addition; False where all of it may be sent at once.

        Raises ProtocolError for a window beyond what the protocol knows.
        """
        if self._write_ahead is None:
            return False
        self._withheld += increment
        if self._windows.connection + self._withheld > frames.MAX_WINDOW:
            raise ProtocolError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is beyond 2^31 - 1")
        return True

    def window_opened(self, stream: Stream) -> None:
        """A stream's own window was opened."""
        if stream._unsent:
            self._write(stream)

    def windows_moved(self) -> None:
        """The client's initial window may have changed, once or often since the last time."""
        for stream in self._streams.open.values():
            if stream._unsent and not stream._queued:
                stream._queued = True
                self._writable.append(stream)
        self.send()

    def clear(self) -> None:
        """The connection is over."""
        self._writable.clear()
