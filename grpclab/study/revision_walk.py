"""The search for the first slow one among revisions in their order: which is compared next, and what is known. Pure.

Number 0 is the good revision, and each further number one commit later. A revision of which nothing can be said is left
out, and the search goes on beside it; what it could not decide is then a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Outcome = Literal["good", "slow", "unknown"]


@dataclass(frozen=True, kw_only=True)
class RevisionWalk:
    """A search among the numbers 0 to `last`, of which the first is good and the last slow."""

    last: int
    outcomes: Mapping[int, Outcome] = field(default_factory=dict)
    """What was found out of those between."""

    def with_outcome(self, number: int, outcome: Outcome) -> RevisionWalk:
        """The search with what was found out of one more."""
        return replace(self, outcomes={**self.outcomes, number: outcome})

    @property
    def slow(self) -> int:
        """The first that is known to be slow."""
        return min([number for number, outcome in self.outcomes.items() if outcome == "slow"], default=self.last)

    @property
    def good(self) -> int:
        """The last before that which is known to be good."""
        below = [number for number, outcome in self.outcomes.items() if outcome == "good" and number < self.slow]
        return max(below, default=0)

    @property
    def found(self) -> bool:
        """Whether the first slow one is known: it is :attr:`slow` then."""
        return self.slow - self.good == 1

    @property
    def suspects(self) -> range:
        """Those of which one is the first slow one."""
        return range(self.good + 1, self.slow + 1)

    @property
    def next(self) -> int | None:
        """The one to be compared next: the middle of the widest gap. None where nothing is left that would help."""
        gaps: list[range] = []
        begun = self.good + 1
        for number in range(self.good + 1, self.slow + 1):
            if number == self.slow or number in self.outcomes:
                gaps.append(range(begun, number))
                begun = number + 1
        widest = max(gaps, key=len, default=range(0))
        return widest[len(widest) // 2] if widest else None

    @property
    def steps_left(self) -> int:
        """The most comparisons that are left, if each of them decides."""
        return (self.slow - self.good - 1).bit_length()
