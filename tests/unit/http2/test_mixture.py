"""Header blocks of several requests from one encoder, and the connection that sends them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived
from h2.settings import SettingCodes
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2.exchange import Request
from grpclab.http2.headers import HeaderList, RequestHeaders, literal_fields
from grpclab.http2.messages import OK, UNIMPLEMENTED, prefixed
from grpclab.http2.mixture import MixedConnection, MixedRequests
from grpclab.load.engines.http2_protocol import WireCall

names = st.from_regex("[a-z][a-z0-9-]{0,12}", fullmatch=True)
header_lists = st.lists(st.tuples(names, st.text("abcXYZ 019/%.", max_size=40)), min_size=1, max_size=6)


def decoded(decoder: Decoder, block: bytes) -> HeaderList:
    return [(str(name), str(value)) for name, value in decoder.decode(block)]


@given(
    st.lists(header_lists, min_size=1, max_size=4),
    st.lists(st.integers(0, 3), max_size=30),
    st.sampled_from([4096, 200, 0]),
)
def test_each_block_is_understood_in_whatever_order_they_come(
    lists: list[HeaderList], order: list[int], table: int
) -> None:
    headers, decoder = RequestHeaders(*lists), Decoder()
    headers.limit_table(table)
    for number in (each % len(lists) for each in order):
        assert decoded(decoder, headers.block(number)) == lists[number]


@given(st.lists(header_lists, min_size=1, max_size=4), st.permutations(range(4)))
def test_once_all_are_known_their_bytes_stay_the_same(lists: list[HeaderList], order: Sequence[int]) -> None:
    headers = RequestHeaders(*lists)
    for _ in range(3):
        for number in (each for each in order if each < len(lists)):
            headers.block(number)
    assert all(headers.steady(number) for number in range(len(lists)))
    steady = {number: headers.block(number) for number in range(len(lists))}
    for number in (0, len(lists) - 1, 0):
        assert headers.block(number) == steady[number]


def test_a_smaller_table_of_the_peer_makes_blocks_anew() -> None:
    lists = [[("a", "1" * 100), ("b", "2" * 100)], [("a", "1" * 100), ("c", "3" * 100)]]
    headers, decoder = RequestHeaders(*lists), Decoder()
    for number in (0, 1, 0, 1):
        decoded(decoder, headers.block(number))
    before = headers.block(0)
    headers.limit_table(100)
    assert headers.steady(0) is None
    for number in (0, 1, 0, 1):
        assert decoded(decoder, headers.block(number)) == lists[number]
    assert headers.block(0) != before


PATHS = ("/a.Shop/Buy", "/a.Shop/Watch", "/a.Shop/List")


class Ends:
    """A mixed connection, and a server on `h2` at its other end."""

    def __init__(
        self,
        turns: list[tuple[int, bytes, bytes]],
        *,
        streams: Sequence[int] = (),
        settings: dict[SettingCodes, int] | None = None,
    ) -> None:
        requests = [
            Request(path=path, authority="x", payload=b"", server_streaming=at in streams, metadata=(("x-of", path),))
            for at, path in enumerate(PATHS)
        ]
        self.client = MixedConnection(
            Request(path=PATHS[0], authority="x", payload=b"", server_streaming=bool(streams)),
            streams=[one.server_streaming for one in requests],
            prepare=partial(MixedRequests, requests=requests, turns=itertools.cycle(turns)),
            user_agent="test",
            stream_window=1 << 20,
            connection_window=1 << 20,
            watch_messages=bool(streams),
        )
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.h2.update_settings(settings or {})
        self.requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self.exchange()

    def exchange(self) -> None:
        """Let all bytes arrive at their other end."""
        for _ in range(12):
            for event in self.h2.receive_data(self.client.take()):
                if isinstance(event, RequestReceived):
                    self.requests[event.stream_id] = ({str(n): str(v) for n, v in event.headers}, bytearray())
                elif isinstance(event, DataReceived):
                    self.requests[event.stream_id][1].extend(event.data)
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.client.receive(self.h2.data_to_send())

    def call(self, count: int) -> list[WireCall]:
        """Make so many calls."""
        calls = [WireCall() for _ in range(count)]
        assert all(self.client.start(call) for call in calls)
        self.exchange()
        return calls

    def answer(self, call: WireCall, messages: int) -> None:
        """Answer with so many messages, and OK."""
        self.h2.send_headers(call.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
        for _ in range(messages):
            self.h2.send_data(call.stream_id, prefixed(b"x"))
        self.h2.send_headers(call.stream_id, [("grpc-status", "0")], end_stream=True)
        self.exchange()


def sent(ends: Ends) -> list[tuple[str, str, str | None, bytes]]:
    """What came: the path, the metadata of the request and of the call, and the message."""
    return [
        (headers[":path"], headers["x-of"], headers.get("x-call"), bytes(body))
        for headers, body in ends.requests.values()
    ]


@pytest.mark.parametrize("settings", [{}, {SettingCodes.HEADER_TABLE_SIZE: 0}, {SettingCodes.INITIAL_WINDOW_SIZE: 100}])
def test_each_call_is_the_turn_it_was_given(settings: dict[SettingCodes, int]) -> None:
    turns = [
        (0, prefixed(b"a" * 3), b""),
        (2, prefixed(b"b" * 500), b""),
        (1, prefixed(b""), b""),
        (0, prefixed(b"c"), b""),
    ]
    ends = Ends(turns, settings=settings)
    calls = ends.call(40)
    assert [call.number for call in calls[:4]] == [0, 2, 1, 0]
    assert sent(ends) == [(PATHS[number], PATHS[number], None, body) for number, body, _ in turns] * 10


def test_further_headers_are_those_of_the_turn() -> None:
    turns = [(0, prefixed(b"a"), literal_fields([("x-call", str(number))])) for number in range(5)]
    ends = Ends([*turns, (1, prefixed(b"b"), b"")])
    ends.call(12)
    one = [(PATHS[0], PATHS[0], str(number), prefixed(b"a")) for number in range(5)]
    assert sent(ends) == [*one, (PATHS[1], PATHS[1], None, prefixed(b"b"))] * 2


def test_a_call_that_is_sent_again_is_the_same() -> None:
    ends = Ends([(0, prefixed(b"a"), b""), (1, prefixed(b"b"), b"")])
    (first,) = ends.call(1)
    again = WireCall()
    again.number, again.request = first.number, first.request
    assert ends.client.start(again)
    ends.call(1)
    assert [path for path, *_ in sent(ends)] == [PATHS[0], PATHS[0], PATHS[1]]


def test_a_unary_answer_has_one_message_and_a_stream_any_number() -> None:
    ends = Ends([(0, prefixed(b""), b""), (1, prefixed(b""), b"")], streams=[1])
    for messages, statuses in ((1, (OK, OK)), (3, (UNIMPLEMENTED, OK)), (0, (UNIMPLEMENTED, OK))):
        calls = ends.call(2)
        for call in calls:
            ends.answer(call, messages)
        assert tuple(call.status for call in calls) == statuses, messages


def test_where_there_is_no_room_nothing_is_taken() -> None:
    ends = Ends([(0, prefixed(b""), b"")], settings={SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    ends.call(1)
    late = WireCall()
    assert not ends.client.start(late)
    assert (late.request, late.stream_id) == (b"", 0)
