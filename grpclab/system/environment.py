"""The machine and what is installed on it, for manifests and `grpclab doctor`.

What cannot be read is None, never a guess and never an error: macOS has no /proc, a virtual machine hides its
CPU's clock, a container hides its host. `root` is the top of the file system, so that tests can bring their
own.
"""

from __future__ import annotations

import math
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from grpclab.errors import UsageError
from grpclab.system import ulimits
from grpclab.system.json_fields import Json, always

PACKAGES = (
    "grpclab",
    "grpcio",
    "protobuf",
    "uvloop",
    "hdrhistogram",
    "numpy",
    "psutil",
    "pandas",
    "scipy",
    "pyarrow",
    "matplotlib",
    "papermill",
    "py-spy",
    "trustme",
    "opentelemetry-sdk",
)
"""Distributions whose versions are recorded."""

IDENTITY = ("host", "cpu_model", "cores", "kernel", "python", "grpcio", "protobuf", "uvloop")
"""What must be equal for two runs to be compared."""

_CAP_SYS_PTRACE = 1 << 19


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine at one point in time; `affinity` are the cores that this process may use.

    `governor` and `turbo` determine the clock of the cores, and `cpu_quota_cores` is the CPU time that cgroups allow.
    """

    host: str | None = always(None)
    system: str | None = always(None)
    kernel: str | None = always(None)
    architecture: str | None = always(None)
    cpu_model: str | None = always(None)
    virtual_machine: bool | None = always(None)
    cores: int | None = always(None)
    affinity: tuple[int, ...] = always(())
    governor: str | None = always(None)
    turbo: bool | None = always(None)
    load_average: tuple[float, ...] | None = always(None)
    memory_bytes: int | None = always(None)
    cpu_quota_cores: float | None = always(None)
    ptrace_scope: int | None = always(None)
    root: bool | None = always(None)
    cap_sys_ptrace: bool | None = always(None)
    nofile_soft: int | None = always(None)
    nofile_hard: int | None = always(None)


@dataclass(frozen=True, kw_only=True)
class GitState:
    """The commit of a repository, and whether its folder contains anything else; None without a repository."""

    commit: str | None = always(None)
    dirty: bool | None = always(None)


@dataclass(frozen=True, kw_only=True)
class TimerQuality:
    """The overshoot of many short sleeps, in ms."""

    samples: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def read_text(path: Path) -> str | None:
    """A small file of /proc or /sys, stripped; None where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def read_int(path: Path) -> int | None:
    """Read a file of one integer; None where it is not one ("max")."""
    try:
        return int(read_text(path) or "")
    except ValueError:
        return None


def cgroup_folders(controller: str, root: Path = Path("/"), *, pid: int | None = None) -> list[Path]:
    """The folders of a cgroup controller that a process is in, by default this one, v2 and v1, innermost first.

    The limits of all hold.
    """
    folders: list[Path] = []
    who = "self" if pid is None else str(pid)
    for line in (read_text(root / f"proc/{who}/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        names, _, inner = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        mounts = ("sys/fs/cgroup", "sys/fs/cgroup/unified") if not names else (f"sys/fs/cgroup/{names}",)
        for mount in mounts + (() if not names else (f"sys/fs/cgroup/{controller}",)):
            top = root / mount
            parts = Path(inner.lstrip("/")).parts
            if ".." in parts:  # seen from inside a namespace: only the mount itself is ours
                parts = ()
            folders += [top.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return list(dict.fromkeys(folders))


def cpu_quota(root: Path = Path("/"), *, pid: int | None = None) -> float | None:
    """The cores' worth of CPU time that cgroups allow a process, by default this one; None for no limit."""
    quotas: list[float] = []
    for folder in cgroup_folders("cpu", root, pid=pid):
        quota, _, period = (read_text(folder / "cpu.max") or "").partition(" ")
        if quota.isdigit() and period.isdigit():
            quotas.append(int(quota) / int(period))
        old_quota, old_period = read_int(folder / "cpu.cfs_quota_us"), read_int(folder / "cpu.cfs_period_us")
        if old_quota is not None and old_quota > 0 and old_period:
            quotas.append(old_quota / old_period)
    return min(quotas, default=None)


def machine(root: Path = Path("/")) -> Machine:
    """The machine as it is now."""
    cpuinfo = _cpuinfo(root)
    capabilities = _status_field(root, "CapEff")
    nofile_soft, nofile_hard = (None if math.isinf(limit) else int(limit) for limit in ulimits.open_files())
    return Machine(
        host=socket.gethostname(),
        system=platform.system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpu_model=cpuinfo.get("model name") or cpuinfo.get("Model") or _mac_cpu_model(),
        virtual_machine="hypervisor" in cpuinfo["flags"].split() if "flags" in cpuinfo else None,
        cores=os.cpu_count(),
        affinity=_affinity(),
        governor=governor(root),
        turbo=turbo(root),
        load_average=_load_average(),
        memory_bytes=_memory_bytes(),
        cpu_quota_cores=cpu_quota(root),
        ptrace_scope=read_int(root / "proc/sys/kernel/yama/ptrace_scope"),
        root=hasattr(os, "geteuid") and os.geteuid() == 0,
        cap_sys_ptrace=None if capabilities is None else bool(int(capabilities, 16) & _CAP_SYS_PTRACE),
        nofile_soft=nofile_soft,
        nofile_hard=nofile_hard,
    )


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first core's fields of /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    return fields


def _status_field(root: Path, name: str) -> str | None:
    for line in (read_text(root / "proc/self/status") or "").splitlines():
        if line.startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    return None


def _mac_cpu_model() -> str | None:
    if sys.platform != "darwin":
        return None
    return _output("sysctl", "-n", "machdep.cpu.brand_string")


def _affinity() -> tuple[int, ...]:
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def governor(root: Path = Path("/")) -> str | None:
    """The governor of the cores' clock."""
    return read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def turbo(root: Path = Path("/")) -> bool | None:
    """Whether the cores' clock may rise above its nominal rate."""
    cpus = root / "sys/devices/system/cpu"
    no_turbo, boost = read_int(cpus / "intel_pstate/no_turbo"), read_int(cpus / "cpufreq/boost")
    if no_turbo is not None:
        return no_turbo == 0
    return None if boost is None else boost == 1


def _load_average() -> tuple[float, ...] | None:
    try:
        return tuple(round(value, 2) for value in os.getloadavg())
    except (OSError, AttributeError):
        return None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def timer_quality(
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
    *,
    seconds: float = 0.2,
) -> TimerQuality:
    """The lateness of sleeps of 0.1 ms."""
    sleep_s, over, end = 0.0001, [], clock() + seconds
    while (began := clock()) < end:
        sleep(sleep_s)
        over.append((clock() - began - sleep_s) * 1e3)
    over.sort()

    def rank(percent: float) -> float:
        return over[max(0, math.ceil(len(over) * percent / 100) - 1)]

    return TimerQuality(samples=len(over), p50_ms=rank(50), p99_ms=rank(99), max_ms=over[-1])


def versions(environ: Mapping[str, str] = os.environ) -> dict[str, Json]:
    """Versions by distribution, None where missing; ``grpc_environment`` holds the GRPC_* variables."""
    from importlib import metadata  # a generator's process needs the rest of this module only, and starts faster

    installed: dict[str, Json] = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
    }
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = None
    installed["grpc_environment"] = {n: v for n, v in sorted(environ.items()) if n.startswith("GRPC_")}
    return installed


def git_state(folder: Path, *, only: Path | None = None) -> GitState:
    """The state of the repository whose top is `folder`.

    A repository further up is someone else's: its commit says nothing about this folder. `dirty` counts
    untracked files too, since Python imports them as gladly. With `only`, a folder inside, it counts the tracked
    files there and no others: untracked ones may be what is being written.
    """
    if not (folder / ".git").exists():
        return GitState()
    # A monitor named in the repository's own configuration is not ours to start.
    git = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(folder))
    commit = _output(*git, "rev-parse", "--verify", "HEAD", ceiling=folder)
    which = () if only is None else ("--untracked-files=no", "--", str(only))
    status = _output(*git, "status", "--porcelain", *which, ceiling=folder)
    return GitState() if commit is None else GitState(commit=commit, dirty=None if status is None else bool(status))


def _output(*command: str, ceiling: Path | None = None) -> str | None:
    """The output of a command, stripped; None where it is missing, fails or takes longer than 10 s."""
    environ = {n: v for n, v in os.environ.items() if not n.startswith("GIT_")}
    if ceiling is not None:
        environ["GIT_CEILING_DIRECTORIES"] = str(ceiling.resolve().parent)
    try:
        run = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
            env=environ,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return run.stdout.strip()


def identity(machine: Machine, versions: Mapping[str, Json]) -> dict[str, Json]:
    """The facts that must be equal for two runs to be compared; see IDENTITY."""
    both = {**versions, **vars(machine)}
    return {name: both.get(name) for name in IDENTITY}


@dataclass(frozen=True, kw_only=True)
class CorePlan:
    """The cores that the server and the generator are pinned to."""

    server: tuple[int, ...]
    generator: tuple[int, ...]
    shared: bool
    """One core carries both: no number of it tells the server from the generator."""


def split_cores(affinity: Collection[int]) -> CorePlan:
    """The generator on the last core, the server on all others; with a single core both on it."""
    cores = tuple(sorted(set(affinity)))
    if not cores:
        raise UsageError("there is no core to run on: the CPU affinity is empty")
    if len(cores) == 1:
        return CorePlan(server=cores, generator=cores, shared=True)
    return CorePlan(server=cores[:-1], generator=cores[-1:], shared=False)
