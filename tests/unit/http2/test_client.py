"""The client's core: bytes in, calls out. Every call ends with the right status, whatever the server does."""

from __future__ import annotations

import gzip
import zlib
from functools import partial

import pytest
from hpack import Decoder

from grpclab.http2 import frames
from grpclab.http2.exchange import Answer, Call, Request
from grpclab.http2.frames import CONTINUATION, DATA, HEADERS, MAX_LIST_BYTES, WINDOW_UPDATE, ErrorCode, Setting
from grpclab.http2.headers import literal
from grpclab.http2.messages import prefixed
from grpclab.http2.prepared import RequestSequence
from grpclab.http2.states import AnswerInput
from tests.support.http2_client_help import STREAMING, after, reset_codes, status
from tests.support.http2_peer import (
    BEGIN,
    HELLO,
    OK,
    REQUEST,
    Headers,
    answer,
    begin,
    block,
    cut,
    fresh,
    ready,
    said,
    start,
    trailers,
)


def read(decoder: Decoder, block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in decoder.decode(block)]


# ---- what is sent --------------------------------------------------------------------------------------------


def test_it_begins_with_the_preface_and_its_settings() -> None:
    sent = fresh(stream_window=1000, connection_window=100_000).take()
    assert sent.startswith(frames.PREFACE)
    settings, window = cut(sent)
    assert dict(frames.parse_settings(settings.body)) == {
        Setting.INITIAL_WINDOW_SIZE: 1000,
        Setting.HEADER_TABLE_SIZE: 0,
        Setting.ENABLE_PUSH: 0,
        Setting.MAX_HEADER_LIST_SIZE: MAX_LIST_BYTES,
    }
    assert (window.kind, int.from_bytes(window.body, "big")) == (WINDOW_UPDATE, 100_000 - 65_535)


def test_a_request() -> None:
    request = Request(path="/p/m", authority="here:1", payload=b"hi", timeout_s=1.5, metadata=(("a", "b"), ("a", "c")))
    client = ready(request, user_agent="me")
    decoder = Decoder()
    for number in range(5):
        client.start(Call())
        headers, data = said(client)
        assert headers.stream_id == data.stream_id == 1 + 2 * number
        assert read(decoder, headers.body) == [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/p/m"),
            (":authority", "here:1"),
            ("te", "trailers"),
            ("grpc-timeout", "1500000u"),
            ("content-type", "application/grpc"),
            ("grpc-accept-encoding", "identity, deflate, gzip"),
            ("user-agent", "me"),
            ("a", "b"),
            ("a", "c"),
        ]
        assert (data.body, data.flags) == (prefixed(b"hi"), frames.END_STREAM)


@pytest.mark.parametrize("size", [0, 60, 4096])
def test_requests_to_a_peer_with_a_small_header_table(size: int) -> None:
    client = ready(settings={Setting.HEADER_TABLE_SIZE: size})
    decoder = Decoder()
    decoder.max_allowed_table_size = size
    for _ in range(4):
        client.start(Call())
        assert dict(read(decoder, said(client, HEADERS)[0].body))[":path"] == REQUEST.path
    client.receive(frames.settings({Setting.HEADER_TABLE_SIZE: 0}) + frames.settings({Setting.HEADER_TABLE_SIZE: 4096}))
    decoder.max_allowed_table_size = 0
    for _ in range(4):
        client.start(Call())
        assert dict(read(decoder, said(client, HEADERS)[0].body))[":path"] == REQUEST.path


def test_headers_that_do_not_fit_into_a_frame_are_continued() -> None:
    client = ready(Request(path="/p/m", authority="here:1", payload=b"", metadata=(("a", "~" * 40_000),)))
    decoder = Decoder()
    for _ in range(3):
        client.start(Call())
        first, *others, data = said(client)
        assert [frame.kind for frame in others] == [CONTINUATION] * len(others) != []
        headers = dict(read(decoder, b"".join(frame.body for frame in (first, *others))))
        assert headers["a"] == "~" * 40_000
        assert data.kind == DATA


# ---- how calls end -------------------------------------------------------------------------------------------


def test_a_call_that_goes_well() -> None:
    client, call = after(answer(1, end=[("grpc-status", "0"), ("x", "y")]))
    assert (status(call), call.messages, call.trailers) == ("OK", 1, [("grpc-status", "0"), ("x", "y")])
    assert not client.calls


@pytest.mark.parametrize(
    ("end", "expected", "text"),
    [
        ([("grpc-status", "5"), ("grpc-message", "no such%20thing%E2%82%AC")], "NOT_FOUND", "no such thing€"),
        ([("grpc-status", "99")], "UNKNOWN", ""),
        ([("grpc-status", "9" * 5000)], "UNKNOWN", ""),
        ([("x", "y")], "UNKNOWN", "no grpc-status"),
    ],
)
def test_the_status_is_what_the_trailers_say(end: Headers, expected: str, text: str) -> None:
    for data in (answer(1, end=end), begin(1) + trailers(1, end)):
        _, call = after(data)
        assert (status(call), call.text) == (expected, text)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([*BEGIN, ("grpc-status", "12")], "UNIMPLEMENTED"),
        ([(":status", "200"), ("grpc-status", "7")], "PERMISSION_DENIED"),
        ([("grpc-status", "7")], "INTERNAL"),  # :status is missing
        ([*BEGIN, ("grpc-status", "0")], "UNIMPLEMENTED"),  # a unary call without its message
        (BEGIN, "UNKNOWN"),
        ([(":status", "404"), ("content-type", "text/html")], "UNIMPLEMENTED"),
        ([(":status", "503")], "UNAVAILABLE"),
        ([(":status", "503"), ("grpc-status", "3")], "INVALID_ARGUMENT"),
    ],
)
def test_trailers_only(headers: Headers, expected: str) -> None:
    client, call = after(trailers(1, headers))
    assert status(call) == expected
    assert reset_codes(client) == {}


@pytest.mark.parametrize(
    ("headers", "expected", "code"),
    [
        ([(":status", "502"), ("content-type", "text/html")], "UNAVAILABLE", ErrorCode.CANCEL),
        ([(":status", "200"), ("content-type", "text/html")], "UNKNOWN", ErrorCode.CANCEL),
        ([("content-type", "application/grpc")], "INTERNAL", ErrorCode.PROTOCOL_ERROR),
        ([*BEGIN, ("X-Upper", "a")], "INTERNAL", ErrorCode.PROTOCOL_ERROR),
        ([*BEGIN, (":path", "/")], "INTERNAL", ErrorCode.PROTOCOL_ERROR),
        ([*BEGIN, ("a-bin", "!")], "INTERNAL", ErrorCode.PROTOCOL_ERROR),
        ([*BEGIN, ("grpc-encoding", "zstd")], "INTERNAL", ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_an_answer_that_is_not_grpc(headers: Headers, expected: str, code: ErrorCode) -> None:
    client, call = after(begin(1, headers) + frames.data(1, b"<html>", end=True))
    assert status(call) == expected
    assert reset_codes(client) == {1: code}
    assert client.closed is None


def test_informational_headers_come_before_the_real_ones() -> None:
    _, call = after(begin(1, [(":status", "103")]) * 3 + answer(1))
    assert status(call) == "OK"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "UNIMPLEMENTED"),
        (HELLO * 2, "UNIMPLEMENTED"),
        (HELLO[:-1], "UNIMPLEMENTED"),
        (HELLO + b"\0", "INTERNAL"),
        (b"\x01" + HELLO[1:], "INTERNAL"),
        (b"\0\xff\xff\xff\xff", "UNIMPLEMENTED"),
        (prefixed(b""), "OK"),
    ],
)
def test_the_message_of_a_unary_answer(body: bytes, expected: str) -> None:
    """Once for each way through the code: the first answers, and those that follow the like."""
    client = ready()
    for number in range(40):
        (call,) = start(client)
        client.receive(answer(1 + 2 * number, body))
        assert status(call) == expected
    assert client.closed is None


def test_a_message_above_the_limit_ends_its_call_before_it_has_come() -> None:
    for size, expected in ((100, "OK"), (101, "RESOURCE_EXHAUSTED")):
        client = ready(max_message_bytes=100)
        (call,) = start(client)
        client.receive(begin(1) + frames.data(1, prefixed(bytes(size))[:50], end=False))
        assert (call.status < 0) == (expected == "OK")
        if call.status < 0:
            client.receive(frames.data(1, prefixed(bytes(size))[50:], end=False) + trailers(1))
        assert status(call) == expected
        assert client.closed is None


def test_a_compressed_message_is_taken_where_its_encoding_was_accepted() -> None:
    client = ready()
    for number in range(40):
        (call,) = start(client)
        stream, compressed = 1 + 2 * number, number % 3 > 0
        body = flagged(gzip.compress(b"hello" * (number // 9))) if compressed else HELLO
        client.receive(begin(stream, [*BEGIN, ("grpc-encoding", "gzip")]))
        client.receive(frames.data(stream, body, end=False) + trailers(stream))
        assert (status(call), call.messages, call.encoding) == ("OK", 1, "gzip" if compressed else "")


def flagged(message: bytes) -> bytes:
    """A message whose prefix says that it is compressed."""
    return b"\1" + prefixed(message)[1:]


GZIP = gzip.compress(b"hello" * 1000, mtime=0)


@pytest.mark.parametrize(
    ("message", "encoding", "expected"),
    [
        (GZIP, "gzip", "OK"),
        (zlib.compress(b"hello"), "deflate", "OK"),
        (b"", "gzip", "OK"),
        (GZIP, "deflate", "INTERNAL"),
        (GZIP[:-1], "gzip", "INTERNAL"),
        (GZIP + b"x", "gzip", "INTERNAL"),
        (b"hello", "gzip", "INTERNAL"),
        (GZIP, "identity", "INTERNAL"),
    ],
)
def test_a_compressed_message_is_what_it_claims_to_be_however_it_is_cut(
    message: bytes, encoding: str, expected: str
) -> None:
    for size in (1, 7, 10_000):
        client = ready()
        (call,) = start(client)
        body = flagged(message)
        pieces = [frames.data(1, body[at : at + size], end=False) for at in range(0, len(body), size)]
        client.receive(begin(1, [*BEGIN, ("grpc-encoding", encoding)]) + b"".join(pieces) + trailers(1))
        assert status(call) == expected


@pytest.mark.parametrize("size", [MAX_LIST_BYTES, 6 * MAX_LIST_BYTES])
def test_more_headers_than_are_taken_end_their_call_alone(size: int) -> None:
    client = ready()
    large = [*BEGIN, ("x", "v" * size)]
    for stream, data in ((1, begin(1, large)), (3, begin(3) + trailers(3, large)), (5, trailers(5, large))):
        (call,) = start(client)
        client.receive(data)
        assert (call.stream_id, status(call)) == (stream, "RESOURCE_EXHAUSTED")
    (call,) = start(client)
    client.receive(answer(7))
    assert status(call) == "OK"


def test_a_failure_stays_a_failure_whatever_came_before_it() -> None:
    _, call = after(answer(1, HELLO[:-1], [("grpc-status", "8")]))
    assert status(call) == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (begin(1) + frames.data(1, HELLO, end=True), "UNKNOWN"),  # no trailers
        (frames.data(1, HELLO, end=False), "INTERNAL"),  # no headers
        (begin(1) * 2, "INTERNAL"),
        (begin(1) + frames.data(1, HELLO, end=False) + begin(1), "INTERNAL"),
    ],
)
def test_frames_in_a_wrong_order_end_the_call_and_not_the_connection(data: bytes, expected: str) -> None:
    client, call = after(data)
    assert status(call) == expected
    (following,) = start(client)
    client.receive(answer(3))
    assert status(following) == "OK"


@pytest.mark.parametrize(
    ("code", "expected", "again"),
    [
        (ErrorCode.REFUSED_STREAM, "UNAVAILABLE", True),
        (ErrorCode.CANCEL, "CANCELLED", False),
        (ErrorCode.ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED", False),
        (ErrorCode.NO_ERROR, "INTERNAL", False),
        (1234, "INTERNAL", False),
    ],
)
def test_a_reset_stream(code: int, expected: str, again: bool) -> None:
    client, call = after(begin(1) + frames.rst_stream(1, code))
    assert (status(call), call.unprocessed) == (expected, again)
    client.receive(frames.data(1, HELLO, end=False) + trailers(1) + frames.rst_stream(1, code))
    assert client.closed is None


def test_a_reset_after_the_trailers_is_normal() -> None:
    client, call = after(answer(1) + frames.rst_stream(1, ErrorCode.NO_ERROR))
    assert status(call) == "OK"
    assert client.closed is None


def test_a_call_that_was_given_up() -> None:
    client = ready()
    call, other = start(client, 2)
    client.cancel(call.stream_id, status=4, text="too late")
    assert (status(call), call.text, reset_codes(client)) == ("DEADLINE_EXCEEDED", "too late", {1: ErrorCode.CANCEL})
    client.cancel(call.stream_id, status=4, text="twice")
    assert said(client) == []
    assert client.receive(answer(1) + answer(3)) == [other]
    assert call.messages == 0


# ---- frames, however they are cut ----------------------------------------------------------------------------


def test_padding_and_priority() -> None:
    padded = frames.frame(HEADERS, 0x8 | 0x20 | 0x4, 1, b"\x03" + b"\0\0\0\0\x10" + block(BEGIN) + b"\0\0\0")
    data = frames.frame(DATA, 0x8, 1, b"\xff" + HELLO + b"\0" * 255)
    only_padding = frames.frame(DATA, 0x8, 1, b"\x00")
    client, call = after(padded + only_padding + data + frames.frame(frames.PRIORITY, 0, 1, bytes(5)) + trailers(1))
    assert status(call) == "OK"
    assert client.received.consumed == len(data) + len(only_padding) - 18  # padding counts


@pytest.mark.parametrize("size", [0, 1, 7])
def test_header_blocks_in_pieces(size: int) -> None:
    def pieces(headers: Headers, flags: int) -> bytes:
        whole = block(headers)
        out = frames.frame(HEADERS, flags, 1, whole[:size])
        for at in range(size, len(whole), size or 5):
            out += frames.frame(CONTINUATION, 0, 1, whole[at : at + (size or 5)])
        return out + frames.frame(CONTINUATION, frames.END_HEADERS, 1)

    _, call = after(pieces(BEGIN, 0) + frames.data(1, HELLO, end=False) + pieces(OK, frames.END_STREAM))
    assert status(call) == "OK"


@pytest.mark.parametrize("at_once", [1, 2, 5, 16, 1000])
def test_messages_in_pieces_and_pieces_with_several(at_once: int) -> None:
    sent = b"".join(prefixed(b"x" * size) for size in (0, 1, 40, 0, 7))
    body = b"".join(frames.data(1, sent[at : at + at_once], end=False) for at in range(0, len(sent), at_once))
    client = ready(STREAMING, watch_messages=True)
    (call,) = start(client)
    client.receive(begin(1) + body)
    assert client.arrived == [call] * 5
    client.receive(trailers(1))
    assert (status(call), call.messages) == ("OK", 5)


def test_messages_are_told_as_they_come() -> None:
    client = ready(STREAMING, watch_messages=True)
    one, two = start(client, 2)
    client.receive(begin(1) + begin(3) + frames.data(1, HELLO, end=False) + frames.data(3, HELLO * 2, end=False))
    client.receive(frames.data(1, HELLO, end=False))
    assert client.arrived == [one, two, two, one]
    assert client.receive(trailers(3) + trailers(1)) == [two, one]
    assert (one.messages, two.messages) == (2, 2)


def test_an_empty_stream_is_a_good_one() -> None:
    _, call = after(begin(1) + trailers(1), STREAMING)
    assert (status(call), call.messages) == ("OK", 0)


# ---- requests of several messages ----------------------------------------------------------------------------


def test_a_stream_takes_messages_until_it_is_ended() -> None:
    client = ready()
    call, again = Call(), Call()
    assert (client.start_stream(call), client.start_stream(again)) == (1, 3)
    assert [(f.stream_id, f.kind, f.flags) for f in said(client)] == [(1, HEADERS, 4), (3, HEADERS, 4)]
    client.send_message(1, b"one")
    client.send_message(3, b"one")
    assert [(f.body, f.flags) for f in said(client)] == [(prefixed(b"one"), 0)] * 2
    client.send_message(1, b"x" * 100_000)
    client.send_message(1, b"last", end=True)
    client.receive(frames.window_update(0, 10**6) + frames.window_update(1, 10**6))
    sent = said(client, DATA)
    assert b"".join(frame.body for frame in sent) == prefixed(b"x" * 100_000) + prefixed(b"last")
    assert [frame.flags for frame in sent] == [0] * (len(sent) - 1) + [frames.END_STREAM]
    client.send_message(1, b"late", end=True)
    client.end_stream(1)
    assert said(client) == []
    client.receive(answer(1) + answer(3))
    assert (status(call), status(again)) == ("OK", "OK")
    assert reset_codes(client) == {3: ErrorCode.CANCEL}  # nobody listens to the rest of it
    client.send_message(3, b"late", end=True)
    client.end_stream(3)
    client.send_message(99, b"never opened")
    assert said(client) == []


def test_a_stream_ends_with_the_last_of_what_waits_or_with_an_empty_frame() -> None:
    client = ready(settings={Setting.INITIAL_WINDOW_SIZE: 3})
    waits, empty = client.start_stream(Call()), client.start_stream(Call())
    client.send_message(waits, b"12345")
    client.end_stream(waits)
    client.end_stream(empty)
    assert [(f.stream_id, len(f.body), f.flags) for f in said(client, DATA)] == [(waits, 3, 0), (empty, 0, 1)]
    client.receive(frames.window_update(waits, 100))
    assert [(f.stream_id, len(f.body), f.flags) for f in said(client, DATA)] == [(waits, 7, 1)]


def test_a_stream_is_opened_only_where_there_is_room_and_cancelled_with_its_code() -> None:
    client = ready(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    call = Call()
    stream_id = client.start_stream(call)
    assert client.start_stream(Call()) == 0
    client.take()
    client.cancel(stream_id, ErrorCode.NO_ERROR)
    assert (status(call), reset_codes(client)) == ("CANCELLED", {stream_id: ErrorCode.NO_ERROR})
    client.send_message(stream_id, b"late")
    assert said(client) == []
    assert client.start_stream(Call()) == 3


def test_a_stream_goes_on_where_its_window_has_opened() -> None:
    client = ready(settings={Setting.INITIAL_WINDOW_SIZE: 3})
    call, drained = Call(), list[Call]()
    call.on_drained = drained.append
    stream_id = client.start_stream(call)
    client.send_message(stream_id, b"12345")
    assert (call.blocked, drained) == (True, [])
    client.receive(frames.window_update(stream_id, 6))
    assert (call.blocked, drained) == (True, [])
    client.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 4}))
    assert (call.blocked, drained) == (False, [call])


def test_the_requests_of_a_sequence_are_sent_in_order_or_left_to_the_streams() -> None:
    requests = [prefixed(b"%d" % number) for number in range(12)]
    further = iter([literal("n", str(number)) for number in range(12)])
    for headers in (None, further):
        watched: list[Call] = []
        sequence = partial(RequestSequence, requests=iter(requests), headers=headers, watch=watched.append)
        client, decoder = ready(prepare=sequence), Decoder()
        calls = [Call() for _ in range(10)]
        assert client.start_calls(calls[:4]) == 4
        assert client.start_calls(calls[4:]) == 6
        sent = said(client)
        assert [(f.stream_id, f.body) for f in sent if f.kind == DATA] == [
            (1 + 2 * number, request) for number, request in enumerate(requests[:10])
        ]
        numbers = [dict(read(decoder, f.body)).get("n") for f in sent if f.kind == HEADERS]
        assert numbers == ([None] * 10 if headers is None else [str(number) for number in range(10)])
        stream = Call()
        client.start_stream(stream, literal("b", "c"))
        (only,) = said(client)
        assert dict(read(decoder, only.body))["b"] == "c"
        assert (only.flags & frames.END_STREAM, stream.request) == (0, requests[10])
        assert watched == [*calls, stream]


def test_calls_are_started_as_far_as_there_is_room_and_the_window_holds_them() -> None:
    client = ready(settings={Setting.MAX_CONCURRENT_STREAMS: 30})
    start(client, 4)
    client.receive(b"".join(answer(stream) for stream in (1, 3, 5, 7)))
    size = len(prefixed(REQUEST.payload))
    client.windows.connection = 2 * size + 1
    calls = [Call() for _ in range(40)]
    assert client.start_calls(calls) == 30
    assert [f.stream_id for f in said(client, HEADERS)] == [call.stream_id for call in calls[:30]]
    assert [call.stream_id for call in calls[30:]] == [0] * 10
    assert [call.blocked for call in calls] == [False] * 2 + [True] * 28 + [False] * 10
    client.receive(frames.window_update(0, 28 * size - 1))
    assert not any(call.blocked for call in calls)
    assert client.start_calls(calls[30:]) == 0
    assert client.start_calls([]) == 0


def test_who_waits_for_the_windows_is_told_once_when_they_have_taken_all() -> None:
    client = ready(settings={Setting.INITIAL_WINDOW_SIZE: 10})
    call, drained = Call(), list[int]()
    call.on_drained = lambda one: drained.append(one.stream_id)
    stream_id = client.start_stream(call)
    client.send_message(stream_id, b"five!")
    assert (call.blocked, drained) == (False, []), "nothing has waited"
    client.send_message(stream_id, b"five!")
    assert call.blocked
    client.receive(frames.window_update(stream_id, 4))
    assert (call.blocked, drained) == (True, [])
    client.receive(frames.window_update(stream_id, 6))
    assert (call.blocked, drained) == (False, [stream_id])
    client.receive(frames.window_update(stream_id, 6))
    assert drained == [stream_id]


def test_who_goes_on_in_turn_when_the_connection_s_window_opens_may_send_more() -> None:
    client = ready(settings={Setting.INITIAL_WINDOW_SIZE: 10**6})
    call = Call()
    call.on_drained = lambda one: client.send_message(one.stream_id, b"last", end=True)
    stream_id = client.start_stream(call)
    client.send_message(stream_id, b"x" * 100_000)
    client.take()
    client.receive(frames.window_update(0, 10**6))
    sent = said(client, DATA)
    assert b"".join(frame.body for frame in sent).endswith(prefixed(b"last"))
    assert sent[-1].flags == frames.END_STREAM


# ---- a header block's meaning --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "begins"),
    [
        ("application/grpc", True),
        ("application/grpc+proto", True),
        ("application/grpc;charset=x", True),
        ("text/plain", False),
    ],
)
def test_content_types(kind: str, begins: bool) -> None:
    given = Answer([(":status", "200"), ("content-type", kind)]).input
    assert given == (AnswerInput.BEGINNING if begins else AnswerInput.FOREIGN)


def test_a_plain_http2_server_may_leave_the_content_type_out() -> None:
    assert Answer([(":status", "200")]).input == AnswerInput.BEGINNING
