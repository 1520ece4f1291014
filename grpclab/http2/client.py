"""The client's side: calls out, answers in.

The hot path of engine `wire` is :meth:`ClientConnection.start` and :meth:`_on_usual`, then :meth:`_on_headers` and
:meth:`_on_data`; the rest is rare. What makes it fast: a request is three prepared pieces of bytes joined by the stream
id; an answer whose frames are those of answers before it, but for the stream id, is recognised in one comparison
(``Connection.receive``). Else its header blocks are looked up by their bytes, not decoded, and its message is compared
with the one before. A call is one small object.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from grpclab.http2 import frames, messages
from grpclab.http2.connection import Connection, ProtocolError
from grpclab.http2.exchange import (
    BEGUN,
    DATA_CAME,
    NO_HTTP_STATUS,
    NOTHING,
    Answer,
    Call,
    MessageCounter,
    PreparedRequest,
    Request,
    outcome,
)
from grpclab.http2.frames import END_HEADERS, END_STREAM, MAX_LIST_BYTES, ErrorCode, Setting, pack_id
from grpclab.http2.headers import BlockDecoder, HeaderList, HeaderListError
from grpclab.http2.messages import MessageError


class ClientConnection(Connection):
    """The client's end. :meth:`receive` returns the calls that have ended, each with its `status`.

    With `watch_messages`, :attr:`arrived` gets a call for each message that came.
    """

    def __init__(
        self,
        request: Request,
        *,
        stream_window: int,
        connection_window: int,
        user_agent: str = "grpclab",
        watch_messages: bool = False,
        first_stream_id: int = 1,
        max_message_bytes: int = messages.UNLIMITED_BYTES,
    ) -> None:
        super().__init__(
            stream_window=stream_window,
            connection_window=connection_window,
            settings={Setting.ENABLE_PUSH: 0, Setting.MAX_HEADER_LIST_SIZE: MAX_LIST_BYTES},
        )
        self.outgoing.insert(0, frames.PREFACE)
        self.calls: dict[int, Call] = {}
        """Open calls by stream id, oldest first."""
        self.max_streams = frames.MAX_STREAM_ID
        """Calls that may be open at once: what the peer says, 0 once no further one may be started."""
        self.arrived: list[Call] = []
        self._request = PreparedRequest(request, user_agent)
        self._next_id = first_stream_id
        self._waiting: deque[Call] = deque()  # for the connection's window
        self._watch = watch_messages
        self._unary = not request.server_streaming
        self._has_usual = self._unary and not watch_messages
        self._answers = BlockDecoder(Answer)
        self._known = self._answers.known
        self._messages = MessageCounter(max_message_bytes)
        self._usual_trailers: list[HeaderList] = [[], []]  # as _usual_data

    @property
    def room(self) -> int:
        """The number of calls that may be started now; negative where the peer has lowered its limit."""
        return self.max_streams - len(self.calls)

    @property
    def encoded(self) -> bool:
        """True if any message so far was compressed: calls then have their `encoding`."""
        return self._messages.encoded

    # ---- requests out ------------------------------------------------------------------------------------------

    def start(self, call: Call) -> bool:
        """Send the request as a new call. False, and nothing is done, where there is no :attr:`room`."""
        if len(self.calls) >= self.max_streams:
            return False
        stream_id = self._next_id
        self._next_id = stream_id + 2
        if stream_id >= frames.MAX_STREAM_ID:  # which is odd, so a client's
            self.drain()
        call.stream_id = stream_id
        self.calls[stream_id] = call
        request, windows = self._request, self.windows
        pieces = request.pieces
        if pieces is not None and request.size <= windows.connection:
            windows.connection -= request.size
            self.outgoing.append(pack_id(stream_id).join(pieces))
        else:
            self._start_slowly(call)
        return True

    def _start_slowly(self, call: Call) -> None:
        """The first calls, large ones, and those that wait for the peer's window."""
        request, max_frame = self._request, self.windows.max_frame
        self.outgoing.append(frames.headers(call.stream_id, request.block(), end=False, max_frame=max_frame))
        call._unsent = memoryview(request.message)
        self._send(call)
        request.cut(self.windows)

    def start_stream(self, call: Call, headers: bytes = b"") -> int:
        """Open a stream for this call: the request's headers, those of a further block, and no message yet.

        Returns its id; 0, and nothing is done, where there is no :attr:`room`. Messages follow by
        :meth:`send_message`, and the end of the request by :meth:`end_stream`.
        """
        if len(self.calls) >= self.max_streams:
            return 0
        stream_id = self._next_id
        self._next_id = stream_id + 2
        if stream_id >= frames.MAX_STREAM_ID:
            self.drain()
        call.stream_id = stream_id
        call._half_closed = False
        self.calls[stream_id] = call
        block, max_frame = self._request.block() + headers, self.windows.max_frame
        self.outgoing.append(frames.headers(stream_id, block, end=False, max_frame=max_frame))
        return stream_id

    def send_message(self, stream_id: int, message: bytes, end: bool = False) -> None:
        """Send a message of a stream that :meth:`start_stream` has opened; with `end`, the last one.

        What the peer's windows do not allow is sent as soon as they do. A stream that is over takes nothing.
        """
        call = self.calls.get(stream_id)
        if call is not None and not call._half_closed:
            call._unsent = memoryview(bytes(call._unsent) + messages.prefixed(message))
            call._half_closed = end
            self._send(call)

    def end_stream(self, stream_id: int) -> None:
        """End the request of a stream that :meth:`start_stream` has opened; answers may still come."""
        call = self.calls.get(stream_id)
        if call is not None and not call._half_closed:
            call._half_closed = True  # goes with the last of what waits
            if not call._unsent:
                self.outgoing.append(frames.data(stream_id, b"", end=True))

    def _send(self, call: Call) -> None:
        """Send what the windows allow of a request; the rest waits."""
        unsent, windows = call._unsent, self.windows
        while unsent:
            allowed = min(windows.connection, windows.stream + call._granted - call._sent, windows.max_frame)
            if allowed <= 0:
                break
            piece, unsent = unsent[:allowed], unsent[allowed:]
            self.outgoing.append(frames.data(call.stream_id, piece, end=call._half_closed and not unsent))
            self._idle.number = 0
            windows.connection -= len(piece)
            call._sent += len(piece)
        call._unsent = unsent
        if unsent and windows.connection <= 0 and not call._queued:
            call._queued = True
            self._waiting.append(call)

    def _resume(self, call: Call) -> None:
        """Send what a window allows that has opened."""
        waited = call._unsent
        self._send(call)
        if waited and not call._unsent and call.on_drained is not None:
            call.on_drained(call)

    def _window_opened(self) -> None:
        """The connection's window: to those that wait for it, in turn."""
        while self._waiting and self.windows.connection > 0:
            call = self._waiting.popleft()
            call._queued = False
            if call.stream_id in self.calls:
                self._resume(call)

    def cancel(
        self,
        stream_id: int,
        code: ErrorCode = ErrorCode.CANCEL,
        *,
        status: int = messages.CANCELLED,
        text: str = "",
    ) -> None:
        """Give a call up: RST_STREAM with this code, and its status. What still comes for it is thrown away."""
        call = self.calls.pop(stream_id, None)
        if call is not None:
            self.outgoing.append(frames.rst_stream(stream_id, code))
            call.status, call.text = status, text
            self._idle.number = 0  # its answer may be under way

    def drain(self) -> None:
        """Start no further call."""
        self.draining = True
        self.max_streams = 0

    def _on_peer_settings(self) -> None:
        if not self.draining:
            self.max_streams = self.peer.get(Setting.MAX_CONCURRENT_STREAMS, frames.MAX_STREAM_ID)
        self._request.limit_table(self.peer_table)
        self._request.cut(self.windows)
        for call in list(self.calls.values()):  # windows of streams have moved with the initial one
            self._resume(call)

    # ---- answers in --------------------------------------------------------------------------------------------

    def _on_usual(self, kind: int, stream_id: int) -> bool:
        call = self.calls.get(stream_id)
        # A whole answer where nothing has come (kind 1), or all of its DATA where only headers have (kind 0).
        if call is None or call._phase + kind != BEGUN or call._unsent or call.kept or not call._half_closed:
            return False
        del self.calls[stream_id]
        call.status = 0
        call.messages = 1
        call.trailers = self._usual_trailers[kind]
        self._events.append(call)
        self._consumed += self._usual_data[kind]
        if self._consumed >= self._give_back_at:
            self._give_back()
        self._idle.number = 0
        return True

    def _is_usual(self, stream_id: int) -> bool:
        if not self._has_usual or not self._events or not self._answers.is_independent:
            return False
        call: Call = self._events[-1]
        if call.encoding:  # each of these is looked at, so that it is counted
            return False
        # Had some of its DATA come before, these bytes would not stand for a whole message.
        return call.stream_id == stream_id and call.status == messages.OK and call._received == self._ending_data

    def _on_learnt(self, kind: int) -> None:
        self._usual_trailers[kind] = self._events[-1].trailers

    def _on_headers(self, flags: int, stream_id: int, body: bytes) -> None:
        answer = self._known.get(body)
        if answer is None or flags & ~END_STREAM != END_HEADERS:
            block = self._header_block(flags, stream_id, body)
            if block is None:
                return
            try:
                answer = self._answers.decode(block)
            except HeaderListError:
                self._on_long_block(flags, stream_id)
                return
        call = self.calls.get(stream_id)
        if call is None:
            self._stray(stream_id)
            self._idle_frame()
        elif flags & END_STREAM:
            self._idle.number = 0
            call.trailers = answer.headers
            if answer.status or call._phase != DATA_CAME or (self._unary and call.messages != 1) or call._reader:
                self._end(call, *outcome(call, answer, unary=self._unary))
            else:
                self._end(call, messages.OK, answer.text)
        elif answer.begins and call._phase == NOTHING:
            call._phase = BEGUN
        elif call._phase != NOTHING:
            self._reset(call, messages.INTERNAL, "headers twice")
        elif answer.fault or not answer.http:
            self._reset(call, messages.INTERNAL, answer.fault or NO_HTTP_STATUS)
        elif answer.begins_encoded:
            call._phase, call._agreed = BEGUN, answer.encoding
        elif not answer.informational:
            status = messages.status_of_http(answer.http)
            self._reset(call, status, f"HTTP status {answer.http}, not gRPC", ErrorCode.CANCEL)

    def _on_long_block(self, flags: int, stream_id: int) -> None:
        """More headers than are taken: the end of that call alone, since no later block depends on it."""
        error = HeaderListError()
        if not self._answers.is_independent:
            raise error
        call = self.calls.get(stream_id)
        if call is None:
            self._stray(stream_id)
            self._idle_frame()
        elif flags & END_STREAM:
            self._end(call, messages.RESOURCE_EXHAUSTED, str(error))
        else:
            self._reset(call, messages.RESOURCE_EXHAUSTED, str(error), ErrorCode.CANCEL)

    def _on_data(self, flags: int, stream_id: int, body: bytes) -> None:
        length = len(body)
        self._consumed += length
        if self._consumed >= self._give_back_at:
            self._give_back()
        call = self.calls.get(stream_id)
        if call is None:
            self._stray(stream_id)
            if not length:
                self._idle_frame()
            return
        if body == self._messages.usual_frame and flags == 0 and call._reader is None and call._phase != NOTHING:
            call._phase = DATA_CAME
            call.messages += 1
            self._idle.number = 0
            if call.kept:
                call.kept.take(body)
            if self._watch:
                self.arrived.append(call)
        else:
            self._read(call, flags, body)
            if call.status >= 0:
                return
        call._received += length
        if call._received >= self._give_back_stream_at:
            self._give_back_stream(call)

    def _read(self, call: Call, flags: int, body: bytes) -> None:
        """A frame that is not one more message like the last."""
        content = self._unpadded(flags, body)
        if not content and not flags & END_STREAM:
            self._idle_frame()
        else:
            self._idle.number = 0
        if call._phase == NOTHING:
            self._reset(call, messages.INTERNAL, "data before headers")
            return
        call._phase = DATA_CAME
        if call.kept:
            call.kept.take(content)
        try:
            number = self._messages.count(call, content, None if flags else body)
        except MessageError as error:
            self._reset(call, error.status, str(error), ErrorCode.CANCEL)
            return
        if self._watch:
            self.arrived.extend([call] * number)
        if flags & END_STREAM:
            self._end(call, messages.UNKNOWN, "the stream ended without trailers")

    def _give_back_stream(self, call: Call) -> None:
        if call._received > self.stream_window:
            text = "more data than the stream's window allows"
            self._reset(call, messages.INTERNAL, text, ErrorCode.FLOW_CONTROL_ERROR)
            return
        self.outgoing.append(frames.window_update(call.stream_id, call._received))
        call._received = 0

    def _end(self, call: Call, status: int, text: str) -> None:
        """The peer has ended the stream."""
        if call._unsent or not call._half_closed:  # there is nobody to send the rest to
            self.outgoing.append(frames.rst_stream(call.stream_id, ErrorCode.CANCEL))
        del self.calls[call.stream_id]
        call.status, call.text = status, text
        self._events.append(call)

    def _reset(self, call: Call, status: int, text: str, code: ErrorCode = ErrorCode.PROTOCOL_ERROR) -> None:
        """The peer went wrong on this stream only."""
        del self.calls[call.stream_id]
        self.outgoing.append(frames.rst_stream(call.stream_id, code))
        call.status, call.text = status, text
        self._events.append(call)
        self._idle.number = 0  # the rest of its answer may be under way

    def _stray(self, stream_id: int) -> None:
        """A frame on a stream that is not open: over already, or never there."""
        if stream_id % 2 == 0 or stream_id >= self._next_id:
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {stream_id}, which was never opened")

    def _on_reset(self, stream_id: int, code: int) -> None:
        call = self.calls.pop(stream_id, None)
        if call is None:
            self._stray(stream_id)
            self._idle_frame()
            return
        self._idle.number = 0
        call.status, call.text = messages.status_of_reset(code), f"RST_STREAM {frames.error_name(code)}"
        call.unprocessed = code == ErrorCode.REFUSED_STREAM
        self._events.append(call)

    def _on_stream_window(self, stream_id: int, increment: int) -> None:
        call = self.calls.get(stream_id)
        if call is None:
            self._stray(stream_id)
            return
        call._granted += increment
        if increment == 0:
            self._reset(call, messages.INTERNAL, "a WINDOW_UPDATE of 0")
        elif self.windows.stream + call._granted - call._sent > frames.MAX_WINDOW:
            self._reset(call, messages.INTERNAL, "a window beyond 2^31 - 1", ErrorCode.FLOW_CONTROL_ERROR)
        else:
            self._resume(call)

    def _on_own_settings_acked(self) -> None:
        self._answers.independent()

    def _on_going_away(self, last_stream_id: int, code: int, reason: str) -> None:
        self.drain()
        text = f"GOAWAY {frames.error_name(code)} {reason}".rstrip()
        self._give_up([call for call in self.calls.values() if call.stream_id > last_stream_id], text, unprocessed=True)

    def _end_everything(self, reason: str) -> None:
        self.drain()
        self._give_up(list(self.calls.values()), reason, unprocessed=False)

    def _give_up(self, calls: Iterable[Call], text: str, *, unprocessed: bool) -> None:
        for call in calls:
            del self.calls[call.stream_id]
            call.status, call.text, call.unprocessed = messages.UNAVAILABLE, text, unprocessed
            self._events.append(call)
