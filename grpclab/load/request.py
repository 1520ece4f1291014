"""A request: from JSON to the bytes of its message, and where that fails, which field is wrong and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import EncodeError, Message
from google.protobuf.message_factory import GetMessageClass

from grpclab.errors import UsageError
from grpclab.load.schema import advice, one_line

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_SHOWN = 40
"""Characters of a wrong value that an error shows."""


def parse(text: str) -> Any:
    """What some JSON says. Raises UsageError with the place where it breaks."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        near = text[max(0, error.pos - 15) : error.pos + 15]
        raise UsageError(
            f"the request is not JSON: {error.msg} at line {error.lineno}, column {error.colno}, near {near!r}"
        ) from None
    except RecursionError:
        raise _too_deep() from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UsageError(f"the request's JSON has {twice!r} twice in one object: leave one out")
    return found


def any_types(request: Any) -> list[str]:
    """The messages that ``google.protobuf.Any`` values name by ``@type``: nothing else in a schema leads to them."""
    names, rest = [], [request]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            rest += value.values()
            if isinstance(url := value.get("@type"), str):
                names.append(url.rpartition("/")[2])
        elif isinstance(value, list):
            rest += value
    return names


def encode(request: Any, kind: Descriptor, pool: DescriptorPool) -> bytes:
    """The bytes of the message of this kind that parsed JSON means. Raises UsageError."""
    try:
        _check(request, kind, pool, "")
        return _message(request, kind, pool).SerializeToString()
    except (ParseError, EncodeError) as error:
        raise UsageError(f"the request does not fit {kind.full_name}: {_reason(error)}") from None
    except RecursionError:
        raise _too_deep() from None


def _message(value: Any, kind: Descriptor, pool: DescriptorPool) -> Message:
    return ParseDict(value, GetMessageClass(kind)(), descriptor_pool=pool)


def _check(value: Any, kind: Descriptor, pool: DescriptorPool, where: str) -> None:
    """Raise UsageError for the first field that is wrong, by its whole path.

    Values are left to json_format, one field at a time: of a whole message it does not say which field it means.
    """
    if _has_own_json(kind):
        return
    if not isinstance(value, dict):
        raise _wrong(where, value, f"{kind.full_name} is written {{...}}")
    fields = {field.json_name: field for field in kind.fields} | dict(kind.fields_by_name)
    for key, inner in value.items():
        if inner is None or key.startswith("["):  # a field that is not set; an extension
            continue
        at = f"{where}.{_text(key)}".removeprefix(".")
        if key not in fields:
            raise UsageError(f"the request's field {at} is unknown: {kind.full_name} has {advice(key, _names(kind))}")
        field = fields[key]
        entry = _map_entry(field)
        item_field = entry.fields_by_name["value"] if entry else field
        for place, item in _items(inner, field, at):
            if item_field.message_type:
                _check(item, item_field.message_type, pool, place)
            elif item_field.type == FieldDescriptor.TYPE_BYTES and not _is_base64(item):
                # json_format skips what is not base64 and would send something else.
                raise _wrong(place, item, 'bytes are written in base64, as "aGVsbG8="')
        try:
            _message({key: inner}, kind, pool)
        except ParseError as error:
            values = item_field.enum_type
            known = f"; it takes {', '.join(values.values_by_name)}" if values else ""
            raise _wrong(at, inner, _reason(error) + known) from None


def _items(value: Any, field: FieldDescriptor, at: str) -> Iterator[tuple[str, Any]]:
    """The single values in that of a field, each with its path."""
    if _map_entry(field):
        if not isinstance(value, dict):
            raise _wrong(at, value, "a map is written {...}")
        yield from ((f"{at}[{_text(key)}]", item) for key, item in value.items())
    elif field.is_repeated:
        if not isinstance(value, list):
            raise _wrong(at, value, "a repeated field is written [...]")
        yield from ((f"{at}[{index}]", item) for index, item in enumerate(value))
    else:
        yield at, value


def _map_entry(field: FieldDescriptor) -> Descriptor | None:
    """The message of a map's entries; None where the field is no map."""
    kind = field.message_type
    return kind if kind and kind.GetOptions().map_entry else None


def _has_own_json(kind: Descriptor) -> bool:
    """Whether this is one of the well-known types, as Timestamp: their JSON is not that of their fields."""
    return kind.file.package == "google.protobuf"


def _is_base64(value: Any) -> bool:
    return isinstance(value, str) and bool(_BASE64.fullmatch(value)) and len(value.rstrip("=")) % 4 != 1


def _names(kind: Descriptor) -> list[str]:
    return [field.name for field in kind.fields]


def _wrong(where: str, value: Any, rule: str) -> UsageError:
    shown = json.dumps(value)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    what = f"the request's field {where}" if where else "the request"
    return UsageError(f"{what} cannot be {shown}: {rule}")


def _text(key: str) -> str:
    """A key as it can be shown on one line of any terminal."""
    return json.dumps(key)[1:-1]


def _reason(error: Exception) -> str:
    """What json_format has against a value, without the path to it that it tells in places."""
    text = re.sub(r"Failed to parse \S+ field: ", "", one_line(error))
    return re.sub(r" at [\w.\[\]]+$", "", text.rstrip("."))


def _too_deep() -> UsageError:
    return UsageError("the request's JSON is nested too deeply")
