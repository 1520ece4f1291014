"""A call found by asking the server for its schema: reflection of every kind, and reflection that fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from grpclab.errors import MeasurementError, TargetError, UsageError
from grpclab.load.bench import run_bench
from grpclab.load.calls.method import CallSpec, find_call
from grpclab.load.calls.schema import services_at
from grpclab.load.plan import CallRequest, planned
from grpclab.servers import tls
from grpclab.system.allowance import Allowance, SharedAllowance
from grpclab.system.transport import security_of
from tests.support.shop import SERVICE, Handler, Shop, find, refusal

# ---- reflection of every kind --------------------------------------------------------------------------------

Answer = Callable[[ServerReflectionRequest, grpc.ServicerContext], ServerReflectionResponse]


def answering(answer: Answer) -> Handler:
    """A reflection service out of the answer to one question."""

    def reflector(
        requests: Iterator[ServerReflectionRequest], context: grpc.ServicerContext
    ) -> Iterator[ServerReflectionResponse]:
        for request in requests:
            yield answer(request, context)

    return reflector


def sending(files: list[FileDescriptorProto]) -> ServerReflectionResponse:
    response = ServerReflectionResponse()
    response.file_descriptor_response.file_descriptor_proto.extend(file.SerializeToString() for file in files)
    return response


def error(code: grpc.StatusCode, text: str = "") -> ServerReflectionResponse:
    response = ServerReflectionResponse()
    response.error_response.error_code = code.value[0]
    response.error_response.error_message = text
    return response


def file_by_file(
    files: list[FileDescriptorProto], *, symbols: dict[str, str] | None = None, status: bool = False
) -> Handler:
    """Reflection that sends one file at a time, and knows these symbols. With `status`, what it does not know ends
    the call, as in some servers; in others it is told in a message."""
    known = {SERVICE: "shop/orders.proto"} if symbols is None else symbols

    def answer(request: ServerReflectionRequest, context: grpc.ServicerContext) -> ServerReflectionResponse:
        if request.HasField("list_services"):
            response = ServerReflectionResponse()
            response.list_services_response.service.add(name=SERVICE)
            return response
        name = request.file_by_filename or known.get(request.file_containing_symbol, "")
        if named := [file for file in files if file.name == name]:
            return sending(named)
        if status:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
        return error(grpc.StatusCode.NOT_FOUND, "no such thing")

    return answering(answer)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_either_version_of_reflection_will_do(shop: Shop, expected_call: CallSpec, version: str) -> None:
    with shop.serve(shop.reflector(), version) as target:
        assert find(target) == expected_call


@pytest.mark.parametrize("status", [False, True])
def test_imports_are_asked_for_one_by_one(shop: Shop, expected_call: CallSpec, status: bool) -> None:
    with shop.serve(file_by_file(list(shop.files.file), status=status)) as target:
        assert find(target) == expected_call


@pytest.mark.parametrize("status", [False, True])
def test_well_known_types_may_be_left_out(shop: Shop, expected_call: CallSpec, status: bool) -> None:
    own = [file for file in shop.files.file if file.package == "shop.v1"]
    assert 0 < len(own) < len(shop.files.file)
    with shop.serve(file_by_file(own, status=status), "v1") as target:
        assert find(target) == expected_call


def test_a_service_that_is_listed_but_not_described_is_told(shop: Shop) -> None:
    for status in (False, True):
        with shop.serve(file_by_file([], symbols={}, status=status)) as target:
            line = refusal(UsageError, target)
        assert line == f"the server at {target} lists {SERVICE} but does not describe it: add --proto FILE"


def test_the_metadata_of_the_call_is_sent_to_reflection_too(shop: Shop, expected_call: CallSpec) -> None:
    def guarded(
        requests: Iterator[ServerReflectionRequest], context: grpc.ServicerContext
    ) -> Iterator[ServerReflectionResponse]:
        if ("authorization", "Bearer 1") not in context.invocation_metadata():
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are\nyou?")
        yield from shop.reflector()(requests, context)

    with shop.serve(guarded) as target:
        metadata = (("authorization", "Bearer 1"),)
        assert find(target, metadata=metadata).payload == expected_call.payload
        assert refusal(UsageError, target) == (
            f"the server at {target} did not send its schema (UNAUTHENTICATED, who are you?):"
            " add --proto FILE, or the --metadata that it requires"
        )


def test_over_tls_with_the_roots_given(shop: Shop, expected_call: CallSpec, tmp_path: Path) -> None:
    tls.issue(tmp_path)
    with shop.serve(shop.reflector(), credentials=tls.server_credentials(tmp_path)) as target:
        assert find(target, security=security_of(cacert=tmp_path / "ca.pem")) == expected_call
        assert "speaks TLS" in refusal(TargetError, target, timeout_s=60)


def test_no_proxy_is_asked_the_way_to_loopback(
    shop: Shop, expected_call: CallSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with shop.serve(shop.reflector()) as target:
        assert find(target) == expected_call


# ---- reflection that fails -----------------------------------------------------------------------------------


def test_a_server_without_reflection_is_told_to_the_user_with_the_way_round(shop: Shop) -> None:
    with shop.serve() as target:
        assert refusal(UsageError, target) == f"the server at {target} does not support reflection: add --proto FILE"


def test_where_nobody_listens_nothing_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        line = refusal(TargetError, target, timeout_s=0.3)
    assert line.startswith(f"no server responded at {target} within 0.3 s: start a server there")


def test_a_peer_that_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        assert "no server responded" in refusal(TargetError, target, timeout_s=0.3)


def test_a_server_that_keeps_its_schema_to_itself_is_not_waited_for(shop: Shop) -> None:
    ended = threading.Event()

    def mute(
        requests: Iterator[ServerReflectionRequest], context: grpc.ServicerContext
    ) -> Iterator[ServerReflectionResponse]:
        yield from (ServerReflectionResponse() for _ in requests if False)
        ended.wait()

    with shop.serve(mute) as target:
        try:
            line = refusal(TargetError, target, timeout_s=2)
        finally:
            ended.set()
    assert line.startswith(f"the server at {target} did not send its schema within 2 s")


def _garbage(request: ServerReflectionRequest, context: grpc.ServicerContext) -> ServerReflectionResponse:
    response = ServerReflectionResponse()
    response.file_descriptor_response.file_descriptor_proto.append(b"\xff\xff")
    return response


def _contradiction(request: ServerReflectionRequest, context: grpc.ServicerContext) -> ServerReflectionResponse:
    file = FileDescriptorProto(name="a.proto")
    file.message_type.add(name="M").field.add(name="f", number=1, type=11, label=1, type_name=".nowhere.N")
    return sending([file])


def _circle(request: ServerReflectionRequest, context: grpc.ServicerContext) -> ServerReflectionResponse:
    return sending(
        [FileDescriptorProto(name=name, dependency=[other]) for name, other in (("a", "b"), ("b", "c"), ("c", "a"))]
    )


def _half(request: ServerReflectionRequest, context: grpc.ServicerContext) -> ServerReflectionResponse:
    if request.file_by_filename:
        return sending([FileDescriptorProto(name="another.proto")])
    return sending([FileDescriptorProto(name="a.proto", dependency=["google/protobuf/nothing.proto"])])


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda request, context: error(grpc.StatusCode.INTERNAL, "no\nidea"), r"schema \(error 13, no idea\): add"),
        (_garbage, r"did not send its schema \(its answer is not a schema\): add --proto FILE"),
        (
            _contradiction,
            "the schema of the server at .* cannot be used: a.proto uses nowhere.N, which is not defined in any",
        ),
        (_circle, "cannot be used: its files import each other: a -> b -> c -> a; add --proto FILE"),
        (_half, "cannot be used: a.proto imports google/protobuf/nothing.proto, which is missing; add --proto FILE"),
        (lambda request, context: ServerReflectionResponse(), r"has no service shop.v1.Orders \(available: none\)"),
    ],
)
def test_a_schema_that_is_none_is_one_line(shop: Shop, answer: Answer, line: str) -> None:
    with shop.serve(answering(answer)) as target, pytest.raises(UsageError, match=line):
        find(target)


def test_a_call_that_ends_without_an_answer_is_one_line(shop: Shop) -> None:
    with shop.serve(lambda requests, context: iter(())) as target:
        assert "did not send its schema (it ended the call without answering)" in refusal(UsageError, target)


def test_a_server_that_goes_away_meanwhile_is_one_line(shop: Shop) -> None:
    def leaving(request: ServerReflectionRequest, context: grpc.ServicerContext) -> ServerReflectionResponse:
        context.abort(grpc.StatusCode.UNAVAILABLE, "bye")

    with shop.serve(answering(leaving)) as target:
        assert "closed the connection when asked for its schema" in refusal(TargetError, target)


def test_a_server_without_a_word_is_told_by_its_status(shop: Shop) -> None:
    def mute(request: ServerReflectionRequest, context: grpc.ServicerContext) -> ServerReflectionResponse:
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "")

    with shop.serve(answering(mute)) as target:
        assert "(PERMISSION_DENIED)" in refusal(UsageError, target)


def test_what_a_server_says_of_its_schema_is_fit_for_a_terminal(shop: Shop) -> None:
    with shop.serve(answering(lambda request, context: error(grpc.StatusCode.INTERNAL, "\x1b[2J no"))) as target:
        line = refusal(UsageError, target)
    assert "[2J no" in line
    assert line.isprintable()


# ---- a server on another machine -----------------------------------------------------------------------------


def counting(shop: Shop) -> tuple[Handler, list[int]]:
    """The reflection of the shop, and a list with an item for each call of it."""
    asked: list[int] = []
    reflect = shop.reflector()

    def reflector(
        requests: Iterator[ServerReflectionRequest], context: grpc.ServicerContext
    ) -> Iterator[ServerReflectionResponse]:
        asked.append(1)
        return reflect(requests, context)

    return reflector, asked


ALLOWANCE = Allowance(rate_rps=1000, calls=12, time_s=60)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_the_questions_of_reflection_are_taken_from_the_ceiling_of_calls(shop: Shop, version: str) -> None:
    reflector, asked = counting(shop)
    ledger = SharedAllowance(ALLOWANCE, now=time.perf_counter())
    with shop.serve(reflector, version) as target:
        find_call(target, f"{SERVICE}/Place", ledger=ledger)
        found = len(asked) + (version == "v1alpha")  # v1 was asked for first
        assert ledger.left_of_calls().calls == ALLOWANCE.calls - found < ALLOWANCE.calls
        services_at(target, ledger=ledger)
        assert ledger.left_of_calls().calls == ALLOWANCE.calls - len(asked) - 2 * (version == "v1alpha")
        few = SharedAllowance(replace(ALLOWANCE, calls=1), now=time.perf_counter())
        with pytest.raises(MeasurementError, match="--max-calls=1"):
            services_at(target, ledger=few)


def test_bench_and_its_reflection_together_keep_to_the_ceiling_of_calls(shop: Shop) -> None:
    reflector, asked = counting(shop)
    plan = planned({"load.requests": 50, "load.warmup_s": 0.0, "load.concurrency": 1})
    with shop.serve(reflector, "v1") as target:
        result = run_bench(target, plan, call=CallRequest(name=f"{SERVICE}/Place"), allowance=ALLOWANCE)
    assert result.run.summary.requests == ALLOWANCE.calls - len(asked) < ALLOWANCE.calls
    assert "--max-calls=12" in result.run.stopped_because
