"""The part of each machine in a load from a cluster, and how well their clocks and their starts agree. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grpclab import quantities as qty
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
class LostGenerator:
    """A generator process that was lost: its records are gone, so that its calls are in no figure. Seconds."""

    name: str
    address: str
    reason: str
    """A part of a sentence."""
    heard_s: float
    """From the opening of the window to its last answer; negative in the warm-up, and in an earlier window."""
    calls: int
    """The calls of the window that it had completed by then."""

    @property
    def sentence(self) -> str:
        """The reason, and what it had done by its last answer."""
        if self.heard_s < 0:
            return f"{self.name} was lost before the window opened: {self.reason}"
        done = f"{self.calls:,} call{'' if self.calls == 1 else 's'}"
        return (
            f"{self.name} was lost: {self.reason}; when it last answered, {qty.duration_in(self.heard_s, 's', '.1f')} "
            f"into the window, it had completed {done}, which no other figure includes"
        )

    def to_json(self) -> dict[str, Any]:
        """What bench's JSON says of it."""
        return {
            "name": self.name,
            "address": self.address,
            "reason": self.reason,
            "last_heard_s": self.heard_s,
            "calls_completed_by_then": self.calls,
        }


@dataclass(frozen=True, kw_only=True)
class ClusterFigures:
    """The generator processes of a load from a cluster, in their order."""

    address: str
    """The scheduler's, or ``local:N``."""
    machines: int
    """The machines, by kernel and network; several processes may share one."""
    generators: tuple[GeneratorFigures, ...]
    """Those that measured to the end."""
    lost: tuple[LostGenerator, ...] = ()
    """The others."""
    ended: bool = False
    """The load was ended since one was lost; otherwise the rest went on."""
    remained: str = ""
    """The part of the load that was left then, e.g. ``75/s of 100/s``."""

    @property
    def starts_spread_s(self) -> float:
        """The time from the first process's first call to the last one's, on the merged timeline."""
        return spread([one.started_after_s for one in self.generators if not math.isnan(one.started_after_s)])

    @property
    def bound_s(self) -> float:
        """The error bound of the merged timeline: that of the clock that is known least well."""
        return max(one.bound_s for one in self.generators)

    @property
    def planned(self) -> int:
        """The processes that the load was divided among."""
        return len(self.generators) + len(self.lost)

    @property
    def loss(self) -> str:
        """Where processes were lost: how many, and what the figures then are; otherwise nothing."""
        if not self.lost:
            return ""
        were = f"{len(self.lost):,} of {_counted(self.planned, 'generator process')} {_was(len(self.lost))} lost"
        if self.ended:
            return f"{were} and the load was ended: these are the other processes' figures up to then, {self.remained}"
        return f"{were}: the others continued with {self.remained}"

    @property
    def limited(self) -> tuple[GeneratorFigures, ...]:
        """The processes that were the limit, the busiest first."""
        return tuple(sorted((one for one in self.generators if one.limits), key=lambda one: -one.busy_share))

    @property
    def sentence(self) -> str:
        """How many processes and machines, and how well they agree."""
        processes, machines = _counted(len(self.generators), "process"), _counted(self.machines, "machine")
        if self.lost:
            processes = f"{len(self.generators):,} of {_counted(self.planned, 'process')}"
        starts, bound = (qty.duration_in(value, "ms", ".2f") for value in (self.starts_spread_s, self.bound_s))
        return f"{processes} on {machines}; starts within {starts} of each other, merged timeline ±{bound}"

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
        if self.lost:
            text = ". ".join([self.loss, *(one.sentence for one in self.lost)])
            remedy = "repeat the load before you compare these figures with others"
            yield Notice(kind="lost-worker", severity="warning", text=text, remedy=remedy)
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
            "planned_generators": self.planned,
            "lost": [one.to_json() for one in self.lost],
            "loss": self.loss,
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


def over_windows(figures: Sequence[ClusterFigures]) -> ClusterFigures:
    """Return the part of each process over several windows: calls are added up, and the worst of the others is told.

    A process that was lost in a later window is among the lost ones only.
    """
    last = figures[-1]
    if len(figures) == 1:
        return last
    first_told = {one.address: one for window in reversed(figures) for one in window.lost}

    def whole(one: GeneratorFigures) -> GeneratorFigures:
        return _over_windows([each for window in figures for each in window.generators if each.address == one.address])

    return replace(
        last,
        generators=tuple(map(whole, last.generators)),
        lost=tuple(first_told[one.address] for one in last.lost),
    )


def _over_windows(parts: Sequence[GeneratorFigures]) -> GeneratorFigures:
    """One process in several windows."""
    calls, seconds = sum(one.calls for one in parts), sum(one.calls / one.calls_per_s for one in parts if one.calls)
    late = [one.late_p99_s for one in parts if not math.isnan(one.late_p99_s)]
    return replace(
        parts[0],
        calls=calls,
        calls_per_s=calls / seconds if seconds else 0.0,
        bound_s=max(one.bound_s for one in parts),
        late_p99_s=max(late, default=math.nan),
        busy_share=max(one.busy_share for one in parts),
        limits=tuple(dict.fromkeys(limit for one in parts for limit in one.limits)),
        notices=tuple(dict.fromkeys(notice for one in parts for notice in one.notices)),
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "es" if noun.endswith("s") else "s")
