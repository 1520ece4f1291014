"""Which processes a profile looks at: those that run Python, of what a process id or a port names."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
from collections.abc import Sequence
from pathlib import Path

import psutil

from grpclab.errors import MeasurementError, UsageError, invalid
from grpclab.system import procfs

PROC = Path("/proc")
MOST_PID = 2**31 - 1
_MAPPED = re.compile(r"/libpython\d|\.cpython-\d+|/lib-dynload/")
"""Files that an interpreter has mapped, whatever its own name is."""
_SYMBOL = b"_PyRuntime"
"""In every interpreter since 3.7."""


def by_pid(pid: int) -> list[int]:
    """Of a process and its descendants, such as the workers of a server, those that run Python, but this one.

    Raises UsageError where none does, or it is no process; MeasurementError where that may not be looked at.
    """
    given = "--pid"
    if not 1 <= pid <= MOST_PID:
        raise UsageError(invalid(given, pid, "a process ID, a whole number from 1"))
    if (process_of := _thread_of(pid)) != pid:
        raise UsageError(invalid(given, pid, f"a process, not a thread; use --pid {process_of}"))
    try:
        process = psutil.Process(pid)
        below = [child for child in process.children(recursive=True) if child.pid != os.getpid()]
        family = [process, *below]
        if process.status() == psutil.STATUS_ZOMBIE:
            raise UsageError(invalid(given, pid, "a running process; this one has ended (zombie)"))
    except psutil.NoSuchProcess:
        raise UsageError(f"--pid {pid}: there is no such process") from None
    if 2 in (pid, process.ppid()) and not _words(process):
        raise UsageError(
            invalid(given, pid, f"a process that runs Python; this one is {process.name()}, a kernel thread")
        )
    python = [member.pid for member in family if runs_python(member)]
    if not python:
        what = f"this one runs {process.name()}"
        if len(family) > 1:
            what += ", and none of its child processes runs Python"
        raise UsageError(
            invalid(given, pid, f"a process that runs Python; {what}; use perf record -p for other programs")
        )
    return python


def by_port(pids: Sequence[int], target: str) -> list[int]:
    """Of the processes that listen at a target, those that run Python. Raises UsageError, MeasurementError."""
    processes = [process for pid in pids if (process := _process(pid)) is not None]
    python = [process.pid for process in processes if runs_python(process)]
    if not python:
        names = ", ".join(f"{process.name()} (pid {process.pid})" for process in processes)
        raise UsageError(invalid("--server", target, f"a server that runs Python; the port belongs to {names}"))
    return python


def runs_python(process: psutil.Process) -> bool:
    """Whether a process is, or has loaded, a Python interpreter. Raises MeasurementError where that may not be seen."""
    try:
        if "python" in Path(process.exe()).name.lower():
            return True
        mapped = (PROC / str(process.pid) / "maps").read_text(errors="replace") if PROC.exists() else ""
        return bool(_MAPPED.search(mapped)) or _holds(_SYMBOL, process)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return False
    except (psutil.AccessDenied, PermissionError):
        mend = "profile it as that user, or as root" if os.geteuid() else "this requires CAP_SYS_PTRACE"
        raise MeasurementError(
            f"process {process.pid} ({process.name()}) belongs to user {_user(process)} and cannot be read: {mend}"
        ) from None


def ended(pids: Sequence[int]) -> list[int]:
    """Those of them that do not run any more."""
    return [pid for pid in pids if _process(pid) is None]


def _process(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return process if procfs.runs(process) else None
    return None


def _thread_of(pid: int) -> int:
    """The process that a thread belongs to; `pid` itself where it is a process, or nothing."""
    with contextlib.suppress(OSError):
        status = (PROC / str(pid) / "status").read_text(errors="replace")
        if match := re.search(r"^Tgid:\s+(\d+)$", status, re.MULTILINE):
            return int(match[1])
    return pid


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _holds(symbol: bytes, process: psutil.Process) -> bool:
    """Whether the file of a process holds these bytes."""
    of_proc = PROC / str(process.pid) / "exe"  # there even where the file was replaced
    with open(of_proc if PROC.exists() else process.exe(), "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(symbol) >= 0


def _user(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error, KeyError):
        return process.username()
    return "unknown"
