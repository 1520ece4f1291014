"""A schema in words: the kinds of methods, the fields of messages, and an example of a message to fill. Pure.

Names of fields are those of the ``.proto`` file, everywhere: in a description, an example, a request and an answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, MethodDescriptor

from grpclab.errors import UsageError, invalid
from grpclab.load.calls.fields import example, is_well_known, key_sample
from grpclab.load.calls.schema import Schema, advice

NOT_THEIRS = ("grpc.health.", "grpc.reflection.", "grpc.channelz.")
"""The beginnings of services that are no user's."""
SCALAR_NAMES = {
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_FIXED64: "fixed64",
    FieldDescriptor.TYPE_FIXED32: "fixed32",
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_SFIXED32: "sfixed32",
    FieldDescriptor.TYPE_SFIXED64: "sfixed64",
    FieldDescriptor.TYPE_SINT32: "sint32",
    FieldDescriptor.TYPE_SINT64: "sint64",
}
NO_EXAMPLE = ("google.protobuf.Any", "google.protobuf.FieldMask")
"""Messages that mean something only beside others of the service."""


# ---- methods -----------------------------------------------------------------------------------------------------


def method_name(method: MethodDescriptor) -> str:
    """The name by which a method is called: ``package.Service/Method``."""
    return f"{method.containing_service.full_name}/{method.name}"


def method_kind(method: MethodDescriptor) -> str:
    """The kind of call: unary, server streaming, client streaming or bidirectional."""
    if method.client_streaming:
        return "bidirectional" if method.server_streaming else "client streaming"
    return "server streaming" if method.server_streaming else "unary"


def methods_of(schema: Schema) -> list[MethodDescriptor]:
    """The methods of the user's own services, in the order of the services' names."""
    names = [name for name in schema.services if not name.startswith(NOT_THEIRS)]
    return [method for name in names if (service := schema.service(name)) for method in service.methods]


def named_method(known: Schema, name: str) -> MethodDescriptor:
    """The only method of a user's own services whose name ends in `name`. Raises UsageError."""
    wanted = name.replace("/", ".").strip(".")
    methods = methods_of(known)
    found = [one for one in methods if f".{one.full_name}".endswith(f".{wanted}")]
    if len(found) == 1:
        return found[0]
    names = [method_name(method) for method in found or methods]
    if found:
        raise UsageError(invalid("METHOD", name, f"one of {', '.join(names)}, since several names end this way"))
    raise UsageError(f"{known.source} has no method {name} (available: {advice(name, names)})")


# ---- messages ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class FieldOutline:
    """A field: its number, name and type, and what else its user has to know."""

    number: int
    name: str
    type: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class MessageOutline:
    """A message and its fields."""

    name: str
    fields: tuple[FieldOutline, ...]


def outlines(kind: Descriptor) -> Iterator[MessageOutline]:
    """A message, then each of those within it, once; well-known ones are left out, whose JSON is not their fields'."""
    waiting, seen = [kind], {kind.full_name}
    while waiting:
        message = waiting.pop(0)
        yield MessageOutline(name=message.full_name, fields=tuple(_outline(field) for field in message.fields))
        for field in message.fields:
            inner = _held(field)
            if inner is not None and inner.full_name not in seen and not is_well_known(inner):
                seen.add(inner.full_name)
                waiting.append(inner)


def enum_values(kind: EnumDescriptor) -> str:
    """The names of an enum's values."""
    return ", ".join(value.name for value in kind.values)


def _held(field: FieldDescriptor) -> Descriptor | None:
    """The message that a field, or a map, holds."""
    kind: Descriptor | None = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        kind = kind.fields_by_name["value"].message_type
    return kind


def _outline(field: FieldDescriptor) -> FieldOutline:
    kind, notes = field.message_type, []
    if kind is not None and kind.GetOptions().map_entry:
        held = kind.fields_by_name["value"]
        type_ = f"map<{_type(kind.fields_by_name['key'])}, {_type(held)}>"
    else:
        held = field
        type_ = f"repeated {_type(field)}" if field.is_repeated else _type(field)
    if field.is_required:
        notes.append("required")
    if (choice := field.containing_oneof) is not None:
        notes.append(f"one of {choice.name}" if len(choice.fields) > 1 else "optional")
    if held.enum_type is not None:
        notes.append(enum_values(held.enum_type))
    if held.message_type is not None and is_well_known(held.message_type):
        notes.append(f"as {example(held.message_type)}")
    if held.type == FieldDescriptor.TYPE_BYTES:
        notes.append("base64")
    return FieldOutline(number=field.number, name=field.name, type=type_, note="; ".join(notes))


def _type(field: FieldDescriptor) -> str:
    kind = field.message_type if field.message_type is not None else field.enum_type
    return SCALAR_NAMES[field.type] if kind is None else str(kind.full_name)


# ---- examples ----------------------------------------------------------------------------------------------------


def example_text(message: Descriptor, *, deepest: int, longest: int, write: Callable[[Any], str] = json.dumps) -> str:
    """An example of a message as `write` puts it: as deep as `longest` characters allow, `deepest` at most."""
    for depth in range(deepest, -1, -1):
        text = write(message_example(message, depth))
        if len(text) <= longest:
            return text
    return write({})


def message_example(message: Descriptor, depth: int) -> dict[str, Any]:
    """A value for each field, but for messages below `depth` and all but the first of a oneof."""
    found: dict[str, Any] = {}
    for field in message.fields:
        choice = field.containing_oneof
        if choice is not None and len(choice.fields) > 1 and choice.fields[0] is not field:
            continue
        value = _value(field, depth)
        if value is not None:
            found[field.name] = [value] if _is_list(field) else value
    return found


def _is_list(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated) and not (field.message_type and field.message_type.GetOptions().map_entry)


def _value(field: FieldDescriptor, depth: int) -> Any:
    """A value for a field; None for one that is left out, since it is too deep or has no meaning by itself."""
    kind = field.message_type
    if kind is None:
        return _single(field)
    if kind.GetOptions().map_entry:
        value = _value(kind.fields_by_name["value"], depth)
        return None if value is None else {json.loads(key_sample(kind.fields_by_name["key"])): value}
    if is_well_known(kind):
        return None if kind.full_name in NO_EXAMPLE else json.loads(example(kind))
    return message_example(kind, depth - 1) if depth > 0 else None


def _single(field: FieldDescriptor) -> Any:
    """A value for a field that holds no message."""
    if field.enum_type is not None:
        return field.enum_type.values[-1 if len(field.enum_type.values) == 1 else 1].name
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return 1.5
    if field.cpp_type == field.CPPTYPE_STRING:
        return "AQID" if field.type == field.TYPE_BYTES else field.name
    return True if field.cpp_type == field.CPPTYPE_BOOL else 1
