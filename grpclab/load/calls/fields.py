"""The fields of messages as far as their JSON needs them: the reader of a value, and an example of one. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from grpclab.load.calls import scalars
from grpclab.load.calls.request import Number
from grpclab.load.calls.scalars import UnfitError
from grpclab.load.calls.schema import advice

F = FieldDescriptor
_INTEGERS = {
    **dict.fromkeys((F.TYPE_INT32, F.TYPE_SINT32, F.TYPE_SFIXED32), scalars.INT32),
    **dict.fromkeys((F.TYPE_INT64, F.TYPE_SINT64, F.TYPE_SFIXED64), scalars.INT64),
    **dict.fromkeys((F.TYPE_UINT32, F.TYPE_FIXED32), scalars.UINT32),
    **dict.fromkeys((F.TYPE_UINT64, F.TYPE_FIXED64), scalars.UINT64),
}
SCALARS: dict[int, Callable[[Any], Any]] = {
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
_NULLS = {"google.protobuf.Value", "google.protobuf.NullValue"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """The properties of a field that each of its values needs; a descriptor is slow to give some of them."""

    descriptor: FieldDescriptor
    name: str
    number: int
    repeated: bool
    entry: tuple[Field, Field] | None
    """Key and value of a map."""
    read: Callable[[Any], Any] | None
    """The reader of a single value; None where the field holds messages."""
    takes_null: bool
    """True where null is a value of the field's type, rather than its absence."""
    oneof: str | None
    extension: bool


def describe(field: FieldDescriptor) -> Field:
    kind = field.message_type
    entry = None
    if kind is not None and kind.GetOptions().map_entry:
        entry = describe(kind.fields_by_name["key"]), describe(kind.fields_by_name["value"])
    read = None
    if kind is None:
        read = SCALARS[field.type] if field.enum_type is None else partial(_enum, field.enum_type)
    null_kind = kind if kind is not None else field.enum_type
    return Field(
        descriptor=field,
        name=field.name,
        number=field.number,
        repeated=field.is_repeated,
        entry=entry,
        read=read,
        takes_null=null_kind is not None and null_kind.full_name in _NULLS,
        oneof=field.containing_oneof.name if field.containing_oneof is not None else None,
        extension=field.is_extension,
    )


def is_well_known(kind: Descriptor) -> bool:
    fields = _WELL_KNOWN.get(kind.full_name)
    return fields is not None and all(name in kind.fields_by_name for name in fields)


def key_reader(field: FieldDescriptor) -> Callable[[str], Any]:
    if field.type == F.TYPE_STRING:
        return scalars.text
    if field.type == F.TYPE_BOOL:
        return scalars.boolean_key
    low, high = _INTEGERS[field.type]
    return partial(scalars.whole_key, low=low, high=high)


def known_names(word: Any, names: list[str]) -> str:
    """The names that there are, after the nearest ones to a word that is none of them."""
    return advice(word if isinstance(word, str) and len(word) <= 100 else "", names)


def _enum(kind: EnumDescriptor, value: Any) -> int:
    if value is None and kind.full_name in _NULLS:
        return 0
    if isinstance(value, str) and value in kind.values_by_name:
        return kind.values_by_name[value].number
    if isinstance(value, Number):
        number = scalars.whole(value, *scalars.INT32)
        if not kind.is_closed or number in kind.values_by_number:
            return number
    names = [value_descriptor.name for value_descriptor in kind.values]
    raise UnfitError(f"a name or number of {kind.full_name}, which has {known_names(value, names)}")


# ---- examples ----------------------------------------------------------------------------------------------------


def sample(field: FieldDescriptor) -> str:
    """A value of a field's type, as JSON."""
    if field.message_type is not None:
        return example(field.message_type)
    if field.enum_type is not None:
        return json.dumps(field.enum_type.values[-1].name)
    return json.dumps(_EXAMPLES[field.type])


def key_sample(field: FieldDescriptor) -> str:
    return json.dumps({F.TYPE_STRING: "key", F.TYPE_BOOL: "true"}.get(field.type, "42"))


def example(kind: Descriptor) -> str:
    """A message of a kind, as JSON, one level deep."""
    if kind.full_name in _EXAMPLE_OF:
        return _EXAMPLE_OF[kind.full_name]
    if is_well_known(kind):
        return json.dumps(_EXAMPLES[kind.fields_by_name["value"].type])
    for field in kind.fields:
        if field.message_type is None and not field.is_repeated:
            return f"{{{json.dumps(field.json_name)}: {sample(field)}}}"
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
