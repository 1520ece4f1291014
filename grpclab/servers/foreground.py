"""``grpclab serve``: a server in the foreground of a terminal."""

from __future__ import annotations

import logging
from typing import Any

from grpclab.config import Level
from grpclab.servers.parent import serve_processes
from grpclab.servers.serving import ServeSpec, address
from grpclab.servers.sidecar import observed
from grpclab.temporary import TemporaryFolder

log = logging.getLogger("grpclab.serve")


def serve_in_foreground(
    name: str, settings: dict[str, Level], host: str, port: int, *, quiet: bool, desk_port: int = 0
) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises ServerError where that, or the desk, cannot be started."""
    with TemporaryFolder() as folder:
        spec = ServeSpec(settings=settings, host=host, port=port, tls_folder=str(folder))
        if spec.config.tls:
            from grpclab.servers import tls

            tls.issue(folder)

        def announce(where: dict[str, Any]) -> None:
            if not quiet:
                pids = where["pids"]
                processes = "1 process" if len(pids) == 1 else f"{len(pids)} processes"
                at = address(host, where["port"])
                tls_text = f", TLS with {folder}/ca.pem" if spec.config.tls else ""
                desk_text = f", profiling desk on {where['desk']}" if "desk" in where else ""
                print(
                    f"{name} server on {at} ({spec.config.implementation}, {processes}, pid"
                    f" {', '.join(map(str, pids))}{tls_text}){desk_text}; Ctrl-C stops it",
                    flush=True,
                )

        with observed(spec, announce, port=desk_port) as announce_both:
            totals = serve_processes(spec, announce_both)
    if not quiet:
        print(f"served {totals['calls']:,} calls, at most {totals['high_water']:,} at once", flush=True)
