"""The reference server's process: listen, say so, answer until told to stop, drain, say what was served."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import AsyncIterator

from grpclab.errors import ServerError
from grpclab.servers.process.server_messages import ServedCalls, ServerListening
from grpclab.servers.process.serving import (
    DRAIN_S,
    Announce,
    AtOnce,
    address,
    leave_at_once,
    require_free_port,
    stop_signals,
)
from grpclab.servers.reference.client_limits import MAX_CONNECTIONS, SPARE_FILES, Ledger
from grpclab.servers.reference.faults import parse_fault
from grpclab.servers.reference.protocol import FaultyProtocol, ReferenceProtocol, ServerContext
from grpclab.servers.reference.service import Service
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.system import event_loop, ulimits
from grpclab.system.pacing import Pacer

BACKLOG = 1024
"""Connections that may wait to be accepted."""
LAST_CALL_S = 0.25
"""So long a client has to acknowledge the first GOAWAY before the second."""
GC_THRESHOLDS = (10_000, 10_000, 1_000)
"""Only what is young is looked through for cycles: to go through all that many calls hold would take too long."""


def serve_reference(spec: ReferenceSpec, announce: Announce, at_once: AtOnce = leave_at_once) -> ServedCalls:
    """Serve in this process until a signal stops it; returns the counts. Call it on the main thread.

    Raises ServerError where that cannot be started.
    """
    require_free_port(spec.host, spec.port)
    return event_loop.run(_serve(spec, announce, at_once))


@contextlib.asynccontextmanager
async def listening(spec: ReferenceSpec) -> AsyncIterator[tuple[ServerContext, int]]:
    """Listen on the running loop until the block is left, then drain: what the connections share, and the port.

    Raises ServerError.
    """
    loop, clock = asyncio.get_running_loop(), time.perf_counter
    pacer = Pacer(loop, spin=spec.spins, clock=clock)
    fault, n = parse_fault(spec.fault) if spec.fault else (None, 0)
    service = Service(spec, clock=clock, wake_at=pacer.wake_at, streams=fault is None or fault.answer is None)
    context = ServerContext(spec, service, clock, pacer.touch, ledger=Ledger(most_connections=_most_connections()))

    def new_protocol() -> ReferenceProtocol:
        return ReferenceProtocol(context, context.connection()) if fault is None else FaultyProtocol(context, fault, n)

    try:
        server = await loop.create_server(new_protocol, spec.host, spec.port, backlog=BACKLOG)
    except OSError as error:
        raise ServerError(f"cannot listen on {address(spec.host, spec.port)}: {error.strerror}") from None
    try:
        yield context, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await _drain(context)
        pacer.close()


def _most_connections() -> int:
    files, _ = ulimits.open_files()
    return int(min(MAX_CONNECTIONS, files - SPARE_FILES))


async def _serve(spec: ReferenceSpec, announce: Announce, at_once: AtOnce) -> ServedCalls:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in stop_signals():
        loop.add_signal_handler(number, stop.set)
    async with listening(spec) as (context, port):
        # Calls leave no cycles behind; looking for them in what was loaded at the start costs a pause each time.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        announce(ServerListening(port=port, pids=(os.getpid(),)))
        await stop.wait()
        for number in stop_signals():
            loop.add_signal_handler(number, at_once, number)
    return ServedCalls(calls=context.service.calls, high_water=context.service.high_water)


async def _drain(context: ServerContext) -> None:
    """Let the calls inside end, and the clients know that it is over."""
    end = context.clock() + DRAIN_S
    for protocol in list(context.protocols):
        protocol.http2.shut_down()
        protocol.flush()
    last_call = context.clock() + LAST_CALL_S
    while context.protocols and context.clock() < end:
        if context.clock() >= last_call:
            for protocol in list(context.protocols):
                protocol.http2.leave()
                protocol.flush()
        await asyncio.sleep(0.005)
    for protocol in list(context.protocols):
        protocol.abort()
