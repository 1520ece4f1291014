"""Frames as bytes; the `hyperframe` package, which `h2` brings along, reads what is built here."""

from __future__ import annotations

from typing import Any

import pytest
from hyperframe.frame import Frame, HeadersFrame
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2 import frames
from tests.support.http2_peer import cut

streams = st.integers(1, frames.MAX_STREAM_ID)


def parsed(data: bytes) -> Any:
    """The one frame in these bytes, read by another implementation."""
    frame, length = Frame.parse_frame_header(memoryview(data[:9]))
    assert len(data) == 9 + length
    frame.parse_body(memoryview(data[9:]))
    return frame


@given(streams, st.binary(max_size=300), st.booleans())
def test_data(stream_id: int, payload: bytes, end: bool) -> None:
    frame = parsed(frames.data(stream_id, payload, end=end))
    assert (frame.type, frame.stream_id, frame.data) == (frames.DATA, stream_id, payload)
    assert ("END_STREAM" in frame.flags) == end
    assert frames.data(stream_id, memoryview(payload), end=end) == frames.data(stream_id, payload, end=end)


@given(st.dictionaries(st.sampled_from(frames.Setting), st.integers(0, 2**32 - 1)))
def test_settings_both_ways(values: dict[int, int]) -> None:
    data = frames.settings(values)
    assert dict(frames.parse_settings(data[9:])) == values
    assert parsed(data).settings == values


@given(streams, st.integers(0, 2**32 - 1), st.integers(1, frames.MAX_WINDOW), st.binary(min_size=8, max_size=8))
def test_what_keeps_a_connection_going(stream_id: int, code: int, increment: int, opaque: bytes) -> None:
    assert parsed(frames.rst_stream(stream_id, code)).error_code == code
    assert parsed(frames.window_update(stream_id, increment)).window_increment == increment
    assert parsed(frames.ping(opaque)).opaque_data == opaque
    assert "ACK" in parsed(frames.ping(opaque, ack=True)).flags
    assert "ACK" in parsed(frames.SETTINGS_ACK).flags
    away = parsed(frames.goaway(stream_id, code, b"why"))
    assert (away.last_stream_id, away.error_code, away.additional_data) == (stream_id, code, b"why")


@given(streams, st.binary(max_size=200), st.booleans(), st.integers(1, 50))
def test_a_header_block_is_cut_where_it_does_not_fit(stream_id: int, block: bytes, end: bool, max_frame: int) -> None:
    first, *others = cut(frames.headers(stream_id, block, end=end, max_frame=max_frame))
    assert b"".join(frame.body for frame in (first, *others)) == block
    assert all(len(frame.body) <= max_frame and frame.stream_id == stream_id for frame in (first, *others))
    assert first.kind == frames.HEADERS
    assert bool(first.flags & frames.END_STREAM) == end
    assert [frame.kind for frame in others] == [frames.CONTINUATION] * len(others)
    assert [bool(frame.flags & frames.END_HEADERS) for frame in (first, *others)] == [False] * len(others) + [True]


def test_headers_are_read_elsewhere() -> None:
    frame = parsed(frames.headers(5, b"block", end=True))
    assert isinstance(frame, HeadersFrame)
    assert (frame.data, sorted(frame.flags)) == (b"block", ["END_HEADERS", "END_STREAM"])


def test_long_frames_and_the_reserved_bit() -> None:
    data = frames.data(frames.MAX_STREAM_ID, b"x" * 70_000, end=False)
    assert frames.unpack_header(data) == (70_000 >> 8, 70_000 & 255, frames.DATA, 0, frames.MAX_STREAM_ID)


@pytest.mark.parametrize(("code", "name"), [(0, "NO_ERROR"), (11, "ENHANCE_YOUR_CALM"), (99, "error 99")])
def test_names_of_errors(code: int, name: str) -> None:
    assert frames.error_name(code) == name
