"""pprof's ``Profile`` as protobuf reads it, from a description of our own: the fields of profile.proto we use."""

from __future__ import annotations

import gzip
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_MESSAGES = {
    "ValueType": "int64 type=1, int64 unit=2",
    "Sample": "uint64* location_id=1, int64* value=2",
    "Line": "uint64 function_id=1, int64 line=2",
    "Location": "uint64 id=1, uint64 mapping_id=2, uint64 address=3, Line* line=4",
    "Function": "uint64 id=1, int64 name=2, int64 system_name=3, int64 filename=4, int64 start_line=5",
    "Profile": "ValueType* sample_type=1, Sample* sample=2, Location* location=4, Function* function=5,"
    " string* string_table=6, int64 time_nanos=9, int64 duration_nanos=10, ValueType period_type=11, int64 period=12",
}
_KINDS = {"int64": 3, "uint64": 4, "string": 9}


def _profile_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="test_profile.proto", package="testpprof", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for text in fields.split(","):
            kind, rest = text.split()
            field_name, number = rest.split("=")
            field = message.field.add(name=field_name, number=int(number), label=3 if kind[-1] == "*" else 1)
            kind = kind.rstrip("*")
            field.type = _KINDS.get(kind, 11)  # type: ignore[assignment]
            if kind not in _KINDS:
                field.type_name = f".testpprof.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("testpprof.Profile"))


PROFILE = _profile_class()


def read(data: bytes) -> Any:
    """The message in a gzipped profile."""
    return PROFILE.FromString(gzip.decompress(data))


def folded(profile: Any) -> dict[tuple[tuple[str, str, int], ...], int]:
    """(name, file, line) of each frame, root first -> samples."""
    text = profile.string_table
    functions = {f.id: (text[f.name], text[f.filename]) for f in profile.function}
    places = {p.id: (*functions[p.line[0].function_id], p.line[0].line) for p in profile.location}
    return {tuple(places[i] for i in reversed(s.location_id)): s.value[0] for s in profile.sample}
