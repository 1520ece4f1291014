"""Flow control on its own: whatever the windows, all that is to be sent is sent, in order, and never too much of it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2 import frames
from grpclab.http2.flow_control import Flow, ReceiveWindows, SendQueue, SendWindows
from grpclab.http2.frames import MAX_WINDOW, ErrorCode
from grpclab.http2.protocol_errors import FloodCounter, ProtocolError, StreamError
from tests.support.http2_peer import cut


@dataclass
class Line:
    """A stream that sends."""

    stream_id: int
    flow: Flow | None


class Room:
    """A queue with some streams, and what a peer knows of its windows."""

    def __init__(self, streams: int) -> None:
        self.out: list[bytes] = []
        self.windows = SendWindows()
        self.idle = FloodCounter(10, "frames")
        self.lines = {number: Line(number, Flow(ends=False)) for number in range(1, 2 * streams, 2)}
        self.queue: SendQueue[Line] = SendQueue(self.out, self.windows, self.lines, idle=self.idle, calms=1)
        self.allowed = frames.DEFAULT_WINDOW
        self.granted = dict.fromkeys(self.lines, 0)
        self.expected = dict.fromkeys(self.lines, b"")
        self.got = dict.fromkeys(self.lines, b"")
        self.ended: list[int] = []

    def flow(self, number: int) -> Flow:
        flow = self.lines[number].flow
        assert flow is not None
        return flow

    def write(self, number: int, content: bytes, *, end: bool) -> None:
        flow = self.flow(number)
        if not flow.ends:
            flow.ends = end
            self.expected[number] += content
            self.queue.add(self.lines[number], flow, content)

    def send(self) -> None:
        drained = {line.stream_id for line in self.queue.send()}
        for frame in cut(b"".join(self.out)):
            assert frame.stream_id not in self.ended
            assert 0 < len(frame.body) <= self.windows.max_frame
            self.got[frame.stream_id] += frame.body
            self.allowed -= len(frame.body)
            if frame.flags & frames.END_STREAM:
                self.ended.append(frame.stream_id)
        self.out.clear()
        assert self.allowed == self.windows.connection >= 0
        for number in self.lines:
            assert self.expected[number].startswith(self.got[number])
            assert not self.flow(number).pieces or number not in drained


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3), st.binary(min_size=1, max_size=30), st.booleans()),
        st.tuples(st.just("long"), st.integers(0, 3), st.integers(1, 40_000), st.booleans()),
        st.tuples(st.just("window"), st.integers(1, 30_000)),
        st.tuples(st.just("stream"), st.integers(0, 3), st.integers(1, 30_000)),
        st.tuples(st.just("settings"), st.integers(0, 60_000), st.integers(16_384, 20_000)),
    ),
    max_size=40,
)


@given(steps, st.integers(1, 4))
def test_everything_is_sent_in_order_and_never_more_than_the_windows_allow(
    steps: list[tuple[object, ...]], streams: int
) -> None:
    room = Room(streams)
    for step in steps:
        match step:
            case ("write", int(at), bytes(content), bool(end)):
                room.write(1 + 2 * (at % streams), content, end=end)
            case ("long", int(at), int(size), bool(end)):
                room.write(1 + 2 * (at % streams), bytes(range(256)) * (size // 256 + 1), end=end)
            case ("window", int(size)):
                room.windows.widen(size)
                room.allowed += size
            case ("stream", int(at), int(size)):
                number = 1 + 2 * (at % streams)
                room.granted[number] += size
                room.queue.grant(room.lines[number], room.flow(number), size)
            case ("settings", int(size), int(most)):
                room.windows.stream, room.windows.max_frame = size, most
                room.queue.windows_moved()
        before = dict(room.got)
        room.send()
        for number, line in room.lines.items():
            window = room.windows.stream + room.granted[number]
            assert len(room.got[number]) <= max(window, len(before[number]))
            # Nothing waits without a reason.
            assert line.flow is not None
            assert not line.flow.pieces or room.windows.connection == 0 or len(room.got[number]) >= window
    room.windows.stream = MAX_WINDOW // 2
    room.windows.widen(10**7)
    room.allowed += 10**7
    room.queue.windows_moved()
    room.send()
    assert room.got == room.expected
    assert sorted(room.ended) == [number for number in room.lines if room.flow(number).ends and room.expected[number]]


def test_streams_take_turns_and_those_that_are_over_send_nothing() -> None:
    room = Room(3)
    room.windows.max_frame = 16_384
    for number in room.lines:
        room.write(number, bytes(30_000), end=True)
    del room.lines[3]
    room.queue.send()
    assert [(f.stream_id, len(f.body), f.flags) for f in cut(b"".join(room.out))] == [
        (1, 16_384, 0),
        (5, 16_384, 0),
        (1, 13_616, 1),
        (5, 13_616, 1),
    ]


def test_a_frame_that_is_sent_makes_up_for_idle_ones() -> None:
    room = Room(1)
    for _ in range(5):
        room.idle.add(0.0)
    room.write(1, b"x", end=False)
    room.queue.send()
    assert room.idle.number == 4


@pytest.mark.parametrize(
    ("increment", "code"), [(0, ErrorCode.PROTOCOL_ERROR), (MAX_WINDOW, ErrorCode.FLOW_CONTROL_ERROR)]
)
def test_a_window_that_is_wrong_is_an_error_of_its_stream(increment: int, code: ErrorCode) -> None:
    room = Room(2)
    with pytest.raises(StreamError) as caught:
        room.queue.grant(room.lines[3], room.flow(3), increment)
    assert (caught.value.code, caught.value.stream_id) == (code, 3)


def test_a_window_of_the_connection_beyond_its_bound_is_an_error_of_the_connection() -> None:
    windows = SendWindows()
    windows.widen(MAX_WINDOW - frames.DEFAULT_WINDOW)
    with pytest.raises(ProtocolError) as caught:
        windows.widen(1)
    assert (caught.value.code, caught.value.stream_id) == (ErrorCode.FLOW_CONTROL_ERROR, 0)


@dataclass
class Incoming:
    """A stream that receives."""

    stream_id: int
    unreturned: int


@given(st.lists(st.integers(0, 5_000), max_size=60), st.integers(1, 20_000))
def test_windows_are_given_back_at_their_half_and_all_of_them(sizes: list[int], window: int) -> None:
    out: list[bytes] = []
    received = ReceiveWindows(out, stream=window, connection=window)
    returned = 0
    for at, size in enumerate(sizes):
        received.consume(size)
        assert received.consumed < max(1, window // 2)
        returned += sum(int.from_bytes(frame.body, "big") for frame in cut(b"".join(out)))
        out.clear()
        assert returned + received.consumed == sum(sizes[: at + 1])


def test_the_window_of_a_stream_is_given_back_unless_it_was_overrun() -> None:
    out: list[bytes] = []
    received = ReceiveWindows(out, stream=100, connection=65_535)
    stream = Incoming(5, 100)
    received.give_back(stream)
    assert (stream.unreturned, [(f.stream_id, f.body[-1]) for f in cut(b"".join(out))]) == (0, [(5, 100)])
    stream.unreturned = 101
    with pytest.raises(StreamError) as caught:
        received.give_back(stream)
    assert (caught.value.code, caught.value.stream_id) == (ErrorCode.FLOW_CONTROL_ERROR, 5)
