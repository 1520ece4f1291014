"""Several server processes on one port: the parent starts them, watches them, and stops them.

The kernel spreads new connections over the processes by a hash (SO_REUSEPORT): few connections land unevenly.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator

from grpclab.errors import ServerError, UsageError, WorkerError
from grpclab.factors.config import ServerConfig
from grpclab.servers.process.server_messages import ServedCalls, ServerAnswer, ServerFailed, ServerListening
from grpclab.servers.process.serving import (
    DRAIN_S,
    Announce,
    AtOnce,
    ServeSpec,
    address,
    leave_at_once,
    require_free_port,
    serve,
    stop_signals,
)
from grpclab.system.subprocesses import START_TIMEOUT_S, Child, receive_all

SEED_STEP = 1_000_003
"""Between the seeds of two processes: each draws its own, and no seed of another trial's."""


def process_count(config: ServerConfig) -> int:
    """The number of processes that `processes` means here: 0 is one for each core this process may use."""
    if config.processes:
        return config.processes
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def serve_processes(spec: ServeSpec, announce: Announce, at_once: AtOnce = leave_at_once) -> ServedCalls:
    """Serve in as many processes as the factor says, until a signal stops them. Returns the counts.

    `calls` is the sum over the processes, `high_water` that of the fullest one. Raises ServerError when one of
    them cannot start or dies, UsageError for what cannot be had here.
    """
    if spec.shared_port:
        return serve(spec, announce, at_once)
    count = process_count(spec.config)
    if count == 1:
        return serve(spec.replace(settings={**spec.settings, "server.processes": 1}), announce, at_once)
    require_free_port(spec.host, spec.port)
    with _reserved(spec.host, spec.port) as port, contextlib.ExitStack() as stack:
        stopping: list[int] = []

        def stop(number: int, _frame: object) -> None:
            if stopping:
                at_once(number)  # the children end with us
            stopping.append(number)

        for number in stop_signals():
            signal.signal(number, stop)
        children = [
            stack.enter_context(Child("grpclab.servers.process.child", name=f"server process {index + 1} of {count}"))
            for index in range(count)
        ]
        try:
            for index, child in enumerate(children):
                child.send(spec.replace(port=port, shared_port=True, seed=spec.seed + SEED_STEP * index))
            answers = [_listening(one) for one in receive_all(children, START_TIMEOUT_S, ServerAnswer)]
            announce(ServerListening(port=port, pids=tuple(answer.pids[0] for answer in answers)))
            while not stopping:
                dead = [child.name for child in children if not child.alive]
                if dead:
                    raise ServerError(f"{', '.join(dead)} died; the others were stopped")
                time.sleep(0.1)
            for child in children:
                child.popen.terminate()
            totals = receive_all(children, spec.drain_delay_s + DRAIN_S + 2, ServedCalls)
        except WorkerError as error:
            raise ServerError(str(error)) from None
    return ServedCalls(calls=sum(total.calls for total in totals), high_water=max(total.high_water for total in totals))


def _listening(answer: ServerAnswer) -> ServerListening:
    if isinstance(answer, ServerFailed):
        raise UsageError(answer.text) if answer.usage else ServerError(answer.text)
    assert isinstance(answer, ServerListening)
    return answer


@contextlib.contextmanager
def _reserved(host: str, port: int) -> Iterator[int]:
    """Hold a port for processes that will share it: bound with SO_REUSEPORT, never listening."""
    family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind(where)
        except OSError as error:
            raise ServerError(f"cannot listen on {address(host, port)}: {error.strerror}") from None
        yield int(held.getsockname()[1])
