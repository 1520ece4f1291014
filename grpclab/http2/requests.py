"""The head of a request: what it asks for, and what is wrong with it (RFC 9113, 8.2 and 8.3; gRPC over HTTP/2)."""

from __future__ import annotations

from typing import Final

from grpclab.http2 import messages
from grpclab.http2.headers import HeaderList, memory_of

_PSEUDO: Final = frozenset((":method", ":scheme", ":path", ":authority"))
_OF_ONE_HOP: Final = frozenset(("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"))


class RequestHead:
    """The headers of a call, read once for all calls whose headers are the same bytes."""

    __slots__ = (
        "content_length",
        "headers",
        "http_status",
        "malformed",
        "malformed_trailers",
        "memory",
        "path",
        "status",
        "text",
        "timeout_s",
    )

    def __init__(self, headers: HeaderList) -> None:
        fields = dict(headers)
        self.headers = headers
        self.memory = memory_of(headers)
        """About how many bytes it takes."""
        self.path = fields.get(":path", "")
        self.timeout_s: float | None = None
        """What `grpc-timeout` says, in seconds."""
        self.malformed = _malformed(headers)
        """Why the stream is to be reset; empty if the request is sound HTTP/2."""
        self.malformed_trailers = _malformed_fields(headers, pseudo=False)
        """The same where these headers come behind the request's DATA."""
        self.content_length = _content_length(fields.get("content-length"))
        """How many bytes of DATA were announced; None where nothing was."""
        self.http_status = 0
        """The HTTP status with which it is refused, as it is not gRPC; 0 if it is."""
        self.status, self.text = messages.OK, ""
        """The gRPC status with which it is refused; OK if it is not."""
        if fields.get(":method") != "POST":
            self.http_status = 405
        elif not _is_grpc(fields.get("content-type", "")):
            self.http_status = 415
        elif fields.get("grpc-encoding", "identity") != "identity":
            self.status = messages.UNIMPLEMENTED
            self.text = f"grpc-encoding {fields['grpc-encoding']} is not known here"
        elif "grpc-timeout" in fields:
            self.timeout_s = messages.decode_timeout(fields["grpc-timeout"])
            if self.timeout_s is None:
                self.status, self.text = messages.INTERNAL, f"malformed grpc-timeout {fields['grpc-timeout'][:40]!r}"


def _is_grpc(content_type: str) -> bool:
    return content_type == "application/grpc" or content_type.startswith(("application/grpc+", "application/grpc;"))


def _content_length(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 20 else None


def _malformed_fields(headers: HeaderList, *, pseudo: bool) -> str:
    names: set[str] = set()
    regular = False
    for name, value in headers:
        if name.startswith(":"):
            if not pseudo or regular or name in names or name not in _PSEUDO:
                return f"pseudo-header {name} is unknown, repeated, or after a regular header"
            names.add(name)
            continue
        regular = True
        if name != name.lower() or not name:
            return f"header name {name!r}"
        if name in _OF_ONE_HOP or (name == "te" and value != "trailers"):
            return f"header {name} is not allowed in HTTP/2"
    return ""


def _malformed(headers: HeaderList) -> str:
    if fault := _malformed_fields(headers, pseudo=True):
        return fault
    fields = dict(headers)
    return next((f"{name} is missing" for name in (":method", ":scheme", ":path") if not fields.get(name)), "")


NOTHING: Final = RequestHead([])
"""The head of a request that has not come."""
