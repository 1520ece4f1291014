"""``strace -c -f`` as a child process: system calls by name, over every thread.

It stops the server twice at each system call and makes it several times slower: a pass of its own, after the
measured window and after the profiles, never beside a number. What it tells is how many calls a request needs;
even that shifts a little, because a slower server finds more work at each wake-up.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.profiling.profiler import Look
from grpclab.system.programs import running
from grpclab.system.temporary import TemporaryFolder

if TYPE_CHECKING:
    from grpclab.load.generator import Generator
    from grpclab.load.run import LoadProgress
    from grpclab.servers.process.launcher import RunningServer

MISSING_ADVICE = "strace is not installed (Debian: apt install strace)"
PERMISSION_ADVICE = (
    "strace has no permission to attach to the server: run as root, add CAP_SYS_PTRACE, or allow it with sysctl "
    "kernel.yama.ptrace_scope=0"
)
ATTACH_TIMEOUT_S = 10.0
LIMIT_S = 120
"""strace lets go after so long, should this process be killed meanwhile."""

_ROW = re.compile(r"^\s*[\d.]+\s+([\d.]+)\s+\d+\s+(\d+)\s+(?:(\d+)\s+)?([A-Za-z_]\w*)\s*$")
_ATTACHED = re.compile(r"[Pp]rocess (\d+) attached")


@dataclass(frozen=True, kw_only=True)
class Syscall:
    """How often one system call was made, how often it returned an error, and its CPU seconds in the kernel.

    EAGAIN of a socket with nothing to read is an error like any other here. The seconds are those of a traced
    process: good to compare with each other, nothing more.
    """

    calls: int
    errors: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SyscallCounts:
    """What strace counted, by name. `note` says why there is nothing."""

    syscalls: dict[str, Syscall] = field(default_factory=dict)
    note: str = ""

    @property
    def calls(self) -> int:
        """All system calls together."""
        return sum(syscall.calls for syscall in self.syscalls.values())

    def per_call(self, requests: int) -> dict[str, float]:
        """System calls for one of so many requests, the most frequent first; empty without requests."""
        if requests <= 0:
            return {}
        by_calls = sorted(self.syscalls.items(), key=lambda item: (-item[1].calls, item[0]))
        return {name: syscall.calls / requests for name, syscall in by_calls}


class Tracing:
    """strace at work. `note` says at once why it is not; `counts` is there when it has ended."""

    def __init__(self, note: str = "") -> None:
        self.note = note
        self.counts = SyscallCounts(note=note)


@contextlib.contextmanager
def attached(pids: Sequence[int], *, cpus: Collection[int] | None = None) -> Iterator[Tracing]:
    """Count the system calls of these processes while the block runs; it begins when strace has hold of them.

    ::

        with attached(server.pids) as tracing:
            run = generator.measure()
        tracing.counts.per_call(run.summary.requests)

    Never raises for what strace cannot do: see `note`, of the tracing and of the counts.
    """
    program, limiter = shutil.which("strace"), shutil.which("timeout")
    if program is None or limiter is None:
        yield Tracing(MISSING_ADVICE)
        return
    with TemporaryFolder() as folder:
        table, log = folder / "table", folder / "log"
        command = [limiter, "--foreground", "--signal=INT", str(LIMIT_S), program, "-c", "-f", "-o", str(table)]
        command += [argument for pid in pids for argument in ("-p", str(pid))]
        env = {**os.environ, "LC_ALL": "C"}
        with (
            log.open("wb") as errors,
            running(
                command,
                ends_by=signal.SIGINT,  # strace lets go of what it traces, and writes the table
                grace_s=ATTACH_TIMEOUT_S,
                cpus=cpus,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=env,
            ) as process,
        ):
            tracing = Tracing(_attach(process, log, pids))
            yield tracing
        tracing.counts = _counts(table, log, tracing.note)


def count(pids: Sequence[int], *, duration_s: float = 1.5, cpus: Collection[int] | None = None) -> SyscallCounts:
    """Count the system calls of these processes for a while."""
    with attached(pids, cpus=cpus) as tracing:
        if not tracing.note:
            time.sleep(duration_s)
    return tracing.counts


def parse(lines: Iterable[str]) -> dict[str, Syscall]:
    """The table of ``strace -c``: ``% time, seconds, usecs/call, calls, errors (or nothing), syscall``."""
    syscalls = {}
    for line in lines:
        row = _ROW.match(line)
        if row is not None and row[4] != "total":
            syscalls[row[4]] = Syscall(calls=int(row[2]), errors=int(row[3] or 0), seconds=float(row[1]))
    return syscalls


def _attach(process: subprocess.Popen[str], log: Path, pids: Sequence[int]) -> str:
    """Wait until strace has hold of all; what went wrong, or nothing."""
    end = time.monotonic() + ATTACH_TIMEOUT_S
    while True:
        over = process.poll() is not None
        text = log.read_text(errors="replace")
        if set(pids) <= {int(pid) for pid in _ATTACHED.findall(text)}:
            return ""
        if over:
            return why(text)
        if time.monotonic() > end:
            return f"strace did not attach within {ATTACH_TIMEOUT_S:g} s"
        time.sleep(0.02)


def why(errors: str) -> str:
    """One line about why there is nothing, from what strace said."""
    if re.search(r"not permitted|permission denied", errors, re.IGNORECASE):
        return PERMISSION_ADVICE
    last = next((line for line in reversed(errors.splitlines()) if line.strip()), "no output")
    return f"strace counted nothing: {last.strip()}"


def _counts(table: Path, log: Path, note: str) -> SyscallCounts:
    if note:
        return SyscallCounts(note=note)
    syscalls = parse(table.read_text(errors="replace").splitlines()) if table.exists() else {}
    return SyscallCounts(syscalls=syscalls, note="" if syscalls else why(log.read_text(errors="replace")))


class StraceProfiler:
    """See :class:`grpclab.profiling.profiler.Profiler`."""

    makes_load = True
    seconds = 0.5

    def look(self, server: RunningServer, generator: Generator, *, cpus: Collection[int] | None) -> Look:
        """The system calls of a window of load, from its first call to its last."""

        def enough(progress: LoadProgress) -> str | None:
            return "system calls counted" if progress.elapsed_s >= self.seconds else None

        calls = 0
        with attached(server.pids, cpus=cpus) as tracing:
            if not tracing.note:
                run = generator.measure(warmup_s=0.0, stop_when=enough)
                calls = sum(len(window.records) for window in run.windows)
        counts = tracing.counts
        per_call = counts.calls / calls if calls and counts.calls else math.nan
        return Look(per_call=counts.per_call(calls), metrics={"syscalls_per_call": per_call}, note=counts.note)


PROFILER = StraceProfiler()
