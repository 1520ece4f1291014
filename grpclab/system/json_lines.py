"""Messages between processes of this package: frozen dataclasses, each one line of JSON.

The classes that a process may receive share a base class; the line names the one that it holds::

    class Order: ...

    @dataclass(frozen=True, kw_only=True)
    class Connect(Order):
        target: str

    decode(Order, encode(Connect(target="127.0.0.1:50051")))    # a Connect

A field is of ``bool``, ``int``, ``float`` (NaN and infinity included), ``str``, ``bytes``, ``Path``, ``Literal``, of
another dataclass, or of ``tuple``, ``Mapping`` with texts as keys, or ``|`` of such types. Pure.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

NAME = "message"
"""The key of the line that holds the name of its class."""

_SCALARS: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
    NoneType: (NoneType,),
}

_PLAIN = frozenset(_SCALARS)
"""Types whose values are in JSON as they are."""

_TEXTS: dict[Any, Callable[[str], Any]] = {bytes: functools.partial(base64.b64decode, validate=True), Path: Path}
"""The types that are texts in JSON, and what makes one of a text."""

T = TypeVar("T")


def encode(message: object) -> str:
    """Return the line of a message, without its end."""
    return json.dumps({NAME: type(message).__name__, **_plain(message)})


def decode(kind: type[T], line: str | bytes) -> T:
    """Return the message of a line: one of the class `kind`, or of a class below it.

    A line that names no class holds one of `kind` itself. Raises ValueError for any other line.
    """
    document = json.loads(line)
    if not isinstance(document, dict):
        raise ValueError(f"expected an object, got {type(document).__name__}")
    name = document.pop(NAME, kind.__name__)
    for member in _family(kind):
        if member.__name__ == name:
            message: T = _read_object(member, document, "")
            return message
    raise ValueError(f"{NAME}={name!r}: expected {kind.__name__}")


def _family(kind: type[Any]) -> Iterator[type]:
    if is_dataclass(kind):
        yield kind
    for below in kind.__subclasses__():
        yield from _family(below)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if type(value) in _PLAIN:  # nearly all of them
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in _shape(type(value)).kinds}
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value) if isinstance(value, Path) else value


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """The fields of a dataclass."""

    kinds: Mapping[str, Any]
    """The type of each, by name."""
    required: frozenset[str]


@functools.cache
def _shape(cls: type) -> _Shape:
    hints = get_type_hints(cls)
    required = {one.name for one in fields(cls) if one.default is MISSING and one.default_factory is MISSING}
    return _Shape(kinds={one.name: hints[one.name] for one in fields(cls)}, required=frozenset(required))


def _read_object(cls: type, document: Mapping[str, Any], where: str) -> Any:
    shape = _shape(cls)
    kinds = shape.kinds
    if unknown := sorted(document.keys() - kinds.keys()):
        raise ValueError(f"{where}unknown {', '.join(unknown)}: expected {', '.join(kinds)}")
    if missing := [name for name in kinds if name in shape.required and name not in document]:
        raise ValueError(f"{where}{missing[0]} is missing")
    values = {}
    for name, value in document.items():
        kind = kinds[name]
        is_simple = type(value) is kind and kind in _PLAIN  # nearly all of them
        values[name] = value if is_simple else _read(kind, value, f"{where}{name}")
    return cls(**values)


def _read(kind: Any, value: Any, where: str) -> Any:
    origin, members = get_origin(kind), get_args(kind)
    if origin in (UnionType, Union):
        return _read_union(members, value, where)
    if kind in _TEXTS and isinstance(value, str):
        return _TEXTS[kind](value)
    if origin is Mapping and isinstance(value, dict):
        return {key: _read(members[1], part, f"{where}.{key}") for key, part in value.items()}
    if isinstance(kind, type) and is_dataclass(kind) and isinstance(value, dict):
        return _read_object(kind, value, f"{where}.")
    if origin is tuple and isinstance(value, list):
        kinds = members[:1] * len(value) if members[1:] == (...,) else members
        if len(kinds) == len(value):
            places = [f"{where}[{at}]" for at in range(len(value))]
            return tuple(map(_read, kinds, value, places))
    elif _is_plain(value, kind):
        return value
    raise ValueError(f"{where}={value!r:.60}: expected {getattr(kind, '__name__', kind)}")


def _is_plain(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    return isinstance(value, _SCALARS.get(kind, ())) and isinstance(value, bool) == (kind is bool)


def _read_union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    """Return the value as the first of these types that takes it."""
    for member in members:
        try:
            return _read(member, value, where)
        except ValueError:
            if member is members[-1]:
                raise
    return None
