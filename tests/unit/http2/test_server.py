"""The server's side of HTTP/2 in memory: against our own client, against `h2` as the client, and frame by frame."""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2 import frames, messages
from grpclab.http2.exchange import Call
from grpclab.http2.frames import Setting
from grpclab.http2.headers import RESIDENCE_HEADER
from grpclab.http2.messages import prefixed
from grpclab.http2.replies import Reply
from grpclab.http2.server import ServerConnection
from grpclab.http2.streams import Stream
from tests.support.http2_peer import block, cut
from tests.support.http2_server_help import (
    HEADERS,
    REPLY,
    WatchingServer,
    client,
    make_server,
    ready_server,
    request,
    respond,
    talk,
)

# ---- with our own client -------------------------------------------------------------------------------------


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
    respond(server, stream, (b"Hello!",), (("told", "truth"),))
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
            server.answers.reply(stream, REPLY, b"%d" % (10**stream.stream_id % 10**15))
        _, ended = talk(ours, server)
        assert {call.status for call in ended} == {messages.OK}
        told = {call.stream_id: int(dict(call.trailers)[RESIDENCE_HEADER]) for call in ended}
        assert told == {call.stream_id: 10**call.stream_id % 10**15 for call in calls}
    assert server.fast_path.usual, "the requests were not recognised"


def test_a_request_like_the_usual_one_but_for_its_message_is_its_own() -> None:
    server = ready_server()
    batch = b"".join(request(number) for number in range(1, 81, 2))
    assert len(server.receive(batch)) == 40
    assert server.fast_path.usual
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
                server.answers.send_message(stream, b"x" * size)
                talk(ours, server)
            server.answers.finish(stream)
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
        server.answers.reply(stream, Reply(b"x" * size, stamp="told"), b"12")
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
    server.answers.reply(stream, REPLY)
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
    server.answers.send_message(stream, b"Hello!")
    ours.receive(server.take())  # one byte of it
    ours.cancel(call.stream_id)
    news, _ = talk(ours, server)
    assert news == [stream]
    assert stream.cancelled == "RST_STREAM CANCEL"
    assert server.streams == {}
    ours.start(Call())
    news, _ = talk(ours, server)
    server.answers.reply(news[0], REPLY)
    _, ended = talk(ours, server)
    assert ended[0].status == messages.OK


def test_a_connection_that_is_lost_cancels_what_is_open() -> None:
    server = ready_server()
    (stream,) = server.receive(request(1))
    assert server.connection_lost("gone") == [stream]
    assert stream.cancelled == "gone"
    assert server.finished


def heard(stream: Stream) -> tuple[tuple[bytes, ...], bool]:
    return tuple(stream.received), stream.half_closed


def test_messages_are_told_as_they_come_where_that_is_wanted() -> None:
    server = ready_server(WatchingServer)
    (stream,) = server.receive(frames.headers(1, block(HEADERS), end=False))
    assert heard(stream) == ((), False)
    assert server.receive(frames.data(1, prefixed(b"a") + prefixed(b"b")[:3], end=False)) == [stream]
    assert heard(stream) == ((b"a",), False)
    stream.received = ()
    server.answers.send_message(stream, b"so far")
    assert server.receive(frames.data(1, prefixed(b"b")[3:], end=False)) == [stream]
    assert server.receive(frames.data(1, b"", end=True)) == [stream]
    assert heard(stream) == ((b"b",), True)


# ---- with h2 as the client -----------------------------------------------------------------------------------


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
            server.answers.reply(stream, Reply(answers[0], stamp="told"), b"%d" % index)
        else:
            respond(server, stream, answers, (("told", f"{index}"),))
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
    server.answers.finish(stream, 9, f" {text}")
    theirs.talk(server)
    (said,) = theirs.headers[1]
    assert dict(said)["grpc-status"] == "9"
    assert messages.decode_text(dict(said)["grpc-message"]) == f" {text}"


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
        server.answers.reply(open_stream, REPLY)
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
