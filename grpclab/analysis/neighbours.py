"""The configurations of a study that are equal in all factors but one. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from grpclab.analysis.configuration_summary import METRIC, Measured
from grpclab.analysis.inference.edition import TODAY, Rules
from grpclab.analysis.inference.pairing import share_a_group, without_groups
from grpclab.analysis.inference.verdict import Comparison, compare
from grpclab.factors.config import FACTORS
from grpclab.factors.levels import Level
from grpclab.factors.own import is_own

_DEFAULT_WINDOW_KIB = 64
"""65,535 bytes, what RFC 9113 (6.5.2) and C-core start with where no window is set and BDP probing is off."""

_Setting = tuple[Level, ...]


class Neighbours:
    """The configurations of a study that are equal in all factors but one."""

    def __init__(self, trials: pd.DataFrame, measured: Sequence[Measured], rules: Rules = TODAY) -> None:
        self._trials = trials
        self._rules = rules
        self._measured = [m for m in measured if _known(m)]
        self._alike: dict[str, dict[_Setting, list[Measured]]] = {}

    def raised(self, of: Measured, factor: str) -> list[Measured]:
        """Those of its scenario in which that factor alone is higher; none where a factor is not known."""
        return [other for other in self.alike(of, factor) if _height(other, factor) > _height(of, factor)]

    def alike(self, of: Measured, factor: str) -> list[Measured]:
        """Those of its scenario, itself among them, that differ in that factor at most; none where one is unknown."""
        if not _known(of):
            return []
        if factor not in self._alike:
            alike = self._alike.setdefault(factor, {})
            for m in self._measured:
                alike.setdefault(_setting_but(m, factor), []).append(m)
        return self._alike[factor].get(_setting_but(of, factor), [])

    def faster(self, of: Measured, factor: str) -> Comparison | None:
        """The one with the highest median that is `faster` by the project's own comparison
        (:func:`.verdict.compare`, not adjusted): an interval above 1 and a ratio beyond delta. None where none is.
        Two that share no group, which the plan does not compare, are paired by block.

        Of one of the user's own factors, whose levels have no order, it may be any with another level.
        """
        others = [one for one in self.alike(of, factor) if one.levels.get(factor) != of.levels.get(factor)]
        for other in sorted(others if is_own(factor) else self.raised(of, factor), key=lambda m: -m.median(METRIC)):
            if not other.median(METRIC) > of.median(METRIC):
                return None
            comparison = self._against(of, other)
            if comparison.verdict == "faster":
                return comparison
        return None

    def _against(self, of: Measured, other: Measured) -> Comparison:
        scenario, baseline, candidate = of.scenario, of.configuration, other.configuration
        together = share_a_group(self._trials, scenario=scenario, baseline=baseline, candidate=candidate)
        return compare(
            self._trials if together else without_groups(self._trials),
            scenario=scenario,
            metric=METRIC,
            baseline=baseline,
            candidate=candidate,
            rules=self._rules,
        )


def _setting_but(measured: Measured, factor: str) -> _Setting:
    """The scenario, the target and all levels but that of one factor."""
    own = tuple(f"{name}={measured.levels[name]}" for name in measured.levels if is_own(name) and name != factor)
    levels = (measured.levels.get(name) for name in FACTORS if name != factor)
    return (measured.scenario, measured.target, *levels, *own)


def _known(measured: Measured) -> bool:
    """Whether the level of each factor is known that its target has."""
    return measured.levels.keys() >= FACTORS.keys() - measured.foreign_factors


def _height(measured: Measured, factor: str) -> float:
    """A level as a number that grows with what it allows; NaN where it has none."""
    level = measured.number(factor)
    if not math.isnan(level) or measured.levels.get(factor) is not None:
        return level
    return {"server.max_concurrent_streams": math.inf}.get(
        factor, _DEFAULT_WINDOW_KIB if factor.endswith(".window_kib") else math.nan
    )
