"""The passes over the members of a group that are up: slice by slice, until each has its measured time."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from grpclab.analysis.inference.core_speed import Floats, speed_of
from grpclab.analysis.study_plan import PlannedGroup
from grpclab.load.core.slices import Slice, SliceLengths
from grpclab.study import passes
from grpclab.study.passes import Counted, Goal, Visits
from grpclab.study.running_member import GroupTools, RunningMember
from grpclab.study.slice_account import IdleReading, ServerAccount, SliceReading, common_cores, disturber
from grpclab.system.environment import CorePlan
from grpclab.system.notices import Notice

SPARE_SLICES = 20
"""So many slices may be invalid before a member is visited no more."""
PAIR = 2
"""Of so many members it is known who comes next, if not the same."""
WORKS_ON_PASSES = 4
"""After so many passes it is known whether a server works when its calls have ended."""


class SlicedPasses:
    """The slices of a group, with what its servers used in them and between them.

    `running` are those that are up, by name; whoever leaves is taken out of it meanwhile.
    """

    def __init__(
        self,
        running: Mapping[str, RunningMember],
        group: PlannedGroup,
        tools: GroupTools,
        cores: CorePlan,
        draw: random.Random,
    ) -> None:
        self._running, self._group, self._tools, self._cores, self._draw = running, group, tools, cores, draw
        self._since = 0
        """The pass from which on slices count."""
        self.readings: list[SliceReading] = []
        self.passes: list[tuple[str, ...]] = []
        """The members in the order in which they were visited, pass by pass."""
        self._look_after = passes.FEWEST_PASSES
        """After so many passes that count, the members are looked at again: who leaves does so early, and a look takes
        the longer the more slices there are."""
        self._visits = Visits(group.hub)
        self._order: Sequence[str] | None = ()
        """Of the next pass: nobody where none needs any; None where there is no time for it."""
        self._slices: dict[str, list[Slice]] = {}
        """By member: its slices since then."""
        self._idle: IdleReading | None = None
        """The reading of the idle moment that lasts; None where it has to be read."""
        self._drained_at = math.nan
        """The end of the slice before; NaN where something else lies between."""

    def of(self, name: str) -> list[SliceReading]:
        """The slices of a member."""
        return [reading for reading in self.readings if reading.member == name]

    def account(self, name: str) -> ServerAccount:
        """What the server of a member used."""
        return ServerAccount.of(name, self.readings, self._since)

    def measure(self, lengths: SliceLengths, ends_at: float, leave: Callable[[str, str], bool]) -> None:
        """Visit the members pass by pass until each has what it needs, or the time is over.

        `leave` takes out a member that disturbs the others, and says whether they go on.
        """
        planned = False
        while True:
            if not planned:
                self._plan(lengths, ends_at)
            order = self._order
            if order is None:
                return
            planned = bool(order) and self._pass(order, lengths, ends_at)
            name, reason = self._disturbing(last=not order)
            if name:
                self._begin_again(f"{name} left the group")
                if not leave(name, reason):
                    return
            elif not order:
                return

    def _plan(self, lengths: SliceLengths, ends_at: float) -> None:
        """Draw the order of the next pass."""
        left = {each.name: self._left(each, lengths) for each in self._up()}
        slice_s = self._slice_s(lengths)
        at_most = (ends_at - self._tools.clock()) / (slice_s * max(1, len(left)))
        if at_most < 1 and len(self.passes) - self._since >= passes.FEWEST_PASSES:
            self._say_cut_short(left)
            self._order = None
            return
        due = self._visits.due(left, at_most)
        self._order = passes.order(due, self._group.hub, slice_s, self._draw) if due else ()

    def _up(self) -> list[RunningMember]:
        return [each for each in self._running.values() if not each.failed]

    def _pass(self, visited: Sequence[str], lengths: SliceLengths, ends_at: float) -> bool:
        """One pass over the members; whether the next one is planned already, so that its first member gets ready."""
        number, planned = len(self.passes), False
        self.passes.append(tuple(visited))
        goes_on = len(self.passes) - self._since < self._look_after
        pids = {each.name: each.pids for each in self._up()}
        processes = {each.name: each.processes for each in self._up()}

        def read(*names: str) -> IdleReading:
            return self._tools.read(pids, {name: processes[name] for name in names}, self._cores.server)

        for at, name in enumerate(visited):
            each, before = self._running[name], self._idle
            if each.failed:
                continue
            if before is None or name not in before.waited_s:
                before = read(name)
            drained_at = self._drained_at
            self._break_off()
            measured = each.slice(lengths)
            if measured is None:
                continue
            self._slices.setdefault(name, []).append(measured)
            following = self._following(visited[at + 1 :])
            if not following and goes_on:  # nobody is about to leave
                self._plan(lengths, ends_at)
                planned, following = True, self._following(self._order or ())
            if following:  # its workers get ready while the servers are read
                self._running[following].prepare(lengths)
            after = read(*{name, *([following] if following else self._others_of_pair(name))})
            self._idle, self._drained_at = after, measured.drained_at
            self.readings.append(
                SliceReading(
                    pass_number=number,
                    member=name,
                    slice=measured,
                    before=before,
                    after=after,
                    hand_over_s=measured.started_at - drained_at,
                )
            )
        return planned

    def _break_off(self) -> None:
        """Something else lies between the slice before and the next one."""
        self._idle, self._drained_at = None, math.nan

    def _following(self, still: Sequence[str]) -> str:
        """The first of those that are still to be visited in a pass; "" for none."""
        return next((name for name in still if not self._running[name].failed), "")

    def _others_of_pair(self, name: str) -> list[str]:
        """The other one of two, who may come next when a pass is over."""
        others = [each.name for each in self._up() if each.name != name]
        return others if len(others) < PAIR else []

    def finish(self, name: str) -> None:
        """Take the figures of a member's slices: none follows."""
        if self.of(name):
            finished = {each.number: each for each in self._running[name].finished_slices()}
            self.readings = [
                replace(each, slice=finished.get(each.slice.number, each.slice)) if each.member == name else each
                for each in self.readings
            ]

    def note_speeds(self, yardstick: Sequence[Floats]) -> None:
        """Note the speed of the servers' cores in each slice, from the readings of each core."""
        if not self.readings:
            return
        speeds = [speed_of(yardstick, each.slice.opened_at, each.slice.closed_at) for each in self.readings]
        known = [speed for speed in speeds if not math.isnan(speed)]
        middle = statistics.median(known) if known else math.nan
        self.readings = [
            replace(each, core_speed=speed / middle) for each, speed in zip(self.readings, speeds, strict=True)
        ]

    def _left(self, each: RunningMember, lengths: SliceLengths) -> int:
        """The slices that a member still needs."""
        own = self._slices.get(each.name, [])
        if own and own[-1].exhausted:
            return 0
        counted = [part for part in own if not part.invalid]
        if len(own) - len(counted) > SPARE_SLICES + len(counted):
            return 0
        progress = Counted(
            counted_s=sum(part.counted_s for part in counted), calls=sum(part.started for part in counted)
        )
        expected_rps = math.nan if each.warm is None else each.warm.throughput_rps
        return passes.left(self._goal(each), progress, lengths.counted_s, expected_rps)

    def _goal(self, each: RunningMember) -> Goal:
        load = each.member.config.load
        most_s = math.inf if load.duration_s is None else load.duration_s
        if load.requests is None:
            return Goal(counted_s=most_s, calls=0, most_s=most_s)
        if self._group.shortened:
            most_s = min(most_s, self._group.counted_s)
        return Goal(counted_s=self._group.counted_s, calls=load.requests, most_s=most_s)

    def _slice_s(self, lengths: SliceLengths) -> float:
        """The length of a slice, with what lies between two: as they were, or as it is expected."""
        if self.readings:
            return sum(reading.seconds for reading in self.readings) / len(self.readings)
        expected = [lengths.expected_s(each.warm) for each in self._up() if each.warm is not None]
        return max(expected, default=lengths.ramp_s + lengths.counted_s)

    def _disturbing(self, *, last: bool) -> tuple[str, str]:
        """The member that disturbs the others, or works when its calls have ended, and the words for that."""
        passed = len(self.passes) - self._since
        if passed < self._look_after and not last:
            return "", ""
        self._look_after = passed + max(1, passed // 2)
        readings = [each for each in self.readings if each.pass_number >= self._since]
        shared = self._shared()
        name, cores = disturber(readings, shared)
        if name in self._running:
            return name, f"its server uses {cores:.1%} of a core even while no calls are in progress"
        common = common_cores(readings, shared)
        for each in self._up() if last or passed >= WORKS_ON_PASSES else ():
            account = ServerAccount.of(each.name, readings)
            if not shared[each.name] and account.works_on(common):
                share = account.outside_s / (account.outside_s + account.cpu_s)
                return each.name, f"its server does {share:.1%} of its work after its calls have ended"
        return "", ""

    def _begin_again(self, reason: str) -> None:
        """Count nothing of what has been measured so far: it was disturbed."""
        self.readings = [each.without(reason) if each.pass_number >= self._since else each for each in self.readings]
        self._since = len(self.passes)
        self._look_after = passes.FEWEST_PASSES
        self._visits = Visits(self._group.hub)
        self._slices = {name: [each for each in own if each.exhausted] for name, own in self._slices.items()}
        self._break_off()

    def _shared(self) -> dict[str, Collection[str]]:
        """By member, the others that call the same server."""
        pids = {each.name: set(each.pids) for each in self._running.values()}
        return {
            name: [other for other, theirs in pids.items() if other != name and own & theirs]
            for name, own in pids.items()
        }

    def _say_cut_short(self, left: Mapping[str, int]) -> None:
        for name, slices_left in left.items():
            if slices_left > 0:
                text = (
                    f"measured for less time than requested: a group is limited to {passes.GROUP_S:.0f} s, and "
                    f"{slices_left:,} more slices were needed"
                )
                self._running[name].result.notices.append(Notice(kind="cut-short", severity="note", text=text))
