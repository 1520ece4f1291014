"""One exchange from the client's side: a call, the bytes that every call sends, and the meaning of its answer."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from grpclab.http2 import messages
from grpclab.http2.control import SendWindows
from grpclab.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, frame_start
from grpclab.http2.headers import HeaderList, RequestHeaders
from grpclab.http2.messages import MessageReader

GRPC: Final = "application/grpc"
NO_HTTP_STATUS: Final = "malformed answer: :status is missing"

NOTHING, BEGUN, DATA_CAME = range(3)
"""How far an answer has come: nothing, its headers, some of its DATA."""


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
        except messages.MessageError:
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
    on_drained: Callable[[Any], None] | None = None
    """Called with the call when what waited for the peer's windows has been sent, and more may follow."""
    _phase: int = NOTHING
    _received: int = 0  # bytes of DATA that the stream's window was not yet given back
    _reader: MessageReader | None = None  # in the middle of a message
    _agreed: str = ""  # the encoding that compressed messages have
    _unsent: bytes | memoryview = b""
    _queued: bool = False  # waiting for the connection's window
    _half_closed: bool = True  # what is unsent is all that is to be sent
    _sent: int = 0  # bytes of DATA, as far as anything ever waited
    _granted: int = 0  # by WINDOW_UPDATE, bytes

    @property
    def blocked(self) -> bool:
        """True while something of its request waits for the peer's windows."""
        return bool(self._unsent)


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
            ("grpc-accept-encoding", messages.ACCEPTED_ENCODINGS),
            ("user-agent", user_agent),
            *self.metadata,
        ]


class PreparedRequest:
    """The bytes of a request, which are the same for every call but for the stream id."""

    __slots__ = ("_headers", "message", "pieces", "size")

    def __init__(self, request: Request, user_agent: str) -> None:
        self.message = messages.prefixed(request.payload)
        self.size = len(self.message)
        self.pieces: tuple[bytes, bytes, bytes] | None = None
        """The whole request, to be joined by the stream id; None where a call has to be sent frame by frame."""
        self._headers = RequestHeaders(request.headers(user_agent))

    def block(self) -> bytes:
        """The header block of the next call that is sent frame by frame."""
        return self._headers.block()

    @property
    def steady_block(self) -> bytes | None:
        """The header block of every further call; None while it is not known to stay the same."""
        return self._headers.steady

    def limit_table(self, size: int) -> None:
        """See :meth:`grpclab.http2.headers.RequestHeaders.limit_table`."""
        self._headers.limit_table(size)

    def cut(self, windows: SendWindows) -> None:
        """Cut the pieces, where every further request will look the same and fits into a frame and a window."""
        block = self._headers.steady
        fits = self.size <= min(windows.max_frame, windows.stream)
        if block is None or not fits or len(block) > windows.max_frame:
            self.pieces = None
            return
        middle = block + frame_start(self.size, DATA, END_STREAM)
        self.pieces = (frame_start(len(block), HEADERS, END_HEADERS), middle, self.message)


class Answer:
    """The meaning of a header block of the server.

    One that is malformed (RFC 9113, 8.1.1) or names an unknown encoding is INTERNAL, whatever else it says.
    """

    __slots__ = ("begins", "begins_encoded", "encoding", "fault", "headers", "http", "informational", "status", "text")

    def __init__(self, headers: HeaderList) -> None:
        fields: dict[str, str] = dict(headers)
        self.headers = headers
        self.http = fields.get(":status", "")
        self.informational = self.http.startswith("1")
        self.encoding = fields.get("grpc-encoding", "identity")
        self.fault = _fault(headers, self.encoding)
        """Why nothing of it can be used; empty where it can."""
        # A missing content type is taken, as grpcio does: a plain HTTP/2 server can then serve as a ceiling.
        grpc = self.http == "200" and fields.get("content-type", GRPC).lower().startswith(GRPC) and not self.fault
        self.begins = grpc and self.encoding == "identity"
        self.begins_encoded = grpc and not self.begins
        self.status = messages.parse_status(fields["grpc-status"]) if "grpc-status" in fields else -1
        self.text = messages.decode_text(fields.get("grpc-message", ""))
        if self.fault:
            self.status, self.text = messages.INTERNAL, self.fault


def outcome(call: Call, trailers: Answer, *, unary: bool) -> tuple[int, str]:
    """The status and text of a call whose stream ends with these trailers; `unary`: its answer is one message."""
    status = trailers.status
    if call._phase == NOTHING and not (trailers.http or trailers.fault):
        return messages.INTERNAL, NO_HTTP_STATUS
    if status < 0:
        foreign = call._phase == NOTHING and trailers.http != "200"
        text = f"no grpc-status; HTTP status {trailers.http}" if trailers.http else "no grpc-status"
        return messages.status_of_http(trailers.http) if foreign else messages.UNKNOWN, text
    if status == messages.OK and unary and call.messages != 1:
        # "Response cardinality violation": doc/statuscodes.md
        return messages.UNIMPLEMENTED, f"{call.messages} messages in a unary answer"
    if status == messages.OK and call._reader is not None:
        return messages.INTERNAL, "the last message is incomplete"
    return status, trailers.text


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
        MessageError.
        """
        whole = body is not None and call._reader is None
        if whole and self._encoded_frame == (call._agreed, body):
            call.messages += 1
            call.encoding = call._agreed
            return 1
        reader = call._reader or MessageReader(keep=False, encoding=call._agreed, most=self._max_message_bytes)
        number = reader.feed(content)
        call.messages += number
        if reader.compressed:
            call.encoding, self.encoded = call._agreed, True
        if whole and body is not None and messages.is_one_message(body):
            if call.encoding:
                self._encoded_frame = (call.encoding, body)
            else:
                self.usual_frame = body
        call._reader = None if reader.complete else reader
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
