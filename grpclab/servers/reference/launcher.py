"""Start the reference server as a child process, as :mod:`grpclab.servers.process.launcher` starts the servers under
test."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from grpclab.servers.process.launcher import RunningServer, launched
from grpclab.servers.reference.spec import ReferenceSpec


@contextlib.contextmanager
def launch_reference(
    spec: ReferenceSpec,
    *,
    cpus: Collection[int] | None = None,
    log_path: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[RunningServer]:
    """Run a reference server on loopback until the block is left. Raises ServerError.

    The health of a server with a fault is not checked first, because that check would be its first call.
    """
    with launched(
        "grpclab.servers.reference.child",
        spec,
        cpus=cpus,
        log_path=log_path,
        env=env,
        healthy=not spec.fault,
    ) as server:
        yield server
