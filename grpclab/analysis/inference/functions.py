"""Functions whose share of the samples differs most between two configurations. Pure.

A function's share is that of the samples in which it is anywhere on the stack. As everywhere, the unit is the block:
each has a share a side, the change is the mean of the differences, with its paired t interval.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from grpclab.analysis.inference.evidence import Shift
from grpclab.analysis.inference.ratios import t_interval

Stacks = Mapping[str, int]
ByBlock = Mapping[int, Stacks]
"""Folded stacks and their samples, for each block."""

_LINE = re.compile(r":\d+\)$")
EVERYWHERE = 0.98
"""A function with this share on both sides is a root of the stacks, and says nothing."""


@dataclass(frozen=True, kw_only=True)
class FunctionShift:
    """A function with its file, and its share of the samples on both sides."""

    function: str
    shares: Shift


def shares(stacks: Stacks) -> dict[str, float]:
    """The share of the samples in which each function is on the stack, however often; empty without samples."""
    counts: dict[str, int] = {}
    for stack, samples in stacks.items():
        for function in {_LINE.sub(")", frame) for frame in stack.split(";")}:
            counts[function] = counts.get(function, 0) + samples
    total = sum(stacks.values())
    return {function: count / total for function, count in counts.items()} if total else {}


def largest(baseline: ByBlock, candidate: ByBlock, *, most: int = 20) -> list[FunctionShift]:
    """The functions whose shares differ most, the greatest difference first; none without a block on both sides."""
    sides = [
        pd.DataFrame({block: shares(stacks) for block, stacks in side.items() if stacks}).T
        for side in (baseline, candidate)
    ]
    if any(side.empty for side in sides):
        return []
    names = sides[0].columns.union(sides[1].columns)
    first, second = (side.reindex(columns=names).fillna(0.0) for side in sides)
    change = (second - first).dropna()
    changes = [
        FunctionShift(
            function=str(name),
            shares=Shift(
                baseline=t_interval(first[name].to_numpy()),
                candidate=t_interval(second[name].to_numpy()),
                change=t_interval(change[name].to_numpy()),
            ),
        )
        for name in names
        if min(first[name].mean(), second[name].mean()) < EVERYWHERE
    ]
    changes = [one for one in changes if math.isfinite(one.shares.change.mean) and one.shares.change.mean]
    return sorted(changes, key=lambda one: (-abs(one.shares.change.mean), one.function))[:most]
