"""The watch of the machine, and of the processes of a measurement, while its window is open."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import operator
import os
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from grpclab.system.accounting import KernelCounts, is_stopped
from grpclab.system.environment import cpu_quota, governor, turbo
from grpclab.system.interference import UNWATCHED_S, Interference, Party, between

LOOK_S = 0.04
"""The time from one look at the processes' states to the next: a stop of 100 ms shows twice."""


class InterferenceWatch:
    """The machine, and the processes of a measurement, while its window is open.

    It takes two readings of the kernel's counts, and looks at the processes' states in between. `parties` are the
    processes by who they are (see :mod:`grpclab.system.interference`).
    """

    def __init__(
        self,
        parties: Mapping[str, Collection[int]],
        *,
        clock: Callable[[], float] = time.perf_counter,
        root: Path = Path("/"),
    ) -> None:
        self._clock, self._root = clock, root
        self._parties = {name: party_of(pids, root) for name, pids in parties.items() if pids}
        self._governor, self._turbo = governor(root), turbo(root)
        everyone = {pid for party in self._parties.values() for pid in party.pids}
        self._pids = sorted(everyone | {os.getpid()})
        self._before: KernelCounts | None = None
        self._looked_at = math.inf
        self._stopped_s = dict.fromkeys(self._parties, 0.0)
        self._unwatched_s = 0.0

    def open(self, *, late_s: float = 0.0) -> None:
        """Begin the watch; the window opened `late_s` ago."""
        self._before = KernelCounts.take(self._pids, root=self._root)
        self._looked_at = self._clock()
        self._unwatched_s += late_s if late_s > UNWATCHED_S else 0.0

    def look(self) -> None:
        """Look at the states of the processes, where it is time to; to be called more often than each LOOK_S."""
        now = self._clock()
        since_s = now - self._looked_at
        if since_s < LOOK_S:
            return
        self._looked_at = now
        if since_s > UNWATCHED_S:
            self._unwatched_s += since_s
        for name, party in self._parties.items():
            if any(is_stopped(pid, self._root) for pid in party.pids):
                self._stopped_s[name] += min(since_s, UNWATCHED_S)

    def close(self) -> Interference:
        """End the watch of the window. Returns what happened around it: nothing where it never opened."""
        if self._before is None:
            return Interference()
        self.look()
        return between(
            self._before,
            KernelCounts.take(self._pids, root=self._root),
            self._parties,
            stopped_s=self._stopped_s,
            unwatched_s=self._unwatched_s,
            governor=self._governor,
            turbo=self._turbo,
        )


class SlicesWatch:
    """The machine, and the processes of a measurement, during some slices taken together, and at no other time.

    The kernel's counts are read before each slice and after it; those of quotas, before all slices and after them. The
    processes' states are looked at in a slice that takes longer than it should: one in which a process was stopped
    does.
    """

    def __init__(self, parties: Mapping[str, Collection[int]], *, root: Path = Path("/")) -> None:
        self._root = root
        self._parties = {name: party_of(pids, root) for name, pids in parties.items() if pids}
        self._governor, self._turbo = governor(root), turbo(root)
        everyone = {pid for party in self._parties.values() for pid in party.pids}
        self._pids = sorted(everyone | {os.getpid()})
        self._opening = KernelCounts.take(self._pids, root=root)
        self._readings: dict[int, tuple[KernelCounts, KernelCounts]] = {}
        self._stopped_s = dict.fromkeys(self._parties, 0.0)
        self._before: KernelCounts | None = None
        self._looked_at = math.inf

    def begin(self, *, counts: bool = True) -> None:
        """Begin a slice; without `counts`, whoever orders it reads those."""
        self._before = KernelCounts.take(self._pids, root=self._root, quotas=False) if counts else None
        self._looked_at = math.inf

    def look(self, now: float) -> None:
        """Look at the states of the processes, where that is due; to be called while a slice takes too long."""
        if self._looked_at == math.inf:
            self._looked_at = now
        since_s = now - self._looked_at
        if since_s < LOOK_S:
            return
        self._looked_at = now
        for name, party in self._parties.items():
            if any(is_stopped(pid, self._root) for pid in party.pids):
                self._stopped_s[name] += min(since_s, UNWATCHED_S)

    def end(self, number: int) -> None:
        """End the slice, which has this number."""
        assert self._before is not None
        self._readings[number] = (self._before, KernelCounts.take(self._pids, root=self._root, quotas=False))

    def interference(
        self, numbers: Collection[int], readings: Mapping[int, tuple[KernelCounts, KernelCounts]]
    ) -> Interference:
        """What happened during these slices; `readings`: those that somebody else took, by number."""
        known = {**self._readings, **readings}
        parts = [known[number] for number in numbers if number in known]
        if not parts:
            return Interference()
        whole = KernelCounts.take(self._pids, root=self._root) - self._opening
        counts = functools.reduce(operator.add, ((after - before).of(self._pids) for before, after in parts))
        return between(
            KernelCounts(at_s=0.0, wall_s=0.0),
            dataclasses.replace(counts, throttling=whole.throttling),
            self._parties,
            stopped_s=self._stopped_s,
            governor=self._governor,
            turbo=self._turbo,
        )


def party_of(pids: Collection[int], root: Path = Path("/")) -> Party:
    """Return processes as a party, with the cores that they may use and the tightest quota above one of them."""
    cores: set[int] = set()
    for pid in pids:
        with contextlib.suppress(OSError, AttributeError):  # it is gone; the system has no affinity
            cores |= os.sched_getaffinity(pid)
    quotas = [quota for pid in pids if (quota := cpu_quota(root, pid=pid)) is not None]
    return Party(pids=tuple(pids), cores=frozenset(cores), quota_cores=min(quotas, default=None))
