"""Why a configuration is as fast as it is: what is looked at after the measured window, each look in its own pass.

Every look disturbs the server in its own way, so none of them stands beside a measured number, nor beside
another: py-spy and perf one after the other under the same load, strace, which slows the server most, last.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from grpclab.load.generator import Generator
from grpclab.profiling.profiler import PROFILERS, Look
from grpclab.servers.process.launcher import RunningServer

WITH_COLUMNS = ("pyspy", "perf", "strace")
"""The profilers whose metrics and notes are columns of trials.parquet."""
LEAD_S = 0.2
"""The load runs alone for so long before the first look."""


def length_s() -> float:
    """About how long the built-in profilers look at a server, one after the other."""
    return LEAD_S + sum(PROFILERS[name].seconds for name in PROFILERS.builtin)


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
    others: dict[str, Look] = field(default_factory=dict)
    """What every further profiler saw, by name."""


def observe(server: RunningServer, generator: Generator, *, cpus: Collection[int] | None) -> Evidence:
    """Look at a server under the generator's load; `cpus` are for the tools themselves. Raises if the server dies."""
    profilers = dict(PROFILERS.items())
    looks: dict[str, Look] = {}
    with generator.background():
        time.sleep(LEAD_S)
        for name, profiler in profilers.items():
            if not profiler.makes_load:
                looks[name] = profiler.look(server, generator, cpus=cpus)
    server.require_alive()
    for name, profiler in profilers.items():
        if profiler.makes_load:
            looks[name] = profiler.look(server, generator, cpus=cpus)
            server.require_alive()
    others = {name: look for name, look in looks.items() if name not in WITH_COLUMNS}
    return Evidence(
        stacks=looks["pyspy"].stacks,
        perf_stacks=looks["perf"].stacks,
        syscalls_per_call=looks["strace"].per_call,
        metrics={key: value for name in WITH_COLUMNS for key, value in looks[name].metrics.items()},
        profile_note=looks["pyspy"].note,
        perf_note=looks["perf"].note,
        strace_note=looks["strace"].note,
        others=others,
    )
