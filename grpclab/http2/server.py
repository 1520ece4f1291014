"""The server's side: calls in, answers out (:mod:`grpclab.http2.answering`). The hot path is
:meth:`ServerConnection._on_usual` and :meth:`ServerConnection.reply`; everything else is rare.

What makes it fast: a request whose frames are those of a request before, but for the stream id, is recognised in one
comparison (``Connection.receive``), and an answer is a few prepared pieces of bytes joined by the stream id.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Final

from grpclab.http2 import frames, messages
from grpclab.http2.answering import REMEMBERED_BYTES, STREAM_BYTES, Answering, Stream
from grpclab.http2.connection import ProtocolError
from grpclab.http2.frames import END_HEADERS, END_STREAM, HEADERS, MAX_LIST_BYTES, ErrorCode, Setting
from grpclab.http2.headers import BlockDecoder
from grpclab.http2.messages import MessageError, MessageReader
from grpclab.http2.requests import NOTHING, RequestHead

__all__ = ["ServerConnection", "Stream"]

_LEAVING_PING: Final = b"leaving!"
_MESSAGE_BYTES: Final = 64
"""Memory that a message takes besides its bytes."""
_SMALL_DATA: Final = 1_024
"""Shorter DATA on a stream that takes none moves nothing."""
_DECODING_STEPS, _DECODED_BYTES = 20, 4
"""Decoding a block of headers is as much work as so many frames, and one more for so many of its bytes."""
_REQUEST_STEPS = 2
"""And so many more frames is the work on a complete request, which has to be answered."""
CALMED_BY_REQUEST: Final = 100
"""A complete request makes up for so many idle frames."""


class ServerConnection(Answering):
    """The server's end. :meth:`receive` returns streams: each when its request is complete, and when it is cancelled.

    A message of more than `max_message_bytes` is refused, and so is what would make the connection hold more than
    `max_held_bytes`.
    """

    def __init__(
        self,
        *,
        stream_window: int,
        connection_window: int,
        max_streams: int | None = None,
        settings: dict[int, int] | None = None,
        max_message_bytes: int = messages.MAX_MESSAGE_BYTES,
        max_held_bytes: int | None = None,
        steps_at_once: int = sys.maxsize,
        write_ahead: int | None = None,
        make_stream: Callable[[], Stream] = Stream,
    ) -> None:
        own: dict[int, int] = {Setting.MAX_HEADER_LIST_SIZE: MAX_LIST_BYTES}
        if max_streams is not None:
            own[Setting.MAX_CONCURRENT_STREAMS] = max_streams
        super().__init__(
            stream_window=stream_window,
            connection_window=connection_window,
            settings=own | (settings or {}),
            write_ahead=write_ahead,
        )
        self.steps_at_once = steps_at_once
        self._max_message = max_message_bytes
        self._max_held = max_held_bytes or sys.maxsize
        self.max_streams = frames.MAX_STREAM_ID if max_streams is None else max_streams
        if max_held_bytes is not None:
            self.max_streams = min(self.max_streams, max_held_bytes // STREAM_BYTES)
        self._make = make_stream
        self._requests = BlockDecoder(RequestHead)
        self._known = self._requests.known
        self._usual_request = NOTHING
        self._usual_messages: tuple[bytes, ...] = ()
        self._preface: bytes | None = b""
        self._leaving = False
        self._left = False

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do here: the transport may be closed."""
        return self.closed is not None or ((self._left or self.draining) and not self.streams)

    @property
    def held(self) -> int:
        """About how many bytes of memory the client makes this connection hold, outgoing bytes aside."""
        return (
            len(self.streams) * STREAM_BYTES
            + self._kept
            + len(self._rest)
            + self._fragments_bytes
            + self._requests.cached_bytes
            + len(self._ended_early) * REMEMBERED_BYTES
        )

    # ---- in ----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Stream]:
        """Take bytes from the client; returns the streams of which there is news. Never raises on what it sends."""
        if self._preface is not None:
            data = self._after_preface(data)
        events: list[Stream] = super().receive(data)
        if self._windows_moved:
            self._move_windows()
        return events

    def _after_preface(self, data: bytes) -> bytes:
        assert self._preface is not None
        data = self._preface + data
        begin = data[: len(frames.PREFACE)]
        if not frames.PREFACE.startswith(begin):
            self.abort(ErrorCode.PROTOCOL_ERROR, "this is no HTTP/2: the client's preface is missing")
        if len(begin) < len(frames.PREFACE):
            self._preface = data
            return b""
        self._preface = None
        return data[len(begin) :]

    def _learn(self, ending: bytes, stream_id: int) -> None:
        if ending[3] == HEADERS and not ending[4] & END_STREAM:
            super()._learn(ending, stream_id)

    def _is_usual(self, stream_id: int) -> bool:
        if not self._events or not self._requests.is_independent:
            return False
        stream = self._events[-1]
        if stream.stream_id != stream_id or not stream.half_closed or stream.cancelled or stream._granted:
            return False
        self._usual_request, self._usual_messages = stream.request, stream.messages
        return True

    def _on_usual(self, kind: int, stream_id: int) -> bool:
        if not self._last_id < stream_id <= frames.MAX_STREAM_ID or not stream_id & 1:
            return False
        if len(self.streams) >= self.max_streams or self._left:
            return False
        self._last_id = stream_id
        stream = self._make()
        stream.stream_id = stream_id
        stream.request = self._usual_request
        stream.messages = self._usual_messages
        stream.half_closed = True
        self.streams[stream_id] = stream
        self._events.append(stream)
        self._consumed += self._usual_data[kind]
        if self._consumed >= self._give_back_at:
            self._give_back()
        if self._idle_frames:
            self._calm(CALMED_BY_REQUEST)
        return True

    def _on_headers(self, flags: int, stream_id: int, body: bytes) -> None:
        head = self._known.get(body)
        if head is None or flags & ~(END_STREAM | END_HEADERS) or not flags & END_HEADERS:
            block = self._header_block(flags, stream_id, body)
            if block is None:
                return
            head = self._requests.decode(block)
            self._further_steps += _DECODING_STEPS + len(block) // _DECODED_BYTES
        if stream_id > self._last_id and stream_id & 1:
            self._open(stream_id, head, half_closed=bool(flags & END_STREAM), shared=self._known.get(body) is head)
            return
        stream = self.streams.get(stream_id)
        if stream is None or stream.half_closed:
            self._stray(stream_id)
        elif not flags & END_STREAM:
            self.reset(stream, ErrorCode.PROTOCOL_ERROR, "headers twice")
        elif head.malformed_trailers:
            self.reset(stream, ErrorCode.PROTOCOL_ERROR, f"in trailers: {head.malformed_trailers}")
        else:
            self._request_over(stream)

    def _open(self, stream_id: int, head: RequestHead, *, half_closed: bool, shared: bool) -> None:
        self._last_id = stream_id
        if self._left:  # it is above the last id of our GOAWAY, so the client knows
            self._stray_bytes -= self.stream_window
            self._idle_frame()
            return
        stream = self._make()
        stream.stream_id = stream_id
        stream.request = head
        stream.half_closed = half_closed
        if len(self.streams) >= self.max_streams or head.malformed:
            self._idle_frame()
            self._drop(stream, ErrorCode.PROTOCOL_ERROR if head.malformed else ErrorCode.REFUSED_STREAM)
            if head.malformed:
                self._count_reset()
            return
        self.streams[stream_id] = stream
        if not shared:
            self._keep(stream, head.memory)
            if stream_id not in self.streams:
                return
        if head.http_status:
            self.refuse(stream, head.http_status)
        elif head.status != messages.OK:
            self.finish(stream, head.status, head.text)
        elif half_closed:
            self._request_over(stream)

    def _on_data(self, flags: int, stream_id: int, body: bytes) -> None:
        self._consumed += len(body)
        if self._consumed >= self._give_back_at:
            self._give_back()
        stream = self.streams.get(stream_id)
        if stream is None or stream.half_closed:
            self._stray(stream_id, moves=len(body) >= _SMALL_DATA)
            self._stray_bytes += len(body)
            if self._stray_bytes > 0:
                raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, "more data on streams that are over than was allowed")
            return
        content = self._unpadded(flags, body)
        if content or flags & END_STREAM:
            self._calm(1)
        else:
            self._idle_frame()
        if stream.request.content_length is not None:
            stream._content += len(content)
            if stream._content > stream.request.content_length:
                self._wrong_length(stream)
                return
        if not stream._last_block:  # else it is answered, and the answer waits for a window
            self._read(stream, content)
        if stream_id not in self.streams:
            return
        if flags & END_STREAM:
            self._request_over(stream)
            return
        stream._received += len(body)
        if stream._received >= self._give_back_stream_at:
            self._give_back_stream(stream)

    def _read(self, stream: Stream, content: bytes) -> None:
        """Cut messages out of what came; a frame that is just one message needs no reader."""
        length = len(content) - messages.PREFIX_BYTES
        if (
            stream._reader is None
            and content[:1] == b"\0"
            and int.from_bytes(content[1:5], "big") == length <= self._max_message
        ):
            self._message_came(stream, (content[5:],), length + _MESSAGE_BYTES)
            return
        reader = stream._reader or MessageReader(keep=True, most=self._max_message)
        stream._reader = reader
        before = reader.held
        try:
            done = reader.feed(content)
        except MessageError as error:
            self.finish(stream, error.status, str(error))
            return
        grown = reader.held - before
        if done:
            grown += sum(map(len, reader.messages)) + done * _MESSAGE_BYTES
            self._message_came(stream, reader.messages, grown)
            reader.messages.clear()
            self._further_steps += done
        else:
            self._keep(stream, grown)

    def _message_came(self, stream: Stream, came: Iterable[bytes], grown: int) -> None:
        if not isinstance(stream.received, list):
            stream.received = []
        stream.received.extend(came)
        self._keep(stream, grown)

    def _keep(self, stream: Stream, grown: int) -> None:
        """A call takes so much more memory."""
        stream._kept += grown
        self._kept += grown
        if self._kept > self._max_held:
            text = f"the calls of one connection hold more than {self._max_held:,} bytes"
            self.finish(stream, messages.RESOURCE_EXHAUSTED, text)

    def _give_back_stream(self, stream: Stream) -> None:
        if stream._received > self.stream_window:
            self.reset(stream, ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window allows")
            return
        self.outgoing.append(frames.window_update(stream.stream_id, stream._received))
        stream._received = 0

    def _request_over(self, stream: Stream) -> None:
        stream.half_closed = True
        self._calm(CALMED_BY_REQUEST)
        self._further_steps += _REQUEST_STEPS
        if stream._last_block:
            return
        if stream.request.content_length not in (None, stream._content):
            self._wrong_length(stream)
            return
        stream.messages = tuple(stream.received)
        if stream._reader is not None and not stream._reader.complete:
            self.finish(stream, messages.INTERNAL, "the last message of the request is incomplete")
        else:
            self._events.append(stream)

    def _wrong_length(self, stream: Stream) -> None:
        text = f"content-length is {stream.request.content_length:,}, of DATA came {stream._content:,} bytes"
        self.reset(stream, ErrorCode.PROTOCOL_ERROR, text)

    def _stray(self, stream_id: int, *, moves: bool = False) -> None:
        """A frame on a stream that takes none: ended early by us, over, or never there."""
        stream = self.streams.get(stream_id)
        if stream_id % 2 == 0 or stream_id > self._last_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {stream_id}, which was never opened")
        if not moves:
            self._idle_frame()
        if stream is not None:
            self.reset(stream, ErrorCode.STREAM_CLOSED, "a frame after the end of the request")
        elif stream_id not in self._ended_early and not self._left:
            raise ProtocolError(ErrorCode.STREAM_CLOSED, f"a frame on stream {stream_id}, which is closed")

    def _on_reset(self, stream_id: int, code: int) -> None:
        if stream_id % 2 == 0 or stream_id > self._last_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"RST_STREAM on stream {stream_id}, which was never opened")
        self._idle_frame()
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._forget(stream)
            stream.cancelled = f"RST_STREAM {frames.error_name(code)}"
            self._events.append(stream)
            self._count_reset()

    def _end_everything(self, reason: str) -> None:
        super()._end_everything(reason)
        self._requests.forget()

    def _on_own_settings_acked(self) -> None:
        self._requests.independent()

    def _last_peer_stream(self) -> int:
        return self._last_id

    # ---- going away --------------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Say GOAWAY without a bound, then, when the client has surely read it, the true one (RFC 9113, 6.8)."""
        if not self._leaving and self.closed is None:
            self._leaving = True
            self.outgoing.append(frames.goaway(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR))
            self.ping(_LEAVING_PING)

    def leave(self) -> None:
        """The true GOAWAY: calls that come after it are not looked at. Also for a client that answers no ping."""
        if not self._left and self.closed is None:
            self._left = True
            self.outgoing.append(frames.goaway(self._last_id, ErrorCode.NO_ERROR))

    def _on_ping(self, flags: int, stream_id: int, body: bytes) -> None:
        super()._on_ping(flags, stream_id, body)
        if self._leaving and flags & frames.ACK and body == _LEAVING_PING:
            self.leave()
