"""Requests and metadata of Python values, and what both engines send of them."""

from __future__ import annotations

import collections
import decimal
import enum
import math
import queue
import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from grpclab.errors import UsageError
from grpclab.factors.levels import Level
from grpclab.load.bench import run_bench
from grpclab.load.calls import request
from grpclab.load.calls.metadata import metadata_words, parse_metadata
from grpclab.load.plan import CallRequest, planned
from tests.support import kinds
from tests.support.kinds import meant, refused

# ---- from Python -------------------------------------------------------------------------------------------------


class Speed(enum.IntEnum):
    SLOW = 1


class Word(enum.StrEnum):
    RED = "RED"


MOMENT = datetime(2024, 2, 29, 12, 0, 0, 500, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"i32": np.int64(5), "d": np.float32(0.5), "t": np.bool_(True), "s": np.str_("x")},
         'i32: 5 d: 0.5 t: true s: "x"'),
        ({"i32": 5.0, "i64": decimal.Decimal("9007199254740993"), "d": decimal.Decimal("1E+3")},
         "i32: 5 i64: 9007199254740993 d: 1000"),
        ({"d": math.inf, "f": np.float64("nan")}, "d: inf f: nan"),
        ({"b": b"abc", "yv": bytearray(b"d"), "blobs": {"a": memoryview(b"e")}},
         'b: "abc" yv { value: "d" } blobs { key: "a" value: "e" }'),
        ({"many": (1, 2)}, "many: [1, 2]"),
        ({"many": np.arange(3)}, "many: [0, 1, 2]"),
        ({"many": range(2), "subs": collections.deque([{}])}, "many: [0, 1] subs {}"),
        ({"byNumber": {1: "a"}, "byTruth": {True: Word.RED, np.bool_(False): Speed.SLOW}},
         'by_number { key: 1 value: "a" } by_truth { key: true value: RED } by_truth { key: false value: RED }'),
        (collections.ChainMap({"i32": 1}), "i32: 1"),
        ({"ts": MOMENT}, "ts { seconds: 1709208000 nanos: 500000 }"),
        ({"ts": MOMENT.replace(tzinfo=timezone(timedelta(hours=-3)))}, "ts { seconds: 1709218800 nanos: 500000 }"),
        ({"ts": pd.Timestamp("2024-02-29T12:00:00.123456789Z")}, "ts { seconds: 1709208000 nanos: 123456789 }"),
        ({"du": timedelta(microseconds=-1)}, "du { nanos: -1000 }"),
        ({"du": pd.Timedelta("-1.000000001s")}, "du { seconds: -1 nanos: -1 }"),
        ({"v": [None, True, 1, 1.5, "x", {"a": np.int8(1)}]}, None),
        ({"any": {"@type": "x/google.protobuf.Timestamp", "value": MOMENT}},
         'any { type_url: "x/google.protobuf.Timestamp" value: "\\010\\300\\343\\201\\257\\006\\020\\240\\302\\036" }'),
    ],
)  # fmt: skip
def test_a_value_of_python_means(value: Any, message: str | None) -> None:
    tree = kinds.read_python(value)
    if message is not None:
        assert str(tree) == str(meant(message))


class Opaque:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"s": b"abc"}, "data.s"),
        ({"v": [b"abc"]}, "data.v[0]"),
        ({"v": math.nan}, "data.v"),
        ({"v": MOMENT}, "data.v"),
        ({"i32": b"1"}, "data.i32"),
        ({"i32": math.nan}, "data.i32"),
        ({"i32": 10**5000}, "data.i32"),
        ({"i32": 5.5}, "data.i32"),
        ({"i32": True}, "data.i32"),
        ({"i32": 1j}, "data.i32"),
        ({"i32": np.float64(0.5)}, "data.i32"),
        ({"many": {1, 2}}, "data.many"),
        ({"subs": [{}, {"subs": frozenset()}]}, "data.subs[1].subs"),
        ({"many": (one for one in [1])}, "data.many"),
        ({"s": Path("x")}, "data.s"),
        ({"s": MOMENT}, "data.s"),
        ({"ts": datetime(2024, 1, 1)}, "data.ts"),
        ({"ts": date(2024, 1, 1)}, "data.ts"),
        ({"ts": np.datetime64("2024-01-01")}, "data.ts"),
        ({"ts": pd.NaT}, "data.ts"),
        ({"ts": 5}, "data.ts"),
        ({"du": timedelta.max}, "data.du"),
        ({"d": np.array([1, 2])}, "data.d"),
        ({"d": Opaque()}, "data.d"),
        ({"d": object}, "data.d"),
        ({1.5: 1}, "data"),
        ({"byNumber": {None: "a"}}, "data.byNumber"),
        ({"byNumber": {1: "a", "1": "b"}}, 'data.byNumber["1"]'),
        (b"abc", "data"),
        (5, "data"),
        ({"s": "\ud800" * 10**6}, "data.s"),
    ],
)
def test_a_value_of_python_without_a_meaning_is_refused_by_its_place(value: Any, place: str) -> None:
    with pytest.raises(UsageError) as error:
        kinds.read_python(value)
    refused(error, place)


def test_values_of_python_that_hold_themselves_are_refused() -> None:
    ring: dict[str, Any] = {}
    ring["sub"] = ring
    with pytest.raises(UsageError, match="expected at most 100 levels"):
        kinds.read_python(ring)


def test_python_values_are_kept_as_json_where_json_has_them() -> None:
    value = {
        "i64": np.int64(2**53 + 1),
        "d": decimal.Decimal("1E+3"),
        "s": "é\\ud800",
        "many": (1,),
        5: None,
        "t": True,
    }
    assert request.parse(request.json_text(value)) == request.from_python(value)
    for bad, place in (({"b": [b"x"]}, "data.b[0]"), ({"ts": MOMENT}, "data.ts"), ({"d": math.nan}, "data.d")):
        with pytest.raises(UsageError) as error:
            request.json_text(bad)
        refused(error, place)


# ---- metadata ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, ()),
        ({}, ()),
        ({"a": "b", "n": 5, "f": 1.5, "i": np.int64(3)}, ("a=b", "n=5", "f=1.5", "i=3")),
        ({"a": ["b", "c"], "x-bin": (b"\xff\xef", "_-8")}, ("a=b", "a=c", "x-bin=/+8=", "x-bin=_-8")),
        ([("a", "b"), ["a", "c"]], ("a=b", "a=c")),
        (["a=b"], ("a=b",)),
    ],
)
def test_metadata_of_python_means(given: Any, words: tuple[str, ...]) -> None:
    assert metadata_words(given) == words
    assert metadata_words(parse_metadata(words)) or not words


@pytest.mark.parametrize(
    "given",
    [
        *({"a=b": "c"}, {"": "a"}, {"é": "a"}, 5, "a=b", b"a", [5], [("a",)], [("a", "b", "c")], {5: "a"}),
        *(
            {"a": None},
            {"a": True},
            {"a": b"b"},
            {"a": {}},
            {"a": [None]},
            {"a": math.nan},
            {"a": [["b"]]},
            {"x-bin": 5},
        ),
    ],
)
def test_metadata_of_python_without_a_meaning_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match=r"^invalid metadata.*: expected "):
        metadata_words(given)


# ---- over the wire -----------------------------------------------------------------------------------------------


class Recorder(socketserver.ThreadingTCPServer):
    """A server that answers every call, and what it had of each: the headers and the message, as they came."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: queue.Queue[tuple[dict[bytes, bytes], bytes]] = queue.Queue()
        super().__init__(("127.0.0.1", 0), Connection)


class Connection(socketserver.BaseRequestHandler):
    """One connection to it."""

    server: Recorder

    def handle(self) -> None:
        http = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        http.initiate_connection()
        calls: dict[int, tuple[dict[bytes, bytes], bytearray]] = {}
        self.request.sendall(http.data_to_send())
        while received := self.request.recv(65_536):
            for event in http.receive_data(received):
                if isinstance(event, RequestReceived):
                    calls[event.stream_id] = dict(event.headers), bytearray()
                elif isinstance(event, DataReceived):
                    calls[event.stream_id][1].extend(event.data)
                elif isinstance(event, StreamEnded):
                    headers, body = calls.pop(event.stream_id)
                    self.server.seen.put((headers, bytes(body[5:])))
                    http.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                    http.send_data(event.stream_id, bytes(5))
                    http.send_headers(event.stream_id, [("grpc-status", "0")], end_stream=True)
            self.request.sendall(http.data_to_send())


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_both_engines_send_what_was_written(engine: str, recorder: Recorder, tmp_path: Path) -> None:
    data = '{"i64": 9007199254740993.0, "b": "_-8", "v": null, "any": {"@type": "x/k.Sub", "x": 1}, "f": 3.4028235e38}'
    metadata = ("x-trace-bin=_-8", "x-tags-bin=AA==", "x-bin=-_", "x=a=b")
    call = CallRequest(name="k.Kinds/Send", data=data, metadata=metadata, proto=kinds.write(tmp_path))
    levels: dict[str, Level] = {"load.engine": engine, "load.requests": 1, "load.concurrency": 1, "load.warmup_s": 0.0}
    result = run_bench(f"127.0.0.1:{recorder.server_address[1]}", planned(levels), call=call)
    assert result.run.summary.errors == 0
    headers, body = recorder.seen.get(timeout=60)
    assert body == result.call.payload == kinds.read(data).SerializeToString()
    sent = {key: value.rstrip(b"=") for key, value in headers.items() if key.startswith(b"x")}
    assert sent == {b"x-trace-bin": b"/+8", b"x-tags-bin": b"AA", b"x-bin": b"+w", b"x": b"a=b"}
