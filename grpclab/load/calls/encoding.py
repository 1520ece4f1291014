"""The bytes of a message from the tree of a request, by the JSON mapping of protobuf.

A reader of our own, because ``google.protobuf.json_format`` takes much that the mapping refuses, drops what is not
base64 and rounds integers, and says neither where a value stands nor what was expected. :func:`encode` walks the
tree along the descriptors; what single values may be is in :mod:`grpclab.load.calls.scalars`.

Source: protobuf.dev, "ProtoJSON Format", and the conformance tests of protobuf. Where these leave a choice (one field
given twice, two members of a oneof) the request is refused, for one of the two would be lost.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import EncodeError, Message
from google.protobuf.message_factory import GetMessageClass

from grpclab.errors import UsageError
from grpclab.load.calls import scalars
from grpclab.load.calls.descriptors import WELL_KNOWN, well_known
from grpclab.load.calls.fields import (
    SCALARS,
    Field,
    describe,
    example,
    is_well_known,
    key_reader,
    key_sample,
    known_names,
    sample,
)
from grpclab.load.calls.request import MAX_DEPTH, Members, Place, cut, path, refusal, too_deep
from grpclab.load.calls.scalars import UnfitError

_TYPE_URL = re.compile(r"[!-~]+/([A-Za-z_]\w*(\.[A-Za-z_]\w*)*)", re.ASCII)
_ANY = 'an object with "@type", e.g. {"@type": "type.googleapis.com/package.Message", ...}'


def encode(request: Any, kind: Descriptor, pool: DescriptorPool) -> bytes:
    """The bytes of the message of this kind that a request means. Raises UsageError, with the place of the fault."""
    return encoder(kind, pool)(request)


def encoder(kind: Descriptor, pool: DescriptorPool) -> Callable[..., bytes]:
    """:func:`encode` for many requests of a kind; a second argument is the place of one."""
    writer = _Encoder(pool)

    def encode_one(request: Any, place: Place = None) -> bytes:
        try:
            message = _new(kind)
            writer.fill(message, request, place, 0)
            return _bytes(message)
        except EncodeError:
            raise UsageError("invalid data: expected a request of less than 2 GiB") from None
        except RecursionError:
            raise too_deep(None) from None

    return encode_one


# A field may be called as a method is, so methods are those of the class.


def _new(kind: Descriptor) -> Message:
    return GetMessageClass(kind)()


def _bytes(message: Message) -> bytes:
    return type(message).SerializeToString(message)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """A kind of message: its fields by the names that they have in JSON, and those that must be there."""

    name: str
    fields: Mapping[str, Field]
    required: tuple[Field, ...]
    write: Callable[[Any, Any, Place, int], None] | None
    """The function that writes a well-known type, whose JSON is not that of its fields."""


class _Encoder:
    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool
        self._kinds: dict[Descriptor, _Kind] = {}
        self._writers: dict[str, Callable[[Any, Any, Place, int], None]] = {
            "google.protobuf.Any": self._any,
            "google.protobuf.ListValue": self._list_value,
            "google.protobuf.Struct": self._struct,
            "google.protobuf.Value": self._value,
        }

    def fill(self, message: Any, value: Any, place: Place, depth: int) -> None:
        """Write a value into a message of any kind."""
        if depth > MAX_DEPTH:
            raise too_deep(place)
        kind = self._kind(type(message).DESCRIPTOR)
        if kind.write is None:
            self._members(message, value, place, depth)
        else:
            kind.write(message, value, place, depth)

    # ---- fields --------------------------------------------------------------------------------------------------

    def _members(self, message: Any, value: Any, place: Place, depth: int, *, leaving_out: str | None = None) -> None:
        """Write an object into the fields of a message, but for one member."""
        descriptor = type(message).DESCRIPTOR
        kind = self._kind(descriptor)
        if not isinstance(value, dict):
            raise refusal(place, value, f"an object for {kind.name}, e.g. {example(descriptor)}")
        _check_names(value, place)
        keys_by_number: dict[int, str] = {}
        chosen: dict[str, str] = {}
        filled: set[int] = set()
        for key, inner in value.items():
            if key == leaving_out:
                continue
            at = (place, key)
            field = kind.fields.get(key) or self._extension(descriptor, key)
            if field is None:
                field_names = known_names(key, [field.name for field in descriptor.fields])
                raise UsageError(f"invalid {path(at)}: expected a field of {kind.name}, which has {field_names}")
            if field.number in keys_by_number:
                raise refusal(at, inner, f"one value; {keys_by_number[field.number]} and {key} are the same field")
            keys_by_number[field.number] = key
            if inner is None and (field.repeated or not field.takes_null):
                continue  # not set
            if field.oneof is not None:
                if field.oneof in chosen:
                    both = f"{chosen[field.oneof]} or {key}, not both"
                    raise refusal(at, inner, f"{both}, since they are members of oneof {field.oneof}")
                chosen[field.oneof] = key
            self._field(message, field, inner, at, depth)
            filled.add(field.number)
        for field in kind.required:
            if field.number not in filled:
                at = (place, field.descriptor.json_name)
                shown = sample(field.descriptor)
                raise UsageError(f"invalid {path(at)}: expected a value, e.g. {shown}, since the field is required")

    def _field(self, message: Any, field: Field, value: Any, at: Place, depth: int) -> None:
        extensions = object.__getattribute__(message, "Extensions") if field.extension else {}
        if field.read is not None and not field.repeated:
            scalar = _read(field.read, value, at)
            if field.extension:
                extensions[field.descriptor] = scalar
            else:
                setattr(message, field.name, scalar)
            return
        inner = extensions[field.descriptor] if field.extension else getattr(message, field.name)
        if field.entry is not None:
            self._map(inner, field.entry, value, at, depth)
        elif field.repeated:
            self._items(inner, field, value, at, depth)
        else:
            type(inner).SetInParent(inner)
            self.fill(inner, value, at, depth + 1)

    def _items(self, container: Any, field: Field, value: Any, at: Place, depth: int) -> None:
        if not isinstance(value, list):
            raise refusal(at, value, f"a list, e.g. [{sample(field.descriptor)}]")
        if field.read is not None:
            container.extend([_read(field.read, item, (at, index)) for index, item in enumerate(value)])
            return
        for index, item in enumerate(value):
            if item is None and not field.takes_null:
                raise refusal((at, index), item, f"a value, e.g. {sample(field.descriptor)}, not null")
            self.fill(container.add(), item, (at, index), depth + 1)

    def _map(self, container: Any, entry: tuple[Field, Field], value: Any, at: Place, depth: int) -> None:
        key_field, item_field = entry
        item_sample = sample(item_field.descriptor)
        if not isinstance(value, dict):
            raise refusal(at, value, f"an object, e.g. {{{key_sample(key_field.descriptor)}: {item_sample}}}")
        _check_names(value, at, keys=True)
        read_key = key_reader(key_field.descriptor)
        for word, item in value.items():
            inner_at = (at, (word,))
            try:
                key = read_key(word)
            except UnfitError as error:
                raise UsageError(f"invalid {path(inner_at)}: expected {error}") from None
            if item_field.read is not None:
                container[key] = _read(item_field.read, item, inner_at)
            elif item is None and not item_field.takes_null:
                raise refusal(inner_at, item, f"a value, e.g. {item_sample}, not null")
            else:
                self.fill(container[key], item, inner_at, depth + 1)

    def _kind(self, descriptor: Descriptor) -> _Kind:
        kind = self._kinds.get(descriptor)
        if kind is None:
            fields = [describe(field) for field in descriptor.fields]
            by_name = {field.name: field for field in fields}
            kind = self._kinds[descriptor] = _Kind(
                name=descriptor.full_name,
                fields=by_name | {field.descriptor.json_name: field for field in fields},
                required=tuple(field for field in fields if field.descriptor.is_required),
                write=self._writer(descriptor),
            )
        return kind

    def _writer(self, descriptor: Descriptor) -> Callable[[Any, Any, Place, int], None] | None:
        name = descriptor.full_name
        if not is_well_known(descriptor):
            return None
        if name in self._writers:
            return self._writers[name]
        write = _TEXTS.get(name) or partial(_write_wrapper, SCALARS[descriptor.fields_by_name["value"].type])
        return lambda message, value, place, _: _read(partial(write, message), value, place)

    def _extension(self, descriptor: Descriptor, key: str) -> Field | None:
        """The extension that ``[package.name]`` is."""
        if not re.fullmatch(r"\[[A-Za-z_][\w.]*\]", key, re.ASCII):
            return None
        for name in (key[1:-1], f"{key[1:-1]}.message_set_extension"):
            try:
                extension = self._pool.FindExtensionByName(name)
            except KeyError:
                continue
            if extension.containing_type is not None and extension.containing_type.full_name == descriptor.full_name:
                return describe(extension)
        return None

    # ---- well-known types ----------------------------------------------------------------------------------------

    def _any(self, message: Any, value: Any, place: Place, depth: int) -> None:
        if not isinstance(value, dict) or (value and "@type" not in value):
            raise refusal(place, value, _ANY)
        _check_names(value, place)
        if not value:
            return
        at, url = (place, "@type"), value["@type"]
        named = _TYPE_URL.fullmatch(url) if isinstance(url, str) else None
        if named is None:
            raise refusal(at, url, 'the type of the message, e.g. "type.googleapis.com/package.Message"')
        kind = self._message_type(named[1])
        if kind is None:
            raise refusal(
                at, url, f"a message type in the schema, which does not contain {cut(named[1])}; import its file"
            )
        inner = _new(kind)
        if is_well_known(kind):
            for key, content in value.items():
                if key not in ("@type", "value"):
                    raise refusal((place, key), content, f'only "@type" and "value" for {kind.full_name}')
            if "value" not in value:
                raise refusal(place, value, f'{kind.full_name} in "value", e.g. "value": {example(kind)}')
            self.fill(inner, value["value"], (place, "value"), depth + 1)
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
        for name in sorted(set(WELL_KNOWN.values())):
            self._add(name)

    def _add(self, name: str) -> None:
        """Add a file of the well-known types, after those that it imports, where the schema lacks it."""
        with contextlib.suppress(KeyError):
            self._pool.FindFileByName(name)
            return
        for file in well_known(name):
            for dependency in file.dependency:
                self._add(dependency)
            with contextlib.suppress(TypeError):  # the schema has one of these names in a file of its own
                self._pool.Add(file)

    def _struct(self, message: Any, value: Any, place: Place, depth: int) -> None:
        if not isinstance(value, dict):
            raise refusal(place, value, 'an object, e.g. {"any": "value"}')
        _check_names(value, place)
        for key, inner in value.items():
            at = (place, key)
            self.fill(message.fields[_read(scalars.text, key, at)], inner, at, depth + 1)

    def _list_value(self, message: Any, value: Any, place: Place, depth: int) -> None:
        if not isinstance(value, list):
            raise refusal(place, value, 'a list, e.g. [1, "two"]')
        for index, item in enumerate(value):
            self.fill(message.values.add(), item, (place, index), depth + 1)

    def _value(self, message: Any, value: Any, place: Place, depth: int) -> None:
        match value:
            case None:
                message.null_value = 0
            case bool():
                message.bool_value = value
            case str():
                message.string_value = _read(scalars.text, value, place)
            case dict():
                message.struct_value.SetInParent()
                self.fill(message.struct_value, value, place, depth + 1)
            case list():
                message.list_value.SetInParent()
                self.fill(message.list_value, value, place, depth + 1)
            case _:
                message.number_value = _read(scalars.finite, value, place)


def _check_names(members: Mapping[str, Any], place: Place, *, keys: bool = False) -> None:
    """Raise UsageError where one name stands twice in an object; `keys`: they are keys of a map."""
    if isinstance(members, Members) and members.twice is not None:
        at = (place, (members.twice,) if keys else members.twice)
        raise refusal(at, members[members.twice], "one value; its name appears twice in one object")


def _read(read: Callable[[Any], Any], value: Any, at: Place) -> Any:
    try:
        return read(value)
    except UnfitError as error:
        raise refusal(at, value, str(error)) from None


def _write_duration(message: Any, value: Any) -> None:
    message.seconds, message.nanos = scalars.duration(value)


def _write_timestamp(message: Any, value: Any) -> None:
    message.seconds, message.nanos = scalars.timestamp(value)


def _write_mask(message: Any, value: Any) -> None:
    message.paths.extend(scalars.field_mask(value))


def _write_wrapper(read: Callable[[Any], Any], message: Any, value: Any) -> None:
    message.value = read(value)


_TEXTS: dict[str, Callable[[Any, Any], None]] = {
    "google.protobuf.Duration": _write_duration,
    "google.protobuf.FieldMask": _write_mask,
    "google.protobuf.Timestamp": _write_timestamp,
}
"""The messages that are written as a text."""
