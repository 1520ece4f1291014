"""The groups of a plan: which configurations are measured together. Pure.

The sides of every comparison share a group, and a configuration is measured once in each of its groups, so groups are
chosen such that few configurations are in several: those that are compared with each other are one group as long as
they are few, more of them become stars around what most others are compared with, and the rungs of a ladder become
groups that overlap in one rung.

The slices of a group are as long as those of its slowest member. So comparisons with a slow side have groups of their
own, and where a pass would put the two sides of a comparison more than a second apart, every comparison of the group
is with its hub, which a pass visits again between the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from grpclab.analysis.study_plan import PlannedGroup, StudyPlan
from grpclab.factors.registries import ARRIVALS
from grpclab.load.core import slices
from grpclab.study.designs import expected_times
from grpclab.study.designs.expected_times import ExpectedTimes
from grpclab.study.designs.idle_scenario import IDLE

MOST_MEMBERS = 6
LONGEST_GROUP_S = 60.0
FARTHEST_S = 1.0
"""The slices of the two sides of a comparison start at most so far apart within a pass."""
SLOW_SLICE_S = 0.25
"""Comparisons of which a side needs longer slices than this have groups of their own."""
CERTAINLY = 2.0
"""What is expected to last so many times as long as a slice may is not tried."""
COUNTED_S, COUNTED_LARGE_S, COUNTED_ALONE_S = 1.0, 0.5, 0.5
"""Counted time of a member, where differences are large, and of a configuration that is in no comparison."""
EXCLUSIVE = "the servers cannot run at the same time (`exclusive` is set)"
NOT_COMPARED, NOT_COMPARED_ONCE = "it is not part of a comparison", "it is in no comparison"
"""The reason today, and as earlier versions stored it: a stored study goes on with its own groups."""
APART, LARGE = "apart", "large"
NO_SLICES_NEEDED = "the differences between them are large"
LATER = "some of these servers are still busy when their calls have ended"
SILENT, SILENT_ONCE = "this measures an idle period", "its silence is what is measured"
NOBODY: Mapping[str, str] = MappingProxyType({})
NO_PAIRS: Mapping[frozenset[str], float] = MappingProxyType({})

Pair = tuple[str, str]
"""Two configurations that are compared, in the order of the plan."""


def grouped(
    plan: StudyPlan,
    *,
    apart: Mapping[str, str] = NOBODY,
    large: Collection[frozenset[str]] = (),
    counted: Mapping[frozenset[str], float] = NO_PAIRS,
) -> StudyPlan:
    """The plan with its groups; the headline's comes first, those of one configuration come last.

    `apart`: why a configuration cannot be interleaved with others, by its name. Those that go silent, those whose link
    forgets silent connections, and those whose slices would be far too long are found here. `large`: pairs that
    differ by much; they are measured one after the other for half the time, where no interleaved group has them anyway.
    `counted`: the counted time of pairs that need more or less than COUNTED_S, in seconds; pairs with the same counted
    time share groups. A plan that has groups keeps them, unless some are to be `apart`.
    """
    if plan.groups and not apart:
        return plan
    times = {one.name: ExpectedTimes.of(one.config) for one in plan.configurations}
    reasons = {
        one.name: reason
        for one in plan.configurations
        if (reason := apart.get(one.name, "") or not_interleaved(one.scenario, times[one.name]))
    }
    arms = [_pair(plan, arm.baseline, arm.candidate) for arm in (plan.headline, plan.aa) if arm and arm.testable]
    others = [_pair(plan, one.baseline, one.candidate) for one in (*plan.parts, *plan.comparisons) if one.testable]
    pairs = [pair for pair in dict.fromkeys(arms + others) if pair[0] != pair[1]]
    large = set(large) - {frozenset(pair) for pair in arms}
    together = [pair for pair in pairs if not reasons.keys() & set(pair) and frozenset(pair) not in large]
    slow = {pair for pair in together if max(times[name].slice_s for name in pair) > SLOW_SLICE_S}
    if slow & set(arms):  # the noise of the headline is that of its own group
        slow |= set(arms) & set(together)
    groups: list[PlannedGroup] = []
    sliced = _Kind(times=times)
    kinds: dict[tuple[float, bool], list[Pair]] = {}
    for pair in together:
        seconds = COUNTED_S if pair in arms else counted.get(frozenset(pair), COUNTED_S)
        kinds.setdefault((-seconds, pair not in slow), []).append(pair)
    for kind, some in (
        *((replace(sliced, counted_s=-key[0]), kinds[key]) for key in sorted(kinds)),
        (replace(sliced, why=LARGE, counted_s=COUNTED_LARGE_S), [pair for pair in pairs if frozenset(pair) in large]),
        (replace(sliced, why=APART), [pair for pair in pairs if reasons.keys() & set(pair)]),
    ):
        left = [pair for pair in some if not any(kind.holds(group, pair) for group in groups)]
        sides = [name for pair in arms if pair in left for name in pair]
        first = sorted(dict.fromkeys(sides), key=lambda name: -sides.count(name))
        groups += [kind.planned(cover, plan, reasons) for cover in _covers(kind, plan.names, left, first)]
    groups.sort(key=lambda group: not (arms and set(arms[0]) <= set(group.members)))
    groups += [
        PlannedGroup(
            hub=name,
            members=(name,),
            interleaved=False,
            reason=reasons.get(name, NOT_COMPARED),
            counted_s=COUNTED_ALONE_S,
            memory_bytes=_memory(plan, (name,)),
        )
        for name in plan.names
        if not any(name in pair for pair in pairs)
    ]
    return replace(plan, groups=tuple(groups))


def not_interleaved(scenario: str, times: ExpectedTimes) -> str:
    """Why a configuration cannot be measured in slices, as far as its factors say it; "" where it can."""
    config = times.config
    if config.load.pause_s:
        return f"load.pause_s={config.load.pause_s:g}: {SILENT}"
    shape = ARRIVALS.resolve(config.load.arrival)
    if shape.varies and (config.load.rate_rps is not None or shape.callers is not None):
        return (
            f"load.arrival={config.load.arrival}: the load changes during the window, so the window cannot be cut "
            "into slices"
        )
    if config.link.idle_timeout_s is not None:
        return (
            f"link.idle_timeout_s={config.link.idle_timeout_s:g}: the link drops this configuration's connections "
            "while other configurations are measured"
        )
    if scenario == IDLE:
        return SILENT
    if config.load.rate_rps is not None:
        least_s, most_s = times.counted_s, slices.OPEN_MOST_S
        certainly = 1.0 if slices.OPEN_CALLS / config.load.rate_rps > most_s else CERTAINLY
        what = f"load.rate_rps={config.load.rate_rps:g}: one slice takes"
    else:
        least_s, most_s = times.slice_s, slices.CLOSED_MOST_S
        certainly = CERTAINLY
        what = "one slice would take about"
    if least_s <= certainly * most_s:
        return ""
    return f"{what} {least_s:.0f} s, more than {most_s:g} s"


def can_be_sampled(group: PlannedGroup) -> bool:
    """Whether a few blocks of a group say what it is measured for: it carries no small difference, takes long, or is
    planned for a few."""
    if group.blocks is not None:
        return True
    reasons = (NO_SLICES_NEEDED, NOT_COMPARED, NOT_COMPARED_ONCE, LATER, SILENT, SILENT_ONCE)
    return not group.interleaved and group.reason.endswith(reasons)


def group_s(plan: StudyPlan, group: PlannedGroup) -> float:
    """The expected length of a group in one block, in seconds: a guess, until the first was measured."""
    times = [ExpectedTimes.of(plan.configuration(name).config) for name in group.members]
    return _length_s(times, interleaved=group.interleaved, counted_s=group.counted_s)


def pass_s(times: Sequence[ExpectedTimes]) -> float:
    """The expected length of a pass over configurations that are interleaved, in seconds."""
    slice_s = max(one.slice_s for one in times)
    return _visits(len(times), slice_s) * slice_s


def _visits(members: int, slice_s: float) -> int:
    """The slices of a pass: one a member, and more of the hub where the farthest two would be too far apart."""
    if members <= 2 or (members - 1) * slice_s <= FARTHEST_S:
        return members
    beside = 2 * max(int(FARTHEST_S / slice_s), 1)  # candidates for each visit of the hub, before it and after it
    return members - 1 + math.ceil((members - 1) / beside)


def _length_s(times: Sequence[ExpectedTimes], *, interleaved: bool, counted_s: float) -> float:
    if not interleaved or len(times) == 1:
        return sum(one.alone_s(counted_s) for one in times)
    stretch_s = max(one.counted_s for one in times)
    passes = max(math.ceil(one.window_s(counted_s) / stretch_s) for one in times)
    starts_s = expected_times.START_S + len(times) * expected_times.MEMBER_START_S
    return starts_s + sum(one.config.load.warmup_s for one in times) + passes * pass_s(times)


def _pair(plan: StudyPlan, *sides: str) -> Pair:
    one, other = sorted(sides, key=plan.names.index)
    return one, other


def _memory(plan: StudyPlan, members: Iterable[str]) -> int | None:
    """What their servers take together, in bytes; None where one of them is not our greeter."""
    names = list(members)
    if plan.subjects.keys() & set(names):
        return None
    return sum(expected_times.memory_bytes(plan.configuration(name).config) for name in names)


# ---- few groups that hold all pairs --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Cover:
    """Members of a group, the hub first, and the pairs that it is there for."""

    members: tuple[str, ...]
    pairs: frozenset[Pair]


def _covers(kind: _Kind, names: Sequence[str], pairs: Sequence[Pair], first: Sequence[str]) -> Iterator[_Cover]:
    """Groups that hold all `pairs`, chosen one after the other; `first` are in the first of them.

    The next group is the one that leaves the fewest members to be measured again for each pair that it holds.
    """
    left = dict.fromkeys(pairs)
    while left:
        times = Counter(name for pair in left for name in pair)
        seeds = [name for name in names if times[name] > 1] or [next(iter(left))[0]]
        grown = [kind.grown((*first,), left)] if first else [kind.grown((seed,), left) for seed in seeds]

        def again(cover: _Cover) -> float:
            held = Counter(name for pair in cover.pairs for name in pair)
            return sum(times[name] > held[name] for name in cover.members) / len(cover.pairs)  # noqa: B023 (used here)

        best = min(grown, key=lambda cover: (again(cover), -len(cover.pairs)))
        yield best
        for pair in best.pairs:
            del left[pair]
        first = ()


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """Groups of one kind, and what fits into one. `why` they are not interleaved: ``apart``, ``large``, or ""."""

    times: Mapping[str, ExpectedTimes]
    why: str = ""
    counted_s: float = COUNTED_S
    """Counted time of a member, in seconds."""

    @property
    def interleaved(self) -> bool:
        """Whether their servers are up together."""
        return not self.why

    def grown(self, start: tuple[str, ...], left: Mapping[Pair, None]) -> _Cover:
        """A group around the first of `start`: whoever adds most pairs of those that are left joins, while it fits."""
        while len(start) > 2 and not self._fits(start):
            start = start[:-1]
        members, held = start, self._held(start, left)
        times = Counter(name for pair in left for name in pair)
        while len(members) < MOST_MEMBERS:
            beside = dict.fromkeys(name for pair in left for name in pair if set(pair) & set(members))
            larger = [(*members, name) for name in beside if name not in members]
            best = max(larger, key=lambda some: (len(self._held(some, left)), -times[some[-1]]), default=members)
            more = self._held(best, left)
            if len(more) <= len(held) or not self._fits(best):
                break
            members, held = best, more
        hub = members[0]
        if self._near(members):
            inside = Counter(name for pair in held for name in pair)
            hub = max(members, key=lambda name: inside[name])
        return _Cover(members=(hub, *(name for name in members if name != hub)), pairs=held)

    def holds(self, group: PlannedGroup, pair: Pair) -> bool:
        """Whether a group of this kind is enough for a pair."""
        return self.interleaved == group.interleaved and bool(self._held(group.members, [pair]))

    def _held(self, members: Sequence[str], left: Iterable[Pair]) -> frozenset[Pair]:
        inside = [pair for pair in left if pair[0] in members and pair[1] in members]
        return frozenset(pair for pair in inside if self._near(members) or members[0] in pair)

    def _near(self, members: Sequence[str]) -> bool:
        """Whether any two are close enough in a pass, not only the hub and another."""
        longest_s = max(self.times[name].slice_s for name in members)
        return not self.interleaved or len(members) <= 2 or (len(members) - 1) * longest_s <= FARTHEST_S

    def _fits(self, members: Sequence[str]) -> bool:
        times = [self.times[name] for name in members]
        length_s = _length_s(times, interleaved=self.interleaved, counted_s=self.counted_s)
        return len(members) == 2 or length_s <= LONGEST_GROUP_S

    def planned(self, cover: _Cover, plan: StudyPlan, reasons: Mapping[str, str]) -> PlannedGroup:
        """The group as a plan holds it."""
        own = dict.fromkeys(reasons[name] for name in cover.members if name in reasons)
        reason = {APART: "; ".join(own), LARGE: NO_SLICES_NEEDED}.get(self.why, "")
        return PlannedGroup(
            hub=cover.members[0],
            members=cover.members,
            interleaved=self.interleaved,
            reason=reason,
            counted_s=self.counted_s,
            pass_s=pass_s([self.times[name] for name in cover.members]) if self.interleaved else None,
            memory_bytes=_memory(plan, cover.members),
        )
