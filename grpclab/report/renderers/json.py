"""A study as JSON, for a machine."""

from __future__ import annotations

from typing import Any

from grpclab.analysis.setup import described
from grpclab.report import glossary
from grpclab.report.finished import FinishedStudy
from grpclab.study.documents import plain
from grpclab.study.stored_values import written

SCHEMA_VERSION = 1
"""Of :func:`as_json`. 1: the first."""


def as_json(study: FinishedStudy) -> dict[str, Any]:
    """The study for a machine: plain values, None for what is no finite number; `report` is relative to the file.

    Ratios are candidate / baseline, levels in the unit of their metric. See verdict.json for the comparisons.
    """
    verdict, manifest = study.verdict.as_dict(), study.manifest
    levels = study.levels(list(study.configurations), study.metric)
    values = {
        "schema_version": SCHEMA_VERSION,
        "study": study.name,
        "created_at": manifest.created_at,
        "design": manifest.design,
        "seed": manifest.seed,
        "question": manifest.question,
        "setup": dict(described(study.plan, manifest.servers, manifest.versions)),
        "servers": written(manifest.servers or {}),
        "sentence": study.verdict.sentence,
        "words": dict(glossary.explained(study)),
        "headline": verdict["headline"],
        "comparisons": verdict["comparisons"],
        "aa": verdict["aa"],
        "warnings": study.warnings,
        "notices": verdict["notices"],
        "limits": verdict["limits"],
        "levels": [
            {
                "configuration": str(row.configuration),
                "title": study.title(str(row.configuration)),
                "scenario": study.configurations[str(row.configuration)].scenario,
                "metric": study.metric,
                "mean": row.mean,
                "ci_low": row.ci_low,
                "ci_high": row.ci_high,
                "blocks": row.blocks,
                "limited_by": [label for label in str(row.limited_by).split(", ") if label],
                "settings": study.configurations[str(row.configuration)].settings,
            }
            for row in levels.itertuples(index=False)
        ],
        **({"narrowing": _narrowing(study)} if study.plan.groups else {}),
        "trials": {"measured": len(study.trials), "valid": int(study.trials["valid"].sum())},
        "identity": manifest.identity,
        "git": written(manifest.git),
        "repeats": written(manifest.repeats),
        "report": f"{study.name}.html",
    }
    return dict(plain(values))


def _narrowing(study: FinishedStudy) -> dict[str, float] | None:
    """How many times narrower interleaving made the interval of the headline, and what that rests on."""
    found = study.narrowing
    if found is None:
        return None
    return {
        "times": found.times,
        "ci_low": found.low,
        "ci_high": found.high,
        "groups": found.groups,
        "sd_interleaved": found.together,
        "sd_apart": found.apart,
    }
