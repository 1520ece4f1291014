"""The calls of a connection, read from the bytes that pass in both directions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2 import frames
from grpclab.http2.call_reader import CallReader, PassedCall
from grpclab.http2.frames import END_STREAM, PADDED
from grpclab.http2.messages import prefixed, status_of_reset
from tests.support.http2_peer import BEGIN, answer, block
from tests.support.http2_server_help import HEADERS

OURS = [("te", "trailers"), ("content-type", "application/grpc")]


@dataclass(frozen=True)
class Sent:
    """A call as it is sent, and its answer."""

    path: str
    metadata: list[tuple[str, str]]
    messages: list[bytes]
    encoding: str
    answers: list[bytes]
    status: int

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of the request, the pseudo-headers apart."""
        encoded = [("grpc-encoding", self.encoding)] if self.encoding else []
        return [*OURS, *encoded, *self.metadata]


sent_calls = st.lists(
    st.builds(
        Sent,
        path=st.from_regex(r"/[a-z]{1,4}\.[A-Z][a-z]{0,4}/[A-Z][a-z]{0,4}", fullmatch=True),
        metadata=st.lists(
            st.tuples(
                st.from_regex("x-[a-z0-9-]{0,9}", fullmatch=True), st.text("abcXYZ 019/%.", min_size=1, max_size=20)
            ),
            max_size=3,
        ),
        messages=st.lists(st.binary(max_size=90), max_size=3),
        encoding=st.sampled_from(["", "gzip"]),
        answers=st.lists(st.binary(max_size=90), max_size=3),
        status=st.integers(0, 16),
    ),
    min_size=1,
    max_size=5,
)


def data(stream_id: int, body: bytes, random: Random, *, end: bool) -> Iterator[bytes]:
    """DATA frames cut anywhere, some of them padded; the last one ends the stream."""
    cuts = sorted(random.choices(range(len(body) + 1), k=random.randrange(4)))
    pieces = [body[first:last] for first, last in itertools.pairwise([0, *cuts, len(body)])]
    for number, piece in enumerate(pieces, start=1):
        flags = END_STREAM if end and number == len(pieces) else 0
        pad = random.randrange(5)
        padded = bytes([pad]) + piece + bytes(pad)
        yield frames.frame(frames.DATA, flags | PADDED * bool(pad), stream_id, padded if pad else piece)


def interleaved(streams: Sequence[Iterator[bytes]], random: Random) -> bytes:
    """The frames of several streams in a random order, which keeps that of each."""
    left, done = list(streams), [frames.settings({})]
    while left:
        stream = random.choice(left)
        if piece := next(stream, b""):
            done.append(piece)
        else:
            left.remove(stream)
    return b"".join(done)


def wire(calls: Sequence[Sent], random: Random) -> tuple[bytes, bytes]:
    """What the client sends, and what the server answers."""
    up, down = Encoder(), Encoder()

    def request(stream_id: int, call: Sent) -> Iterator[bytes]:
        pseudo = [(":method", "POST"), (":scheme", "http"), (":path", call.path), (":authority", "here:1")]
        content = bytes(up.encode([*pseudo, *call.headers]))
        yield frames.headers(stream_id, content, end=False, max_frame=random.choice([16, 16_384]))
        body = b"".join(prefixed(message, call.encoding) for message in call.messages)
        yield from data(stream_id, body, random, end=True)

    def reply(stream_id: int, call: Sent) -> Iterator[bytes]:
        yield frames.headers(stream_id, bytes(down.encode(list(BEGIN))), end=False)
        yield from data(stream_id, b"".join(map(prefixed, call.answers)), random, end=False)
        yield frames.headers(stream_id, bytes(down.encode([("grpc-status", str(call.status))])), end=True)

    numbered = list(zip(itertools.count(1, 2), calls))
    return (
        frames.PREFACE + interleaved([request(*one) for one in numbered], random),
        interleaved([reply(*one) for one in numbered], random),
    )


class Heard:
    """A reader, and the calls that it has noted."""

    def __init__(self) -> None:
        self.calls: list[PassedCall] = []
        self.reader = CallReader(self.calls.append, map(float, itertools.count()).__next__)

    def hear(self, up: bytes, down: bytes, random: Random) -> None:
        """Feed both directions, the requests first, in pieces of random lengths."""
        for direction, content in ((self.reader.up, up), (self.reader.down, down)):
            left = content
            while left:
                length = random.randint(1, len(left))
                direction.feed(left[:length])
                left = left[length:]


@given(sent_calls, st.randoms(use_true_random=False))
def test_every_call_is_noted_as_it_was_sent_however_its_bytes_come(calls: list[Sent], random: Random) -> None:
    heard = Heard()
    heard.hear(*wire(calls, random), random)
    assert (heard.reader.fault, heard.reader.open) == ("", 0)
    noted = [(call.path, call.metadata, call.messages, call.answers, call.status) for call in heard.calls]
    expected = [(call.path, call.headers, call.messages, len(call.answers), call.status) for call in calls]
    assert sorted(noted, key=repr) == sorted(expected, key=repr)
    assert all(call.began_at < call.ended_at and not call.fault for call in heard.calls)


@given(sent_calls, st.randoms(use_true_random=False), st.data())
def test_a_connection_that_breaks_off_leaves_the_beginning_of_each_call(
    calls: list[Sent], random: Random, drawn: st.DataObject
) -> None:
    up, down = wire(calls, random)
    up = up[: drawn.draw(st.integers(0, len(up)), label="bytes of the client")]
    down = down[: drawn.draw(st.integers(0, len(down)), label="bytes of the server")]
    heard = Heard()
    heard.hear(up, down, random)
    ended = len(heard.calls)
    heard.reader.up.end()
    assert (heard.reader.over, heard.reader.open) == (True, 0)
    left = list(calls)
    for number, noted in enumerate(heard.calls):
        assert number < ended or noted.status is None
        began = next(
            call
            for call in left
            if (call.path, call.headers) == (noted.path, noted.metadata)
            and call.messages[: len(noted.messages)] == noted.messages
            and noted.answers <= len(call.answers)
            and noted.status in (None, call.status)
        )
        left.remove(began)


@given(st.binary(max_size=200), st.binary(max_size=200), st.booleans())
def test_bytes_that_are_no_calls_are_no_error(up: bytes, down: bytes, begun: bool) -> None:
    heard = Heard()
    heard.hear(frames.PREFACE + up if begun else up, down, Random(0))
    heard.reader.end()
    assert heard.reader.open == 0


def test_a_message_that_cannot_be_read_is_told_and_the_call_goes_on() -> None:
    heard, body = Heard(), prefixed(b"x")
    request = frames.headers(1, block(HEADERS), end=False) + frames.data(1, b"\x01" + body[1:], end=True)
    heard.hear(frames.PREFACE + frames.settings({}) + request, frames.settings({}) + answer(1), Random(0))
    (noted,) = heard.calls
    assert "encoding" in noted.fault
    assert (noted.messages, noted.answers, noted.status) == ([], 1, 0)


@pytest.mark.parametrize("code", [frames.ErrorCode.CANCEL, frames.ErrorCode.REFUSED_STREAM])
def test_a_reset_ends_a_call_with_its_status(code: int) -> None:
    heard = Heard()
    up, _ = wire([Sent("/a.B/C", [], [b"x"], "", [], 0)], Random(0))
    heard.hear(up, frames.settings({}) + frames.rst_stream(1, code), Random(0))
    assert [call.status for call in heard.calls] == [status_of_reset(code)]
