"""The client's core: bytes in, calls out. Every call ends with the right status, whatever the server does."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from hpack import Decoder
from http2_peer import (
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

from grpclab.http2 import connection, control, frames
from grpclab.http2.client import Call, ClientConnection, Request
from grpclab.http2.exchange import Answer
from grpclab.http2.frames import CONTINUATION, DATA, GOAWAY, HEADERS, RST_STREAM, WINDOW_UPDATE, ErrorCode, Setting
from grpclab.http2.messages import prefixed
from grpclab.status import STATUS_NAMES

STREAMING = Request(path="/p/m", authority="here:1", payload=b"world", server_streaming=True)


def status(call: Call) -> str:
    return "open" if call.status < 0 else STATUS_NAMES[call.status]


def goaway_code(client: ClientConnection) -> ErrorCode:
    """Of the GOAWAY that the client has just said."""
    (frame,) = said(client, GOAWAY)
    return ErrorCode(int.from_bytes(frame.body[4:8], "big"))


def reset_codes(client: ClientConnection) -> dict[int, ErrorCode]:
    return {frame.stream_id: ErrorCode(int.from_bytes(frame.body, "big")) for frame in said(client, RST_STREAM)}


def after(data: bytes, request: Request = REQUEST, **given: Any) -> tuple[ClientConnection, Call]:
    """A connection with one call, to which this has come."""
    client = ready(request, **given)
    (call,) = start(client)
    client.receive(data)
    return client, call


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
        Setting.MAX_HEADER_LIST_SIZE: 65_536,
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
        ([("grpc-status", "7")], "PERMISSION_DENIED"),
        ([*BEGIN, ("grpc-status", "0")], "INTERNAL"),  # a unary call without its message
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
    ("headers", "expected"),
    [
        ([(":status", "502"), ("content-type", "text/html")], "UNAVAILABLE"),
        ([(":status", "200"), ("content-type", "text/html")], "UNKNOWN"),
        ([("content-type", "application/grpc")], "UNKNOWN"),
    ],
)
def test_an_answer_that_is_not_grpc(headers: Headers, expected: str) -> None:
    client, call = after(begin(1, headers) + frames.data(1, b"<html>", end=True))
    assert status(call) == expected
    assert reset_codes(client) == {1: ErrorCode.CANCEL}
    assert client.closed is None


def test_informational_headers_come_before_the_real_ones() -> None:
    _, call = after(begin(1, [(":status", "103")]) * 3 + answer(1))
    assert status(call) == "OK"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "INTERNAL"),
        (HELLO * 2, "INTERNAL"),
        (HELLO[:-1], "INTERNAL"),
        (HELLO + b"\0", "INTERNAL"),
        (b"\x01" + HELLO[1:], "INTERNAL"),
        (b"\0\xff\xff\xff\xff", "RESOURCE_EXHAUSTED"),
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
    client.cancel(call, 4, "too late")
    assert (status(call), call.text, reset_codes(client)) == ("DEADLINE_EXCEEDED", "too late", {1: ErrorCode.CANCEL})
    client.cancel(call, 4, "twice")
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
    assert client._consumed == len(data) + len(only_padding) - 18  # padding counts


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


# ---- the fast way --------------------------------------------------------------------------------------------


def slow_frames(client: ClientConnection, data: bytes) -> int:
    """How many frames of this do not take the fast way."""
    with mock.patch("grpclab.http2.connection.unpack_header", wraps=frames.unpack_header) as unpack:
        client.receive(data)
    return unpack.call_count


@pytest.mark.parametrize("together", [True, False])
def test_answers_like_those_before_take_the_fast_way(together: bool) -> None:
    """Servers send an answer whole, or the headers of many first (nghttpd)."""
    client = ready()
    for round_ in range(4):
        calls = start(client, 20)
        ids = [call.stream_id for call in calls]
        body = [frames.data(i, HELLO, end=False) + trailers(i) for i in ids]
        heads = [begin(i) for i in ids]
        pairs = zip(heads, body, strict=True)
        data = b"".join(a + b for a, b in pairs) if together else b"".join(heads + body)
        slow = slow_frames(client, data)
        assert [status(call) for call in calls] == ["OK"] * 20
        assert all((call.messages, call.trailers) == (1, OK) for call in calls)
        if round_ > 1:
            assert slow == (0 if together else len(calls)), "only headers that came alone are looked up"


def test_the_windows_are_given_back_on_the_fast_way() -> None:
    client = ready()
    returned = 0
    for number in range(20_000 // 4):
        start(client)
        client.receive(answer(1 + 2 * number))
        returned += sum(int.from_bytes(frame.body, "big") for frame in said(client, WINDOW_UPDATE))
    assert returned + client._consumed == 5000 * len(HELLO)
    assert client._consumed < 65_535 / 2


def test_trailers_are_those_of_the_answer_that_is_like_this_one() -> None:
    """Whole answers and halves are learnt apart, and an answer that went wrong teaches nothing."""
    client = ready()
    ends: list[Headers] = [[("grpc-status", "0"), ("n", str(number))] for number in range(3)]
    for round_ in range(300):
        (call,) = start(client)
        end = ends[(round_ // 7) % 3] if round_ % 5 else [("grpc-status", "5")]
        stream = call.stream_id
        if round_ % 2:
            client.receive(answer(stream, end=end))
        else:
            client.receive(begin(stream))
            client.receive(frames.data(stream, HELLO, end=False) + trailers(stream, end))
        assert call.trailers == end
        assert status(call) == ("OK" if round_ % 5 else "NOT_FOUND")


def test_the_second_half_of_a_message_does_not_stand_for_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LEARN_EVERY", 1)
    client = ready()
    tail = prefixed(b"") * 2
    for number in range(4):
        start(client)
        stream = 1 + 2 * number
        client.receive(begin(stream) + frames.data(stream, prefixed(tail)[:5], end=False))
        client.receive(frames.data(stream, tail, end=False) + trailers(stream))
    (call,) = start(client)
    client.receive(begin(call.stream_id))
    client.receive(frames.data(call.stream_id, tail, end=False) + trailers(call.stream_id))
    assert (status(call), call.messages) == ("INTERNAL", 2)


def test_the_end_of_an_answer_does_not_stand_for_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LEARN_EVERY", 1)
    client = ready()
    for number in range(4):
        start(client)
        client.receive(begin(1 + 2 * number) + frames.data(1 + 2 * number, HELLO, end=False))
        client.receive(trailers(1 + 2 * number))
    (call,) = start(client)
    client.receive(trailers(call.stream_id))
    assert status(call) == "INTERNAL"


def test_nothing_is_usual_inside_a_header_block() -> None:
    client = ready()
    for number in range(40):
        start(client)
        client.receive(answer(1 + 2 * number))
    start(client, 2)
    client.receive(frames.frame(HEADERS, 0, 81, block(BEGIN)) + answer(83))
    assert client.closed is not None
    assert "inside a header block" in client.closed


def test_nothing_is_usual_before_the_peer_s_blocks_are_independent() -> None:
    """Until our settings are acknowledged, equal bytes may mean other trailers."""
    client = fresh()
    client.receive(frames.settings({}))
    newest, added = b"\xbe", b"\x40\x0bgrpc-status\x01"
    head = b"\x88"
    for number in range(50):
        (call,) = start(client)
        code = "0" if number % 3 else "5"
        client.receive(frames.headers(call.stream_id, head, end=False) + frames.data(call.stream_id, HELLO, end=False))
        end = added + code.encode() if number % 3 < 2 else newest
        client.receive(frames.headers(call.stream_id, end, end=True))
        assert status(call) == ("OK" if number % 3 else "NOT_FOUND")


# ---- windows -------------------------------------------------------------------------------------------------


def sent_data(client: ClientConnection) -> dict[int, int]:
    """Bytes of DATA in what was just said, by stream."""
    out: dict[int, int] = {}
    for frame in said(client, DATA):
        out[frame.stream_id] = out.get(frame.stream_id, 0) + len(frame.body)
    return out


def big(size: int) -> Request:
    """A request of exactly `size` bytes with its prefix."""
    return Request(path="/p/m", authority="here:1", payload=b"x" * (size - 5))


def test_a_large_request_waits_for_both_windows() -> None:
    client = ready(big(100_000))
    call = Call()
    client.start(call)
    assert sent_data(client) == {1: 65_535}
    client.receive(frames.window_update(1, 100_000))
    assert sent_data(client) == {}
    client.receive(frames.window_update(0, 34_464))
    assert sent_data(client) == {1: 34_464}
    client.receive(frames.window_update(0, 100_000))
    assert sent_data(client) == {1: 1}
    client.receive(answer(1))
    assert status(call) == "OK"


def test_frames_are_no_longer_than_the_peer_takes_and_the_last_ends_the_stream() -> None:
    client = ready(big(50_000))
    client.start(Call())
    sent = said(client, DATA)
    assert [len(frame.body) for frame in sent] == [16_384] * 3 + [50_000 - 3 * 16_384]
    assert [frame.flags for frame in sent] == [0, 0, 0, frames.END_STREAM]
    assert b"".join(frame.body for frame in sent) == prefixed(b"x" * 49_995)
    client.receive(frames.settings({Setting.MAX_FRAME_SIZE: 40_000}) + frames.window_update(0, 50_000))
    client.start(Call())
    assert [len(frame.body) for frame in said(client, DATA)] == [40_000, 10_000]


def test_the_initial_window_acts_on_streams_that_are_open_even_below_zero() -> None:
    client = ready(big(40_000), settings={Setting.INITIAL_WINDOW_SIZE: 10_000})
    client.start(Call())
    client.start(Call())
    assert sent_data(client) == {1: 10_000, 3: 10_000}
    client.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 4_000}))  # now each is at -6,000
    client.receive(frames.window_update(1, 6_000))
    assert sent_data(client) == {}
    client.receive(frames.window_update(1, 500))
    assert sent_data(client) == {1: 500}
    client.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 20_000}))
    assert sent_data(client) == {1: 16_000, 3: 10_000}


def test_a_window_of_nothing_stalls_and_opens_again() -> None:
    client = ready(settings={Setting.INITIAL_WINDOW_SIZE: 0})
    calls = [Call() for _ in range(3)]
    for call in calls:
        client.start(call)
    assert sent_data(client) == {}
    client.receive(frames.window_update(3, 1000))
    assert sent_data(client) == {3: 10}
    client.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 65_535}))
    assert sent_data(client) == {1: 10, 5: 10}
    assert client.receive(answer(1) + answer(3) + answer(5)) == calls


def test_those_who_wait_for_the_connection_s_window_take_turns() -> None:
    client = ready(big(30_000))
    for _ in range(4):
        client.start(Call())
    assert sent_data(client) == {1: 30_000, 3: 30_000, 5: 5_535}
    for _ in range(60):
        client.receive(frames.window_update(0, 1000))
    assert sent_data(client) == {5: 24_465, 7: 30_000}


def test_starting_many_that_must_wait_costs_no_more_than_their_number() -> None:
    client = ready(settings={Setting.INITIAL_WINDOW_SIZE: 0})
    looked_at = 0
    before = client._send

    def counted(call: Call) -> None:
        nonlocal looked_at
        looked_at += 1
        before(call)

    client._send = counted  # type: ignore[method-assign]
    for _ in range(1000):
        client.start(Call())
    for _ in range(100):
        client.receive(frames.window_update(0, 1))
    assert looked_at == 1000


def test_a_large_request_is_not_copied_with_every_frame() -> None:
    client = ready(big(4_000_000), settings={Setting.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW})
    client.receive(frames.window_update(0, 1_000_000))
    call = Call()
    client.start(call)
    assert isinstance(call._unsent, memoryview)
    assert call._unsent.obj is client._message


@pytest.mark.parametrize(
    "end",
    [
        trailers(1, [*BEGIN, ("grpc-status", "8")]),
        begin(1) + frames.data(1, HELLO, end=False) + trailers(1),
        begin(1) + frames.data(1, HELLO, end=True),
    ],
)
def test_an_answer_before_the_request_is_complete_ends_the_request(end: bytes) -> None:
    client = ready(big(200_000))
    for number in range(40):  # so that what is usual is known
        client.start(Call())
        client.receive(frames.window_update(0, 10**6) + frames.window_update(1 + 2 * number, 10**6))
        client.receive(answer(1 + 2 * number))
    client.take()
    stream = 81
    call = Call()
    client.start(call)
    client.take()
    client.receive(b"".join(frames.frame(f.kind, f.flags, stream, f.body) for f in cut(end)))
    assert call.status >= 0
    assert reset_codes(client) == {stream: ErrorCode.CANCEL}
    client.receive(frames.window_update(0, 10**6) + frames.window_update(stream, 10**6))
    assert sent_data(client) == {}


def test_what_was_received_is_given_back_on_both_windows() -> None:
    client = ready(STREAMING, stream_window=20_000, connection_window=65_535)
    start(client)
    client.receive(begin(1))
    piece = prefixed(b"x" * 4_995)
    returned = {0: 0, 1: 0}
    for _ in range(100):
        client.receive(frames.data(1, piece, end=False))
        for frame in said(client):
            assert frame.kind == WINDOW_UPDATE
            returned[frame.stream_id] += int.from_bytes(frame.body, "big")
    assert 500_000 - returned[0] <= 65_535 / 2
    assert 500_000 - returned[1] <= 20_000 / 2


def test_data_of_streams_that_are_over_counts_for_the_connection() -> None:
    client = ready()
    call = start(client)[0]
    client.cancel(call, 1)
    client.take()
    for _ in range(4):
        client.receive(frames.data(1, b"x" * 16_000, end=False))
    assert sum(int.from_bytes(f.body, "big") for f in said(client, WINDOW_UPDATE)) == 48_000


def test_a_peer_that_overruns_a_stream_s_window() -> None:
    client, call = after(begin(1) + frames.data(1, b"\0\0\0\xff\xff" + b"x" * 5000, end=False), stream_window=1000)
    assert status(call) == "INTERNAL"
    assert reset_codes(client) == {1: ErrorCode.FLOW_CONTROL_ERROR}


@pytest.mark.parametrize("increment", [0, frames.MAX_WINDOW])
def test_a_wrong_window_for_a_stream_is_the_stream_s_matter(increment: int) -> None:
    client, call = after(frames.window_update(1, increment))
    assert status(call) == "INTERNAL"
    assert client.closed is None


# ---- settings, pings, going away -----------------------------------------------------------------------------


def test_settings_and_pings_are_acknowledged_at_any_time() -> None:
    client, call = after(begin(1) + frames.settings({}) + frames.ping(b"12345678") + frames.settings({77: 1}))
    assert [(f.kind, f.flags) for f in said(client)] == [(frames.SETTINGS, 1), (frames.PING, 1), (frames.SETTINGS, 1)]
    client.receive(frames.data(1, HELLO, end=False) + trailers(1))
    assert status(call) == "OK"


def test_our_own_ping() -> None:
    client = ready()
    client.ping()
    (ping,) = said(client)
    client.receive(frames.ping(ping.body, ack=True))
    assert client.pings_acked == 1
    assert said(client) == []


def test_the_stream_limit_may_change_and_be_nothing() -> None:
    client = ready(settings={Setting.MAX_CONCURRENT_STREAMS: 2})
    start(client, 2)
    assert (client.room, client.start(Call())) == (0, False)
    client.receive(frames.settings({Setting.MAX_CONCURRENT_STREAMS: 0}))
    assert client.room == -2
    client.receive(answer(1) + answer(3))
    assert (client.room, client.start(Call())) == (0, False)
    client.receive(frames.settings({Setting.MAX_CONCURRENT_STREAMS: 100}))
    assert client.room == 100


def test_goaway_ends_only_what_the_server_did_not_accept() -> None:
    client = ready()
    one, two, three = start(client, 3)
    client.receive(frames.goaway(frames.MAX_STREAM_ID, 0))
    assert (client.draining, client.room, client.start(Call())) == (True, -3, False)
    assert client.receive(frames.goaway(3, ErrorCode.NO_ERROR, b"bye")) == [three]
    assert (status(three), three.unprocessed, three.text) == ("UNAVAILABLE", True, "GOAWAY NO_ERROR bye")
    client.receive(frames.settings({Setting.MAX_CONCURRENT_STREAMS: 100}))
    assert not client.start(Call())
    assert client.receive(answer(3) + answer(1)) == [two, one]
    assert (status(one), status(two), client.closed) == ("OK", "OK", None)


def test_a_lost_connection_ends_all_calls() -> None:
    client = ready()
    calls = start(client, 3)
    assert client.connection_lost("cable cut") == calls
    assert {(status(call), call.text, call.unprocessed) for call in calls} == {("UNAVAILABLE", "cable cut", False)}
    assert client.receive(answer(1)) == []
    assert client.connection_lost("again") == []
    assert not client.start(Call())


def test_giving_a_connection_up_tells_the_calls_that_ended_with_it() -> None:
    client = ready()
    calls = start(client, 2)
    assert client.abort(ErrorCode.ENHANCE_YOUR_CALM, "enough") == calls
    assert goaway_code(client) == ErrorCode.ENHANCE_YOUR_CALM
    assert client.abort(ErrorCode.NO_ERROR, "again") == []


def test_stream_ids_run_out() -> None:
    client = ready(first_stream_id=frames.MAX_STREAM_ID - 2)
    calls = [Call() for _ in range(2)]
    assert [client.start(call) for call in [*calls, Call()]] == [True, True, False]
    assert client.draining
    assert client.receive(answer(frames.MAX_STREAM_ID - 2) + answer(frames.MAX_STREAM_ID)) == calls
    assert [status(call) for call in calls] == ["OK", "OK"]


# ---- peers that break the rules ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1"),
        (b"\x15\x03\x03\x00\x02\x02\x46 and so on", "is this HTTP/2"),
        (b"220 mail.example ESMTP\r\n", "is this HTTP/2"),
        (frames.ping(b"12345678"), "is this HTTP/2"),
        (frames.frame(99, 0, 0), "is this HTTP/2"),
        (frames.SETTINGS_ACK, "acknowledgement"),
        (b"\0\0\xff" + frames.settings({})[3:], "wrong length|255 bytes"),
    ],
)
def test_a_peer_that_is_not_http2(first: bytes, expected: str) -> None:
    for chunks in ([first], [bytes((byte,)) for byte in first]):
        client = fresh()
        for chunk in chunks:
            client.receive(chunk)
        if client.closed is None:  # it has announced more
            client.receive(b"\0" * 300)
        assert client.closed is not None
        assert any(word in client.closed for word in expected.split("|"))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frames.frame(frames.SETTINGS, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(frames.SETTINGS, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
        (frames.settings({Setting.MAX_FRAME_SIZE: 16_383}), ErrorCode.PROTOCOL_ERROR),
        (frames.settings({Setting.MAX_FRAME_SIZE: 2**24}), ErrorCode.PROTOCOL_ERROR),
        (frames.settings({Setting.ENABLE_PUSH: 2}), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.PING, 0, 0, b"short"), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(frames.PING, 0, 1, b"12345678"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(GOAWAY, 0, 0, b"short"), ErrorCode.FRAME_SIZE_ERROR),
        (frames.frame(WINDOW_UPDATE, 0, 0, b"123"), ErrorCode.FRAME_SIZE_ERROR),
        (frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
        (frames.window_update(0, frames.MAX_WINDOW), ErrorCode.FLOW_CONTROL_ERROR),
        (frames.frame(RST_STREAM, 0, 1, b"123"), ErrorCode.FRAME_SIZE_ERROR),
        (frames.rst_stream(0, 0), ErrorCode.PROTOCOL_ERROR),
        (frames.rst_stream(99, 0), ErrorCode.PROTOCOL_ERROR),
        (frames.window_update(99, 1), ErrorCode.PROTOCOL_ERROR),
        (begin(99), ErrorCode.PROTOCOL_ERROR),
        (begin(2), ErrorCode.PROTOCOL_ERROR),
        (begin(0), ErrorCode.PROTOCOL_ERROR),
        (frames.data(0, b"x", end=False), ErrorCode.PROTOCOL_ERROR),
        (frames.data(99, b"x", end=False), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(CONTINUATION, 4, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, 0, 1) + frames.frame(CONTINUATION, 4, 3), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, 0, 1) + frames.ping(b"12345678"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, 0, 1) + frames.frame(99, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, 0x8 | 4, 1, b"\x05abcd"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, 0x8 | 4, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, 0x20 | 4, 1, b"abcd"), ErrorCode.FRAME_SIZE_ERROR),
        (begin(1) + frames.frame(DATA, 0x8, 1, b"\x05abcd"), ErrorCode.PROTOCOL_ERROR),
        (frames.frame(HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
        (begin(1) + frames.data(1, b"x" * 16_385, end=False), ErrorCode.FRAME_SIZE_ERROR),
        (b"\0\x40\x01" + frames.data(1, b"", end=False)[3:], ErrorCode.FRAME_SIZE_ERROR),
    ],
)
def test_a_broken_rule_ends_the_connection_with_its_code(data: bytes, code: ErrorCode) -> None:
    client = ready()
    (call,) = start(client)
    assert client.receive(data) == [call]
    assert goaway_code(client) == code
    assert status(call) == "UNAVAILABLE"
    assert client.closed is not None
    assert client.closed.startswith(code.name)
    assert client.receive(answer(1)) == []


@pytest.mark.parametrize(
    "flood",
    [
        frames.settings({}),
        frames.ping(b"12345678"),
        frames.ping(b"12345678", ack=True),
        frames.data(1, b"", end=False),
        frames.frame(DATA, 0x8, 1, b"\0"),
        frames.frame(frames.PRIORITY, 0, 1, bytes(5)),
        frames.frame(200, 0, 0, b"x"),
        frames.window_update(1, 1),
        frames.rst_stream(3, 8),
        trailers(3),
        frames.goaway(1, 0),
    ],
)
def test_floods_come_to_an_end(flood: bytes) -> None:
    client = ready()
    call, gone = start(client, 2)
    client.cancel(gone, 1)
    client.take()
    client.receive(begin(1))
    for _ in range(3 * control.MAX_IDLE_FRAMES // 100):
        client.receive(flood * 100)
    assert client.closed is not None
    assert client.closed.startswith("ENHANCE_YOUR_CALM")
    assert status(call) == "UNAVAILABLE"
    assert len(client.take()) < 20 * control.MAX_IDLE_FRAMES


def test_a_flood_of_continuations() -> None:
    for piece in (b"", b"x", b"x" * 16_000):
        client, call = after(frames.frame(HEADERS, 0, 1))
        for _ in range(2 * control.MAX_IDLE_FRAMES):
            client.receive(frames.frame(CONTINUATION, 0, 1, piece))
            assert sum(map(len, client._fragments)) <= control.MAX_BLOCK_BYTES + 16_384
            if client.closed is not None:
                break
        assert client.closed is not None
        assert status(call) == "UNAVAILABLE"


def test_a_header_bomb() -> None:
    bomb = b"\x40\x01a" + b"\x7f\xa1\x1e" + b"x" * 4000 + b"\xbe" * 10_000
    client = fresh()
    client.receive(frames.settings({}))
    (call,) = start(client)
    client.receive(frames.headers(1, bomb, end=False))
    assert goaway_code(client) == ErrorCode.COMPRESSION_ERROR
    assert status(call) == "UNAVAILABLE"


def test_late_answers_to_calls_that_were_given_up_are_no_flood() -> None:
    client = ready()
    for number in range(2 * control.MAX_IDLE_FRAMES):
        (call,) = start(client)
        client.cancel(call, 4)
        client.receive(answer(1 + 2 * number))
        client.take()
    assert client.closed is None


def test_messages_of_a_stream_that_was_given_up_are_no_flood() -> None:
    client = ready(STREAMING)
    (call,) = start(client)
    client.receive(begin(1))
    client.cancel(call, 4)
    for _ in range(2 * control.MAX_IDLE_FRAMES):
        client.receive(frames.data(1, HELLO, end=False))
        client.take()
    assert client.closed is None


def test_a_cut_in_the_middle_of_a_frame() -> None:
    client, call = after((begin(1) + frames.data(1, HELLO, end=False))[:-3])
    assert client.connection_lost("cut") == [call]
    assert (status(call), call.text) == ("UNAVAILABLE", "cut")


# ---- requests of several messages ----------------------------------------------------------------------------


def test_a_request_that_goes_on() -> None:
    client = ready(Request(path="/p/m", authority="here:1", payload=b"one", client_streaming=True))
    call, again = Call(), Call()
    assert client.start(call)
    client.start(again)
    assert [f.flags & frames.END_STREAM for f in said(client, DATA)] == [0, 0]
    client.send(call, b"x" * 100_000, end=False)
    client.send(call, b"last", end=True)
    client.receive(frames.window_update(0, 10**6) + frames.window_update(1, 10**6))
    sent = said(client, DATA)
    assert b"".join(frame.body for frame in sent) == prefixed(b"x" * 100_000) + prefixed(b"last")
    assert [frame.flags for frame in sent] == [0] * (len(sent) - 1) + [frames.END_STREAM]
    client.receive(answer(1) + answer(3))
    assert (status(call), status(again)) == ("OK", "OK")
    assert reset_codes(client) == {3: ErrorCode.CANCEL}  # nobody listens to the rest of it
    client.send(call, b"late", end=True)
    assert said(client) == []


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
    assert Answer([(":status", "200"), ("content-type", kind)]).begins == begins


def test_a_plain_http2_server_may_leave_the_content_type_out() -> None:
    assert Answer([(":status", "200")]).begins
