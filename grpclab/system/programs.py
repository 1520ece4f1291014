"""Programs of others as children that end with the block, with this process, and with all that they started.

::

    with running(["perf", "record", ...], stdout=subprocess.PIPE) as program:
        text, _ = program.communicate(timeout=20)

They do not know our lifeline (:mod:`grpclab.system.subprocesses`). So the kernel ends them with us where it can
(Linux), and they have a process group of their own: Ctrl-C goes to us alone, and what they started is reached by it.
What leaves the group, as a daemon does, stays our descendant once this process has called :func:`adopt_orphans`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import IO

import psutil

from grpclab.system import interrupts, procfs, tether
from grpclab.system.subprocesses import exit_code_within, pin

GRACE_S = 5.0
"""Longest wait for a program that was asked to end."""
KILLING_S = 5.0
"""So long at most descendants are killed: one that the kernel holds may take longer to go."""


def tied(command: Sequence[str], number: int = signal.SIGKILL) -> list[str]:
    """The command of a program that gets this signal when the thread that starts it ends."""
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), str(int(number)), *command]


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    ends_by: int = signal.SIGINT,
    grace_s: float = GRACE_S,
    cpus: Collection[int] | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    env: dict[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run a program, pinned to `cpus`, until the block is left: `ends_by` ends it if it still runs then, or SIGKILL."""
    process = subprocess.Popen(
        tied(command, ends_by),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=env,
        text=True,
        errors="replace",
        process_group=0,
    )
    try:
        if cpus:
            pin(process.pid, cpus)
        yield process
    finally:
        with interrupts.deferred():
            end(process, ends_by, grace_s)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()


def end(process: subprocess.Popen[str], number: int = signal.SIGINT, grace_s: float = GRACE_S) -> None:
    """End a program of :func:`running` before its time.

    Not by SIGKILL at first: py-spy, in the middle of a sample, would leave the process that it samples stopped.
    """
    if process.poll() is None:
        signal_group(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            exit_code_within(process, grace_s)
        signal_group(process.pid, signal.SIGKILL)
        process.wait()


def signal_group(pid: int, number: int) -> None:
    """Send a signal to all of a process group, if there is still one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def adopt_orphans() -> bool:
    """Make descendants whose parent has ended children of this process; whether the kernel does that (Linux)."""
    return tether.prctl(tether.SET_CHILD_SUBREAPER, 1)


def descendants(pid: int | None = None) -> list[psutil.Process]:
    """All that this process, or that with this id, started, and they in turn, and that still run."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process for process in psutil.Process(pid).children(recursive=True) if procfs.runs(process)]
    return []


def kill_descendants(known: Collection[psutil.Process] = ()) -> None:
    """Kill all that this process started, with what they start meanwhile, and those that were `known` to be its own."""
    end = time.monotonic() + KILLING_S
    while time.monotonic() < end:
        left = {*descendants(), *(process for process in known if procfs.runs(process))}
        if not left:
            return
        kill(left)
        time.sleep(0.005)


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill those of these processes that still run."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
