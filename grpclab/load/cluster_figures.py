"""The part of each machine in a load from a cluster, and how well their clocks and their starts agree. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from grpclab.cluster.clocks import spread
from grpclab.system.notices import Notice


@dataclass(frozen=True, kw_only=True)
class GeneratorFigures:
    """The part of one generator process. Seconds."""

    name: str
    """The host of its machine, and its Dask worker's name."""
    address: str
    """Its Dask worker's."""
    calls: int
    calls_per_s: float
    started_after_s: float
    """From the common start to its first call, on the merged timeline; NaN without a call."""
    offset_s: float
    """Its clock minus the one of the process that ordered the load."""
    bound_s: float
    """The error bound of that offset over the whole load."""
    late_p99_s: float
    """NaN in a closed loop, and with too few calls."""
    busy_share: float
    """CPU time without spinning, as a share of one core."""
    limits: tuple[str, ...]
    """The reasons why this process, not the server, was the limit; empty if it was not."""
    notices: tuple[Notice, ...] = ()
    """The events on its machine meanwhile."""


@dataclass(frozen=True, kw_only=True)
class ClusterFigures:
    """The generator processes of a load from a cluster, in their order."""

    address: str
    """The scheduler's, or ``local:N``."""
    machines: int
    """The machines, by kernel and network; several processes may share one."""
    generators: tuple[GeneratorFigures, ...]

    @property
    def starts_spread_s(self) -> float:
        """The time from the first process's first call to the last one's, on the merged timeline."""
        return spread([one.started_after_s for one in self.generators if not math.isnan(one.started_after_s)])

    @property
    def bound_s(self) -> float:
        """The error bound of the merged timeline: that of the clock that is known least well."""
        return max(one.bound_s for one in self.generators)

    @property
    def limited(self) -> tuple[GeneratorFigures, ...]:
        """The processes that were the limit, the busiest first."""
        return tuple(sorted((one for one in self.generators if one.limits), key=lambda one: -one.busy_share))

    @property
    def sentence(self) -> str:
        """How many processes and machines, and how well they agree."""
        processes, machines = _counted(len(self.generators), "process"), _counted(self.machines, "machine")
        return (
            f"{processes} on {machines}; starts within {self.starts_spread_s * 1e3:.2f} ms of each other, "
            f"merged timeline ±{self.bound_s * 1e3:.2f} ms"
        )

    @property
    def limits(self) -> tuple[str, ...]:
        """The reasons why processes were the limit, in one sentence that names the slowest; nothing if none was."""
        limited = self.limited
        if not limited:
            return ()
        number = f"{len(limited)} of {len(self.generators)} generator processes"
        return (f"{number}, the busiest of them {limited[0].name}: {'; '.join(limited[0].limits)}",)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """The events on the machines, each with the name of a process there; one of a kind for each machine."""
        return tuple(self._notices())

    def _notices(self) -> Iterator[Notice]:
        for one in self.generators:
            for notice in one.notices:
                text = f"{one.name}: {notice.text}"
                yield Notice(kind=notice.kind, severity=notice.severity, text=text, remedy=notice.remedy)

    def to_json(self) -> dict[str, Any]:
        """What bench's JSON says of them."""
        return {
            "address": self.address,
            "machines": self.machines,
            "starts_spread_s": self.starts_spread_s,
            "timeline_bound_s": self.bound_s,
            "generators": [
                {
                    "name": one.name,
                    "address": one.address,
                    "calls": one.calls,
                    "calls_per_s": one.calls_per_s,
                    "started_after_s": _number(one.started_after_s),
                    "clock_offset_s": one.offset_s,
                    "clock_bound_s": one.bound_s,
                    "lateness_p99_s": _number(one.late_p99_s),
                    "busy_share": one.busy_share,
                    "generator_bound": bool(one.limits),
                    "limits": list(one.limits),
                }
                for one in self.generators
            ],
        }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")
