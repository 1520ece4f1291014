"""py-spy as a child process: sample some processes for a while, keep the stacks and what went wrong.

It pauses what it samples: never beside a measured window. It sees Python's threads only (``--native`` adds
their C frames), not C-core's own I/O threads; the kernel share over all threads comes from /proc.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.profiling.families import parse_folded
from grpclab.profiling.profiler import Look, shares
from grpclab.system.programs import end, running
from grpclab.system.temporary import TemporaryFolder

if TYPE_CHECKING:
    from grpclab.load.generator import Generator
    from grpclab.servers.process.launcher import RunningServer

PERMISSION_ADVICE = (
    "py-spy has no permission to attach to the server: run as root, give it CAP_SYS_PTRACE (sudo setcap "
    "cap_sys_ptrace=ep $(which py-spy)), or allow it with sysctl kernel.yama.ptrace_scope=0"
)
IDLE_NOTE = "py-spy found no active threads"
MISSING_ADVICE = "py-spy is not installed: pip install py-spy"
LOOK_S = 0.1
"""So often at least it is asked whether to end early."""


@dataclass(frozen=True, kw_only=True)
class PySpyProfile:
    """What py-spy saw of one or more processes. `note` says why there is nothing, or what to beware of."""

    stacks: dict[str, int] = field(default_factory=dict)
    samples: int = 0
    errors: int = 0
    note: str = ""


def executable() -> str | None:
    """Where py-spy is: beside this Python, or on the path."""
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")


def record(
    pids: Sequence[int],
    *,
    duration_s: int = 2,
    rate_hz: int = 40,
    cpus: Collection[int] | None = None,
    stop: threading.Event | None = None,
) -> PySpyProfile:
    """Sample these processes side by side; whole seconds. Never raises for what py-spy cannot do: see `note`.

    `stop`, once set, ends it early.
    """
    program = executable()
    if program is None:
        return PySpyProfile(note=MISSING_ADVICE)
    native = [] if sys.platform == "darwin" else ["--native"]
    with TemporaryFolder() as folder, contextlib.ExitStack() as stack:
        files = [folder / f"{pid}.folded" for pid in pids]
        started = []
        for pid, file in zip(pids, files, strict=True):
            command = [program, "record", *native, "--format", "raw", "--rate", str(rate_hz)]
            command += ["--duration", str(duration_s), "--output", str(file), "--pid", str(pid)]
            started.append(stack.enter_context(running(command, cpus=cpus, stderr=subprocess.STDOUT)))
        texts = _finish(started, duration_s + 20.0, stop or threading.Event())
        recorded = [file.read_text(errors="replace").splitlines() if file.exists() else [] for file in files]
    stacks = parse_folded(line for lines in recorded for line in lines)
    return PySpyProfile(
        stacks=stacks,
        samples=sum(stacks.values()),
        errors=sum(int(n) for text in texts for n in re.findall(r"Errors: (\d+)", text)),
        note=_note(texts, [bool(lines) for lines in recorded]),
    )


def _finish(started: Sequence[subprocess.Popen[str]], timeout_s: float, stop: threading.Event) -> list[str]:
    """What each py-spy says, once it has ended."""
    limit = time.monotonic() + timeout_s
    outputs: dict[int, str] = {}
    while len(outputs) < len(started) and not stop.is_set() and time.monotonic() < limit:
        for process in started:  # each is read meanwhile: one whose pipe is full would not go on
            if process.pid not in outputs:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    outputs[process.pid] = process.communicate(timeout=LOOK_S)[0]
    for process in started:
        end(process)
    late = f"py-spy did not finish within {timeout_s:g} s and was stopped"
    return [outputs.get(process.pid, "" if stop.is_set() else late) for process in started]


def _note(texts: Sequence[str], recorded: Sequence[bool]) -> str:
    """One line about what went wrong; empty if nothing did."""
    whole = "\n".join(texts)
    if re.search(r"permission denied|operation not permitted|EPERM", whole, re.IGNORECASE):
        return PERMISSION_ADVICE
    if not any(recorded) and re.search(r"Samples: 0 Errors: 0", whole):
        return IDLE_NOTE
    if not all(recorded):
        lines = [line.strip() for line in whole.splitlines() if line.strip()]
        errors = [line.removeprefix("Error:").strip() for line in lines if line.startswith("Error:")]
        return f"py-spy returned no stacks: {(errors or lines[-1:] or ['no output'])[0]}"
    behind = re.search(r"([\d.]+\w*) behind in sampling", whole)
    return f"py-spy fell {behind[1]} behind in sampling, so its shares are less certain" if behind else ""


class PySpyProfiler:
    """See :class:`grpclab.profiling.profiler.Profiler`."""

    makes_load = False
    seconds: float = 2

    def look(self, server: RunningServer, generator: Generator, *, cpus: Collection[int] | None) -> Look:  # noqa: ARG002
        """The stacks of Python's threads."""
        profile = record(server.pids, duration_s=int(self.seconds), cpus=cpus)
        metrics = {"profile_samples": float(profile.samples), "profile_errors": float(profile.errors)}
        return Look(stacks=profile.stacks, metrics=metrics | shares("share", profile.stacks), note=profile.note)


PROFILER = PySpyProfiler()
