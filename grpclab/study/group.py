"""One group measured: all its servers are up, and their slices interleave in random order, pass by pass.

:func:`run_group` measures the members of a group in one block and writes each one's trial as
:func:`grpclab.study.trial.run_trial` does. What cannot be measured beside the others is measured alone in one window,
and says why. What goes wrong with a member makes an invalid trial of it, never an exception: the others go on.
"""

from __future__ import annotations

import contextlib
import math
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from grpclab.analysis.inference.core_speed import EVEN, SpeedOfSlice, even_throughputs
from grpclab.analysis.study_plan import PlannedGroup
from grpclab.errors import WorkerError
from grpclab.load.core import slices
from grpclab.load.core.slices import SliceLengths
from grpclab.study import passes, profile_window
from grpclab.study.group_result import GroupMember, GroupResult
from grpclab.study.running_member import GroupTools, RunningMember, together
from grpclab.study.sliced_passes import SlicedPasses
from grpclab.study.trial_result import TrialResult
from grpclab.study.yardstick import Yardstick
from grpclab.system.environment import CorePlan
from grpclab.system.notices import Notice

BESIDE = "it does not start while the others are running"
NOBODY_LEFT = "no other configuration is left in its group"
CLOSING_S = 4.0
"""So long it may take to stop them all."""


def run_group(
    members: Sequence[GroupMember],
    folder: Path,
    *,
    group: PlannedGroup,
    cores: CorePlan,
    seed: int,
    tools: GroupTools | None = None,
) -> GroupResult:
    """Measure the members of a group, in their order where they are measured one after the other.

    Each trial goes into its member's folder, slices.parquet into `folder`. Raises UsageError if a target has no such
    call.
    """
    run = _GroupRun(members, group, cores, seed, tools or GroupTools())
    if group.interleaved and len(members) > 1:
        run.measure_together()
    elif len(members) > 1:
        run.alone = dict.fromkeys((member.name for member in members), group.reason)
        run.say(group.reason)
    run.measure_alone()
    result = run.result()
    result.write_slices(folder)
    return result


class _GroupRun:
    """A group while it is measured."""

    def __init__(
        self, members: Sequence[GroupMember], group: PlannedGroup, cores: CorePlan, seed: int, tools: GroupTools
    ) -> None:
        self._members, self._group, self._cores, self._seed, self._tools = members, group, cores, seed, tools
        identity = members[0].identity
        self._draw = random.Random(f"{seed}/{identity.block}/{identity.group}/{group.hub}")
        self._began = tools.clock()
        self._running: dict[str, RunningMember] = {}
        """Those that are up, and have not left."""
        self._lengths: SliceLengths | None = None
        self._sliced = SlicedPasses(self._running, group, tools, cores, self._draw)
        self._until_idle: set[str] = set()
        self._not_started: dict[str, str] = {}
        """Those that did not start beside the others, and what was said."""
        self._reasons: list[str] = []
        self._trials: dict[str, TrialResult] = {}
        self._yardstick: Yardstick | None = None
        """Running beside the servers; None without one."""
        self.alone: dict[str, str] = {}
        """Those that are measured alone, and why."""

    def say(self, reason: str) -> None:
        """Keep what is to be said of the group, once."""
        if reason and reason not in self._reasons:
            self._reasons.append(reason)

    def result(self) -> GroupResult:
        """What all of it brought."""
        return GroupResult(
            group=self._group,
            members=tuple(self._members),
            seed=self._seed,
            trials={member.name: self._trials[member.name] for member in self._members},
            lengths=self._lengths,
            passes=tuple(self._sliced.passes),
            readings=self._sliced.readings,
            alone=self.alone,
            reasons=tuple(self._reasons),
            started_at=self._began,
            seconds=self._tools.clock() - self._began,
        )

    # ---- one after the other -----------------------------------------------------------------------------------

    def measure_alone(self) -> None:
        """Measure those that have no trial yet, each alone in one window; those that did not start first."""
        waiting = [member for member in self._members if member.name not in self._trials]
        for member in sorted(waiting, key=lambda member: member.name not in self._not_started):
            reason = self.alone.get(member.name, "")
            planned = reason == self._group.reason  # its row says so
            text = f"measured alone in one window: {reason}"
            result = self._tools.alone(
                member,
                self._cores,
                counted_s=self._group.counted_s,
                until_idle=self._group.until_idle or member.name in self._until_idle,
                notices=() if planned or not reason else (Notice(kind="alone", severity="note", text=text),),
            )
            self._trials[member.name] = result
            if member.name not in self._not_started:
                continue
            if not result.valid:  # nor does it start alone
                del self.alone[member.name]
                self._all_alone_instead(self._not_beside(member.name), f"{member.name} is invalid")
            elif self._not_beside(member.name) not in self._reasons:
                self.say(f"{member.name} was measured alone: {reason}")

    def _all_alone(self, reason: str) -> None:
        """Measure the members that are still to be measured one after the other, for this reason."""
        self.say(reason)
        for member in self._members:
            if member.name not in self._trials:
                self.alone.setdefault(member.name, reason)
        self._running.clear()

    def _all_alone_instead(self, reason: str, better: str) -> None:
        """Give a better reason to those that are measured alone for this one."""
        self.alone = {name: better if why == reason else why for name, why in self.alone.items()}
        self._reasons = [better if why == reason else why for why in self._reasons]

    def _leave(self, name: str, reason: str, *, until_idle: bool = False) -> None:
        """Take a member out: it is measured alone; with `until_idle` its server is stopped, since it disturbs."""
        self.say(f"{name} was measured alone: {reason}")
        self.alone[name] = reason
        self._sliced.finish(name)
        member = self._running.pop(name)
        if until_idle:
            self._until_idle.add(name)
            member.close()

    # ---- together ----------------------------------------------------------------------------------------------

    def measure_together(self) -> None:
        """Measure the members in slices, as far as that can be done."""
        planned_bytes = {"all": float(self._group.memory_bytes or 0)}
        if reason := passes.memory_reason(planned_bytes, self._tools.free_bytes()):
            self._all_alone(reason)
            return
        free_bytes = self._tools.free_bytes()
        count = len(self._members)
        everyone = [
            RunningMember(member, self._tools, self._cores, (index, count))
            for index, member in enumerate(self._members)
        ]
        trials = [each.member.identity.trial for each in everyone]
        try:
            with self._measuring_speed():
                together([each.start for each in everyone], trials)
                for each in everyone:
                    if each.usage_error is not None:
                        raise each.usage_error
                if self._started(everyone):
                    self._interleave(free_bytes)
        except BaseException:
            error = sys.exc_info()
            together([lambda each=each: each.close(*error) for each in everyone])  # type: ignore[misc]
            raise
        together([each.close for each in everyone], trials)
        for each in everyone:
            if each.name not in self.alone:
                each.result.write(each.member.folder)
                self._trials[each.name] = each.result

    @contextlib.contextmanager
    def _measuring_speed(self) -> Iterator[None]:
        """Have a yardstick run on the servers' cores, if they are ours and throughput depends on them."""
        ours = not any(member.subject.address for member in self._members)
        closed = any(member.config.load.rate_rps is None for member in self._members)
        with contextlib.ExitStack() as stack:
            if ours and closed:
                with self._unless_it_fails():
                    self._yardstick = stack.enter_context(self._tools.yardstick(self._cores.server))
            yield

    def _note_speeds(self) -> None:
        """Note how fast the servers' cores were in each slice."""
        if self._yardstick is not None:
            with self._unless_it_fails():
                self._sliced.note_speeds(self._yardstick.take())

    @contextlib.contextmanager
    def _unless_it_fails(self) -> Iterator[None]:
        """Say that the yardstick has failed, if it has: the group is measured without it."""
        try:
            yield
        except WorkerError as error:
            self.say(f"the speed of the cores is unknown: {error}")

    def _note_even(self) -> None:
        """Note the throughput of each member at an even speed of the cores."""
        metric = "throughput_rps"
        up = {each.name: each for each in self._up()}
        whole = {name: float(each.result.metrics.get(metric, math.nan)) for name, each in up.items()}
        slices_ = [
            SpeedOfSlice(
                pass_number=each.pass_number,
                member=each.member,
                throughput_rps=each.slice.throughput_rps,
                speed=each.core_speed,
            )
            for each in self._sliced.readings
            if each.counts
        ]
        for name, value in even_throughputs(slices_, whole).items():
            up[name].result.metrics[EVEN[metric]] = value

    def _started(self, everyone: Sequence[RunningMember]) -> bool:
        """Take out what did not start beside the others; whether there is something left to interleave."""
        failed = {each.name: each.start_error for each in everyone if each.start_error}
        self._running.update({each.name: each for each in everyone if not each.start_error})
        self._not_started = failed
        if not failed:
            return True
        name = self._group.hub if self._group.hub in failed else next(iter(failed))
        self.alone |= {each: f"{BESIDE} ({why})" for each, why in failed.items()}
        if passes.few_left(self._running, self._group.hub):
            self._all_alone(self._not_beside(name))
            return False
        return True

    def _not_beside(self, name: str) -> str:
        """Why the others, too, are measured alone where this one does not start beside them."""
        return f"{name} does not start while the others are running ({self._not_started[name]})"

    def _any_left(self) -> bool:
        """Whether a hub and a candidate are left; where not, whoever runs is measured alone, too."""
        if not passes.few_left(self._running, self._group.hub):
            return True
        why = [f", since {name} was measured alone ({reason})" for name, reason in self.alone.items()]
        self.alone |= dict.fromkeys(self._running, f"{NOBODY_LEFT}{why[-1] if why else ''}")
        self._running.clear()
        return False

    def _interleave(self, free_bytes: float) -> None:
        self._warm_up()
        used = {each.name: float(each.usage().rss_bytes) for each in self._up()}
        if reason := passes.memory_reason(used, free_bytes):
            self._all_alone(reason)
            return
        if not self._settle_lengths():
            return
        for each in self._up():
            each.open()
        assert self._lengths is not None
        profiles_s = profile_window.length_s() * sum(each.member.profile for each in self._up())
        self._sliced.measure(self._lengths, self._began + passes.GROUP_S - CLOSING_S - profiles_s, self._disturbs)
        self._note_speeds()
        for each in self._up():
            self._note(each)
        self._note_even()
        for each in self._up():
            each.observe()
            each.note_calls()

    def _up(self) -> list[RunningMember]:
        """Those that are up and whose trials may still be valid."""
        return [each for each in self._running.values() if not each.failed]

    def _disturbs(self, name: str, reason: str) -> bool:
        """Take a member out that disturbs the others; whether they go on together."""
        self._leave(name, reason, until_idle=True)
        return self._any_left()

    def _warm_up(self) -> None:
        order = self._up()
        self._draw.shuffle(order)
        for each in order:
            each.warm_up()

    def _settle_lengths(self) -> bool:
        """Fix the lengths of the slices, one for all; those whose own would be too long leave. Whether any are left."""
        warm = {each.name: each.warm for each in self._up() if each.warm is not None}
        rates = {name: self._running[name].rate_rps for name in warm}
        for name, reason in slices.alone(warm, rates).items():
            self._leave(name, reason)
        if not self._any_left():
            return False
        left = [(each.warm, each.rate_rps) for each in self._up() if each.warm is not None]
        if not left:
            return False
        closed = [warm for warm, rate in left if rate is None]
        opened = [(warm, rate) for warm, rate in left if rate is not None]
        lengths = []
        if closed:
            lengths.append(slices.closed_lengths(closed))
        if opened:
            lengths.append(slices.open_lengths([warm for warm, _ in opened], [rate for _, rate in opened]))
        self._lengths = SliceLengths(
            ramp_s=max(each.ramp_s for each in lengths), counted_s=max(each.counted_s for each in lengths)
        )
        return True

    def _note(self, each: RunningMember) -> None:
        """Take a member's figures; it is measured alone where no slice counts, or its open loop cannot be cut."""
        self._sliced.finish(each.name)
        if each.failed:
            return
        readings = self._sliced.of(each.name)
        parts = [reading.slice for reading in readings if reading.counts]
        invalid = [reading.slice for reading in readings if reading.slice.invalid]
        if invalid and len(invalid) == len(readings) and not any(one.exhausted for one in invalid):
            self._leave(
                each.name,
                f"none of its {len(invalid)} slices is usable, the first because of this: {invalid[0].invalid}",
            )
            return
        if each.rate_rps is not None and (reason := slices.growing(parts) or slices.outlasting(parts)):
            self._leave(each.name, reason)
            return
        notices = list(each.result.notices)
        each.note(self._sliced.readings, self._sliced.account(each.name))
        each.result.notices += notices
