"""The client's connection: the fast way, and windows in both directions."""

from __future__ import annotations

from functools import partial
from unittest import mock

import pytest

from grpclab.http2 import fast_path, frames
from grpclab.http2.client import ClientConnection
from grpclab.http2.exchange import Call, Request
from grpclab.http2.flow_control import Flow
from grpclab.http2.frames import DATA, HEADERS, WINDOW_UPDATE, ErrorCode, Setting
from grpclab.http2.headers import literal
from grpclab.http2.messages import prefixed
from grpclab.http2.prepared import RequestSequence
from tests.support.http2_client_help import STREAMING, after, reset_codes, status
from tests.support.http2_peer import (
    BEGIN,
    HELLO,
    OK,
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
        assert round_ < 2 or not slow


def test_header_blocks_that_have_changed_take_the_fast_way_again() -> None:
    """nghttpd's have a date, and come before the rest of the answers."""
    client = ready()
    for date in ("Mon", "Tue", "Wed"):
        for round_ in range(3):
            ids = [call.stream_id for call in start(client, 20)]
            heads = [begin(i, [*BEGIN, ("date", date)]) for i in ids]
            ends = [frames.data(i, HELLO, end=False) + trailers(i) for i in ids]
            slow = slow_frames(client, b"".join(heads + ends))
            assert not client.calls
            assert round_ < 2 or not slow


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("values", [("12345", "99999"), ("12345", "123456"), ("a", "é", "\0", "\xff")])
def test_answers_that_differ_in_the_value_of_the_last_trailer_take_the_fast_way(
    values: tuple[str, ...], *, together: bool
) -> None:
    client = ready()
    slow: list[int] = []
    for number in range(200):
        calls = start(client, 20)
        told = [values[(number + place // 10) % len(values)] for place in range(20)]
        heads = [begin(call.stream_id) for call in calls]
        ends = [
            frames.data(call.stream_id, HELLO, end=False)
            + frames.headers(call.stream_id, literal("grpc-status", "0") + last_trailer(value), end=True)
            for call, value in zip(calls, told, strict=True)
        ]
        said_ = b"".join(map(bytes.__add__, heads, ends) if together else heads + ends)
        slow.append(slow_frames(client, said_))
        assert [status(call) for call in calls] == ["OK"] * 20
        assert [call.trailers for call in calls] == [[("grpc-status", "0"), ("x-took", value)] for value in told]
    assert sum(slow[100:]) == 0 < sum(slow)


def last_trailer(value: str) -> bytes:
    content = value.encode("latin-1")
    return literal("x-took", "")[:-1] + bytes((len(content),)) + content


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("grpc-status", ("0", "5"), ("OK", "NOT_FOUND")),
        ("x-bin", ("YQ==", "Y!=="), ("OK", "INTERNAL")),
        ("te", ("trailers", "trailer "), ("OK", "INTERNAL")),
        ("grpc-encoding", ("gzip", "zstd"), ("OK", "INTERNAL")),
    ],
)
def test_trailers_that_have_a_meaning_are_looked_at(
    name: str, values: tuple[str, str], expected: tuple[str, str]
) -> None:
    client = ready()
    before = [] if name == "grpc-status" else [("grpc-status", "0")]
    for number in range(100):
        (call,) = start(client)
        differs = number % 5 == 4
        end = [*before, (name, values[differs])]
        client.receive(begin(call.stream_id) + frames.data(call.stream_id, HELLO, end=False))
        client.receive(frames.headers(call.stream_id, b"".join(literal(*field) for field in end), end=True))
        assert (status(call), call.trailers) == (expected[differs], end)


def test_values_of_every_length_are_themselves() -> None:
    """The frames of one answer stand for those with a shorter and with a longer value."""
    client = ready()
    head, name = literal("grpc-status", "0"), literal("x", "")[:-1]
    slow = []
    for length in [*range(130), *range(130)]:
        value = "v" * length
        calls = start(client, 3)
        said_ = b"".join(
            begin(call.stream_id)
            + frames.data(call.stream_id, HELLO, end=False)
            + frames.headers(call.stream_id, head + literal("x", value), end=True)
            for call in calls
        )
        slow.append(slow_frames(client, said_))
        assert [status(call) for call in calls] == ["OK"] * 3
        assert [call.trailers for call in calls] == [[("grpc-status", "0"), ("x", value)]] * 3
    assert sum(slow[150:257]) == 0 < sum(slow[:17])
    cut_short = head + name + b"\x05four"
    (call,) = start(client)
    client.receive(begin(call.stream_id) + frames.data(call.stream_id, HELLO, end=False))
    client.receive(frames.headers(call.stream_id, cut_short, end=True))
    assert client.closed is not None
    assert "cannot be decoded" in client.closed


@pytest.mark.parametrize("together", [True, False])
def test_among_answers_that_are_alike_those_that_differ_are_themselves(together: bool) -> None:
    client = ready()
    for _ in range(4):
        ids = [call.stream_id for call in start(client, 20)]
        client.receive(b"".join(map(answer, ids)))
    for odd in range(20):
        calls = start(client, 20)
        given_up, other = calls[odd], calls[(odd * 7 + 3) % 20]
        client.cancel(given_up.stream_id)
        ends = dict.fromkeys(calls, OK) | {other: [("grpc-status", "5")]}
        pieces = [(begin(c.stream_id), frames.data(c.stream_id, HELLO, end=False), c) for c in calls]
        if together:
            said_ = b"".join(head + body + trailers(c.stream_id, ends[c]) for head, body, c in pieces)
        else:
            said_ = b"".join(head for head, _, _ in pieces)
            said_ += b"".join(body + trailers(c.stream_id, ends[c]) for _, body, c in pieces)
        assert client.receive(said_) == [call for call in calls if call is not given_up]
        assert client.closed is None
        assert {status(call) for call in calls if call not in (given_up, other)} == {"OK"}
        assert status(other) == ("CANCELLED" if other is given_up else "NOT_FOUND")
        client.take()


def test_the_windows_are_given_back_on_the_fast_way() -> None:
    client = ready()
    returned = 0
    for number in range(20_000 // 4):
        start(client)
        client.receive(answer(1 + 2 * number))
        returned += sum(int.from_bytes(frame.body, "big") for frame in said(client, WINDOW_UPDATE))
    assert returned + client.received.consumed == 5000 * len(HELLO)
    assert client.received.consumed < 65_535 / 2


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
    monkeypatch.setattr(fast_path, "LEARN_EVERY", 1)
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
    assert (status(call), call.messages) == ("UNIMPLEMENTED", 2)


def test_the_end_of_an_answer_does_not_stand_for_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "LEARN_EVERY", 1)
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


def test_starting_many_that_must_wait_costs_no_more_than_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    client = ready(settings={Setting.INITIAL_WINDOW_SIZE: 0})
    looked_at = 0

    class Counted(Flow):
        """Counts how often its window is looked at."""

        @property
        def granted(self) -> int:
            nonlocal looked_at
            looked_at += 1
            return 0

        @granted.setter
        def granted(self, value: int) -> None:
            pass

    monkeypatch.setattr("grpclab.http2.prepared.Flow", Counted)
    for _ in range(1000):
        client.start(Call())
    for _ in range(100):
        client.receive(frames.window_update(0, 1))
    assert looked_at == 1000


def test_a_large_request_is_not_copied_with_every_frame() -> None:
    request = b"x" * 4_000_000
    client = ready(prepare=partial(RequestSequence, requests=iter([request])))
    client.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW}))
    client.receive(frames.window_update(0, 1_000_000))
    call = Call()
    client.start(call)
    assert call.flow is not None
    assert call.flow.unsent == 4_000_000 - 1_065_535
    assert [piece.obj for piece in call.flow.pieces] == [request]
    assert call.flow.pieces[0].obj is request


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
    client.cancel(call.stream_id, status=1)
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
