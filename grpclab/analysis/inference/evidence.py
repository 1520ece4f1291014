"""How the figures of two configurations differ, block by block: what the looks at the server say. Pure.

The independent unit is the block, never the sample: each block gives one value a side, and the change is the mean
of the differences within the blocks that hold both, with its paired t interval.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.inference.pairing import Place, groups_of
from grpclab.analysis.inference.ratios import Interval, column, numbers, t_interval, trials_of, valid_trials

PYSPY, PERF = "share_", "perf_share_"
WAIT = "wait"
Format = Callable[[float], str]
_time, _percent = qty.duration, functools.partial(qty.percent, style="sentence")


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A figure in two configurations, in its own unit, and its change from the baseline to the candidate."""

    baseline: Interval
    candidate: Interval
    change: Interval

    @property
    def clear(self) -> bool:
        """Whether the interval of the change leaves out 0."""
        return self.change.low > 0 or self.change.high < 0


def level(trials: pd.DataFrame, configuration: str, values: pd.Series[float]) -> Interval:
    """The mean over blocks. `values` has one value a trial, with the index of `trials`; NaN where there is none."""
    return t_interval(_by_block(_by_place(trials, configuration, values)))


def shift(trials: pd.DataFrame, baseline: str, candidate: str, values: pd.Series[float]) -> Shift:
    """What changed from one configuration to the other; `values` as in :func:`level`."""
    before, after = (_by_place(trials, name, values) for name in (baseline, candidate))
    change = {place: after[place] - before[place] for place in before.keys() & after.keys()}
    one, other, moved_by = (t_interval(_by_block(each)) for each in (before, after, change))
    return Shift(baseline=one, candidate=other, change=moved_by)


def _by_place(trials: pd.DataFrame, configuration: str, values: pd.Series[float]) -> dict[Place, float]:
    """The mean in each group of each block: what is compared was measured in one group."""
    rows = valid_trials(trials_of(trials, configuration, columns=("valid", "block", "group")))
    found: dict[Place, list[float]] = {}
    for block, group, value in zip(numbers(rows, "block"), groups_of(rows), values.loc[rows.index], strict=True):
        if not (math.isnan(block) or math.isnan(value)):
            found.setdefault((int(block), int(group)), []).append(value)
    return {place: float(np.mean(each)) for place, each in found.items()}


def _by_block(values: Mapping[Place, float]) -> list[float]:
    """The mean of each block over its groups, in the order of the blocks."""
    found: dict[int, list[float]] = {}
    for (block, _), value in sorted(values.items()):
        found.setdefault(block, []).append(value)
    return [float(np.mean(each)) for each in found.values()]


def work_shares(trials: pd.DataFrame, prefix: str, family: str) -> pd.Series[float]:
    """The share of a family in the samples at work, of py-spy (PYSPY) or of perf (PERF), for each trial.

    py-spy's waiting threads are left out; what perf calls waiting ran on a CPU, if hardly ever.
    """
    shares = numbers(trials, f"{prefix}{family}")
    return shares / (1 - numbers(trials, f"{prefix}{WAIT}")) if prefix == PYSPY else shares


def keyed(trials: pd.DataFrame, name: str, *path: str) -> pd.Series[float]:
    """A value out of the JSON object that a column holds in each trial, by the keys that lead to it.

    0 where the object holds others only, NaN where there is none.
    """

    def value(text: object) -> float:
        part = _object(text)
        if not part:
            return math.nan
        for key in path:
            part = part.get(key, {}) if isinstance(part, dict) else {}
        return float(part) if isinstance(part, int | float) else 0.0

    return column(trials, name).map(value).astype(float)


def keys(trials: pd.DataFrame, name: str, *path: str) -> list[str]:
    """The keys of the JSON objects in a column, the one with the greatest sum of values, at `path`, first."""
    names = {key for text in column(trials, name) for key in _object(text)}
    return sorted(names, key=lambda key: (-keyed(trials, name, key, *path).sum(), key))


def _object(text: object) -> dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) and text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def moved(trials: pd.DataFrame, baseline: str, candidate: str, families: Mapping[str, str]) -> str:
    """One sentence on what the candidate's server spends less, or more, for a request; "" without a profile.

    `families`: the families of work, each with its words. The cost of a family is its share of perf's samples,
    which cover all threads, of the server's CPU time for a call; without perf the sentence is about py-spy's shares.
    """
    cost = numbers(trials, "server_cpu_per_call_s")
    if numbers(trials, "perf_samples").gt(0).any():
        costs = {name: shift(trials, baseline, candidate, work_shares(trials, PERF, name) * cost) for name in families}
        return _whole(shift(trials, baseline, candidate, cost)) + _largest(costs, families, _time)
    shares = {name: shift(trials, baseline, candidate, work_shares(trials, PYSPY, name)) for name in families}
    text = _largest(shares, families, _percent)
    return f"Judging by the working samples of Python threads, {text.removeprefix('; ')}" if text else ""


def _whole(cpu: Shift) -> str:
    if not math.isfinite(cpu.change.mean):
        return ""
    way = "showed no clear change," if not cpu.clear else "fell" if cpu.change.mean < 0 else "rose"
    return (
        f"The server's CPU time per request {way} from {_time(cpu.baseline.mean)} to "
        f"{_time(cpu.candidate.mean)}{_between(cpu, _time)}"
    )


def _largest(shifts: Mapping[str, Shift], words: Mapping[str, str], text_of: Format) -> str:
    """What changed most among those that changed clearly."""
    clear = [name for name in shifts if shifts[name].clear]
    if not clear:
        return "; no kind of work changed clearly." if any(s.baseline.blocks for s in shifts.values()) else ""
    name = max(clear, key=lambda key: abs(shifts[key].change.mean))
    most = shifts[name]
    ends = f"from {text_of(most.baseline.mean)} to {text_of(most.candidate.mean)}"
    return f"; the largest change is in {words[name]}, {ends}{_between(most, text_of)}."


def _between(one: Shift, text_of: Format) -> str:
    """The interval of the change, in brackets."""
    change = one.change
    if not math.isfinite(change.low):
        return ""
    low, high = (f"{'-' if end < 0 else '+'}{text_of(abs(end))}" for end in (change.low, change.high))
    return f" (interval of the change {low} to {high}, {change.blocks} blocks)"
