"""The server's connection: limits, requests that are wrong, trailers that differ."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2 import frames, messages
from grpclab.http2.control import MAX_IDLE_FRAMES
from grpclab.http2.exchange import Call
from grpclab.http2.frames import ErrorCode, Setting
from grpclab.http2.headers import CACHED_BLOCKS, RESIDENCE_HEADER, BlockDecoder, literal
from grpclab.http2.messages import prefixed
from tests.support.http2_peer import block, cut
from tests.support.http2_server_help import HEADERS, REPLY, client, make_server, ready_server, request, talk


def changed(**headers: str | None) -> list[tuple[str, str]]:
    """The usual headers but for these (`_` stands for `-`, a leading one for `:`); None leaves one out."""
    wanted = {(":" if name[0] == "_" else "") + name.strip("_").replace("_", "-"): v for name, v in headers.items()}
    kept = [(name, wanted.pop(name, value)) for name, value in HEADERS]
    return [(name, value) for name, value in [*kept, *wanted.items()] if value is not None]


# ---- limits --------------------------------------------------------------------------------------------------


def test_streams_beyond_the_limit_are_refused_and_may_come_again() -> None:
    server = ready_server(max_streams=2)
    news = server.receive(b"".join(map(request, (1, 3, 5, 7))))
    assert [stream.stream_id for stream in news] == [1, 3]
    said = list(cut(server.take()))
    resets = {(f.stream_id, int.from_bytes(f.body, "big")) for f in said if f.kind == frames.RST_STREAM}
    assert resets == {(5, ErrorCode.REFUSED_STREAM), (7, ErrorCode.REFUSED_STREAM)}
    server.answers.reply(news[0], REPLY)
    assert [stream.stream_id for stream in server.receive(request(9))] == [9]
    assert server.closed is None


def test_the_limit_holds_for_the_usual_requests_too() -> None:
    server = ready_server(max_streams=50)
    for first in range(1, 101, 50):
        for stream in server.receive(b"".join(map(request, range(first, first + 50, 2)))):
            server.answers.reply(stream, REPLY)
    assert server.fast_path.usual
    assert len(server.receive(b"".join(map(request, range(101, 241, 2))))) == 50
    assert server.closed is None


def test_the_limit_is_told() -> None:
    (settings, *_) = cut(make_server(max_streams=7).take())
    assert dict(frames.parse_settings(settings.body))[Setting.MAX_CONCURRENT_STREAMS] == 7
    (settings, *_) = cut(make_server().take())
    assert Setting.MAX_CONCURRENT_STREAMS not in dict(frames.parse_settings(settings.body))


def test_ten_thousand_streams_are_open_at_once() -> None:
    ours, server = client(), make_server()
    talk(ours, server)
    calls = [Call() for _ in range(10_000)]
    for call in calls:
        ours.start(call)
    news, _ = talk(ours, server)
    assert len(server.streams) == len(news) == 10_000
    for stream in news:
        server.answers.reply(stream, REPLY, b"1")
    talk(ours, server)
    assert {call.status for call in calls} == {messages.OK}


# ---- requests that are wrong ---------------------------------------------------------------------------------


def statuses(said: bytes) -> list[dict[str, str]]:
    """The header blocks among some frames, decoded by the `hpack` package."""
    from hpack import Decoder

    decoder = Decoder()
    blocks = [decoder.decode(f.body) for f in cut(said) if f.kind == frames.HEADERS]
    return [{str(name): str(value) for name, value in found} for found in blocks]


@pytest.mark.parametrize(
    ("headers", "http"),
    [
        (changed(content_type="text/html"), "415"),
        (changed(content_type=None), "415"),
        (changed(content_type="application/grpcish"), "415"),
        (changed(_method="GET"), "405"),
    ],
)
def test_what_is_not_grpc_gets_an_http_status(headers: list[tuple[str, str]], http: str) -> None:
    server = ready_server()
    assert server.receive(request(1, headers=headers)) == []
    said = server.take()
    assert statuses(said) == [{":status": http}]
    assert [f.kind for f in cut(said)] == [frames.HEADERS, frames.RST_STREAM]
    assert server.streams == {}
    assert len(server.receive(request(3))) == 1, "the connection goes on"


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto", "application/grpc;charset=x"])
def test_every_content_type_of_grpc_is_taken(content_type: str) -> None:
    assert len(ready_server().receive(request(1, headers=changed(content_type=content_type)))) == 1


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        (changed(grpc_encoding="gzip"), "12", "grpc-encoding gzip is not known here"),
        (changed(grpc_timeout="soon"), "13", "malformed grpc-timeout 'soon'"),
        (changed(grpc_timeout="123456789S"), "13", "malformed grpc-timeout '123456789S'"),
    ],
)
def test_headers_that_grpc_refuses(headers: list[tuple[str, str]], status: str, text: str) -> None:
    server = ready_server()
    assert server.receive(request(1, headers=headers)) == []
    (said,) = statuses(server.take())
    assert (said["grpc-status"], said["grpc-message"]) == (status, text)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (prefixed(b"world")[:-1], "13"),
        (b"\0\0", "13"),
        (b"\1" + prefixed(b"world")[1:], "13"),
        (b"\0\xff\xff\xff\xff", "8"),
    ],
)
def test_messages_that_are_none(body: bytes, status: str) -> None:
    server = ready_server()
    assert server.receive(request(1, body=body)) == []
    (said,) = statuses(server.take())
    assert said["grpc-status"] == status
    assert server.streams == {}
    assert len(server.receive(request(3))) == 1, "the connection goes on"


@pytest.mark.parametrize(
    "headers",
    [
        changed(_path=None),
        changed(_method=None),
        changed(_scheme=None),
        changed(_path=""),
        changed(_status="200"),
        [*HEADERS, HEADERS[0]],
        [HEADERS[-1], *HEADERS[:-1]],
        changed(Upper="case"),
        changed(te="gzip"),
        changed(connection="close"),
    ],
)
def test_a_malformed_request_is_an_error_of_its_stream(headers: list[tuple[str, str]]) -> None:
    server = ready_server()
    assert server.receive(request(1, headers=headers)) == []
    assert [(f.kind, f.body[-1]) for f in cut(server.take())] == [(frames.RST_STREAM, ErrorCode.PROTOCOL_ERROR)]
    assert len(server.receive(request(3))) == 1, "the connection goes on"


@pytest.mark.parametrize(
    ("data", "code", "why"),
    [
        (request(2), ErrorCode.PROTOCOL_ERROR, "never opened"),
        (request(0), ErrorCode.PROTOCOL_ERROR, "stream 0"),
        (frames.data(5, b"x", end=True), ErrorCode.PROTOCOL_ERROR, "never opened"),
        (frames.rst_stream(5, 8), ErrorCode.PROTOCOL_ERROR, "never opened"),
        (frames.window_update(5, 8), ErrorCode.PROTOCOL_ERROR, "never opened"),
        (frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0"),
        (frames.window_update(0, frames.MAX_WINDOW), ErrorCode.FLOW_CONTROL_ERROR, "beyond"),
        (frames.headers(5, b"\xff\xff\xff", end=True), ErrorCode.COMPRESSION_ERROR, "cannot be decoded"),
        (frames.frame(frames.PUSH_PROMISE, 4, 1, b"xxxx"), ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE"),
        (frames.frame(frames.DATA, 0, 1, b"x" * 16_385), ErrorCode.FRAME_SIZE_ERROR, "16,385"),
        (frames.ping(b"flooding") * (MAX_IDLE_FRAMES + 1), ErrorCode.ENHANCE_YOUR_CALM, "that advance no call"),
    ],
)
def test_what_breaks_the_connection(data: bytes, code: ErrorCode, why: str) -> None:
    server = ready_server()
    assert server.receive(data) == []
    assert server.closed is not None
    assert why in server.closed
    *_, last = cut(server.take())
    assert (last.kind, int.from_bytes(last.body[4:8], "big")) == (frames.GOAWAY, code)
    assert server.finished


def test_a_frame_after_the_end_of_a_request_is_an_error_of_its_stream() -> None:
    server = ready_server()
    (stream,) = server.receive(request(1))
    assert server.receive(frames.data(1, b"more", end=True)) == [stream]
    assert stream.cancelled.startswith("STREAM_CLOSED")
    assert server.closed is None


def test_a_frame_on_a_stream_that_is_over_ends_the_connection() -> None:
    server = ready_server()
    (stream,) = server.receive(request(1))
    server.answers.reply(stream, REPLY)
    server.receive(frames.data(1, b"more", end=True))
    assert server.closed == "STREAM_CLOSED: a frame on stream 1, which is closed"


def test_windows_beyond_their_bounds_are_errors_of_their_stream() -> None:
    for increment, code in ((0, "PROTOCOL_ERROR"), (frames.MAX_WINDOW, "FLOW_CONTROL_ERROR")):
        server = ready_server()
        (stream,) = server.receive(request(1))
        assert server.receive(frames.window_update(1, increment)) == [stream]
        assert stream.cancelled.startswith(code)


def test_more_than_the_window_allows_is_an_error_of_its_stream() -> None:
    server = ready_server(stream_window=10)
    (stream,) = server.receive(frames.headers(1, block(HEADERS), end=False) + frames.data(1, b"\0" * 11, end=False))
    assert stream.cancelled.startswith("FLOW_CONTROL_ERROR")


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\nhost: here\r\n\r\n", b"PRI * HTTP/1.1", b"\x16\x03\x01"])
def test_a_client_without_the_preface_is_told_so(said: bytes) -> None:
    server = make_server()
    for byte in said:
        server.receive(bytes((byte,)))
    assert server.closed == "PROTOCOL_ERROR: this is not HTTP/2: the client's preface is missing"


def test_the_preface_may_come_in_pieces() -> None:
    server = make_server()
    news = [s for byte in frames.PREFACE + frames.settings({}) + request(1) for s in server.receive(bytes((byte,)))]
    assert [stream.messages for stream in news] == [(b"world",)]


@given(st.binary(max_size=2_000), st.lists(st.integers(1, 100), max_size=20))
def test_whatever_comes_nothing_is_raised_and_no_stream_stays_behind(data: bytes, cuts: list[int]) -> None:
    server = ready_server()
    server.receive(request(1))
    for size in cuts:
        piece, data = data[:size], data[size:]
        server.receive(piece)
    server.receive(data)
    server.connection_lost("over")
    assert server.streams == {}


# ---- trailers of which no two are alike ----------------------------------------------------------------------


_MARK = literal(RESIDENCE_HEADER, "").decode("latin-1")[:-1]


_values = st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=140) | st.just(f"x{_MARK}\x0212")


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["grpc-status", RESIDENCE_HEADER, "told"]), _values), min_size=1, max_size=4
        ),
        max_size=8,
    )
)
def test_a_block_that_ends_with_the_residence_is_read_as_any_other(lists: list[list[tuple[str, str]]]) -> None:
    decoder: BlockDecoder[list[tuple[str, str]]] = BlockDecoder(lambda headers: headers)
    decoder.decode(b"\x20")
    decoder.independent()
    for headers in [*lists, *lists]:
        said = b"".join(literal(name, value) for name, value in headers)
        for ending in ([], [(RESIDENCE_HEADER, "123")], [(RESIDENCE_HEADER, "4567")]):
            whole = said + b"".join(literal(name, value) for name, value in ending)
            assert decoder.decode(whole) == headers + ending
    assert len(decoder.known) + len(decoder._heads) <= 2 * CACHED_BLOCKS


def test_calls_whose_residences_differ_fill_no_cache() -> None:
    decoder: BlockDecoder[list[tuple[str, str]]] = BlockDecoder(lambda headers: headers)
    decoder.decode(b"\x20")
    decoder.independent()
    decoder.known.clear()
    for number in range(1_000):
        block = REPLY.trailers(str(number))
        assert decoder.decode(block) == [("grpc-status", "0"), (RESIDENCE_HEADER, str(number))]
    assert (len(decoder.known), len(decoder._heads)) == (0, 1)
