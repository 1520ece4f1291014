"""Generated requests: trees of JSON, ``Any`` and messages, judged by the tests' own reading of the mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from tests.support import kinds
from tests.support.proto_json import (
    REFUSED,
    Raw,
    base64_value,
    double,
    dump,
    duration_value,
    many,
    number_words,
    outcome,
)

# ---- trees -------------------------------------------------------------------------------------------------------

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.sampled_from(["NaN", "1", "\ud800", "\udc00x"]),
    number_words.filter(lambda word: word not in ("", "true", "null")).map(Raw),
)

trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(st.tuples(st.sampled_from(["a", "b", "", "é", "\ud800"]), inner), max_size=3).map(tuple),
    ),
    max_leaves=8,
)


def has_surrogate(word: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in word)


def plain_value(tree: Any) -> Any:
    """A tree as Python's json would have it; REFUSED where a part of it has no form in google.protobuf.Value."""
    if isinstance(tree, Raw):
        number = double(tree)
        return REFUSED if number is None else number
    if isinstance(tree, str):
        return REFUSED if has_surrogate(tree) else tree
    if isinstance(tree, list):
        items = [plain_value(item) for item in tree]
        return REFUSED if any(item is REFUSED for item in items) else items
    if isinstance(tree, tuple):
        names = [name for name, _ in tree]
        members = {name: plain_value(item) for name, item in tree}
        bad = len(set(names)) < len(names) or any(map(has_surrogate, names))
        return REFUSED if bad or any(item is REFUSED for item in members.values()) else members
    return tree


@many
@given(trees, st.sampled_from(["Value", "Struct", "ListValue"]), st.booleans())
def test_values_structs_and_lists(tree: Any, kind: str, packed: bool) -> None:
    value = plain_value(tree)
    if (kind == "Struct" and not isinstance(tree, tuple)) or (kind == "ListValue" and not isinstance(tree, list)):
        value = REFUSED
    name = f"google.protobuf.{kind}"
    message = (
        outcome(dump((("@type", f"x/{name}"), ("value", tree))), "google.protobuf.Any")
        if packed
        else outcome(dump(tree), name)
    )
    if value is REFUSED:
        assert message is REFUSED
        return
    wanted = ParseDict(value, kinds.message(name))
    if packed:
        message = type(wanted).FromString(message.value)
    assert message == wanted


WELL_KNOWN = ("Duration", "StringValue", "Any", "Empty", "Int64Value")
any_types = st.sampled_from(
    [
        *("x/k.Sub", "a/b/k.Sub", "k.Sub", "/k.Sub", "x/k.Nope", "x/", "", "x/k.Sub "),
        *(f"x/google.protobuf.{name}" for name in WELL_KNOWN),
    ]
)


def any_objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(st.sampled_from(["value", "x", "b", "sub"]), inner)
    return st.builds(
        lambda url, members, first: (("@type", url), *members) if first else (*members, ("@type", url)),
        st.one_of(any_types, st.sampled_from([5, None])),
        st.lists(pairs, max_size=2, unique_by=lambda pair: pair[0]),
        st.booleans(),
    )


any_leaves: st.SearchStrategy[Any] = st.one_of(st.just(()), st.sampled_from(["1s", "hi", 5, None, [], "5", "x" * 3]))
any_trees: st.SearchStrategy[Any] = st.recursive(any_leaves, any_objects, max_leaves=4)


def any_value(tree: Any) -> Any:
    """Type and content of an Any; REFUSED for what the mapping does not have."""
    if not isinstance(tree, tuple):
        return REFUSED
    members = dict(tree)
    if not members:
        return kinds.message("google.protobuf.Any")
    url = members.pop("@type", None)
    host, slash, name = url.rpartition("/") if isinstance(url, str) else ("", "", "")
    readers: dict[str, Callable[[Any], Any]] = {
        "google.protobuf.Duration": lambda v: duration_message(v) if isinstance(v, str) else REFUSED,
        "google.protobuf.StringValue": lambda v: wrapper("StringValue", v) if isinstance(v, str) else REFUSED,
        "google.protobuf.Int64Value": int64_message,
        "google.protobuf.Any": any_value,
    }
    content: Any = REFUSED
    if not host or not slash:
        return REFUSED
    if name == "k.Sub":
        content = sub_value(members)
    elif name == "google.protobuf.Empty" and not members:
        content = kinds.message(name)
    elif name in readers and members.keys() == {"value"}:
        content = readers[name](members["value"])
    if content is REFUSED:
        return REFUSED
    wanted = kinds.message("google.protobuf.Any")
    wanted.type_url, wanted.value = url, content.SerializeToString()
    return wanted


def wrapper(kind: str, value: Any) -> Any:
    wanted = kinds.message(f"google.protobuf.{kind}")
    wanted.value = value
    return wanted


def duration_message(word: str) -> Any:
    if (value := duration_value(word)) is None:
        return REFUSED
    wanted = kinds.message("google.protobuf.Duration")
    wanted.seconds, wanted.nanos = value
    return wanted


def int64_message(value: Any) -> Any:
    fits = (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, str) and value.isdigit())
    return wrapper("Int64Value", int(value)) if fits else REFUSED


def sub_value(members: dict[str, Any]) -> Any:
    wanted = kinds.message("k.Sub")
    for key, value in members.items():
        if key not in ("x", "b", "sub"):
            return REFUSED
        if value is None:
            continue
        if key == "x":
            if (number := int64_message(value)) is REFUSED:
                return REFUSED
            wanted.x = number.value
        elif key == "b":
            if not isinstance(value, str) or (decoded := base64_value(value)) is None:
                return REFUSED
            wanted.b = decoded
        else:
            inner = sub_value(dict(value)) if isinstance(value, tuple) else REFUSED
            if inner is REFUSED:
                return REFUSED
            wanted.sub.CopyFrom(inner)
    return wanted


@many
@given(any_trees)
def test_any(tree: Any) -> None:
    wanted = any_value(tree)
    message = outcome(dump((("any", tree),)))
    if tree is None:
        assert message == kinds.message()
    elif wanted is REFUSED:
        assert message is REFUSED
    else:
        assert message.any == wanted


# ---- messages ----------------------------------------------------------------------------------------------------

NAMES = {"i32": 1, "userName": 14, "user_name": 14, "renamed": 15, "other": 15, "t": 9, "c": 12, "text": 60}

NAMES |= {"none": 61, "part": 62, "free": 63, "subs": 21, "byNumber": 31, "by_number": 31, "nvs": 58, "nope": 0}

COLORS = {"NONE": 0, "RED": 1, "ROUGE": 1, "red": 1, "BLUE": 2}
values_of: dict[int, st.SearchStrategy[Any]] = {
    1: st.sampled_from([1, "2", True, "x", 1.5]),
    9: st.sampled_from([True, False, "true", 0]),
    12: st.sampled_from([*COLORS, "GREEN", "", 0, 1, 77, -1, 2**31, 1.5, True, "1"]),
    21: st.sampled_from([[], [()], [(("x", 1),)], (), [None], [[]]]),
    31: st.lists(
        st.tuples(st.sampled_from(["1", "-1", "01", "1.0", "x", ""]), st.sampled_from(["a", 1, None])), max_size=2
    ).map(tuple),
    58: st.sampled_from([[], [None], ["NULL_VALUE"], [0], [None, 0], ["x"], [()]]),
    61: st.sampled_from(["NULL_VALUE", 0]),
    62: st.sampled_from([(), (("x", 1),), []]),
    63: st.sampled_from([1, "x", (), []]),
}


@st.composite
def objects(draw: st.DrawFn) -> tuple[tuple[str, Any], ...]:
    names = draw(st.lists(st.sampled_from(sorted(NAMES)), max_size=4))
    strings = st.sampled_from(["a", "", 5, ()])
    return tuple((name, draw(st.one_of(st.none(), values_of.get(NAMES[name], strings)))) for name in names)


def is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def chosen(fields: dict[int, Any]) -> list[str]:
    """The members of the oneof that have a value; null is one for NullValue and Value."""
    members = {60: "text", 61: "none", 62: "part", 63: "free"}
    return [members[n] for n, value in fields.items() if n in members and (value is not None or n in (61, 63))]


def message_value(pairs: tuple[tuple[str, Any], ...]) -> Any:
    """The fields of an object by their numbers; REFUSED for what the mapping does not have or loses."""
    fields: dict[int, Any] = {}
    for name, value in pairs:
        number = NAMES[name]
        if number in fields or not number:
            return REFUSED
        fields[number] = value
    members = [
        number for number in fields if number in (60, 61, 62, 63) and (fields[number] is not None or number in (61, 63))
    ]
    if len(members) > 1:
        return REFUSED
    fits: dict[int, Callable[[Any], bool]] = {
        1: lambda v: is_int(v) or v == "2",
        9: lambda v: isinstance(v, bool),
        12: lambda v: (isinstance(v, str) and v in COLORS) or (is_int(v) and -(2**31) <= v < 2**31),
        21: lambda v: isinstance(v, list) and all(isinstance(item, tuple) for item in v),
        31: lambda v: (
            len({key for key, _ in v}) == len(v)
            and all(key in ("1", "-1") and isinstance(item, str) for key, item in v)
        ),
        58: lambda v: isinstance(v, list) and all(item in (None, "NULL_VALUE", 0) and item != () for item in v),
        62: lambda v: isinstance(v, tuple),
    }
    for number, value in fields.items():
        if number in (61, 63) or value is None:
            continue
        if not fits.get(number, lambda v: isinstance(v, str))(value):
            return REFUSED
    return fields


@many
@given(objects())
def test_messages(pairs: tuple[tuple[str, Any], ...]) -> None:
    fields = message_value(pairs)
    message = outcome(dump(pairs))
    if fields is REFUSED:
        assert message is REFUSED
        return
    assert message is not REFUSED
    assert message.i32 == int(fields.get(1) or 0)
    assert (message.user_name, message.other) == (fields.get(14) or "", fields.get(15) or "")
    color = fields.get(12)
    assert message.c == (COLORS[color] if isinstance(color, str) else color or 0)
    assert message.t == bool(fields.get(9))
    assert [sub.x for sub in message.subs] == [dict(item).get("x", 0) for item in fields.get(21) or []]
    assert {str(key): value for key, value in message.by_number.items()} == dict(fields.get(31) or ())
    assert len(message.nvs) == len(fields.get(58) or [])
    assert message.WhichOneof("one") == next(iter(chosen(fields)), None)


@many
@given(st.text(st.sampled_from('{}[]:,"\\ \n0123456789eE+-.truefalsnNIié\ud800abuk@/'), max_size=30))
@pytest.mark.parametrize("name", ["k.All", "google.protobuf.Value", "google.protobuf.Any"])
def test_any_text_at_all_is_read_or_refused(name: str, text: str) -> None:
    outcome(text, name)
