"""A study in a few kilobytes: the summary that its report carries, and what the index reads out of one.

Reports are sent around and edited: what a summary holds is checked value by value, and what cannot be used is left out.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from grpclab import quantities as qty
from grpclab.analysis.study_plan import StudyPlan
from grpclab.report import files, words
from grpclab.report.data import element, read_page
from grpclab.report.finished import FinishedStudy
from grpclab.study.stored_values import written
from grpclab.system.untrusted import json_object
from grpclab.text.redaction import without_digits

SUMMARY_SCHEMA = 2
"""1: the first. 2: identity, git, design, warnings, blocks, delta, headline, levels."""

_TITLE_WIDTH = 48


@dataclass(frozen=True, kw_only=True)
class PastLevel:
    """One configuration in one study: a geometric mean over blocks with its interval, in the metric's unit."""

    name: str
    title: str
    scenario: str
    settings: str
    metric: str
    mean: float
    low: float
    high: float

    @classmethod
    def read(cls, document: object) -> PastLevel | None:
        """A level of a summary; None where it has no name or no mean."""
        values = _mapping(document)
        mean = _positive(values.get("mean"))
        texts = {key: words.plain(values.get(key) or "") for key in ("name", "scenario", "settings", "metric")}
        if not math.isfinite(mean) or not texts["name"]:
            return None
        title = words.short(values.get("title") or texts["name"], _TITLE_WIDTH)
        low, high = _positive(values.get("ci_low")), _positive(values.get("ci_high"))
        return cls(title=title, mean=mean, low=low, high=high, **texts)

    def written(self) -> dict[str, Any]:
        """The JSON that :meth:`read` reads."""
        return {
            "name": self.name,
            "title": self.title,
            "scenario": self.scenario,
            "settings": self.settings,
            "metric": self.metric,
            "mean": _finite(self.mean),
            "ci_low": _finite(self.low),
            "ci_high": _finite(self.high),
        }

    @property
    def same(self) -> tuple[str, ...]:
        """The key by which another study's level is of the same configuration."""
        return self.name, self.scenario, self.settings, self.metric


@dataclass(frozen=True, kw_only=True)
class Past:
    """A finished study in a few kilobytes. `file` is its report's name; numbers are NaN where unknown.

    `claims`: whether it tests claims, so that the headline's verdict is not its answer. `identity` is empty in
    reports of before it was told: such a study is compared with none.
    """

    file: str = ""
    study: str
    created_at: str
    question: str
    sentence: str
    verdict: str
    claims: bool
    machine: str
    ratio: float
    low: float
    high: float
    identity: Mapping[str, str]
    git: str
    design: str
    warnings: int
    blocks: int
    delta: float
    scenario: str
    metric: str
    baseline: str
    candidate: str
    levels: Sequence[PastLevel]

    @classmethod
    def read(cls, document: Mapping[str, Any], file: str = "") -> Past:
        """A summary of any schema, whatever it holds."""
        headline, identity = _mapping(document.get("headline")), _mapping(document.get("identity"))
        levels = document.get("levels")
        return cls(
            file=file,
            study=words.plain(document.get("study")),
            **{
                key: words.plain(document.get(key) or "")
                for key in ("created_at", "question", "sentence", "machine", "git", "design")
            },
            verdict=words.plain(document.get("verdict") or "inconclusive"),
            claims=document.get("claims") is True,
            ratio=_positive(document.get("ratio")),
            low=_positive(document.get("ci_low")),
            high=_positive(document.get("ci_high")),
            identity={words.plain(key): words.plain(value) for key, value in identity.items()},
            warnings=_count(document.get("warnings")),
            blocks=_count(document.get("blocks")),
            delta=_positive(document.get("delta")),
            **{key: words.plain(headline.get(key) or "") for key in ("scenario", "metric", "baseline", "candidate")},
            levels=[level for one in levels if (level := PastLevel.read(one))] if isinstance(levels, list) else [],
        )

    def written(self) -> dict[str, Any]:
        """The JSON that :meth:`read` reads, small enough to stand in a report a second time."""
        return {
            "schema_version": SUMMARY_SCHEMA,
            "study": self.study,
            "created_at": self.created_at,
            "question": self.question,
            "sentence": self.sentence,
            "verdict": self.verdict,
            "claims": self.claims,
            "machine": self.machine,
            "ratio": _finite(self.ratio),
            "ci_low": _finite(self.low),
            "ci_high": _finite(self.high),
            "identity": self.identity,
            "git": self.git,
            "design": self.design,
            "warnings": self.warnings,
            "blocks": self.blocks,
            "delta": _finite(self.delta),
            "headline": {
                "scenario": self.scenario,
                "metric": self.metric,
                "baseline": self.baseline,
                "candidate": self.candidate,
            },
            "levels": [level.written() for level in self.levels],
        }

    def embedded(self) -> str:
        """The summary as JSON that ends no element and opens no comment, whatever text is in it."""
        text = json.dumps(self.written(), allow_nan=False, ensure_ascii=True)
        return text.replace("<", "\\u003c").replace("&", "\\u0026")

    @property
    def at(self) -> datetime | None:
        """The time the study was begun; None where that is unknown."""
        try:
            return files.instant(self.created_at)
        except (ValueError, OverflowError):
            return None

    @property
    def when(self) -> str:
        """The same in words."""
        return files.when(self.created_at)

    @property
    def age(self) -> datetime:
        """The time to sort by: the oldest of all where it is unknown."""
        return self.at or datetime.min.replace(tzinfo=UTC)

    def level(self, name: str) -> PastLevel | None:
        """The level of one configuration of the headline's scenario."""
        levels = [level for level in self.levels if (level.name, level.scenario) == (name, self.scenario)]
        return levels[0] if levels else None

    @property
    def same_headline(self) -> tuple[str, ...] | None:
        """The key by which another study's headline is the same; None where it is comparable with none."""
        sides = self.level(self.baseline), self.level(self.candidate)
        if not math.isfinite(self.ratio) or not self.design or None in sides:
            return None
        return self.design, self.metric, *(part for side in sides if side for part in side.same)


def read(file: Path) -> Past | None:
    """The summary inside a report; None for any other file, and for one that cannot be read."""
    try:
        content = element(read_page(file), "grpclab-summary")
        document = json_object(content) if content else {}
    except (OSError, ValueError):
        return None
    return Past.read(document, file.name) if document.get("study") else None


def summary(study: FinishedStudy) -> Past:
    """The summary of a finished study.

    Without trials it holds no levels, and the study is in no history of a configuration.
    """
    manifest, verdict, headline = study.manifest, study.verdict, study.headline
    commit = words.plain(manifest.git.commit or "")[:12]
    known = (manifest.machine.host, manifest.machine.cpu_model)
    return Past(
        study=study.name,
        created_at=words.plain(manifest.created_at),
        question=words.plain(manifest.question),
        sentence=words.plain(verdict.sentence),
        verdict=words.plain(headline.verdict or "inconclusive"),
        claims=manifest.plan.tests_claims,
        machine=", ".join(words.plain(k) for k in known if k),
        ratio=headline.ratio,
        low=headline.ci_low,
        high=headline.ci_high,
        identity={words.plain(k): words.plain(v) for k, v in manifest.identity.items() if v},
        git=f"{commit}{'+' if commit and manifest.git.dirty else ''}",
        design=words.plain(manifest.design),
        warnings=len([text for text in verdict.warnings if text]),
        blocks=_count(headline.blocks),
        delta=study.delta,
        scenario=words.plain(headline.scenario),
        metric=words.plain(headline.metric),
        baseline=words.plain(headline.baseline),
        candidate=words.plain(headline.candidate),
        levels=_levels(study, manifest.plan),
    )


def _levels(study: FinishedStudy, plan: StudyPlan) -> list[PastLevel]:
    """The level of every configuration that was measured, in the metric that the study turns on."""
    planned = {configuration.name: configuration for configuration in plan.configurations}
    table = study.levels(list(planned), study.metric)
    return [
        PastLevel(
            name=words.plain(row.configuration),
            title=words.short(study.title(str(row.configuration)), _TITLE_WIDTH),
            scenario=words.plain(planned[str(row.configuration)].scenario),
            settings=settings_digest(plan, str(row.configuration)),
            metric=study.metric,
            mean=qty.number(row.mean),
            low=qty.number(row.ci_low),
            high=qty.number(row.ci_high),
        )
        for row in table.itertuples(index=False)
        if _finite(row.mean) is not None
    ]


def settings_digest(plan: StudyPlan, configuration: str) -> str:
    """Eight letters for all that a plan sets in a configuration: the same settings, the same letters.

    A server by its command, and a call of one's own, are settings as well.
    """
    rows = [row for row in plan.configurations if row.name == configuration]
    settings = rows[0].settings if rows else {}
    target = written(plan.subjects[configuration]) if configuration in plan.subjects else {}
    content = [
        sorted((name, float(v) if isinstance(v, (int, float)) else str(v)) for name, v in settings.items()),
        sorted((name, without_digits(str(v))) for name, v in target.items() if v),
    ]
    return hashlib.sha256(json.dumps(content).encode("utf-8", "replace")).hexdigest()[:8]


def _finite(value: object) -> float | None:
    """Six digits of a number, which are more than any interval needs; None for what is none."""
    x = qty.number(value)
    return float(f"{x:.6g}") if math.isfinite(x) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _positive(value: object) -> float:
    x = qty.number(value)
    return x if math.isfinite(x) and x > 0 else math.nan


def _count(value: object) -> int:
    x = qty.number(value)
    return int(x) if math.isfinite(x) and 0 <= x < 1e9 else 0
