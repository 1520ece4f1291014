"""The server's side: calls in, answers out (:mod:`grpclab.http2.answers`).

The hot path is :meth:`ServerConnection.recognise` and :meth:`.Answers.reply`; everything else is rare.

What makes it fast: a request whose frames are those of a request before, but for the stream id, is recognised in one
comparison (:mod:`~grpclab.http2.fast_path`), and an answer is a few prepared pieces of bytes joined by the stream id.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from grpclab.http2 import frames, messages
from grpclab.http2.answers import Answers
from grpclab.http2.connection import Endpoint
from grpclab.http2.control import unpadded
from grpclab.http2.fast_path import FastPath
from grpclab.http2.frames import END_HEADERS, END_STREAM, HEADERS, MAX_LIST_BYTES, MAX_STREAM_ID, ErrorCode, Setting
from grpclab.http2.header_blocks import MAX_BLOCK_BYTES, HeaderBlocks
from grpclab.http2.messages import MessageError
from grpclab.http2.protocol_errors import ProtocolError, StreamError
from grpclab.http2.requests import RequestHead
from grpclab.http2.states import REQUEST, RequestAction, RequestInput, RequestState
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


class UsualRequest(NamedTuple):
    """The meaning of a request that others are compared with."""

    head: RequestHead
    messages: tuple[bytes, ...]


class ServerConnection(Endpoint[Stream]):
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
        requests: HeaderBlocks[RequestHead] = HeaderBlocks(RequestHead)
        fast_path: FastPath[UsualRequest] = FastPath()
        super().__init__(
            stream_window=stream_window,
            connection_window=connection_window,
            settings=own,
            blocks=requests,
            fast_path=fast_path,
        )
        self._calls = OpenStreams(self.outgoing, stream_window)
        self.streams = self._calls.open
        """Calls that are open, by stream id."""
        self._idle = self.control.idle
        self.answers = Answers(self.outgoing, self.windows, self._calls, idle=self._idle, write_ahead=write_ahead)
        self.connection.steps_at_once = steps_at_once
        self._max_message = max_message_bytes
        self._max_held = max_held_bytes or sys.maxsize
        held_streams = MAX_STREAM_ID if max_held_bytes is None else max_held_bytes // STREAM_BYTES
        self.max_streams = held_streams if max_streams is None else min(max_streams, held_streams)
        self._make = make_stream
        self._known = requests.known
        self._preface: bytes | None = b""
        self._leaving = False

    @property
    def finished(self) -> bool:
        """True if there is nothing left to do here: the transport may be closed."""
        if self.closed is not None:
            return True
        return not self.streams and (self._calls.left or self.control.peer_goaway is not None)

    @property
    def held(self) -> int:
        """About how many bytes of memory the client makes this connection hold, outgoing bytes aside."""
        return self._calls.held + len(self.connection.rest) + self.blocks.held

    # ---- in ----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Stream]:
        """Take bytes from the client; returns the streams of which there is news. Never raises on what it sends."""
        if self._preface is not None:
            data = self._after_preface(data)
        return super().receive(data)

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

    def sample(self, kind: int, stream_id: int, data_bytes: int) -> UsualRequest | None:
        if kind != HEADERS or not self._events or not self.blocks.decoder.is_independent:
            return None
        stream = self._events[-1]
        if stream.stream_id != stream_id or not stream.half_closed or stream.cancelled or stream.flow is not None:
            return None
        return UsualRequest(stream.request, stream.messages)

    def recognise(self, stream_ids: Sequence[int], sample: UsualRequest, ends: Sequence[bytes]) -> int:
        calls, streams, make = self._calls, self.streams, self._make
        number = 0
        for stream_id in stream_ids:
            if not calls.last_id < stream_id <= MAX_STREAM_ID or not stream_id & 1:
                break
            if len(streams) >= self.max_streams or calls.left:
                break
            calls.last_id = stream_id
            stream = make()
            stream.stream_id = stream_id
            stream.request, stream.messages = sample
            stream.half_closed = True
            streams[stream_id] = stream
            self._events.append(stream)
            number += 1
        if self._idle.number:
            self._idle.take_off(number * CALMED_BY_REQUEST)
        return number

    def on_headers(self, flags: int, stream_id: int, body: bytes) -> None:
        head = self._known.get(body)
        if head is None or flags & ~(END_STREAM | END_HEADERS) or not flags & END_HEADERS:
            head = self.blocks.read(flags, stream_id, body)
            self.connection.further_steps += _DECODING_STEPS + len(body) // _DECODED_BYTES
        given = RequestInput.LAST_HEADERS if flags & END_STREAM else RequestInput.HEADERS
        state = self._calls.state(stream_id)
        if state > RequestState.OPEN:
            self.control.idle_frame()
        action, _ = REQUEST.step(state, given, stream_id)
        if action is RequestAction.OPEN:
            self._open(stream_id, head, half_closed=bool(flags & END_STREAM), shared=self._known.get(body) is head)
        elif action is RequestAction.END:
            if head.malformed_trailers:
                text = f"in trailers: {head.malformed_trailers}"
                raise StreamError(ErrorCode.PROTOCOL_ERROR, text, stream_id)
            self._request_over(self.streams[stream_id])

    def on_long_block(self, flags: int, stream_id: int) -> None:
        text = f"a header block of more than {MAX_BLOCK_BYTES:,} bytes"
        raise ProtocolError(ErrorCode.ENHANCE_YOUR_CALM, text, stream_id)

    def _open(self, stream_id: int, head: RequestHead, *, half_closed: bool, shared: bool) -> None:
        self._calls.last_id = stream_id
        if self._calls.left:  # it is above the last id of our GOAWAY, so the client knows
            self._calls.allow_stray()
            self.control.idle_frame()
            return
        stream = self._make()
        stream.stream_id = stream_id
        stream.request = head
        stream.half_closed = half_closed
        if len(self.streams) >= self.max_streams or head.malformed:
            self.control.idle_frame()
            self._calls.drop(stream, ErrorCode.PROTOCOL_ERROR if head.malformed else ErrorCode.REFUSED_STREAM)
            if head.malformed:
                self._calls.resets.add(self.control.now)
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

    def on_data(self, flags: int, stream_id: int, body: bytes) -> None:
        stream = self.streams.get(stream_id)
        if stream is None or stream.half_closed:
            self._stray(flags, stream_id, len(body))
            return
        content = unpadded(flags, stream_id, body)
        if content or flags & END_STREAM:
            self._idle.take_off(1)
        else:
            self.control.idle_frame()
        if stream.request.content_length is not None:
            stream.content_bytes += len(content)
            if stream.content_bytes > stream.request.content_length:
                raise _wrong_length(stream)
        if not stream.last_block:  # else it is answered, and the answer waits for a window
            self._read(stream, content)
        if stream_id not in self.streams:
            return
        if flags & END_STREAM:
            self._request_over(stream)
            return
        stream.unreturned += len(body)
        if stream.unreturned >= self.received.give_back_stream_at:
            self.received.give_back(stream)

    def _stray(self, flags: int, stream_id: int, size: int) -> None:
        """DATA on a stream that takes none: ended early by us, over, or never there. Raises what that is."""
        given = RequestInput.LAST_DATA if flags & END_STREAM else RequestInput.DATA
        state = self._calls.state(stream_id)
        if size < _SMALL_DATA and state is not RequestState.IDLE:
            self.control.idle_frame()
        REQUEST.step(state, given, stream_id)
        self._calls.stray(size)

    def _read(self, stream: Stream, content: bytes) -> None:
        try:
            number, grown = stream.read(content, self._max_message)
        except MessageError as error:
            self.answers.finish(stream, error.status, str(error))
            return
        if stream.reader is not None:
            self.connection.further_steps += number
        self._keep(stream, grown)

    def _keep(self, stream: Stream, grown: int) -> None:
        """A call takes so much more memory."""
        self._calls.keep(stream, grown)
        if self._calls.kept > self._max_held:
            text = f"the calls of one connection hold more than {self._max_held:,} bytes"
            self.answers.finish(stream, messages.RESOURCE_EXHAUSTED, text)

    def _request_over(self, stream: Stream) -> None:
        stream.half_closed = True
        self._idle.take_off(CALMED_BY_REQUEST)
        self.connection.further_steps += _REQUEST_STEPS
        if stream.last_block:
            return
        stream.messages = tuple(stream.received)
        if stream.request.content_length not in (None, stream.content_bytes):
            raise _wrong_length(stream)
        if stream.reader is not None and not stream.reader.complete:
            self.answers.finish(stream, messages.INTERNAL, "the last message of the request is incomplete")
        else:
            self._events.append(stream)

    def on_reset(self, stream_id: int, code: int) -> None:
        stream = self._calls.find(stream_id)
        self.control.idle_frame()
        if stream is not None:
            self._calls.forget(stream)
            self._cancel(stream, f"RST_STREAM {frames.error_name(code)}")

    def on_stream_error(self, error: StreamError) -> None:
        stream = self.streams[error.stream_id]
        self._calls.forget(stream)
        self._calls.drop(stream, error.code)
        self._cancel(stream, f"{error.code.name}: {error}")

    def _cancel(self, stream: Stream, why: str) -> None:
        """A stream is over without an answer, which is returned."""
        stream.cancelled = why
        self._events.append(stream)
        self._calls.resets.add(self.control.now)

    def on_end(self, reason: str) -> None:
        for stream in self.streams.values():
            stream.cancelled = reason
            self._events.append(stream)
        self._calls.clear()
        self.answers.clear()
        self.blocks.decoder.forget()

    # ---- the client's windows ----------------------------------------------------------------------------------

    def on_window(self, increment: int) -> None:
        if not self.answers.withhold(increment):
            self.windows.widen(increment)
        self.answers.send()

    def on_stream_window(self, stream_id: int, increment: int) -> None:
        stream = self._calls.find(stream_id)
        if stream is not None:
            self.answers.grant(stream, increment)
        elif increment == 0:  # an error of the stream by RFC 9113, 6.9; there is none left to be reset
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"a WINDOW_UPDATE of 0 on stream {stream_id}", stream_id)

    def on_windows_moved(self) -> None:
        self.answers.windows_moved()

    @property
    def last_peer_stream(self) -> int:
        return self._calls.last_id

    # ---- going away --------------------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Say GOAWAY without a bound, then, when the client has surely read it, the true one (RFC 9113, 6.8)."""
        if not self._leaving and self.closed is None:
            self._leaving = True
            self.outgoing.append(frames.goaway(MAX_STREAM_ID, ErrorCode.NO_ERROR))
            self.control.ping(_LEAVING_PING)

    def leave(self) -> None:
        """The true GOAWAY: calls that come after it are not looked at. Also for a client that answers no ping."""
        if not self._calls.left and self.closed is None:
            self._calls.left = True
            self.outgoing.append(frames.goaway(self._calls.last_id, ErrorCode.NO_ERROR))

    def on_pong(self, opaque: bytes) -> None:
        if self._leaving and opaque == _LEAVING_PING:
            self.leave()


def _wrong_length(stream: Stream) -> StreamError:
    text = f"content-length is {stream.request.content_length:,}, but DATA has {stream.content_bytes:,} bytes"
    return StreamError(ErrorCode.PROTOCOL_ERROR, text, stream.stream_id)
