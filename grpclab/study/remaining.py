"""What of a study with groups is still to be measured, by what is stored: which groups, and which members again. Pure.

A group in which a member is invalid is complete, and its other members count. The invalid one is measured again in
another group, with its hub and whatever else it is compared with there. One that is invalid for the same reason in its
first two blocks is left out of further groups.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping

from grpclab.analysis.study_plan import StudyPlan
from grpclab.study.designs.design import ScheduledGroup, Trial, scheduled_group
from grpclab.study.model import StoredResult

GIVEN_UP_AFTER = 2
"""So many first blocks with the same failure, and a configuration is left out of the others."""


class Remaining:
    """What of a plan with groups is measured so far, and what is not."""

    def __init__(self, plan: StudyPlan, seed: int, results: Iterable[StoredResult]) -> None:
        self._plan, self._seed = plan, seed
        self._groups: dict[tuple[int, int], dict[int, dict[str, StoredResult]]] = {}
        """By block and planned group: by number what is stored of each member."""
        for result in results:
            self.add(result)
        self._compared = _compared(plan)

    def add(self, result: StoredResult) -> None:
        """One more trial is stored."""
        if result.group is None:
            return
        of = self._groups.setdefault((result.block, result.group % len(self._plan.groups)), {})
        of.setdefault(result.group, {})[result.configuration] = result

    def forget(self, block: int) -> None:
        """Nothing is stored of a block any more."""
        self._groups = {place: of for place, of in self._groups.items() if place[0] != block}

    def next(self, block: int, place: int) -> ScheduledGroup | None:
        """What is to be measured next of the group at a place of the plan; None where nothing is missing."""
        missing = self._missing(block, place)
        if not missing:
            return None
        measured = self._groups.get((block, place), {})
        number = place if not measured else max(measured) + len(self._plan.groups)
        planned, gone = self._plan.groups[place], self.left_out(block)
        needed = {planned.hub, *missing}
        needed |= {name for pair in self._compared[place] if pair & missing for name in pair}
        members = planned.members if not measured else [name for name in planned.members if name in needed]
        return scheduled_group(self._plan, block, number, self._seed, [name for name in members if name not in gone])

    def missing(self, blocks: int) -> Iterator[Trial]:
        """The planned trials of the first blocks that are still to be measured, without what is left out."""
        for block, place in itertools.product(range(blocks), range(len(self._plan.groups))):
            if self._plan.groups[place].is_in(block) and (names := self._missing(block, place)):
                planned = scheduled_group(self._plan, block, place, self._seed)
                yield from (trial for trial in planned.trials if trial.configuration in names)

    def failed_before(self, result: StoredResult) -> bool:
        """Whether a trial failed as the same configuration did in another block, and never was valid."""
        others = [one for one in self._of(result.configuration) if one.block != result.block]
        return bool(others) and all(not one.valid and _alike(one, result) for one in others)

    def left_out(self, block: int) -> Mapping[str, str]:
        """The configurations that are not measured in a block, each with the reason why it was invalid before."""
        return {name: why for name in self._plan.names if (why := self._given_up(name, block))}

    def _given_up(self, name: str, block: int) -> str:
        by_block: dict[int, list[StoredResult]] = {}
        for one in self._of(name):
            by_block.setdefault(one.block, []).append(one)
        first = [by_block[number] for number in sorted(by_block)[:GIVEN_UP_AFTER]]
        if len(first) < GIVEN_UP_AFTER or block in sorted(by_block)[:GIVEN_UP_AFTER]:
            return ""
        if any(one.valid for of in by_block.values() for one in of):
            return ""
        latest = [of[-1] for of in first]
        return latest[-1].invalid_reason if all(_alike(one, latest[0]) for one in latest) else ""

    def _of(self, name: str) -> list[StoredResult]:
        """The stored trials of a configuration, in the order of their blocks and numbers."""
        return [of[name] for key in sorted(self._groups) for _, of in sorted(self._groups[key].items()) if name in of]

    def _missing(self, block: int, place: int) -> set[str]:
        """The members of a planned group that have to be measured in a block, for the first time or again."""
        gone = self.left_out(block)
        wanted = {name for name in self._plan.groups[place].members if name not in gone}
        measured = self._groups.get((block, place), {}).values()
        valid = [{name for name, result in of.items() if result.valid} for of in measured]
        missing = wanted - set().union(*valid)
        for pair in self._compared[place]:
            if pair <= wanted and not pair & missing and not any(pair <= names for names in valid):
                missing |= pair
        return missing


def _compared(plan: StudyPlan) -> list[set[frozenset[str]]]:
    """For each planned group the pairs of its members that are compared: with the hub, and by the plan."""
    planned = [*([plan.headline] if plan.headline else []), *plan.comparisons, *plan.parts]
    planned += [plan.aa] if plan.aa else []
    pairs = {frozenset((one.baseline, one.candidate)) for one in planned if one.testable}
    found = []
    for group in plan.groups:
        stars = {frozenset((group.hub, name)) for name in group.members if name != group.hub}
        found.append(stars | {pair for pair in pairs if pair <= set(group.members)})
    return found


def _alike(one: StoredResult, other: StoredResult) -> bool:
    """Whether two trials failed for the same reason, numbers apart."""
    return re.sub(r"\d+", "0", one.invalid_reason) == re.sub(r"\d+", "0", other.invalid_reason)
