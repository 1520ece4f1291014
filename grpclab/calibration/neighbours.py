"""How much of the machine others used while an experiment ran: what makes its figures worth less."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, kw_only=True)
class Reading:
    """CPU time so far, in seconds: of the whole machine (what its host took included), and of us and our children."""

    at_s: float
    machine_s: float
    own_s: float

    @classmethod
    def take(cls) -> Reading:
        """Now. Of our children those count that have ended, so take it when all have."""
        times = psutil.cpu_times()._asdict()
        counted = ("user", "nice", "system", "irq", "softirq", "steal")
        own = os.times()
        return cls(
            at_s=time.monotonic(),
            machine_s=sum(times.get(name, 0.0) for name in counted),
            own_s=own.user + own.system + own.children_user + own.children_system,
        )


def others_share(before: Reading, after: Reading, *, cores: int) -> float:
    """The share of all cores that others used between two readings, 0 to 1."""
    available_s = (after.at_s - before.at_s) * cores
    used_s = (after.machine_s - before.machine_s) - (after.own_s - before.own_s)
    return min(1.0, max(0.0, used_s / available_s)) if available_s > 0 else 0.0
