"""The kernel's accounting of a server's threads, beside the measured window: CPU time and context switches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from grpclab.profiling import threads
from grpclab.profiling.profiler import Look

if TYPE_CHECKING:
    from grpclab.servers.process.launcher import RunningServer


class ProcProfiler:
    """See :class:`grpclab.profiling.profiler.WindowProfiler`."""

    def begin(self, server: RunningServer) -> Callable[[int], Look]:
        """Read /proc now; the look reads it again, and divides the difference by the calls of the warm-up too."""
        before = threads.read(server.pids)

        def look(calls: int) -> Look:
            used = threads.difference(before, threads.read(server.pids))
            by_name = {use.comm: use.per_call(calls) for use in used} if calls else {}
            return Look(threads=by_name, metrics=metrics(used, calls))

        return look


PROFILER = ProcProfiler()


def metrics(used: Sequence[threads.ThreadUse], calls: int) -> dict[str, float]:
    """The share of C-core's own threads in the CPU time, and the context switches of all threads for one call."""
    whole = threads.total(used).per_call(calls)
    native = threads.total(use for use in used if use.comm.startswith(threads.EVENT_ENGINE)).per_call(calls)
    return {
        "server_event_engine_share": native.cpu_s / whole.cpu_s if whole.cpu_s > 0 else math.nan,
        "server_voluntary_switches_per_call": whole.voluntary,
        "server_involuntary_switches_per_call": whole.involuntary,
    }
