"""Calls traced with OpenTelemetry: a span for a share of the calls, sent to a collector by OTLP.

The collector is the one that OTEL_EXPORTER_OTLP_ENDPOINT names, by default ``http://localhost:4317``. A call whose
client sends a trace context (``traceparent``) is sampled as its parent was. This module needs nothing but OpenTelemetry
and grpcio: the interpreter of an application, which may lack grpclab, imports it by its path.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.grpc import (
    aio_client_interceptors,
    aio_server_interceptor,
    filters,
    server_interceptor,
)
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

SERVICE = "grpclab"
FLUSH_MS = 3_000
DELAY_VARIABLE, DELAY_MS = "OTEL_BSP_SCHEDULE_DELAY", 1_000
"""How often spans are sent, unless that variable says it: OpenTelemetry's own default is 5 s."""

_providers: list[TracerProvider] = []


def provided(share: float) -> TracerProvider:
    """What traces this share of calls, and sends their spans to the collector."""
    resource = Resource.create({SERVICE_NAME: SERVICE})
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(share)), resource=resource)
    delay_ms = None if DELAY_VARIABLE in os.environ else DELAY_MS
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=delay_ms))
    _providers.append(provider)
    return provider


def interceptor(share: float, *, asynchronous: bool) -> Any:
    """The interceptor that traces this share of a server's calls; health checks are left out."""
    make = aio_server_interceptor if asynchronous else server_interceptor
    return make(tracer_provider=provided(share), filter_=filters.negate(filters.health_check()))


def client_interceptors(share: float) -> Sequence[Any]:
    """The interceptors that trace this share of the calls of a channel for asyncio, and send the context along."""
    found: Sequence[Any] = aio_client_interceptors(tracer_provider=provided(share))
    return found


def flush() -> None:
    """Send the spans that have not been sent, for so long at most."""
    for provider in _providers:
        provider.force_flush(FLUSH_MS)
