"""``grpclab serve --app``: an application in the foreground of a terminal."""

from __future__ import annotations

import contextlib
import queue
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from grpclab.errors import ServerError, UsageError, WorkerError
from grpclab.factors.config import ServerConfig
from grpclab.servers.hosting.application import END_TIMEOUT_S, application_order, counters, host_words, issued
from grpclab.servers.process.collector import scratch
from grpclab.servers.process.exposure import ListenAddress
from grpclab.servers.process.server_messages import (
    ApplicationEnded,
    ServerAnswer,
    ServerFailed,
    ServerListening,
)
from grpclab.servers.process.serving import address, require_free_port, stop_signals
from grpclab.servers.process.sidecar import DiagnosticsAddress, about_diagnostics, beside
from grpclab.servers.target import Target
from grpclab.system.subprocesses import Child, describe_exit
from grpclab.system.temporary import TemporaryFolder

LOOK_EVERY_S = 0.2


def serve_application(
    target: Target,
    config: ServerConfig,
    where: ListenAddress,
    port: int,
    *,
    arguments: Mapping[str, str],
    env: Mapping[str, str | None],
    quiet: bool,
    certs: str = "",
    drain_delay_s: float = 0.0,
    diagnostics: DiagnosticsAddress | None = None,
) -> None:
    """Host an application until a signal stops it; what it prints goes to standard error.

    `certs` is the folder of the user's certificates. After the signal, grpclab's health service reports NOT_SERVING and
    calls are still answered for `drain_delay_s`. With `diagnostics`, a diagnostics server runs beside it. Raises
    UsageError for what cannot be right, ServerError where it cannot be started, or ends by itself.
    """
    require_free_port(where.host, port)
    words = host_words(target.python)
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()  # put() is safe in a signal handler
    with contextlib.ExitStack() as stack:
        folder = certs or issued(stack, config)[0]
        order = application_order(
            target.app,
            config,
            arguments=arguments,
            app_dir=target.app_dir,
            cwd=target.cwd,
            host=where.host,
            port=port,
            tls_folder=folder,
            timeout_s=target.start_timeout_s,
            drain_delay_s=drain_delay_s,
        )
        counting = counters(stack, config)
        own = scratch(config, stack.enter_context(TemporaryFolder()))
        child = stack.enter_context(Child(words, name="the application", env={**own, **env, **counting}))
        listening = _started(child, order, target.start_timeout_s)
        if diagnostics is not None:
            counted = "".join(counting.values())
            desk = stack.enter_context(beside(listening.pids, where=diagnostics, folder=counted, heap=False))
            listening = replace(listening, desk=desk.address)
        for number in stop_signals():
            stack.callback(signal.signal, number, signal.getsignal(number))
            signal.signal(number, lambda n, _frame: signals.put(n))
        about = about_diagnostics(diagnostics, listening)
        _announce(target, config, where, listening, folder=folder, quiet=quiet, about=about)
        while child.alive and signals.empty():
            with contextlib.suppress(queue.Empty):
                signals.put(signals.get(timeout=LOOK_EVERY_S))
        if not child.alive:
            raise ServerError(f"the application {describe_exit(child.popen.wait())}")
        _stop(child, signals, drain_delay_s + END_TIMEOUT_S)


def _started(child: Child, order: object, timeout_s: float) -> ServerListening:
    try:
        child.send(order)
        answer = child.receive(timeout_s, ServerAnswer)
    except WorkerError as error:
        raise ServerError(f"the server could not be started: {error}") from None
    if isinstance(answer, ServerFailed):
        raise UsageError(answer.text) if answer.usage else ServerError(answer.text)
    assert isinstance(answer, ServerListening)
    return answer


def _announce(
    target: Target,
    config: ServerConfig,
    where: ListenAddress,
    listening: ServerListening,
    *,
    folder: str,
    quiet: bool,
    about: str,
) -> None:
    files = map(FileDescriptorProto.FromString, listening.descriptors)
    services = [f"{file.package}.{service.name}".lstrip(".") for file in files for service in file.service]
    if exposed := where.exposure(services or [target.app], tls=config.tls, diagnostics=about):
        print(f"grpclab: {exposed}", file=sys.stderr, flush=True)
    if not quiet:
        pids = listening.pids
        processes = "1 process" if len(pids) == 1 else f"{len(pids)} processes"
        tls_text = ""
        if folder:
            from grpclab.servers import tls

            tls_text = f", {tls.files_text(folder, mutual=config.mutual_tls)}"
        print(
            f"{target.app} on {address(where.host, listening.port)} ({config.implementation}, {processes}, pid"
            f" {', '.join(map(str, pids))}{tls_text})"
            f"{f', diagnostics server on {listening.desk}' if listening.desk else ''}; Ctrl-C stops it",
            flush=True,
        )


def _stop(child: Child, signals: queue.SimpleQueue[int], timeout_s: float) -> None:
    """Have it drain and close within so long; a second signal does not wait for that."""
    signals.get()
    child.popen.terminate()
    waited = 0.0
    while child.alive and waited < timeout_s:
        with contextlib.suppress(queue.Empty):
            signals.get(timeout=LOOK_EVERY_S)
            child.abandon()
            print("grpclab: stopped by a second signal; running calls were cut off", file=sys.stderr)
            return
        waited += LOOK_EVERY_S
    with contextlib.suppress(WorkerError):  # its trouble is in what it has written
        child.receive(LOOK_EVERY_S, ApplicationEnded)
