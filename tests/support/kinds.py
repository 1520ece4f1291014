"""A schema with a field of every kind that the JSON mapping of protobuf knows, compiled once a process."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from grpclab.errors import UsageError
from grpclab.load.calls import encoding, request

MODERN = """
syntax = "proto3";
package k;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "old.proto";
import "edition.proto";

enum Color { option allow_alias = true; NONE = 0; RED = 1; ROUGE = 1; red = 1; BLUE = 2; }

message Sub { int32 x = 1; bytes b = 2; Sub sub = 3; repeated Sub subs = 4; map<string, Sub> by = 5; }

message All {
  int32 i32 = 1; int64 i64 = 2; uint32 u32 = 3; uint64 u64 = 4; sint32 s32 = 5; fixed64 f64 = 6;
  float f = 7; double d = 8; bool t = 9; string s = 10; bytes b = 11; Color c = 12;
  optional int32 maybe = 13;
  string user_name = 14;
  string other = 15 [json_name = "renamed"];
  string swap_a = 16 [json_name = "swap_b"];
  Sub sub = 20; repeated Sub subs = 21; repeated int64 many = 22; repeated Color colors = 23;
  map<string, Sub> by_name = 30; map<int32, string> by_number = 31; map<bool, Color> by_truth = 32;
  map<uint64, google.protobuf.Timestamp> by_id = 33; map<string, bytes> blobs = 34;
  map<string, google.protobuf.NullValue> nulls = 35; map<string, google.protobuf.Value> values = 36;
  google.protobuf.Any any = 40; repeated google.protobuf.Any anys = 41;
  google.protobuf.Timestamp ts = 42; google.protobuf.Duration du = 43; google.protobuf.FieldMask fm = 44;
  google.protobuf.Struct st = 45; google.protobuf.Value v = 46; google.protobuf.ListValue lv = 47;
  google.protobuf.Empty em = 48; google.protobuf.NullValue nv = 49;
  google.protobuf.Int64Value iv = 50; google.protobuf.DoubleValue dv = 51; google.protobuf.FloatValue fv = 52;
  google.protobuf.BoolValue bv = 53; google.protobuf.StringValue sv = 54; google.protobuf.BytesValue yv = 55;
  google.protobuf.UInt32Value uv = 56;
  repeated google.protobuf.Value vs = 57; repeated google.protobuf.NullValue nvs = 58;
  repeated google.protobuf.StringValue svs = 59;
  oneof one { string text = 60; google.protobuf.NullValue none = 61; Sub part = 62; google.protobuf.Value free = 63; }
  Old old = 70; New new = 71;
}

message Names { string SerializeToString = 1; string DESCRIPTOR = 2; Names SetInParent = 3; string Extensions = 4; }

message Reply {}

service Kinds {
  rpc Send(All) returns (Reply);
  rpc Text(google.protobuf.StringValue) returns (Reply);
  rpc Number(google.protobuf.Int64Value) returns (Reply);
  rpc Bytes(google.protobuf.BytesValue) returns (Reply);
  rpc Time(google.protobuf.Timestamp) returns (Reply);
  rpc Value(google.protobuf.Value) returns (Reply);
  rpc List(google.protobuf.ListValue) returns (Reply);
  rpc Any(google.protobuf.Any) returns (Reply);
  rpc Empty(google.protobuf.Empty) returns (Reply);
}
"""
OLD = """
syntax = "proto2";
package k;
enum Shut { FIRST = 1; SECOND = 2; }
message Old {
  optional Shut shut = 1;
  optional group Inner = 2 { optional int32 x = 1; }
  optional Strict strict = 3;
  extensions 100 to 200;
}
message Strict { required int32 id = 1; optional Strict next = 2; }
extend Old { optional bytes blob = 100; repeated int32 row = 101; optional Strict more = 102; }
"""
EDITION = """
edition = "2023";
package k;
enum Closed { option features.enum_type = CLOSED; ONE = 1; TWO = 2; }
message New {
  Closed closed = 1;
  int32 implicit = 2 [features.field_presence = IMPLICIT];
  int32 needed = 3 [features.field_presence = LEGACY_REQUIRED];
  Part part = 4 [features.message_encoding = DELIMITED];
  message Part { int32 x = 1; }
}
"""


def write(folder: Path) -> Path:
    """Write the files; the path of the one with the service."""
    for name, text in (("old", OLD), ("edition", EDITION), ("modern", MODERN)):
        (folder / f"{name}.proto").write_text(text)
    return folder / "modern.proto"


@functools.cache
def pool() -> DescriptorPool:
    """The types of the schema."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", "--include_imports", "modern.proto"]
        subprocess.run([*command, f"--descriptor_set_out={folder / 'set'}"], check=True, capture_output=True)
        found = DescriptorPool()
        for file in FileDescriptorSet.FromString((folder / "set").read_bytes()).file:
            found.Add(file)
        return found


def kind(name: str = "k.All") -> Descriptor:
    """The message of this name."""
    return pool().FindMessageTypeByName(name)


def message(name: str = "k.All") -> Any:
    """A new message of this name."""
    return GetMessageClass(kind(name))()


def read(text: str, name: str = "k.All") -> Any:
    """The message that some JSON means to grpclab. Raises UsageError."""
    return type(message(name)).FromString(encoding.encode(request.parse(text), kind(name), pool()))


def read_python(value: Any, name: str = "k.All") -> Any:
    """The message that a Python value means to grpclab. Raises UsageError."""
    return type(message(name)).FromString(encoding.encode(request.from_python(value), kind(name), pool()))


def meant(text: str, name: str = "k.All") -> Any:
    return text_format.Parse(text, message(name), descriptor_pool=pool())


def refused(error: pytest.ExceptionInfo[UsageError], place: str) -> None:
    """One printable line of bounded length in the project's form, at this place."""
    line = str(error.value)
    assert re.match(rf"invalid {re.escape(place)}(=.*)?: expected \S", line), line
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 700
