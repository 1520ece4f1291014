"""Looking at a service: its schema, and single calls with all that an answer carries.

::

    answer = grpclab.call("localhost:50051", "shop.Orders/Place", {"customer": "ada"})
    answer.status, answer.messages, answer.headers, answer.trailers, answer.time_s

:class:`ServiceClient` keeps one channel of grpcio: the first call on it opens the connection, later ones use it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, cast

import grpclab.system.grpc_log  # noqa: F401  # isort: skip  # before grpcio
import grpc
from google.protobuf.descriptor import MethodDescriptor

from grpclab.errors import TargetError
from grpclab.load.call_answer import AnswerDecoder, CallAnswer, shown_pairs
from grpclab.load.calls import schema as schemas
from grpclab.load.calls.call_options import DataOptions
from grpclab.load.calls.metadata import Pairs, for_grpcio, metadata_words, parse_metadata
from grpclab.load.calls.outline import method_name, named_method
from grpclab.load.calls.payloads import Payloads
from grpclab.load.calls.request_data import encoded, symbols_in
from grpclab.load.calls.schema import Schema
from grpclab.load.calls.templates import TemplateValues
from grpclab.load.calls.varying_metadata import VaryingMetadata
from grpclab.load.core.failures import describe_details
from grpclab.load.reachability import await_listener, look
from grpclab.servers.leave import on_standard_error
from grpclab.system.addresses import host_port
from grpclab.system.allowance import Allowance, SharedAllowance, allowed, announcement
from grpclab.system.channels import open_channel
from grpclab.system.dialling import addresses_elsewhere
from grpclab.system.transport import PLAINTEXT, Security

PATIENCE_S = 5.0
"""The time in which a server has to answer before the first call, where no other was given."""
MOST_CALLS = 1000
"""So many calls in a row at most: more are a measurement."""
_DETAILS = "grpc-status-details-bin"
_OPTIONS = (("grpc.enable_retries", 0), ("grpc.max_receive_message_length", -1), ("grpc.max_metadata_size", 1 << 20))


@dataclass(frozen=True, kw_only=True)
class ServiceSource:
    """The server, and where its schema comes from: its reflection, or the file `proto`.

    `metadata` are ``key=value`` words, sent with every call, those of reflection included. Without an `allowance` the
    server is on this machine. It has `connect_timeout_s` seconds to answer. `called` is the method that will be called.
    """

    target: str = ""
    called: str = ""
    security: Security = PLAINTEXT
    allowance: Allowance | None = None
    metadata: Sequence[str] = ()
    proto: str | Path | None = None
    proto_path: Sequence[str | Path] = ()
    connect_timeout_s: float | None = None


class CallWatcher(Protocol):
    """What is told of a call while it goes on."""

    def __call__(self, message: Any, arrived_s: float, *, streamed: bool) -> None:
        """A message has come, so many seconds after the start of the call; `streamed`: the only one, or of many."""


class ServiceClient:
    """A server with its schema, and one channel to it; a context manager.

    Raises UsageError, TargetError where nothing answers, MeasurementError where the ceilings of `source` are reached.
    """

    def __init__(self, source: ServiceSource, announce: Callable[[str], None] = on_standard_error) -> None:
        self._source = source
        self._security, self._ledger, self._started = source.security, None, 0.0
        self.target = source.target
        if source.allowance is not None:
            self._security = replace(source.security, remote=addresses_elsewhere(source.target))
            self._ledger = SharedAllowance(source.allowance, now=time.perf_counter())
            if self._security.remote:
                what = source.called or "its reflection"
                announce(announcement(what, source.target, self._security, source.allowance))
        if source.target:
            self.target = host_port(source.target, remote=bool(self._security.remote))
        self._metadata = VaryingMetadata(parse_metadata(source.metadata))
        self._channel: grpc.Channel | None = None
        self._answered = False
        self._interrupted: KeyboardInterrupt | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            self._channel.close()

    # ---- the schema ----------------------------------------------------------------------------------------------

    def schema(self) -> Schema:
        """The schema of all services."""
        if self._source.proto is not None:
            return schemas.from_file(Path(self._source.proto), [Path(path) for path in self._source.proto_path])
        self._await()
        return schemas.services_at(
            self.target,
            metadata=for_grpcio(self._pairs("", "", 0)),
            security=self._security,
            timeout_s=self._patience_s,
            ledger=self._ledger,
        )[0]

    def method(self, name: str, types: Sequence[str] = ()) -> tuple[MethodDescriptor, Schema]:
        """The method of this name, ``package.Service/Method`` or the end of one that only one method has.

        `types` are the messages that its requests name.
        """
        service, _, method = name.strip("/").rpartition("/") if "/" in name else name.rpartition(".")
        if self._source.proto is None and "." in service:
            self._await()
            known = schemas.from_server(
                self.target,
                service,
                method,
                types=types,
                metadata=for_grpcio(self._pairs(service, method, 0)),
                security=self._security,
                timeout_s=self._patience_s,
                ledger=self._ledger,
            )
            return known.method(service, method), known
        known = self.schema()
        if known.service(service) is not None:
            return known.method(service, method), known
        return named_method(known, name), known

    @property
    def _patience_s(self) -> float:
        return self._source.connect_timeout_s or PATIENCE_S

    def _await(self) -> None:
        await_listener(self.target, self._source.connect_timeout_s or 0.0, remote=self._security.remote)

    def _pairs(self, service: str, method: str, number: int) -> Pairs:
        values = TemplateValues(service=service, method=method, now=datetime.now(UTC))
        return (*self._metadata.fixed, *self._metadata.render(number, values))

    # ---- calls ---------------------------------------------------------------------------------------------------

    def calls(
        self,
        name: str,
        data: Any = None,
        *,
        options: DataOptions = DataOptions(),  # noqa: B008 (a frozen value)
        repeat: int = 1,
        deadline_s: float | None = None,
        watcher: CallWatcher | None = None,
        keep_on_interrupt: bool = False,
    ) -> Iterator[CallAnswer]:
        """The answers to `repeat` calls of a method, one after the other on one channel.

        Of several requests in `data` each call sends the next one; where the client streams, each call sends them all.

        Ctrl-C cancels the call; with `keep_on_interrupt`, what a stream has brought by then is yielded first.
        """
        data = "{}" if data is None else data
        method, known = self.method(name, symbols_in(data, options))
        messages = _encoded(method, known, data, options, repeat)
        if self._source.proto is not None:
            self._await()
            schemas.require_connection(self.target, security=self._security, timeout_s=self._patience_s)
        if self._channel is None:
            self._channel = open_channel(self.target, security=self._security, options=_OPTIONS)
        decode = AnswerDecoder(method.output_type, known)
        for number in range(repeat):
            self._take_call()
            request = messages if method.client_streaming else [messages[number % len(messages)]]
            pairs = self._pairs(method.containing_service.full_name, method.name, number)
            yield self._call(
                method,
                request,
                metadata=pairs,
                decode=decode,
                deadline_s=self._deadline_s(deadline_s),
                watcher=watcher,
                keep_on_interrupt=keep_on_interrupt,
            )
            if self._interrupted is not None:
                raise self._interrupted

    def _deadline_s(self, wanted_s: float | None) -> float | None:
        """The deadline of a call, within the time that is left of the allowance."""
        if self._ledger is None:
            return wanted_s
        left_s = self._ledger.left_of_time(time.perf_counter())
        return left_s if wanted_s is None else min(wanted_s, left_s)

    def _take_call(self) -> None:
        """Take a call from the allowance, no sooner than its rate says."""
        if self._ledger is None:
            return
        time.sleep(max(0.0, self._started + 1 / self._ledger.allowance.rate_rps - time.perf_counter()))
        self._started = time.perf_counter()
        self._ledger.take_call(self._started)

    def _call(
        self,
        method: MethodDescriptor,
        request: Sequence[bytes],
        *,
        metadata: Pairs,
        decode: AnswerDecoder,
        deadline_s: float | None,
        watcher: CallWatcher | None,
        keep_on_interrupt: bool,
    ) -> CallAnswer:
        assert self._channel is not None
        messages, arrived_s = list[Any](), list[float]()
        path, pairs = f"/{method_name(method)}", for_grpcio(metadata)

        def take(content: bytes, at_s: float) -> None:
            arrived_s.append(at_s)
            messages.append(decode(content))
            if watcher is not None:
                watcher(messages[-1], arrived_s[-1], streamed=method.server_streaming)

        sends = method.client_streaming
        start = time.perf_counter()
        if sends or method.server_streaming:
            # A client stream with one answer is, on the wire, one with several.
            function: Any = self._channel.stream_stream(path) if sends else self._channel.unary_stream(path)
            stream = function(iter(request) if sends else request[0], timeout=deadline_s, metadata=pairs)
            try:
                try:
                    for each in stream:
                        take(each, time.perf_counter() - start)
                except grpc.RpcError:  # its status is read below
                    pass
                except KeyboardInterrupt as error:
                    if not keep_on_interrupt:
                        raise
                    self._interrupted = error
                    stream.cancel()
                ended = cast("grpc.Call", stream)
                status = ended.code()
                time_s = time.perf_counter() - start
            finally:
                stream.cancel()
        else:
            function = self._channel.unary_unary(path)
            content: bytes | None
            try:
                content, ended = function.with_call(request[0], timeout=deadline_s, metadata=pairs)
            except grpc.RpcError as error:
                ended, content = cast("grpc.Call", error), None
            time_s = time.perf_counter() - start
            status = ended.code()
            if content is not None:
                take(content, time_s)
        headers, trailers = shown_pairs(ended.initial_metadata()), ended.trailing_metadata()
        text = ended.details() or ""
        if status is grpc.StatusCode.UNAVAILABLE and not (self._answered or headers or trailers):
            self._require_server(text)
        self._answered = True
        details = next((value for key, value in trailers or () if key == _DETAILS), b"")
        return CallAnswer(
            status=status.name,
            text=text,
            details=describe_details(details if isinstance(details, bytes) else b""),
            headers=headers,
            trailers=tuple(pair for pair in shown_pairs(trailers) if pair[0] != _DETAILS),
            messages=tuple(messages),
            arrived_s=tuple(arrived_s),
            time_s=time_s,
            method=method_name(method),
            streamed=method.server_streaming,
        )

    def _require_server(self, text: str) -> None:
        """Raise TargetError where a call failed since there is no connection, with the reason."""
        finding = look(self.target, self._security)
        if finding.text:
            raise TargetError(finding.text)
        if "connect" in text.lower():
            raise TargetError(
                f"no server responded at {self.target} ({text}): start a server there, or use another target"
            )


def _encoded(method: MethodDescriptor, known: Schema, data: Any, options: DataOptions, repeat: int) -> Sequence[bytes]:
    """The requests of so many calls."""
    values = TemplateValues(
        service=method.containing_service.full_name, method=method.name, seed=options.seed, now=datetime.now(UTC)
    )
    made = encoded(data, method.input_type, known.pool, options, values, planned=repeat)
    if not isinstance(made, Payloads):
        return [made]
    most = made.count if method.client_streaming else min(made.count, repeat)
    return list(itertools.islice(made.messages(prefix=False), most))


# ---- for programs ------------------------------------------------------------------------------------------------


def call(
    target: str,
    method: str,
    data: Any = None,
    *,
    metadata: Any = None,
    proto: str | Path | None = None,
    proto_path: str | Path | Sequence[str | Path] = (),
    security: Security = PLAINTEXT,
    deadline_s: float | None = None,
    allow_remote: bool = False,
    max_rate_rps: float | None = None,
    max_calls: int | None = None,
    max_time_s: float | None = None,
) -> CallAnswer:
    """Make one call and return its answer, whatever its status; for notebooks and scripts.

    `method` is ``package.Service/Method``, from server reflection or from the file `proto`, whose imports are searched
    in `proto_path`. `data` is the request as JSON or as Python values; if the client streams, a list of them.
    `metadata` is a mapping, or pairs. Calls to a server on another machine require `allow_remote` and the three
    limits. Raises UsageError, and TargetError if no server responds.
    """
    source = ServiceSource(
        target=target,
        security=security,
        allowance=allowed(allow_remote, rate_rps=max_rate_rps, calls=max_calls, time_s=max_time_s),
        metadata=metadata_words(metadata),
        proto=proto,
        proto_path=[proto_path] if isinstance(proto_path, str | Path) else list(proto_path),
    )
    with ServiceClient(source) as client:
        return next(client.calls(method, data, deadline_s=deadline_s))
