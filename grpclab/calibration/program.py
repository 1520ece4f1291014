"""Another program as a child that ends with us: the keeper between it and us.

``python -m grpclab.calibration.program PROGRAM ARGUMENT...`` starts the program, says :class:`ProgramStarted`, and
when it has ended :class:`ProgramEnded`, as messages of :mod:`grpclab.system.json_lines`. Its standard input is the
lifeline: when that is closed, by whatever end of the parent, the program is killed. SIGTERM ends it too.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from grpclab.errors import MissingDependencyError
from grpclab.system.programs import adopt_orphans, kill_descendants, tied
from grpclab.system.subprocesses import Child, say

MODULE = "grpclab.calibration.program"
LAST_CHARACTERS = 20_000
"""As much of a program's output is handed on."""


@dataclass(frozen=True, kw_only=True)
class ProgramStarted:
    """The process of the program."""

    pid: int


@dataclass(frozen=True, kw_only=True)
class ProgramEnded:
    """The exit code, the end of what it wrote, and the CPU time of it and its children."""

    code: int
    output: str
    cpu_s: float


def kept(program: str, *arguments: str, hint: str, cpus: Collection[int] | None = None) -> Child:
    """The program, pinned, under a keeper. `hint` says how to get it. Raises MissingDependencyError without it."""
    path = shutil.which(program)
    if path is None:
        raise MissingDependencyError(f"{program} is not installed: {hint}")
    return Child(MODULE, path, *arguments, name=program, cpus=cpus)


def main() -> None:
    """See the module's docstring."""
    adopt_orphans()
    process = subprocess.Popen(
        tied(sys.argv[1:]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )

    def end(*_: Any) -> None:
        kill_descendants()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        end()

    signal.signal(signal.SIGTERM, end)
    threading.Thread(target=watch, name="lifeline", daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        say(ProgramStarted(pid=process.pid))
        output, _ = process.communicate()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        say(
            ProgramEnded(code=process.returncode, output=output[-LAST_CHARACTERS:], cpu_s=used.ru_utime + used.ru_stime)
        )


if __name__ == "__main__":
    main()
