"""Generated requests of every well-known kind, judged by a reading of the JSON mapping that is the test's own.

The judges are written from protobuf.dev's "ProtoJSON Format", RFC 8259, RFC 3339 and RFC 4648, and ask neither the
reader nor json_format. `GRPCLAB_EXAMPLES=10000 pytest tests/unit/load/test_request_properties.py` tries as many of
each kind.
"""

from __future__ import annotations

import json
import math
import os
import string
import struct
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from grpclab.errors import UsageError
from tests.support import kinds

many = settings(
    max_examples=int(os.environ.get("GRPCLAB_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
REFUSED = object()
"""What a judge says of a request that the mapping does not have."""
DIGITS = frozenset(string.digits)


class Raw(str):
    """JSON that is written as it is."""

    __slots__ = ()


def dump(value: Any) -> str:
    """JSON, in which objects may be lists of pairs in a tuple, and so hold a name twice."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, tuple):
        return "{" + ",".join(f"{json.dumps(key)}:{dump(inner)}" for key, inner in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(dump(inner) for inner in value) + "]"
    return json.dumps(value)


def outcome(text: str, name: str = "k.All") -> Any:
    """The message that grpclab makes of it, or REFUSED, which is one printable line that names the place."""
    try:
        return kinds.read(text, name)
    except UsageError as error:
        line = str(error)
        assert line.startswith("invalid data")
        assert ": expected " in line
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 800
        return REFUSED


def mutated(words: st.SearchStrategy[str], alphabet: str) -> st.SearchStrategy[str]:
    """The words, some of them with a character or two inserted, replaced or left out."""

    def change(word: str, at: list[tuple[int, int, str]]) -> str:
        for place, length, put in at:
            cut = place % (len(word) + 1)
            word = word[:cut] + put + word[cut + length :]
        return word

    one = st.tuples(st.integers(0, 40), st.integers(0, 1), st.sampled_from(["", *alphabet]))
    return st.one_of(words, st.builds(change, words, st.lists(one, min_size=1, max_size=2)))


# ---- numbers -----------------------------------------------------------------------------------------------------


def exact(word: str) -> Fraction | None:
    """The value of a number of RFC 8259, at most 10,000 digits long; None for what is none."""
    bare = word.removeprefix("-")
    mantissa, e, exponent = bare.replace("E", "e").partition("e")
    whole, dot, fraction = mantissa.partition(".")
    power = exponent[1:] if exponent[:1] in ("+", "-") else exponent
    if not whole or not set(whole) <= DIGITS or (whole.startswith("0") and whole != "0"):
        return None
    if (dot and not (fraction and set(fraction) <= DIGITS)) or (e and not (power and set(power) <= DIGITS)):
        return None
    digits = int(whole + fraction)
    scale = max(-10_000, min(10_000, int(exponent or 0))) - len(fraction)
    value = Fraction(digits) * Fraction(10) ** scale if digits else Fraction(0)
    return -value if word.startswith("-") else value


def double(word: str) -> float | None:
    """The double nearest to a number; None for what is none, or beyond the last one."""
    number = exact(word)
    if number is None or abs(number) >= 2**1024 - 2**970:
        return None
    return float(number) or math.copysign(0.0, -1 if word.startswith("-") else 1)


whole_words = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.builds(
        lambda edge, off: str(edge + off),
        st.sampled_from([2**31, -(2**31), 2**32, 2**63, -(2**63), 2**64, 0]),
        st.integers(-1, 1),
    ),
    st.builds("{}.{}".format, st.integers(-(2**64), 2**64), st.sampled_from(["0", "00", "5", "000000000000000000001"])),
    st.builds("{}{}{}".format, st.integers(-(2**64), 2**64), st.sampled_from("eE"), st.integers(-25, 25)),
    st.builds("{}.{}e{}".format, st.integers(-99, 99), st.integers(0, 10**18), st.integers(-3, 22)),
    st.sampled_from(["-0", "0e99999999999", "1e99999999999", "1e-99999999999", "NaN", "Infinity", "", "true", "null"]),
)
NUMERALS = "0123456789+-.eE_ xN٣\n"


@many
@given(
    field=st.sampled_from(["i32", "i64", "u32", "u64", "s32", "f64", "iv", "uv"]),
    word=mutated(whole_words, NUMERALS),
    quoted=st.booleans(),
)
@example(field="i64", word="9007199254740993.0", quoted=False)
def test_whole_numbers(field: str, word: str, quoted: bool) -> None:
    bits = 32 if field in ("i32", "u32", "s32", "uv") else 64
    low, high = (0, 2**bits - 1) if field in ("u32", "u64", "f64", "uv") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    value = exact(word if quoted else word.strip(" \t\n\r"))
    found = outcome(dump(((field, word if quoted else Raw(word)),)))
    if not quoted and word.strip(" \t\n\r") == "null":
        assert found == kinds.message()
    elif value is None or value.denominator != 1 or not low <= value <= high:
        assert found is REFUSED
    else:
        wanted = kinds.message()
        if field in ("iv", "uv"):
            getattr(wanted, field).value = int(value)
        else:
            setattr(wanted, field, int(value))
        assert found == wanted


number_words = st.one_of(
    whole_words,
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "nan", "inf", "+Infinity"]),
    st.sampled_from(["1e400", "-1e400", "1e-400", "9" * 400]),
    st.sampled_from(["3.4028235e38", "3.4028235677973366e38", "3.402823567797336e38", "1.7976931348623157e308"]),
    st.sampled_from(["1.7976931348623158e308", "1.7976931348623159e308", "5e-324", "1e-46"]),
)


@many
@given(
    field=st.sampled_from(["d", "f", "dv", "fv"]),
    word=mutated(number_words, NUMERALS + "Infinityna"),
    quoted=st.booleans(),
)
def test_numbers_with_a_point(field: str, word: str, quoted: bool) -> None:
    found = outcome(dump(((field, word if quoted else Raw(word)),)))
    bare = word if quoted else word.strip(" \t\n\r")
    if not quoted and bare == "null":
        assert found == kinds.message()
        return
    value: float | None = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(bare if quoted else "")
    if value is None:
        value = double(bare)
        if field in ("f", "fv") and value is not None and abs(Fraction(value)) >= 2**128 - 2**103:
            value = None
    if value is None:
        assert found is REFUSED
        return
    assert found is not REFUSED
    sent = getattr(found, field).value if field.endswith("v") else getattr(found, field)
    width = "<f" if field in ("f", "fv") else "<d"
    assert struct.pack(width, sent) == struct.pack(width, value)


# ---- texts -------------------------------------------------------------------------------------------------------

STANDARD = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
FOR_URLS = STANDARD[:62] + "-_"


def base64_value(word: str) -> bytes | None:
    """The bytes of some base64 of RFC 4648, sections 4 and 5; the padding is whole or absent."""
    bare = word.rstrip("=")
    alphabet = next((letters for letters in (STANDARD, FOR_URLS) if set(bare) <= set(letters)), None)
    padding = len(word) - len(bare)
    if alphabet is None or len(bare) % 4 == 1 or padding not in (0, -len(bare) % 4):
        return None
    bits = "".join(f"{alphabet.index(letter):06b}" for letter in bare)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits) - 7, 8))


@st.composite
def base64_words(draw: st.DrawFn) -> str:
    letters = draw(st.sampled_from([STANDARD, FOR_URLS]))
    word = draw(st.text(letters, max_size=9))
    return word + draw(st.sampled_from(["", "=" * (-len(word) % 4), "=", "=="]))


@many
@given(field=st.sampled_from(["b", "yv", "blobs", "any", "old"]), word=mutated(base64_words(), "+/-_=A !\né"))
def test_bytes(field: str, word: str) -> None:
    value = base64_value(word)
    places: dict[str, Any] = {
        "blobs": (("k", word),),
        "any": (("@type", "x/k.Sub"), ("b", word)),
        "old": (("[k.blob]", word),),
    }
    found = outcome(dump(((field, places.get(field, word)),)))
    if value is None:
        assert found is REFUSED
        return
    sub = kinds.message("k.Sub")
    sub.b = value
    readers: dict[str, Callable[[Any], Any]] = {
        "b": lambda m: m.b,
        "yv": lambda m: m.yv.value,
        "blobs": lambda m: m.blobs["k"],
        "old": lambda m: m.old.Extensions[kinds.pool().FindExtensionByName("k.blob")],
    }
    if field == "any":
        assert found.any.value == sub.SerializeToString()
    else:
        assert readers[field](found) == value


@many
@given(
    field=st.sampled_from(["s", "sv", "userName", "v", "by"]),
    value=st.text(st.characters(codec=None), max_size=6),
)
def test_texts(field: str, value: str) -> None:
    found = outcome(dump(((field if field != "by" else "byName", ((value, ()),) if field == "by" else value),)))
    try:  # two halves side by side are one character to JSON
        joined = value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        assert found is REFUSED
        return
    readers: dict[str, Callable[[Any], Any]] = {
        "s": lambda m: m.s,
        "sv": lambda m: m.sv.value,
        "userName": lambda m: m.user_name,
        "v": lambda m: m.v.string_value,
        "by": lambda m: next(iter(m.by_name)),
    }
    assert readers[field](found) == joined


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def offset(zone: str) -> int | None:
    """The seconds that a zone as +05:30 is ahead."""
    if len(zone) != 6 or zone[0] not in "+-" or zone[3] != ":" or not set(zone[1:3] + zone[4:]) <= DIGITS:
        return None
    hours, minutes = int(zone[1:3]), int(zone[4:])
    return (hours * 3600 + minutes * 60) * (1 if zone[0] == "+" else -1) if hours < 24 and minutes < 60 else None


def timestamp_value(word: str) -> tuple[int, int] | None:
    """Seconds and nanoseconds of a time of RFC 3339 in the strict reading, from year 1 to 9999 in UTC."""
    parts, tail = [word[at : at + 2] for at in (5, 8, 11, 14, 17)], word[19:]
    parts.insert(0, word[:4])
    marks = [word[at : at + 1] for at in (4, 7, 10, 13, 16)]
    if marks != ["-", "-", "T", ":", ":"] or len(word) < 20 or not all(set(part) <= DIGITS for part in parts):
        return None
    year, month, on, hour, minute, second = map(int, parts)
    lengths = [31, 29 if is_leap(year) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    on_the_calendar = year >= 1 and 1 <= month <= 12 and 1 <= on <= lengths[month - 1]
    fraction = "0"
    if tail.startswith("."):
        end = next((at for at in range(1, len(tail)) if tail[at] not in DIGITS), len(tail))
        fraction, tail = tail[1:end], tail[end:]
    ahead = 0 if tail == "Z" else offset(tail)
    if not on_the_calendar or hour > 23 or minute > 59 or second > 59 or not 1 <= len(fraction) <= 9 or ahead is None:
        return None
    nanos = int(fraction) * 10 ** (9 - len(fraction))
    days = date(year, month, on).toordinal() - date(1970, 1, 1).toordinal()
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - ahead
    return (seconds, nanos) if -62_135_596_800 <= seconds <= 253_402_300_799 else None


timestamps = st.builds(
    "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}".format,
    st.one_of(st.integers(0, 10_000), st.sampled_from([0, 1, 1900, 2000, 2023, 2024, 9999])),
    st.integers(0, 13),
    st.one_of(st.integers(1, 28), st.integers(0, 32)),
    st.integers(0, 24),
    st.one_of(st.integers(0, 59), st.integers(0, 60)),
    st.one_of(st.integers(0, 59), st.integers(0, 61)),
    st.one_of(st.just(""), st.from_regex(r"\.[0-9]{0,10}", fullmatch=True)),
    st.one_of(
        st.just("Z"), st.from_regex(r"[+-][0-2][0-9]:[0-6][0-9]", fullmatch=True), st.sampled_from(["", "z", "+00"])
    ),
)


@many
@given(mutated(timestamps, "0123456789-:.TZtz+ ٢\n"), st.booleans())
def test_timestamps(word: str, packed: bool) -> None:
    value = timestamp_value(word)
    any_of = (("@type", "x/google.protobuf.Timestamp"), ("value", word))
    found = outcome(dump((("any", any_of) if packed else ("ts", word),)))
    if value is None:
        assert found is REFUSED
        return
    wanted = kinds.message()
    wanted.ts.seconds, wanted.ts.nanos = value
    if packed:
        assert found.any.value == wanted.ts.SerializeToString()
    else:
        assert found == wanted


def duration_value(word: str) -> tuple[int, int] | None:
    """Seconds and nanoseconds of a duration: digits, at most nine more after a point, and an s."""
    if not word.endswith("s"):
        return None
    bare = word[:-1].removeprefix("-")
    whole, point, fraction = bare.partition(".")
    if not whole or not set(whole + fraction) <= DIGITS or (point and not 1 <= len(fraction) <= 9):
        return None
    sign = -1 if word.startswith("-") else 1
    if int(whole) > 315_576_000_000:
        return None
    return sign * int(whole), sign * int(fraction.ljust(9, "0"))


durations = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-", "-", "+"]),
    st.one_of(st.integers(0, 10**13), st.integers(0, 100), st.integers(315_575_999_998, 315_576_000_002)),
    st.one_of(st.just(""), st.from_regex(r"\.[0-9]{0,10}", fullmatch=True)),
    st.sampled_from(["s", "s", "s", "", "S", "ms"]),
)


@many
@given(mutated(durations, "0123456789-+.s eE_٣\n"))
def test_durations(word: str) -> None:
    value = duration_value(word)
    found = outcome(dump((("du", word),)))
    if value is None:
        assert found is REFUSED
    else:
        assert (found.du.seconds, found.du.nanos) == value


def mask_value(word: str) -> list[str] | None:
    """The paths of a field mask, in snake_case."""
    letters, numbers = set(string.ascii_letters), set(string.digits)
    names = [name for path in word.split(",") for name in path.split(".")]
    if word and not all(name and name[0] in letters and set(name) <= letters | numbers for name in names):
        return None
    snake = "".join("_" + letter.lower() if letter in string.ascii_uppercase else letter for letter in word)
    return snake.split(",") if word else []


masks = st.lists(
    st.lists(st.from_regex(r"[a-zA-Z][a-zA-Z0-9]{0,4}", fullmatch=True), min_size=1, max_size=3), max_size=3
)


@many
@given(mutated(masks.map(lambda paths: ",".join(".".join(path) for path in paths)), "aZ0_,. *é\n"))
def test_field_masks(word: str) -> None:
    value = mask_value(word)
    found = outcome(dump((("fm", word),)))
    if value is None:
        assert found is REFUSED
    else:
        assert list(found.fm.paths) == value


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
    found = (
        outcome(dump((("@type", f"x/{name}"), ("value", tree))), "google.protobuf.Any")
        if packed
        else outcome(dump(tree), name)
    )
    if value is REFUSED:
        assert found is REFUSED
        return
    wanted = ParseDict(value, kinds.message(name))
    if packed:
        found = type(wanted).FromString(found.value)
    assert found == wanted


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
    found = outcome(dump((("any", tree),)))
    if tree is None:
        assert found == kinds.message()
    elif wanted is REFUSED:
        assert found is REFUSED
    else:
        assert found.any == wanted


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
    found = outcome(dump(pairs))
    if fields is REFUSED:
        assert found is REFUSED
        return
    assert found is not REFUSED
    assert found.i32 == int(fields.get(1) or 0)
    assert (found.user_name, found.other) == (fields.get(14) or "", fields.get(15) or "")
    color = fields.get(12)
    assert found.c == (COLORS[color] if isinstance(color, str) else color or 0)
    assert found.t == bool(fields.get(9))
    assert [sub.x for sub in found.subs] == [dict(item).get("x", 0) for item in fields.get(21) or []]
    assert {str(key): value for key, value in found.by_number.items()} == dict(fields.get(31) or ())
    assert len(found.nvs) == len(fields.get(58) or [])
    assert found.WhichOneof("one") == next(iter(chosen(fields)), None)


@many
@given(st.text(st.sampled_from('{}[]:,"\\ \n0123456789eE+-.truefalsnNIié\ud800abuk@/'), max_size=30))
@pytest.mark.parametrize("name", ["k.All", "google.protobuf.Value", "google.protobuf.Any"])
def test_any_text_at_all_is_read_or_refused(name: str, text: str) -> None:
    outcome(text, name)
