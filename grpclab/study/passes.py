"""The passes over a group: who is visited, in which order, how often, and what cannot be up together. Pure.

In every pass the slices of a comparison's two sides begin at most ``APART_S`` apart. Where the slices are short, any
order does that; where they are long, the hub is visited again between its candidates.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

APART_S = 1.0
"""The most time between the beginnings of the slices of a hub and a candidate."""
FEWEST_PASSES = 2
"""So many passes are looked at before anybody leaves."""
GROUP_S = 60.0
"""A group ends within so long."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """The least that a member is to be measured, and the most, in counted seconds; `calls` are counted ones."""

    counted_s: float
    calls: int
    most_s: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What of it has been measured so far, by slices that count."""

    counted_s: float = 0.0
    calls: int = 0


def left(goal: Goal, progress: Counted, counted_s: float, expected_rps: float) -> int:
    """The slices of `counted_s` that a member still needs; `expected_rps` is its rate where none is measured yet."""
    measured = progress.calls / progress.counted_s if progress.counted_s > 0 else expected_rps
    missing_s = goal.counted_s - progress.counted_s
    missing_calls = goal.calls - progress.calls
    if missing_calls > 0:
        missing_s = max(missing_s, missing_calls / measured if measured > 0 else math.inf)
    missing_s = min(missing_s, goal.most_s - progress.counted_s)
    if missing_s <= 0:
        return 0
    return math.ceil(min(round(missing_s / counted_s, 6), 1e6))


class Visits:
    """Who is visited in the next pass: the hub in each, and those that need fewer passes than others at even distances.

    So the slices of all of them lie over the same time, and the machine's changes meet all alike.
    """

    def __init__(self, hub: str) -> None:
        self._hub = hub
        self._credit: dict[str, float] = {}

    def due(self, left: Mapping[str, int], passes: float = math.inf) -> list[str]:
        """The members to be visited, by the slices that each still needs; nobody where none needs any.

        The hub is visited for as long as any of its candidates is, and they are not for the hub's sake alone. There is
        time for so many `passes`.
        """
        most = max(1.0, min(passes, max(left.values(), default=0)))
        if not any(slices > 0 for slices in left.values()):
            return []
        visited = []
        for name, slices in left.items():
            if name == self._hub:
                continue
            credit = self._credit.get(name, 1.0) + min(1.0, slices / most) if slices else 0.0
            if credit >= 1.0:
                visited.append(name)
                credit = min(credit - 1.0, 1.0)
            self._credit[name] = credit
        return [self._hub, *visited] if self._hub in left else visited


def order(visited: Sequence[str], hub: str, slice_s: float, draw: random.Random) -> list[str]:
    """The order of one pass: random, with the hub again between its candidates where they would be too far from it."""
    candidates = [name for name in visited if name != hub]
    draw.shuffle(candidates)
    if hub not in visited:
        return candidates
    reach = max(1, int(APART_S / max(slice_s, 1e-9)))
    if len(candidates) <= reach:
        candidates.insert(draw.randint(0, len(candidates)), hub)
        return candidates
    parts = math.ceil(len(candidates) / (2 * reach))
    drawn: list[str] = []
    for index in range(parts):
        part = candidates[index * len(candidates) // parts : (index + 1) * len(candidates) // parts]
        part.insert(draw.randint(max(0, len(part) - reach), min(reach, len(part))), hub)
        drawn += part
    return drawn


def memory_reason(used_bytes: Mapping[str, float], free_bytes: float) -> str:
    """Why servers that use so much memory cannot be up together; "" where they can."""
    total = sum(size for size in used_bytes.values() if not math.isnan(size))
    if total <= free_bytes / 2:
        return ""
    return (
        f"together, the servers use {total / 2**20:,.0f} MiB of memory, more than half of the "
        f"{free_bytes / 2**20:,.0f} MiB available"
    )


def few_left(members: Collection[str], hub: str) -> bool:
    """Whether too few members are left to be interleaved: a hub and a candidate at least."""
    return hub not in members or len(members) < 2
