"""A service that is not ours, as a user's: three proto files, compiled when a test runs, and servers of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from grpclab.load.calls.method import CallSpec, find_call
from grpclab.testing import fake_target

ORDERS = """
syntax = "proto3";
package shop.v1;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/timestamp.proto";
import "shop/money.proto";

enum Speed { SPEED_UNKNOWN = 0; SLOW = 1; FAST = 2; }

message Order {
  message Item { string name = 1; int32 count = 2; Money price = 3; repeated string tags = 4; }
  string customer = 1;
  repeated Item items = 2;
  map<string, Item> extras = 3;
  map<int32, Speed> by_day = 4;
  Speed speed = 5;
  google.protobuf.Timestamp placed_at = 6;
  bytes token = 7;
  google.protobuf.Any gift = 8;
  oneof paid { string card = 9; Money cash = 10; }
  bool wrapped = 11;
  repeated int64 codes = 12;
  double weight = 13;
  google.protobuf.Duration patience = 14;
}

message Receipt { string said = 1; bytes order = 2; }

service Orders {
  rpc Place(Order) returns (Receipt);
  rpc Watch(Order) returns (stream Receipt);
  rpc Upload(stream Order) returns (Receipt);
  rpc Chat(stream Order) returns (stream Receipt);
}
"""
MONEY = """
syntax = "proto3";
package shop.v1;
message Money { string currency = 1; int64 units = 2; }
"""
GIFT = """
syntax = "proto3";
package shop.v1;
message Gift { string message = 1; }
"""
SERVICE = "shop.v1.Orders"
Handler = Callable[[Iterator[ServerReflectionRequest], grpc.ServicerContext], Iterator[ServerReflectionResponse]]


def write(root: Path) -> Path:
    """Write the files below a folder; the path of the one with the service."""
    folder = root / "shop"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("orders", ORDERS), ("money", MONEY), ("gift", GIFT)):
        (folder / f"{name}.proto").write_text(text)
    return folder / "orders.proto"


def descriptors(root: Path, *, with_imports: bool = True) -> FileDescriptorSet:
    """What protoc makes of them."""
    write(root)
    made = root / "made.binpb"
    flags = ["--include_imports"] if with_imports else []
    files = ["shop/orders.proto", "shop/gift.proto"]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{root}", *flags, f"--descriptor_set_out={made}", *files]
    subprocess.run(command, check=True, capture_output=True, cwd=root)
    return FileDescriptorSet.FromString(made.read_bytes())


class Shop:
    """The service's types, and its answers: what was ordered, as it was understood."""

    def __init__(self, root: Path) -> None:
        self.files = descriptors(root)
        self.pool = DescriptorPool()
        for file in self.files.file:
            self.pool.Add(file)
        self.order: Any = self._class("Order")
        self.receipt: Any = self._class("Receipt")

    def _class(self, name: str) -> Any:
        return GetMessageClass(self.pool.FindMessageTypeByName(f"shop.v1.{name}"))

    def handlers(self) -> grpc.GenericRpcHandler:
        """The two methods that can be called."""

        def receipt(order: Any, context: grpc.ServicerContext) -> Any:
            metadata = {key: value for key, value in context.invocation_metadata() if key.startswith("x-")}
            return self.receipt(said=repr(sorted(metadata.items())), order=order.SerializeToString(deterministic=True))

        def receipts(order: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            yield from (receipt(order, context) for _ in range(3))

        codec = {"request_deserializer": self.order.FromString, "response_serializer": self.receipt.SerializeToString}
        methods = {
            "Place": grpc.unary_unary_rpc_method_handler(receipt, **codec),
            "Watch": grpc.unary_stream_rpc_method_handler(receipts, **codec),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def reflector(self) -> Handler:
        """The reflection that grpcio offers, as a function."""
        return reflection.ReflectionServicer([SERVICE], pool=self.pool).ServerReflectionInfo

    @contextlib.contextmanager
    def serve(
        self,
        reflector: Handler | None = None,
        version: str = "v1alpha",
        credentials: grpc.ServerCredentials | None = None,
    ) -> Iterator[str]:
        """The target of a running server, with reflection of this version where there is a reflector."""
        handlers = [self.handlers()]
        if reflector is not None:
            method = grpc.stream_stream_rpc_method_handler(
                reflector,
                request_deserializer=ServerReflectionRequest.FromString,
                response_serializer=ServerReflectionResponse.SerializeToString,
            )
            service = f"grpc.reflection.{version}.ServerReflection"
            handlers.append(grpc.method_handlers_generic_handler(service, {"ServerReflectionInfo": method}))
        with fake_target(*handlers, answer=None, services=(), credentials=credentials) as target:
            yield target.address


DATA = '{"customer": "Ada", "placed_at": "2024-02-29T12:00:00Z"}'


def find(target: str, timeout_s: float = 20.0, **options: Any) -> CallSpec:
    return find_call(target, f"{SERVICE}/Place", data=DATA, timeout_s=timeout_s, **options)


def refusal(kind: type[Exception], target: str, **options: Any) -> str:
    """The one line that a search for the call ends in."""
    with pytest.raises(kind) as caught:
        find(target, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line
