"""Why a configuration is as fast as it is: what is looked at after the measured window, each look in its own pass.

Every look disturbs the server in its own way, so none of them stands beside a measured number, nor beside
another: py-spy and perf one after the other under the same load, strace, which slows the server most, last.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from grpclab.load.generator import Generator
from grpclab.load.run import LoadProgress
from grpclab.profiling import families, perf, pyspy, strace
from grpclab.servers.process.launcher import RunningServer

LEAD_S = 0.2
"""The load runs alone for so long before the first look."""
PYSPY_S = 2
PERF_S = 1.0
PERF_HZ = 499
STRACE_S = 0.5

NOTES: tuple[str, ...] = ("profile_note", "perf_note", "strace_note")
"""The notes of :class:`Evidence`, which are columns of trials.parquet."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the looks brought. The notes say why there is nothing, or what to beware of; "" if all is well."""

    stacks: dict[str, int] = field(default_factory=dict)
    """py-spy's samples by folded stack."""
    perf_stacks: dict[str, int] = field(default_factory=dict)
    """perf's samples by folded stack, the thread's name first."""
    syscalls_per_call: dict[str, float] = field(default_factory=dict)
    """System calls of the server for one request, by name, the most frequent first."""
    metrics: dict[str, float] = field(default_factory=dict)
    profile_note: str = ""
    perf_note: str = ""
    strace_note: str = ""


def observe(server: RunningServer, generator: Generator, *, cpus: Collection[int] | None) -> Evidence:
    """Look at a server under the generator's load; `cpus` are for the tools themselves. Raises if the server dies."""
    with generator.background():
        time.sleep(LEAD_S)
        sampled = pyspy.record(server.pids, duration_s=PYSPY_S, cpus=cpus)
        ran = perf.record(server.pids, duration_s=PERF_S, rate_hz=PERF_HZ, cpus=cpus)
    server.require_alive()
    counted, calls = _syscalls(server, generator, cpus)
    server.require_alive()
    metrics = {"profile_samples": float(sampled.samples), "profile_errors": float(sampled.errors)}
    metrics |= _shares("share", sampled.stacks)
    if ran.samples:
        metrics |= {"perf_samples": ran.samples, "perf_lost": ran.lost, "perf_kernel_share": ran.kernel_share}
        metrics |= _shares("perf_share", ran.stacks)
    metrics["syscalls_per_call"] = counted.calls / calls if calls and counted.calls else math.nan
    return Evidence(
        stacks=sampled.stacks,
        perf_stacks=ran.stacks,
        syscalls_per_call=counted.per_call(calls),
        metrics=metrics,
        profile_note=sampled.note,
        perf_note=ran.note,
        strace_note=counted.note,
    )


def _shares(prefix: str, stacks: dict[str, int]) -> dict[str, float]:
    return {f"{prefix}_{name}": share for name, share in families.shares(stacks).items()} if stacks else {}


def _syscalls(
    server: RunningServer, generator: Generator, cpus: Collection[int] | None
) -> tuple[strace.SyscallCounts, int]:
    """What strace counted while a window of the load ran, from its first call to its last, and how many those were."""

    def enough(progress: LoadProgress) -> str | None:
        return "system calls counted" if progress.elapsed_s >= STRACE_S else None

    with strace.attached(server.pids, cpus=cpus) as tracing:
        if tracing.note:
            return tracing.counts, 0
        run = generator.measure(warmup_s=0.0, stop_when=enough)
    return tracing.counts, sum(len(window.records) for window in run.windows)
