"""Implementations of the load generator, by name.

Each line imports only from those above it::

    engine               what an engine is: its two loops, what it counts, and how a worker makes one
    backoff              how long a client without a connection waits between two attempts: the same in both engines
    loops                a closed and an open loop over calls that are awaited
    grpcio               engine `grpcio`
    connection_settings  how the connections of engine `wire` are dialled, and what each of them says first
    http2_protocol       one transport with its HTTP/2 connection: where the hot path of engine `wire` begins
    reconnecting         one of a client's connections: dialled, kept alive, and dialled again when it is gone
    pool                 the connections of engine `wire`: kept ones in turn, or a new one for each call
    wire                 engine `wire`
"""

from __future__ import annotations

from grpclab.factors.config import TrialConfig
from grpclab.load.calls.method import CallSpec
from grpclab.load.engines.engine import Engine, EngineFactory


def _grpcio(
    config: TrialConfig, target: str, root_certificates: bytes | None, call: CallSpec, *, residence: bool
) -> Engine:
    from grpclab.load.engines.grpcio import GrpcioEngine

    return GrpcioEngine(config, target, root_certificates, call, residence=residence)


def _wire(
    config: TrialConfig, target: str, root_certificates: bytes | None, call: CallSpec, *, residence: bool
) -> Engine:
    from grpclab.load.engines.wire import WireEngine

    return WireEngine(config, target, root_certificates, call, residence=residence)


ENGINES: dict[str, EngineFactory] = {"wire": _wire, "grpcio": _grpcio}
"""The levels of the factor `load.engine`."""
