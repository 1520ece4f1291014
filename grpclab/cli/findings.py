"""Findings of what this machine can and cannot measure well, and what to do about it.

:func:`gather` reads the facts, :func:`judge` is a pure function from facts to findings. A fact that cannot be read is
None and reads "unknown"; it is never an error.
"""

from __future__ import annotations

import math
import shutil
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from grpclab.errors import MeasurementError
from grpclab.factors.config import FACTORS
from grpclab.load.ceiling import CALLS, ceiling
from grpclab.system import environment, ulimits
from grpclab.system.environment import Machine, TimerQuality, read_int, read_text, split_cores, timer_quality
from grpclab.system.json_fields import Json
from grpclab.system.optional import install_command

State = Literal["ok", "warn", "fail"]

MANY = 10_000
"""The connections and the threads that the limits are held against: the top of the ladder."""

TOOLS = {
    "chromium": "checks that a report opens offline",
    "nghttpd": "a gRPC server in C, for measuring a client's maximum throughput (Debian: nghttp2-server)",
    "h2load": "an HTTP/2 load generator in C, for measuring a server's maximum throughput (Debian: nghttp2-client)",
    "perf": "profiles that include the kernel and every thread; py-spy only sees Python threads (Debian: linux-perf)",
    "strace": "counts system calls by name (Debian: strace)",
}
"""Optional programs, and what each is for."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at. `advice` is empty where there is nothing to do."""

    name: str
    state: State
    value: str
    advice: str = ""


def diagnose() -> list[Finding]:
    """Look at this machine now. Takes about a quarter of a second, once a few more to measure the generator."""
    return judge(gather())


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the findings follow from; None for what cannot be read."""

    machine: Machine
    versions: Mapping[str, Json]
    py_spy: str | None
    ports: tuple[int, int] | None
    """The lowest and the highest port of a client."""
    threads_max: int | None
    pid_max: int | None
    pids_limit: int | None
    nproc: int | None
    disk_free_bytes: int | None
    tools: Mapping[str, str | None]
    timer: TimerQuality
    ceilings: Mapping[str, float | None]
    """Calls per second of a generator process, by engine."""


def gather(root: Path = Path("/"), folder: Path = Path(".")) -> Facts:
    """The facts of this machine; studies are stored in `folder`."""
    scripts = Path(sysconfig.get_path("scripts"))
    ports = (read_text(root / "proc/sys/net/ipv4/ip_local_port_range") or "").split()
    pids = [read_int(cgroup / "pids.max") for cgroup in environment.cgroup_folders("pids", root)]
    try:
        disk_free = shutil.disk_usage(folder).free
    except OSError:
        disk_free = None
    return Facts(
        machine=environment.machine(root),
        versions=environment.versions(),
        py_spy=shutil.which("py-spy") or shutil.which("py-spy", path=str(scripts)),
        ports=(int(ports[0]), int(ports[1])) if len(ports) == 2 else None,
        threads_max=read_int(root / "proc/sys/kernel/threads-max"),
        pid_max=read_int(root / "proc/sys/kernel/pid_max"),
        pids_limit=min((limit for limit in pids if limit is not None), default=None),
        nproc=ulimits.processes(),
        disk_free_bytes=disk_free,
        tools={name: shutil.which(name) for name in TOOLS},
        timer=timer_quality(),
        ceilings=_measured_ceilings(),
    )


def _measured_ceilings() -> dict[str, float | None]:
    ceilings: dict[str, float | None] = {}
    for engine in CALLS:
        try:
            ceilings[engine] = ceiling(engine).calls_per_s
        except MeasurementError:
            ceilings[engine] = None
    return ceilings


def judge(facts: Facts) -> list[Finding]:
    """The findings for a measurement that follow from the facts, in the order in which a reader needs them."""
    looks = (
        _cores,
        _load,
        _quota,
        _frequency,
        _timer,
        _generator,
        _ptrace,
        _py_spy,
        _open_files,
        _ports,
        _threads,
        _disk,
        _versions,
        _extras,
        _grpc_environment,
    )
    return [*(look(facts) for look in looks), *_tools(facts)]


def _ok(name: str, value: str) -> Finding:
    return Finding(name=name, state="ok", value=value)


def _warn(name: str, value: str, advice: str) -> Finding:
    return Finding(name=name, state="warn", value=value, advice=advice)


def _cores(facts: Facts) -> Finding:
    affinity, cores = facts.machine.affinity, facts.machine.cores
    plan = split_cores(affinity)
    value = f"{len(affinity)} of {cores} usable" if cores and len(affinity) < cores else f"{len(affinity)}"
    if plan.shared:
        return Finding(
            name="cores",
            state="fail",
            value=f"{value}: server and generator share one core",
            advice="figures measured here include the cost of both: give this machine a second core",
        )
    value += f": server on {_list(plan.server)}, generator on {_list(plan.generator)}"
    if len(plan.server) == 1:
        return _warn(
            "cores",
            value,
            "with only one core for the server, more than one server process cannot be tested here and is reported as "
            "not testable: use a machine with at least three cores",
        )
    return _ok("cores", value)


def _list(cores: Sequence[int]) -> str:
    consecutive = len(cores) > 2 and cores[-1] - cores[0] == len(cores) - 1
    return f"{cores[0]}-{cores[-1]}" if consecutive else ", ".join(map(str, cores))


def _load(facts: Facts) -> Finding:
    load = facts.machine.load_average
    if load is None:
        return _ok("load", "unknown")
    value = f"{load[0]:.2f} over the last minute on {len(facts.machine.affinity)} usable cores"
    if load[0] <= 0.25 * len(facts.machine.affinity):
        return _ok("load", value)
    return _warn(
        "load",
        value,
        "other work is running or has just finished: stop it (`top` shows it) and wait a minute; otherwise intervals "
        "will be wide",
    )


def _quota(facts: Facts) -> Finding:
    quota = facts.machine.cpu_quota_cores
    if quota is None:
        return _ok("CPU quota", "none")
    if quota >= len(facts.machine.affinity):
        return _ok("CPU quota", f"{quota:g} cores, enough for every usable core")
    return _warn(
        "CPU quota",
        f"{quota:g} cores, but {len(facts.machine.affinity)} are usable",
        "when the quota is used up, the container is stopped for up to 100 ms, which shows up as latency: give it "
        "whole cores instead (docker: --cpuset-cpus instead of --cpus)",
    )


def _frequency(facts: Facts) -> Finding:
    governor, turbo = facts.machine.governor, facts.machine.turbo
    if governor is None and turbo is None:
        why = "hidden by the virtual machine" if facts.machine.virtual_machine else "not readable here"
        return _ok("CPU frequency", f"governor and turbo unknown: {why}")
    words = {None: "unknown", True: "on", False: "off"}
    value = f"governor {governor or 'unknown'}, turbo {words[turbo]}"
    advice = []
    if governor not in (None, "performance"):
        advice.append("clock speed follows the load: run `sudo cpupower frequency-set -g performance`")
    if turbo:
        advice.append("with turbo on, clock speed depends on temperature: turn turbo off to measure small differences")
    return _warn("CPU frequency", value, "; ".join(advice)) if advice else _ok("CPU frequency", value)


def _timer(facts: Facts) -> Finding:
    timer = facts.timer
    value = f"sleeps end {timer.p50_ms:.2f} ms late at p50, {timer.p99_ms:.2f} ms at p99, {timer.max_ms:.1f} ms at most"
    if timer.p99_ms <= 1:
        return _ok("timers", value)
    return _warn(
        "timers",
        value,
        "the machine itself causes this delay (other work, or a busy host), so tail latencies below "
        f"{math.ceil(timer.p99_ms)} ms cannot be separated from it",
    )


def _ptrace(facts: Facts) -> Finding:
    capable, scope, system = facts.machine.cap_sys_ptrace, facts.machine.ptrace_scope, facts.machine.system
    if capable or (capable is None and facts.machine.root):
        return _ok("ptrace", "grpclab can attach to running servers")
    if system == "Linux" and scope in (None, 0):
        return _ok("ptrace", "grpclab can attach to its own processes")
    remedy = {
        0: "run `grpclab profile` as root",  # not Linux
        1: "run `sudo sysctl kernel.yama.ptrace_scope=0`, or run grpclab as root (docker: --cap-add SYS_PTRACE)",
        2: "run grpclab as root (docker: --cap-add SYS_PTRACE), or set kernel.yama.ptrace_scope to 0",
        3: "set kernel.yama.ptrace_scope below 3 in /etc/sysctl.d, and reboot",
    }[scope or 0]
    return _warn(
        "ptrace",
        "no permission" if scope is None else f"no permission (ptrace_scope {scope})",
        f"py-spy cannot attach to a running server: {remedy}",
    )


def _py_spy(facts: Facts) -> Finding:
    if facts.py_spy:
        version = facts.versions.get("py-spy")
        return _ok("py-spy", f"{version or 'found'} at {facts.py_spy}")
    return _warn("py-spy", "not found", "without py-spy, trials are not profiled: run `pip install py-spy`")


def _open_files(facts: Facts) -> Finding:
    soft, hard = facts.machine.nofile_soft, facts.machine.nofile_hard
    if soft is None:
        return _ok("open files", "unlimited")
    value = f"{soft:,}" if soft == hard else f"{soft:,} (hard limit {_limit(hard)})"
    reserve = 200  # of the interpreter, its libraries and grpc
    if soft >= MANY + reserve:
        through = (soft if hard is None else hard) - reserve
        limited = through < 2 * MANY  # the link raises its own soft limit; it takes two files a connection
        tail = f", or {through // 2:,} through the link" if limited else ""
        return _ok("open files", f"{value}: enough for {MANY:,} connections{tail}")
    needed = 2 * MANY + reserve
    raise_hard = hard is not None and hard < MANY + reserve
    return _warn(
        "open files",
        f"{value}: enough for {max(0, soft - reserve):,} connections",
        f"to allow {MANY:,} connections, use "
        + (f"`* hard nofile {needed}` in /etc/security/limits.conf, then " if raise_hard else "")
        + f"`ulimit -n {needed if hard is None else min(needed, max(hard, MANY + reserve))}`",
    )


def _limit(limit: int | None) -> str:
    return "unlimited" if limit is None else f"{limit:,}"


def _ports(facts: Facts) -> Finding:
    if facts.ports is None:
        return _ok("ports", "range of client ports unknown")
    low, high = facts.ports
    value = f"{low} to {high}: {high - low + 1:,} client ports"
    if high - low + 1 >= 2 * MANY:
        return _ok("ports", value)
    return _warn(
        "ports",
        value,
        "with one channel per call, each port stays in TIME_WAIT for a minute, so ports are used up: run `sudo sysctl "
        'net.ipv4.ip_local_port_range="15000 60999"`',
    )


def _threads(facts: Facts) -> Finding:
    remedies = {
        "threads_max": "`sudo sysctl kernel.threads-max=100000`",
        "pid_max": "`sudo sysctl kernel.pid_max=100000`",
        "pids_limit": "raise the cgroup's pids.max (docker: --pids-limit, systemd: TasksMax)",
        "nproc": "`ulimit -u 100000`",
    }
    if facts.machine.root:
        del remedies["nproc"]  # does not bind root
    limits = {name: getattr(facts, name) for name in remedies}
    bounds = {name: limit for name, limit in limits.items() if limit is not None}
    if not bounds:
        return _ok("threads", "limit unknown")
    tightest = min(bounds, key=lambda name: bounds[name])
    value = f"at most {bounds[tightest]:,} ({tightest.replace('_', '-')})"
    short = [remedies[name] for name, limit in bounds.items() if limit < MANY + 1000]
    if not short:
        return _ok("threads", value)
    return _warn("threads", value, f"`server.threads={MANY}` needs a higher limit: {'; '.join(short)}")


def _disk(facts: Facts) -> Finding:
    free = facts.disk_free_bytes
    if free is None:
        return _ok("disk", "free space unknown")
    state: State = "ok" if free >= 2**30 else "warn" if free >= 100 * 2**20 else "fail"
    return Finding(
        name="disk",
        state=state,
        value=f"{free / 2**30:.1f} GiB free in this folder",
        advice="" if state == "ok" else "studies are stored here: free at least 1 GiB",
    )


def _versions(facts: Facts) -> Finding:
    versions = facts.versions
    names = ("grpcio", "protobuf", "uvloop")
    parts = [f"{versions['implementation']} {versions['python']}", *(f"{n} {versions[n] or 'missing'}" for n in names)]
    missing = [n for n in names if versions[n] is None]
    state: State = "ok" if not missing else "warn" if missing == ["uvloop"] else "fail"
    advice = {
        "ok": "",
        "warn": (
            "without uvloop, `server.event_loop=uvloop` cannot be tested and the link is slower: run `pip install "
            "uvloop`"
        ),
        "fail": f"`pip install {' '.join(missing)}`",
    }[state]
    return Finding(name="versions", state=state, value=", ".join(parts), advice=advice)


def _extras(facts: Facts) -> Finding:
    packages = ("papermill", "pandas", "pyarrow", "scipy", "matplotlib")
    missing = [name for name in packages if facts.versions[name] is None]
    if not missing:
        value = ", ".join(f"{name} {facts.versions[name]}" for name in packages)
        return _ok("studies", value)
    return _warn(
        "studies",
        f"without {', '.join(missing)}",
        f"`grpclab study`, `compare` and `report` need them: `{install_command('study')}`",
    )


def _grpc_environment(facts: Facts) -> Finding:
    variables = facts.versions["grpc_environment"]
    if not variables:
        return _ok("GRPC_ variables", "none set")
    harmless = {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "GRPC_PROXY", *(factor.env for factor in FACTORS.values())}
    acting = [name for name in variables if name not in harmless]
    if not acting:
        return _ok("GRPC_ variables", ", ".join(variables))
    unset = f"`unset {' '.join(acting)}`"
    advice = f"these variables change how grpcio behaves in every trial: run {unset} unless that is intended"
    return _warn("GRPC_ variables", ", ".join(variables), advice)


def _generator(facts: Facts) -> Finding:
    ceilings = [f"{name} {rate:,.0f}" if rate else f"{name} unknown" for name, rate in facts.ceilings.items()]
    return _ok("generator", f"one process can make at least this many calls/s: {', '.join(ceilings)}")


def _tools(facts: Facts) -> list[Finding]:
    return [
        Finding(name=name, state="ok", value=facts.tools.get(name) or f"not found (optional: {purpose})")
        for name, purpose in TOOLS.items()
    ]
