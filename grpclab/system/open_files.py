"""How many files a process may have open: each connection is one."""

from __future__ import annotations

import math

from grpclab.errors import MeasurementError

try:  # here, since it cannot be loaded any more once no file can be opened
    import resource
except ModuleNotFoundError:  # not a Unix
    resource = None  # type: ignore[assignment]

OWN_FILES = 28
"""Open in a load worker besides its connections: about 20, and some at times."""


def limits() -> tuple[float, float]:
    """The soft and the hard limit of this process; infinity for none."""
    if resource is None:
        return math.inf, math.inf
    soft, hard = (
        math.inf if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return soft, hard


def most() -> float:
    """As many as a process that we start may have; its own limit may be lower until it is raised."""
    return limits()[1]


def raise_limit() -> None:
    """Let this process have as many as the system permits. For processes of ours: a user's server keeps its limit."""
    _, hard = limits()
    if hard < math.inf:  # macOS refuses to lift it altogether
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(hard), int(hard)))


def require(connections: int, limit: float | None = None) -> None:
    """Raise MeasurementError where a load worker cannot have so many connections; `limit` is :func:`most`."""
    limit = most() if limit is None else limit
    if connections + OWN_FILES > limit:
        raise MeasurementError(
            f"a load worker with {connections:,} connections needs {connections + OWN_FILES:,} open files, and this"
            f" system allows a process {limit:,}: raise `ulimit -n`, or use fewer connections"
        )
