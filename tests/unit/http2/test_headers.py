"""Header blocks: what is sent is understood by a decoder of any size; what comes is looked up only when it may be."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2.frames import MAX_LIST_BYTES
from grpclab.http2.headers import (
    CACHED_BLOCKS,
    RESIDENCE_HEADER,
    BlockDecoder,
    HeaderError,
    HeaderList,
    RequestHeaders,
    literal,
)

names = st.from_regex("[a-z][a-z0-9-]{0,12}", fullmatch=True)
values = st.text("abcXYZ 019/%.", max_size=40)
header_lists = st.lists(st.tuples(names, values), min_size=1, max_size=8)


def decode(decoder: Decoder, block: bytes) -> HeaderList:
    return [(str(name), str(value)) for name, value in decoder.decode(block)]


def blocks() -> BlockDecoder[HeaderList]:
    """A decoder of blocks whose meaning is their headers."""
    return BlockDecoder(lambda headers: headers)


def independent_encoder(size: int = 0) -> Encoder:
    encoder = Encoder()
    encoder.header_table_size = size
    return encoder


# ---- requests ------------------------------------------------------------------------------------------------


@given(header_lists, st.lists(st.integers(0, 5000), max_size=4))
def test_every_block_says_the_same_to_a_peer_of_any_table(headers: HeaderList, sizes: list[int]) -> None:
    request, peer = RequestHeaders(headers), Decoder()
    for size in [4096, *sizes]:
        request.limit_table(size)
        peer.max_allowed_table_size = size
        for _ in range(3):
            assert decode(peer, request.block()) == headers


@given(header_lists, st.integers(0, 5000))
def test_the_block_is_soon_the_same_for_good(headers: HeaderList, size: int) -> None:
    request, peer = RequestHeaders(headers), Decoder()
    request.limit_table(size)
    peer.max_allowed_table_size = size
    for _ in range(3):
        decode(peer, request.block())
    steady = request.steady()
    assert steady is not None
    assert request.block() == steady
    assert decode(peer, steady) == headers
    assert decode(peer, steady) == headers


def test_a_block_that_speaks_of_the_table_is_not_the_steady_one() -> None:
    request = RequestHeaders([("a", "b")])
    request.limit_table(0)
    first = request.block()
    assert first[0] == 0x20  # "the table is empty from now on"
    assert request.steady() is None
    assert request.block() == first[1:] == request.steady()


def test_headers_longer_than_the_table_are_sent_as_they_are() -> None:
    headers = [("a", "x" * 3000), ("b", "y" * 3000)]
    request, peer = RequestHeaders(headers), Decoder()
    sent = [request.block() for _ in range(4)]
    assert sent[1] == sent[2] == sent[3] == request.steady()
    assert all(decode(peer, block) == headers for block in sent)


# ---- answers -------------------------------------------------------------------------------------------------


@given(st.lists(header_lists, min_size=1, max_size=6), st.lists(st.integers(0, 5), max_size=12), st.data())
def test_blocks_mean_what_they_mean_before_and_after_they_are_independent(
    lists: list[HeaderList], order: list[int], data: st.DataObject
) -> None:
    encoder, decoder = Encoder(), blocks()
    settles_at = data.draw(st.integers(0, len(order)))
    for place, which in enumerate(order):
        if place == settles_at:
            encoder.header_table_size = 0
            decoder.independent()
        headers = lists[which % len(lists)]
        assert decoder.decode(bytes(encoder.encode(headers))) == headers


def test_equal_bytes_are_not_looked_up_while_they_may_differ_in_meaning() -> None:
    decoder = blocks()
    newest = b"\xbe"  # "the header that was added last"
    assert decoder.decode(b"\x40" + literal("a", "1")[1:]) == [("a", "1")]
    assert decoder.decode(newest) == [("a", "1")]
    assert decoder.decode(b"\x40" + literal("a", "2")[1:]) == [("a", "2")]
    assert decoder.decode(newest) == [("a", "2")]
    assert not decoder.known


def test_independent_blocks_are_looked_up() -> None:
    decoder = blocks()
    decoder.independent()
    block = bytes(independent_encoder().encode([("a", "1")]))
    assert decoder.decode(block) is decoder.decode(block)
    assert list(decoder.known) == [block]


def test_the_table_of_a_peer_that_acknowledged_an_empty_one_is_empty_whether_it_says_so_or_not() -> None:
    decoder = blocks()
    encoder = Encoder()
    decoder.decode(bytes(encoder.encode([("a", "1")])))
    decoder.independent()
    by_hand = literal("a", "1")  # as C-core's answers to calls that it rejects
    assert decoder.decode(by_hand) == [("a", "1")]
    with pytest.raises(HeaderError):
        decoder.decode(bytes(encoder.encode([("a", "1")])))  # of the old table


def test_and_may_not_fill_it_again() -> None:
    decoder = blocks()
    decoder.independent()
    decoder.decode(bytes(independent_encoder().encode([("a", "1")])))
    with pytest.raises(HeaderError):
        decoder.decode(b"\x3f\xe1\x1f" + literal("a", "1"))  # "4096 bytes from now on"


def test_what_is_remembered_is_bounded() -> None:
    decoder = blocks()
    decoder.independent()
    encoder = independent_encoder()
    for number in range(3 * CACHED_BLOCKS):
        assert decoder.decode(bytes(encoder.encode([("a", str(number))]))) == [("a", str(number))]
        assert len(decoder.known) <= CACHED_BLOCKS
    long = [("a", "x" * 5000)]
    assert decoder.decode(bytes(encoder.encode(long))) == long
    assert not any(len(block) > 3000 for block in decoder.known)


def test_a_bomb_is_refused_while_it_is_decoded() -> None:
    decoder = blocks()
    big = bytes(Encoder().encode([("a", "x" * 4000)]))
    with pytest.raises(HeaderError, match=f"{MAX_LIST_BYTES:,}"):
        decoder.decode(big + b"\xbe" * 10_000)  # one byte each for a header of 4,000


@pytest.mark.parametrize("block", [b"\xff", b"\x00" + b"\xff" * 100_000, b"\xff" * 100_000])
def test_what_is_said_of_a_bad_block_is_short_and_the_same_each_time(block: bytes) -> None:
    told = set()
    for _ in range(3):
        with pytest.raises(HeaderError) as caught:
            blocks().decode(block)
        told.add(str(caught.value))
    assert len(told) == 1
    assert len(told.pop()) < 100


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_a_header_error_or_headers(garbage: bytes, independent: bool) -> None:
    decoder = blocks()
    if independent:
        decoder.independent()
    for _ in range(2):
        try:
            decoder.decode(garbage)
        except HeaderError:
            break


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=5), header_lists)
def test_residence_times_differ_and_the_rest_is_looked_up(times: list[int], headers: HeaderList) -> None:
    decoder = blocks()
    decoder.independent()
    head = bytes(independent_encoder().encode(headers))
    for time in times:
        whole = [*headers, (RESIDENCE_HEADER, str(time))]
        assert decoder.decode(head + literal(RESIDENCE_HEADER, str(time))) == whole
    assert not decoder.known


@given(names, st.text("abc", max_size=300))
def test_literals(name: str, value: str) -> None:
    assert decode(Decoder(), literal(name, value)) == [(name, value)]


@given(header_lists, st.booleans(), st.binary(min_size=126, max_size=126))
def test_bytes_that_may_be_others_are_the_value_of_the_last_header(
    headers: HeaderList, huffman: bool, others: bytes
) -> None:
    decoder = blocks()
    decoder.independent()
    block = bytes(independent_encoder().encode(headers, huffman=huffman))
    size = decoder.varying(block, headers)
    name, value = headers[-1]
    assert not size or size == len(value)
    assert size or huffman or not value or name == "te" or name.startswith("grpc-") or name.endswith("-bin")
    if size:
        other = others[:size]
        assert decoder.decode(block[:-size] + other) == [*headers[:-1], (name, other.decode("latin-1"))]


@pytest.mark.parametrize("name", [":status", "grpc-status", "grpc-message", "x-bin", "te", "content-type"])
def test_values_with_a_meaning_may_not_be_others(name: str) -> None:
    decoder = blocks()
    decoder.independent()
    assert not decoder.varying(literal(name, "12"), [(name, "12")])
    assert decoder.varying(literal(f"x-{name[:-2]}", "12"), [(f"x-{name[:-2]}", "12")]) == 2


def test_the_value_of_a_header_that_is_indexed_or_long_may_not_be_another() -> None:
    decoder = blocks()
    decoder.independent()
    assert not decoder.varying(b"\x8d", [(":status", "404")])
    assert not decoder.varying(b"\x90", [("accept-encoding", "gzip, deflate")])  # of the static table
    assert not decoder.varying(literal("x", "v" * 127), [("x", "v" * 127)])
    assert decoder.varying(literal("x", "v" * 126), [("x", "v" * 126)]) == 126
