"""The kernel's counts for this machine and some processes so far, to be read before and after a measurement.

Linux only; elsewhere, and in a container that hides them, the counts are missing, never guessed. `root` is the top of
the file system, so that tests can bring their own.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import psutil

from grpclab.system import procfs
from grpclab.system.environment import cgroup_folders, read_text

K = TypeVar("K", int, str)

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
_USED = (0, 1, 2)
"""Fields of a line of /proc/stat (proc_stat(5)): user, nice, system. Interrupts are left out: those of the network are
made by the load itself, and the kernel counts them for no process."""
_STOLEN = 7
MOST_THREADS = 200
"""A process with more of them is not asked for how long each has waited: reading that would disturb the window."""
STOPPED = ("T", "t")
"""States of a process (proc_pid_stat(5)) that a signal, or a tracer, has stopped."""


@dataclass(frozen=True, kw_only=True)
class Throttling:
    """The effect of a cgroup's CPU quota: periods begun, those in which it was used up, and for how long."""

    periods: int = 0
    throttled: int = 0
    throttled_s: float = 0.0

    def __sub__(self, before: Throttling) -> Throttling:
        """The difference: what was added since."""
        return Throttling(
            periods=self.periods - before.periods,
            throttled=self.throttled - before.throttled,
            throttled_s=self.throttled_s - before.throttled_s,
        )

    def __add__(self, other: Throttling) -> Throttling:
        """Both together."""
        return Throttling(
            periods=self.periods + other.periods,
            throttled=self.throttled + other.throttled,
            throttled_s=self.throttled_s + other.throttled_s,
        )


@dataclass(frozen=True, kw_only=True)
class KernelCounts:
    """The counts at one moment, in seconds where nothing else is said."""

    at_s: float
    """On time.perf_counter's clock."""
    forks: int = 0
    """The processes and threads that have been started on this machine; 0 where that is not known."""
    wall_s: float
    """The wall clock less the monotonic one: it changes only where somebody sets the wall clock."""
    used_s: Mapping[int, float] = field(default_factory=dict)
    """By core: CPU time of all processes on it."""
    stolen_s: Mapping[int, float] = field(default_factory=dict)
    """By core: what the host of a virtual machine took."""
    pressure_s: Mapping[str, float] = field(default_factory=dict)
    """By resource (cpu, memory, io): time in which some task of the machine waited for it."""
    cpu_s: Mapping[int, float] = field(default_factory=dict)
    """By process: CPU time of all its threads."""
    waited_s: Mapping[int, float] = field(default_factory=dict)
    """By process: time in which its threads could have run and had no core, summed over them."""
    throttling: Mapping[int, Throttling] = field(default_factory=dict)
    """By process: of the cgroup above it that was throttled most."""

    @classmethod
    def take(cls, pids: Collection[int] = (), *, root: Path = Path("/"), quotas: bool = True) -> KernelCounts:
        """Now, of the machine and of these processes; those that are gone are left out.

        Without `quotas` no throttling is read, which takes most of the time.
        """
        used, stolen, forks = _machine(root)
        cpu_s: dict[int, float] = {}
        for pid in pids:
            with contextlib.suppress(psutil.Error):
                cpu_s[pid] = procfs.cpu_seconds(pid)
        return cls(
            at_s=time.perf_counter(),
            forks=forks,
            wall_s=time.time() - time.monotonic(),
            used_s=used,
            stolen_s=stolen,
            pressure_s=_pressure(root),
            cpu_s=cpu_s,
            waited_s={pid: waited for pid in cpu_s if (waited := waited_seconds(pid, root)) is not None},
            throttling={pid: counts for pid in cpu_s if quotas and (counts := throttling(pid, root)) is not None},
        )

    def __sub__(self, before: KernelCounts) -> KernelCounts:
        """The difference: what was added since, of the processes that were there at both moments."""
        return KernelCounts(
            at_s=self.at_s - before.at_s,
            forks=self.forks - before.forks,
            wall_s=self.wall_s - before.wall_s,
            used_s={core: spent - before.used_s.get(core, 0.0) for core, spent in self.used_s.items()},
            stolen_s={core: taken - before.stolen_s.get(core, 0.0) for core, taken in self.stolen_s.items()},
            pressure_s={name: some - before.pressure_s.get(name, 0.0) for name, some in self.pressure_s.items()},
            cpu_s={pid: spent - before.cpu_s[pid] for pid, spent in self.cpu_s.items() if pid in before.cpu_s},
            waited_s={
                pid: waited - before.waited_s[pid] for pid, waited in self.waited_s.items() if pid in before.waited_s
            },
            throttling={
                pid: counts - before.throttling.get(pid, Throttling()) for pid, counts in self.throttling.items()
            },
        )

    def core_seconds(self, cores: Collection[int]) -> float:
        """CPU time of all processes on these cores, with what the host of a virtual machine took; NaN if unknown."""
        if not self.used_s:
            return math.nan
        return sum(self.used_s.get(core, 0.0) + self.stolen_s.get(core, 0.0) for core in cores)

    def of(self, pids: Collection[int]) -> KernelCounts:
        """The same without any other process."""
        return replace(
            self,
            cpu_s={pid: seconds for pid, seconds in self.cpu_s.items() if pid in pids},
            waited_s={pid: seconds for pid, seconds in self.waited_s.items() if pid in pids},
            throttling={pid: counts for pid, counts in self.throttling.items() if pid in pids},
        )

    def __add__(self, other: KernelCounts) -> KernelCounts:
        """The sum of two differences."""
        return KernelCounts(
            at_s=self.at_s + other.at_s,
            forks=self.forks + other.forks,
            wall_s=self.wall_s + other.wall_s,
            used_s=_sum(self.used_s, other.used_s),
            stolen_s=_sum(self.stolen_s, other.stolen_s),
            pressure_s=_sum(self.pressure_s, other.pressure_s),
            cpu_s=_sum(self.cpu_s, other.cpu_s),
            waited_s=_sum(self.waited_s, other.waited_s),
            throttling={
                pid: self.throttling.get(pid, Throttling()) + other.throttling.get(pid, Throttling())
                for pid in {**self.throttling, **other.throttling}
            },
        )


def _sum(one: Mapping[K, float], other: Mapping[K, float]) -> dict[K, float]:
    return {key: one.get(key, 0.0) + other.get(key, 0.0) for key in {**one, **other}}


def _machine(root: Path) -> tuple[dict[int, float], dict[int, float], int]:
    """From /proc/stat: the used and the stolen time of each core, and the number of forks."""
    used, stolen = {}, {}
    text = procfs.read_bytes(os.path.join(root, "proc/stat"), 1 << 17).decode()
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if not name.startswith("cpu"):
            break  # the lines of the cores come first
        if name[3:].isdigit():
            ticks = [int(field) for field in rest.split()]
            used[int(name[3:])] = sum(ticks[at] for at in _USED) * _TICK_S
            stolen[int(name[3:])] = ticks[_STOLEN] * _TICK_S if len(ticks) > _STOLEN else 0.0
    forks = text.rpartition("\nprocesses ")[2].partition("\n")[0]
    return used, stolen, int(forks) if forks.isdigit() else 0


def _pressure(root: Path) -> dict[str, float]:
    """The totals of the lines ``some`` of /proc/pressure (Documentation/accounting/psi.rst), in seconds."""
    seconds = {}
    for resource in ("cpu", "memory", "io"):
        line = procfs.read_bytes(os.path.join(root, "proc/pressure", resource)).decode().partition("\n")[0]
        total = line.rpartition("total=")[2]
        if line.startswith("some") and total.isdigit():
            seconds[resource] = int(total) / 1e6
    return seconds


def waited_seconds(pid: int, root: Path = Path("/")) -> float | None:
    """For how long the threads of a process have waited for a core so far, summed.

    None where that is not told, or where there are more than MOST_THREADS. It is the second field of each thread's
    schedstat; that of the process alone is its first thread's.
    """
    tasks = os.path.join(root, "proc", str(pid), "task")  # not a Path: this is read around every slice
    try:
        tids = os.listdir(tasks)
    except OSError:
        return None
    if len(tids) > MOST_THREADS:
        return None
    fields = [procfs.read_bytes(f"{tasks}/{tid}/schedstat").split() for tid in tids]
    waits_ns = [int(each[1]) for each in fields if len(each) > 1]
    return sum(waits_ns) / 1e9 if waits_ns else None


def thread_waited_seconds(root: Path = Path("/")) -> float:
    """The time that the calling thread alone has waited for a core, in seconds; 0 where that is not known."""
    fields = procfs.read_bytes(os.path.join(root, "proc/thread-self/schedstat")).split()
    return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0


def throttling(pid: int, root: Path = Path("/")) -> Throttling | None:
    """The throttling of a process so far, by that of its cgroups which was throttled most; None for none."""
    cgroups = [
        counted
        for folder in cgroup_folders("cpu", root, pid=pid)
        if (counted := _cpu_stat(read_text(folder / "cpu.stat") or "")).periods
    ]
    return max(cgroups, key=lambda counted: counted.throttled_s, default=None)


def _cpu_stat(text: str) -> Throttling:
    """``cpu.stat`` of a cgroup: version 2 counts microseconds, version 1 nanoseconds."""
    pairs = (line.partition(" ")[::2] for line in text.splitlines())
    values = {name: int(value) for name, value in pairs if value.isdigit()}
    version_1_s = values.get("throttled_time", 0) / 1e9
    return Throttling(
        periods=values.get("nr_periods", 0),
        throttled=values.get("nr_throttled", 0),
        throttled_s=values["throttled_usec"] / 1e6 if "throttled_usec" in values else version_1_s,
    )


def is_stopped(pid: int, root: Path = Path("/")) -> bool:
    """True if a process is stopped now, by a signal or a tracer; False where that is not known."""
    state = (read_text(root / f"proc/{pid}/stat") or "").rpartition(")")[2].split()[:1]
    return bool(state) and state[0] in STOPPED
