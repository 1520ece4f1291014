"""Whether compression took effect: what is said of it by what was sent and by the answers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpclab.http2 import messages
from grpclab.http2.exchange import Request
from grpclab.http2.messages import MessageReader
from grpclab.load.calls.method import CallSpec
from grpclab.load.compression import without_effect
from grpclab.load.core.traffic import Traffic
from tests.support.bench_results import SAY_HELLO, UNAVAILABLE, ghz_json, result

LONG = CallSpec(path=SAY_HELLO.path, payload=b"lorem ipsum " * 100)
REPEATING = st.builds(lambda word, times: word * times, st.binary(max_size=20), st.integers(0, 200))


@given(REPEATING, st.sampled_from(sorted(messages.ENCODINGS)))
def test_a_message_is_compressed_where_that_makes_it_shorter_and_read_back(message: bytes, encoding: str) -> None:
    framed, reader = messages.prefixed(message, encoding), MessageReader(keep=True, encoding=encoding)
    assert reader.feed(framed) == 1
    (read,) = reader.messages
    assert reader.compressed == (len(messages.compressed(message, encoding)) < len(message))
    assert (messages.decompressed(read, encoding) if reader.compressed else read) == message
    assert len(framed) <= len(message) + messages.PREFIX_BYTES


def test_a_request_names_its_encoding_in_a_header() -> None:
    request = Request(path="/a.B/C", authority="localhost", payload=LONG.payload, encoding="gzip")
    assert ("grpc-encoding", "gzip") in request.headers("test")
    plain = Request(path="/a.B/C", authority="localhost", payload=LONG.payload)
    assert "grpc-encoding" not in dict(plain.headers("test"))


def test_a_single_request_is_compressed_once_for_all_calls() -> None:
    sent = LONG.messages(prefix=True, encoding="gzip")
    assert next(sent) is next(sent)


# ---- what is said ------------------------------------------------------------------------------------------------


def said(call: CallSpec = LONG, *, status: int = 0, **run: Any) -> dict[str, str]:
    """What is said of both factors at gzip, with engine wire unless `levels` say otherwise."""
    levels = {"client.compression": "gzip", "server.compression": "gzip"} | run.pop("levels", {})
    found = result(np.full(10, 0.1), [status] * 10, levels=levels, call=call, calls_made=10, **run)
    return without_effect(found.config, found.run, found.call)


def test_nothing_is_said_where_fewer_bytes_were_sent_and_answers_came_compressed() -> None:
    assert said(traffic=Traffic(bytes_sent=1500.0), encodings={"gzip": 10}) == {}


def test_a_request_that_does_not_get_shorter_is_sent_as_it_is() -> None:
    found = said(CallSpec(path=SAY_HELLO.path, payload=b"\n\x05world"), encodings={"gzip": 10})
    assert list(found) == ["client.compression"]
    assert "the 7-byte request" in found["client.compression"]


def test_a_request_that_was_sent_in_full_was_not_compressed() -> None:
    found = said(traffic=Traffic(bytes_sent=13_000.0), encodings={"gzip": 10})
    assert found["client.compression"].startswith("1,300 bytes were sent per call; the request has 1,200 bytes")


def test_answers_that_came_as_they_are_were_not_compressed() -> None:
    assert list(said()) == ["server.compression"]
    assert said(status=UNAVAILABLE) == {}, "without an answer there is nothing to say"
    grpcio = {"load.engine": "grpcio"}
    assert said(levels=grpcio) == {}, "which does not tell"
    sized, in_full = grpcio | {"server.response_bytes": 1000}, Traffic(bytes_received=11_000.0)
    assert said(levels=sized, traffic=in_full)["server.compression"].startswith("1,100 bytes were received per call")
    assert said(levels=sized, traffic=Traffic(bytes_received=900.0)) == {}


def test_factors_that_are_not_set_are_not_judged() -> None:
    assert said(levels={"client.compression": "none", "server.compression": "none"}) == {}


def test_unknown_bytes_say_nothing() -> None:
    assert "client.compression" not in said(traffic=Traffic(bytes_sent=math.nan))


# ---- the bytes -----------------------------------------------------------------------------------------------------


def test_bytes_are_for_one_of_all_calls_and_null_in_json_where_unknown() -> None:
    traffic = Traffic(bytes_sent=600.0, bytes_received=900.0) + Traffic(bytes_sent=400.0, goaways={"11": 1})
    assert traffic.bytes_per_call(10) == {"sent_per_call_bytes": 100.0, "received_per_call_bytes": 90.0}
    assert all(math.isnan(count) for count in traffic.bytes_per_call(0).values())
    unknown = traffic + Traffic(bytes_sent=math.nan, server_pings=math.nan)
    told = ghz_json(result([0.1], traffic=unknown))["grpclab"]["traffic"]
    assert (told["bytes_sent"], told["server_pings"], told["bytes_received"]) == (None, None, 900.0)
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("known", [True, False])
def test_the_summary_has_the_bytes_of_a_call_where_they_are_known(known: bool) -> None:
    traffic = Traffic(bytes_sent=2620.0 if known else math.nan, bytes_received=10_620.0)
    text = str(result([0.1] * 10, traffic=traffic, calls_made=10))
    assert ("262 B sent and 1,062 B received per call" in " ".join(text.split())) == known
