"""A reading of JSON for protobuf that is the tests' own: what a word means, or that it is refused.

It is written from protobuf.dev's "ProtoJSON Format", RFC 8259, RFC 3339 and RFC 4648, and asks neither our reader
nor json_format. `GRPCLAB_EXAMPLES=10000 pytest tests/unit/load -k properties` tries as many requests of each kind.
"""

from __future__ import annotations

import json
import math
import os
import string
from fractions import Fraction
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from grpclab.errors import UsageError
from tests.support import kinds

many = settings(
    max_examples=int(os.environ.get("GRPCLAB_EXAMPLES", "60")),
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

number_words = st.one_of(
    whole_words,
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(width=32, allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "nan", "inf", "+Infinity"]),
    st.sampled_from(["1e400", "-1e400", "1e-400", "9" * 400]),
    st.sampled_from(["3.4028235e38", "3.4028235677973366e38", "3.402823567797336e38", "1.7976931348623157e308"]),
    st.sampled_from(["1.7976931348623158e308", "1.7976931348623159e308", "5e-324", "1e-46"]),
)


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
