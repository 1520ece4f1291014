"""The tables of states: every state with every input, in the tables and on real connections."""

from __future__ import annotations

import itertools
from enum import IntEnum
from typing import Any

import pytest

from grpclab.http2 import frames
from grpclab.http2.client import ClientConnection
from grpclab.http2.connection import PLACES, open_row
from grpclab.http2.exchange import Call
from grpclab.http2.frames import CONTINUATION, GOAWAY, HEADERS, PRIORITY, PUSH_PROMISE, RST_STREAM, ErrorCode
from grpclab.http2.messages import prefixed
from grpclab.http2.protocol_errors import PeerError, ProtocolError, StreamError
from grpclab.http2.server import ServerConnection
from grpclab.http2.states import (
    ANSWER,
    CONNECTION,
    REQUEST,
    AnswerInput,
    AnswerState,
    ConnectionState,
    FrameInput,
    RequestInput,
    RequestState,
    TransitionTable,
    frame_input,
)
from tests.support.http2_client_help import STREAMING, reset_codes, status
from tests.support.http2_peer import BEGIN, HELLO, OK, answer, begin, block, cut, fresh, ready, start, trailers
from tests.support.http2_server_help import HEADERS as REQUEST_HEADERS
from tests.support.http2_server_help import REPLY, make_server, ready_server, request

TABLES: dict[str, tuple[TransitionTable[Any, Any, Any], type[IntEnum], type[IntEnum]]] = {
    "connection": (CONNECTION, ConnectionState, FrameInput),
    "answer": (ANSWER, AnswerState, AnswerInput),
    "request": (REQUEST, RequestState, RequestInput),
}
Side = ClientConnection | ServerConnection


def pairs(states: type[IntEnum], inputs: type[IntEnum]) -> list[tuple[Any, Any]]:
    return list(itertools.product(states, inputs))


# ---- the tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_every_state_and_input_has_a_transition_or_is_an_error_of_its_stream(name: str) -> None:
    table, states, inputs = TABLES[name]
    assert set(table.transitions) <= set(pairs(states, inputs))
    for state, given in pairs(states, inputs):
        if (state, given) in table.transitions:
            action, after = table.transitions[state, given]
            assert table.step(state, given) == (action, after)
            assert after in states
        else:
            with pytest.raises(PeerError) as caught:
                table.step(state, given, 7)
            assert caught.value.stream_id == 7
            assert caught.value.code in (ErrorCode.PROTOCOL_ERROR, ErrorCode.STREAM_CLOSED)


def test_a_connection_that_is_over_takes_no_frame_and_every_other_can_end() -> None:
    for state in ConnectionState:
        ends = (state, FrameInput.END) in CONNECTION.transitions
        takes = any((state, given) in CONNECTION.transitions for given in FrameInput)
        assert ends == takes == (state is not ConnectionState.CLOSED)


def test_every_frame_is_one_input_whatever_its_flags() -> None:
    seen = {frame_input(kind, flags) for kind in range(256) for flags in range(256)}
    assert seen == set(FrameInput) - {FrameInput.END}
    assert {frame_input(kind, 0) for kind in range(10, 256)} == {FrameInput.UNKNOWN}


@pytest.mark.parametrize("side", [ClientConnection, ServerConnection])
def test_the_row_of_an_open_connection_has_what_the_table_says(side: type[Side]) -> None:
    row = open_row(side)
    for kind, flags in itertools.product(range(11), range(256)):
        found = CONNECTION.transitions.get((ConnectionState.OPEN, frame_input(kind, flags)))
        stays = found is not None and found[1] is ConnectionState.OPEN
        place = kind | (flags & frames.END_HEADERS) << 2
        assert place < PLACES
        assert (row[place].__name__ != "step") == stays


# ---- a connection ------------------------------------------------------------------------------------------------

LAST_BLOCK = block(OK)


def frame_of(given: FrameInput) -> bytes:
    """A frame without a fault, on stream 1 where it is a stream's."""
    return {
        FrameInput.DATA: frames.data(1, HELLO, end=False),
        FrameInput.HEADERS_PART: frames.frame(HEADERS, frames.END_STREAM, 1, LAST_BLOCK[:3]),
        FrameInput.WHOLE_HEADERS: frames.headers(1, LAST_BLOCK, end=True),
        FrameInput.PRIORITY: frames.frame(PRIORITY, 0, 1, bytes(5)),
        FrameInput.RST_STREAM: frames.rst_stream(1, ErrorCode.CANCEL),
        FrameInput.SETTINGS: frames.settings({}),
        FrameInput.PUSH_PROMISE: frames.frame(PUSH_PROMISE, frames.END_HEADERS, 1, bytes(4) + LAST_BLOCK),
        FrameInput.PING: frames.ping(b"12345678"),
        FrameInput.GOAWAY: frames.goaway(1, ErrorCode.NO_ERROR),
        FrameInput.WINDOW_UPDATE: frames.window_update(0, 1),
        FrameInput.CONTINUATION_PART: frames.frame(CONTINUATION, 0, 1, b""),
        FrameInput.LAST_CONTINUATION: frames.frame(CONTINUATION, frames.END_HEADERS, 1, LAST_BLOCK[3:]),
        FrameInput.UNKNOWN: frames.frame(99, 0, 0, b"x"),
    }[given]


def in_state(side: type[Side], state: ConnectionState) -> Side:
    """A client with a call whose answer has begun, or a server with a request that has; stream 1, in any but GREETING.

    Trailers may follow on it.
    """
    connection: Side
    if side is ClientConnection:
        connection = fresh(STREAMING)
        connection.start(Call())
        opening = begin(1)
    else:
        connection = make_server()
        connection.receive(frames.PREFACE)
        opening = frames.headers(1, block(REQUEST_HEADERS), end=False)
    if state is not ConnectionState.GREETING:
        connection.receive(frames.settings({}) + frames.SETTINGS_ACK + opening)
    if state is ConnectionState.BLOCK:
        connection.receive(frame_of(FrameInput.HEADERS_PART))
    elif state is ConnectionState.CLOSED:
        connection.abort(ErrorCode.NO_ERROR, "enough")
    connection.take()
    assert connection.connection._state == state
    return connection


FRAMES = [given for given in FrameInput if given is not FrameInput.END]


@pytest.mark.parametrize("side", [ClientConnection, ServerConnection])
@pytest.mark.parametrize(("state", "given"), list(itertools.product(ConnectionState, FRAMES)))
def test_a_connection_follows_its_table(side: type[Side], state: ConnectionState, given: FrameInput) -> None:
    for cuts in (range(0), range(1, 9)):  # whole, and a byte at a time
        connection, frame = in_state(side, state), frame_of(given)
        for begin_at, end_at in itertools.pairwise((0, *cuts, len(frame))):
            connection.receive(frame[begin_at:end_at])
        transition = CONNECTION.transitions.get((state, given))
        if state is ConnectionState.CLOSED:
            assert (connection.connection._state, connection.take()) == (state, b"")
        elif transition is not None:
            assert connection.closed is None
            assert connection.connection._state == transition[1]
        else:
            assert connection.connection._state == ConnectionState.CLOSED
            error = connection.connection.error
            assert type(error) is ProtocolError
            assert (error.code, error.stream_id) == (ErrorCode.PROTOCOL_ERROR, int.from_bytes(frame[5:9], "big"))
            assert [f.kind for f in cut(connection.take())] == [GOAWAY]


@pytest.mark.parametrize("side", [ClientConnection, ServerConnection])
@pytest.mark.parametrize("state", ConnectionState)
def test_a_connection_can_be_lost_in_every_state(side: type[Side], state: ConnectionState) -> None:
    connection = in_state(side, state)
    reason = connection.closed or "lost"
    connection.connection_lost("lost")
    assert (connection.closed, connection.connection._state) == (reason, ConnectionState.CLOSED)
    assert connection.connection_lost("again") == []


# ---- an answer ---------------------------------------------------------------------------------------------------

ANSWER_STATES = {
    AnswerState.NOTHING: b"",
    AnswerState.BEGUN: begin(1),
    AnswerState.DATA: begin(1) + frames.data(1, HELLO, end=False),
    AnswerState.OVER: answer(1),
}
ANSWER_FRAMES = {
    AnswerInput.INFORMATIONAL: begin(1, [(":status", "103")]),
    AnswerInput.BEGINNING: begin(1),
    AnswerInput.FOREIGN: begin(1, [(":status", "404")]),
    AnswerInput.MALFORMED: begin(1, [*BEGIN, ("a-bin", "!")]),
    AnswerInput.TRAILERS: trailers(1),
    AnswerInput.DATA: frames.data(1, HELLO, end=False),
    AnswerInput.LAST_DATA: frames.data(1, HELLO, end=True),
}


@pytest.mark.parametrize(("state", "given"), pairs(AnswerState, AnswerInput))
def test_an_answer_follows_its_table(state: AnswerState, given: AnswerInput) -> None:
    client = ready(STREAMING)
    (call,) = start(client)
    client.receive(ANSWER_STATES[state])
    assert call.state == state
    client.receive(ANSWER_FRAMES[given])
    transition = ANSWER.transitions.get((state, given))
    assert client.closed is None
    if state is AnswerState.OVER:  # what is under way is thrown away
        assert (call.state, status(call), reset_codes(client)) == (state, "OK", {})
    elif transition is not None:
        assert call.state == transition[1]
        assert (call.status >= 0) == (call.stream_id not in client.calls) == (transition[1] is AnswerState.OVER)
    else:
        assert ANSWER.violation(state).__class__ is StreamError
        assert (status(call), reset_codes(client)) == ("INTERNAL", {1: ANSWER.violation(state).code})
        assert call.state == AnswerState.OVER


# ---- a request ---------------------------------------------------------------------------------------------------


def server_in(state: RequestState) -> ServerConnection:
    """A server whose stream 1 is in that state."""
    server = ready_server()
    if state is RequestState.OPEN:
        server.receive(frames.headers(1, block(REQUEST_HEADERS), end=False))
    elif state is RequestState.RESET:
        server.receive(request(1, headers=[*REQUEST_HEADERS, REQUEST_HEADERS[0]]))
    elif state is not RequestState.IDLE:
        (stream,) = server.receive(request(1))
        if state is RequestState.CLOSED:
            server.answers.reply(stream, REPLY)
    server.take()
    return server


@pytest.mark.parametrize(("state", "given"), pairs(RequestState, RequestInput))
def test_a_request_follows_its_table(state: RequestState, given: RequestInput) -> None:
    server = server_in(state)
    assert server._calls.state(1) is state
    fields = block(REQUEST_HEADERS if state is RequestState.IDLE else [("x", "y")])
    said = {
        RequestInput.HEADERS: frames.headers(1, fields, end=False),
        RequestInput.LAST_HEADERS: frames.headers(1, fields, end=True),
        RequestInput.DATA: frames.data(1, prefixed(b"a"), end=False),
        RequestInput.LAST_DATA: frames.data(1, prefixed(b"a"), end=True),
    }[given]
    news = server.receive(said)
    transition = REQUEST.transitions.get((state, given))
    error = None if transition is not None else REQUEST.violation(state)
    if transition is not None:
        assert (server.closed, server._calls.state(1)) == (None, transition[1])
        assert [stream.cancelled for stream in news] == [""] * (transition[1] is RequestState.HALF_CLOSED)
    elif isinstance(error, StreamError):
        assert server.closed is None
        resets = [(f.stream_id, f.body[-1]) for f in cut(server.take()) if f.kind == RST_STREAM]
        assert resets == [(1, error.code)]
        assert server._calls.state(1) is RequestState.RESET
        assert [stream.cancelled.partition(":")[0] for stream in news] == [error.code.name]
    else:
        assert error is not None
        assert server.connection.error is not None
        assert (server.connection.error.code, server.connection.error.stream_id) == (error.code, 1)
        assert str(server.closed).startswith(error.code.name)
