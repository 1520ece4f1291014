"""gRPC's own framing: messages wherever the frames are cut, statuses, timeouts, percent-encoding."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab import status
from grpclab.http2 import messages
from grpclab.http2.frames import ErrorCode
from grpclab.http2.messages import MessageError, MessageReader

NAMES = status.STATUS_NAMES


def name(code: int) -> str:
    return NAMES[code]


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes, cut at these places."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


# ---- messages ------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=40), max_size=8), st.lists(st.integers(0, 10_000), max_size=12))
def test_messages_come_out_as_they_went_in_however_they_are_cut(sent: list[bytes], cuts: list[int]) -> None:
    keeping, counting = MessageReader(keep=True), MessageReader(keep=False)
    counted = 0
    for chunk in chunks(b"".join(map(messages.prefixed, sent)), cuts):
        counted += counting.feed(chunk)
        keeping.feed(chunk)
    assert keeping.messages == sent
    assert counting.messages == []
    assert counted == len(sent)
    assert keeping.complete
    assert counting.complete


@given(st.binary(max_size=30), st.data())
def test_a_message_is_complete_with_its_last_byte_and_not_before(message: bytes, data: st.DataObject) -> None:
    whole = messages.prefixed(message)
    missing = data.draw(st.integers(1, len(whole)))
    reader = MessageReader(keep=True)
    assert reader.feed(whole[:-missing]) == 0
    assert reader.complete == (missing == len(whole))
    assert reader.feed(whole[-missing:]) == 1
    assert reader.complete


@given(st.binary(max_size=12))
def test_one_message_or_not(body: bytes) -> None:
    reader = MessageReader(keep=False)
    try:
        one = reader.feed(body) == 1 and reader.complete
    except MessageError:
        one = False
    assert messages.is_one_message(body) == one


def test_what_is_announced_is_not_kept() -> None:
    reader = MessageReader(keep=False)
    reader.feed(messages.prefixed(b"x" * 1_000_000)[:900_000])
    assert reader.held == 0
    assert not reader.complete


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (b"\x01\0\0\0\x05", "INTERNAL"),  # compressed, though nobody asked for it
        (b"\x02\0\0\0\x05", "INTERNAL"),
        (b"\0\xff\xff\xff\xff", "RESOURCE_EXHAUSTED"),
    ],
)
def test_prefixes_that_are_refused_before_anything_else_comes(prefix: bytes, expected: str) -> None:
    with pytest.raises(MessageError) as caught:
        MessageReader(keep=True).feed(prefix)
    assert name(caught.value.status) == expected


def test_the_largest_message_the_factors_can_ask_for_is_taken() -> None:
    from grpclab.factors.config import FACTORS

    largest = max(FACTORS[factor].maximum or 0 for factor in ("load.request_bytes", "server.response_bytes"))
    assert largest + 100 < messages.MAX_MESSAGE_BYTES


# ---- statuses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ErrorCode.NO_ERROR, "INTERNAL"),
        (ErrorCode.PROTOCOL_ERROR, "INTERNAL"),
        (ErrorCode.REFUSED_STREAM, "UNAVAILABLE"),
        (ErrorCode.CANCEL, "CANCELLED"),
        (ErrorCode.ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED"),
        (ErrorCode.INADEQUATE_SECURITY, "PERMISSION_DENIED"),
        (4711, "INTERNAL"),
    ],
)
def test_the_status_of_a_reset_stream(code: int, expected: str) -> None:
    """The table "Errors" of PROTOCOL-HTTP2.md."""
    assert name(messages.status_of_reset(code)) == expected


@pytest.mark.parametrize(
    ("http", "expected"),
    [
        ("400", "INTERNAL"),
        ("401", "UNAUTHENTICATED"),
        ("403", "PERMISSION_DENIED"),
        ("404", "UNIMPLEMENTED"),
        ("429", "UNAVAILABLE"),
        ("502", "UNAVAILABLE"),
        ("503", "UNAVAILABLE"),
        ("504", "UNAVAILABLE"),
        ("418", "UNKNOWN"),
        ("200", "UNKNOWN"),
        ("", "UNKNOWN"),
    ],
)
def test_the_status_that_stands_in_for_a_missing_one(http: str, expected: str) -> None:
    """http-grpc-status-mapping.md."""
    assert name(messages.status_of_http(http)) == expected


@pytest.mark.parametrize(("text", "code"), [(str(code), code) for code in range(len(NAMES))])
def test_statuses(text: str, code: int) -> None:
    assert messages.parse_status(text) == code


@pytest.mark.parametrize("text", ["", "17", "-1", "x", "1.0", " 1", "٣", "9" * 5000])
def test_no_statuses(text: str) -> None:
    assert name(messages.parse_status(text)) == "UNKNOWN"


# ---- text and time -------------------------------------------------------------------------------------------


@given(st.text() | st.text(" %a"))
def test_messages_for_people_survive_the_wire(text: str) -> None:
    encoded = messages.encode_text(text)
    assert all(0x20 <= ord(letter) <= 0x7E for letter in encoded)
    assert encoded == encoded.strip(" ")
    assert messages.decode_text(encoded) == text


@pytest.mark.parametrize(
    ("sent", "read"), [("100%", "100%"), ("%zz", "%zz"), ("a%20b", "a b"), ("%E2%82%AC", "€"), ("%ff", "\ufffd")]
)
def test_what_is_not_well_encoded_is_kept(sent: str, read: str) -> None:
    assert messages.decode_text(sent) == read


@given(st.floats(1e-9, 1e9))
def test_timeouts_are_never_shorter_than_asked_and_hardly_longer(seconds: float) -> None:
    text = messages.encode_timeout(seconds)
    assert len(text) <= 9
    read = messages.decode_timeout(text)
    assert read is not None
    assert seconds * (1 - 1e-6) <= read <= seconds * (1 + 2e-5) + 1e-9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (20.0, "20000000u"),
        (0.001, "1000000n"),
        (0.1, "100000u"),
        (1e-12, "1n"),
        (3600.0, "3600000m"),
        (1e12, "99999999H"),
    ],
)
def test_timeouts(seconds: float, text: str) -> None:
    assert messages.encode_timeout(seconds) == text


@pytest.mark.parametrize("text", ["", "1", "u", "123456789u", "-1S", "1s", "1.5S", "٣S"])
def test_malformed_timeouts(text: str) -> None:
    assert messages.decode_timeout(text) is None
