"""The client's side: calls out, answers in.

The hot path of engine `wire` is :meth:`ClientConnection.start_calls` and :meth:`ClientConnection.recognise`, then
:meth:`ClientConnection.on_headers` and :meth:`ClientConnection.on_data`; the rest is rare. Requests are prepared
(:mod:`~grpclab.http2.prepared`), and answers like those before are recognised, many at once
(:mod:`~grpclab.http2.fast_path`). Else header blocks are looked up by their bytes, and a message is compared with the
one before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from grpclab.http2 import frames, messages
from grpclab.http2.connection import Endpoint
from grpclab.http2.control import unpadded
from grpclab.http2.exchange import (
    Answer,
    Call,
    MessageCounter,
    Request,
    UsualAnswer,
    before_special,
    begin_alike,
    end_usual,
    outcome,
    refusal,
    usual_answer,
)
from grpclab.http2.fast_path import FastPath
from grpclab.http2.frames import (
    END_HEADERS,
    END_STREAM,
    MAX_LIST_BYTES,
    MAX_STREAM_ID,
    ErrorCode,
    Setting,
)
from grpclab.http2.header_blocks import HeaderBlocks
from grpclab.http2.headers import HeaderListError
from grpclab.http2.prepared import Requests, RequestSender, SameRequest
from grpclab.http2.protocol_errors import ProtocolError, StreamError
from grpclab.http2.states import ANSWER, AnswerAction, AnswerInput, AnswerState

_ROWS: Final = ANSWER.rows
_NOTHING, _BEGUN, _DATA, _OVER = map(int, AnswerState)
_TRAILERS: Final = int(AnswerInput.TRAILERS)
_BEGINNING: Final = UsualAnswer(_NOTHING, _BEGUN, [])


class ClientConnection(Endpoint[Call]):
    """The client's end. :meth:`receive` returns the calls that have ended, each with its `status`.

    With `watch_messages`, :attr:`arrived` gets a call for each message that came. `prepare` makes the bytes of
    requests: of one for all calls, where nothing else is given.
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
        prepare: Callable[[Request, str], Requests] = SameRequest,
    ) -> None:
        answers: HeaderBlocks[Answer] = HeaderBlocks(Answer)
        fast_path: FastPath[UsualAnswer] = FastPath()
        super().__init__(
            stream_window=stream_window,
            connection_window=connection_window,
            settings={Setting.ENABLE_PUSH: 0, Setting.MAX_HEADER_LIST_SIZE: MAX_LIST_BYTES},
            blocks=answers,
            fast_path=fast_path,
        )
        self.outgoing.insert(0, frames.PREFACE)
        self.calls: dict[int, Call] = {}
        """Open calls by stream id, oldest first."""
        self.max_streams = MAX_STREAM_ID
        """Calls that may be open at once; 0 once none may be started."""
        self.draining = False
        """No new call may be started here."""
        self.arrived: list[Call] = []
        self.encoded = False
        """Whether a message was compressed so far: calls then have an `encoding`."""
        self._requests, self._encoding = prepare(request, user_agent), request.encoding
        self._next_id = first_stream_id
        self._idle = self.control.idle
        self._sender = RequestSender(self._requests, self.outgoing, self.windows, self.calls, self._idle)
        self._watch = watch_messages
        self._unary = not request.server_streaming
        self._known = answers.known
        self._learns = self._unary and not watch_messages
        self._special_until = MAX_STREAM_ID if self._requests.watched else 0
        """The last stream whose call may have a flow, or an answer that is kept."""
        self._begun_until = 0
        """The last stream whose answer may have begun."""
        self._messages = MessageCounter(max_message_bytes)

    @property
    def room(self) -> int:
        """The calls that may be started now; negative where the peer has lowered its limit."""
        return self.max_streams - len(self.calls)

    # ---- requests out ------------------------------------------------------------------------------------------

    def start(self, call: Call) -> bool:
        """Send the request as a new call. False, and nothing is done, where there is no :attr:`room`."""
        return self.start_calls((call,)) == 1

    def start_calls(self, calls: Sequence[Call]) -> int:
        """Send the requests of new calls, in order, as far as there is :attr:`room`. Returns how many."""
        calls = self._open(calls)
        sent = self._requests.send(calls, self.windows, self.outgoing)
        if sent < len(calls):
            self._special_until = max(self._special_until, self._next_id)
            self._sender.send_whole(calls[sent:])
        return len(calls)

    def _open(self, calls: Sequence[Call]) -> Sequence[Call]:
        """Open streams for as many of the calls as there is room for, which are returned."""
        stream_id, open_calls = self._next_id, self.calls
        if len(open_calls) + len(calls) > self.max_streams or stream_id + 2 * len(calls) > MAX_STREAM_ID:
            calls = calls[: max(0, min(self.room, (MAX_STREAM_ID - stream_id) // 2 + 1))]
        for call in calls:
            call.stream_id = stream_id
            open_calls[stream_id] = call
            stream_id += 2
        self._next_id = stream_id
        if stream_id > MAX_STREAM_ID:
            self.drain()
        return calls

    def start_stream(self, call: Call, headers: bytes = b"") -> int:
        """Open a stream: the request's headers, those of a further block, no message. Returns its id, 0 without room.

        Of a sequence, the next one is the call's `request`.
        """
        if not self._open((call,)):
            return 0
        self._requests.take(call)
        self._special_until = max(self._special_until, self._next_id)
        self._sender.open(call, headers, ends=False)
        return call.stream_id

    def send_message(self, stream_id: int, message: bytes, end: bool = False) -> None:
        """Send a message, with `end` the last one, of a stream of :meth:`start_stream`, unless that is over."""
        call = self.calls.get(stream_id)
        if call is not None and call.flow is not None and not call.flow.ends:
            self._sender.send_message(call, call.flow, messages.prefixed(message, self._encoding), end=end)

    def end_stream(self, stream_id: int) -> None:
        """End the request of a stream of :meth:`start_stream`; answers may still come."""
        call = self.calls.get(stream_id)
        if call is not None and call.flow is not None and not call.flow.ends:
            self._sender.end(call, call.flow)

    def cancel(
        self,
        stream_id: int,
        code: ErrorCode = ErrorCode.CANCEL,
        *,
        status: int = messages.CANCELLED,
        text: str = "",
    ) -> None:
        """Give a call up: RST_STREAM with this code, and its status."""
        call = self.calls.get(stream_id)
        if call is not None:
            self._reset(call, code, status, text)

    def drain(self) -> None:
        """Start no further call."""
        self.draining = True
        self.max_streams = 0

    # ---- windows and settings ----------------------------------------------------------------------------------

    def on_window(self, increment: int) -> None:
        self.windows.widen(increment)
        self._sender.go_on()

    def on_stream_window(self, stream_id: int, increment: int) -> None:
        call = self.calls.get(stream_id)
        if call is None:
            self._stray(stream_id, idle=False)
        else:
            self._special_until = max(self._special_until, stream_id)
            self._sender.grant(call, increment)

    def on_windows_moved(self) -> None:
        self._sender.on_windows_moved()

    def on_settings(self) -> None:
        if not self.draining:
            self.max_streams = self.control.peer.get(Setting.MAX_CONCURRENT_STREAMS, MAX_STREAM_ID)
        self._requests.on_settings(self.control.peer_table, self.windows)

    # ---- answers in --------------------------------------------------------------------------------------------

    def recognise(self, stream_ids: Sequence[int], sample: UsualAnswer, ends: Sequence[bytes]) -> int:
        before, after, _ = sample
        first = min(stream_ids) if len(stream_ids) > 1 else stream_ids[0]
        if first <= self._special_until:
            stream_ids = before_special(self.calls, stream_ids)
        if after == _BEGUN:
            number = begin_alike(self.calls, stream_ids)
            self._begun_until = max(self._begun_until, *stream_ids[:number], 0)
            return number
        of_nothing = before == _NOTHING and first > self._begun_until
        number = end_usual(self.calls, stream_ids, sample, ends, self._events, of_nothing=of_nothing)
        if number:
            self._idle.number = 0
        return number

    def sample(self, kind: int, stream_id: int, data_bytes: int) -> UsualAnswer | None:
        if not self._learns or not self._events or not self.blocks.decoder.is_independent:
            return None
        return usual_answer(self._events[-1], kind, stream_id, data_bytes)

    def varying(self, block: bytes) -> int:
        return self.blocks.decoder.varying(block, self._events[-1].trailers)

    def on_headers(self, flags: int, stream_id: int, body: bytes) -> None:
        answer = self._known.get(body)
        if answer is None or flags & ~END_STREAM != END_HEADERS:
            try:
                answer = self.blocks.read(flags, stream_id, body)
            except HeaderListError:
                self.on_long_block(flags, stream_id)
                return
        call = self.calls.get(stream_id)
        if call is None:
            self._stray(stream_id)
            return
        transition = _ROWS[call.state][_TRAILERS if flags & END_STREAM else answer.input]
        if transition is None:
            raise ANSWER.violation(call.state, stream_id)
        action, after = transition
        if action is AnswerAction.BEGIN:
            call.state = after
            self._begun_until = max(self._begun_until, stream_id)
            if answer.encoding != "identity":
                call.agreed = answer.encoding
            elif self._learns and body in self._known:
                self.fast_path.begin(body, _BEGINNING)
        elif action is AnswerAction.END:
            self._idle.number = 0
            call.trailers = answer.headers
            if answer.status or call.state != _DATA or (self._unary and call.messages != 1) or call.reader:
                self._end(call, *outcome(call, answer, unary=self._unary))
            else:
                self._end(call, messages.OK, answer.text)
        elif action is not AnswerAction.IGNORE:
            raise refusal(stream_id, answer)

    def on_long_block(self, flags: int, stream_id: int) -> None:
        """More headers than are taken: the end of that call alone."""
        text = str(HeaderListError())
        if not self.blocks.decoder.is_independent:
            raise ProtocolError(ErrorCode.COMPRESSION_ERROR, text, stream_id)
        call = self.calls.get(stream_id)
        if call is None:
            self._stray(stream_id)
        elif flags & END_STREAM:
            self._end(call, messages.RESOURCE_EXHAUSTED, text)
        else:
            raise StreamError(ErrorCode.CANCEL, text, stream_id, status=messages.RESOURCE_EXHAUSTED)

    def on_data(self, flags: int, stream_id: int, body: bytes) -> None:
        call = self.calls.get(stream_id)
        if call is None:
            self._stray(stream_id, idle=not body)
            return
        if body == self._messages.usual_frame and flags == 0 and call.reader is None and call.state != _NOTHING:
            call.state = _DATA
            call.messages += 1
            self._idle.number = 0
            if call.kept:
                call.kept.take(body)
            if self._watch:
                self.arrived.append(call)
        elif self._read(call, flags, body):
            return
        call.unreturned += len(body)
        if call.unreturned >= self.received.give_back_stream_at:
            self.received.give_back(call)

    def _read(self, call: Call, flags: int, body: bytes) -> bool:
        """Take a frame that is not one more message like the last. Returns whether it has ended the stream."""
        content = unpadded(flags, call.stream_id, body)
        if not content and not flags & END_STREAM:
            self.control.idle_frame()
        else:
            self._idle.number = 0
        given = AnswerInput.LAST_DATA if flags & END_STREAM else AnswerInput.DATA
        action, _ = ANSWER.step(call.state, given, call.stream_id)
        call.state = _DATA
        if call.kept:
            call.kept.take(content)
        number = self._messages.count(call, content, None if flags else body)
        self.encoded = self._messages.encoded
        if self._watch:
            self.arrived.extend([call] * number)
        if action is AnswerAction.READ_LAST:
            self._end(call, messages.UNKNOWN, "the stream ended without trailers")
        return call.state == _OVER

    def _end(self, call: Call, status: int, text: str) -> None:
        """The peer has ended the stream."""
        if call.flow is not None and call.flow.incomplete:  # there is nobody to send the rest to
            self.outgoing.append(frames.rst_stream(call.stream_id, ErrorCode.CANCEL))
        self._over(call, status, text)
        self._events.append(call)

    def _over(self, call: Call, status: int, text: str) -> None:
        del self.calls[call.stream_id]
        call.status, call.text, call.state = status, text, _OVER

    def _reset(self, call: Call, code: ErrorCode, status: int, text: str) -> None:
        """End the stream from this side."""
        self.outgoing.append(frames.rst_stream(call.stream_id, code))
        self._over(call, status, text)
        self._idle.number = 0  # the rest of its answer may be under way

    def on_stream_error(self, error: StreamError) -> None:
        call = self.calls[error.stream_id]
        self._reset(call, error.code, error.status, str(error))
        self._events.append(call)

    def _stray(self, stream_id: int, *, idle: bool = True) -> None:
        """A frame on a stream that is not open: over already, or never there."""
        if stream_id % 2 == 0 or stream_id >= self._next_id:
            text = f"a frame on stream {stream_id}, which was never opened"
            raise ProtocolError(ErrorCode.PROTOCOL_ERROR, text, stream_id)
        if idle:
            self.control.idle_frame()

    def on_reset(self, stream_id: int, code: int) -> None:
        call = self.calls.get(stream_id)
        if call is None:
            self._stray(stream_id)
            return
        self._idle.number = 0
        self._over(call, messages.status_of_reset(code), f"RST_STREAM {frames.error_name(code)}")
        call.unprocessed = code == ErrorCode.REFUSED_STREAM
        self._events.append(call)

    # ---- the end -----------------------------------------------------------------------------------------------

    def on_going_away(self, last_stream_id: int, text: str) -> None:
        self.drain()
        self._give_up([call for call in self.calls.values() if call.stream_id > last_stream_id], text, unprocessed=True)

    def on_end(self, reason: str) -> None:
        self.drain()
        self._give_up(list(self.calls.values()), reason, unprocessed=False)
        self._sender.clear()

    def _give_up(self, calls: Iterable[Call], text: str, *, unprocessed: bool) -> None:
        for call in calls:
            self._over(call, messages.UNAVAILABLE, text)
            call.unprocessed = unprocessed
            self._events.append(call)
