"""The server's side: calls in, answers out (:mod:`grpclab.http2.answers`).

The hot path is :meth:`ServerConnection._on_usual` and :meth:`.Answers.reply`; everything else is rare.

What makes it fast: a request whose frames are those of a request before, but for the stream id, is recognised in one
comparison (``Connection.receive``), and an answer is a few prepared pieces of bytes joined by the stream id.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from grpclab.http2 import frames, messages
from grpclab.http2.answers import Answers
from grpclab.http2.connection import Connection, ProtocolError
from grpclab.http2.frames import END_HEADERS, END_STREAM, HEADERS, MAX_LIST_BYTES, ErrorCode, Setting
from grpclab.http2.headers import BlockDecoder
from grpclab.http2.messages import MessageError
from grpclab.http2.requests import NOTHING, RequestHead
from grpclab.http2.streams import STREAM_BYTES, OpenStreams, Stream

_LEAVING_PING: Final = b"leaving!"
_SMALL_DATA: Final = 1_024
"""Shorter DATA on a stream that takes none moves nothing."""
_DECODING_STEPS, _DECODED_BYTES = 20, 4
"""Decoding a block of headers is as much work as so many frames, and one more for so many of its bytes."""
_REQUEST_STEPS = 2
"""And so many more frames is the work on a complete request, which has to be answered."""
CALMED_BY_REQUEST: Final = 100
"""A complete request makes up for so many idle frames."""


class ServerConnection(Connection):
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
        own |= settings or {}
        super().__init__(stream_window=stream_window, connection_window=connection_window, settings=own)
        self._calls = OpenStreams(self.outgoing, stream_window)
        self.streams = self._calls.open
        """Calls that are open, by stream id."""
        self.answers = Answers(self.outgoing, self.windows, self._calls, idle=self._idle, write_ahead=write_ahead)
        self._windows_moved = False
        self.steps_at_once = steps_at_once
        self._max_message = max_message_bytes
        self._max_held = max_held_bytes or sys.maxsize
        held_streams = frames.MAX_STREAM_ID if max_held_bytes is None else max_held_bytes // STREAM_BYTES
        self.max_streams = held_streams if max_streams is None else min(max_streams, held_streams)
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
        """True if there is nothing left to do here: the transport may be closed."""
        return self.closed is not None or ((self._left or self.draining) and not self.streams)

    @property
    def held(self) -> int:
        """About how many bytes of memory the client makes this connection hold, outgoing bytes aside."""
        return self._calls.held + len(self._rest) + self._fragments_bytes + self._requests.cached_bytes

    # ---- in ----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Stream]:
        """Take bytes from the client; returns the streams of which there is news. Never raises on what it sends."""
        if self._preface is not None:
            data = self._after_preface(data)
        events: list[Stream] = super().receive(data)
        if self._windows_moved:
            self._windows_moved = False
            self.answers.windows_moved()
        return events

    def _after_preface(self, data: bytes) -> bytes:
        assert self._preface is not None
        data = self._preface + data
        begin = data[: len(frames.PREFACE)]
        if not frames.PREFACE.startswith(begin):
            self.abort(ErrorCode.PROTOCOL_ERROR, "this is not HTTP/2: the client's preface is missing")
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
        if not self._calls.last_id < stream_id <= frames.MAX_STREAM_ID or not stream_id & 1:
            return False
        if len(self.streams) >= self.max_streams or self._left:
            return False
        self._calls.last_id = stream_id
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
        if self._idle.number:
            self._idle.take_off(CALMED_BY_REQUEST)
        return True

    def _on_headers(self, flags: int, stream_id: int, body: bytes) -> None:
        head = self._known.get(body)
        if head is None or flags & ~(END_STREAM | END_HEADERS) or not flags & END_HEADERS:
            block = self._header_block(flags, stream_id, body)
            if block is None:
                return
            head = self._requests.decode(block)
            self._further_steps += _DECODING_STEPS + len(block) // _DECODED_BYTES
        if stream_id > self._calls.last_id and stream_id & 1:
            self._open(stream_id, head, half_closed=bool(flags & END_STREAM), shared=self._known.get(body) is head)
            return
        stream = self.streams.get(stream_id)
        if stream is None or stream.half_closed:
            self._stray(stream_id)
        elif not flags & END_STREAM:
            self._reset(stream, ErrorCode.PROTOCOL_ERROR, "headers twice")
        elif head.malformed_trailers:
            self._reset(stream, ErrorCode.PROTOCOL_ERROR, f"in trailers: {head.malformed_trailers}")
        else:
            self._request_over(stream)

    def _open(self, stream_id: int, head: RequestHead, *, half_closed: bool, shared: bool) -> None:
        self._calls.last_id = stream_id
        if self._left:  # it is above the last id of our GOAWAY, so the client knows
            self._calls.allow_stray()
            self._idle_frame()
            return
        stream = self._make()
        stream.stream_id = stream_id
        stream.request = head
        stream.half_closed = half_closed
        if len(self.streams) >= self.max_streams or head.malformed:
            self._idle_frame()
            self._calls.drop(stream, ErrorCode.PROTOCOL_ERROR if head.malformed else ErrorCode.REFUSED_STREAM)
            if head.malformed:
                self._calls.resets.add(self.now)
            return
        self.streams[stream_id] = stream
        if not shared:
            self._keep(stream, head.memory)
            if stream_id not in self.streams:
                return
        if head.http_status:
            self.answers.refuse(stream, head.http_status)
        elif head.status != messages.OK:
            self.answers.finish(stream, head.status, head.text)
        elif half_closed:
            self._request_over(stream)

    def _on_data(self, flags: int, stream_id: int, body: bytes) -> None:
        self._consumed += len(body)
        if self._consumed >= self._give_back_at:
            self._give_back()
        stream = self.streams.get(stream_id)
        if stream is None or stream.half_closed:
            self._stray(stream_id, moves=len(body) >= _SMALL_DATA)
            self._calls.stray(len(body))
            return
        content = self._unpadded(flags, body)
        if content or flags & END_STREAM:
            self._idle.take_off(1)
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
        try:
            number, grown = stream.read(content, self._max_message)
        except MessageError as error:
            self.answers.finish(stream, error.status, str(error))
            return
        if stream._reader is not None:
            self._further_steps += number
        self._keep(stream, grown)

    def _keep(self, stream: Stream, grown: int) -> None:
        """A call takes so much more memory."""
        self._calls.keep(stream, grown)
        if self._calls.kept > self._max_held:
            text = f"the calls of one connection hold more than {self._max_held:,} bytes"
            self.answers.finish(stream, messages.RESOURCE_EXHAUSTED, text)

    def _give_back_stream(self, stream: Stream) -> None:
        if stream._received > self.stream_window:
            self._reset(stream, ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window allows")
            return
        self.outgoing.append(frames.window_update(stream.stream_id, stream._received))
        stream._received = 0

    def _request_over(self, stream: Stream) -> None:
        stream.half_closed = True
        self._idle.take_off(CALMED_BY_REQUEST)
        self._further_steps += _REQUEST_STEPS
        if stream._last_block:
            return
        stream.messages = tuple(stream.received)
        if stream.request.content_length not in (None, stream._content):
            self._wrong_length(stream)
        elif stream._reader is not None and not stream._reader.complete:
            self.answers.finish(stream, messages.INTERNAL, "the last message of the request is incomplete")
        else:
            self._events.append(stream)

    def _wrong_length(self, stream: Stream) -> None:
        text = f"content-length is {stream.request.content_length:,}, but DATA has {stream._content:,} bytes"
        self._reset(stream, ErrorCode.PROTOCOL_ERROR, text)

    def _stray(self, stream_id: int, *, moves: bool = False) -> None:
        """A frame on a stream that takes none: ended early by us, over, or never there."""
        stream = self.streams.get(stream_id)
        self._calls.require_opened(stream_id, "a frame on")
        if not moves:
            self._idle_frame()
        if stream is not None:
            self._reset(stream, ErrorCode.STREAM_CLOSED, "a frame after the end of the request")
        elif not self._calls.ended_early(stream_id) and not self._left:
            raise ProtocolError(ErrorCode.STREAM_CLOSED, f"a frame on stream {stream_id}, which is closed")

    def _on_reset(self, stream_id: int, code: int) -> None:
        self._calls.require_opened(stream_id, "RST_STREAM on")
        self._idle_frame()
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._calls.forget(stream)
            stream.cancelled = f"RST_STREAM {frames.error_name(code)}"
            self._events.append(stream)
            self._calls.resets.add(self.now)

    def _reset(self, stream: Stream, code: ErrorCode, reason: str) -> None:
        """Give a stream up: RST_STREAM; it is returned as cancelled."""
        self._calls.forget(stream)
        self._calls.drop(stream, code)
        stream.cancelled = f"{code.name}: {reason}"
        self._events.append(stream)
        self._calls.resets.add(self.now)

    def _end_everything(self, reason: str) -> None:
        for stream in self.streams.values():
            stream.cancelled = reason
            self._events.append(stream)
        self._calls.clear()
        self.answers.clear()
        self._requests.forget()

    # ---- the client's windows ----------------------------------------------------------------------------------

    def _widen(self, increment: int) -> None:
        if not self.answers.withhold(increment):
            super()._widen(increment)

    def _window_opened(self) -> None:
        self.answers.send()

    def _on_stream_window(self, stream_id: int, increment: int) -> None:
        self._calls.require_opened(stream_id, "a window for")
        stream = self.streams.get(stream_id)
        if stream is None:
            if increment == 0:  # an error of the stream by RFC 9113, 6.9; there is none left to be reset
                raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"a WINDOW_UPDATE of 0 on stream {stream_id}")
            return  # it ended a moment ago
        stream._granted += increment
        if increment == 0:
            self._reset(stream, ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE of 0")
        elif self.windows.stream + stream._granted - stream._sent > frames.MAX_WINDOW:
            self._reset(stream, ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31 - 1")
        else:
            self.answers.window_opened(stream)

    def _on_peer_settings(self) -> None:
        self._windows_moved = True

    def _on_own_settings_acked(self) -> None:
        self._requests.independent()

    def _last_peer_stream(self) -> int:
        return self._calls.last_id

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
            self.outgoing.append(frames.goaway(self._calls.last_id, ErrorCode.NO_ERROR))

    def _on_ping(self, flags: int, stream_id: int, body: bytes) -> None:
        super()._on_ping(flags, stream_id, body)
        if self._leaving and flags & frames.ACK and body == _LEAVING_PING:
            self.leave()
