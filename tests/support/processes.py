"""Processes seen from outside, and waiting for a state with a deadline."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from grpclab.system.subprocesses import STUDY_VARIABLE


def until(condition: Callable[[], object], within_s: float = 60.0, *, every_s: float = 0.02) -> bool:
    """Look again and again; whether the condition held before the time was over, which a slow machine may need."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(every_s)
    return True


def gone(process: psutil.Process) -> bool:
    """Ended; a zombie that its parent has not yet taken note of counts as ended."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def stack_of(pid: int) -> str:
    """Where a Python process is that does not go on, by py-spy; its complaint where it cannot look."""
    done = subprocess.run(
        ["py-spy", "dump", "--pid", str(pid)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def environment_of(pid: int) -> bytes:
    """The environment of a process, nothing of one that is gone; psutil takes twice as long."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""


def carrying(name: str, value: str) -> list[psutil.Process]:
    """The running processes, beside this one, with this variable in their environment."""
    found, mark = [], f"{name}={value}".encode()
    for pid in sorted(set(psutil.pids()) - {os.getpid()}):
        if mark in environment_of(pid).split(b"\0"):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
    return found


def processes_of(study: str) -> list[int]:
    """The running processes that carry this study's id in their environment."""
    return [process.pid for process in carrying(STUDY_VARIABLE, study)]
