"""One exchange from the client's side: a call, its request, and the meaning of its answer."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from grpclab.http2 import messages
from grpclab.http2.flow_control import Flow
from grpclab.http2.frames import HEADERS, ErrorCode
from grpclab.http2.headers import HeaderList
from grpclab.http2.messages import MessageError, MessageReader
from grpclab.http2.protocol_errors import StreamError
from grpclab.http2.states import AnswerInput, AnswerState

GRPC: Final = "application/grpc"
NO_HTTP_STATUS: Final = "malformed answer: :status is missing"

NOTHING, BEGUN = int(AnswerState.NOTHING), int(AnswerState.BEGUN)
MAX_KEPT_BYTES: Final = 1 << 20
"""So much of an answer is kept at most."""


class KeptAnswer:
    """The DATA of a call's answer, for whoever looks into it; a call has one where it is asked for."""

    __slots__ = ("number", "pieces", "size")

    def __init__(self, number: int) -> None:
        self.number = number
        """The number of the request that it answers."""
        self.pieces: list[bytes] = []
        self.size = 0

    def take(self, content: bytes) -> None:
        """Keep the content of a DATA frame, within MAX_KEPT_BYTES."""
        self.size += len(content)
        if self.size <= MAX_KEPT_BYTES:
            self.pieces.append(content)

    def messages(self, encoding: str = "") -> list[bytes] | None:
        """The messages, decompressed; None where the answer is too long to be kept, or no sequence of messages."""
        if self.size > MAX_KEPT_BYTES:
            return None
        reader = MessageReader(keep=True, encoding=encoding)
        try:
            reader.feed(b"".join(self.pieces))
            if not reader.compressed:
                return reader.messages
            return [messages.decompressed(message, encoding) for message in reader.messages]
        except MessageError:
            return None


class Call:
    """One call. The engine may hang attributes of its own on it by subclassing.

    The defaults stand on the class: making a call sets nothing.
    """

    stream_id: int = 0
    status: int = -1
    """The gRPC status once the call has ended."""
    text: str = ""
    """What the peer, or this side, said about a failure."""
    trailers: HeaderList = []  # noqa: RUF012 (read only)
    messages: int = 0
    """Messages received."""
    encoding: str = ""
    """What its messages were compressed with; empty where none was."""
    request: bytes = b""
    """The message that it sent, with its prefix, where requests differ from call to call."""
    kept: KeptAnswer | None = None
    """What has come of its answer, where that is kept."""
    unprocessed: bool = False
    """The peer surely did nothing with it: it may be sent again."""
    flow: Flow | None = None
    """What it has to send; None where its request went all at once."""
    on_drained: Callable[[Any], None] | None = None
    """Called with the call when what waited for the peer's windows has been sent, and more may follow."""
    state: int = NOTHING
    """How far its answer has come, an :class:`~grpclab.http2.states.AnswerState`."""
    unreturned: int = 0
    """Bytes of DATA that the stream's window was not yet given back."""
    reader: MessageReader | None = None
    """The reader of a message that has not come whole."""
    agreed: str = ""
    """The encoding that its compressed messages have."""

    @property
    def blocked(self) -> bool:
        """True while something of its request waits for the peer's windows."""
        return self.flow is not None and bool(self.flow.pieces)


@dataclass(frozen=True, kw_only=True)
class Request:
    """The request that every call of a connection sends."""

    path: str
    authority: str
    payload: bytes
    scheme: str = "http"
    server_streaming: bool = False
    """The answer has any number of messages, not one."""
    timeout_s: float | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    encoding: str = ""
    """What messages are compressed with, where that makes them shorter; empty for no compression."""

    def headers(self, user_agent: str) -> list[tuple[str, str]]:
        """The request's headers in the order of gRPC's protocol document."""
        timeout = [] if self.timeout_s is None else [("grpc-timeout", messages.encode_timeout(self.timeout_s))]
        return [
            (":method", "POST"),
            (":scheme", self.scheme),
            (":path", self.path),
            (":authority", self.authority),
            ("te", "trailers"),
            *timeout,
            ("content-type", GRPC),
            *([("grpc-encoding", self.encoding)] if self.encoding else []),
            ("grpc-accept-encoding", messages.ACCEPTED_ENCODINGS),
            ("user-agent", user_agent),
            *self.metadata,
        ]


class Answer:
    """The meaning of a header block of the server.

    One that is malformed (RFC 9113, 8.1.1) or names an unknown encoding is INTERNAL, whatever else it says.
    """

    __slots__ = ("encoding", "fault", "headers", "http", "input", "status", "text")

    def __init__(self, headers: HeaderList) -> None:
        fields: dict[str, str] = dict(headers)
        self.headers = headers
        self.http = fields.get(":status", "")
        self.encoding = fields.get("grpc-encoding", "identity")
        self.fault = _fault(headers, self.encoding)
        """Why nothing of it can be used; empty where it can."""
        self.status = messages.parse_status(fields["grpc-status"]) if "grpc-status" in fields else -1
        self.text = messages.decode_text(fields.get("grpc-message", ""))
        if self.fault:
            self.status, self.text = messages.INTERNAL, self.fault
        # A missing content type is taken, as grpcio does: a plain HTTP/2 server can then serve as a ceiling.
        grpc = self.http == "200" and fields.get("content-type", GRPC).lower().startswith(GRPC)
        self.input = int(self._input(grpc))
        """The :class:`~grpclab.http2.states.AnswerInput` that it is where it does not end its stream."""

    def _input(self, grpc: bool) -> AnswerInput:
        if self.fault or not self.http:
            return AnswerInput.MALFORMED
        if grpc:
            return AnswerInput.BEGINNING
        return AnswerInput.INFORMATIONAL if self.http.startswith("1") else AnswerInput.FOREIGN


def refusal(stream_id: int, answer: Answer) -> StreamError:
    """The error of headers that no gRPC answer begins with."""
    if answer.input == AnswerInput.MALFORMED:
        return StreamError(ErrorCode.PROTOCOL_ERROR, answer.fault or NO_HTTP_STATUS, stream_id)
    text, status = f"HTTP status {answer.http}, not gRPC", messages.status_of_http(answer.http)
    return StreamError(ErrorCode.CANCEL, text, stream_id, status=status)


def outcome(call: Call, trailers: Answer, *, unary: bool) -> tuple[int, str]:
    """The status and text of a call whose stream ends with these trailers; `unary`: its answer is one message."""
    status = trailers.status
    if call.state == NOTHING and not (trailers.http or trailers.fault):
        return messages.INTERNAL, NO_HTTP_STATUS
    if status < 0:
        foreign = call.state == NOTHING and trailers.http != "200"
        text = f"no grpc-status; HTTP status {trailers.http}" if trailers.http else "no grpc-status"
        return messages.status_of_http(trailers.http) if foreign else messages.UNKNOWN, text
    if status == messages.OK and unary and call.messages != 1:
        # "Response cardinality violation": doc/statuscodes.md
        return messages.UNIMPLEMENTED, f"{call.messages} messages in a unary answer"
    if status == messages.OK and call.reader is not None:
        return messages.INTERNAL, "the last message is incomplete"
    return status, trailers.text


class UsualAnswer(NamedTuple):
    """The meaning of frames that others are compared with: an answer that is OK with one message, or a part of it."""

    before: int
    """The state of a call whose answer goes on with these frames."""
    after: int
    """Its state then."""
    trailers: HeaderList


def usual_answer(call: Call, kind: int, stream_id: int, data_bytes: int) -> UsualAnswer | None:
    """What the frames mean with which a call has ended; None where they may not stand for others.

    The first of them is of type `kind`; their stream, and the bytes of DATA among them, are given.
    """
    if call.encoding:  # each of these is looked at, so that it is counted
        return None
    # Had some of its DATA come before, these bytes would not stand for a whole message.
    if call.stream_id != stream_id or call.status != messages.OK or call.unreturned != data_bytes:
        return None
    before = NOTHING if kind == HEADERS else BEGUN
    return UsualAnswer(before, int(AnswerState.OVER), call.trailers)


def before_special(calls: Mapping[int, Call], stream_ids: Sequence[int]) -> Sequence[int]:
    """Those from the first on whose calls have nothing to send, and no answer that is kept."""
    for number, stream_id in enumerate(stream_ids):
        call = calls.get(stream_id)
        if call is not None and (call.kept or (call.flow is not None and call.flow.incomplete)):
            return stream_ids[:number]
    return stream_ids


def begin_alike(calls: Mapping[int, Call], stream_ids: Iterable[int]) -> int:
    """Begin the answers of calls, as far as each in turn is one of the open `calls` that has none yet.

    Returns how many they are.
    """
    number = 0
    for call in map(calls.get, stream_ids):
        if call is None or call.state != NOTHING:
            break
        call.state = BEGUN
        number += 1
    return number


def end_alike(calls: dict[int, Call], stream_ids: Iterable[int], trailers: HeaderList, ended: list[Any]) -> int:
    """End calls whose whole answer is one message with status OK, as far as each in turn is one of the open `calls`.

    Those that have ended follow the `ended`; returns how many they are.
    """
    before = len(ended)
    try:
        for call in map(calls.pop, stream_ids):
            call.status = 0
            call.messages = 1
            call.trailers = trailers
            ended.append(call)
    except KeyError:  # of a stream that is not open
        pass
    return len(ended) - before


def end_from(
    state: int, calls: dict[int, Call], stream_ids: Iterable[int], trailers: HeaderList, ended: list[Any]
) -> int:
    """As :func:`end_alike`, but the answer of each call has come as far as `state`, and this is the rest of it."""
    before = len(ended)
    for stream_id in stream_ids:
        call = calls.get(stream_id)
        if call is None or call.state != state:
            break
        del calls[stream_id]
        call.status = 0
        call.messages = 1
        call.trailers = trailers
        ended.append(call)
    return len(ended) - before


def give_ends(ended: Iterable[Call], trailers: HeaderList, values: Iterable[bytes]) -> None:
    """Give calls that ended with these trailers their own: the last header of each has this value."""
    *before, (name, _) = trailers
    last = None
    for call, value in zip(ended, values, strict=False):
        if value != last:  # often several have the same
            last, trailers = value, [*before, (name, value.decode("latin-1"))]
        call.trailers = trailers


def end_usual(
    calls: dict[int, Call],
    stream_ids: Iterable[int],
    sample: UsualAnswer,
    ends: Iterable[bytes],
    ended: list[Any],
    *,
    of_nothing: bool,
) -> int:
    """As :func:`end_alike`, for answers like the sample. `of_nothing`: none of them can have begun before; `ends` are
    the values of their last headers, where these differ.
    """
    before, _, trailers = sample
    if of_nothing:
        number = end_alike(calls, stream_ids, trailers, ended)
    else:
        number = end_from(before, calls, stream_ids, trailers, ended)
    if ends and number:
        give_ends(ended[-number:], trailers, ends)
    return number


class MessageCounter:
    """The messages in the answers of a connection, counted; a frame that is a whole message like the one before is
    recognised by its bytes."""

    __slots__ = ("_encoded_frame", "_max_message_bytes", "encoded", "usual_frame")

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self.encoded = False
        """True if any message so far was compressed: calls then have their `encoding`."""
        self.usual_frame: bytes | None = None
        """The DATA of the last frame that was a whole message, not compressed."""
        self._encoded_frame: tuple[str, bytes] | None = None  # one that was decompressed

    def count(self, call: Call, content: bytes, body: bytes | None) -> int:
        """Count the messages that the content of a DATA frame completes.

        `body` is the frame's payload where it may stand for others, with neither padding nor a flag. Raises
        StreamError.
        """
        whole = body is not None and call.reader is None
        if whole and self._encoded_frame == (call.agreed, body):
            call.messages += 1
            call.encoding = call.agreed
            return 1
        reader = call.reader or MessageReader(keep=False, encoding=call.agreed, most=self._max_message_bytes)
        try:
            number = reader.feed(content)
        except MessageError as error:
            raise StreamError(ErrorCode.CANCEL, str(error), call.stream_id, status=error.status) from None
        call.messages += number
        if reader.compressed:
            call.encoding, self.encoded = call.agreed, True
        if whole and body is not None and messages.is_one_message(body):
            if call.encoding:
                self._encoded_frame = (call.encoding, body)
            else:
                self.usual_frame = body
        call.reader = None if reader.complete else reader
        return number


def _is_base64(value: str) -> bool:
    """True if this is the value of a header in ``-bin``: padded or not, several joined by commas."""
    for part in value.split(","):
        digits = part.rstrip("=")
        try:
            decoded = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
        except ValueError:
            return False
        if base64.b64encode(decoded).decode("ascii").rstrip("=") != digits:
            return False
    return True


@functools.lru_cache(maxsize=256)
def _is_name(name: str) -> bool:
    """True if this can be the name of a header; looked at for every header that differs from call to call."""
    return bool(name) and name[0] != ":" and name == name.lower() and min(name) > " "


def _fault(headers: HeaderList, encoding: str) -> str:
    """The reason why these headers make an answer malformed; what grpcio lets pass as well is let pass."""
    for name, value in headers:
        if name == ":status":
            if len(value) != 3 or not value.isdigit():
                return f"malformed answer: :status {value[:40]!r}"
        elif not _is_name(name):
            return f"malformed answer: header name {name[:40]!r}"
        elif name == "te" and value != "trailers":
            return f"malformed answer: te {value[:40]!r}"
        elif name.endswith("-bin") and not _is_base64(value):
            return f"malformed answer: {name[:40]} is not base64"
    if encoding != "identity" and encoding not in messages.ENCODINGS:
        return f"grpc-encoding {encoding[:40]!r} is not one of those accepted: {messages.ACCEPTED_ENCODINGS}"
    return ""
