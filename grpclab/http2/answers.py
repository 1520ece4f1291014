"""Answers out, prepared or piece by piece, within the client's windows.

:meth:`Answers.reply` is on the hot path: a few prepared pieces of bytes, joined by the stream id.
"""

from __future__ import annotations

from typing import Final

from grpclab.http2 import frames, messages
from grpclab.http2.flow_control import Flow, SendQueue, SendWindows, check_connection_window
from grpclab.http2.frames import ErrorCode, pack_id
from grpclab.http2.protocol_errors import FloodCounter
from grpclab.http2.replies import BEGINNING, Reply, Trailers, http_status, trailers
from grpclab.http2.streams import OpenStreams, Stream

CALMED_BY_DATA: Final = 2
"""A frame of an answer that was sent makes up for so many idle frames: a window of the stream, and the connection's."""


class Answers:
    """The answers of a connection: those that wait for the client's windows send a frame of each stream in turn.

    `idle` counts the frames that moved no call. At most `write_ahead` bytes of DATA are in the outgoing bytes between
    two calls of :meth:`written`.
    """

    __slots__ = ("_outgoing", "_queue", "_streams", "_windows", "_withheld", "_write_ahead", "refill_at")

    def __init__(
        self,
        outgoing: list[bytes],
        windows: SendWindows,
        streams: OpenStreams,
        *,
        idle: FloodCounter,
        write_ahead: int | None,
    ) -> None:
        self._outgoing, self._windows, self._streams = outgoing, windows, streams
        self._queue: SendQueue[Stream] = SendQueue(outgoing, windows, streams.open, idle=idle, calms=CALMED_BY_DATA)
        self._write_ahead = write_ahead
        self.refill_at = -1 if write_ahead is None else write_ahead // 2
        """A connection's window that is not above it may be widened by :meth:`written`."""
        self._withheld = 0
        """What the client is ready to receive besides that window, bytes."""

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
            if stream.kept_bytes:
                streams.kept -= stream.kept_bytes
            if streams.resets.number:
                streams.resets.number -= 1
            self._outgoing.append(pack_id(stream.stream_id).join(reply.pieces(len(stamp))) + stamp)
            return
        if reply.body:
            self._add(stream, reply.body)
        stream.last_block = (b"" if reply.body else BEGINNING) + reply.trailers(stamp.decode("ascii"))
        stream.begun = True
        self._write(stream)

    def send_message(self, stream: Stream, message: bytes) -> None:
        """One message of an answer that :meth:`finish` ends; it waits for the client's window."""
        self._add(stream, messages.prefixed(message))
        self._write(stream)

    def finish(self, stream: Stream, status: int = messages.OK, text: str = "", further: Trailers = ()) -> None:
        """End an answer with its trailers, as soon as its messages are sent."""
        block = trailers(status, text, further)
        stream.last_block = block if stream.begun else BEGINNING + block
        stream.begun = True
        self._write(stream)

    def refuse(self, stream: Stream, status: int) -> None:
        """Say with an HTTP status that this is no gRPC request."""
        stream.begun, stream.last_block = True, http_status(status)
        self._write(stream)

    def substitute(self, stream: Stream, content: bytes) -> None:
        """Send any bytes in place of an answer (the misbehaving peer); the call is over for this side."""
        self._streams.forget(stream)
        self._streams.remember_early_end(stream)
        self._outgoing.append(content)

    def _add(self, stream: Stream, content: bytes) -> None:
        """Take DATA of an answer, which begins with its headers."""
        if not stream.begun:
            stream.begun = True
            self._outgoing.append(frames.headers(stream.stream_id, BEGINNING, end=False))
        flow = stream.flow = stream.flow or Flow(ends=False)
        self._queue.add(stream, flow, content)

    def _write(self, stream: Stream) -> None:
        """Something of this stream is to be sent."""
        if stream.blocked:
            self.send()
        elif stream.last_block:
            self._end(stream)

    def send(self) -> None:
        """Send what the windows allow, a frame of each stream in turn."""
        for stream in self._queue.send():
            if stream.last_block:
                self._end(stream)
            elif stream.on_drained is not None:
                stream.on_drained(stream)

    def _end(self, stream: Stream) -> None:
        """The last frame; to a client that is still talking, also that nobody listens (RFC 9113, 8.1)."""
        block = stream.last_block
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
        check_connection_window(self._windows.connection + self._withheld)
        return True

    def grant(self, stream: Stream, increment: int) -> None:
        """The client has widened a stream's own window. Raises StreamError for a window that is wrong."""
        flow = stream.flow = stream.flow or Flow(ends=False)
        self._queue.grant(stream, flow, increment)
        self.send()

    def windows_moved(self) -> None:
        """The client's initial window may have changed, once or often since the last time."""
        self._queue.windows_moved()
        self.send()

    def clear(self) -> None:
        """The connection is over."""
        self._queue.clear()
