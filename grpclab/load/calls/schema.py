"""The schema of a call: from the server's reflection, a ``.proto`` file, or a descriptor set.

All three give files as descriptors; :class:`Schema` puts them into a pool of its own, so that two calls never see
each other's types, nor those of this process.
"""

from __future__ import annotations

import contextlib
import difflib
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpclab.system.grpc_log  # noqa: F401  # isort: skip  # before grpcio
import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from grpclab.errors import TargetError, UsageError, invalid
from grpclab.load.calls import protofile
from grpclab.load.calls.descriptors import Files, UnusableError, add, add_once, complete, one_line, pool_of
from grpclab.load.reachability import LOOK_AFTER_S, PATIENCE_S, look, unreachable
from grpclab.system.allowance import SharedAllowance
from grpclab.system.channels import open_channel
from grpclab.system.inputs import unreadable
from grpclab.system.transport import PLAINTEXT, Security

MAX_SCHEMA_BYTES = 64 * 2**20
SERVICES_TIMEOUT_S = 5.0
_LISTED = 20
"""Names that an error lists at most."""

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The types of a service, the services that its source has, and what that source is called."""

    pool: DescriptorPool
    services: tuple[str, ...]
    source: str

    def method(self, service: str, method: str) -> MethodDescriptor:
        """The method of this name. Raises UsageError with the names that there are."""
        descriptor = self.service(service)
        if descriptor is None:
            full_name = f"{service}.{method}"
            if named := self.service(full_name):
                raise UsageError(
                    f"{full_name} is a service: specify one of its methods, {_all(named.methods_by_name, full_name)}"
                )
            if service in self.services:
                raise UsageError(f"{self.source} lists {service} but does not describe it: add --proto FILE")
            raise UsageError(f"{self.source} has no service {service} (available: {advice(service, self.services)})")
        if method not in descriptor.methods_by_name:
            raise UsageError(
                f"{service} has no method {method} (available: {advice(method, descriptor.methods_by_name)})"
            )
        return descriptor.methods_by_name[method]

    def service(self, name: str) -> ServiceDescriptor | None:
        """The service of this name; None where it is not described."""
        try:
            return self.pool.FindServiceByName(name)
        except KeyError:
            return None


def advice(name: str, names: Collection[str]) -> str:
    """The names that there are, after the nearest ones to a name that is not."""
    last = name.lower().rpartition(".")[2]
    near = [candidate for candidate in names if candidate.lower().rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(name, names, n=2)
    return _all(names) + (f"; did you mean {' or '.join(near)}?" if near else "")


def _all(names: Collection[str], service: str = "") -> str:
    shown = [f"{service}/{name}".removeprefix("/") for name in names][:_LISTED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") if names else "none"


# ---- from the server -----------------------------------------------------------------------------------------


def from_server(
    target: str,
    service: str,
    method: str,
    *,
    types: Iterable[str] = (),
    metadata: Metadata = (),
    security: Security = PLAINTEXT,
    timeout_s: float,
    ledger: SharedAllowance | None = None,
) -> Schema:
    """The file of a service, those of further `types` where the server has them, and all that they import.

    Each question is a call, which is taken from the `ledger`. Raises TargetError where nothing answers in time,
    UsageError where the server does not tell, MeasurementError where no call is left.
    """
    with _reflecting(target, metadata, security, timeout_s, ledger) as reflection:
        services = reflection.services()
        files: Files = {}
        for symbol in (service, f"{service}.{method}"):  # the second: a service was named, and no method
            if not files:
                add(files, reflection.files(file_containing_symbol=symbol))
        for symbol in types:
            add(files, reflection.files(file_containing_symbol=symbol))
        source = f"the server at {target}"
        try:
            complete(
                files,
                lambda name: reflection.files(file_by_filename=name),
                lambda name: reflection.files(file_containing_symbol=name),
            )
            pool = pool_of(files)
        except UnusableError as error:
            raise UsageError(f"the schema of {source} cannot be used: {error}; add --proto FILE") from None
    return Schema(pool=pool, services=tuple(sorted(services)), source=source)


@contextlib.contextmanager
def _reflecting(
    target: str, metadata: Metadata, security: Security, timeout_s: float, ledger: SharedAllowance | None
) -> Iterator[_Reflection]:
    """The reflection of a server that answers. Raises TargetError where nothing does in time."""
    options = [("grpc.enable_retries", 0), ("grpc.max_receive_message_length", MAX_SCHEMA_BYTES)]
    with open_channel(target, security=security, options=options) as channel:
        ready = grpc.channel_ready_future(channel)
        try:
            _wait_until_ready(ready, target, timeout_s, security=security)
        except TargetError:
            ready.cancel()
            raise
        yield _Reflection(channel, target, metadata, timeout_s, ledger)


def require_connection(target: str, *, security: Security = PLAINTEXT, timeout_s: float) -> None:
    """Connect to a server, and make no call. Raises TargetError where that does not work in time."""
    with _reflecting(target, (), security, timeout_s, None):
        pass


def services_at(
    target: str,
    *,
    metadata: Metadata = (),
    security: Security = PLAINTEXT,
    timeout_s: float = SERVICES_TIMEOUT_S,
    ledger: SharedAllowance | None = None,
) -> tuple[Schema, tuple[bytes, ...]]:
    """All services that a server's reflection tells of, and their files, serialized and sorted by name.

    Raises as :func:`from_server`.
    """
    with _reflecting(target, metadata, security, timeout_s, ledger) as reflection:
        services = sorted(reflection.services())
        files: Files = {}
        try:
            for service in services:
                add(files, reflection.files(file_containing_symbol=service))
            complete(files, lambda name: reflection.files(file_by_filename=name))
            pool = pool_of(files)
        except UnusableError as error:
            raise UsageError(f"the schema of the server at {target} cannot be used: {error}") from None
    content = tuple(files[name].SerializeToString(deterministic=True) for name in sorted(files))
    return Schema(pool=pool, services=tuple(services), source=f"the server at {target}"), content


def _wait_until_ready(ready: grpc.Future[Any], target: str, timeout_s: float, *, security: Security) -> None:
    """Wait for the server as :func:`grpclab.load.reachability.connected` does. Raises TargetError."""
    finding = None
    for wait_s in (min(LOOK_AFTER_S, timeout_s), max(0.0, timeout_s - LOOK_AFTER_S)):
        try:
            ready.result(timeout=wait_s)
        except grpc.FutureTimeoutError:
            if finding is None and timeout_s > LOOK_AFTER_S:
                finding = look(target, security, patience_s=min(PATIENCE_S, timeout_s))
            if finding is not None and finding.final:
                break
        else:
            return
    raise unreachable(target, timeout_s, finding)


class _Reflection:
    """Questions to a server's reflection service, all within one time limit.

    Versions v1 and v1alpha differ only in the package's name, so the messages of grpcio-reflection, which has
    v1alpha alone, do for both; its own client has no deadline. Servers in Python offer v1alpha, others often both
    or, as tonic's, v1 alone.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        target: str,
        metadata: Metadata,
        timeout_s: float,
        ledger: SharedAllowance | None,
    ) -> None:
        self._ledger = ledger
        self._target = target
        self._metadata = metadata
        self._timeout = timeout_s
        self._ends_at = time.monotonic() + timeout_s
        self._versions = [
            channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=ServerReflectionRequest.SerializeToString,
                response_deserializer=ServerReflectionResponse.FromString,
            )
            for version in ("v1", "v1alpha")
        ]

    def services(self) -> list[str]:
        """The full names of the services."""
        answer = self._ask(list_services="")
        return [service.name for service in answer.list_services_response.service] if answer else []

    def files(self, **question: str) -> list[FileDescriptorProto]:
        """The files that the server sends for a symbol or a name; none where it knows no such thing."""
        answer = self._ask(**question)
        if answer is None:
            return []
        try:
            return [FileDescriptorProto.FromString(b) for b in answer.file_descriptor_response.file_descriptor_proto]
        except DecodeError:
            raise self._refused("its answer is not a schema") from None

    def _ask(self, **question: str) -> ServerReflectionResponse | None:
        """The answer to one question; None where that is "not found"."""
        request = ServerReflectionRequest(**question)  # type: ignore[arg-type]
        if self._ledger is not None:
            self._ledger.take_call(time.perf_counter())
        left_s = max(0.001, self._ends_at - time.monotonic())
        call = self._versions[0](iter([request]), timeout=left_s, metadata=self._metadata)
        try:
            answer = next(call, None)
        except grpc.RpcError as error:
            failed = cast("grpc.Call", error)  # what a call raises is the call
            return self._failed(failed.code(), failed.details(), question)
        finally:
            call.cancel()  # one answer is all that is wanted; some servers would keep the stream open
        if answer is None:
            raise self._refused("it ended the call without answering")
        problem = answer.error_response
        if not answer.HasField("error_response"):
            return answer
        if problem.error_code == grpc.StatusCode.NOT_FOUND.value[0]:
            return None
        raise self._refused(f"error {problem.error_code}, {one_line(problem.error_message)}")

    def _failed(
        self, code: grpc.StatusCode, details: str | None, question: dict[str, str]
    ) -> ServerReflectionResponse | None:
        if code is grpc.StatusCode.UNIMPLEMENTED:
            self._versions.pop(0)
            if self._versions:
                return self._ask(**question)
            raise UsageError(f"the server at {self._target} does not support reflection: add --proto FILE")
        if code is grpc.StatusCode.NOT_FOUND:  # some servers answer so instead of in a message
            return None
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise TargetError(
                f"the server at {self._target} did not send its schema within {self._timeout:g} s: check whether it "
                "hangs, or add --proto FILE"
            )
        if code is grpc.StatusCode.UNAVAILABLE:
            raise TargetError(
                f"the server at {self._target} closed the connection when asked for its schema: restart the server"
            )
        raise self._refused(f"{code.name}, {one_line(details)}" if details else code.name)

    def _refused(self, why: str) -> UsageError:
        return UsageError(
            f"the server at {self._target} did not send its schema ({why}): add --proto FILE, or the --metadata that "
            "it requires"
        )


# ---- from a file ---------------------------------------------------------------------------------------------


def from_descriptors(descriptors: Iterable[bytes]) -> Schema:
    """The files that an application told of itself, serialized. Raises UsageError."""
    files: Files = {}
    source = "the application"
    try:
        add_once(files, (FileDescriptorProto.FromString(content) for content in descriptors))
        services = sorted(f"{f.package}.{s.name}".removeprefix(".") for f in files.values() for s in f.service)
        complete(files)
        pool = pool_of(files)
    except (DecodeError, UnusableError) as error:
        raise UsageError(f"the schema of {source} cannot be used: {error}; add --proto FILE") from None
    return Schema(pool=pool, services=tuple(services), source=source)


def from_file(path: Path, include: Sequence[Path] = ()) -> Schema:
    """The files of a ``.proto`` file and its imports; any other name is that of a serialized FileDescriptorSet.

    A relative name is looked for in the working folder, then below `include`, as its imports are: see
    :mod:`grpclab.load.calls.protofile`. Raises UsageError, and MissingDependencyError without a compiler.
    """
    source = f"--proto {path}"
    for folder in include:
        if not folder.is_dir():
            raise UsageError(invalid("--proto-path", folder, f"a folder; there is none at {folder.absolute()}"))
    if not path.exists():
        path = next((folder / path for folder in include if (folder / path).exists()), path)
    try:
        if path.suffix == ".proto" and not path.is_dir():
            path.stat()
            content = protofile.compile_file(path, include)
        else:
            content = path.read_bytes()
    except OSError as error:
        raise unreadable("--proto", error.filename or path, "a .proto file or a descriptor set", error) from None
    mend = "create one with `protoc --include_imports --descriptor_set_out=FILE`"
    files: Files = {}
    try:
        add_once(files, FileDescriptorSet.FromString(content).file)
        services = sorted(f"{f.package}.{s.name}".removeprefix(".") for f in files.values() for s in f.service)
        complete(files)
        pool = pool_of(files)
    except DecodeError:
        raise UsageError(invalid("--proto", path, f"a .proto file or a descriptor set; {mend}")) from None
    except UnusableError as error:
        raise UsageError(invalid("--proto", path, f"a complete and consistent schema, but {error}; {mend}")) from None
    return Schema(pool=pool, services=tuple(services), source=source)
