"""Requests of every kind that the JSON mapping of protobuf knows: what they mean, and what is refused, and where."""

from __future__ import annotations

import collections
import decimal
import enum
import json
import math
import queue
import re
import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from google.protobuf import text_format
from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from grpclab.errors import UsageError
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.load.bench import run_bench
from grpclab.load.calls import encoding, request
from grpclab.load.calls.metadata import metadata_words, parse_metadata
from grpclab.load.calls.method import find_call
from tests.support import kinds


def meant(text: str, name: str = "k.All") -> Any:
    return text_format.Parse(text, kinds.message(name), descriptor_pool=kinds.pool())


def refused(error: pytest.ExceptionInfo[UsageError], place: str) -> None:
    """One printable line of bounded length in the project's form, at this place."""
    line = str(error.value)
    assert re.match(rf"invalid {re.escape(place)}(=.*)?: expected \S", line), line
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 700


# ---- what it means -----------------------------------------------------------------------------------------------

ANY = "type.googleapis.com/"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", ""),
        ('{"i32": 1e2, "i64": "-9223372036854775808", "u32": "4.294967295e9", "u64": 18446744073709551615}',
         "i32: 100 i64: -9223372036854775808 u32: 4294967295 u64: 18446744073709551615"),
        ('{"i64": 9007199254740993.0, "f64": 1844674407370955161.5e1}',
         "i64: 9007199254740993 f64: 18446744073709551615"),
        ('{"i32": -0, "u32": 0e99999999999999999999, "maybe": 0}', "maybe: 0"),
        ('{"i32": 12000000000000e-10}', "i32: 1200"),
        ('{"f": 3.4028235e+38, "d": "1e-400"}', "f: 3.4028235e38"),
        ('{"f": "-Infinity", "d": "Infinity"}', "f: -inf d: inf"),
        ('{"d": 9007199254740993}', "d: 9007199254740992"),
        ('{"t": true, "s": "\\u0000\\ud83d\\ude01é", "b": "-_", "c": "ROUGE"}',
         't: true s: "\\0\\360\\237\\230\\201\\303\\251" b: "\\373" c: RED'),
        ('{"b": "+/+=", "c": 77}', 'b: "\\373\\377" c: 77'),
        ('{"c": 1.0, "colors": ["red", 2, 0e1]}', "c: RED colors: [RED, BLUE, NONE]"),
        ('{"userName": "a"}', 'user_name: "a"'),
        ('{"user_name": "a", "renamed": "b"}', 'user_name: "a" other: "b"'),
        ('{"other": "b", "swap_b": "c"}', 'other: "b" swap_a: "c"'),
        ('{"subs": [{}, {"x": 1}], "many": [], "sub": {}}', "subs {} subs { x: 1 } sub {}"),
        ('{"subs": null, "byName": null, "sub": null, "i32": null, "iv": null, "st": null, "ts": null}', ""),
        ('{"byNumber": {"-1": "a", "0": ""}, "byTruth": {"true": "RED", "false": 0}}',
         'by_number { key: -1 value: "a" } by_number { key: 0 value: "" }'
         ' by_truth { key: true value: RED } by_truth { key: false value: NONE }'),
        ('{"byName": {"": {"sub": {"x": 1}}}, "blobs": {"é": "_-8"}}',
         'by_name { key: "" value { sub { x: 1 } } } blobs { key: "\\303\\251" value: "\\377\\357" }'),
        ('{"byId": {"18446744073709551615": "1970-01-01T00:00:01Z"}}',
         "by_id { key: 18446744073709551615 value { seconds: 1 } }"),
        ('{"nulls": {"a": null}, "nvs": [null, "NULL_VALUE", 0]}',
         'nulls { key: "a" value: NULL_VALUE } nvs: [NULL_VALUE, NULL_VALUE, NULL_VALUE]'),
        ('{"values": {"a": null}, "vs": [null, 1]}',
         'values { key: "a" value { null_value: NULL_VALUE } } vs { null_value: NULL_VALUE } vs { number_value: 1 }'),
        ('{"v": null, "nv": null}', "v { null_value: NULL_VALUE }"),
        ('{"v": {"a": [1.5, "x", true, null, {}, []]}}',
         'v { struct_value { fields { key: "a" value { list_value { values { number_value: 1.5 }'
         ' values { string_value: "x" } values { bool_value: true } values { null_value: NULL_VALUE }'
         " values { struct_value {} } values { list_value {} } } } } } }"),
        ('{"st": {"": "NaN"}, "lv": [[]]}',
         'st { fields { key: "" value { string_value: "NaN" } } } lv { values { list_value {} } }'),
        ('{"ts": "2024-02-29T23:59:59.123456789-11:30"}', "ts { seconds: 1709292599 nanos: 123456789 }"),
        ('{"ts": "0001-01-01T00:00:00-00:01", "du": "-315576000000.999999999s"}',
         "ts { seconds: -62135596740 } du { seconds: -315576000000 nanos: -999999999 }"),
        ('{"ts": "1969-12-31T23:59:59.5Z", "du": "-0.5s"}',
         "ts { seconds: -1 nanos: 500000000 } du { nanos: -500000000 }"),
        ('{"fm": "fooBar,a.bC2", "em": {}}', 'fm { paths: ["foo_bar", "a.b_c2"] } em {}'),
        ('{"fm": ""}', "fm {}"),
        ('{"iv": "5", "dv": "NaN", "fv": 0, "bv": false, "sv": "", "yv": "QQ", "uv": 1e1}',
         'iv { value: 5 } dv { value: nan } fv {} bv {} sv {} yv { value: "A" } uv { value: 10 }'),
        ('{"text": "a", "part": null}', 'text: "a"'),
        ('{"text": null, "part": {}}', "part {}"),
        ('{"none": null}', "none: NULL_VALUE"),
        ('{"free": null}', "free { null_value: NULL_VALUE }"),
        ('{"old": {"shut": "SECOND", "inner": {"x": 1}, "[k.blob]": "QQ==", "[k.row]": [1, "2"]}}',
         'old { shut: SECOND Inner { x: 1 } [k.blob]: "A" [k.row]: 1 [k.row]: 2 }'),
        ('{"old": {"[k.more]": {"id": 1}}}', "old { [k.more] { id: 1 } }"),
        ('{"new": {"needed": 0, "closed": 2, "part": {"x": 1}}}', "new { needed: 0 closed: TWO part { x: 1 } }"),
        ('{"any": {}}', "any {}"),
        ('{"any": {"x": 1, "@type": "a/b/k.Sub"}}', 'any { type_url: "a/b/k.Sub" value: "\\010\\001" }'),
        (f'{{"any": {{"@type": "{ANY}google.protobuf.Duration", "value": "1s"}}}}',
         f'any {{ type_url: "{ANY}google.protobuf.Duration" value: "\\010\\001" }}'),
        (f'{{"any": {{"@type": "{ANY}google.protobuf.Value", "value": null}}}}',
         f'any {{ type_url: "{ANY}google.protobuf.Value" value: "\\010\\000" }}'),
        (f'{{"any": {{"@type": "{ANY}google.protobuf.Empty"}}}}', f'any {{ type_url: "{ANY}google.protobuf.Empty" }}'),
        ('{"any": {"@type": "x/google.protobuf.Any", "value": {"@type": "x/k.Sub", "x": 1}}}',
         'any { type_url: "x/google.protobuf.Any" value: "\\n\\007x/k.Sub\\022\\002\\010\\001" }'),
    ],
)  # fmt: skip
def test_a_request_means(text: str, message: str) -> None:
    assert str(kinds.read(text)) == str(meant(message))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("StringValue", '"x"', 'value: "x"'),
        ("Int64Value", "0", ""),
        ("BytesValue", '"QUJD"', 'value: "ABC"'),
        ("Timestamp", '"1970-01-01T00:00:01Z"', "seconds: 1"),
        ("Value", "null", "null_value: NULL_VALUE"),
        ("ListValue", "[1]", "values { number_value: 1 }"),
        ("Struct", "{}", ""),
        ("Empty", "{}", ""),
        ("Any", "{}", ""),
    ],
)
def test_a_whole_request_may_be_a_well_known_type(name: str, text: str, message: str) -> None:
    assert kinds.read(text, f"google.protobuf.{name}") == meant(message, f"google.protobuf.{name}")


# ---- what is refused ---------------------------------------------------------------------------------------------

HUGE = "9" * 5000


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"i32": 2147483648}', "data.i32"),
        ('{"i64": 9223372036854775808}', "data.i64"),
        ('{"u32": -1}', "data.u32"),
        ('{"i32": 0.5}', "data.i32"),
        ('{"i32": 1e-1}', "data.i32"),
        ('{"i32": 1e99999999999}', "data.i32"),
        ('{"i32": "1e536870000"}', "data.i32"),
        (f'{{"i32": {HUGE}}}', "data.i32"),
        (f'{{"i64": "{HUGE}"}}', "data.i64"),
        (f'{{"d": {HUGE}}}', "data.d"),
        (f'{{"vs": [1, {HUGE}]}}', "data.vs[1]"),
        *((f'{{"i32": {json.dumps(word)}}}', "data.i32") for word in
          ("", " 1", "1 ", "+1", "01", "1_000", "٢", "0x1", "1.", ".5", "1e", "NaN")),
        *((f'{{"i32": {word}}}', "data.i32") for word in ("true", "[]", "{}", "[1]")),
        *((f'{{"d": {json.dumps(word)}}}', "data.d") for word in
          ("", " 1.5", "1_5", "+1", ".5", "1.", "nan", "inf", "infinity", "+Infinity", "1e400", "٢")),
        *((f'{{"d": {word}}}', "data.d") for word in ("false", "[1.5]")),
        ('{"d": NaN}', "data.d"),
        ('{"d": -Infinity}', "data.d"),
        ('{"d": 1e309}', "data.d"),
        ('{"f": 3.4028236e38}', "data.f"),
        ('{"dv": true}', "data.dv"),
        ('{"t": 1}', "data.t"),
        ('{"t": "true"}', "data.t"),
        ('{"s": 1}', "data.s"),
        ('{"s": "\\ud800"}', "data.s"),
        ('{"s": "\\udc00\\ud800"}', "data.s"),
        ('{"st": {"\\ud800": 1}}', "data.st.\\ud800"),
        ('{"lv": ["\\ud800"]}', "data.lv[0]"),
        ('{"blobs": {"\\ud800": ""}}', 'data.blobs["\\ud800"]'),
        ('{"b": 1}', "data.b"),
        ('{"b": []}', "data.b"),
        *((f'{{"b": {json.dumps(word)}}}', "data.b") for word in
          ("A", "=", "==", "QUJD=", "QUJD==", "QUJ==", "QU=", "QQ===", "QUJD!!!", "Q Q=", "QQ\n", "+_", "é")),
        ('{"yv": "hello world!"}', "data.yv"),
        ('{"byTruth": {"true": "GREEN"}}', 'data.byTruth["true"]'),
        *((f'{{"c": {word}}}', "data.c") for word in
          ('"GREEN"', '""', '"Rouge"', '"1"', "true", "1.5", "2147483648", "[]")),
        ('{"new": {"needed": 1, "closed": 3}}', "data.new.closed"),
        ('{"old": {"shut": 0}}', "data.old.shut"),
        ('{"nope": null}', "data.nope"),
        ('{"\x7f\\u0000\\u2028": null}', "data.\\u007f\\u0000\\u2028"),
        ('{"UserName": "a"}', "data.UserName"),
        ('{"sub": {"subs": [{}, {"y": 1}]}}', "data.sub.subs[1].y"),
        ('{"subs": {}}', "data.subs"),
        ('{"subs": [null]}', "data.subs[0]"),
        ('{"many": [1, null]}', "data.many[1]"),
        ('{"many": 1}', "data.many"),
        ('{"sub": []}', "data.sub"),
        ('{"svs": ["a", null]}', "data.svs[1]"),
        ('{"byName": {"a": null}}', 'data.byName["a"]'),
        ('{"byName": [["a", {}]]}', "data.byName"),
        ('{"byNumber": {"1": "a", "01": "b"}}', 'data.byNumber["01"]'),
        ('{"byNumber": {"1": "a", "1.0": "b"}}', 'data.byNumber["1.0"]'),
        ('{"byNumber": {"2147483648": "a"}}', 'data.byNumber["2147483648"]'),
        ('{"byTruth": {"True": 1}}', 'data.byTruth["True"]'),
        ('{"byName": {"a\\nb": {"sub": {"x": "?"}}}}', 'data.byName["a\\nb"].sub.x'),
        ('{"i32": 1, "i32": 1}', "data.i32"),
        ('{"subs": [{"x": 1, "x": 2}]}', "data.subs[0].x"),
        ('{"byName": {"a": {}, "a": {}}}', 'data.byName["a"]'),
        ('{"st": {"a": {"b": 1, "b": 2}}}', "data.st.a.b"),
        ('{"any": {"@type": "x/k.Sub", "@type": "x/k.Sub"}}', "data.any.@type"),
        ('{"userName": "a", "user_name": "b"}', "data.user_name"),
        ('{"userName": "a", "user_name": null}', "data.user_name"),
        ('{"text": "a", "part": {}}', "data.part"),
        ('{"text": "a", "none": null}', "data.none"),
        ('{"free": null, "text": "a"}', "data.text"),
        *((f'{{"ts": {json.dumps(word)}}}', "data.ts") for word in (
            "", "2024-1-1T0:0:0Z", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00++5:30", "٢024-01-01T00:00:00Z",
            "2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-01-01t00:00:00Z", "2024-01-01T00:00:00z",
            "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z", "2024-01-01T00:00:00.1234567890Z", "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00+00:60", "2024-01-01T00:00:00+0800", "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "2024-01-01T00:00:00Z\n",
            20, {"seconds": 20},
        )),
        *((f'{{"du": {json.dumps(word)}}}', "data.du") for word in (
            "", "s", "1", "3 s", " 3s", "1_0s", "1.s", ".5s", "+1s", "--1s", "-s", "1e3s", "1.0000000000s", "1S", "1m",
            "315576000001s", "-315576000001s", "٣s", "1s\n", "NaNs", 1.5, {"seconds": 1},
        )),
        *((f'{{"fm": {json.dumps(word)}}}', "data.fm") for word in
          (" a", "a,", ",", "a,,b", "a_b", "a b", "a..b", ".a", "1a", "é", "*", ["a"], {"paths": ["a"]})),
        ('{"em": []}', "data.em"),
        ('{"em": {"a": 1}}', "data.em.a"),
        ('{"st": []}', "data.st"),
        ('{"lv": {}}', "data.lv"),
        ('{"v": NaN}', "data.v"),
        ('{"v": {"a": [1e400]}}', "data.v.a[0]"),
        ('{"iv": {"value": 5}}', "data.iv"),
        ('{"any": "x"}', "data.any"),
        ('{"any": {"x": 1}}', "data.any"),
        *((f'{{"anys": [{{}}, {{"@type": {word}}}]}}', "data.anys[1].@type") for word in
          ("5", "null", "{}", '""', '"not_a_url"', '"k.Sub"', '"/k.Sub"',
           '"x/"', '"x/k.None"', '"x/k.Sub "', '"x/\\ud800"')),
        ('{"any": {"@type": "x/google.protobuf.Any"}}', "data.any"),
        ('{"any": {"@type": "x/google.protobuf.Timestamp"}}', "data.any"),
        ('{"any": {"@type": "x/google.protobuf.StringValue", "value": null}}', "data.any.value"),
        ('{"any": {"@type": "x/google.protobuf.Duration", "value": "1s", "a": 1}}', "data.any.a"),
        ('{"any": {"@type": "x/google.protobuf.Empty", "value": {}}}', "data.any.value"),
        ('{"any": {"@type": "x/google.protobuf.Any", "value": {"@type": "x/k.Sub", "b": "!"}}}', "data.any.value.b"),
        ('{"any": {"@type": "x/k.Sub", "b": "QUJD!!!"}}', "data.any.b"),
        ('{"any": {"@type": "x/k.Strict"}}', "data.any.id"),
        ('{"old": {"[k.blob]": "QUJD!!!"}}', "data.old[k.blob]"),
        ('{"old": {"[k.more]": {"id": 1, "next": {}}}}', "data.old[k.more].next.id"),
        ('{"old": {"[k.none]": 1}}', "data.old[k.none]"),
        ('{"sub": {"[k.blob]": ""}}', "data.sub[k.blob]"),
        ('{"new": {"needed": null}}', "data.new.needed"),
        ("[]", "data"),
        ("null", "data"),
    ],
)  # fmt: skip
def test_a_request_is_refused_by_its_place(text: str, place: str) -> None:
    with pytest.raises(UsageError) as error:
        kinds.read(text)
    refused(error, place)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("StringValue", "{}"),
        ("StringValue", '{"value": "x"}'),
        ("Int64Value", "[5]"),
        ("DoubleValue", "null"),
        ("BytesValue", '"QUJD!!!"'),
        ("Timestamp", "{}"),
        ("Any", "5"),
        ("Empty", "5"),
        ("Empty", "null"),
        ("Struct", "null"),
        ("ListValue", "{}"),
        ("Value", HUGE),
    ],
)
def test_a_whole_request_of_another_type_is_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError) as error:
        kinds.read(text, f"google.protobuf.{name}")
    refused(error, "data")


@pytest.mark.parametrize(
    ("opening", "inside", "closing"),
    [
        ('{"sub":', "{}", "}"),
        ('{"subs":[', "{}", "]}"),
        ('{"by":{"k":', "{}", "}}"),
    ],
)
def test_a_hundred_levels_are_sent_and_more_are_refused(opening: str, inside: str, closing: str) -> None:
    encoding.encode(request.parse(opening * 100 + inside + closing * 100), kinds.kind("k.Sub"), kinds.pool())
    for levels in (101, 100_000):
        with pytest.raises(UsageError, match="expected at most 100 levels"):
            kinds.read(opening * levels + inside + closing * levels, "k.Sub")


@pytest.mark.parametrize("kind", ["Value", "Struct", "Any"])
def test_well_known_types_are_as_deep(kind: str) -> None:
    opening, closing = {
        "Value": ("[", "]"),
        "Struct": ('{"a":', "}"),
        "Any": ('{"@type":"x/google.protobuf.Any","value":', "}"),
    }[kind]
    tree = request.parse(opening * 40 + "{}" + closing * 40)
    assert encoding.encode(tree, kinds.kind(f"google.protobuf.{kind}"), kinds.pool())
    for levels in (101, 100_000):
        with pytest.raises(UsageError, match="expected at most 100 levels"):
            kinds.read(opening * levels + "{}" + closing * levels, f"google.protobuf.{kind}")


def test_a_field_may_be_called_as_a_method_of_messages() -> None:
    text = '{"SerializeToString": "a", "DESCRIPTOR": "b", "Extensions": "c", "SetInParent": {"DESCRIPTOR": "d"}}'
    assert encoding.encode(request.parse(text), kinds.kind("k.Names"), kinds.pool()) == (
        b'\n\1a\x12\1b\x1a\3\x12\1d"\1c'
    )


@pytest.mark.parametrize("name", ["StringValue", "Empty", "Struct", "Type", "Api", "FileDescriptorProto"])
def test_well_known_types_are_known_where_nothing_imports_them(name: str) -> None:
    bare = DescriptorPool()
    AnyProto.DESCRIPTOR.file.CopyToProto(file := FileDescriptorProto())
    bare.Add(file)
    value = {"StringValue": ', "value": "x"', "Struct": ', "value": {}'}.get(name, "")
    tree = request.parse(f'{{"@type": "x/google.protobuf.{name}"{value}}}')
    packed = encoding.encode(tree, bare.FindMessageTypeByName("google.protobuf.Any"), bare)
    assert AnyProto.FromString(packed).TypeName() == f"google.protobuf.{name}"


def test_a_message_that_is_called_as_a_well_known_type_is_one_of_its_own() -> None:
    own = DescriptorPool()
    file = FileDescriptorProto(name="own.proto", package="google.protobuf", syntax="proto3")
    kind = file.message_type.add(name="Duration")
    kind.field.add(name="hours", number=1, type="TYPE_INT32", label="LABEL_OPTIONAL", json_name="hours")
    own.Add(file)
    descriptor = own.FindMessageTypeByName("google.protobuf.Duration")
    assert encoding.encode(request.parse('{"hours": 1}'), descriptor, own) == b"\x08\x01"


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
    found = kinds.read_python(value)
    if message is not None:
        assert str(found) == str(meant(message))


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
    metadata = parse_metadata(["grpc-trace-bin=_-8", "grpc-tags-bin=AA==", "x-bin=-_", "x=a=b"])
    call = find_call("", "k.Kinds/Send", data=data, metadata=metadata, proto=kinds.write(tmp_path))
    levels: dict[str, Level] = {"load.engine": engine, "load.requests": 1, "load.concurrency": 1, "load.warmup_s": 0.0}
    result = run_bench(f"127.0.0.1:{recorder.server_address[1]}", TrialConfig().replace(levels), call=call)
    assert result.run.summary.errors == 0
    headers, body = recorder.seen.get(timeout=20)
    assert body == call.payload == kinds.read(data).SerializeToString()
    found = {key: value.rstrip(b"=") for key, value in headers.items() if key.startswith((b"grpc-t", b"x"))}
    found.pop(b"grpc-timeout")
    assert found == {b"grpc-trace-bin": b"/+8", b"grpc-tags-bin": b"AA", b"x-bin": b"+w", b"x": b"a=b"}
