"""The server's side of HTTP/2 in memory: against our own client, against `h2` as the client, and frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from http2_peer import block, cut
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2 import frames, messages
from grpclab.http2.client import Call, ClientConnection, Request
from grpclab.http2.control import MAX_IDLE_FRAMES
from grpclab.http2.frames import ErrorCode, Setting
from grpclab.http2.headers import CACHED_BLOCKS, RESIDENCE_HEADER, BlockDecoder, literal
from grpclab.http2.messages import prefixed
from grpclab.http2.replies import Reply
from grpclab.http2.server import ServerConnection, Stream

WINDOW = 1 << 20
HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/a.B/C"),
    (":authority", "here:1"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
]
REPLY = Reply(b"Hello!", stamp=RESIDENCE_HEADER)


def make_server(**given: Any) -> ServerConnection:
    return ServerConnection(**{"stream_window": WINDOW, "connection_window": WINDOW, **given})


def client(payload: bytes = b"world", *, window: int = WINDOW, **request: Any) -> ClientConnection:
    return ClientConnection(
        Request(path="/a.B/C", authority="here:1", payload=payload, **request),
        stream_window=window,
        connection_window=window,
    )


def talk(ours: ClientConnection, server: ServerConnection) -> tuple[list[Stream], list[Call]]:
    """Carry bytes to and fro until both are silent; what the server and what the client was told."""
    news: list[Stream] = []
    ended: list[Call] = []
    while ours.outgoing or server.outgoing:
        news += server.receive(ours.take())
        ended += ours.receive(server.take())
    return news, ended


def ready_server(**given: Any) -> ServerConnection:
    """A server whose client has sent its preface and has acknowledged the server's settings."""
    server = make_server(**given)
    assert server.receive(frames.PREFACE + frames.settings({}) + frames.SETTINGS_ACK) == []
    server.take()
    return server


def request(stream_id: int, *, headers: Sequence[tuple[str, str]] = HEADERS, body: bytes = prefixed(b"world")) -> bytes:
    return frames.headers(stream_id, block(headers), end=False) + frames.data(stream_id, body, end=True)


def changed(**headers: str | None) -> list[tuple[str, str]]:
    """The usual headers but for these (`_` stands for `-`, a leading one for `:`); None leaves one out."""
    wanted = {(":" if name[0] == "_" else "") + name.strip("_").replace("_", "-"): v for name, v in headers.items()}
    kept = [(name, wanted.pop(name, value)) for name, value in HEADERS]
    return [(name, value) for name, value in [*kept, *wanted.items()] if value is not None]


# ---- with our own client -----------------------------------------------------------------------------------------


def test_a_request_comes_with_what_was_asked_and_its_answer_with_what_was_said() -> None:
    ours, server = client(metadata=(("tenant", "a"),), timeout_s=1.5), make_server()
    talk(ours, server)
    call = Call()
    assert ours.start(call)
    (stream,), _ = talk(ours, server)
    assert stream.request.path == "/a.B/C"
    assert stream.request.timeout_s == 1.5
    assert ("tenant", "a") in stream.request.headers
    assert stream.messages == (b"world",)
    assert stream.half_closed
    server.respond(stream, (b"Hello!",), further=(("told", "truth"),))
    assert talk(ours, server) == ([], [call])
    assert (call.status, call.messages, dict(call.trailers)["told"]) == (messages.OK, 1, "truth")
    assert server.streams == {}


def test_calls_that_are_all_alike_are_told_apart_and_answered_each_with_its_own_stamp() -> None:
    ours, server = client(), make_server()
    talk(ours, server)
    for batch in (1, 3, 40, 2, 40):
        calls = [Call() for _ in range(batch)]
        for call in calls:
            ours.start(call)
        news, _ = talk(ours, server)
        assert [stream.stream_id for stream in news] == [call.stream_id for call in calls]
        assert {stream.messages for stream in news} == {(b"world",)}
        for stream in reversed(news):
            server.reply(stream, REPLY, b"%d" % (10**stream.stream_id % 10**15))
        _, ended = talk(ours, server)
        assert {call.status for call in ended} == {messages.OK}
        told = {call.stream_id: int(dict(call.trailers)[RESIDENCE_HEADER]) for call in ended}
        assert told == {call.stream_id: 10**call.stream_id % 10**15 for call in calls}
    assert server._usual, "the requests were not recognised"


def test_a_request_like_the_usual_one_but_for_its_message_is_its_own() -> None:
    server = ready_server()
    batch = b"".join(request(number) for number in range(1, 81, 2))
    assert len(server.receive(batch)) == 40
    assert server._usual
    (other, same) = server.receive(request(81, body=prefixed(b"WORLD")) + request(83))
    assert (other.messages, same.messages) == ((b"WORLD",), (b"world",))


def test_an_answer_in_pieces_is_put_together_whatever_the_windows() -> None:
    for window in (1, 1000, 1 << 20):
        ours, server = client(window=window, server_streaming=True), make_server()
        talk(ours, server)
        calls = [Call(), Call()]
        for call in calls:
            ours.start(call)
        news, _ = talk(ours, server)
        for stream in news:
            for size in (0, 1, 2_000, 70):
                server.send_message(stream, b"x" * size)
                talk(ours, server)
            server.finish(stream)
        talk(ours, server)
        assert [(call.status, call.messages) for call in calls] == [(messages.OK, 4)] * 2
        assert server.streams == {}


@pytest.mark.parametrize("size", [16_379, 16_380, 100_000, 1_000_000])
def test_large_answers_wait_for_the_clients_windows(size: int) -> None:
    ours, server = client(window=65_535), make_server()
    talk(ours, server)
    calls = [Call() for _ in range(3)]
    for call in calls:
        ours.start(call)
    news, _ = talk(ours, server)
    for stream in news:
        server.reply(stream, Reply(b"x" * size, stamp="told"), b"12")
    if size >= 100_000:
        assert all(stream.blocked for stream in news)
        in_the_air = sum(len(frame.body) for frame in cut(b"".join(server.outgoing)) if frame.kind == frames.DATA)
        assert in_the_air == 65_535
    talk(ours, server)
    assert [(call.status, call.messages, dict(call.trailers)["told"]) for call in calls] == [(0, 1, "12")] * 3
    assert server.streams == {}


def test_large_requests_wait_for_the_servers_windows() -> None:
    payload = bytes(range(256)) * 2_000
    ours, server = client(payload), make_server(stream_window=1_000, connection_window=65_535)
    talk(ours, server)
    for _ in range(2):
        ours.start(Call())
    news, _ = talk(ours, server)
    assert [stream.messages for stream in news] == [(payload,)] * 2


def test_a_window_that_the_client_takes_back_and_gives_again() -> None:
    server = ready_server()
    server.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 5}))
    (stream,) = server.receive(request(1))
    server.take()
    server.reply(stream, REPLY)
    assert [len(f.body) for f in cut(server.take()) if f.kind == frames.DATA] == [5]
    server.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 0}))  # the window is -5 now
    server.receive(frames.window_update(1, 5))
    assert [f for f in cut(server.take()) if f.kind == frames.DATA] == []
    server.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 100}))
    *_, data, last = cut(server.take())
    assert (len(data.body), last.flags & frames.END_STREAM) == (REPLY.size - 5, 1)


def test_a_cancelled_call_is_told_and_its_answer_forgotten() -> None:
    ours, server = client(window=1), make_server()
    talk(ours, server)
    call = Call()
    ours.start(call)
    (stream,), _ = talk(ours, server)
    server.send_message(stream, b"Hello!")
    ours.receive(server.take())  # one byte of it
    ours.cancel(call, messages.CANCELLED)
    news, _ = talk(ours, server)
    assert news == [stream]
    assert stream.cancelled == "RST_STREAM CANCEL"
    assert server.streams == {}
    ours.start(Call())
    news, _ = talk(ours, server)
    server.reply(news[0], REPLY)
    _, ended = talk(ours, server)
    assert ended[0].status == messages.OK


def test_a_connection_that_is_lost_cancels_what_is_open() -> None:
    server = ready_server()
    (stream,) = server.receive(request(1))
    assert server.connection_lost("gone") == [stream]
    assert stream.cancelled == "gone"
    assert server.finished


def heard(stream: Stream) -> tuple[tuple[bytes, ...], bool]:
    return stream.messages, stream.half_closed


def test_messages_are_told_as_they_come_where_that_is_wanted() -> None:
    server = ready_server(watch_messages=True)
    (stream,) = server.receive(frames.headers(1, block(HEADERS), end=False))
    assert heard(stream) == ((), False)
    assert server.receive(frames.data(1, prefixed(b"a") + prefixed(b"b")[:3], end=False)) == [stream]
    assert heard(stream) == ((b"a",), False)
    stream.messages = ()
    server.send_message(stream, b"so far")
    assert server.receive(frames.data(1, prefixed(b"b")[3:], end=False)) == [stream]
    assert server.receive(frames.data(1, b"", end=True)) == [stream]
    assert heard(stream) == ((b"b",), True)


# ---- with h2 as the client ---------------------------------------------------------------------------------------


class H2Client:
    """The `h2` package's client, and what it was told: headers, body and trailers of each stream."""

    def __init__(self) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.headers: dict[int, list[list[tuple[str, str]]]] = {}
        self.events: list[h2.events.Event] = []

    def call(self, stream_id: int, body: bytes = prefixed(b"world"), headers: Any = HEADERS) -> None:
        self.h2.send_headers(stream_id, headers)
        self.h2.send_data(stream_id, body, end_stream=True)

    def talk(self, server: ServerConnection) -> list[Stream]:
        news: list[Stream] = []
        while (out := self.h2.data_to_send()) or server.outgoing:
            news += server.receive(out)
            for event in self.h2.receive_data(server.take()):
                self._note(event)
        return news

    def _note(self, event: Any) -> None:
        self.events.append(event)
        if isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] = self.bodies.get(event.stream_id, b"") + event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            said = [(str(name), str(value)) for name, value in event.headers]
            self.headers.setdefault(event.stream_id, []).append(said)


@given(
    st.lists(st.tuples(st.binary(max_size=3_000), st.lists(st.binary(max_size=40_000), max_size=3)), max_size=6),
    st.sampled_from([1, 100, 65_535]),
)
def test_h2_agrees_on_every_answer(calls: list[tuple[bytes, list[bytes]]], window: int) -> None:
    theirs, server = H2Client(), make_server(stream_window=window)
    theirs.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10_000})
    theirs.talk(server)
    for index, (question, answers) in enumerate(calls):
        stream_id = 2 * index + 1
        theirs.h2.send_headers(stream_id, HEADERS)
        body, sent, news = prefixed(question), 0, []
        while sent < len(body):
            allowed = min(len(body) - sent, theirs.h2.local_flow_control_window(stream_id), 16_384)
            assert allowed
            theirs.h2.send_data(stream_id, body[sent : sent + allowed])
            sent += allowed
            news += theirs.talk(server)
        theirs.h2.end_stream(stream_id)
        news += theirs.talk(server)
        (stream,) = news
        assert stream.messages == (question,)
        if len(answers) == 1:
            server.reply(stream, Reply(answers[0], stamp="told"), b"%d" % index)
        else:
            server.respond(stream, tuple(answers), further=(("told", f"{index}"),))
        assert theirs.talk(server) == []
        assert theirs.bodies.get(stream_id, b"") == b"".join(map(prefixed, answers))
        parts = theirs.headers[stream_id]
        said = [pair for part in parts for pair in part]
        assert said[:2] == [(":status", "200"), ("content-type", "application/grpc")]
        assert said[2:] == [("grpc-status", "0"), ("told", f"{index}")]
    assert server.closed is None
    assert server.streams == {}


def test_h2_gets_a_refusal_in_one_block_and_a_text_with_every_character() -> None:
    theirs, server = H2Client(), make_server()
    theirs.talk(server)
    theirs.call(1)
    (stream,) = theirs.talk(server)
    text = "größer als 100 %, " * 100
    server.finish(stream, 9, f" {text}")
    theirs.talk(server)
    (said,) = theirs.headers[1]
    assert dict(said)["grpc-status"] == "9"
    assert messages.decode_text(dict(said)["grpc-message"]) == text.strip()


def test_h2_sees_both_goaways_and_its_last_call_is_answered() -> None:
    theirs, server = H2Client(), make_server()
    theirs.talk(server)
    theirs.call(1)
    (stream,) = theirs.talk(server)
    server.shut_down()
    server.shut_down()
    said = server.take()
    away = [int.from_bytes(frame.body[:4], "big") for frame in cut(said) if frame.kind == frames.GOAWAY]
    assert away == [frames.MAX_STREAM_ID]
    theirs.call(3)  # sent before the client has read it
    (late,) = server.receive(theirs.h2.data_to_send())
    assert not server.finished
    assert server.receive(frames.ping(b"leaving!", ack=True)) == []
    away = [int.from_bytes(frame.body[:4], "big") for frame in cut(server.take()) if frame.kind == frames.GOAWAY]
    assert away == [3]
    assert server.receive(request(5)) == [], "it is above the last id, so it is not looked at"
    for open_stream in (stream, late):
        assert not server.finished
        server.reply(open_stream, REPLY)
    assert server.finished
    assert server.closed is None


def test_a_client_that_answers_no_ping_is_left_too() -> None:
    server = ready_server()
    server.shut_down()
    assert not server.finished
    server.leave()
    server.leave()
    assert server.finished
    assert [f.kind for f in cut(server.take())] == [frames.GOAWAY, frames.PING, frames.GOAWAY]


# ---- limits ------------------------------------------------------------------------------------------------------


def test_streams_beyond_the_limit_are_refused_and_may_come_again() -> None:
    server = ready_server(max_streams=2)
    news = server.receive(b"".join(map(request, (1, 3, 5, 7))))
    assert [stream.stream_id for stream in news] == [1, 3]
    said = list(cut(server.take()))
    resets = {(f.stream_id, int.from_bytes(f.body, "big")) for f in said if f.kind == frames.RST_STREAM}
    assert resets == {(5, ErrorCode.REFUSED_STREAM), (7, ErrorCode.REFUSED_STREAM)}
    server.reply(news[0], REPLY)
    assert [stream.stream_id for stream in server.receive(request(9))] == [9]
    assert server.closed is None


def test_the_limit_holds_for_the_usual_requests_too() -> None:
    server = ready_server(max_streams=50)
    for first in range(1, 101, 50):
        for stream in server.receive(b"".join(map(request, range(first, first + 50, 2)))):
            server.reply(stream, REPLY)
    assert server._usual
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
        server.reply(stream, REPLY, b"1")
    talk(ours, server)
    assert {call.status for call in calls} == {messages.OK}


# ---- requests that are wrong -------------------------------------------------------------------------------------


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
        (frames.ping(b"flooding") * (MAX_IDLE_FRAMES + 1), ErrorCode.ENHANCE_YOUR_CALM, "to no purpose"),
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
    server.reply(stream, REPLY)
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
    assert server.closed == "PROTOCOL_ERROR: this is no HTTP/2: the client's preface is missing"


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


# ---- trailers of which no two are alike --------------------------------------------------------------------------

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
