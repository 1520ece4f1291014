"""What the servers of a group used in the slices and between them, by readings at the idle moments. Pure.

A slice lies between two readings: one before its first call, one after its last, which is the one before the next slice
as well. CPU for a call is all CPU between these two moments
over all calls made between them.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from grpclab.load.core.slices import Slice
from grpclab.system.accounting import KernelCounts
from grpclab.system.notices import Notice

BUSY_SHARE = 0.02
"""The share of a core that the others of a group together may use while one is measured, and the share of its own work
that a server may do when its calls have ended."""
BUSY_SLICES, BUSY_SECONDS = 2, 1.0
"""A server leaves if it was the busiest of the others in so many slices, or in one that lasts so long."""
ONE_BURST_S = 0.1
"""So much work, once, says nothing of a server: a virtual machine charges whoever runs with the time that its host
takes."""
IDLE_CORES = 0.005
"""A server that uses no more of a core than this between its slices is idle, however little it does in them."""
WAITED_LIMIT = 0.05
"""The share of its time for which a server may have waited for a core that something else used."""


@dataclass(frozen=True, kw_only=True)
class IdleReading:
    """The servers of a group at a moment at which none has a call."""

    at_s: float
    """On time.perf_counter's clock."""
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    """By member: CPU time of all processes of its server so far; NaN where they are not known."""
    waited_s: Mapping[str, float] = field(default_factory=dict)
    """By member, of those whose slice has ended or begins: the time in which threads of its server could have run and
    had no core, so far; NaN where it is not known."""
    cores_s: float = math.nan
    """CPU time of all processes on the servers' cores so far, and what the host of a virtual machine took of them."""
    counts: KernelCounts = field(default_factory=lambda: KernelCounts(at_s=0.0, wall_s=0.0))
    """The kernel's, of the machine and of the processes of those members' measurements."""


@dataclass(frozen=True, kw_only=True)
class SliceReading:
    """One visit of a pass: the slice, and the servers before and after it. `left_out`: why it does not count."""

    pass_number: int
    member: str
    slice: Slice
    before: IdleReading
    after: IdleReading
    left_out: str = ""
    hand_over_s: float = math.nan
    """The time since the drain of the slice before, whoever's that was; NaN where something else lay between."""
    core_speed: float = math.nan
    """The speed of the servers' cores in its counted stretch, 1 being the median of its group; NaN if not known."""

    def without(self, reason: str) -> SliceReading:
        """The same as one that does not count."""
        return replace(self, left_out=self.left_out or reason)

    @property
    def seconds(self) -> float:
        """From the one moment to the other."""
        return self.after.at_s - self.before.at_s

    @property
    def counts(self) -> bool:
        """Whether its calls are among those that are counted."""
        return not self.left_out and not self.slice.invalid

    def used_s(self, name: str) -> float:
        """The CPU time that a member's server used meanwhile; NaN where it is not known."""
        return self.after.cpu_s.get(name, math.nan) - self.before.cpu_s.get(name, math.nan)

    @property
    def waited_s(self) -> float:
        """The time for which the server's threads waited for a core."""
        return self.after.waited_s.get(self.member, math.nan) - self.before.waited_s.get(self.member, math.nan)

    @property
    def lost_s(self) -> float:
        """The time for which they waited for what others used, at most: threads of one server wait for each other."""
        others_s = self.after.cores_s - self.before.cores_s - self.used_s(self.member)
        return min(self.waited_s, max(0.0, others_s))


@dataclass(frozen=True, kw_only=True)
class ServerAccount:
    """What one server used, over all slices of it that count, and outside of them."""

    slices: int = 0
    left_out: int = 0
    """The slices that do not count."""
    seconds: float = 0.0
    calls: int = 0
    cpu_s: float = math.nan
    waited_s: float = math.nan
    lost_s: float = math.nan
    outside_s: float = math.nan
    """The CPU time that it used when it had no call."""
    outside_seconds: float = 0.0
    outside_most_s: float = 0.0
    """The most of that CPU time between two of its slices."""
    client_cpu_s: float = 0.0

    @classmethod
    def of(cls, member: str, readings: Sequence[SliceReading], since: int = 0) -> ServerAccount:
        """The account of a member; outside of its slices from pass `since` on."""
        own = [each for each in readings if each.member == member]
        counted = [each for each in own if each.counts]
        outside_s, outside_seconds, most_s = _outside(member, [each for each in readings if each.pass_number >= since])
        return cls(
            slices=len(counted),
            left_out=len(own) - len(counted),
            seconds=sum(each.seconds for each in counted),
            calls=sum(each.slice.calls for each in counted),
            cpu_s=_sum(each.used_s(member) for each in counted),
            waited_s=_sum(each.waited_s for each in counted),
            lost_s=_sum(each.lost_s for each in counted),
            outside_s=outside_s,
            outside_seconds=outside_seconds,
            outside_most_s=most_s,
            client_cpu_s=sum(each.slice.client_cpu_s for each in counted),
        )

    @property
    def outside_cores(self) -> float:
        """The share of a core that it used when it had no call; NaN where that is not known."""
        return self.outside_s / self.outside_seconds if self.outside_seconds > 0 else math.nan

    @property
    def lost_share(self) -> float:
        """The share of its time for which it waited for what others used."""
        return self.lost_s / self.seconds if self.seconds > 0 else math.nan

    def works_on(self, common: float = 0.0) -> bool:
        """Whether it does too much of its work when its calls have ended; `common`: see :func:`common_cores`.

        One short burst of work does not count.
        """
        own_s = self.outside_s - common * self.outside_seconds
        if self.outside_most_s <= ONE_BURST_S:
            own_s -= self.outside_most_s
        return own_s > IDLE_CORES * self.outside_seconds and own_s > BUSY_SHARE * (own_s + self.cpu_s)

    def metrics(self, kernel_share: float) -> dict[str, float]:
        """The columns of a trial that are of its slices; `kernel_share` of the server's CPU time was the kernel's."""
        return {
            "pass_count": self.slices,
            "slices_left_out": self.left_out,
            "server_cpu_s": self.cpu_s,
            "server_user_s": self.cpu_s * (1 - kernel_share),
            "server_kernel_s": self.cpu_s * kernel_share,
            "server_cpu_per_call_s": self.cpu_s / self.calls if self.calls else math.nan,
            "server_waited_s": self.waited_s,
            "server_waited_share": self.lost_share,
            "server_outside_cores": self.outside_cores,
        }

    def notices(self) -> list[Notice]:
        """What whoever reads its figures should know."""
        found = []
        if self.lost_share > WAITED_LIMIT:
            found.append(
                Notice(
                    kind="server-waited",
                    severity="warning",
                    text=(
                        f"the server was ready to run but did not run for {self.lost_share:.0%} of its time: "
                        "something else used the core"
                    ),
                    remedy="stop other programs on its cores (`top` shows them) and measure again",
                )
            )
        if self.left_out:
            slices = "1 slice was" if self.left_out == 1 else f"{self.left_out:,} slices were"
            found.append(
                Notice(
                    kind="slices-left-out",
                    severity="note",
                    text=f"{slices} left out of {self.left_out + self.slices:,}; slices.parquet has the reason for "
                    "each",
                )
            )
        return found


def common_cores(readings: Sequence[SliceReading], apart: Mapping[str, Collection[str]] | None = None) -> float:
    """The share of a core that most servers of a group use while others are measured, at most BUSY_SHARE.

    It is the lower median. A runtime's own timers are not work: the wake-ups of an idle gRPC server, seven a second,
    cost up to 2% of a core on a virtual machine. Where only one server is known, all that it uses counts as work.
    """
    shares = []
    for name in sorted({name for each in readings for name in each.after.cpu_s}):
        rows = [each for each in readings if name != each.member and name not in (apart or {}).get(each.member, ())]
        if seconds := sum(each.seconds for each in rows):
            shares.append(sum(_known(each.used_s(name)) for each in rows) / seconds)
    return min(statistics.median_low(shares), BUSY_SHARE) if len(shares) > 1 else 0.0


class Disturber(NamedTuple):
    """The server that disturbs the others of its group: its name, "" for none; and its share of a core meanwhile."""

    name: str = ""
    cores: float = math.nan


def disturber(readings: Sequence[SliceReading], apart: Mapping[str, Collection[str]] | None = None) -> Disturber:
    """The busiest of the servers that together used too much of a core while another was measured.

    What each of them uses beyond :func:`common_cores` counts. `apart`: by member, those that its own slices say nothing
    of: they call the same server. Work in one short slice alone, such as a collection of garbage, is no reason.
    """
    common = common_cores(readings, apart)

    def beyond_s(rows: Sequence[SliceReading], visited: str) -> dict[str, float]:
        others = {name for each in rows for name in each.after.cpu_s} - {visited, *(apart or {}).get(visited, ())}
        return {
            name: max(0.0, sum(_known(each.used_s(name)) - common * each.seconds for each in rows))
            for name in sorted(others)
        }

    busiest: dict[str, list[float]] = {}
    for each in readings:
        used_s = beyond_s([each], each.member)
        if sum(used_s.values()) > BUSY_SHARE * each.seconds:
            busiest.setdefault(max(used_s, key=used_s.__getitem__), []).append(each.seconds)
    for visited in sorted({each.member for each in readings}):
        rows = [each for each in readings if each.member == visited]
        used_s, seconds = beyond_s(rows, visited), sum(each.seconds for each in rows)
        if sum(used_s.values()) > BUSY_SHARE * seconds:
            name = max(used_s, key=used_s.__getitem__)
            slices = busiest.get(name, [])
            if len(slices) >= BUSY_SLICES or max(slices, default=0.0) >= BUSY_SECONDS:
                return Disturber(name, sum(_known(each.used_s(name)) for each in rows) / seconds)
    return Disturber()


def cpu_over_counted_time(member: str, readings: Sequence[SliceReading]) -> tuple[list[float], list[float]]:
    """The middle of each slice that counts, in seconds of counted time, and the server's CPU share in it."""
    counted = [each for each in readings if each.member == member and each.counts]
    ends = list(itertools.accumulate(each.slice.counted_s for each in counted))
    middles = [end - each.slice.counted_s / 2 for end, each in zip(ends, counted, strict=True)]
    return middles, [each.used_s(member) / max(each.seconds, 1e-9) for each in counted]


def _outside(member: str, readings: Sequence[SliceReading]) -> tuple[float, float, float]:
    """The CPU time that a server used from its first slice to the last reading, less that in its slices; how long that
    was; and the most of it between two slices."""
    own = [each for each in readings if each.member == member]
    if not own:
        return math.nan, 0.0, 0.0
    gaps = [(one.after, other.before) for one, other in itertools.pairwise(own)]
    gaps.append((own[-1].after, readings[-1].after))
    used_s = [till.cpu_s.get(member, math.nan) - since.cpu_s.get(member, math.nan) for since, till in gaps]
    return max(0.0, math.fsum(used_s)), max(0.0, sum(till.at_s - since.at_s for since, till in gaps)), max(used_s)


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _sum(values: Iterable[float]) -> float:
    """The sum; NaN of none."""
    found = list(values)
    return math.fsum(found) if found else math.nan
