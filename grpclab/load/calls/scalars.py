"""Single values of the JSON mapping of protobuf: numbers, bytes, and the types that are written as a text. Pure.

The rules are those of protobuf.dev's "ProtoJSON Format" and of protobuf's conformance tests, and no laxer ones: what
a reader of one language takes and that of another refuses is refused here.
"""

from __future__ import annotations

import math
import re
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from grpclab.load.calls.metadata import decode_base64
from grpclab.load.calls.request import Number

INT32, INT64 = (-(2**31), 2**31 - 1), (-(2**63), 2**63 - 1)
UINT32, UINT64 = (0, 2**32 - 1), (0, 2**64 - 1)
DURATION_LIMIT_S = 315_576_000_000
"""10,000 years, by duration.proto."""

_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_DURATION = re.compile(r"(-?)([0-9]+)(?:\.([0-9]{1,9}))?s")
_MASK = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[.,][A-Za-z][A-Za-z0-9]*)*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_FLOAT = 'a number, e.g. 12.5, or "NaN", "Infinity" or "-Infinity"'
_TIME = 'a time in the years 1 to 9999 with a time zone, e.g. "2024-02-29T12:00:00.5Z"'
_SPAN = 'seconds followed by s, at most 315,576,000,000, with up to nine decimals, e.g. "1.5s"'
_FIELDS = 'field names in camelCase, separated by commas, e.g. "user.displayName,photo"'
_TEXT = 'a string, e.g. "hello"'


class UnfitError(ValueError):
    """A value that is not one of its type; the text says what is."""


def whole(value: Any, low: int, high: int) -> int:
    """A whole number, written in any of the ways in which JSON writes numbers, quoted or not."""
    text = value.text if isinstance(value, Number) else value
    match = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if match is not None:
        number = _exact(*match.groups()) if match[3] or match[4] else int(text) if len(text) <= 20 else None
        if number is not None and low <= number <= high:
            return number
    raise UnfitError(f"a whole number from {low:,} to {high:,}, e.g. 42")


def _exact(sign: str, digits: str, fraction: str | None, exponent: str | None) -> int | None:
    """A number with a fraction or exponent, never through a double; None where it is not whole, or above 64 bits."""
    power = _small(exponent) - len(fraction or "")
    digits = (digits + (fraction or "")).lstrip("0")
    significant = digits.rstrip("0")
    power += len(digits) - len(significant)
    if not significant:
        return 0
    return int(sign + significant) * 10**power if power >= 0 and len(significant) + power <= 20 else None


def _small(exponent: str | None) -> int:
    """An exponent as a number, held within what can matter."""
    digits = (exponent or "0").lstrip("+-0")
    size = int(digits or 0) if len(digits) < 10 else 10**10
    return -size if exponent and exponent.startswith("-") else size


def whole_key(text: str, low: int, high: int) -> int:
    """A key that is a whole number, in its one spelling."""
    try:
        if re.fullmatch(r"-?(0|[1-9][0-9]*)", text, re.ASCII):
            return whole(text, low, high)
    except UnfitError:
        pass
    raise UnfitError(f'a key that is a whole number from {low:,} to {high:,}, e.g. "42"')


def boolean_key(text: str) -> bool:
    """A key that is true or false."""
    if text not in ("true", "false"):
        raise UnfitError('a key that is "true" or "false"')
    return text == "true"


def double(value: Any, *, largest: str = "a double, at most 1.7976931348623157e+308") -> float:
    """A number of 64 bits, the nearest to what was written."""
    if isinstance(value, float):  # from Python, and not finite
        return value
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    text = value.text if isinstance(value, Number) else value
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise UnfitError(_FLOAT)
    number = float(text)
    if math.isinf(number):
        raise UnfitError(f"a number that fits in {largest}")
    return number


def single(value: Any) -> float:
    """A number of 32 bits, the nearest to what was written."""
    largest = "a float, at most 3.4028235e+38"
    number = double(value, largest=largest)
    try:
        struct.pack("<f", number)
    except OverflowError:
        raise UnfitError(f"a number that fits in {largest}") from None
    return number


def finite(value: Any) -> float:
    """The number of a google.protobuf.Value, which has no NaN and no infinity."""
    if not isinstance(value, Number) or not _NUMBER.fullmatch(value.text):
        raise UnfitError('a JSON value, e.g. 12.5 or "hello"; NaN, bytes and times cannot be written here')
    return double(value)


def boolean(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise UnfitError("true or false, without quotes")
    return value


def text(value: Any) -> str:
    """A text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise UnfitError(_TEXT)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnfitError(f"{_TEXT}; \\ud800 to \\udfff are halves of a character and must come in pairs") from None
    return value


def base64_bytes(value: Any) -> bytes:
    """Bytes in base64, standard or safe for URLs, padded or not; from Python, bytes themselves."""
    if isinstance(value, bytes):
        return value
    decoded = decode_base64(value) if isinstance(value, str) else None
    if decoded is None:
        raise UnfitError('bytes in base64, e.g. "aGVsbG8="')
    return decoded


def timestamp(value: Any) -> tuple[int, int]:
    """The seconds since 1970 and nanoseconds of a time in RFC 3339, or of a datetime that has a zone."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UnfitError("a date and time with a time zone, e.g. 2024-02-29T12:00:00Z")
        value = value.isoformat()  # not through a float, and pandas adds its nanoseconds
    match = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise UnfitError(_TIME)
    clock, fraction, sign, hours, minutes = match.groups()
    try:
        at = datetime.fromisoformat(clock).replace(tzinfo=UTC)
    except ValueError:
        raise UnfitError(_TIME) from None
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    seconds = (at - _EPOCH) // timedelta(seconds=1) - (-1 if sign == "-" else 1) * int(ahead.total_seconds())
    if not -62_135_596_800 <= seconds <= 253_402_300_799:
        raise UnfitError(_TIME)
    return seconds, _nanos(fraction)


def duration(value: Any) -> tuple[int, int]:
    """The seconds and nanoseconds, of one sign, of a text as ``-1.5s`` or of a timedelta."""
    if isinstance(value, timedelta):
        nanos = value // timedelta(microseconds=1) * 1000 + int(getattr(value, "nanoseconds", 0))  # pandas has those
        sign, seconds, nanos = (-1 if nanos < 0 else 1), abs(nanos) // 10**9, abs(nanos) % 10**9
    else:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None or len(match[2].lstrip("0")) > 12:
            raise UnfitError(_SPAN)
        sign, seconds, nanos = (-1 if match[1] else 1), int(match[2].lstrip("0") or 0), _nanos(match[3])
    if seconds > DURATION_LIMIT_S:
        raise UnfitError(_SPAN)
    return sign * seconds, sign * nanos


def _nanos(fraction: str | None) -> int:
    return int((fraction or "").ljust(9, "0"))


def field_mask(value: Any) -> list[str]:
    """The paths of a field mask, with the names as a .proto file has them."""
    if not isinstance(value, str) or (value and not _MASK.fullmatch(value)):
        raise UnfitError(_FIELDS)
    return re.sub(r"[A-Z]", lambda capital: "_" + capital[0].lower(), value).split(",") if value else []
