"""A study as JSON, for a machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grpclab.analysis.setup import described
from grpclab.report import answering, glossary
from grpclab.report.blocks import FigureBlock, Section
from grpclab.report.content import sections
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import (
    Card,
    CardRow,
    Cell,
    CodeLines,
    Definitions,
    FactList,
    Heading,
    ItemList,
    Missing,
    Paragraph,
    Piece,
    Table,
    VerdictLine,
    WarningList,
    line_of,
    values_of,
)
from grpclab.study.documents import plain
from grpclab.study.stored_values import written

SCHEMA_VERSION = 1
"""Of :func:`as_json`. 1: the first."""


def as_json(study: FinishedStudy, made: Sequence[Section] | None = None) -> dict[str, Any]:
    """The study for a machine: plain values, None for what is no finite number; `report` is relative to the file.

    Ratios are candidate / baseline, levels in the unit of their metric. See verdict.json for the comparisons. The
    content of a section is a list of pieces, each under the name of its kind. `made` are the sections, if they exist
    already.
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
        "sections": sections_json(sections(study) if made is None else made),
        "report": f"{study.name}.html",
    }
    return dict(plain(values))


def sections_json(parts: Sequence[Section]) -> list[dict[str, Any]]:
    """Sections for a machine: anchor, title, and the pieces of the content, each under the name of its kind."""
    return [
        {"anchor": part.anchor, "title": part.title, "content": [_piece(piece) for piece in part.plain_pieces]}
        for part in parts
    ]


def _piece(piece: Piece) -> dict[str, Any]:
    """A piece of a section under the name of its kind: of a figure its words, of a table its cells."""
    shown: dict[str, Any]
    match piece:
        case FigureBlock():
            shown = {"figure": piece.title, "caption": piece.caption, "shows": piece.alt}
        case Table():
            rows = [[_cell(cell) for cell in row] for row in piece.rows]
            shown = {"table": piece.label, "header": list(piece.header), "rows": rows}
        case VerdictLine():
            shown = {"verdict": piece.verdict, "sentence": piece.sentence, "limits": list(piece.limits)}
        case CardRow():
            shown = {"cards": [_card(card) for card in piece.cards]}
        case Card():
            shown = {"cards": [_card(piece)]}
        case FactList() | Definitions():
            shown = {"facts": [[line_of(term), line_of(text)] for term, text in piece.pairs]}
        case ItemList():
            shown = {"list": [_cell(item) for item in piece.items]}
        case WarningList():
            shown = {"list": [line_of(text) for text in piece.texts]}
        case CodeLines():
            shown = {"commands": piece.typed}
        case Heading():
            shown = {"heading": line_of(piece.text)}
        case Paragraph() | Missing():
            shown = {"text": line_of(piece.text)}
        case _:
            raise TypeError(f"{type(piece).__name__} is not a plain piece")
    return shown


def _card(card: Card) -> dict[str, Any]:
    return {name: _cell(getattr(card, name)) for name in ("value", "what", "more")}


def _cell(cell: Cell) -> object:
    """A cell as text; with the numbers that the text shows where they are known."""
    text, values = line_of(cell), values_of(cell)
    return {"text": text, "values": values} if values else text


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
