"""What a client's header block asks for, and what is wrong with it (RFC 9113, 8.2 and 8.3; gRPC over HTTP/2)."""

from __future__ import annotations

from typing import Final

from grpclab.http2 import messages
from grpclab.http2.headers import HeaderList

_PSEUDO: Final = frozenset((":method", ":scheme", ":path", ":authority"))
_OF_ONE_HOP: Final = frozenset(("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"))


class RequestHead:
    """The headers of a call, read once for all calls whose headers are the same bytes."""

    __slots__ = ("headers", "http_status", "malformed", "path", "status", "text", "timeout_s")

    def __init__(self, headers: HeaderList) -> None:
        found = dict(headers)
        self.headers = headers
        self.path = found.get(":path", "")
        self.timeout_s: float | None = None
        """What `grpc-timeout` says, in seconds."""
        self.malformed = _malformed(headers)
        """Why the stream is to be reset; empty if the request is sound HTTP/2."""
        self.http_status = 0
        """The HTTP status with which it is refused, as it is not gRPC; 0 if it is."""
        self.status, self.text = messages.OK, ""
        """The gRPC status with which it is refused; OK if it is not."""
        if found.get(":method") != "POST":
            self.http_status = 405
        elif not _is_grpc(found.get("content-type", "")):
            self.http_status = 415
        elif found.get("grpc-encoding", "identity") != "identity":
            self.status, self.text = messages.UNIMPLEMENTED, f"grpc-encoding {found['grpc-encoding']} is not known here"
        elif "grpc-timeout" in found:
            self.timeout_s = messages.decode_timeout(found["grpc-timeout"])
            if self.timeout_s is None:
                self.status, self.text = messages.INTERNAL, f"malformed grpc-timeout {found['grpc-timeout'][:40]!r}"


def _is_grpc(content_type: str) -> bool:
    return content_type == "application/grpc" or content_type.startswith(("application/grpc+", "application/grpc;"))


def _malformed(headers: HeaderList) -> str:
    seen: set[str] = set()
    regular = False
    for name, value in headers:
        if name.startswith(":"):
            if regular or name in seen or name not in _PSEUDO:
                return f"pseudo-header {name} is unknown, twice there, or behind another header"
            seen.add(name)
            continue
        regular = True
        if name != name.lower() or not name:
            return f"header name {name!r}"
        if name in _OF_ONE_HOP or (name == "te" and value != "trailers"):
            return f"header {name} has no place in HTTP/2"
    found = dict(headers)
    return next((f"{name} is missing" for name in (":method", ":scheme", ":path") if not found.get(name)), "")


NOTHING: Final = RequestHead([])
"""The head of a request that has not come."""
