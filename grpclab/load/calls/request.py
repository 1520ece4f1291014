"""The content of a request before its type is known: JSON text or Python values, read into one tree.

The tree is made of dicts (:class:`Members` where they come from JSON), lists, texts, booleans, None and
:class:`Number`, which keeps a number as it was written. Python values add leaves that JSON has no form for: bytes,
datetimes, timedeltas, and floats that are not finite. :mod:`grpclab.load.calls.encoding` makes messages of it.

Errors name the place of a value: ``invalid data.items[3].price="abc": expected a number, e.g. 12.5``.
"""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np

from grpclab.errors import UsageError

MAX_DEPTH = 100
"""Levels of messages, as most readers of protobuf allow."""
_MAX_DIGITS = 400
"""Digits of a Python integer; no field takes as many."""
_SHOWN = 40
"""Characters of a wrong value that an error shows."""
_SHOWN_PATH = 160
"""Characters of a path that an error shows."""
_SYMBOL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_NOT_JSON = {
    "Expecting value": "a value",
    "Expecting property name enclosed in double quotes": "a name in double quotes",
    "Expecting ',' delimiter": "a comma",
    "Expecting ':' delimiter": "a colon",
    "Extra data": "the end of the text",
    "Unterminated string starting at": "a closing quote for the string that begins there",
    "Invalid control character at": "an escape, e.g. \\n, for a control character",
    "Invalid \\escape": "a valid JSON escape, e.g. \\n or \\u00e9",
    "Invalid \\uXXXX escape": "four hexadecimal digits after \\u",
    "Illegal trailing comma before end of object": "no comma before the end",
    "Illegal trailing comma before end of array": "no comma before the end",
}
"""The expectation behind each message of the standard library."""


class Number:
    """A number as it was written, which is how it stays exact; also the words NaN and Infinity without quotes."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Number({self.text!r})"


class Members(dict[str, Any]):
    """The members of a JSON object, and the first name in it that was given twice."""

    __slots__ = ("twice",)
    twice: str | None

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = None
        if len(self) < len(pairs):
            keys: set[str] = set()
            for key, _ in pairs:
                if key in keys:
                    self.twice = key
                    break
                keys.add(key)


# ---- places ------------------------------------------------------------------------------------------------------

Place = tuple[Any, "str | int | tuple[str]"] | None
"""The place of a value: that of its container, and a field's name, an index, or the key of a map as a tuple."""


def path(place: Place) -> str:
    """A place in words, as ``data.items[3].extras["on top"]``; a long one without its middle."""
    parts = []
    while place is not None:
        place, part = place
        if isinstance(part, str):
            parts.append(cut(_text(part)) if part.startswith("[") else "." + cut(_text(part)))
        else:
            parts.append(f"[{part}]" if isinstance(part, int) else f'["{cut(_text(part[0]))}"]')
    text = "data" + "".join(reversed(parts))
    half = _SHOWN_PATH // 2
    return text if len(text) <= _SHOWN_PATH else f"{text[:half]}...{text[-half:]}"


def refusal(place: Place, value: Any, expected: str) -> UsageError:
    """The error for a value that does not fit where it stands."""
    return UsageError(f"invalid {path(place)}={shown(value)}: expected {expected}")


def too_deep(place: Place) -> UsageError:
    """The error for what is nested deeper than any reader takes."""
    return UsageError(f"invalid {path(place)}: expected at most {MAX_DEPTH} levels")


def shown(value: Any) -> str:
    """The beginning of a value as JSON, in printable ASCII."""
    out = ""
    for piece in _pieces(value):
        out += piece
        if len(out) > _SHOWN:
            return out[:_SHOWN] + "..."
    return out


def _pieces(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield f'"{_text(value[: _SHOWN + 1])}"'
        case Number():
            yield value.text[: _SHOWN + 1]
        case None | bool():
            yield json.dumps(value)
        case Mapping():
            yield "{"
            for index, (key, inner) in enumerate(value.items()):
                yield ", " if index else ""
                yield from _pieces(key)
                yield ": "
                yield from _pieces(inner)
            yield "}"
        case list() | tuple():
            yield "["
            for index, inner in enumerate(value):
                yield ", " if index else ""
                yield from _pieces(inner)
            yield "]"
        case bytes() | bytearray():
            yield repr(bytes(value[: _SHOWN + 1]))
        case int() | float() | Decimal() | date() | time() | timedelta() | PurePath():
            yield _text(str(value)) if not isinstance(value, int) or abs(value) < 10**_SHOWN else "<a huge integer>"
        case _:
            yield _text(f"<{type(value).__name__}>")


def _text(value: str) -> str:
    """A text as it can be shown on one line of any terminal."""
    return json.dumps(value)[1:-1].replace("\x7f", "\\u007f")


def _raw(text: str) -> str:
    """JSON as it can be shown: its quotes stay as they are."""
    return _text(text).replace('\\"', '"')


def cut(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


# ---- from JSON ---------------------------------------------------------------------------------------------------


def parse(text: str) -> Any:
    """The tree of some JSON. Raises UsageError with the place where the text breaks."""
    text = text.removeprefix("\ufeff")
    try:
        return json.loads(text, object_pairs_hook=Members, parse_int=Number, parse_float=Number, parse_constant=Number)
    except json.JSONDecodeError as error:
        near = text[max(0, error.pos - 15) : error.pos + 15]
        needed = _NOT_JSON.get(error.msg, "something else")
        raise UsageError(
            f"invalid data={cut(_raw(text[: _SHOWN + 1]))}: expected JSON; line {error.lineno}, column {error.colno}"
            f" needs {needed}" + (f", near {_raw(near)}" if near else "")
        ) from None
    except RecursionError:
        raise too_deep(None) from None


# ---- from Python -------------------------------------------------------------------------------------------------


def from_python(value: Any) -> Any:
    """The tree of what a program gives. Raises UsageError for what has no meaning in a request."""
    try:
        return _plain(value, None, 0)
    except RecursionError:
        raise too_deep(None) from None


def _plain(value: Any, place: Place, depth: int) -> Any:
    if depth > 2 * MAX_DEPTH:  # a level of messages takes two where lists or maps hold them
        raise too_deep(place)
    match value:
        case Enum():
            return _plain(value.value, place, depth)
        case str() | bytes() | bytearray() | memoryview():
            return str(value) if isinstance(value, str) else bytes(value)
        case Mapping():
            return _plain_members(value, place, depth)
        case Sequence() | np.ndarray():
            return [_plain(inner, (place, index), depth + 1) for index, inner in enumerate(value)]
        case numbers.Number() | np.bool_():
            return _plain_number(value, place)
        case None | Number() | datetime() | timedelta() if not isinstance(value, np.generic):
            return value
        case _:
            expected = next((words for kinds, words in _ADVICE if isinstance(value, kinds)), _ANYTHING)
            raise refusal(place, value, expected)


_ANYTHING = "a JSON value (dict, list, str, int, float, bool, None), bytes, a datetime or a timedelta"
_ADVICE: tuple[tuple[tuple[type, ...], str], ...] = (
    ((set, frozenset), "a list, e.g. [1, 2]: a set has no order"),
    ((PurePath,), "a string, e.g. str(path)"),
    ((date, time, np.datetime64, np.timedelta64), "a date and time with a time zone, e.g. 2024-02-29T12:00:00Z"),
)


def _plain_number(value: Any, place: Place) -> Any:
    match value:
        case bool() | np.bool_():
            return bool(value)
        case numbers.Integral():
            if abs(int(value)) >= 10**_MAX_DIGITS:
                raise refusal(place, value, f"a number of at most {_MAX_DIGITS} digits")
            return Number(str(int(value)))
        case Decimal():
            return Number(str(value)) if value.is_finite() else float("nan" if value.is_nan() else value)
        case numbers.Real() if not isinstance(value, numbers.Rational):
            return Number(repr(float(value))) if math.isfinite(value) else float(value)
        case _:
            raise refusal(place, value, "an int, a float or a Decimal")


def _plain_members(value: Mapping[Any, Any], place: Place, depth: int) -> Members:
    pairs = []
    for key, inner in value.items():
        match key:
            case str():
                name = str(key)
            case bool() | np.bool_():
                name = "true" if key else "false"
            case numbers.Integral() if abs(int(key)) < 10**_MAX_DIGITS:
                name = str(int(key))
            case _:
                raise refusal(place, value, f"keys that are strings or whole numbers; one is a {type(key).__name__}")
        pairs.append((name, _plain(inner, (place, name), depth + 1)))
    return Members(pairs)


def json_text(value: Any) -> str:
    """Return a program's value as JSON. Raises UsageError for one without a form in it: bytes, times, NaN."""
    return _json(from_python(value), None)


def _json(tree: Any, place: Place) -> str:
    match tree:
        case Number():
            return tree.text
        case Members() if tree.twice is None:
            return "{" + ", ".join(f"{json.dumps(key)}: {_json(tree[key], (place, key))}" for key in tree) + "}"
        case list():
            return "[" + ", ".join(_json(item, (place, index)) for index, item in enumerate(tree)) + "]"
        case None | bool() | str():
            return json.dumps(tree)
        case _:
            raise refusal(place, tree, 'JSON, with bytes in base64, e.g. "aGVsbG8=", and times and NaN as strings')


# ---- names -------------------------------------------------------------------------------------------------------


def symbols(request: Any) -> list[str]:
    """The messages that ``@type`` names and the extensions in brackets: nothing else in a schema leads to them.

    Protobuf's own are left out: they are known everywhere.
    """
    names: dict[str, None] = {}
    rest = [request]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            rest += value.values()
            if isinstance(url := value.get("@type"), str):
                names[url.rpartition("/")[2]] = None
            names.update({key[1:-1]: None for key in value if key.startswith("[") and key.endswith("]")})
        elif isinstance(value, list):
            rest += value
    return [name for name in names if _SYMBOL.fullmatch(name) and not name.startswith("google.protobuf.")]
