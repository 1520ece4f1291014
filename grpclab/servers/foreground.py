"""``grpclab serve``: a server in the foreground of a terminal."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from grpclab.config import Level
from grpclab.servers.parent import serve_processes
from grpclab.servers.serving import ServeSpec, address

log = logging.getLogger("grpclab.serve")


def serve_in_foreground(name: str, settings: dict[str, Level], host: str, port: int, *, quiet: bool) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises ServerError where that cannot be started."""
    with tempfile.TemporaryDirectory(prefix="grpclab-") as folder:
        spec = ServeSpec(settings=settings, host=host, port=port, tls_folder=folder)
        if spec.config.tls:
            from grpclab.servers import tls

            tls.issue(Path(folder))

        def announce(where: dict[str, Any]) -> None:
            if not quiet:
                pids = where["pids"]
                processes = "1 process" if len(pids) == 1 else f"{len(pids)} processes"
                at = address(host, where["port"])
                tls_text = f", TLS with {folder}/ca.pem" if spec.config.tls else ""
                print(
                    f"{name} server on {at} ({spec.config.implementation}, {processes}, pid"
                    f" {', '.join(map(str, pids))}{tls_text}); Ctrl-C stops it",
                    flush=True,
                )

        totals = serve_processes(spec, announce)
    if not quiet:
        print(f"served {totals['calls']:,} calls, at most {totals['high_water']:,} at once", flush=True)
