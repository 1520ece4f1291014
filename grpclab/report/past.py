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
from grpclab.report import files, words
from grpclab.report.data import element, read_page
from grpclab.report.finished import FinishedStudy
from grpclab.system.untrusted import json_object
from grpclab.text.redaction import without_digits

SUMMARY_SCHEMA = 2
"""1: the first. 2: identity, git, design, warnings, blocks, delta, headline, levels."""

_TITLE_WIDTH = 48


def summary(study: FinishedStudy) -> dict[str, Any]:
    """What the index says of a study: plain values, small enough to stand in its report a second time.

    Without trials it holds no levels, and the study is in no history of a configuration.
    """
    manifest, verdict, headline = study.manifest, study.verdict, study.headline
    known = [manifest.machine.get(key) for key in ("host", "hostname", "cpu_model", "cpu")]
    commit = words.plain(manifest.git.get("commit") or "")[:12]
    return {
        "schema_version": SUMMARY_SCHEMA,
        "study": study.name,
        "created_at": words.plain(manifest.created_at),
        "question": words.plain(manifest.question),
        "sentence": words.plain(verdict.get("sentence") or ""),
        "verdict": words.plain(headline.get("verdict") or "inconclusive"),
        "claims": bool(study.plan.replication),
        "machine": ", ".join(words.plain(k) for k in known if k),
        **{key: _finite(headline.get(key)) for key in ("ratio", "ci_low", "ci_high")},
        "identity": {words.plain(k): words.plain(v) for k, v in manifest.identity.items() if v},
        "git": f"{commit}{'+' if commit and manifest.git.get('dirty') else ''}",
        "design": words.plain(manifest.design),
        "warnings": len([w for w in verdict.get("warnings") or [] if w]),
        "blocks": int(_finite(headline.get("blocks")) or 0),
        "delta": _finite(study.delta),
        "headline": {
            key: words.plain(headline.get(key) or "") for key in ("scenario", "metric", "baseline", "candidate")
        },
        "levels": _levels(study),
    }


def _levels(study: FinishedStudy) -> list[dict[str, Any]]:
    """The level of every configuration that was measured, in the metric that the study turns on."""
    table = study.levels(list(study.configurations), study.metric)
    return [
        {
            "name": words.plain(row.configuration),
            "title": words.short(study.title(str(row.configuration)), _TITLE_WIDTH),
            "scenario": words.plain(study.configuration(str(row.configuration)).scenario),
            "settings": settings_digest(study.plan_document, str(row.configuration)),
            "metric": study.metric,
            "mean": _finite(row.mean),
            "ci_low": _finite(row.ci_low),
            "ci_high": _finite(row.ci_high),
        }
        for row in table.itertuples(index=False)
        if _finite(row.mean) is not None
    ]


def settings_digest(plan: Mapping[str, Any], configuration: str) -> str:
    """Eight letters for all that a plan sets in a configuration: the same settings, the same letters.

    A server by its command, and a call of one's own, are settings as well.
    """
    rows = [row for row in plan.get("configurations") or [] if row.get("name") == configuration]
    settings = (rows[0].get("settings") if rows else None) or {}
    subject = (plan.get("subjects") or {}).get(configuration) or {}
    content = [
        sorted((str(k), float(v) if isinstance(v, (int, float)) else str(v)) for k, v in settings.items()),
        sorted((str(k), without_digits(str(v))) for k, v in subject.items() if v),
    ]
    return hashlib.sha256(json.dumps(content).encode("utf-8", "replace")).hexdigest()[:8]


def _finite(value: object) -> float | None:
    """Six digits of a number, which are more than any interval needs; None for what is none."""
    x = qty.number(value)
    return float(f"{x:.6g}") if math.isfinite(x) else None


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

    @property
    def same(self) -> tuple[str, ...]:
        """What makes it the same configuration in another study."""
        return self.name, self.scenario, self.settings, self.metric


@dataclass(frozen=True, kw_only=True)
class Past:
    """A finished study as its summary tells of it. `file` is the report's name; numbers are NaN where unknown.

    `claims`: whether it tests claims, so that the headline's verdict is not its answer. `identity` is empty in
    reports of before it was told: such a study is compared with none.
    """

    file: str
    study: str
    at: datetime | None
    when: str
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
    baseline: str
    candidate: str
    scenario: str
    metric: str
    levels: Sequence[PastLevel]

    @property
    def age(self) -> datetime:
        """For sorting: the oldest of all where the time is unknown."""
        return self.at or datetime.min.replace(tzinfo=UTC)

    def level(self, name: str) -> PastLevel | None:
        """The level of one configuration of the headline's scenario."""
        found = [level for level in self.levels if (level.name, level.scenario) == (name, self.scenario)]
        return found[0] if found else None

    @property
    def same_headline(self) -> tuple[str, ...] | None:
        """What makes its headline comparable with that of another study; None where nothing does."""
        sides = self.level(self.baseline), self.level(self.candidate)
        if not math.isfinite(self.ratio) or not self.design or None in sides:
            return None
        return self.design, self.metric, *(part for side in sides if side for part in side.same)


def read(file: Path) -> Past | None:
    """The summary inside a report; None for any other file, and for one that cannot be read."""
    try:
        found = element(read_page(file), "grpclab-summary")
        about = json_object(found) if found else {}
    except (OSError, ValueError):
        return None
    return past(about, file.name) if about.get("study") else None


def past(about: Mapping[str, Any], file: str = "") -> Past:
    """A summary of any schema, whatever it holds, as a :class:`Past`."""
    headline, identity = _mapping(about.get("headline")), _mapping(about.get("identity"))
    stamp = about.get("created_at")
    try:
        at = files.instant(stamp)
    except (ValueError, OverflowError):
        at = None
    levels = about.get("levels")
    return Past(
        file=file,
        study=words.plain(about.get("study")),
        at=at,
        when=files.when(stamp),
        sentence=words.plain(about.get("sentence") or ""),
        verdict=words.plain(about.get("verdict") or "inconclusive"),
        claims=about.get("claims") is True,
        machine=words.plain(about.get("machine") or ""),
        ratio=_positive(about.get("ratio")),
        low=_positive(about.get("ci_low")),
        high=_positive(about.get("ci_high")),
        identity={words.plain(key): words.plain(value) for key, value in identity.items()},
        git=words.plain(about.get("git") or ""),
        design=words.plain(about.get("design") or ""),
        warnings=_count(about.get("warnings")),
        blocks=_count(about.get("blocks")),
        delta=_positive(about.get("delta")),
        **{key: words.plain(headline.get(key) or "") for key in ("baseline", "candidate", "scenario", "metric")},
        levels=[level for one in levels if (level := _level(one))] if isinstance(levels, list) else [],
    )


def _level(found: object) -> PastLevel | None:
    values = _mapping(found)
    mean = _positive(values.get("mean"))
    texts = {key: words.plain(values.get(key) or "") for key in ("name", "scenario", "settings", "metric")}
    if not math.isfinite(mean) or not texts["name"]:
        return None
    title = words.short(values.get("title") or texts["name"], _TITLE_WIDTH)
    low, high = _positive(values.get("ci_low")), _positive(values.get("ci_high"))
    return PastLevel(title=title, mean=mean, low=low, high=high, **texts)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _positive(value: object) -> float:
    x = qty.number(value)
    return x if math.isfinite(x) and x > 0 else math.nan


def _count(value: object) -> int:
    x = qty.number(value)
    return int(x) if math.isfinite(x) and 0 <= x < 1e9 else 0
