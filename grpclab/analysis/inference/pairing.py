"""The two sides of a comparison, paired within each group of each block.

A ratio is made of two trials of one group, whose slices interleave, never across groups; trials of the first edition,
measured without groups, pair by block. The block stays the unit of evidence.

The ratio of throughputs is that at an even speed of the servers' cores (:mod:`.core_speed`) if both sides have it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grpclab.analysis.inference.core_speed import EVEN
from grpclab.analysis.inference.ratios import Interval, column, log_t_interval, numbers, rows_of, trials_of

Place = tuple[int, int]
"""A block and a group in it."""
UNGROUPED = -1
"""Stands for the group of a trial that was measured without."""
MACHINE = "machine"
"""The column that names the machine of a trial; no study without a cluster has it."""
_PLACE = ("block", "group", "valid", "pass_count")
"""The columns that say where a trial belongs, and whether it was interleaved."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """The blocks in which both sides of a comparison were measured in one group.

    `frame` has the columns block (int), baseline, candidate (in the metric's unit) and ratio, one row per block in
    ascending order. `notes` gives the reason for every block that was left out, `machines` the machine of every row,
    "" where that is not known.
    """

    frame: pd.DataFrame
    notes: tuple[str, ...]
    machines: tuple[str, ...] = ()


def block_columns(metric: str) -> tuple[str, ...]:
    """The columns that :func:`block_values` and :func:`pair_blocks` read."""
    even = [EVEN[metric]] if metric in EVEN else []
    return "block", "group", "pass_count", "valid", metric, *even, "invalid_reason", MACHINE


def groups_of(trials: pd.DataFrame) -> pd.Series:
    """The number of the group of each trial, UNGROUPED where it was measured without: the first edition had none."""
    return numbers(trials, "group").fillna(UNGROUPED).astype(int)


def block_values(trials: pd.DataFrame, metric: str) -> tuple[dict[int, float], dict[int, str]]:
    """The metric of one configuration in each block, and for the other blocks the reason why there is none.

    `trials` holds the rows of that configuration. Only finite positive values have a logarithm. Where it was measured
    in several groups of a block, their geometric mean is its level there; no ratio is made of it, which
    :func:`pair_blocks` takes within each group.
    """
    values, reasons = _place_values(trials, metric)
    by_block: dict[int, list[float]] = {}
    for (block, _), value in values.items():
        by_block.setdefault(block, []).append(value)
    left_out = {block: reason for (block, _), reason in reasons.items() if block not in by_block}
    return {block: _geometric_mean(each) for block, each in by_block.items()}, left_out


def _place_values(trials: pd.DataFrame, metric: str) -> tuple[dict[Place, float], dict[Place, str]]:
    """The metric of one configuration in each group of each block; for the others, what is said of the trial there."""
    measured: dict[Place, list[float]] = {}
    invalid: dict[Place, set[str]] = {}
    cells = zip(
        numbers(trials, "block"),
        groups_of(trials),
        column(trials, "valid").eq(True),
        numbers(trials, metric),
        column(trials, "invalid_reason"),
        strict=True,
    )
    for block, group, valid, value, why in cells:
        if math.isnan(block):
            continue
        place = int(block), int(group)
        if valid:
            measured.setdefault(place, []).append(float(value))
        else:
            invalid.setdefault(place, set()).update([why] if isinstance(why, str) and why else [])

    values: dict[Place, float] = {}
    reasons = {
        place: "is invalid" + (f" ({', '.join(sorted(texts))})" if texts else "")
        for place, texts in invalid.items()
        if place not in measured
    }
    for place, each in measured.items():
        if any(math.isnan(value) for value in each):
            reasons[place] = f"did not measure {metric}"
        elif min(each) <= 0:
            reasons[place] = f"measured a {metric} of {min(each):g}, which has no logarithm"
        else:
            values[place] = _geometric_mean(each)
    return values, reasons


def _geometric_mean(values: Sequence[float]) -> float:
    """One trial is the rule, and its value is kept to the last digit."""
    return values[0] if len(values) == 1 else float(np.exp(np.log(values).mean()))


def share_a_group(trials: pd.DataFrame, *, scenario: str, baseline: str, candidate: str) -> bool:
    """Whether any block holds both in one group, valid or not; of trials without groups, any block at all."""
    return bool(_shared(trials, scenario, baseline, candidate))


def without_groups(trials: pd.DataFrame) -> pd.DataFrame:
    """The same trials as if none had been measured in a group, for two that share none: they pair by block.

    Where a configuration was measured more than once in a block, its geometric mean stands for it.
    """
    return trials.drop(columns="group", errors="ignore")


def trials_of_pair(
    trials: pd.DataFrame, *, scenario: str, baseline: str, candidate: str, columns: Sequence[str] = ()
) -> pd.DataFrame:
    """The trials that a comparison of the two rests on: those in the groups that hold both.

    Of a block in which some of these groups interleaved them, those alone. All of their trials where none was measured
    in a group. They have these `columns`, and those by which they were found.
    """
    keep = column(trials, "configuration").isin([baseline, candidate]) & column(trials, "scenario").eq(scenario)
    rows = rows_of(trials, keep, ("configuration", "scenario", *_PLACE, *columns))
    groups = groups_of(rows)
    if groups.eq(UNGROUPED).all():
        return rows
    shared = _shared(rows, scenario, baseline, candidate)
    places = zip(numbers(rows, "block").fillna(UNGROUPED).astype(int), groups, strict=True)
    return rows[[place in shared for place in places]]


def _shared(trials: pd.DataFrame, scenario: str, baseline: str, candidate: str) -> set[Place]:
    sides = [trials_of(trials, name, scenario, columns=_PLACE) for name in (baseline, candidate)]
    sides = [rows[numbers(rows, "block").notna()] for rows in sides]
    return _preferred(set.intersection(*map(_places, sides)), sides)


def _places(rows: pd.DataFrame) -> set[Place]:
    return set(zip(numbers(rows, "block").astype(int), groups_of(rows), strict=True))


def _preferred(shared: Set[Place], sides: Iterable[pd.DataFrame]) -> set[Place]:
    """Those of the shared groups in which the slices of both sides interleave; in a block without any, all of them.

    `sides` are the rows of each side.
    """
    interleaved = set(shared)
    for rows in sides:
        interleaved &= _places(rows[numbers(rows, "pass_count").gt(0) & column(rows, "valid").eq(True)])
    blocks = {block for block, _ in interleaved}
    return {place for place in shared if place[0] not in blocks or place in interleaved}


def pair_blocks(trials: pd.DataFrame, *, scenario: str, metric: str, baseline: str, candidate: str) -> Pairing:
    """Pair the two configurations within each group of each block, and say what was left out and why.

    A ratio is taken within a group alone. Where the two share several groups of a block, those count in which their
    slices interleave, if there are any, and the block, which stays the unit of evidence, has the mean of the logarithms
    of their ratios. Trials without groups, those of the first edition, pair by block.
    """
    columns = block_columns(metric)
    sides = {name: trials_of(trials, name, scenario, columns=columns) for name in (baseline, candidate)}
    absent = [name for name, rows in sides.items() if rows.empty]
    notes = [f"no trial of {name} in scenario {scenario}" for name in absent]
    by_side = {name: _place_values(rows, metric) for name, rows in sides.items()}
    (base, base_reasons), (other, other_reasons) = by_side[baseline], by_side[candidate]
    places = base.keys() | base_reasons.keys() | other.keys() | other_reasons.keys()
    both: dict[int, list[Place]] = {}
    for place in sorted(_preferred(base.keys() & other.keys(), sides.values())):
        both.setdefault(place[0], []).append(place)
    if not absent:
        notes += _left_out(by_side, places, both)
    if metric in EVEN:
        even_of = {name: _place_values(rows, EVEN[metric])[0] for name, rows in sides.items()}
        base_even, other_even = even_of[baseline], even_of[candidate]  # the same where one is compared with itself
        even = {place for place in base_even.keys() & other_even.keys() if place[1] != UNGROUPED}
        base = {place: base_even[place] if place in even else value for place, value in base.items()}
        other = {place: other_even[place] if place in even else value for place, value in other.items()}
    before = np.array([_geometric_mean([base[place] for place in each]) for each in both.values()], dtype=np.float64)
    after = np.array([_geometric_mean([other[place] for place in each]) for each in both.values()], dtype=np.float64)
    frame = pd.DataFrame(
        {
            "block": np.array(list(both), dtype=np.int64),
            "baseline": before,
            "candidate": after,
            "ratio": after / before,
        }
    )
    return Pairing(frame=frame, notes=tuple(notes), machines=_machines(sides[candidate], both))


def _machines(rows: pd.DataFrame, both: Mapping[int, Sequence[Place]]) -> tuple[str, ...]:
    """The machine of each block: all groups of a block are measured on one."""
    if MACHINE not in rows.columns:
        return ("",) * len(both)
    places = zip(numbers(rows, "block").fillna(UNGROUPED).astype(int), groups_of(rows), strict=True)
    names = {place: name for place, name in zip(places, rows[MACHINE], strict=True) if isinstance(name, str)}
    return tuple(names.get(places[0], "") for places in both.values())


def _left_out(
    by_side: Mapping[str, tuple[dict[Place, float], dict[Place, str]]], places: Set[Place], both: Mapping[int, object]
) -> list[str]:
    """Why blocks are left out, a line for each side that lacks a value in a block without a pair."""
    known = [values.keys() | reasons.keys() for values, reasons in by_side.values()]
    shared = known[0] & known[-1]  # one alone where a configuration is compared with itself
    if not shared and any(group != UNGROUPED for _, group in places):
        return [f"{' and '.join(by_side)} are not in the same group, and ratios are taken only within a group"]
    lines, apart = [], 0
    for block in sorted({block for block, _ in places if block not in both}):
        there = [{place for place in of_side if place[0] == block} for of_side in known]
        ways = there[0] & there[-1] if all(there) else there[0] | there[-1]
        lines += [
            f"block {block} was left out because "
            + (f"the trial of {name} {reasons[place]}" if place in reasons else f"there is no trial of {name}")
            for place in sorted(ways)
            for name, (values, reasons) in by_side.items()
            if place not in values
        ]
        apart += not ways
    if apart:
        lines.append(f"{' and '.join(by_side)} are in the same group in {len(both)} of {len(both) + apart} blocks")
    return together(lines)


_ONE_BLOCK = re.compile(r"block (\d+) was left out because (.+)")


def together(notes: Iterable[str]) -> list[str]:
    """The notes, each once, with the blocks that were left out for one reason in one note.

    Stored verdicts of earlier versions have a note for each block, so this takes texts.
    """
    blocks: dict[str, list[str]] = {}
    for note in notes:
        one = _ONE_BLOCK.fullmatch(note)
        blocks.setdefault(one[2] if one else note, []).extend([one[1]] if one else [])
    return [_blocks_left_out(numbers, why) if numbers else why for why, numbers in blocks.items()]


def _blocks_left_out(numbers: Sequence[str], why: str) -> str:
    *others, last = dict.fromkeys(numbers)
    blocks = f"blocks {', '.join(others)} and {last} were" if others else f"block {last} was"
    return f"{blocks} left out because {why}"


def block_ratios(trials: pd.DataFrame, *, scenario: str, metric: str, baseline: str, candidate: str) -> pd.DataFrame:
    """The ratio candidate / baseline of the raw metric in every block in which both are valid and positive.

    Columns: block (int), baseline, candidate (in the metric's unit), ratio; no rows if there is no such block.
    """
    paired = pair_blocks(trials, scenario=scenario, metric=metric, baseline=baseline, candidate=candidate)
    return paired.frame


def paired_levels(
    trials: pd.DataFrame, *, scenario: str, metric: str, baseline: str, candidate: str
) -> tuple[Interval, Interval]:
    """The levels of two configurations over the blocks in which both are valid.

    The ratio candidate / baseline of the two geometric means is the one that :func:`grpclab.analysis.compare` returns.
    """
    pairs = block_ratios(trials, scenario=scenario, metric=metric, baseline=baseline, candidate=candidate)
    return log_t_interval(pairs["baseline"]), log_t_interval(pairs["candidate"])
