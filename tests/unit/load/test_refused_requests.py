"""Requests that are refused, by the place of what is wrong in them."""

from __future__ import annotations

import json

import pytest
from google.protobuf.any_pb2 import Any as AnyProto
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from grpclab.errors import UsageError
from grpclab.load.calls import encoding, request
from tests.support import kinds
from tests.support.kinds import refused

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
