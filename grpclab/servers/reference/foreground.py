"""``grpclab serve reference``: the calibration server in the foreground of a terminal."""

from __future__ import annotations

from typing import Any

from grpclab.servers.reference.serving import serve_reference
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.servers.serving import address


def serve_reference_in_foreground(spec: ReferenceSpec, *, quiet: bool) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises ServerError where that cannot be started."""

    def announce(where: dict[str, Any]) -> None:
        if not quiet:
            time_text = f"service time {spec.service_time}, {'spin' if spec.spins else 'timer'}"
            fault_text = f", fault {spec.fault}" if spec.fault else ""
            print(
                f"reference server on {address(spec.host, where['port'])} ({time_text}{fault_text}, pid"
                f" {where['pids'][0]}); Ctrl-C stops it",
                flush=True,
            )

    totals = serve_reference(spec, announce)
    if not quiet:
        print(f"served {totals['calls']:,} calls, at most {totals['high_water']:,} at once", flush=True)
