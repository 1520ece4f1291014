"""Generated requests: numbers, texts, bytes, times and masks, judged by the tests' own reading of the mapping."""

from __future__ import annotations

import math
import string
import struct
from collections.abc import Callable
from datetime import date
from fractions import Fraction
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from tests.support import kinds
from tests.support.proto_json import (
    DIGITS,
    FOR_URLS,
    REFUSED,
    STANDARD,
    Raw,
    base64_value,
    double,
    dump,
    duration_value,
    exact,
    many,
    mutated,
    number_words,
    outcome,
    whole_words,
)

# ---- numbers -----------------------------------------------------------------------------------------------------

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
    message = outcome(dump(((field, word if quoted else Raw(word)),)))
    if not quoted and word.strip(" \t\n\r") == "null":
        assert message == kinds.message()
    elif value is None or value.denominator != 1 or not low <= value <= high:
        assert message is REFUSED
    else:
        wanted = kinds.message()
        if field in ("iv", "uv"):
            getattr(wanted, field).value = int(value)
        else:
            setattr(wanted, field, int(value))
        assert message == wanted


@many
@given(
    field=st.sampled_from(["d", "f", "dv", "fv"]),
    word=mutated(number_words, NUMERALS + "Infinityna"),
    quoted=st.booleans(),
)
def test_numbers_with_a_point(field: str, word: str, quoted: bool) -> None:
    message = outcome(dump(((field, word if quoted else Raw(word)),)))
    bare = word if quoted else word.strip(" \t\n\r")
    if not quoted and bare == "null":
        assert message == kinds.message()
        return
    value: float | None = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(bare if quoted else "")
    if value is None:
        value = double(bare)
        if field in ("f", "fv") and value is not None and abs(Fraction(value)) >= 2**128 - 2**103:
            value = None
    if value is None:
        assert message is REFUSED
        return
    assert message is not REFUSED
    sent = getattr(message, field).value if field.endswith("v") else getattr(message, field)
    width = "<f" if field in ("f", "fv") else "<d"
    assert struct.pack(width, sent) == struct.pack(width, value)


# ---- texts -------------------------------------------------------------------------------------------------------


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
    message = outcome(dump(((field, places.get(field, word)),)))
    if value is None:
        assert message is REFUSED
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
        assert message.any.value == sub.SerializeToString()
    else:
        assert readers[field](message) == value


@many
@given(
    field=st.sampled_from(["s", "sv", "userName", "v", "by"]),
    value=st.text(st.characters(codec=None), max_size=6),
)
def test_texts(field: str, value: str) -> None:
    message = outcome(dump(((field if field != "by" else "byName", ((value, ()),) if field == "by" else value),)))
    try:  # two halves side by side are one character to JSON
        joined = value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        assert message is REFUSED
        return
    readers: dict[str, Callable[[Any], Any]] = {
        "s": lambda m: m.s,
        "sv": lambda m: m.sv.value,
        "userName": lambda m: m.user_name,
        "v": lambda m: m.v.string_value,
        "by": lambda m: next(iter(m.by_name)),
    }
    assert readers[field](message) == joined


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
    message = outcome(dump((("any", any_of) if packed else ("ts", word),)))
    if value is None:
        assert message is REFUSED
        return
    wanted = kinds.message()
    wanted.ts.seconds, wanted.ts.nanos = value
    if packed:
        assert message.any.value == wanted.ts.SerializeToString()
    else:
        assert message == wanted


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
    message = outcome(dump((("du", word),)))
    if value is None:
        assert message is REFUSED
    else:
        assert (message.du.seconds, message.du.nanos) == value


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
    message = outcome(dump((("fm", word),)))
    if value is None:
        assert message is REFUSED
    else:
        assert list(message.fm.paths) == value
