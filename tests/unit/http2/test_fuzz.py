"""The client's core against exchanges nobody wrote down: the fast way changes nothing, nor does the cutting of bytes;
garbage ends calls, never the process; and `h2`, another implementation, agrees with what is sent and received."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from unittest import mock

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from grpclab.http2 import fast_path, frames, header_blocks
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request, UsualAnswer
from grpclab.http2.frames import CONTINUATION, DATA, HEADERS, PING, SETTINGS, WINDOW_UPDATE
from grpclab.http2.messages import prefixed
from grpclab.status import OK
from tests.support.http2_peer import BEGIN, HELLO, REQUEST, Headers, cut, start

Answer = tuple[tuple[bytes, ...], dict[int, int]]
Ended = tuple[int, int, str, int, bool, tuple[tuple[str, str], ...]]

PROFILE = settings(max_examples=120)


# ---- exchanges by hand, with every freedom that a server has ---------------------------------------------------


class Server:
    """Writes answers; remembers what each means."""

    def __init__(self, draw: st.DataObject) -> None:
        self.draw = draw
        self.encoder = Encoder()
        self.huffman = draw.draw(st.booleans(), label="Huffman coding")
        self.kinds = draw.draw(
            st.lists(
                st.tuples(
                    st.sampled_from(["whole", "whole", "split", "padded", "continued", "hinted", "alone"]),
                    st.sampled_from(["0", "0", "0", "5", "none"]),
                    st.sampled_from([(b"hello",), (b"hello",), (b"",), (b"x" * 300,), (b"a", b"b"), ()]),
                    st.sampled_from(["", "1", "2", "10"]),
                ),
                min_size=1,
                max_size=3,
            ),
            label="kinds of answer",
        )

    def block(self, headers: Headers) -> bytes:
        return bytes(self.encoder.encode(list(headers), huffman=self.huffman))

    def headers(self, stream_id: int, block: bytes, *, end: bool, how: str) -> bytes:
        """One header block, in one or several frames that must stay together."""
        flags = frames.END_STREAM if end else 0
        if how == "padded":
            return frames.frame(HEADERS, flags | 0x2C, stream_id, b"\x02\0\0\0\0\x09" + block + b"\0\0")
        if how == "continued":
            first = frames.frame(HEADERS, flags, stream_id, block[:2])
            return first + frames.frame(CONTINUATION, frames.END_HEADERS, stream_id, block[2:])
        return frames.frame(HEADERS, flags | frames.END_HEADERS, stream_id, block)

    def data(self, stream_id: int, body: bytes, how: str) -> list[bytes]:
        if how == "padded":
            return [frames.frame(DATA, 8, stream_id, b"\x03" + body + b"\0\0\0")]
        if how == "split":
            return [frames.data(stream_id, piece, end=False) for piece in (body[:3], body[3:], b"")]
        return [frames.data(stream_id, body, end=False)]

    def answer(self, stream_id: int) -> list[bytes]:
        """What may be cut apart from what follows, in order."""
        how, status, sent, extra = self.draw.draw(st.sampled_from([self.kinds[0]] * 4 + self.kinds))
        end = [("grpc-status", status)] if status != "none" else []
        end += [("x", extra)] if extra else [("y", "z")]
        if how == "alone":
            return [self.headers(stream_id, self.block(list(BEGIN) + end), end=True, how="whole")]
        out = []
        if how == "hinted":
            out.append(self.headers(stream_id, self.block([(":status", "103")]), end=False, how="whole"))
            out.append(frames.window_update(stream_id, 7))
        out.append(self.headers(stream_id, self.block(BEGIN), end=False, how=how))
        for piece in self.data(stream_id, b"".join(map(prefixed, sent)), how) if sent else []:
            out.append(piece)
        out.append(self.headers(stream_id, self.block(end), end=True, how=how))
        return out

    def between(self) -> bytes:
        """What may stand between any two frames."""
        which = self.draw.draw(st.sampled_from([None] * 12 + [PING, SETTINGS, WINDOW_UPDATE, 77]))
        if which == PING:
            return frames.ping(b"01234567")
        if which == SETTINGS:
            return frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: self.draw.draw(st.integers(0, 100_000))})
        if which == WINDOW_UPDATE:
            return frames.window_update(0, 1000)
        return b"" if which is None else frames.frame(which, 0, 0, b"what is this?")


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[int, bytes]:
    """A number of calls, and all that a server says: its settings, answers to the calls, and then some."""
    data = draw(st.data())
    server, count = Server(data), draw(st.integers(1, 24))
    out = [frames.settings({})]
    order = draw(st.sampled_from(["one after the other", "headers first", "any"]))
    # Blocks that depend on each other must be sent in the order in which they were coded.
    settles = "at once" if order == "headers first" else draw(st.sampled_from(["at once", "later", "never"]))
    if settles == "at once":
        server.encoder.header_table_size = 0
        out.append(frames.SETTINGS_ACK)
    waiting = {1 + 2 * number: list[bytes]() for number in range(count)}
    if order != "any":
        for stream_id in waiting:
            waiting[stream_id] = server.answer(stream_id)
        if order == "headers first":
            out += [answer.pop(0) for answer in waiting.values()]
        for answer in waiting.values():
            for piece in answer:
                out += [server.between(), piece]
        return count, b"".join(out)
    for stream_id in draw(st.permutations(list(waiting))):
        if settles == "later" and draw(st.booleans()):
            settles = "at once"
            server.encoder.header_table_size = 0
            out.append(frames.SETTINGS_ACK)
        out += [server.between(), *server.answer(stream_id)]
    return count, b"".join(out)


class SlowConnection(ClientConnection):
    """Without the fast way."""

    def sample(self, kind: int, stream_id: int, data_bytes: int) -> None:
        pass


def hear(
    kind: type[ClientConnection],
    calls: int,
    data: bytes,
    cuts: Sequence[int],
    request: Request = REQUEST,
    *,
    watch: bool = False,
) -> tuple[list[Ended], str | None, int, int]:
    """What comes of it: the calls that ended, why the connection did, the window that was used up, messages told."""
    client = kind(request, stream_window=65_535, connection_window=65_535, watch_messages=watch)
    client.windows.connection = frames.MAX_WINDOW // 2  # nothing that is sent waits
    start(client, calls)
    ended: list[Call] = []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    with mock.patch.object(fast_path, "LEARN_EVERY", 1):
        for begin, end in itertools.pairwise(places):
            ended += client.receive(data[begin:end])
    used = client.received.consumed
    for frame in cut(client.take()):
        if frame.kind == WINDOW_UPDATE and frame.stream_id == 0:
            used += int.from_bytes(frame.body, "big")
    assert {call.stream_id for call in ended}.isdisjoint(client.calls)
    assert len(ended) + len(client.calls) == calls
    assert client.closed is None or not client.calls
    told = [(c.stream_id, c.status, c.text, c.messages, c.unprocessed, tuple(c.trailers)) for c in ended]
    return told, client.closed, used, len(client.arrived)


class FastConnection(ClientConnection):
    """Counts the answers that take the fast way."""

    fast = 0

    def recognise(self, stream_ids: Sequence[int], sample: UsualAnswer, ends: Sequence[bytes]) -> int:
        taken = super().recognise(stream_ids, sample, ends)
        FastConnection.fast += taken
        return taken


cuts = st.lists(st.integers(0, 100_000), max_size=40)


@PROFILE
@given(exchanges(), cuts)
def check_the_fast_way_and_the_cuts(exchange: tuple[int, bytes], cuts: list[int]) -> None:
    calls, data = exchange
    slow = hear(SlowConnection, calls, data, [])
    assert slow[1] is None
    assert len(slow[0]) == calls
    assert hear(FastConnection, calls, data, []) == slow
    assert hear(FastConnection, calls, data, cuts) == slow
    assert hear(SlowConnection, calls, data, cuts) == slow
    assert hear(FastConnection, calls, data, range(len(data))) == slow


def test_the_fast_way_and_the_cuts_change_nothing() -> None:
    FastConnection.fast = 0
    check_the_fast_way_and_the_cuts()
    assert FastConnection.fast > 10


@PROFILE
@given(exchanges(), cuts)
def test_nor_do_the_cuts_in_a_stream_of_messages(exchange: tuple[int, bytes], cuts: list[int]) -> None:
    calls, data = exchange
    request = Request(path="/p/m", authority="a", payload=b"", server_streaming=True)
    whole = hear(ClientConnection, calls, data, [], request, watch=True)
    assert len(whole[0]) == calls
    assert sum(ended[3] for ended in whole[0]) == whole[3]
    assert hear(ClientConnection, calls, data, cuts, request, watch=True) == whole
    assert hear(ClientConnection, calls, data, range(len(data)), request, watch=True) == whole


# ---- exchanges that went wrong -------------------------------------------------------------------------------


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[int, bytes]:
    """An exchange with a few bytes changed, lost, repeated or put in between."""
    calls, good = draw(exchanges())
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(["change", "bit", "lose", "repeat", "insert"]))
        length = draw(st.integers(1, 40))
        if how == "change":
            data[at : at + 1] = bytes((draw(st.integers(0, 255)),))
        elif how == "bit" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif how == "lose":
            del data[at : at + length]
        elif how == "repeat":
            data[at:at] = data[at : at + length]
        else:
            data[at:at] = draw(st.binary(max_size=40))
    return calls, bytes(data)


@st.composite
def garbage(draw: st.DrawFn) -> tuple[int, bytes]:
    """Frames of any type with anything in them, after settings; or no frames at all."""
    if draw(st.booleans()):
        return 3, draw(st.binary(max_size=400))
    frame = st.builds(
        frames.frame,
        st.integers(0, 12),
        st.integers(0, 255),
        st.integers(0, 9) | st.integers(0, 2**32 - 1),
        st.binary(max_size=40),
    )
    start = draw(st.sampled_from([b"", frames.SETTINGS_ACK]))
    return 3, frames.settings({}) + start + b"".join(draw(st.lists(frame, max_size=20)))


@PROFILE
@given(spoilt() | garbage(), cuts)
def test_whatever_comes_ends_in_calls_with_statuses_or_an_open_connection(
    exchange: tuple[int, bytes], cuts: list[int]
) -> None:
    calls, data = exchange
    whole = hear(ClientConnection, calls, data, [])
    assert hear(ClientConnection, calls, data, cuts) == whole
    assert hear(ClientConnection, calls, data, range(len(data))) == whole
    assert hear(SlowConnection, calls, data, [])[:2] == whole[:2]
    for _, status, _, _, _, _ in whole[0]:
        assert 0 <= status <= 16


@PROFILE
@given(spoilt() | garbage(), st.integers(1, 5))
def test_and_memory_stays_bounded(exchange: tuple[int, bytes], times: int) -> None:
    calls, data = exchange
    client = ClientConnection(REQUEST, stream_window=65_535, connection_window=65_535)
    start(client, calls)
    for _ in range(times * 20):
        client.receive(data)
        held = [client.connection.rest, *client.blocks.fragments]
        held += [piece for usual in client.fast_path.usual.values() for piece in usual.pieces]
        assert sum(map(len, held)) <= header_blocks.MAX_BLOCK_BYTES + 3 * 16_400 + 2 * len(data)
        assert len(client.blocks.known) <= 512
        assert len(client.take()) <= 100 + 20 * len(data)


# ---- h2 as the server ----------------------------------------------------------------------------------------


class Oracle:
    """A gRPC server on `h2`, which checks every frame that the client sends, and one client."""

    def __init__(self, data: st.DataObject, request: Request, window: int) -> None:
        self.data = data
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.client = ClientConnection(request, stream_window=window, connection_window=window)
        self.requests: dict[int, bytes] = {}
        self.headers: dict[int, list[tuple[str, str]]] = {}
        self.complete: list[int] = []
        self.over: set[int] = set()
        self.pending: dict[int, bytes] = {}  # answers that wait for the client's window
        self.trailers: dict[int, list[tuple[str, str]]] = {}
        self.expected: dict[int, int] = {}
        self.ended: dict[int, Call] = {}
        self.unacknowledged: dict[int, int] = {}

    def exchange_bytes(self) -> None:
        """Everything said so far is heard, in pieces."""
        while True:
            to_server = self.client.take()
            for event in self.h2.receive_data(to_server) if to_server else []:
                if isinstance(event, RequestReceived):
                    assert event.stream_id is not None
                    self.headers[event.stream_id] = [(str(n), str(v)) for n, v in event.headers or []]
                    self.requests[event.stream_id] = b""
                elif isinstance(event, DataReceived):
                    assert event.stream_id is not None
                    self.requests[event.stream_id] += event.data or b""
                    held = self.unacknowledged.get(event.stream_id, 0) + (event.flow_controlled_length or 0)
                    self.unacknowledged[event.stream_id] = held
                elif isinstance(event, StreamEnded):
                    assert event.stream_id is not None
                    self.complete.append(event.stream_id)
                elif isinstance(event, StreamReset):
                    assert event.stream_id is not None
                    self.over.add(event.stream_id)
                    self.pending.pop(event.stream_id, None)
                    if event.stream_id in self.complete:
                        self.complete.remove(event.stream_id)
            self.send_pending()
            to_client = self.h2.data_to_send()
            if not to_client and not self.client.outgoing:
                return
            at = 0
            while at < len(to_client):
                size = self.data.draw(st.sampled_from([1, 7, 100, 5000, 10**6]))
                for call in self.client.receive(to_client[at : at + size]):
                    self.ended[call.stream_id] = call
                at += size

    def send_pending(self) -> None:
        for stream_id in list(self.pending):
            while self.pending[stream_id] and (room := min(self.h2.local_flow_control_window(stream_id), 16_000)) > 0:
                piece, self.pending[stream_id] = self.pending[stream_id][:room], self.pending[stream_id][room:]
                self.h2.send_data(stream_id, piece, pad_length=3 if room > 10 + len(piece) else None)
            if not self.pending[stream_id]:
                del self.pending[stream_id]
                self.h2.send_headers(stream_id, self.trailers[stream_id], end_stream=True)

    def answer(self, stream_id: int) -> None:
        """As one of the servers in the world would."""
        how = self.data.draw(st.sampled_from(["good", "good", "good", "large", "failed", "alone", "reset"]))
        if how == "reset":
            self.h2.reset_stream(stream_id, 8)
            self.expected[stream_id] = 1
        elif how == "alone":
            self.h2.send_headers(stream_id, [*BEGIN, ("grpc-status", "12")], end_stream=True)
            self.expected[stream_id] = 12
        else:
            self.h2.send_headers(stream_id, BEGIN)
            self.pending[stream_id] = prefixed(b"x" * 50_000) if how == "large" else HELLO
            self.expected[stream_id] = 5 if how == "failed" else OK
            self.trailers[stream_id] = [("grpc-status", str(self.expected[stream_id])), ("how", how)]

    def acknowledge(self) -> None:
        """Give back the windows."""
        for stream_id, length in self.unacknowledged.items():
            if length:
                self.h2.acknowledge_received_data(length, stream_id)
        self.unacknowledged.clear()

    def change_settings(self) -> None:
        self.h2.update_settings(
            self.data.draw(
                st.fixed_dictionaries(
                    {},
                    optional={
                        SettingCodes.INITIAL_WINDOW_SIZE: st.integers(0, 100_000),
                        SettingCodes.MAX_FRAME_SIZE: st.integers(16_384, 40_000),
                        SettingCodes.HEADER_TABLE_SIZE: st.sampled_from([0, 50, 200, 4096, 65_536]),
                        SettingCodes.MAX_CONCURRENT_STREAMS: st.integers(0, 10),
                    },
                )
            )
        )


@PROFILE
@given(
    st.data(),
    st.lists(st.sampled_from(["start"] * 3 + ["answer"] * 2 + ["ping", "settings", "acknowledge", "cancel"])),
    st.sampled_from([0, 5, 20_000, 150_000]),
    st.sampled_from([1, 30_000, 4 * 2**20]),
)
def test_h2_and_the_client_understand_each_other(data: st.DataObject, steps: list[str], size: int, window: int) -> None:
    request = Request(path="/p/m", authority="here:1", payload=b"x" * size, timeout_s=20)
    server = Oracle(data, request, window)
    client = server.client
    cancelled: set[int] = set()
    server.exchange_bytes()
    for step in steps:
        if step == "start" and client.room > 0:
            client.start(Call())
        elif step == "answer" and server.complete:
            server.answer(server.complete.pop(0))
        elif step == "ping":
            server.h2.ping(b"01234567")
        elif step == "settings":
            server.change_settings()
        elif step == "acknowledge":
            server.acknowledge()
        elif step == "cancel" and client.calls:
            call = data.draw(st.sampled_from(list(client.calls.values())))
            client.cancel(call.stream_id, status=1)
            cancelled.add(call.stream_id)
        server.exchange_bytes()
    server.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10**6})
    for _ in range(1000):
        server.exchange_bytes()
        server.acknowledge()
        for stream_id in server.complete:
            server.answer(stream_id)
        server.complete.clear()
        if not client.calls and not client.outgoing:
            break
    assert client.closed is None
    assert not client.calls
    for stream_id, call in server.ended.items():
        assert call.status == server.expected[stream_id], call.text
        assert server.requests[stream_id] == prefixed(request.payload)
        assert server.headers[stream_id] == request.headers("grpclab")
        if call.status == OK:
            assert (call.messages, call.trailers) == (1, server.trailers[stream_id])
    assert set(server.expected) - cancelled == set(server.ended)
