"""Where the schema of a call comes from: the server's reflection, a ``.proto`` file, or a descriptor set.

All three give files as descriptors; :class:`Schema` puts them into a pool of its own, so that two calls never see
each other's types, nor those of this process.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, cast

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from grpclab.errors import MissingDependencyError, TargetError, UsageError
from grpclab.load.reachability import LOOK_AFTER_S, PATIENCE_S, look, unreachable

MAX_SCHEMA_BYTES = 64 * 2**20
_WARNING = re.compile(r"warning:|^WARNING:|^[IW]\d{4} ")
"""What protoc, and the log below it, say besides errors."""
_LISTED = 20
"""Names that an error lists at most."""

Files = dict[str, FileDescriptorProto]
Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, kw_only=True)
class Schema:
    """The types of a service, the services that its source has, and what that source is called."""

    pool: DescriptorPool
    services: tuple[str, ...]
    source: str

    def method(self, service: str, method: str) -> MethodDescriptor:
        """The method of this name. Raises UsageError with the names that there are."""
        found = self._service(service)
        if found is None:
            whole = f"{service}.{method}"
            if named := self._service(whole):
                raise UsageError(f"{whole} is a service: name one of its methods, {_all(named.methods_by_name, whole)}")
            if service in self.services:
                raise UsageError(f"{self.source} lists {service} but does not describe it: give --proto FILE")
            raise UsageError(f"{self.source} has no service {service}; it has {advice(service, self.services)}")
        if method not in found.methods_by_name:
            raise UsageError(f"{service} has no method {method}; it has {advice(method, found.methods_by_name)}")
        return found.methods_by_name[method]

    def _service(self, name: str) -> ServiceDescriptor | None:
        try:
            return self.pool.FindServiceByName(name)
        except KeyError:
            return None


def advice(name: str, there: Collection[str]) -> str:
    """The names that there are, after the nearest ones to a name that is not."""
    last = name.lower().rpartition(".")[2]
    near = [other for other in there if other.lower().rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(name, there, n=2)
    return _all(there) + (f": did you mean {' or '.join(near)}?" if near else "")


def _all(names: Collection[str], service: str = "") -> str:
    shown = [f"{service}/{name}".removeprefix("/") for name in names][:_LISTED]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") if names else "none"


def one_line(error: object) -> str:
    """A text with its line breaks taken out."""
    return " ".join(str(error).split())


# ---- from the server -----------------------------------------------------------------------------------------


def from_server(
    target: str,
    service: str,
    method: str,
    *,
    types: Iterable[str] = (),
    metadata: Metadata = (),
    root_certificates: bytes | None = None,
    timeout_s: float,
) -> Schema:
    """The file of a service, those of further `types` where the server has them, and all that they import.

    Raises TargetError where nothing answers in time, UsageError where the server does not tell.
    """
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),  # grpcio would send calls of loopback through $http_proxy too
        ("grpc.max_receive_message_length", MAX_SCHEMA_BYTES),
    ]
    if root_certificates is None:
        channel = grpc.insecure_channel(target, options=options)
    else:
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(root_certificates), options=options)
    with channel:
        ready = grpc.channel_ready_future(channel)
        try:
            _wait_until_ready(ready, target, timeout_s, tls=root_certificates is not None)
        except TargetError:
            ready.cancel()
            raise
        reflection = _Reflection(channel, target, metadata, timeout_s)
        services = reflection.services()
        files: Files = {}
        for symbol in (service, f"{service}.{method}"):  # the second: a service was named, and no method
            if not files:
                _add(files, reflection.files(file_containing_symbol=symbol))
        for symbol in types:
            _add(files, reflection.files(file_containing_symbol=symbol))
        source = f"the server at {target}"
        _complete(files, lambda name: reflection.files(file_by_filename=name), source, "give --proto FILE")
    return Schema(pool=_pool(files, source), services=tuple(sorted(services)), source=source)


def _wait_until_ready(ready: grpc.Future[Any], target: str, timeout_s: float, *, tls: bool) -> None:
    """As :func:`grpclab.load.reachability.connected` does it. Raises TargetError."""
    finding = None
    for wait_s in (min(LOOK_AFTER_S, timeout_s), max(0.0, timeout_s - LOOK_AFTER_S)):
        try:
            ready.result(timeout=wait_s)
        except grpc.FutureTimeoutError:
            if finding is None and timeout_s > LOOK_AFTER_S:
                finding = look(target, tls=tls, patience_s=min(PATIENCE_S, timeout_s))
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

    def __init__(self, channel: grpc.Channel, target: str, metadata: Metadata, timeout_s: float) -> None:
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
            raise self._refused("it sent a schema that is none") from None

    def _ask(self, **question: str) -> ServerReflectionResponse | None:
        """The answer to one question; None where that is "not found"."""
        request = ServerReflectionRequest(**question)  # type: ignore[arg-type]
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
            raise self._refused("it ended the call without an answer")
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
            raise UsageError(f"the server at {self._target} has no reflection: give --proto FILE")
        if code is grpc.StatusCode.NOT_FOUND:  # some servers answer so instead of in a message
            return None
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise TargetError(
                f"the server at {self._target} did not tell its schema within {self._timeout:g} s:"
                " see whether it hangs, or give --proto FILE"
            )
        if code is grpc.StatusCode.UNAVAILABLE:
            raise TargetError(
                f"the server at {self._target} went away while it was asked for its schema: start it again"
            )
        raise self._refused(f"{code.name}, {one_line(details)}")

    def _refused(self, why: str) -> UsageError:
        return UsageError(
            f"the server at {self._target} does not tell its schema ({why}):"
            " give --proto FILE, or the --metadata that it asks for"
        )


# ---- from a file ---------------------------------------------------------------------------------------------


def from_file(path: Path, include: Sequence[Path] = ()) -> Schema:
    """The files of a ``.proto`` file and its imports; any other name is that of a serialized FileDescriptorSet.

    Imports are looked for in `include`, the file's own folder, and the well-known types that come with the compiler.
    Raises UsageError, and MissingDependencyError without grpcio-tools.
    """
    source = f"--proto {path}"
    try:
        path.stat()
        content = _compile(path, include) if path.suffix == ".proto" else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}") from None
    mend = "make it with `protoc --include_imports --descriptor_set_out=FILE`"
    files: Files = {}
    try:
        _add(files, FileDescriptorSet.FromString(content).file)
    except DecodeError:
        raise UsageError(f"{source} is neither a .proto file nor a descriptor set: {mend}") from None
    services = sorted(f"{f.package}.{s.name}".removeprefix(".") for f in files.values() for s in f.service)
    _complete(files, lambda _: [], source, mend)
    return Schema(pool=_pool(files, source), services=tuple(services), source=source)


def _compile(path: Path, include: Sequence[Path]) -> bytes:
    """The descriptor set that protoc makes of a file."""
    if importlib.util.find_spec("grpc_tools") is None:
        raise MissingDependencyError(
            f"--proto {path} needs a compiler: pip install grpcio-tools, or give a descriptor set"
            " (`protoc --include_imports --descriptor_set_out=FILE.binpb`)"
        )
    with tempfile.TemporaryDirectory(prefix="grpclab-") as folder:
        made = Path(folder) / "schema.binpb"
        # The folders given come first: protoc calls the file by its path below the first that holds it, and that
        # must be the name by which its imports call it, or each other. `-m grpc_tools.protoc` adds its own at the end.
        where = [f"--proto_path={p.resolve()}" for p in (*include, path.parent)]
        command = [sys.executable, "-m", "grpc_tools.protoc", *where, "--include_imports"]
        command += [f"--descriptor_set_out={made}", str(path.resolve())]
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if run.returncode:
            said = [line for line in run.stderr.splitlines() if line.strip() and not _WARNING.search(line)]
            raise UsageError(f"--proto {path} does not compile: {said[0] if said else 'protoc does not say why'}")
        return made.read_bytes()


# ---- from files to a pool ------------------------------------------------------------------------------------


def _add(files: Files, more: Iterable[FileDescriptorProto]) -> None:
    for file in more:
        files.setdefault(file.name, file)


def _complete(files: Files, find: Callable[[str], Iterable[FileDescriptorProto]], source: str, mend: str) -> None:
    """Add all that the files import, and so on; what is not to be found is looked for among protobuf's own."""
    rest = list(files)
    while rest:
        by = rest.pop()
        for name in files[by].dependency:
            if name in files:
                continue
            before = set(files)
            _add(files, find(name))
            if name not in files:
                _add(files, _well_known(name))
            if name not in files:
                raise UsageError(f"the schema of {source} is not whole: {by} imports {name}, which it lacks; {mend}")
            rest += files.keys() - before


def _well_known(name: str) -> list[FileDescriptorProto]:
    """``google/protobuf/timestamp.proto`` and its like, which sources may leave out."""
    if not name.startswith("google/protobuf/"):
        return []
    try:
        module = importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")
    except ImportError:
        return []
    file = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return [file]


def _pool(files: Files, source: str) -> DescriptorPool:
    pool = DescriptorPool()
    try:
        for name in TopologicalSorter({name: file.dependency for name, file in files.items()}).static_order():
            pool.Add(files[name])
    except (CycleError, TypeError) as error:  # a pool's word for what contradicts itself
        raise UsageError(f"the schema of {source} cannot be used: {one_line(error)}") from None
    return pool
