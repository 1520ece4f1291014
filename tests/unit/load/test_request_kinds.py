"""A request of every kind that JSON for protobuf knows, and what it means."""

from __future__ import annotations

import pytest

from tests.support import kinds
from tests.support.kinds import meant

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
