"""The messages of engine `grpcio`: our greeter's as objects, as in a Python client, any other's as bytes; the trailing
metadata of their calls."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import grpc.aio
from google.protobuf.message import DecodeError, Message
from hpack import Decoder

from grpclab.generated import greet_pb2
from grpclab.http2.headers import RESIDENCE_HEADER
from grpclab.http2.messages import PREFIX_BYTES
from grpclab.load.calls.method import GREETER, CallSpec
from grpclab.load.calls.turns import CallTurns

Metadata = tuple[tuple[str, str | bytes], ...]
Sent = tuple[int, Any, Metadata | None]
"""The number of a call in its mix, its request, and its metadata."""

MOST_KEPT = 1000
"""So many messages of a stream are kept at most."""


def _is_greeting(call: CallSpec) -> bool:
    return call.path in (f"{GREETER}SayHello", f"{GREETER}SayHelloStream")


def requests_of(call: CallSpec) -> Iterator[Any]:
    """The requests without end: our greeter's as messages, any other's as bytes; of a stream its messages together."""
    if call.client_streaming:
        return call.streams()
    if not _is_greeting(call):
        return call.messages(prefix=False)
    if call.payloads is None:
        return itertools.repeat(greet_pb2.HelloRequest.FromString(call.payload))
    return map(greet_pb2.HelloRequest.FromString, call.messages(prefix=False))


def _parsed(answer: bytes | None) -> Any:
    """The greeter's answer; None where there was none."""
    try:
        return answer if answer is None else greet_pb2.HelloResponse.FromString(answer)
    except DecodeError:
        return answer


def sent_by(call: CallSpec, turns: CallTurns) -> Iterator[Sent]:
    """What one call after the other sends, without end; of a mix as bytes, of a stream all messages."""
    decoder = Decoder()  # blocks of literals leave its table alone
    fixed = [one.grpcio_metadata for one in turns.calls]
    if turns.mixed:
        return (
            (
                number,
                content if turns.calls[number].client_streaming else content[PREFIX_BYTES:],
                (*fixed[number], *decoder.decode(block)) if block else fixed[number] or None,
            )
            for number, content, block in turns
        )
    metadata: Iterator[Metadata | None] = itertools.repeat(fixed[0] or None)
    if call.headers is not None:
        metadata = ((*fixed[0], *decoder.decode(block)) for block in call.headers.messages(prefix=False))
    return zip(itertools.repeat(0), requests_of(call), metadata, strict=False)


def method_of(channel: grpc.aio.Channel, call: CallSpec, *, encoded: bool = False) -> Any:
    """The method of a channel that takes these requests; `encoded`: our greeter's are bytes, too.

    An answer that cannot be parsed counts as one in either case, as engine `wire` has it.
    """
    sides = ("stream" if streams else "unary" for streams in (call.client_streaming, call.server_streaming))
    shape = getattr(channel, "_".join(sides))
    if encoded or not _is_greeting(call):
        return shape(call.path)
    serialize = greet_pb2.HelloRequest.SerializeToString
    return shape(call.path, request_serializer=serialize, response_deserializer=_parsed)


def messages_of(kept: Sequence[Any] | None) -> list[bytes] | None:
    """The messages of an answer as bytes; None where there are too many."""
    if kept is None or len(kept) > MOST_KEPT:
        return None
    return [one.SerializeToString() if isinstance(one, Message) else one for one in kept]


def error_details_of(trailing: Any) -> bytes:
    """The bytes of `grpc-status-details-bin`; none where it is not there."""
    value = (trailing or {}).get("grpc-status-details-bin", b"")
    return value if isinstance(value, bytes) else b""


def residence_of(trailing: Any) -> float:
    """The seconds inside the server from its trailing metadata; NaN without them."""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return int(trailing[RESIDENCE_HEADER]) * 1e-9
    return math.nan
