"""How much memory this process may have (``ulimit -v``): too little is said before a library fails."""

from __future__ import annotations

LEAST_BYTES = 256 * 2**20
"""Below about 200 MiB the numerical libraries cannot be loaded."""
ENDED = "this process has no more memory, or may start no more threads: raise `ulimit -v` or `ulimit -u`, or end others"


def too_small(limit: int | None = None) -> str:
    """An error line where the limit of this process, or `limit` in bytes, is too small; else nothing."""
    if limit is None:
        try:
            import resource
        except ModuleNotFoundError:  # not a Unix
            return ""
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]  # -1, or a large number, where there is none
    if not 0 <= limit < LEAST_BYTES:
        return ""
    return f"this process may have only {limit // 2**20:,} MiB of memory: raise `ulimit -v` to {LEAST_BYTES // 2**10}"


def exhausted(error: BaseException) -> bool:
    """Whether an error means that memory or threads ran out."""
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)
