"""The kernel's view of a process: CPU time over all its threads, memory, TCP connections.

Taken from outside, so that nothing has to be asked of the process itself. Linux gives everything; elsewhere
psutil gives what it can.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The resources that some processes have used so far, all their threads together."""

    at_s: float
    """When it was read, on time.perf_counter's clock."""
    cpu_s: float
    user_s: float
    kernel_s: float
    rss_bytes: int
    peak_rss_bytes: int


def runs(process: psutil.Process) -> bool:
    """True if a process still runs; a zombie does not."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, in seconds, all threads, to the nanosecond where the kernel gives it.

    Linux lets anyone read the CPU clock of another process: its clock id is made of its process id
    (clock_getcpuclockid(3)). /proc/<pid>/stat counts in ticks of 10 ms.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except (OSError, AttributeError):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def usage(pids: Collection[int]) -> Usage:
    """The resources that these processes have used so far. Raises psutil.NoSuchProcess if one is gone."""
    cpu = user = kernel = 0.0
    rss = peak = 0
    for pid in pids:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            memory = process.memory_info()
        cpu += cpu_seconds(pid)
        user += times.user
        kernel += times.system
        rss += memory.rss
        peak += _peak_rss(pid) or memory.rss
    return Usage(at_s=time.perf_counter(), cpu_s=cpu, user_s=user, kernel_s=kernel, rss_bytes=rss, peak_rss_bytes=peak)


def _peak_rss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def connections(pids: Sequence[int], port: int, *, excluding: Collection[int] = ()) -> list[int]:
    """Established TCP connections to `port`, one count for each process of `pids` (the server's side).

    `excluding`: processes whose own connections do not count (the launcher's health probes).
    """
    skipped = {
        c.laddr.port
        for pid in excluding
        for c in psutil.Process(pid).net_connections(kind="tcp")
        if c.raddr and c.raddr.port == port
    }
    counts = []
    for pid in pids:
        sockets = psutil.Process(pid).net_connections(kind="tcp")
        counts.append(
            sum(
                1
                for c in sockets
                if c.status == psutil.CONN_ESTABLISHED
                and c.laddr.port == port
                and c.raddr
                and c.raddr.port not in skipped
            )
        )
    return counts


def outgoing_connections(pids: Collection[int], port: int) -> int:
    """Established TCP connections from these processes to `port`, wherever it is (the client's side)."""
    return sum(
        1
        for pid in pids
        for c in psutil.Process(pid).net_connections(kind="tcp")
        if c.status == psutil.CONN_ESTABLISHED and c.raddr and c.raddr.port == port
    )


def listening_pids(port: int) -> set[int]:
    """The processes that listen on a TCP port of this machine; those of other users may be missing."""
    return {
        c.pid
        for c in psutil.net_connections(kind="tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid is not None
    }
