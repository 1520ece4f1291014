"""The limits of a process: open files (each connection is one), memory, processes.

Too little is said before a library fails.
"""

from __future__ import annotations

import math

from grpclab.errors import MeasurementError

try:  # here, since it cannot be loaded any more once no file can be opened
    import resource
except ModuleNotFoundError:  # not a Unix
    resource = None  # type: ignore[assignment]

OWN_FILES = 28
"""Open in a load worker besides its connections: about 20, and some at times."""
LEAST_MEMORY_BYTES = 256 * 2**20
"""Below about 200 MiB the numerical libraries cannot be loaded."""
EXHAUSTED = (
    "this process is out of memory or cannot start more threads: raise `ulimit -v` or `ulimit -u`, or stop other "
    "processes"
)


def open_files() -> tuple[float, float]:
    """The soft and the hard limit of this process; infinity for none."""
    if resource is None:
        return math.inf, math.inf
    soft, hard = (
        math.inf if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(resource.RLIMIT_NOFILE)
    )
    return soft, hard


def most_open_files() -> float:
    """The most files that a process of ours may open; its own limit may be lower until it is raised."""
    return open_files()[1]


def raise_open_files() -> None:
    """Let this process have as many as the system permits. For processes of ours: a user's server keeps its limit."""
    _, hard = open_files()
    if hard < math.inf:  # macOS refuses to lift it altogether
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(hard), int(hard)))


def require_open_files(connections: int, limit: float | None = None) -> None:
    """Raise MeasurementError where a load worker cannot have so many connections.

    `limit` is :func:`most_open_files`, unless given.
    """
    limit = most_open_files() if limit is None else limit
    if connections + OWN_FILES > limit:
        raise MeasurementError(
            f"a load worker with {connections:,} connections needs {connections + OWN_FILES:,} open files, but the "
            f"limit is {limit:,} per process: raise `ulimit -n`, or use fewer connections"
        )


def memory_too_small(limit: int | None = None) -> str:
    """Return an error line where the memory limit (``ulimit -v``) is too low, else nothing.

    `limit` is in bytes; that of this process unless given.
    """
    if limit is None:
        if resource is None:
            return ""
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]  # -1, or a large number, where there is none
    if not 0 <= limit < LEAST_MEMORY_BYTES:
        return ""
    least_kib = LEAST_MEMORY_BYTES // 2**10
    return f"this process can use only {limit // 2**20:,} MiB of memory: raise `ulimit -v` to {least_kib}"


def processes() -> int | None:
    """The user's limit of threads and processes; None for no limit."""
    if resource is None:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    return None if soft == resource.RLIM_INFINITY else soft


def exhausted(error: BaseException) -> bool:
    """True if an error means that memory or threads ran out."""
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)
