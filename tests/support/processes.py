"""Processes seen from outside, and waiting for a state with a deadline."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

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


def processes_of(study: str) -> list[int]:
    """The running processes that carry this study's id in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            marked = process.pid != os.getpid() and process.environ().get(STUDY_VARIABLE) == study
            if marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
