"""Calls traced with OpenTelemetry: the spans that a collector gets from real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

pytest.importorskip("opentelemetry.instrumentation.grpc", reason="pip install 'grpclab[tracing]'")

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from grpclab.factors.config import TrialConfig
from grpclab.load.generator import Generator
from grpclab.servers.process.collector import ENDPOINT
from tests.support.four_servers import Start
from tests.support.greeting import greeter_at, hello

CALLS = 40
CLIENT, SERVER = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector:
    """Keeps the spans that it is sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.spans: list[Any] = []

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002
        with self._lock:
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def collector() -> Iterator[tuple[Collector, dict[str, str]]]:
    """A collector, and the variable by which a server finds it."""
    keeping, server = Collector(), grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(keeping, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield keeping, {ENDPOINT: f"http://127.0.0.1:{port}"}
    server.stop(None).wait()


def call(target: str, calls: int, metadata: tuple[tuple[str, str], ...] = ()) -> None:
    with greeter_at(target) as stub:
        for _ in range(calls):
            assert stub.SayHello(hello("Ada"), timeout=60, metadata=metadata).message == "Hello Ada!"


def test_each_call_has_a_span_and_health_checks_have_none(
    start: Start, collector: tuple[Collector, dict[str, str]]
) -> None:
    keeping, env = collector
    with start(env=env, tracing_share=1.0) as server:
        call(server.target, CALLS)
        with greeter_at(server.target) as stub:
            assert len(list(stub.SayHelloStream(hello(), timeout=60))) >= 1
        server.stop()
    names = [span.name for span in keeping.spans]
    assert sorted(set(names)) == ["/greet.GreeterService/SayHello", "/greet.GreeterService/SayHelloStream"]
    assert len(names) == CALLS + 1


def test_a_share_of_none_traces_only_calls_whose_client_asks_for_it(
    start: Start, collector: tuple[Collector, dict[str, str]]
) -> None:
    keeping, env = collector
    with start(env=env, tracing_share=0.0) as server:
        call(server.target, CALLS)
        call(server.target, 3, (("traceparent", f"00-{TRACE}-{PARENT}-01"),))
        server.stop()
    found = [(span.trace_id.hex(), span.parent_span_id.hex()) for span in keeping.spans]
    assert found == [(TRACE, PARENT)] * 3


def test_without_the_factor_nothing_is_traced(start: Start, collector: tuple[Collector, dict[str, str]]) -> None:
    keeping, env = collector
    with start(env=env) as server:
        call(server.target, CALLS)
        server.stop()
    assert keeping.spans == []


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_span_of_a_server_has_that_of_the_client_as_its_parent(
    start: Start, collector: tuple[Collector, dict[str, str]], share: float
) -> None:
    keeping, env = collector
    config = TrialConfig().replace(
        {
            "client.tracing_share": share,
            "load.engine": "grpcio",
            "load.requests": CALLS,
            "load.concurrency": 4,
            "load.warmup_s": 0.0,
        }
    )
    with start(env=env, tracing_share=1.0) as server:
        with Generator(config, server.target, env=env) as generator:
            run = generator.measure()
            of_client = [span for span in keeping.spans if span.kind == CLIENT]
        server.stop()
    assert (run.summary.requests, run.summary.errors) == (CALLS, 0)
    of_server = [span for span in keeping.spans if span.kind == SERVER]
    if not share:  # the server does what the client has decided
        assert keeping.spans == []
        return
    assert len(of_client) == len(of_server) == CALLS
    assert {(one.trace_id, one.span_id) for one in of_client} == {
        (one.trace_id, one.parent_span_id) for one in of_server
    }


def test_a_server_that_is_measured_finds_the_stand_in_collector(start: Start) -> None:
    with start(tracing_share=1.0) as server:
        call(server.target, CALLS)
        server.stop()
        log = server.log_path.read_text()
    assert "Failed to export" not in log
    assert "UNAVAILABLE" not in log
