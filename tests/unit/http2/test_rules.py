"""The client's connection: settings, pings, going away, and peers that break the rules."""

from __future__ import annotations

import pytest

from grpclab.http2 import control, frames, header_blocks
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call
from grpclab.http2.frames import CONTINUATION, DATA, GOAWAY, HEADERS, RST_STREAM, WINDOW_UPDATE, ErrorCode, Setting
from tests.support.http2_client_help import STREAMING, after, status
from tests.support.http2_peer import (
    HELLO,
    answer,
    begin,
    fresh,
    ready,
    said,
    start,
    trailers,
)


def goaway_code(client: ClientConnection) -> ErrorCode:
    """Of the GOAWAY that the client has just said."""
    (frame,) = said(client, GOAWAY)
    return ErrorCode(int.from_bytes(frame.body[4:8], "big"))


# ---- settings, pings, going away -----------------------------------------------------------------------------


def test_settings_and_pings_are_acknowledged_at_any_time() -> None:
    client, call = after(begin(1) + frames.settings({}) + frames.ping(b"12345678") + frames.settings({77: 1}))
    assert [(f.kind, f.flags) for f in said(client)] == [(frames.SETTINGS, 1), (frames.PING, 1), (frames.SETTINGS, 1)]
    client.receive(frames.data(1, HELLO, end=False) + trailers(1))
    assert status(call) == "OK"


def test_our_own_ping() -> None:
    client = ready()
    client.control.ping()
    (ping,) = said(client)
    client.receive(frames.ping(ping.body, ack=True))
    assert client.control.pings_acked == 1
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
    client.cancel(gone.stream_id, status=1)
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
            assert sum(map(len, client.blocks.fragments)) <= header_blocks.MAX_BLOCK_BYTES + 16_384
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
        client.cancel(call.stream_id, status=4)
        client.receive(answer(1 + 2 * number))
        client.take()
    assert client.closed is None


def test_messages_of_a_stream_that_was_given_up_are_no_flood() -> None:
    client = ready(STREAMING)
    (call,) = start(client)
    client.receive(begin(1))
    client.cancel(call.stream_id, status=4)
    for _ in range(2 * control.MAX_IDLE_FRAMES):
        client.receive(frames.data(1, HELLO, end=False))
        client.take()
    assert client.closed is None


def test_a_cut_in_the_middle_of_a_frame() -> None:
    client, call = after((begin(1) + frames.data(1, HELLO, end=False))[:-3])
    assert client.connection_lost("cut") == [call]
    assert (status(call), call.text) == ("UNAVAILABLE", "cut")
