"""A study as JSON, for a machine."""

from __future__ import annotations

import dataclasses
from typing import Any

from grpclab.analysis.setup import described
from grpclab.report import answering, glossary
from grpclab.report.blocks import FigureBlock
from grpclab.report.content import sections
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Card, Table, text_of
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
        "title": answering.title(study),
        "answer": {"sentence": answering.sentence(study), "confidence": answering.confidence(study)},
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
        "sections": [
            {"anchor": part.anchor, "title": part.title, "content": _content(part.data)} for part in sections(study)
        ],
        "report": f"{study.name}.html",
    }
    return dict(plain(values))


def _content(data: object) -> object:
    """What a section shows, for a machine: of a figure its words, of a table its cells as text."""
    if isinstance(data, FigureBlock):
        return {"figure": data.title, "caption": data.caption, "shows": data.alt}
    if isinstance(data, Table):
        rows = [[" ".join(text_of(cell).split()) for cell in row] for row in data.rows]
        return {"table": data.label, "header": list(data.header), "rows": rows}
    if isinstance(data, Card):
        return {name: " ".join(text_of(getattr(data, name)).split()) for name in ("value", "what", "more")}
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        fields = [each.name for each in dataclasses.fields(data) if each.metadata.get("read", True)]
        return {name: _content(getattr(data, name)) for name in fields}
    if isinstance(data, list | tuple):
        return [_content(part) for part in data]
    return data


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
