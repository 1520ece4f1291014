"""Frames that pass by are counted, however their bytes are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2 import frames
from grpclab.http2.frame_counter import FrameCounter
from grpclab.http2.frames import ErrorCode

CALM = frames.goaway(7, ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings")
UP = b"".join(
    [
        frames.PREFACE,
        frames.settings({}),
        frames.ping(b"12345678"),
        frames.frame(frames.DATA, 0, 1, b"x" * 5000),
        frames.ping(b"12345678", ack=True),
        frames.ping(b"abcdefgh"),
        CALM,
        frames.frame(frames.GOAWAY, 0, 0, b"\0" * 8 + b"y" * 1000),
        frames.ping(b"the last"),
    ]
)


@given(cuts=st.lists(st.integers(0, len(UP)), max_size=40))
def test_pings_and_goaways_are_counted_however_the_bytes_are_cut(cuts: list[int]) -> None:
    counter = FrameCounter()
    ends = [*sorted(cuts), len(UP)]
    for start, end in zip([0, *ends], ends, strict=False):
        counter.feed(UP[start:end])
    assert counter.pings == 3, "an answer to a ping asks nothing"
    assert counter.goaways["ENHANCE_YOUR_CALM too_many_pings"] == 1
    assert sum(counter.goaways.values()) == 2


def test_a_server_begins_without_a_preface() -> None:
    counter = FrameCounter()
    counter.feed(frames.settings({3: 100}) + CALM)
    assert dict(counter.goaways) == {"ENHANCE_YOUR_CALM too_many_pings": 1}


@given(data=st.binary(max_size=300))
def test_bytes_that_are_no_http2_do_no_harm(data: bytes) -> None:
    FrameCounter().feed(data)
