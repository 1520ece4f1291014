"""Why a configuration is as fast as it is: the looks of the profilers, beside the measured window and after it.

Only what pauses nobody stands beside the window. Every other look disturbs the server in its own way, so each has a
pass of its own afterwards: py-spy and perf one after the other under the same load, strace, which slows the server
most, last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from grpclab.load.generator import Generator
from grpclab.profiling.profiler import PROFILERS, Look, WindowProfiler
from grpclab.servers.process.launcher import RunningServer

WITH_COLUMNS = ("proc", "pyspy", "perf", "strace")
"""The profilers whose metrics and notes are columns of trials.parquet."""
LEAD_S = 0.2
"""The load runs alone for so long before the first look."""


def length_s() -> float:
    """About how long the built-in profilers look at a server after its window, one after the other."""
    profilers = (PROFILERS[name] for name in PROFILERS.builtin)
    return LEAD_S + sum(profiler.seconds for profiler in profilers if not isinstance(profiler, WindowProfiler))


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the looks after the window brought. The notes say why there is nothing, or what to beware of; "" if all is
    well."""

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


def begin(server: RunningServer, *, profile: bool) -> Callable[[int], dict[str, Look]]:
    """Begin the looks beside the window; the function returned ends them, after so many calls.

    Without `profile` those of other packages are left out.
    """
    profilers = {name: PROFILERS[name] for name in (PROFILERS if profile else PROFILERS.builtin)}
    begun = {name: one.begin(server) for name, one in profilers.items() if isinstance(one, WindowProfiler)}
    return lambda calls: {name: look(calls) for name, look in begun.items()}


def observe(server: RunningServer, generator: Generator, *, cpus: Collection[int] | None) -> Evidence:
    """Look at a server under the generator's load; `cpus` are for the tools themselves. Raises if the server dies."""
    profilers = {name: one for name, one in PROFILERS.items() if not isinstance(one, WindowProfiler)}
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
    return Evidence(
        stacks=looks["pyspy"].stacks,
        perf_stacks=looks["perf"].stacks,
        syscalls_per_call=looks["strace"].per_call,
        metrics={key: value for name in WITH_COLUMNS if name in looks for key, value in looks[name].metrics.items()},
        profile_note=looks["pyspy"].note,
        perf_note=looks["perf"].note,
        strace_note=looks["strace"].note,
        others={name: look for name, look in looks.items() if name not in WITH_COLUMNS},
    )
