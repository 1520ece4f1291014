"""``perf record`` as a child process: the kernel's own samples, over every thread and into the kernel.

It sees what py-spy cannot: C-core's ``event_engine`` threads, and what happens inside a system call. It looks
at a thread only while that runs on a CPU. What it misses: the names of Python functions (the interpreter shows
as itself, so there is no ``handler`` family), and, in libraries built without frame pointers, who called the
leaf; the leaf is right all the same. It interrupts what it samples: never beside a measured window.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.profiling.families import KERNEL, kernel_share
from grpclab.profiling.profiler import Look, shares
from grpclab.system.programs import running
from grpclab.system.temporary import TemporaryFolder

if TYPE_CHECKING:
    from grpclab.load.generator import Generator
    from grpclab.servers.process.launcher import RunningServer

MISSING_ADVICE = "perf is not installed (Debian: apt install linux-perf)"
PERMISSION_ADVICE = (
    "perf has no permission to sample the server: run as root, or allow it with sysctl "
    "kernel.perf_event_paranoid=1 (in a container, add CAP_PERFMON)"
)
USER_ONLY_ADVICE = "perf could not see the kernel: run as root, or allow it with sysctl kernel.perf_event_paranoid=1"
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")

RATE_HZ = 499
"""The rate of a trial's look."""
_GRACE_S = 20.0
_HEADER = re.compile(r"^\s*(\S.*?)\s+(\d+)\s*$")
_FRAME = re.compile(r"^\s+([0-9a-f]+) (.+) \(([^()]*(?:\(deleted\))?)\)$")
_LOST = re.compile(r"PERF_RECORD_LOST\w*\s+lost (\d+)")
_CLONES = re.compile(r"(?:\.(?:isra|part|constprop|cold|lto_priv)(?:\.\d+)*)+$")
_NOT_THE_KERNELS = frozenset({"[vdso]", "[vsyscall]", "[heap]", "[stack]", "[anon]", "[uprobes]"})
_UNKNOWN = "[unknown]"
_UPPER_HALF = 1 << 63


@dataclass(frozen=True, kw_only=True)
class PerfProfile:
    """What perf saw. Each stack begins with its thread's name; `note` says why there is nothing, or what to beware.

    `lost` samples found no room in perf's buffer.
    """

    stacks: dict[str, int] = field(default_factory=dict)
    samples: int = 0
    lost: int = 0
    note: str = ""

    @property
    def kernel_share(self) -> float:
        """The samples whose leaf is in the kernel, of all; NaN where there are none, or perf may not look there."""
        return float("nan") if self.note == USER_ONLY_ADVICE else kernel_share(self.stacks)


def record(
    pids: Sequence[int], *, duration_s: float = 2.0, rate_hz: int = 199, cpus: Collection[int] | None = None
) -> PerfProfile:
    """Sample all threads of these processes while they run. Never raises for what perf cannot do: see `note`.

    Where permitted, whole CPUs are sampled and these processes picked out afterwards: a timer of their own starts
    anew at each context switch, and sees too much of what comes right after one. Odd rates keep out of step with
    what happens every 10 ms. `cpus`: where perf itself runs.
    """
    program = shutil.which("perf")
    if program is None:
        return PerfProfile(note=MISSING_ADVICE)
    listed = ",".join(map(str, pids))
    recorded = ""
    with TemporaryFolder() as folder:
        file = str(folder / "perf.data")
        for chosen in (["-C", _cpus_of(pids)], ["-p", listed]):
            command = [program, "record", "-e", "cpu-clock", "-g", "-F", str(rate_hz), *chosen]
            command += ["--no-buildid", "--no-buildid-cache", "-o", file, "--", "sleep", f"{duration_s:g}"]
            recorded = _run(command, duration_s + _GRACE_S, cpus)[1]
            if os.path.exists(file) and os.path.getsize(file):
                break
        else:
            return PerfProfile(note=_why_nothing(recorded))
        script = [program, "script", "-i", file, "--no-inline", "--show-lost-events", "--pid", listed]
        text, errors = _run([*script, "-F", "comm,tid,ip,sym,dso"], _GRACE_S, cpus)
    stacks = parse(text.splitlines())
    samples = sum(stacks.values())
    if not samples:
        return PerfProfile(note=_why_nothing(f"{recorded}\n{errors}"))
    return PerfProfile(stacks=stacks, samples=samples, lost=lost(text), note=_note(stacks, _paranoid()))


def _cpus_of(pids: Collection[int]) -> str:
    """The CPUs that these processes may run on, as perf takes them; one that is gone may run anywhere."""
    allowed: set[int] = set()
    for pid in pids:
        try:
            allowed |= os.sched_getaffinity(pid)
        except OSError:
            allowed |= os.sched_getaffinity(0)
    return ",".join(map(str, sorted(allowed)))


def parse(lines: Iterable[str]) -> dict[str, int]:
    """Samples by folded stack (``thread;root;...;leaf``), out of ``perf script -F comm,tid,ip,sym,dso``.

    A frame is ``function (library)``, the kernel's ``function ([kernel])``. Addresses beyond the leaf that belong
    to no library are where a walk without frame pointers went astray, and are left out.
    """
    stacks: Counter[str] = Counter()
    comm, frames = "", list[str]()
    in_kernel = True

    def end() -> None:
        if frames:
            stacks[";".join([comm, *reversed(frames)])] += 1
            frames.clear()

    for line in lines:
        if (match := _FRAME.match(line)) is not None:
            frame = _frame(int(match[1], 16), match[2], match[3], in_kernel=in_kernel)
            in_kernel = in_kernel and frame.endswith(KERNEL)
            if not frames or not frame.endswith(f"({_UNKNOWN})"):
                frames.append(frame)
        elif (head := _HEADER.match(line)) is not None:
            end()
            comm, in_kernel = head[1].replace(";", ":"), True
    end()
    return dict(stacks)


def _frame(address: int, symbol: str, dso: str, *, in_kernel: bool) -> str:
    """One frame in the words of families.py; `in_kernel`: all frames nearer to the leaf are the kernel's."""
    name = _CLONES.sub("", symbol.removeprefix("__GI_")).replace(";", ":")
    library = dso.removesuffix(" (deleted)")
    kernels = library.startswith("[") and library != _UNKNOWN and library not in _NOT_THE_KERNELS
    if in_kernel and (kernels or (library == _UNKNOWN and address >= _UPPER_HALF)):
        return f"{name}{KERNEL}"
    return f"{name} ({_UNKNOWN if kernels else os.path.basename(library)})"


def lost(text: str) -> int:
    """Samples that perf says it lost."""
    return sum(int(count) for count in _LOST.findall(text))


def _note(stacks: Iterable[str], paranoid: int) -> str:
    """What to beware of: above level 1, who is not root sees no kernel."""
    kernel = any(stack.endswith(KERNEL) for stack in stacks)
    return USER_ONLY_ADVICE if paranoid > 1 and not kernel else ""


def _why_nothing(errors: str) -> str:
    """One line about why there are no samples, from what perf said."""
    if re.search(r"paranoid|permission|not permitted|access to performance monitoring", errors, re.IGNORECASE):
        return PERMISSION_ADVICE
    lines = [line.strip() for line in errors.splitlines() if line.strip() and not line.startswith("[ perf record")]
    return f"perf took no samples: {lines[-1] if lines else 'no thread of the server used the CPU in that time'}"


def _paranoid() -> int:
    try:
        return int(PARANOID.read_text())
    except (OSError, ValueError):
        return 0


def _run(command: Sequence[str], timeout_s: float, cpus: Collection[int] | None) -> tuple[str, str]:
    """Standard output and standard error of a program that is stopped if it takes too long."""
    with running(command, cpus=cpus) as process:
        try:
            return process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return "", f"it did not finish within {timeout_s:g} s and was stopped"


class PerfProfiler:
    """See :class:`grpclab.profiling.profiler.Profiler`."""

    makes_load = False
    seconds = 1.0

    def look(self, server: RunningServer, generator: Generator, *, cpus: Collection[int] | None) -> Look:  # noqa: ARG002
        """The stacks of all threads."""
        profile = record(server.pids, duration_s=self.seconds, rate_hz=RATE_HZ, cpus=cpus)
        metrics: dict[str, float] = {}
        if profile.samples:
            metrics = {
                "perf_samples": profile.samples,
                "perf_lost": profile.lost,
                "perf_kernel_share": profile.kernel_share,
                **shares("perf_share", profile.stacks),
            }
        return Look(stacks=profile.stacks, metrics=metrics, note=profile.note)


PROFILER = PerfProfiler()
