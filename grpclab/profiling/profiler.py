"""The two kinds of profilers, and the registry of both: beside the measured window, and after it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from grpclab.profiling import families
from grpclab.profiling.threads import ThreadUse
from grpclab.system.registry import Registry

if TYPE_CHECKING:
    from grpclab.load.generator import Generator
    from grpclab.servers.process.launcher import RunningServer


@dataclass(frozen=True, kw_only=True)
class Look:
    """What one profiler saw. `note` says why there is nothing, or what to beware of; "" if all is well."""

    stacks: dict[str, int] = field(default_factory=dict)
    """Samples by folded stack."""
    per_call: dict[str, float] = field(default_factory=dict)
    """What was counted for one request, by name, the most frequent first."""
    threads: dict[str, ThreadUse] = field(default_factory=dict)
    """Usage of the threads for one request, by their name."""
    metrics: dict[str, float] = field(default_factory=dict)
    note: str = ""


class Profiler(Protocol):
    """One way to look at a server under load; another package may register one under ``grpclab.profilers``.

    Every profiler disturbs the server, so it looks after the measured window and alone. What it cannot do is a note
    of its look, never an exception.
    """

    makes_load: bool
    """Whether `look` itself measures a window of load; otherwise load runs in the background while it looks."""
    seconds: float
    """About how long it looks."""

    def look(self, server: RunningServer, generator: Generator, *, cpus: Collection[int] | None) -> Look:
        """What there is to see; `cpus` are for the profiler's own processes."""


@runtime_checkable
class WindowProfiler(Protocol):
    """A profiler that pauses nobody: it reads what the kernel counts anyway, before the load and after it.

    It alone stands beside the measured window, and it does nothing while calls are made. What it cannot do is a note of
    its look, never an exception.
    """

    def begin(self, server: RunningServer) -> Callable[[int], Look]:
        """Read once; the function returned reads once more and gives the look, for the number of calls in between."""


PROFILERS: Registry[Profiler | WindowProfiler] = Registry(
    "grpclab.profilers",
    "profiler",
    {
        "proc": "grpclab.profiling.proc:PROFILER",
        "pyspy": "grpclab.profiling.pyspy:PROFILER",
        "perf": "grpclab.profiling.perf:PROFILER",
        "strace": "grpclab.profiling.strace:PROFILER",
    },
)
"""In the order in which they look: the one that slows the server most comes last."""


def shares(prefix: str, stacks: Mapping[str, int]) -> dict[str, float]:
    """The share of each family of work in some stacks, as metrics; none where there are no stacks."""
    return {f"{prefix}_{name}": share for name, share in families.shares(stacks).items()} if stacks else {}
