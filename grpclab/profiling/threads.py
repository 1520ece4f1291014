"""Kernel accounting: what each thread used, told by the kernel itself and summed by thread name.

It sees every thread, C-core's ``event_engine`` included, costs next to nothing and pauses nobody, so it belongs
beside a measured window. It does not say what the time was spent on: that is what the profiles are for.

CPU time counts in ticks of 10 ms (proc_pid_stat(5)); the split into user and kernel is itself sampled at the
kernel's clock ticks. Context switches are exact: voluntary ones give the CPU away to wait, involuntary ones
lose it to others.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
EVENT_ENGINE = "event_engine"
"""How the names of C-core's own I/O threads begin, which py-spy cannot see."""


@dataclass(frozen=True, kw_only=True)
class Thread:
    """What one thread has used so far. `started` (ticks since boot) tells it from a later one of the same id."""

    pid: int
    tid: int
    started: int
    comm: str
    user_s: float
    kernel_s: float
    voluntary: int
    involuntary: int

    @property
    def key(self) -> tuple[int, int, int]:
        """What no other thread has."""
        return self.pid, self.tid, self.started


@dataclass(frozen=True, kw_only=True)
class ThreadUse:
    """What the threads of one name used in a window: seconds and context switches.

    `threads` are those alive at its end. `gone` are those that ended within it: what they used in it is lost.
    """

    comm: str
    threads: int = 0
    gone: int = 0
    user_s: float = 0.0
    kernel_s: float = 0.0
    voluntary: float = 0
    involuntary: float = 0

    def __add__(self, other: ThreadUse) -> ThreadUse:
        """Both together, under the first one's name."""
        return ThreadUse(
            comm=self.comm,
            threads=self.threads + other.threads,
            gone=self.gone + other.gone,
            user_s=self.user_s + other.user_s,
            kernel_s=self.kernel_s + other.kernel_s,
            voluntary=self.voluntary + other.voluntary,
            involuntary=self.involuntary + other.involuntary,
        )

    @property
    def cpu_s(self) -> float:
        """User and kernel together."""
        return self.user_s + self.kernel_s

    @property
    def kernel_share(self) -> float:
        """The kernel's share of the CPU time; NaN without any."""
        return self.kernel_s / self.cpu_s if self.cpu_s > 0 else math.nan

    def per_call(self, calls: int) -> ThreadUse:
        """The same for one of so many calls; NaN without calls."""
        return ThreadUse(
            comm=self.comm,
            threads=self.threads,
            gone=self.gone,
            user_s=self.user_s / calls if calls else math.nan,
            kernel_s=self.kernel_s / calls if calls else math.nan,
            voluntary=self.voluntary / calls if calls else math.nan,
            involuntary=self.involuntary / calls if calls else math.nan,
        )


def read(pids: Collection[int], *, proc: Path = PROC) -> list[Thread]:
    """All threads of these processes now; none of those that are gone, and none where /proc is missing."""
    threads = []
    for pid in pids:
        try:
            tids = os.listdir(proc / str(pid) / "task")
        except OSError:
            continue
        for tid in tids:
            folder = proc / str(pid) / "task" / tid
            try:
                stat = (folder / "stat").read_text(errors="replace")
                status = (folder / "status").read_text(errors="replace")
            except OSError:
                continue  # it ended in between
            threads.append(parse(pid, int(tid), stat, status))
    return threads


def parse(pid: int, tid: int, stat: str, status: str) -> Thread:
    """A thread out of its ``stat`` (fields 2, 14, 15 and 22) and the last two lines of its ``status``."""
    comm, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    switches = dict(line.split(":", 1) for line in status.splitlines() if "ctxt_switches:" in line)
    return Thread(
        pid=pid,
        tid=tid,
        started=int(fields[19]),
        comm=comm,
        user_s=int(fields[11]) * _TICK_S,
        kernel_s=int(fields[12]) * _TICK_S,
        voluntary=int(switches.get("voluntary_ctxt_switches", 0)),
        involuntary=int(switches.get("nonvoluntary_ctxt_switches", 0)),
    )


def difference(before: Iterable[Thread], after: Iterable[Thread]) -> list[ThreadUse]:
    """What was used between two readings, by thread name, the busiest first.

    A thread that is new in the second reading began at nothing. One that was renamed goes by its last name.
    """
    first = {thread.key: thread for thread in before}
    uses: dict[str, ThreadUse] = {}

    def add(use: ThreadUse) -> None:
        uses[use.comm] = uses.get(use.comm, ThreadUse(comm=use.comm)) + use

    for now in after:
        then = first.pop(now.key, None)
        add(
            ThreadUse(
                comm=now.comm,
                threads=1,
                user_s=now.user_s - (then.user_s if then else 0.0),
                kernel_s=now.kernel_s - (then.kernel_s if then else 0.0),
                voluntary=now.voluntary - (then.voluntary if then else 0),
                involuntary=now.involuntary - (then.involuntary if then else 0),
            )
        )
    for thread in first.values():
        add(ThreadUse(comm=thread.comm, gone=1))
    return sorted(uses.values(), key=lambda use: (-use.cpu_s, use.comm))


def total(uses: Iterable[ThreadUse]) -> ThreadUse:
    """All names together, under the name ``all``."""
    return sum(uses, start=ThreadUse(comm="all"))
