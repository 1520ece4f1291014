"""Configurations and headlines that recur from study to study, and the changes of the machine in between.

Studies stand in order of time. Where the machine or a version changed, nothing is joined across it: another machine is
never read as if it were the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from grpclab.report import words
from grpclab.report.past import Past, PastLevel

MOST_LINES = 6
MOST_STUDIES = 40
"""Of more studies the newest are drawn."""
_VERSIONS = ("grpcio", "protobuf", "uvloop", "python", "kernel")
"""What of an identity is told with its values; of the rest only that it changed."""

Recurring = dict[tuple[str, ...], list[tuple[Past, PastLevel]]]


@dataclass(frozen=True, kw_only=True)
class PastValue:
    """A value in one study; `place` counts the drawn studies from the oldest."""

    place: int
    mean: float
    low: float
    high: float
    verdict: str = ""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of the machine or of a version between `place` and the study after it."""

    place: int
    what: str


def recurring(studies: Sequence[Past]) -> Recurring:
    """The configurations of two studies or more, each with its levels from the oldest to the newest."""
    levels: Recurring = {}
    for study in sorted(studies, key=order):
        for key, level in {level.same: level for level in study.levels}.items():
            levels.setdefault(key, []).append((study, level))
    return {key: pairs for key, pairs in levels.items() if len(pairs) > 1}


def order(study: Past) -> tuple[object, ...]:
    """The key by which studies are sorted: their age, then their names."""
    return study.age, study.study, study.file


def metric_of(newest: Past, levels: Recurring) -> str:
    """The metric of the newest study, if it recurs, else the one that recurs most."""
    counts: dict[str, int] = {}
    for pairs in levels.values():
        counts[pairs[0][1].metric] = counts.get(pairs[0][1].metric, 0) + 1
    return newest.metric if newest.metric in counts else max(counts, key=lambda metric: (counts[metric], metric))


def chosen(newest: Past, levels: Recurring) -> list[tuple[str, ...]]:
    """The headline's two of the newest study, then those in most studies, then in the order of that study."""
    places = {level.same: at for at, level in enumerate(newest.levels)}
    sides = [level.same for name in (newest.baseline, newest.candidate) if (level := newest.level(name))]

    def rank(key: tuple[str, ...]) -> tuple[object, ...]:
        side = sides.index(key) if key in sides else len(sides)
        return side, -len(levels[key]), places.get(key, len(places)), key

    return sorted(levels, key=rank)[:MOST_LINES]


def distinct(studies: Sequence[Past]) -> list[Past]:
    """Each study once, the oldest first; of very many the newest."""
    distinct = {id(study): study for study in studies}
    return sorted(distinct.values(), key=order)[-MOST_STUDIES:]


def borders(drawn: Sequence[Past]) -> list[Change]:
    """The changes of the machine or of a version between two neighbours."""
    places = []
    for place, (before, after) in enumerate(itertools.pairwise(drawn)):
        if changed := changes(before, after):
            more = f" and {len(changed) - 2} more" if len(changed) > 2 else ""
            places.append(Change(place=place, what=f"{', '.join(changed[:2])}{more}"))
    return places


def runs(spots: Sequence[PastValue], borders: Sequence[Change]) -> list[list[PastValue]]:
    """The spots in runs with no change of the machine inside."""
    pieces: list[list[PastValue]] = []
    for spot in spots:
        last = pieces[-1][-1].place if pieces else None
        if last is None or any(last <= border.place < spot.place for border in borders):
            pieces.append([spot])
        else:
            pieces[-1].append(spot)
    return pieces


def changes(before: Past, after: Past) -> list[str]:
    """The differences in machine and versions between two studies, in words; empty if there are none."""
    if not (before.identity and after.identity):
        return ["machine not recorded"]
    changed = []
    for key in sorted(before.identity.keys() | after.identity.keys(), key=_rank):
        old, new = before.identity.get(key, ""), after.identity.get(key, "")
        if old != new:
            values = f" {words.short(old or 'none', 24)} → {words.short(new or 'none', 24)}" if key in _VERSIONS else ""
            changed.append(f"{words.short(key.replace('_', ' '), 24)}{values}")
    return changed


def _rank(key: str) -> tuple[int, str]:
    """The host first: with another host all else is another as well."""
    order = ("host", "cpu_model", "cores", *_VERSIONS)
    return (order.index(key) if key in order else len(order), key)
