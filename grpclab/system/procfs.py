"""The kernel's view of a process: CPU time over all its threads, memory, connections.

Taken from outside, so that nothing has to be asked of the process itself. Linux gives everything; elsewhere
psutil gives what it can.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

TICK_S = 1.0 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01


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


def read_bytes(path: str, most: int = 1 << 14) -> bytes:
    """A small file of /proc, `most` bytes of it; nothing of one that is gone. It takes a few microseconds."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, most)
    except OSError:
        return b""
    finally:
        os.close(file)


def ended_children_seconds(pid: int) -> float:
    """CPU time of the children of a process that have ended and that it waited for, in ticks of 10 ms; 0 if unknown."""
    fields = read_bytes(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return (int(fields[13]) + int(fields[14])) * TICK_S if len(fields) > 14 else 0.0


def usage(pids: Collection[int], *, families: bool = False) -> Usage:
    """The resources that these processes have used so far. Raises psutil.NoSuchProcess if one is gone.

    With `families` those of all that they started count, too: of what runs its own use, of what has ended and was
    waited for the CPU time that the kernel adds to its parent's.
    """
    parts = [_used_by(pid, families=families) for pid in pids]
    for pid in descendants(pids) if families else ():
        with contextlib.suppress(psutil.Error, OSError):  # it has just ended
            parts.append(_used_by(pid, families=True))
    return Usage(
        at_s=time.perf_counter(),
        cpu_s=sum(part.cpu_s for part in parts),
        user_s=sum(part.user_s for part in parts),
        kernel_s=sum(part.kernel_s for part in parts),
        rss_bytes=sum(part.rss_bytes for part in parts),
        peak_rss_bytes=sum(part.peak_rss_bytes for part in parts),
    )


def _used_by(pid: int, *, families: bool) -> Usage:
    """The resources that one process has used so far; with `families`, also those of its children that have ended."""
    process = psutil.Process(pid)
    with process.oneshot():
        times = process.cpu_times()
        memory = process.memory_info()
    user, kernel = (times.children_user, times.children_system) if families else (0.0, 0.0)
    return Usage(
        at_s=time.perf_counter(),
        cpu_s=cpu_seconds(pid) + user + kernel,
        user_s=times.user + user,
        kernel_s=times.system + kernel,
        rss_bytes=memory.rss,
        peak_rss_bytes=_peak_rss(pid) or memory.rss,
    )


def descendants(pids: Collection[int]) -> set[int]:
    """The processes that these have started, and they in turn, as far as they run and are not among `pids`."""
    found, known = set(pids), set(pids)
    while found:
        found = {child for pid in found for child in _children(pid)} - known
        known |= found
    return known - set(pids)


def _children(pid: int) -> list[int]:
    """The children of a process. Linux lists them by thread, which takes microseconds; elsewhere all are looked at."""
    children: list[int] = []
    tasks = f"/proc/{pid}/task"
    if not os.path.exists(f"{tasks}/{pid}/children"):
        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children()]
        return []
    with contextlib.suppress(OSError):
        for task in os.listdir(tasks):
            children += map(int, read_bytes(f"{tasks}/{task}/children").split())
    return children


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


@dataclass(frozen=True, kw_only=True)
class UnixSocket:
    """The ends of a Unix socket's connections on the side of its server, by process."""

    listening: frozenset[int]
    """The processes that listen on it; those of other users may be missing."""
    connections: Mapping[int, int]
    """Established connections, a count for each process that holds some."""

    @classmethod
    def at(cls, path: str, root: Path = Path("/")) -> UnixSocket:
        """The socket of this path now; nothing of it where the system does not tell."""
        listening, connected = _unix_inodes(path, root)
        owners: set[int] = set()
        counts: Counter[int] = Counter()
        for folder in (root / "proc").glob("[0-9]*/fd") if listening or connected else ():
            held = _socket_inodes(folder)
            owners |= {int(folder.parent.name)} if held & listening else set()
            counts[int(folder.parent.name)] += len(held & connected)
        return cls(listening=frozenset(owners), connections={pid: count for pid, count in counts.items() if count})


_ACCEPTS, _CONNECTED = 0x10000, 3
"""The flag and the state of a socket in ``/proc/net/unix`` (SO_ACCEPTCON, SS_CONNECTED)."""


def _unix_inodes(path: str, root: Path) -> tuple[set[int], set[int]]:
    """The inodes of the sockets with this path that listen, and of those that are connected."""
    listening: set[int] = set()
    connected: set[int] = set()
    try:
        lines = (root / "proc/net/unix").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return listening, connected
    for line in lines[1:]:
        _, _, _, flags, _, state, inode, *name = line.split(maxsplit=7)
        if name == [path]:
            if int(flags, 16) & _ACCEPTS:
                listening.add(int(inode))
            elif int(state, 16) == _CONNECTED:
                connected.add(int(inode))
    return listening, connected


def _socket_inodes(folder: Path) -> set[int]:
    """The inodes of the sockets that a process holds; none of one that is gone, or another user's."""
    found = set()
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            with contextlib.suppress(OSError, ValueError):
                found.add(int(os.readlink(folder / name).removeprefix("socket:[").removesuffix("]")))
    return found


def outgoing_connections(pids: Collection[int], port: int) -> int:
    """Established TCP connections from these processes to `port`, wherever it is (the client's side).

    A process that is gone has none.
    """
    found = 0
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += sum(
                c.status == psutil.CONN_ESTABLISHED and bool(c.raddr) and c.raddr.port == port
                for c in psutil.Process(pid).net_connections(kind="tcp")
            )
    return found


def listening_pids(port: int) -> set[int]:
    """The processes that listen on a TCP port of this machine; those of other users may be missing."""
    return {
        c.pid
        for c in psutil.net_connections(kind="tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port and c.pid is not None
    }
