"""A finished study as the report sees it: manifest, tidy trials, verdict, and the questions asked of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab import analysis
from grpclab.analysis.inference.edition import rules_of
from grpclab.analysis.inference.interleaving import Narrowing, narrowing
from grpclab.analysis.setup import sides_of
from grpclab.analysis.study_plan import PlannedConfiguration, PlannedHeadline, PlannedRung, StudyPlan
from grpclab.factors.config import FACTORS
from grpclab.factors.effective import unknown_factors
from grpclab.report import theme, words
from grpclab.report.tidy import tidy
from grpclab.study.model import Manifest
from grpclab.study.stored_groups import MeasuredGroup, slices_of, stored_groups

ENGINE = "load.engine"

Histograms = Mapping[str, Mapping[int, str]]
"""Latencies as encoded HdrHistograms (see result.json), by configuration and block."""
Profiles = Mapping[str, Mapping[str, Mapping[int, Mapping[str, int]]]]
"""Folded stacks by file (``stacks`` or ``perf``), configuration and block."""


@dataclass(frozen=True)
class FinishedStudy:
    """The source of all figures and tables. Build it with :meth:`of`, which makes the trials tidy.

    `groups` are those that were measured together, and `slices` the slices of those that hold both sides of the
    headline, as :func:`grpclab.study.stored_groups.slices_of` gives them; both are empty in a study of the first
    edition.
    """

    manifest: Manifest
    trials: pd.DataFrame
    verdict: analysis.Judgement
    histograms: Histograms = field(default_factory=dict)
    profiles: Profiles = field(default_factory=dict)
    groups: Sequence[MeasuredGroup] = ()
    slices: pd.DataFrame = field(default_factory=pd.DataFrame)

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        trials: pd.DataFrame,
        verdict: analysis.Judgement,
        histograms: Histograms | None = None,
        profiles: Profiles | None = None,
    ) -> FinishedStudy:
        """A study out of its manifest, its verdict and its trials as they are stored."""
        return cls(manifest, tidy(trials), verdict, histograms or {}, profiles or {})

    def with_groups_of(self, folder: Path) -> FinishedStudy:
        """The same with the groups and slices that lie in the folder of the study."""
        groups = stored_groups(folder)
        slices = slices_of(groups, folder, (self.baseline, self.candidate)) if groups else pd.DataFrame()
        return replace(self, groups=tuple(group.measured for group in groups), slices=slices)

    @functools.cached_property
    def narrowing(self) -> Narrowing | None:
        """How many times narrower its slices made the interval of the headline; None where too little is known."""
        if self.slices.empty:
            return None
        metric = self.metric_of_headline if self.metric_of_headline in self.slices else "throughput_rps"
        return narrowing(self.slices, self.baseline, self.candidate, metric)

    @property
    def name(self) -> str:
        """The study's name."""
        return words.plain(self.manifest.study or "study")

    @property
    def plan(self) -> StudyPlan:
        """The plan, which says what is compared with what."""
        return self.manifest.plan

    @property
    def delta(self) -> float:
        """The smallest effect of interest, a share of 1."""
        return self.plan.smallest_effect

    @property
    def margins(self) -> tuple[float, float]:
        """The ratios between which a difference is too small to matter, by the rules of the study's edition."""
        return rules_of(self.plan).margins(self.delta)

    @property
    def margin_words(self) -> str:
        """The same in words: ``1 ± 5%``, ``from 1 / 1.05 to 1.05``."""
        if rules_of(self.plan).mirrored:
            return f"from 1 / {1 + self.delta:g} to {1 + self.delta:g}"
        return f"1 ± {100 * self.delta:g}%"

    @property
    def metric(self) -> str:
        """The metric that the study turns on."""
        return self.plan.metric or self.headline.metric or "throughput_rps"

    @property
    def has_aa(self) -> bool:
        """Whether the plan has an A/A arm; that of a plan without one may be empty."""
        return bool(self.plan.aa and self.plan.aa.baseline)

    @functools.cached_property
    def headline(self) -> analysis.Comparison:
        """The verdict's headline; where nothing is judged, the planned one without a ratio."""
        if self.verdict.headline.baseline:
            return self.verdict.headline
        planned = self.plan.headline or PlannedHeadline()
        return analysis.Comparison(
            title=planned.title,
            scenario=planned.scenario,
            metric=planned.metric,
            baseline=planned.baseline,
            candidate=planned.candidate,
        )

    @property
    def metric_of_headline(self) -> str:
        """The metric that the headline compares."""
        return self.headline.metric or self.metric

    @property
    def baseline(self) -> str:
        """The configuration that the headline starts from."""
        return self.headline.baseline

    @property
    def candidate(self) -> str:
        """The configuration that the headline judges."""
        return self.headline.candidate

    @property
    def warnings(self) -> list[str]:
        """The verdict's warnings, the most serious first."""
        return [words.plain(text) for text in self.verdict.warnings if text]

    @functools.cached_property
    def configurations(self) -> dict[str, PlannedConfiguration]:
        """The plan's configurations by name."""
        return {configuration.name: configuration for configuration in self.plan.configurations}

    def configuration(self, name: str) -> PlannedConfiguration:
        """The configuration of that name; one without a title or settings where the plan has none."""
        return self.configurations.get(name, PlannedConfiguration())

    def title(self, configuration: str) -> str:
        """A configuration in words."""
        return words.plain(self.configuration(configuration).title or configuration)

    def rows(self, configuration: str, *, valid: bool = True) -> pd.DataFrame:
        """The trials of one configuration, in order of the blocks."""
        return (self._valid if valid else self._by_configuration).get(configuration, self.trials.iloc[:0])

    @functools.cached_property
    def _by_configuration(self) -> dict[str, pd.DataFrame]:
        ordered = self.trials.sort_values(["block", "order"])
        return {str(name): rows for name, rows in ordered.groupby("configuration", sort=False)}

    @functools.cached_property
    def _valid(self) -> dict[str, pd.DataFrame]:
        return {name: rows[rows["valid"]] for name, rows in self._by_configuration.items()}

    def without_effect(self, configuration: str) -> dict[str, str]:
        """The factors that do not act in a configuration, each with the reason: by the plan's rules, or as seen.

        What the trials saw comes first; where not all of them saw it, it says in how many.
        """
        if configuration not in self._without_effect:
            self._without_effect[configuration] = self._idle_factors(configuration)
        return self._without_effect[configuration]

    @functools.cached_property
    def _without_effect(self) -> dict[str, dict[str, str]]:
        return {}

    def _idle_factors(self, configuration: str) -> dict[str, str]:
        reasons = dict(self.configuration(configuration).without_effect)
        trials = [_reasons(text) for text in self.rows(configuration)["without_effect"]]
        for factor in dict.fromkeys(factor for trial in trials for factor in trial):
            same = [trial[factor] for trial in trials if factor in trial]
            share = "" if len(same) == len(trials) else f" (in {len(same)} of {len(trials)} trials)"
            reasons[factor] = f"{same[0]}{share}"
        return reasons

    def levels(self, configurations: Sequence[str], metric: str) -> pd.DataFrame:
        """analysis.levels; empty where nothing was measured. The two sides of a comparison are levels of their pair."""
        if configurations and list(configurations) == sides_of(self.plan):
            return self.levels_of_pair(metric, *configurations)
        return analysis.levels(self.trials, list(configurations), metric)

    def levels_of_pair(self, metric: str, baseline: str, candidate: str) -> pd.DataFrame:
        """The levels of two configurations beside their ratio, as :meth:`levels`: over the blocks that make the ratio,
        so that it is the ratio of the two."""
        known = self._levels_of_pairs
        if (key := (metric, baseline, candidate)) in known:
            return known[key].copy()
        table = analysis.levels(self.trials, [baseline, candidate], metric)
        scenario = self.configuration(candidate).scenario or self.headline.scenario
        sides = analysis.paired_levels(
            self.trials, scenario=scenario, metric=metric, baseline=baseline, candidate=candidate
        )
        if sides[0].blocks:
            for column, name in (("mean", "mean"), ("ci_low", "low"), ("ci_high", "high"), ("blocks", "blocks")):
                table[column] = [getattr(side, name) for side in sides]
        known[key] = table
        return table.copy()

    @functools.cached_property
    def _levels_of_pairs(self) -> dict[tuple[str, str, str], pd.DataFrame]:
        return {}

    def unknown_factors(self, configuration: str) -> frozenset[str]:
        """The factors that say nothing of a configuration, since a command started its server."""
        return unknown_factors(self.plan.subjects.get(configuration), self.configuration(configuration).settings)

    @functools.cached_property
    def failing_on_purpose(self) -> list[str]:
        """The configurations in which failing calls are what is measured.

        Those whose link forgets silent connections, and the server at grpcio's own limits that a replication asks to
        carry more calls than these allow.
        """
        beyond = self.plan.replication.streams.own_limits
        return [
            name
            for name, c in self.configurations.items()
            if name == beyond or c.settings.get("link.idle_timeout_s") is not None
        ]

    def limits(self, configuration: str) -> list[str]:
        """The labels of what limited the trials of a configuration."""
        return sorted({str(text) for text in self.rows(configuration)["limited_by"] if text})

    @functools.cached_property
    def resources(self) -> dict[str, analysis.Limit]:
        """The verdict's limits by the name of the configuration; empty in verdicts of before there were any."""
        return {limit.configuration: limit for limit in self.verdict.limits}

    def factor(self, configuration: str, name: str) -> Any:
        """The level of a factor in a configuration: as measured, else as planned, else None."""
        if name in self.unknown_factors(configuration):
            return None
        rows = self.rows(configuration, valid=False)
        if name in rows.columns and not rows.empty:
            return rows[name].iloc[0]
        return self.configuration(configuration).settings.get(name)

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
        """The configurations of the variants that the plan measures with both engines, by variant and engine."""
        rows = self.plan.engines.rows if self.plan.engines else ()
        return {words.plain(row.variant): dict(row.configurations) for row in rows}

    def engines(self, configurations: Iterable[str]) -> str:
        """The engines behind some configurations, in words: ``engine: grpcio``; "" without any."""
        names = sorted({engine for name in configurations if (engine := self.engine(name))})
        return f"engine{'' if len(names) == 1 else 's'}: {words.listing(names)}" if names else ""

    @functools.cached_property
    def comparisons(self) -> dict[tuple[str, str, str, str], analysis.Comparison]:
        """Every comparison of the verdict once, by scenario, metric, baseline and candidate."""
        judged = (self.verdict.aa, *self.verdict.comparisons, self.verdict.headline)
        return {comparison.directed: comparison for comparison in judged if comparison and comparison.baseline}

    def comparison(self, scenario: str, metric: str, baseline: str, candidate: str) -> analysis.Comparison:
        """The verdict's comparison of these two; where it holds none, one computed from the trials."""
        known = self.comparisons.get((scenario, metric, baseline, candidate))
        if known is not None:
            return known
        return analysis.compare(
            self.trials,
            scenario=scenario,
            metric=metric,
            baseline=baseline,
            candidate=candidate,
            delta=self.delta,
            rules=rules_of(self.plan),
        )

    def parts(self) -> Iterator[tuple[str, analysis.Comparison]]:
        """The parts of the headline by their titles, each with its side in front, as the verdict has them."""
        for part in self.plan.parts:
            if part.testable:
                metric = part.metric or self.metric_of_headline
                scenario = part.scenario or self.configuration(part.candidate).scenario
                comparison = self.comparison(scenario, metric, part.baseline, part.candidate)
                title, side = words.plain(part.title or words.title_of(comparison)), words.plain(part.side)
                yield title if title.startswith(side) else f"{side}: {title}", comparison

    def rungs(self) -> Iterator[tuple[PlannedRung, analysis.Comparison]]:
        """The rungs of the ladder that were tested, as the verdict has them."""
        for rung in self.plan.ladder:
            if rung.baseline and rung.configuration:
                scenario = self.configuration(rung.configuration).scenario
                comparison = self.comparison(scenario, self.metric_of_headline, rung.baseline, rung.configuration)
                yield rung, comparison

    def colour(self, names: Sequence[str], *, place: int = 0) -> str:
        """The colour of a series of configurations: the headline's two keep theirs throughout."""
        if self.baseline in names:
            return theme.BASELINE
        return theme.CANDIDATE if self.candidate in names else theme.OTHERS[place % len(theme.OTHERS)]

    def colour_of(self, configuration: str) -> str:
        """The colour of one configuration: that of the series of a curve it stands on."""
        series = (names for curve in self.plan.curves for names in curve.series.values())
        for names in [(self.baseline,), (self.candidate,), *series]:
            if configuration in names:
                return self.colour(names)
        return theme.QUIET


def _reasons(text: str) -> dict[str, str]:
    """Factors and reasons out of a cell of the frame; none where it holds none."""
    try:
        return {words.plain(factor): words.plain(reason) for factor, reason in json.loads(text or "{}").items()}
    except (ValueError, AttributeError):
        return {}
