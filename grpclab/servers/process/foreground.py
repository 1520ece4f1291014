"""``grpclab serve``: a server in the foreground of a terminal."""

from __future__ import annotations

import contextlib
import logging
import sys
from functools import partial
from typing import NoReturn

from grpclab.factors.levels import Level
from grpclab.servers.process.child import leave
from grpclab.servers.process.exposure import ListenAddress
from grpclab.servers.process.parent import serve_processes
from grpclab.servers.process.server_messages import ServerListening
from grpclab.servers.process.serving import ServeSpec, address
from grpclab.servers.process.sidecar import DiagnosticsAddress, about_diagnostics, observed
from grpclab.system import interrupts, ulimits
from grpclab.system.temporary import TemporaryFolder

log = logging.getLogger("grpclab.serve")


def serve_in_foreground(
    name: str,
    settings: dict[str, Level],
    where: ListenAddress,
    port: int,
    *,
    quiet: bool,
    diagnostics: DiagnosticsAddress | None = None,
    certs: str = "",
    drain_delay_s: float = 0.0,
) -> None:
    """Serve until a signal stops it. Raises ServerError where that, or the diagnostics server, cannot be started.

    `certs` is the folder of the user's certificates. After the signal, health checks report NOT_SERVING and calls are
    still answered for `drain_delay_s`.
    """
    host = where.host
    ulimits.raise_open_files()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(TemporaryFolder())
        spec = ServeSpec(
            settings=settings,
            host=host,
            port=port,
            folder=str(folder),
            certs=certs,
            drain_delay_s=drain_delay_s,
        )
        tls_text = ""
        if spec.config.tls:
            from grpclab.servers import tls

            if not certs:
                tls.issue(folder, mutual=spec.config.mutual_tls)
            tls_text = f", {tls.files_text(certs or folder, mutual=spec.config.mutual_tls)}"

        def announce(served: ServerListening) -> None:
            from grpclab.servers.build import service_names

            exposed = where.exposure(
                service_names(spec.config), tls=spec.config.tls, diagnostics=about_diagnostics(diagnostics, served)
            )
            if exposed or (diagnostics and not diagnostics.local):
                print(f"grpclab: {exposed or about_diagnostics(diagnostics, served)}", file=sys.stderr, flush=True)
            if not quiet:
                pids = served.pids
                processes = "1 process" if len(pids) == 1 else f"{len(pids)} processes"
                at = address(host, served.port)
                desk_text = f", diagnostics server on {served.desk}" if served.desk else ""
                print(
                    f"{name} server on {at} ({spec.config.implementation}, {processes}, pid"
                    f" {', '.join(map(str, pids))}{tls_text}){desk_text}; Ctrl-C stops it",
                    flush=True,
                )

        with observed(spec, announce, diagnostics=diagnostics or DiagnosticsAddress()) as announce_both:
            total = serve_processes(spec, announce_both, at_once=partial(end_at_once, stack))
    if not quiet:
        print(f"served {total.calls:,} calls, at most {total.high_water:,} at once", flush=True)


def end_at_once(stack: contextlib.ExitStack, number: int) -> NoReturn:
    """End this process, whatever calls it has, with a line; what it has written for itself goes."""
    stack.close()
    print(f"grpclab: stopped by a second {interrupts.name(number)}; running calls were cut off", file=sys.stderr)
    leave(128 + number)
