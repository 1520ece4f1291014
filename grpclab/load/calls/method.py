"""The call that a generator makes: the path, the request encoded once, and its metadata.

:func:`greeting` is the call of our own greeter; :func:`find_call` makes one of any service's name and JSON.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grpclab.errors import UsageError
from grpclab.factors.config import LoadConfig
from grpclab.http2.messages import prefixed
from grpclab.load.calls.call_options import AnswerKind, DataOptions, StreamData
from grpclab.load.calls.metadata import Pairs, for_grpcio
from grpclab.load.calls.payloads import PAYLOAD_FOLDER, Payloads
from grpclab.load.calls.templates import TemplateValues
from grpclab.load.core.call_order import drawn_order
from grpclab.load.core.stream_plan import StreamPlan, check_streams, stream_plan
from grpclab.system.addresses import host_port
from grpclab.system.allowance import SharedAllowance
from grpclab.system.transport import PLAINTEXT, Security

GREETER = "/greet.GreeterService/"
"""The path of our own greeter, but for the method."""
DEFAULT_NAME = "world"
"""The name that the greeter greets where no size is given."""

REFLECTION_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class CallSpec:
    """One call, made again and again. Values of ``-bin`` metadata are base64 without padding, as on the wire."""

    path: str
    payload: bytes
    """The message that is sent; where the client streams, its messages, each with its prefix."""
    server_streaming: bool = False
    client_streaming: bool = False
    metadata: Pairs = ()
    payloads: Payloads | None = None
    """All requests, where there are many; `payload` is the first of them."""
    headers: Payloads | None = None
    """Metadata that differs from call to call: a header block for each."""
    keeps_answers: bool = False
    """Keep a sample of the answers (:mod:`grpclab.load.core.kept_answers`)."""
    check: str = ""
    """The expression that each answer has to pass; "" for none."""
    answer: AnswerKind | None = field(default=None, compare=False, repr=False)
    """The type of the answers, where it is known."""
    request: AnswerKind | None = field(default=None, compare=False, repr=False)
    """The type of the requests, likewise."""
    mix: CallMix | None = None
    """The calls that take turns, where there are several; `path` is then the first one's, and nothing else is set."""

    def of_worker(self, worker: int, workers: int, *, seed: int = 1) -> CallSpec:
        """The call with one worker's share of the requests; `seed`: of the order of a mix."""
        payloads, headers = (
            None if share is None else share.of_worker(worker, workers) for share in (self.payloads, self.headers)
        )
        return replace(
            self,
            payloads=payloads,
            headers=headers,
            answer=self.answer if self.check else None,
            request=None,
            mix=None if self.mix is None else self.mix.of_worker(worker, workers, seed=seed),
        )

    @property
    def members(self) -> tuple[CallSpec, ...]:
        """Each call of a mix; of any other call itself."""
        return (self,) if self.mix is None else self.mix.calls

    def stream_plans(self, load: LoadConfig) -> tuple[StreamPlan | None, ...]:
        """What the client does in each of the :attr:`members` after its start; None for nothing."""
        return tuple(
            stream_plan(load, sends=one.client_streaming, receives=one.server_streaming) for one in self.members
        )

    def requests_digest(self) -> str:
        """The hash of all requests, where there are many; else nothing."""
        if self.mix is None:
            return "" if self.payloads is None else self.payloads.digest()
        if self.mix.recorded is not None:
            return self.mix.recorded.requests.digest()
        hashed = hashlib.blake2b(digest_size=8)
        for call in self.mix.calls:
            hashed.update((call.requests_digest() or call.payload.hex()).encode() + b"/")
        return hashed.hexdigest()

    def keeping_answers(self) -> CallSpec:
        """The same, with a sample of its answers kept."""
        if self.mix is None:
            return replace(self, keeps_answers=True)
        kept = tuple(call.keeping_answers() for call in self.mix.calls)
        return replace(self, mix=replace(self.mix, calls=kept))

    def messages(self, *, prefix: bool, encoding: str = "") -> Iterator[bytes]:
        """The requests in the order in which they are sent, without end, with or without gRPC's prefix.

        With an `encoding`, which takes a prefix, they are compressed: a single one once, others as they are sent.
        """
        if self.payloads is None:
            return itertools.repeat(prefixed(self.payload, encoding) if prefix else self.payload)
        if encoding:
            return (prefixed(message, encoding) for message in self.payloads.messages(prefix=False))
        return self.payloads.messages(prefix=prefix)

    def streams(self) -> Iterator[bytes]:
        """The same of a call whose client streams: of each its messages, with their prefixes."""
        return itertools.repeat(self.payload) if self.payloads is None else self.payloads.messages(prefix=True)

    @property
    def streams_either_way(self) -> bool:
        """Whether one side at least sends several messages."""
        return self.client_streaming or self.server_streaming

    @property
    def supply(self) -> int | None:
        """The calls for which there are requests; None where these repeat."""
        if self.mix is not None:
            return self.mix.supply
        supplies = [share.supply for share in (self.payloads, self.headers) if share is not None]
        return min((supply for supply in supplies if supply is not None), default=None)

    def numbers(self) -> Iterator[int]:
        """The numbers of these requests."""
        return itertools.repeat(0) if self.payloads is None else self.payloads.numbers()

    @property
    def grpcio_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """The metadata as grpcio takes it: it wants the bytes of ``-bin`` values and encodes them itself."""
        return for_grpcio(self.metadata)


@dataclass(frozen=True, kw_only=True)
class RecordedOrder:
    """The calls of a recording in their order, one entry a call: its number in the mix, its request, its metadata."""

    order: Payloads
    """Messages of one byte."""
    requests: Payloads
    headers: Payloads | None = None
    """Header blocks; None where no metadata differs from call to call."""

    def of_worker(self, worker: int, workers: int) -> RecordedOrder:
        """The share of one worker."""
        return RecordedOrder(
            order=self.order.of_worker(worker, workers),
            requests=self.requests.of_worker(worker, workers),
            headers=None if self.headers is None else self.headers.of_worker(worker, workers),
        )


@dataclass(frozen=True, kw_only=True)
class CallMix:
    """Several calls that take turns, in an order drawn by their weights and a seed, or in a recorded one."""

    names: tuple[str, ...]
    calls: tuple[CallSpec, ...]
    weights: tuple[float, ...]
    """Of a recording, how often each call is in it."""
    recorded: RecordedOrder | None = None
    note: str = ""
    """What to know of it; empty for nothing."""
    seed: int = 1
    worker: int = 0

    def of_worker(self, worker: int, workers: int, *, seed: int) -> CallMix:
        """The mix with one worker's share of the requests, and its order."""
        return replace(
            self,
            calls=tuple(call.of_worker(worker, workers) for call in self.calls),
            recorded=None if self.recorded is None else self.recorded.of_worker(worker, workers),
            seed=seed,
            worker=worker,
        )

    def order(self) -> Iterator[int]:
        """The numbers of the calls that one worker makes, one after the other, without end."""
        if self.recorded is not None:
            return (one[0] for one in self.recorded.order.messages(prefix=False))
        return drawn_order(self.weights, self.seed, self.worker)

    @property
    def supply(self) -> int | None:
        """The calls that a worker can make until one of them has no request left; None where requests repeat."""
        left = [call.supply for call in self.calls]
        if all(supply is None for supply in left):
            return None
        for made, number in enumerate(self.order()):
            supply = left[number]
            if supply == 0:
                return made
            left[number] = None if supply is None else supply - 1
        raise AssertionError("an order has no end")

    def numbers_of(self, number: int) -> Iterator[int]:
        """The numbers of the requests of one call, each of which no other call has."""
        if self.recorded is None:
            return (request * len(self.calls) + number for request in self.calls[number].numbers())
        return (
            request for request, of in zip(self.recorded.order.numbers(), self.order(), strict=False) if of == number
        )

    def call_of(self, request: int) -> int:
        """The number of the call to which the request of this number belongs."""
        return request % len(self.calls) if self.recorded is None else self.recorded.order.message(request)[0]


def greeting(load: LoadConfig) -> CallSpec:
    """Return the call of our own greeter for the factors `method` and `request_bytes`."""
    from grpclab.generated import greet_pb2

    request = greet_pb2.HelloRequest(name="x" * load.request_bytes or DEFAULT_NAME)
    return CallSpec(
        path=GREETER + load.method,
        payload=request.SerializeToString(),
        server_streaming=load.method == "SayHelloStream",
    )


def find_call(
    target: str,
    name: str,
    *,
    data: Any = "{}",
    metadata: Pairs = (),
    proto: str | Path | None = None,
    proto_paths: Sequence[str | Path] = (),
    descriptors: tuple[bytes, ...] = (),
    security: Security = PLAINTEXT,
    timeout_s: float = REFLECTION_TIMEOUT_S,
    options: DataOptions = DataOptions(),  # noqa: B008 (a frozen value)
    planned: int = 1000,
    load: LoadConfig = LoadConfig(),  # noqa: B008 (a frozen value)
    ledger: SharedAllowance | None = None,
    server: Hashable = None,
) -> CallSpec:
    """The call that `name` (``package.Service/Method``) and its requests mean: JSON as a text, or Python values.

    `data` may hold many requests: see :mod:`grpclab.load.calls.request_data`. Of requests that differ from call to call
    `planned` are made. The `load` says how many callers there are, and what the client does in a stream.

    The schema comes from `descriptors`, serialized FileDescriptorProtos, or from the file `proto`, else from the
    reflection of the server at `target`, in a request with the same metadata: see :mod:`grpclab.load.calls.schema`;
    its calls are taken from the `ledger`. `server` stands for the server in a study, which asks each of them once.
    Raises UsageError, TargetError where nothing answers within `timeout_s`, and MissingDependencyError where a
    ``.proto`` file is given but no compiler is installed.
    """
    # Imported here: a worker reads a CallSpec, and the wire engine needs neither grpc nor protobuf.
    from grpclab.load.calls import schema
    from grpclab.load.calls.descriptors import answer_kind
    from grpclab.load.calls.request_data import encoded, symbols_in

    service, method = _split(name)
    symbols = symbols_in(data, options)
    if proto is None and descriptors:
        types = schema.from_descriptors(descriptors)
    elif proto is None:

        def ask() -> schema.Schema:
            return schema.from_server(
                host_port(target, remote=bool(security.remote)),
                service,
                method,
                types=symbols,
                metadata=for_grpcio(metadata),
                security=security,
                timeout_s=timeout_s,
                ledger=ledger,
            )

        key = None if server is None else (server, service, method, tuple(symbols))
        types = PAYLOAD_FOLDER.schema_once(key, ask)
    else:
        types = schema.from_file(Path(proto), [Path(path) for path in proto_paths])
    descriptor = types.method(service, method)
    sends = descriptor.client_streaming
    check_streams(load, f"{service}/{method}", sends=sends, receives=descriptor.server_streaming)
    values = TemplateValues(
        service=service, method=method, callers=load.concurrency, seed=options.seed, now=datetime.now(UTC)
    )
    streams = StreamData.of(load) if sends else None
    requests = encoded(data, descriptor.input_type, types.pool, options, values, planned=planned, streams=streams)
    many = requests if isinstance(requests, Payloads) else None
    return CallSpec(
        path=f"/{service}/{method}",
        payload=requests if isinstance(requests, bytes) else requests.message(0, prefix=sends),
        payloads=many,
        answer=answer_kind(descriptor.output_type),
        request=answer_kind(descriptor.input_type),
        server_streaming=descriptor.server_streaming,
        client_streaming=sends,
        metadata=metadata,
    )


def _split(name: str) -> tuple[str, str]:
    """Service and method of ``package.Service/Method``, ``/package.Service/Method``, ``package.Service.Method``."""
    text = name.strip().removeprefix("/")
    service, _, method = text.partition("/") if "/" in text else text.rpartition(".")
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*/[A-Za-z_]\w*", f"{service}/{method}", re.ASCII):
        raise UsageError(
            f"{name!r} is not a method name: write package.Service/Method, e.g. grpc.health.v1.Health/Check"
        )
    return service, method
