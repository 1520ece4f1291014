"""Files of descriptors, from whatever source: completed by protobuf's own, checked, put into a pool."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from graphlib import CycleError, TopologicalSorter

from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from grpclab.load.calls.call_options import AnswerKind
from grpclab.text.printable import printable

Files = dict[str, FileDescriptorProto]
Find = Callable[[str], Iterable[FileDescriptorProto]]

_PROTOBUF = {
    "any": "Any",
    "api": "Api Method Mixin",
    "descriptor": "FileDescriptorSet FileDescriptorProto DescriptorProto EnumDescriptorProto ServiceDescriptorProto"
    " FileOptions MessageOptions FieldOptions EnumOptions EnumValueOptions ServiceOptions MethodOptions OneofOptions",
    "duration": "Duration",
    "empty": "Empty",
    "field_mask": "FieldMask",
    "source_context": "SourceContext",
    "struct": "Struct Value ListValue NullValue",
    "timestamp": "Timestamp",
    "type": "Type Field Enum EnumValue Option Syntax",
    "wrappers": "DoubleValue FloatValue Int64Value UInt64Value Int32Value UInt32Value BoolValue StringValue BytesValue",
}
_COMMON = {
    "calendar_period": "CalendarPeriod",
    "color": "Color",
    "date": "Date",
    "datetime": "DateTime TimeZone",
    "dayofweek": "DayOfWeek",
    "decimal": "Decimal",
    "expr": "Expr",
    "fraction": "Fraction",
    "interval": "Interval",
    "latlng": "LatLng",
    "localized_text": "LocalizedText",
    "money": "Money",
    "month": "Month",
    "phone_number": "PhoneNumber",
    "postal_address": "PostalAddress",
    "quaternion": "Quaternion",
    "timeofday": "TimeOfDay",
}
WELL_KNOWN = {
    f"google.{package}.{name}": f"google/{package}/{file}.proto"
    for package, files in (("protobuf", _PROTOBUF), ("type", _COMMON), ("rpc", {"status": "Status"}))
    for file, names in files.items()
    for name in names.split()
}
"""The file of each type that comes with protobuf, or with the package googleapis-common-protos."""


class UnusableError(ValueError):
    """A schema that is not whole, or that contradicts itself; says why in half a sentence."""


def one_line(error: object) -> str:
    """Return a message of protobuf, protoc or a server on one line, fit for a terminal."""
    return printable(" ".join(str(error).split()))


def add(files: Files, more: Iterable[FileDescriptorProto]) -> None:
    """Add files; of two with one name the first stays."""
    for file in more:
        files.setdefault(file.name, file)


def add_once(files: Files, more: Iterable[FileDescriptorProto]) -> None:
    """Add the files of one source, where a name may come again with the same content only. Raises UnusableError."""
    for file in more:
        if files.setdefault(file.name, file) != file:
            raise UnusableError(f"it contains {file.name} twice, with different content; keep one")


def complete(files: Files, find: Find = lambda _: (), find_type: Find = lambda _: ()) -> None:
    """Add all that the files import, and so on; what is not to be found is looked for among the well-known types.

    `find` gives the files of a name, `find_type` those of a type that is used although no import leads to it. Raises
    UnusableError, which names what is missing.
    """
    rest = list(files)
    while rest:
        by = rest.pop()
        for name in files[by].dependency:
            if name in files:
                continue
            names_before = set(files)
            add(files, find(name))
            if name not in files:
                add(files, well_known(name))
            if name not in files:
                raise UnusableError(f"{by} imports {name}, which is missing")
            rest += files.keys() - names_before
        if not rest:
            names_before = set(files)
            for type_ in sorted(_undefined(files)):
                add(files, well_known(WELL_KNOWN[type_]) if type_ in WELL_KNOWN else find_type(type_))
            rest += files.keys() - names_before


def well_known(name: str) -> list[FileDescriptorProto]:
    """``google/protobuf/timestamp.proto`` and its like, which sources may leave out."""
    if not re.fullmatch(r"google/(protobuf|type|rpc|api)/[a-z_0-9]+\.proto", name):
        return []
    try:
        module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    except ImportError:
        return []
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return [file]


def pool_of(files: Files) -> DescriptorPool:
    """A pool that holds the files, which must be complete. Raises UnusableError where they contradict each other."""
    _refuse_clashes(files)
    imports = {name: set(file.dependency) for name, file in files.items()}
    homes = {name: file.name for file in files.values() for name in _types(file)}
    used = {name: {homes[kind] for kind in _used(file) if kind in homes} - {name} for name, file in files.items()}
    pool = DescriptorPool()
    try:
        order = list(TopologicalSorter(imports).static_order())
    except CycleError as error:
        circle = error.args[1][::-1]  # in the direction of the imports
        many = f"its files import each other: {' -> '.join(circle)}"
        raise UnusableError(f"{circle[0]} imports itself" if len(circle) == 2 else many) from None
    with suppress(CycleError):  # a file that uses a type of another without importing it comes after it, where it can
        order = list(TopologicalSorter({name: imports[name] | used[name] for name in files}).static_order())
    for name in order:
        try:
            pool.Add(files[name])
        except TypeError as error:  # a pool's word for what contradicts itself
            why = one_line(error).removeprefix("Couldn't build proto file into descriptor pool: ")
            lost = re.search(r"couldn't resolve name '\.?([\w.]+)'", why)
            why = f"{name} uses {lost[1]}, which is not defined in any of its files" if lost else f"{name}: {why}"
            raise UnusableError(why) from None
    return pool


def _refuse_clashes(files: Files) -> None:
    """Raise UnusableError where two files define one name."""
    homes: dict[str, str] = {}
    for file in files.values():
        for name in _names(file):
            if homes.setdefault(name, file.name) != file.name:
                raise UnusableError(f"{name} is defined in {homes[name]} and again in {file.name}")


def _names(file: FileDescriptorProto) -> Iterator[str]:
    """The full names that a file defines at its top level."""
    start = f"{file.package}." if file.package else ""
    for kind in (file.message_type, file.enum_type, file.service, file.extension):
        for member in kind:
            yield start + member.name
    for enum in file.enum_type:  # whose values are names beside it, not in it
        for value in enum.value:
            yield start + value.name


def _types(file: FileDescriptorProto) -> Iterator[str]:
    """The full names of all messages and enums of a file."""
    start = f"{file.package}." if file.package else ""
    yield from (start + enum.name for enum in file.enum_type)
    for message in file.message_type:
        yield from _nested(start, message)


def _nested(start: str, message: DescriptorProto) -> Iterator[str]:
    own = start + message.name
    yield own
    yield from (f"{own}.{enum.name}" for enum in message.enum_type)
    for inner in message.nested_type:
        yield from _nested(own + ".", inner)


def _used(file: FileDescriptorProto) -> Iterator[str]:
    """The full names of the types that a file uses."""
    messages = list(file.message_type)
    fields = list(file.extension)
    while messages:
        message = messages.pop()
        messages += message.nested_type
        fields += [*message.field, *message.extension]
    names = [name for field in fields for name in (field.type_name, field.extendee)]
    names += [name for service in file.service for m in service.method for name in (m.input_type, m.output_type)]
    return (name.removeprefix(".") for name in names if name.startswith("."))


def _undefined(files: Files) -> set[str]:
    """The types that some file uses and none defines."""
    return {name for file in files.values() for name in _used(file)} - {
        name for file in files.values() for name in _types(file)
    }


def answer_kind(kind: Descriptor) -> AnswerKind:
    """The type of a method's answers with the files that define it."""
    files: dict[str, bytes] = {}

    def add(file: FileDescriptor) -> None:
        if file.name not in files:
            for dependency in file.dependencies:
                add(dependency)
            files[file.name] = file.serialized_pb

    add(kind.file)
    return AnswerKind(name=kind.full_name, files=tuple(files.values()))


def schema_digest(kind: Descriptor, pool: DescriptorPool, names: Sequence[str] = ()) -> bytes:
    """The hash of the schema of a message: its file, those of further messages by name, and all that they import."""
    files = [kind.file]
    for name in names:
        with suppress(KeyError):
            files.append(pool.FindFileContainingSymbol(name))
    content: dict[str, bytes] = {}
    while files:
        file = files.pop()
        if file.name not in content:
            content[file.name] = file.serialized_pb
            files += file.dependencies
    hashed = hashlib.sha256(kind.full_name.encode())
    for name in sorted(content):
        hashed.update(hashlib.sha256(content[name]).digest())
    return hashed.digest()
