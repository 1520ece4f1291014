"""Requests that are encoded already: read out of a length-delimited file, and checked against the schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from grpclab.errors import UsageError, invalid

_WIRE_TYPES = ("a varint", "8 bytes", "a length and bytes", "a group", "the end of a group", "4 bytes")
_LENGTH = 2
_SHOWN_BYTES = 16


def delimited(content: bytes, name: str) -> list[tuple[bytes, str]]:
    """The messages of a file in which each stands behind its length as a varint, as protobuf's own writers have it.

    Each has its place in words behind it: ``message 3, at byte 117 of requests.bin``. Raises UsageError.
    """
    messages: list[tuple[bytes, str]] = []
    at, end = 0, len(content)
    while at < end:
        begin, number = at, len(messages) + 1
        length = shift = 0
        while True:
            if at >= end or shift > 63:
                wrong = "the length of message" if at < end else "the file ends inside the length of message"
                expected = f"length-delimited messages; {wrong} {number:,}, at byte {begin:,}"
                raise UsageError(invalid("--data-file", name, expected + (", is invalid" if at < end else "")))
            byte = content[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                break
        if at + length > end:
            expected = (
                f"length-delimited messages; message {number:,}, at byte {begin:,}, has a length of {length:,} "
                f"bytes, but {end - at:,} are left"
            )
            raise UsageError(invalid("--data-file", name, expected))
        messages.append((content[at : at + length], f"message {number:,}, at byte {begin:,} of {name}"))
        at += length
    return messages


def messages_in(content: bytes, name: str, kind: Descriptor) -> list[tuple[bytes, str]]:
    """The messages of a file: each behind its length, or else the one that the whole file is, as in ghz.

    Raises UsageError.
    """
    try:
        return delimited(content, name)
    except UsageError:
        if not _is_one(content, kind):
            raise
        return [(content, name)]


def _is_one(content: bytes, kind: Descriptor) -> bool:
    """Whether the bytes are a message of that kind, and have no field that it does not have."""
    try:
        message = GetMessageClass(kind).FromString(content)
    except DecodeError:
        return False
    return len(UnknownFieldSet(message)) == 0


class MessageCheck:
    """Holds encoded messages against their kind: each has to be one, with each known field of its own type.

    A field that the schema does not have may be one of a newer schema, and passes.
    """

    def __init__(self, kind: Descriptor) -> None:
        self._kind, self._class = kind, GetMessageClass(kind)

    def __call__(self, content: bytes) -> bytes:
        """The content, checked. Raises UsageError."""
        try:
            message = self._class.FromString(content)
        except DecodeError:
            begin = content[:_SHOWN_BYTES].hex(" ") + (" ..." if len(content) > _SHOWN_BYTES else "")
            wrong = f"an encoded {self._kind.full_name}"
            raise UsageError(invalid("data", begin or "(empty)", wrong)) from None
        for field, wire_type in _mistyped(message):
            expected = f"{_WIRE_TYPES[_wire_type(field)]} in field {field.number}, the type of {field.full_name}"
            raise UsageError(invalid("data", _WIRE_TYPES[wire_type], expected))
        return content


def _mistyped(message: Message) -> Iterator[tuple[FieldDescriptor, int]]:
    """The fields that were not understood although their number is known, each with the wire type that it came with."""
    known = message.DESCRIPTOR.fields_by_number
    for unknown in cast("Iterable[Any]", UnknownFieldSet(message)):
        field = known.get(unknown.field_number)
        if field is not None and field.enum_type is None:  # a closed enum keeps its unknown values so
            yield cast("FieldDescriptor", field), int(unknown.wire_type)
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = list(value.values()) if field.message_type.fields_by_name["value"].message_type else []
        else:
            inner = list(value) if field.is_repeated else [value]
        for one in inner:
            yield from _mistyped(one)


def _wire_type(field: FieldDescriptor) -> int:
    kinds = {
        FieldDescriptor.TYPE_DOUBLE: 1,
        FieldDescriptor.TYPE_FIXED64: 1,
        FieldDescriptor.TYPE_SFIXED64: 1,
        FieldDescriptor.TYPE_FLOAT: 5,
        FieldDescriptor.TYPE_FIXED32: 5,
        FieldDescriptor.TYPE_SFIXED32: 5,
        FieldDescriptor.TYPE_STRING: _LENGTH,
        FieldDescriptor.TYPE_BYTES: _LENGTH,
        FieldDescriptor.TYPE_MESSAGE: _LENGTH,
        FieldDescriptor.TYPE_GROUP: 3,
    }
    return kinds.get(field.type, 0)
