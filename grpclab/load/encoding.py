"""From the tree of a request to the bytes of its message, by the JSON mapping of protobuf.

A reader of our own, because ``google.protobuf.json_format`` takes much that the mapping refuses, drops what is not
base64 and rounds integers, and says neither where a value stands nor what was expected. :func:`encode` walks the
tree along the descriptors; what single values may be is in :mod:`grpclab.load.scalars`.

Source: protobuf.dev, "ProtoJSON Format", and the conformance tests of protobuf. Where these leave a choice (one field
given twice, two members of a oneof) the request is refused, for one of the two would be lost.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import EncodeError, Message
from google.protobuf.message_factory import GetMessageClass

from grpclab.errors import UsageError
from grpclab.load import scalars
from grpclab.load.request import MAX_DEPTH, Members, Number, Place, cut, path, refusal, too_deep
from grpclab.load.scalars import UnfitError
from grpclab.load.schema import advice

F = FieldDescriptor
_INTEGERS = {
    **dict.fromkeys((F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32), scalars.INT32),
    **dict.fromkeys((F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64), scalars.INT64),
    **dict.fromkeys((F.TYPE_UINT32, F.TYPE_FIXED32), scalars.UINT32),
    **dict.fromkeys((F.TYPE_UINT64, F.TYPE_FIXED64), scalars.UINT64),
}
_SCALARS: dict[int, Callable[[Any], Any]] = {
    **{kind: partial(scalars.whole, low=low, high=high) for kind, (low, high) in _INTEGERS.items()},
    F.TYPE_DOUBLE: scalars.double,
    F.TYPE_FLOAT: scalars.single,
    F.TYPE_BOOL: scalars.boolean,
    F.TYPE_STRING: scalars.text,
    F.TYPE_BYTES: scalars.base64_bytes,
}
_EXAMPLES: dict[int, Any] = {
    **dict.fromkeys(_INTEGERS, 42),
    **dict.fromkeys((F.TYPE_DOUBLE, F.TYPE_FLOAT), 12.5),
    F.TYPE_BOOL: True,
    F.TYPE_STRING: "hello",
    F.TYPE_BYTES: "aGVsbG8=",
}
_WRAPPERS = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
_WELL_KNOWN: dict[str, tuple[str, ...]] = {
    **{f"google.protobuf.{name}Value": ("value",) for name in _WRAPPERS},
    "google.protobuf.Any": ("type_url", "value"),
    "google.protobuf.Duration": ("seconds", "nanos"),
    "google.protobuf.FieldMask": ("paths",),
    "google.protobuf.ListValue": ("values",),
    "google.protobuf.Struct": ("fields",),
    "google.protobuf.Timestamp": ("seconds", "nanos"),
    "google.protobuf.Value": (
        "null_value",
        "number_value",
        "string_value",
        "bool_value",
        "struct_value",
        "list_value",
    ),
}
"""The messages whose JSON is not that of their fields, and their fields: a user's own by such a name has others."""
_FILES = (
    *("any", "descriptor", "duration", "empty", "field_mask", "source_context", "struct", "timestamp", "wrappers"),
    *("type", "api"),
)
"""The files of the well-known types, which a schema may leave out; those that others import come first."""
_TYPE_URL = re.compile(r"[!-~]+/([A-Za-z_]\w*(\.[A-Za-z_]\w*)*)", re.ASCII)
_ANY = 'an object with "@type", as {"@type": "type.googleapis.com/package.Message", ...}'


def encode(request: Any, kind: Descriptor, pool: DescriptorPool) -> bytes:
    """The bytes of the message of this kind that a request means. Raises UsageError, with the place of the fault."""
    try:
        message = _new(kind)
        _Encoder(pool).fill(message, request, None, 0)
        return _bytes(message)
    except EncodeError:
        raise UsageError("invalid data: expected a request of less than 2 GiB") from None
    except RecursionError:
        raise too_deep(None) from None


# A field may be called as a method is, so methods are those of the class.


def _new(kind: Descriptor) -> Message:
    return GetMessageClass(kind)()


def _bytes(message: Message) -> bytes:
    return type(message).SerializeToString(message)


@dataclass(frozen=True, kw_only=True)
class _Names:
    """The fields of a kind of message by the names that they have in JSON, and those that must be there."""

    fields: Mapping[str, FieldDescriptor]
    required: tuple[FieldDescriptor, ...]


class _Encoder:
    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool
        self._names: dict[str, _Names] = {}
        self._special: dict[str, Callable[[Any, Any, Place, int], None]] = {
            "google.protobuf.Any": self._any,
            "google.protobuf.ListValue": self._list_value,
            "google.protobuf.Struct": self._struct,
            "google.protobuf.Value": self._value,
        }

    def fill(self, message: Any, value: Any, place: Place, depth: int) -> None:
        """Write a value into a message of any kind."""
        if depth > MAX_DEPTH:
            raise too_deep(place)
        kind = type(message).DESCRIPTOR
        if not _is_well_known(kind):
            self._members(message, value, place, depth)
        elif kind.full_name in self._special:
            self._special[kind.full_name](message, value, place, depth)
        elif kind.full_name in _TEXTS:
            self._read(partial(_TEXTS[kind.full_name], message), value, place)
        else:
            message.value = self._scalar(kind.fields_by_name["value"], value, place)

    # ---- fields --------------------------------------------------------------------------------------------------

    def _members(self, message: Any, value: Any, place: Place, depth: int, *, leaving_out: str | None = None) -> None:
        """Write an object into the fields of a message, but for one member."""
        kind = type(message).DESCRIPTOR
        names = self._names_of(kind)
        members = _object(value, place, f"an object for {kind.full_name}, as {_example(kind)}")
        given: dict[int, str] = {}
        chosen: dict[str, str] = {}
        filled: set[int] = set()
        for key, inner in members.items():
            if key == leaving_out:
                continue
            at = (place, key)
            field = names.fields.get(key) or self._extension(kind, key)
            if field is None:
                known = _advice(key, [field.name for field in kind.fields])
                raise UsageError(f"invalid {path(at)}: expected a field of {kind.full_name}, which has {known}")
            if field.number in given:
                raise refusal(at, inner, f"one value; {given[field.number]} and {key} are one field")
            given[field.number] = key
            if inner is None and (field.is_repeated or not _takes_null(field)):
                continue  # not set
            if field.containing_oneof is not None:
                oneof = field.containing_oneof.name
                if oneof in chosen:
                    raise refusal(at, inner, f"{chosen[oneof]} or {key}, not both: they are members of oneof {oneof}")
                chosen[oneof] = key
            self._field(message, field, inner, at, depth)
            filled.add(field.number)
        for field in names.required:
            if field.number not in filled:
                at = (place, field.json_name)
                raise UsageError(f"invalid {path(at)}: expected a value, as {_sample(field)}: the field is required")

    def _field(self, message: Any, field: FieldDescriptor, value: Any, at: Place, depth: int) -> None:
        extensions = object.__getattribute__(message, "Extensions") if field.is_extension else {}
        entry = _map_entry(field)
        if field.message_type is None and not field.is_repeated:
            scalar = self._scalar(field, value, at)
            if field.is_extension:
                extensions[field] = scalar
            else:
                setattr(message, field.name, scalar)
            return
        inner = extensions[field] if field.is_extension else getattr(message, field.name)
        if entry is not None:
            self._map(inner, entry, value, at, depth)
        elif field.is_repeated:
            self._items(inner, field, value, at, depth)
        else:
            type(inner).SetInParent(inner)
            self.fill(inner, value, at, depth + 1)

    def _items(self, container: Any, field: FieldDescriptor, value: Any, at: Place, depth: int) -> None:
        if not isinstance(value, list):
            raise refusal(at, value, f"a list, as [{_sample(field)}]")
        if field.message_type is not None:
            empty = _takes_null(field)
            for index, item in enumerate(value):
                if item is None and not empty:
                    raise refusal((at, index), item, f"a value, as {_sample(field)}; null is none")
                self.fill(container.add(), item, (at, index), depth + 1)
        else:
            container.extend([self._scalar(field, item, (at, index)) for index, item in enumerate(value)])

    def _map(self, container: Any, entry: Descriptor, value: Any, at: Place, depth: int) -> None:
        key_field, item_field = entry.fields_by_name["key"], entry.fields_by_name["value"]
        members = _object(value, at, f"an object, as {{{_key_sample(key_field)}: {_sample(item_field)}}}", keys=True)
        for word, item in members.items():
            inner_at = (at, (word,))
            key = self._key(key_field, word, at)
            if item_field.message_type is None:
                container[key] = self._scalar(item_field, item, inner_at)
            elif item is None and not _takes_null(item_field):
                raise refusal(inner_at, item, f"a value, as {_sample(item_field)}; null is none")
            else:
                self.fill(container[key], item, inner_at, depth + 1)

    def _key(self, field: FieldDescriptor, word: str, at: Place) -> Any:
        try:
            if field.type == F.TYPE_STRING:
                return scalars.text(word)
            if field.type == F.TYPE_BOOL:
                if word in ("true", "false"):
                    return word == "true"
                raise UnfitError('a key that is "true" or "false"')
            return scalars.map_key(word, *_INTEGERS[field.type])
        except UnfitError as error:
            raise UsageError(f"invalid {path((at, (word,)))}: expected {error}") from None

    def _scalar(self, field: FieldDescriptor, value: Any, at: Place) -> Any:
        read = _SCALARS[field.type] if field.enum_type is None else partial(_enum, field.enum_type)
        return self._read(read, value, at)

    def _read(self, read: Callable[[Any], Any], value: Any, at: Place) -> Any:
        try:
            return read(value)
        except UnfitError as error:
            raise refusal(at, value, str(error)) from None

    def _names_of(self, kind: Descriptor) -> _Names:
        names = self._names.get(kind.full_name)
        if names is None:
            names = self._names[kind.full_name] = _Names(
                fields={**kind.fields_by_name, **{field.json_name: field for field in kind.fields}},
                required=tuple(field for field in kind.fields if field.is_required),
            )
        return names

    def _extension(self, kind: Descriptor, key: str) -> FieldDescriptor | None:
        """The extension that ``[package.name]`` is."""
        if not re.fullmatch(r"\[[A-Za-z_][\w.]*\]", key, re.ASCII):
            return None
        for name in (key[1:-1], f"{key[1:-1]}.message_set_extension"):
            try:
                found = self._pool.FindExtensionByName(name)
            except KeyError:
                continue
            if found.containing_type is not None and found.containing_type.full_name == kind.full_name:
                return found
        return None

    # ---- well-known types ----------------------------------------------------------------------------------------

    def _any(self, message: Any, value: Any, place: Place, depth: int) -> None:
        members = _object(value, place, _ANY)
        if not members:
            return
        if "@type" not in members:
            raise refusal(place, value, _ANY)
        at, url = (place, "@type"), members["@type"]
        named = _TYPE_URL.fullmatch(url) if isinstance(url, str) else None
        if named is None:
            raise refusal(at, url, 'the type of the message, as "type.googleapis.com/package.Message"')
        kind = self._message_type(named[1])
        if kind is None:
            raise refusal(at, url, f"a message of the schema, which has no {cut(named[1])}: import its file")
        inner = _new(kind)
        if _is_well_known(kind):
            for key in members:
                if key not in ("@type", "value"):
                    raise refusal((place, key), members[key], f'"@type" and "value" only beside {kind.full_name}')
            if "value" not in members:
                raise refusal(place, value, f'{kind.full_name} in "value", as "value": {_example(kind)}')
            self.fill(inner, members["value"], (place, "value"), depth + 1)
        else:
            self._members(inner, value, place, depth + 1, leaving_out="@type")
        message.type_url = url
        message.value = _bytes(inner)

    def _message_type(self, name: str) -> Descriptor | None:
        """The kind of message of this name; the well-known ones are known even where nothing imports them."""
        for first_try in (True, False):
            try:
                return self._pool.FindMessageTypeByName(name)
            except KeyError:
                if first_try and name.startswith("google.protobuf."):
                    self._add_well_known()
                else:
                    break
        return None

    def _add_well_known(self) -> None:
        for name in _FILES:
            try:
                self._pool.FindFileByName(f"google/protobuf/{name}.proto")
            except KeyError:
                file = FileDescriptorProto()
                importlib.import_module(f"google.protobuf.{name}_pb2").DESCRIPTOR.CopyToProto(file)
                try:
                    self._pool.Add(file)
                except TypeError:  # the schema has one of these names in a file of its own
                    continue

    def _struct(self, message: Any, value: Any, place: Place, depth: int) -> None:
        members = _object(value, place, 'an object, as {"any": "value"}')
        field = message.DESCRIPTOR.fields_by_name["fields"].message_type.fields_by_name["key"]
        for key, inner in members.items():
            self.fill(message.fields[self._key(field, key, place)], inner, (place, key), depth + 1)

    def _list_value(self, message: Any, value: Any, place: Place, depth: int) -> None:
        if not isinstance(value, list):
            raise refusal(place, value, 'a list, as [1, "two"]')
        for index, item in enumerate(value):
            self.fill(message.values.add(), item, (place, index), depth + 1)

    def _value(self, message: Any, value: Any, place: Place, depth: int) -> None:
        field = message.DESCRIPTOR.fields_by_name
        match value:
            case None:
                message.null_value = 0
            case bool():
                message.bool_value = value
            case str():
                message.string_value = self._scalar(field["string_value"], value, place)
            case dict():
                message.struct_value.SetInParent()
                self.fill(message.struct_value, value, place, depth + 1)
            case list():
                message.list_value.SetInParent()
                self.fill(message.list_value, value, place, depth + 1)
            case _:
                message.number_value = self._read(scalars.finite, value, place)


def _write_duration(message: Any, value: Any) -> None:
    message.seconds, message.nanos = scalars.duration(value)


def _write_timestamp(message: Any, value: Any) -> None:
    message.seconds, message.nanos = scalars.timestamp(value)


def _write_mask(message: Any, value: Any) -> None:
    message.paths.extend(scalars.field_mask(value))


_TEXTS: dict[str, Callable[[Any, Any], None]] = {
    "google.protobuf.Duration": _write_duration,
    "google.protobuf.FieldMask": _write_mask,
    "google.protobuf.Timestamp": _write_timestamp,
}
"""The messages that are written as a text."""


# ---- descriptors -------------------------------------------------------------------------------------------------


def _object(value: Any, place: Place, expected: str, *, keys: bool = False) -> Mapping[str, Any]:
    """The members of an object; `keys`: they are keys of a map, not names of fields."""
    if not isinstance(value, dict):
        raise refusal(place, value, expected)
    if isinstance(value, Members) and value.twice is not None:
        at = (place, (value.twice,) if keys else value.twice)
        raise refusal(at, value[value.twice], "one value; its name is there twice in one object")
    return value


def _is_well_known(kind: Descriptor) -> bool:
    fields = _WELL_KNOWN.get(kind.full_name)
    return fields is not None and all(name in kind.fields_by_name for name in fields)


def _takes_null(field: FieldDescriptor) -> bool:
    """Whether null is a value of the field's type, rather than its absence."""
    if field.message_type is not None:
        return field.message_type.full_name == "google.protobuf.Value"
    return field.enum_type is not None and field.enum_type.full_name == "google.protobuf.NullValue"


def _map_entry(field: FieldDescriptor) -> Descriptor | None:
    """The message of a map's entries; None where the field is no map."""
    kind = field.message_type
    return kind if kind is not None and kind.GetOptions().map_entry else None


def _advice(word: Any, names: list[str]) -> str:
    """The names that there are, after the nearest ones to a word that is none of them."""
    return advice(word if isinstance(word, str) and len(word) <= 100 else "", names)


def _enum(kind: EnumDescriptor, value: Any) -> int:
    if value is None and kind.full_name == "google.protobuf.NullValue":
        return 0
    known = [one.name for one in kind.values]
    if isinstance(value, str) and value in kind.values_by_name:
        return kind.values_by_name[value].number
    if isinstance(value, Number):
        number = scalars.whole(value, *scalars.INT32)
        if not kind.is_closed or number in kind.values_by_number:
            return number
    raise UnfitError(f"a name or number of {kind.full_name}: {_advice(value, known)}")


# ---- examples ----------------------------------------------------------------------------------------------------


def _sample(field: FieldDescriptor) -> str:
    """A value of a field's type, as JSON."""
    if field.message_type is not None:
        return _example(field.message_type)
    if field.enum_type is not None:
        return json.dumps(field.enum_type.values[-1].name)
    return json.dumps(_EXAMPLES[field.type])


def _key_sample(field: FieldDescriptor) -> str:
    return json.dumps({F.TYPE_STRING: "key", F.TYPE_BOOL: "true"}.get(field.type, "42"))


def _example(kind: Descriptor) -> str:
    """A message of a kind, as JSON, one level deep."""
    if kind.full_name in _EXAMPLE_OF:
        return _EXAMPLE_OF[kind.full_name]
    if _is_well_known(kind):
        return json.dumps(_EXAMPLES[kind.fields_by_name["value"].type])
    for field in kind.fields:
        if field.message_type is None and not field.is_repeated:
            return f"{{{json.dumps(field.json_name)}: {_sample(field)}}}"
    return "{...}" if kind.fields else "{}"


_EXAMPLE_OF = {
    "google.protobuf.Any": '{"@type": "type.googleapis.com/package.Message", ...}',
    "google.protobuf.Duration": '"1.5s"',
    "google.protobuf.FieldMask": '"user.displayName,photo"',
    "google.protobuf.ListValue": '[1, "two"]',
    "google.protobuf.Struct": '{"any": "value"}',
    "google.protobuf.Timestamp": '"2024-02-29T12:00:00.5Z"',
    "google.protobuf.Value": '"anything"',
}
