"""A finished study as the report sees it: manifest, tidy trials, verdict, and the questions asked of them."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from grpclab import analysis
from grpclab import quantities as qty
from grpclab.analysis.setup import sides_of
from grpclab.analysis.study_plan import StoredTarget
from grpclab.factors.config import FACTORS
from grpclab.factors.effective import unknown_factors
from grpclab.report import theme, words
from grpclab.report.tidy import tidy
from grpclab.study.stored_values import read

ENGINE = "load.engine"

Plan = Mapping[str, Any]
Histograms = Mapping[str, Mapping[int, str]]
"""Latencies as encoded HdrHistograms (see result.json), by configuration and block."""
Profiles = Mapping[str, Mapping[str, Mapping[int, Mapping[str, int]]]]
"""Folded stacks by file (``stacks`` or ``perf``), configuration and block."""


@dataclass(frozen=True)
class FinishedStudy:
    """What the figures and tables are drawn from. Build it with :meth:`of`."""

    manifest: Mapping[str, Any]
    trials: pd.DataFrame
    verdict: Mapping[str, Any]
    stored: pd.DataFrame
    histograms: Histograms = field(default_factory=dict)
    profiles: Profiles = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        manifest: Mapping[str, Any],
        trials: pd.DataFrame,
        verdict: Mapping[str, Any],
        histograms: Histograms | None = None,
        profiles: Profiles | None = None,
    ) -> FinishedStudy:
        """A study with its trials made tidy; `stored` keeps them as they came."""
        return cls(manifest, tidy(trials), verdict, trials, histograms or {}, profiles or {})

    @property
    def name(self) -> str:
        """The study's name."""
        return words.plain(self.manifest.get("study") or "study")

    @property
    def plan(self) -> Plan:
        """The plan, which says what is compared with what."""
        return self.manifest.get("plan") or {}

    def entries(self, key: str) -> list[Mapping[str, Any]]:
        """A list of the plan; empty where the plan has none."""
        return [entry for entry in self.plan.get(key) or [] if isinstance(entry, Mapping)]

    @property
    def delta(self) -> float:
        """The smallest effect of interest, a share of 1."""
        return qty.number(self.plan.get("delta", 0.05))

    @property
    def metric(self) -> str:
        """The metric that the study turns on."""
        return str(self.plan.get("metric") or self.headline.get("metric") or "throughput_rps")

    @property
    def headline(self) -> Mapping[str, Any]:
        """The verdict's headline, or what the plan says of it."""
        return self.verdict.get("headline") or self.plan.get("headline") or {}

    @property
    def metric_of_headline(self) -> str:
        """The metric that the headline compares."""
        return str(self.headline.get("metric") or self.metric)

    @property
    def baseline(self) -> str:
        """The configuration that the headline starts from."""
        return str(self.headline.get("baseline") or "")

    @property
    def candidate(self) -> str:
        """The configuration that the headline judges."""
        return str(self.headline.get("candidate") or "")

    @property
    def warnings(self) -> list[str]:
        """The verdict's warnings, the most serious first."""
        return [words.plain(text) for text in self.verdict.get("warnings") or [] if text]

    @functools.cached_property
    def configurations(self) -> dict[str, Mapping[str, Any]]:
        """The plan's configurations by name, in its order."""
        return {str(c.get("name")): c for c in self.entries("configurations")}

    def title(self, configuration: str) -> str:
        """A configuration in words."""
        return words.plain(self.configurations.get(configuration, {}).get("title") or configuration)

    def rows(self, configuration: str, *, valid: bool = True) -> pd.DataFrame:
        """The trials of one configuration, in order of the blocks."""
        mine = self._by_configuration.get(configuration, self.trials.iloc[:0])
        return mine[mine["valid"]] if valid else mine

    @functools.cached_property
    def _by_configuration(self) -> dict[str, pd.DataFrame]:
        ordered = self.trials.sort_values(["block", "order"])
        return {str(name): mine for name, mine in ordered.groupby("configuration", sort=False)}

    def without_effect(self, configuration: str) -> dict[str, str]:
        """The factors that do not act in a configuration, each with the reason: by the plan's rules, or as seen.

        What the trials saw comes first; where not all of them saw it, it says in how many.
        """
        found = dict(self.configurations.get(configuration, {}).get("without_effect") or {})
        told = [_reasons(text) for text in self.rows(configuration)["without_effect"]]
        for factor in dict.fromkeys(factor for reasons in told for factor in reasons):
            seen = [reasons[factor] for reasons in told if factor in reasons]
            found[factor] = seen[0] if len(seen) == len(told) else f"{seen[0]} (in {len(seen)} of {len(told)} trials)"
        return found

    def levels(self, configurations: Sequence[str], metric: str) -> pd.DataFrame:
        """analysis.levels; empty where nothing was measured. The two sides of a comparison are levels of their pair."""
        if configurations and list(configurations) == sides_of(self.plan):
            return self.levels_of_pair(metric, *configurations)
        return analysis.levels(self.trials, list(configurations), metric)

    def levels_of_pair(self, metric: str, baseline: str, candidate: str) -> pd.DataFrame:
        """The levels of two configurations beside their ratio, as :meth:`levels`: over the blocks that make the ratio,
        so that it is the ratio of the two."""
        found = analysis.levels(self.trials, [baseline, candidate], metric)
        scenario = str(self.configurations.get(candidate, {}).get("scenario") or self.headline.get("scenario") or "")
        sides = analysis.paired_levels(
            self.trials, scenario=scenario, metric=metric, baseline=baseline, candidate=candidate
        )
        if sides[0].blocks:
            for column, name in (("mean", "mean"), ("ci_low", "low"), ("ci_high", "high"), ("blocks", "blocks")):
                found[column] = [getattr(side, name) for side in sides]
        return found

    def unknown_factors(self, configuration: str) -> frozenset[str]:
        """The factors that say nothing of a configuration, since a command started its server."""
        settings = self.configurations.get(configuration, {}).get("settings") or {}
        target = read(StoredTarget, (self.plan.get("subjects") or {}).get(configuration) or {})
        return unknown_factors(target, settings)

    @functools.cached_property
    def failing_on_purpose(self) -> list[str]:
        """The configurations in which failing calls are what is measured.

        Those whose link forgets silent connections, and the server at grpcio's own limits that a replication asks to
        carry more calls than these allow.
        """
        beyond = ((self.plan.get("replication") or {}).get("streams") or {}).get("own_limits")
        return [
            name
            for name, c in self.configurations.items()
            if name == beyond or (c.get("settings") or {}).get("link.idle_timeout_s") is not None
        ]

    def limits(self, configuration: str) -> list[str]:
        """What limited the trials of a configuration, if anything did."""
        return sorted({str(text) for text in self.rows(configuration)["limited_by"] if text})

    @functools.cached_property
    def resources(self) -> dict[str, Mapping[str, Any]]:
        """The verdict's answer to what limited each configuration, by its name; empty in verdicts of before."""
        found = self.verdict.get("limits") or []
        return {str(limit.get("configuration")): limit for limit in found if isinstance(limit, Mapping)}

    def factor(self, configuration: str, name: str) -> Any:
        """The level of a factor in a configuration: as measured, else as planned, else None."""
        if name in self.unknown_factors(configuration):
            return None
        mine = self.rows(configuration, valid=False)
        if name in mine.columns and not mine.empty:
            return mine[name].iloc[0]
        return (self.configurations.get(configuration, {}).get("settings") or {}).get(name)

    def engine(self, configuration: str) -> str:
        """The load generator that a configuration was measured with; "" if there is no such configuration.

        A plan holds only what is not at its default, so a level that it does not name is the default.
        """
        measured = self.factor(configuration, ENGINE)
        if isinstance(measured, str) and measured:
            return measured
        known = configuration in self.configurations or not self.rows(configuration, valid=False).empty
        return str(FACTORS[ENGINE].default) if known else ""

    @property
    def engine_rows(self) -> dict[str, dict[str, str]]:
        """Where the plan measures variants with both engines: variant, engine, configuration."""
        rows = (self.plan.get("engines") or {}).get("rows") or []
        return {
            words.plain(row.get("variant")): {str(e): str(name) for e, name in row["configurations"].items()}
            for row in rows
            if isinstance(row, Mapping) and isinstance(row.get("configurations"), Mapping)
        }

    def engines(self, configurations: Iterable[str]) -> str:
        """The engines behind some configurations, in words: ``engine: grpcio``; "" without any."""
        names = sorted({engine for name in configurations if (engine := self.engine(name))})
        return f"engine{'' if len(names) == 1 else 's'}: {words.listing(names)}" if names else ""

    @functools.cached_property
    def _judged(self) -> dict[tuple[str, ...], Mapping[str, Any]]:
        found = {}
        for c in [
            self.verdict.get("aa"),
            *(self.verdict.get("comparisons") or []),
            self.verdict.get("headline"),
        ]:
            if c:
                found[tuple(str(c.get(key)) for key in _KEY)] = c
        return found

    def comparison(self, scenario: str, metric: str, baseline: str, candidate: str) -> Mapping[str, Any]:
        """The verdict's comparison of these two; where it holds none, one computed from the trials."""
        known = self._judged.get((scenario, metric, baseline, candidate))
        if known is not None:
            return known
        return analysis.compare(
            self.trials,
            scenario=scenario,
            metric=metric,
            baseline=baseline,
            candidate=candidate,
            delta=self.delta,
        ).as_dict()

    def compared(self, key: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The comparisons that a list of the plan names, as the verdict has them; what was not tested has none."""
        for entry in self.entries(key):
            baseline, candidate = str(entry.get("baseline") or ""), str(entry.get("candidate") or "")
            candidate = candidate or str(entry.get("configuration") or "")
            if baseline and candidate:
                metric = str(entry.get("metric") or self.headline.get("metric") or self.metric)
                scenario = str(entry.get("scenario") or self.configurations.get(candidate, {}).get("scenario") or "")
                yield entry, self.comparison(scenario, metric, baseline, candidate)

    def listed(self) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
        """Every comparison of the verdict once, in groups that have a name, in the order of the plan."""
        groups: dict[str, list[Mapping[str, Any]]] = {"headline": [], "noise (A/A)": []}
        homes = {_key(self.plan.get("headline")): "headline", _key(self.plan.get("aa")): "noise (A/A)"}
        for c in self.entries("parts"):
            homes.setdefault(_key(c), "each side")
        for rung in self.entries("ladder"):
            homes.setdefault(_pair(rung), "ladder")
        for entry in (*self.entries("sweeps"), *self.entries("windows")):
            names = [str(p.get("configuration")) for p in entry.get("points") or []]
            home = words.plain(entry.get("title") or entry.get("factor") or "")
            for pair in itertools.permutations(dict.fromkeys([str(entry.get("base") or ""), *names]), 2):
                homes.setdefault(pair, home)
        loaded = [name for row in self.engine_rows.values() for name in row.values()]
        for pair in itertools.permutations(dict.fromkeys(loaded), 2):
            if pair != (self.baseline, self.candidate):
                homes.setdefault(pair, "engines")
        for key, c in self._judged.items():
            home = homes.get(key) or homes.get(key[2:]) or self._home(c)
            groups.setdefault(home, []).append(c)
        order = ["headline", "the same pair, other metrics", "each side", "engines", "ladder"]
        named = [g for g in order if g in groups]
        rest = [g for g in groups if g not in (*order, "noise (A/A)", "other comparisons")]
        for group in [*named, *rest, "other comparisons", "noise (A/A)"]:
            if groups.get(group):
                yield group, groups[group]

    def _home(self, c: Mapping[str, Any]) -> str:
        """The group of a comparison that no part of the plan asks for by name."""
        if (c.get("baseline"), c.get("candidate")) == (self.baseline, self.candidate):
            return "the same pair, other metrics"
        scenario = words.plain(c.get("scenario") or "")
        mine = scenario == words.plain(self.headline.get("scenario") or "")
        return "other comparisons" if mine or not scenario else f"scenario {scenario}"

    def colour(self, names: Sequence[str], *, place: int = 0) -> str:
        """The colour of a series of configurations: the headline's two keep theirs throughout."""
        if self.baseline in names:
            return theme.BASELINE
        return theme.CANDIDATE if self.candidate in names else theme.OTHERS[place % len(theme.OTHERS)]

    def colour_of(self, configuration: str) -> str:
        """The colour of one configuration: that of the series of a curve it stands on."""
        for names in [[self.baseline], [self.candidate], *self._series()]:
            if configuration in names:
                return self.colour(names)
        return theme.QUIET

    def _series(self) -> Iterator[list[str]]:
        for curve in self.entries("curves"):
            for names in (curve.get("series") or {}).values():
                yield [str(name) for name in names]


_KEY = ("scenario", "metric", "baseline", "candidate")


def _key(entry: object) -> tuple[str, ...]:
    return tuple(str(entry.get(key)) for key in _KEY) if isinstance(entry, Mapping) else ()


def _reasons(text: str) -> dict[str, str]:
    """Factors and reasons out of a cell of the frame; none where it holds none."""
    try:
        return {words.plain(factor): words.plain(reason) for factor, reason in json.loads(text or "{}").items()}
    except (ValueError, AttributeError):
        return {}


def _pair(rung: Mapping[str, Any]) -> tuple[str, ...]:
    return str(rung.get("baseline") or ""), str(rung.get("configuration") or "")
