"""One exchange from the client's side: what every call sends, a call, and what the server's header blocks mean."""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from typing import Final

from grpclab.http2 import messages
from grpclab.http2.headers import HeaderList
from grpclab.http2.messages import MessageReader

GRPC: Final = "application/grpc"

NOTHING, BEGUN, DATA_CAME = range(3)
"""How far an answer has come: nothing, its headers, some of its DATA."""


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
    unprocessed: bool = False
    """The peer surely did nothing with it: it may be sent again."""
    _phase: int = NOTHING
    _received: int = 0  # bytes of DATA that the stream's window was not yet given back
    _reader: MessageReader | None = None  # in the middle of a message
    _agreed: str = ""  # the encoding that compressed messages have
    _unsent: bytes | memoryview = b""
    _queued: bool = False  # waiting for the connection's window
    _half_closed: bool = True  # what is unsent is all that is to be sent
    _sent: int = 0  # bytes of DATA, as far as anything ever waited
    _granted: int = 0  # by WINDOW_UPDATE, bytes


@dataclass(frozen=True, kw_only=True)
class Request:
    """What every call of a connection sends."""

    path: str
    authority: str
    payload: bytes
    scheme: str = "http"
    server_streaming: bool = False
    """The answer has any number of messages, not one."""
    client_streaming: bool = False
    """The payload is only the first message: others follow (``ClientConnection.send``)."""
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


class Answer:
    """The meaning of a header block of the server.

    One that is malformed (RFC 9113, 8.1.1) or names an unknown encoding is INTERNAL, whatever else it says.
    """

    __slots__ = ("begins", "begins_encoded", "encoding", "fault", "headers", "http", "informational", "status", "text")

    def __init__(self, headers: HeaderList) -> None:
        found: dict[str, str] = dict(headers)
        self.headers = headers
        self.http = found.get(":status", "")
        self.informational = self.http.startswith("1")
        self.encoding = found.get("grpc-encoding", "identity")
        self.fault = _fault(headers, self.encoding)
        """Why nothing of it can be used; empty where it can."""
        # A missing content type is taken, as grpcio does: a plain HTTP/2 server can then serve as a ceiling.
        grpc = self.http == "200" and found.get("content-type", GRPC).lower().startswith(GRPC) and not self.fault
        self.begins = grpc and self.encoding == "identity"
        self.begins_encoded = grpc and not self.begins
        self.status = messages.parse_status(found["grpc-status"]) if "grpc-status" in found else -1
        self.text = messages.decode_text(found.get("grpc-message", ""))
        if self.fault:
            self.status, self.text = messages.INTERNAL, self.fault


def _is_base64(value: str) -> bool:
    """Whether this is the value of a header in ``-bin``: padded or not, several joined by commas."""
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
    """Whether this can be the name of a header; looked at for every header that differs from call to call."""
    return bool(name) and name[0] != ":" and name == name.lower() and min(name) > " "


def _fault(headers: HeaderList, encoding: str) -> str:
    """Why these headers make an answer malformed; what grpcio lets pass as well is let pass."""
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
