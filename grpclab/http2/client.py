"""The client's side: calls out (:mod:`grpclab.http2.asking`), answers in. The hot path of engine `wire` is
:meth:`ClientConnection.start` and :meth:`_on_usual`, then :meth:`_on_headers` and :meth:`_on_data`; the rest is rare.

What makes it fast: a request is three prepared pieces of bytes joined by the stream id; an answer whose frames are
those of answers before it, but for the stream id, is recognised in one comparison (``Connection.receive``). Else its
header blocks are looked up by their bytes, not decoded, and its message is compared with the one before. A call is
one small object, and nothing else is made for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from grpclab.http2 import frames, messages
from grpclab.http2.asking import Asking
from grpclab.http2.connection import ProtocolError
from grpclab.http2.exchange import BEGUN, DATA_CAME, NOTHING, Answer, Call, Request
from grpclab.http2.frames import END_HEADERS, END_STREAM, ErrorCode
from grpclab.http2.headers import BlockDecoder, HeaderList, HeaderListError
from grpclab.http2.messages import MessageError, MessageReader

__all__ = ["Call", "ClientConnection", "Request"]

NO_HTTP_STATUS = "malformed answer: :status is missing"


class ClientConnection(Asking):
    """The client's end. :meth:`receive` returns the calls that have ended, each with its `status`.

    With `watch_messages`, :attr:`arrived` collects a call for each message that came, until someone clears it.
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
            request,
            stream_window=stream_window,
            connection_window=connection_window,
            user_agent=user_agent,
            first_stream_id=first_stream_id,
        )
        self.arrived: list[Call] = []
        self.encoded = False
        """Whether any message so far was compressed: calls then have their `encoding`."""
        self._max_message_bytes = max_message_bytes
        self._watch = watch_messages
        self._unary = not request.server_streaming
        self._has_usual = self._unary and not request.client_streaming and not watch_messages
        self._answers = BlockDecoder(Answer)
        self._known = self._answers.known
        self._usual_body: bytes | None = None
        self._usual_encoded: tuple[str, bytes] | None = None  # one that was decompressed
        self._usual_trailers: list[HeaderList] = [[], []]  # as _usual_data

    # ---- in ----------------------------------------------------------------------------------------------------

    def _on_usual(self, kind: int, stream_id: int) -> bool:
        call = self.calls.get(stream_id)
        # A whole answer where nothing has come (kind 1, HEADERS), or all of its DATA where only headers have (kind 0).
        if call is None or call._phase + kind != BEGUN or call._unsent:
            return False
        del self.calls[stream_id]
        call.status = 0
        call.messages = 1
        call.trailers = self._usual_trailers[kind]
        self._events.append(call)
        self._consumed += self._usual_data[kind]
        if self._consumed >= self._give_back_at:
            self._give_back()
        self._idle_frames = 0
        return True

    def _is_usual(self, stream_id: int) -> bool:
        if not self._has_usual or not self._events or not self._answers.is_independent:
            return False
        call: Call = self._events[-1]
        if call.encoding:  # each of these is looked at, so that it is counted
            return False
        # Had some of its DATA come before these bytes, they would not stand for a whole message.
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
            self._idle_frames = 0
            call.trailers = answer.headers
            if answer.status or call._phase != DATA_CAME or (self._unary and call.messages != 1) or call._reader:
                self._end_oddly(call, answer)
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
            text = f"HTTP status {answer.http}, not gRPC"
            self._reset(call, messages.status_of_http(answer.http), text, ErrorCode.CANCEL)

    def _on_long_block(self, flags: int, stream_id: int) -> None:
        """More headers than are taken. It is the end of that call alone: no later block depends on this one."""
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

    def _end_oddly(self, call: Call, answer: Answer) -> None:
        """Trailers that are not those of a call that went well and is complete."""
        status, text = answer.status, answer.text
        if call._phase == NOTHING and not (answer.http or answer.fault):
            status, text = messages.INTERNAL, NO_HTTP_STATUS
        elif status < 0:
            foreign = call._phase == NOTHING and answer.http != "200"
            status = messages.status_of_http(answer.http) if foreign else messages.UNKNOWN
            text = f"no grpc-status; HTTP status {answer.http}" if answer.http else "no grpc-status"
        elif status == messages.OK and self._unary and call.messages != 1:
            # "Response cardinality violation": doc/statuscodes.md
            status, text = messages.UNIMPLEMENTED, f"{call.messages} messages in a unary answer"
        elif status == messages.OK and call._reader is not None:
            status, text = messages.INTERNAL, "the last message is incomplete"
        self._end(call, status, text)

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
        if body == self._usual_body and flags == 0 and call._reader is None and call._phase != NOTHING:
            call._phase = DATA_CAME
            call.messages += 1
            self._idle_frames = 0
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
        """A frame that is not simply one more message like the last."""
        content = self._unpadded(flags, body)
        if not content and not flags & END_STREAM:
            self._idle_frame()
        else:
            self._idle_frames = 0
        if call._phase == NOTHING:
            self._reset(call, messages.INTERNAL, "data before headers")
            return
        call._phase = DATA_CAME
        if self._usual_encoded == (call._agreed, body) and flags == 0 and call._reader is None:
            call.messages += 1
            call.encoding = call._agreed
            if self._watch:
                self.arrived.append(call)
            return
        reader = call._reader or MessageReader(keep=False, encoding=call._agreed, most=self._max_message_bytes)
        try:
            done = reader.feed(content)
        except MessageError as error:
            self._reset(call, error.status, str(error), ErrorCode.CANCEL)
            return
        call.messages += done
        if reader.compressed:
            call.encoding, self.encoded = call._agreed, True
        if self._watch:
            self.arrived.extend([call] * done)
        if flags == 0 and call._reader is None and messages.is_one_message(body):
            if call.encoding:
                self._usual_encoded = (call.encoding, body)
            else:
                self._usual_body = body
        call._reader = None if reader.complete else reader
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
        self._idle_frames = 0  # the rest of its answer may be under way

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
        self._idle_frames = 0
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
        elif self.peer_window + call._granted - call._sent > frames.MAX_WINDOW:
            self._reset(call, messages.INTERNAL, "a window beyond 2^31 - 1", ErrorCode.FLOW_CONTROL_ERROR)
        else:
            self._send(call)

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
