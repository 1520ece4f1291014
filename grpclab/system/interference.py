"""Interference with a measurement while it was taken, and what the reader of its figures should know of it. Pure.

:class:`Interference` holds numbers, which add up over windows; :attr:`Interference.notices` says what they mean. The
numbers come from two readings of the kernel's counts (:mod:`grpclab.system.accounting`) and from looks in between.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from grpclab.system.accounting import KernelCounts, Throttling
from grpclab.system.notices import Notice

SERVER, GENERATOR, LINK, STAND_INS = "server", "generator", "link", "stand-ins"
NAMES = {
    SERVER: "the server",
    GENERATOR: "the load generator",
    LINK: "the emulated link",
    STAND_INS: "a stand-in for a collector or Prometheus",
}
"""The parties of a measurement, as a sentence names them."""

OTHERS_CORES, OTHERS_SHARE = 0.1, 0.05
"""Others may use so much of a core, or this share of the cores, before it is worth a warning."""
TICKS_S = 0.05
"""The kernel counts CPU time in ticks: a core's count may be off by this."""
STOLEN_LIMIT = 0.01
"""Share of the cores' time that the host of a virtual machine may take."""
MEMORY_LIMIT, IO_LIMIT = 0.01, 0.1
"""Share of the time in which some task may wait for memory, for storage."""
CLOCK_STEP_S = 0.1
"""A wall clock that moves by more against the monotonic one was set, not slewed."""
UNWATCHED_S = 0.25
"""A pause of whoever watches the measurement that is shorter leaves nothing unseen."""


@dataclass(frozen=True, kw_only=True)
class Party:
    """A participant of a measurement, and what holds for it all the time."""

    pids: tuple[int, ...] = ()
    cores: frozenset[int] = frozenset()
    """On which it may run."""
    quota_cores: float | None = None
    """The cores' worth of CPU time that its cgroups allow; None for no limit."""


@dataclass(frozen=True, kw_only=True)
class Interference:
    """The interference with a window, or with several taken together. Mappings are by party."""

    seconds: float = 0.0
    """How long it was watched."""
    cores: tuple[int, ...] = ()
    """On which server and generator may run."""
    shared_core: bool = False
    """The server and the generator run on one and the same core."""
    others_s: float = math.nan
    """CPU time that processes of others used on these cores; NaN where the server's processes are not known."""
    stolen_s: float = 0.0
    """What the host of a virtual machine took of these cores."""
    pressure_s: Mapping[str, float] = field(default_factory=dict)
    """By resource (cpu, memory, io): time in which some task of the machine waited for it."""
    waited_s: Mapping[str, float] = field(default_factory=dict)
    """Time in which threads could have run and had no core, summed over them; threads of one process count too."""
    quota_cores: Mapping[str, float] = field(default_factory=dict)
    throttling: Mapping[str, Throttling] = field(default_factory=dict)
    stopped_s: Mapping[str, float] = field(default_factory=dict)
    """For how long a process was stopped by a signal or a tracer, about."""
    clock_step_s: float = 0.0
    """By how much the wall clock was set."""
    unwatched_s: float = 0.0
    """For how long nobody looked: the process that watches stood still itself."""
    governor: str | None = None
    turbo: bool | None = None

    def __add__(self, other: Interference) -> Interference:
        """Two windows taken together."""
        return Interference(
            seconds=self.seconds + other.seconds,
            cores=tuple(sorted({*self.cores, *other.cores})),
            shared_core=self.shared_core or other.shared_core,
            others_s=self.others_s + other.others_s,
            stolen_s=self.stolen_s + other.stolen_s,
            pressure_s=_sums(self.pressure_s, other.pressure_s),
            waited_s=_sums(self.waited_s, other.waited_s),
            quota_cores={**self.quota_cores, **other.quota_cores},
            throttling={
                name: self.throttling.get(name, Throttling()) + other.throttling.get(name, Throttling())
                for name in {**self.throttling, **other.throttling}
            },
            stopped_s=_sums(self.stopped_s, other.stopped_s),
            clock_step_s=self.clock_step_s + other.clock_step_s,
            unwatched_s=self.unwatched_s + other.unwatched_s,
            governor=other.governor,
            turbo=other.turbo,
        )

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Notices for the reader, the gravest first."""
        return tuple(notice for look in _LOOKS for notice in look(self))

    def as_row(self) -> dict[str, float]:
        """The columns of a trial."""
        throttled = [one.throttled_s for one in self.throttling.values()]
        share = {name: self.pressure_s.get(name, math.nan) / (self.seconds or math.nan) for name in _RESOURCES}
        return {
            "others_cores": self.others_s / self.seconds if self.seconds else math.nan,
            "stolen_s": self.stolen_s,
            "throttled_s": max(throttled, default=0.0),
            **{f"{name}_pressure_share": value for name, value in share.items()},
            "server_waited_s": self.waited_s.get(SERVER, math.nan),
            "client_waited_s": self.waited_s.get(GENERATOR, math.nan),
            "stopped_s": max(self.stopped_s.values(), default=0.0),
        }

    def to_json(self) -> dict[str, Any]:
        """All numbers, with null for what is not known."""
        known = asdict(self) | {"cores": list(self.cores)}
        return known | {"others_s": None if math.isnan(self.others_s) else self.others_s}


_RESOURCES = ("cpu", "memory", "io")


def _sums(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}


def between(
    before: KernelCounts,
    after: KernelCounts,
    parties: Mapping[str, Party],
    *,
    stopped_s: Mapping[str, float] | None = None,
    unwatched_s: float = 0.0,
    governor: str | None = None,
    turbo: bool | None = None,
) -> Interference:
    """The kernel's counts between two readings of the same processes: those of the parties, and our own others."""
    cores = tuple(sorted({core for name in (SERVER, GENERATOR) for core in parties.get(name, Party()).cores}))
    used = sum(after.used_s.get(core, 0.0) - before.used_s.get(core, 0.0) for core in cores)
    own = sum(spent - before.cpu_s.get(pid, 0.0) for pid, spent in after.cpu_s.items())
    known = bool(parties.get(SERVER, Party()).pids) and bool(after.used_s)
    server, generator = parties.get(SERVER, Party()).cores, parties.get(GENERATOR, Party()).cores
    return Interference(
        seconds=after.at_s - before.at_s,
        cores=cores,
        shared_core=len(cores) == 1 and server == generator,
        others_s=max(0.0, used - own) if known else math.nan,
        stolen_s=sum(after.stolen_s.get(core, 0.0) - before.stolen_s.get(core, 0.0) for core in cores),
        pressure_s={name: after.pressure_s[name] - before.pressure_s.get(name, 0.0) for name in after.pressure_s},
        waited_s={
            name: sum(after.waited_s[pid] - before.waited_s.get(pid, 0.0) for pid in pids)
            for name, party in parties.items()
            if (pids := [pid for pid in party.pids if pid in after.waited_s])
        },
        quota_cores={name: party.quota_cores for name, party in parties.items() if party.quota_cores is not None},
        throttling={
            name: max(throttled, key=lambda one: one.throttled_s)
            for name, party in parties.items()
            if (throttled := _throttled(before, after, party.pids))
        },
        stopped_s={name: seconds for name, seconds in (stopped_s or {}).items() if seconds > 0},
        clock_step_s=after.wall_s - before.wall_s,
        unwatched_s=unwatched_s,
        governor=governor,
        turbo=turbo,
    )


def _throttled(before: KernelCounts, after: KernelCounts, pids: Collection[int]) -> list[Throttling]:
    return [after.throttling[pid] - before.throttling.get(pid, Throttling()) for pid in pids if pid in after.throttling]


# ---- what the numbers mean -------------------------------------------------------------------------------------


def _stopped(s: Interference) -> Iterator[Notice]:
    for name, seconds in s.stopped_s.items():
        yield Notice(
            kind=f"{name}-stopped",
            severity="warning",
            text=f"{NAMES[name]} was stopped for about {seconds:.2g} s during the measurement (by SIGSTOP or a tracer)",
            remedy="measure again without anything that stops or traces it",
        )


def _quota(s: Interference) -> Iterator[Notice]:
    for name, counted in s.throttling.items():
        if counted.throttled > 0:
            cores = f" of {s.quota_cores[name]:.3g} cores" if name in s.quota_cores else ""
            yield Notice(
                kind="throttled",
                severity="warning",
                text=(
                    f"{NAMES[name]} was throttled by its CPU quota{cores} in {counted.throttled:,} of "
                    f"{counted.periods:,} periods, for {counted.throttled_s:.2g} s"
                ),
                remedy="give its container whole cores (docker: --cpuset-cpus instead of --cpus)",
            )
    for quota in sorted({q for name, q in s.quota_cores.items() if not s.throttling.get(name, Throttling()).throttled}):
        if quota < len(s.cores):
            yield Notice(
                kind="cpu-quota",
                severity="note",
                text=f"measured under a CPU quota of {quota:.3g} cores, which was not exhausted",
            )


def _shared_core(s: Interference) -> Iterator[Notice]:
    if s.shared_core:
        yield Notice(
            kind="shared-core",
            severity="warning",
            text=f"server and generator shared core {s.cores[0]}, so their costs cannot be separated",
            remedy="give each its own core",
        )


def _others(s: Interference) -> Iterator[Notice]:
    cores = len(s.cores)
    if s.others_s > max(OTHERS_CORES, OTHERS_SHARE * cores) * s.seconds + TICKS_S * cores:
        yield Notice(
            kind="others",
            severity="warning",
            text=(
                f"other processes used {s.others_s / s.seconds:.2g} of the {cores} "
                f"core{'' if cores == 1 else 's'} that server and generator run on"
            ),
            remedy="stop them (`top` shows them) and measure again",
        )


def _stolen(s: Interference) -> Iterator[Notice]:
    if s.stolen_s > STOLEN_LIMIT * s.seconds * len(s.cores) + TICKS_S:
        share = s.stolen_s / (s.seconds * len(s.cores))
        yield Notice(
            kind="stolen",
            severity="warning",
            text=f"the host of this virtual machine took {share:.0%} of the cores' time (stolen time)",
            remedy="measure on a machine with dedicated cores, or interleave what you compare",
        )


def _pressure(s: Interference) -> Iterator[Notice]:
    memory, io = s.pressure_s.get("memory", 0.0), s.pressure_s.get("io", 0.0)
    if memory > MEMORY_LIMIT * s.seconds:
        yield Notice(
            kind="memory-pressure",
            severity="warning",
            text=f"processes on this machine waited for memory for {memory / s.seconds:.0%} of the time",
            remedy="free some memory and measure again",
        )
    if io > IO_LIMIT * s.seconds:
        yield Notice(
            kind="io-pressure",
            severity="note",
            text=f"processes on this machine waited for storage for {io / s.seconds:.0%} of the time",
            remedy="this matters if the server's calls read or write files",
        )


def _frequency(s: Interference) -> Iterator[Notice]:
    if s.governor not in (None, "performance"):
        yield Notice(
            kind="frequency",
            severity="note",
            text=f"the clock speed of the cores followed the load (governor {s.governor})",
            remedy="run sudo cpupower frequency-set -g performance",
        )
    elif s.turbo:
        yield Notice(
            kind="frequency",
            severity="note",
            text="the clock speed of the cores depended on their temperature (turbo is on)",
            remedy="turn turbo off if small differences matter",
        )


def _clock(s: Interference) -> Iterator[Notice]:
    if abs(s.clock_step_s) > CLOCK_STEP_S:
        yield Notice(
            kind="clock-set",
            severity="note",
            text=(
                f"the wall clock was changed by {s.clock_step_s:+,.3g} s during the measurement. Figures are not "
                "affected, since windows and latencies use the monotonic clock, but the recorded times of day are "
                "affected"
            ),
        )


def _unwatched(s: Interference) -> Iterator[Notice]:
    if s.unwatched_s > UNWATCHED_S:
        yield Notice(
            kind="unwatched",
            severity="note",
            text=(
                f"the process that watches the measurement stalled for {s.unwatched_s:.2g} s. Other processes made "
                "and timed the calls, but a disturbance in that time may have gone unnoticed"
            ),
        )


_LOOKS = (_stopped, _quota, _shared_core, _others, _stolen, _pressure, _frequency, _clock, _unwatched)
