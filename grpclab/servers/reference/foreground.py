"""``grpclab serve reference``: the calibration server in the foreground of a terminal."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from functools import partial

from grpclab.servers.process.exposure import listen_address
from grpclab.servers.process.foreground import end_at_once
from grpclab.servers.process.server_messages import ServerListening
from grpclab.servers.process.serving import address
from grpclab.servers.reference.service import HEALTH_CHECK, SAY_HELLO
from grpclab.servers.reference.serving import serve_reference
from grpclab.servers.reference.spec import ReferenceSpec
from grpclab.system import ulimits

SERVICES = tuple(path.split("/")[1] for path in (SAY_HELLO, HEALTH_CHECK))


def serve_reference_in_foreground(spec: ReferenceSpec, *, quiet: bool) -> None:
    """Serve until a signal stops it. Raises ServerError where that cannot be started."""
    ulimits.raise_open_files()
    listening = listen_address(spec.host)
    spec = dataclasses.replace(spec, host=listening.host)

    def announce(served: ServerListening) -> None:
        if exposed := listening.exposure(SERVICES):
            print(f"grpclab: {exposed}", file=sys.stderr, flush=True)
        if not quiet:
            time_text = f"service time {spec.service_time}, {'spin' if spec.spins else 'timer'}"
            fault_text = f", fault {spec.fault}" if spec.fault else ""
            print(
                f"reference server on {address(spec.host, served.port)} ({time_text}{fault_text}, pid"
                f" {served.pids[0]}); Ctrl-C stops it",
                flush=True,
            )

    total = serve_reference(spec, announce, at_once=partial(end_at_once, contextlib.ExitStack()))
    if not quiet:
        print(f"served {total.calls:,} calls, at most {total.high_water:,} at once", flush=True)
