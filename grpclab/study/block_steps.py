"""The blocks of a study as steps: which group of a block is measured next, by what the ones before it brought.

Several blocks may be under way at the same time, each on a machine of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.study.remaining import Remaining

if TYPE_CHECKING:
    from grpclab.study.designs.design import ScheduledGroup, Trial
    from grpclab.study.model import StoredResult
    from grpclab.study.run_watch import RunWatch

TRIES = 2
"""So often a group is measured in a run, the second time with its invalid members only."""

Steps = Generator["ScheduledGroup", "Sequence[StoredResult]"]
"""The groups of a block, each to be measured and stored; what is sent back are the results of its trials."""

MeasureGroup = Callable[["ScheduledGroup", Path, Mapping[str, Path]], str]
"""Measures a group: each trial into its folder, the rest into the group's. Returns the reason why that failed, or
nothing."""


class BlockSteps:
    """What is missing of the first blocks: groups that have missing trials; without groups, those trials."""

    def __init__(
        self,
        groups: Sequence[ScheduledGroup],
        missing: Collection[Trial],
        remaining: Remaining | None,
        watch: RunWatch,
    ) -> None:
        """`groups` are those of the blocks in the order of the design; `remaining` is None for a plan without."""
        self._by_block: dict[int, list[ScheduledGroup]] = {}
        for group in groups:
            self._by_block.setdefault(group.block, []).append(group)
        self._remaining, self._watch = remaining, watch
        self._names = {trial.name for trial in missing}
        self._left = {(trial.block, trial.group, trial.configuration) for trial in missing}

    @property
    def blocks(self) -> list[int]:
        """The blocks, in their order."""
        return list(self._by_block)

    @property
    def waiting(self) -> list[int]:
        """The blocks of which something is missing, in their order."""
        waiting = {block for block, _, _ in self._left}
        return [block for block in self._by_block if block in waiting]

    def of(self, block: int) -> Steps:
        """The groups of a block that are missing."""
        if self._remaining is None:
            yield from self._trials(block)
        else:
            yield from self._groups(block, self._remaining)

    def forget(self, block: int) -> None:
        """Take back what was stored of a block, so that all of it is missing."""
        if self._remaining is not None:
            self._remaining.forget(block)

    def _trials(self, block: int) -> Steps:
        for scheduled in self._by_block[block]:
            if scheduled.trials[0].name in self._names:
                self._watch.require_allowance(scheduled.names)
                self._watch.finished((yield scheduled))

    def _groups(self, block: int, remaining: Remaining) -> Steps:
        for scheduled in self._by_block[block]:
            assert scheduled.number is not None
            tries = TRIES
            while tries > 0 and (group := remaining.next(block, scheduled.number)):
                self._watch.require_allowance(group.names)
                results = yield group
                places = {trial.name: (block, scheduled.number, trial.configuration) for trial in group.trials}
                self._watch.finished(results, again={name for name in places if places[name] not in self._left})
                self._left.difference_update(places.values())
                tries -= 1 if group.number == scheduled.number else TRIES
                if all(one.valid or remaining.failed_before(one) for one in results) or not self._watch.valid:
                    tries = 0
                for result in results:
                    remaining.add(result)
            for name, why in remaining.left_out(block + 1).items():
                self._watch.left_out(name, why)


def sent(step: Steps, results: Sequence[StoredResult]) -> ScheduledGroup | None:
    """Go on with a block after the results of a group; the next group, None at the end."""
    try:
        return step.send(results)
    except StopIteration:
        return None
