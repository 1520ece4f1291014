"""A study in a few lines: Markdown for a pull request, JSON for a machine, a table for a terminal. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grpclab import quantities as qty
from grpclab.analysis.setup import described, foreign, lab_words
from grpclab.metrics import metric_words
from grpclab.report import words
from grpclab.report.figures.waiting import comparisons as waiting
from grpclab.report.finished import FinishedStudy
from grpclab.report.sections import confidence, glossary

SCHEMA_VERSION = 1
"""Of :func:`as_json`. 1: the first."""
MOST_ROWS = 200
"""So many comparisons at most stand in the Markdown: a comment may have 65,536 characters."""
WIDTH = 100
"""The most columns of :func:`table`."""

Comparison = Mapping[str, Any]

_MARKUP = re.compile(r"([\\`*_\[\]|~])")
_BLOCK = re.compile(r"^(?:[-+=]|\d+(?=[.)]))")
_REFERENCE = re.compile(r"(@|#|\bgh(?=-)|:(?=//)|\bwww(?=\.))", re.IGNORECASE)
_NOTHING = "&#8203;"
"""A space of no width: what it stands in is read as before, and neither pings anyone nor becomes a link."""
_VERSIONS = ("python", "grpcio", "protobuf", "uvloop")
_FACTS = ("host", "cpu_model", "cores", "kernel", *_VERSIONS)


# ---- Markdown ----------------------------------------------------------------------------------------------------


def markdown(study: FinishedStudy) -> str:
    """The study as GitHub-flavoured Markdown: the verdict first, what makes it sure or unsure, all comparisons folded.

    Whatever text is in the study: it adds no markup, loads nothing, mentions nobody and refers to no issue.
    """
    sentence = study.verdict.get("sentence") or "There is no verdict."
    first = [] if study.plan.get("replication") else [_verdict_line(study)]
    parts = [*first, escape(sentence), escape(glossary.line(study)), _setup(study)]
    parts += [_parts(study), _reasons(study), _warnings(study)]
    parts += [_all_comparisons(study), _machine(study)]
    parts.append(f"The whole report is one file that opens offline: {escape(f'{study.name}.html')}, beside this one.")
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: object) -> str:
    """Plain text as Markdown that shows exactly that text."""
    found = words.plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("$", "&#36;")
    found = _MARKUP.sub(r"\\\1", found)
    found = _BLOCK.sub(lambda start: f"{start[0]}{_NOTHING}", found)
    # An entity of ours holds a # as well, so the parts around them are taken one by one.
    return "".join(
        piece if piece.startswith("&") else _REFERENCE.sub(rf"\1{_NOTHING}", piece)
        for piece in re.split(r"(&#?\w+;)", found)
    )


def _verdict_line(study: FinishedStudy) -> str:
    c = study.headline
    verdict = escape(c.get("verdict") or "inconclusive")
    title = escape(c.get("title") or f"{study.candidate} against {study.baseline}")
    metric = escape(metric_words(str(c.get("metric") or study.metric)))
    if not _known(c):
        return f"**{verdict}**: no ratio could be computed in {metric} ({title})"
    return (
        f"**{verdict}: {qty.ratio(c['ratio'])}{_bound(c)}** in {metric}, {words.with_interval(c)}, "
        f"{qty.count(_blocks(c), 'block')} ({title})"
    )


def _setup(study: FinishedStudy) -> str:
    """What a comparison called, how, and of which servers."""
    return "\n".join(f"- **{escape(term)}:** {escape(text)}" for term, text in described(study.manifest))


def _parts(study: FinishedStudy) -> str:
    rows = [[escape(_part(entry, c)), *_cells(c)] for entry, c in _entries(study, "parts")]
    return _rows(["of it", "ratio", "95 % interval", "verdict"], rows)


def _reasons(study: FinishedStudy) -> str:
    """How sure it is, what noise looks like here, what limits each side."""
    if study.headline.get("ratio") is None and not study.resources:
        return ""
    told = [f"- **{escape(term)}:** {escape(text)}" for term, text in confidence.reasons(study)]
    if not (study.verdict.get("aa") or study.plan.get("without_aa")):
        told.append("- **Noise here:** not checked, there is no A/A.")
    return "\n".join(told)


def _warnings(study: FinishedStudy) -> str:
    found = _said(study)
    return "**Warnings**\n\n" + "\n".join(f"- {escape(text)}" for text in found) if found else ""


def _all_comparisons(study: FinishedStudy) -> str:
    rows = [
        [
            escape(c.get("title") or f"{c.get('candidate')} against {c.get('baseline')}"),
            escape(metric_words(str(c.get("metric") or ""))),
            *_cells(c),
            qty.p_value(c.get("p_adjusted")).replace("<", "&lt;"),
            str(_blocks(c)),
        ]
        for _, group in study.listed()
        for c in group
    ]
    if not rows:
        return ""
    header = ["comparison", "metric", "ratio", "95 % interval", "verdict", "p adjusted", "blocks"]
    summary = f"<details><summary>All {qty.count(len(rows), 'comparison')}</summary>"
    left_out = len(rows) - MOST_ROWS
    more = f"\n\n{left_out:,} more are in the report." if left_out > 0 else ""
    return f"{summary}\n\n{_rows(header, rows[:MOST_ROWS])}{more}\n\n</details>"


def _machine(study: FinishedStudy) -> str:
    manifest = study.manifest
    found: dict[str, Any] = {**(manifest.get("versions") or {}), **(manifest.get("machine") or {})}
    theirs = bool(foreign(study.plan))  # then versions are not the server's, and are said to be the lab's
    machine = [key for key in _FACTS if found.get(key) and not (theirs and key in _VERSIONS)]
    facts = [f"{key.replace('_model', '').replace('_', ' ')} {found[key]}" for key in machine]
    commit = words.plain((manifest.get("git") or {}).get("commit") or "")[:12]
    dirty = " with changes" if (manifest.get("git") or {}).get("dirty") else ""
    told = [str(manifest.get("created_at") or ""), *facts, f"commit {commit}{dirty}" if commit else ""]
    told.append(f"by {lab_words(manifest)}" if theirs else "")
    told.append(f"seed {manifest['seed']}" if manifest.get("seed") is not None else "")
    text = ", ".join(escape(text) for text in told if text)
    return f"Measured: {text}." if text else ""


def _cells(c: Comparison) -> list[str]:
    between = words.interval_of(c)
    return [f"{qty.ratio(c.get('ratio'))}{_bound(c)}", between, escape(c.get("verdict") or "")]


def _bound(c: Comparison) -> str:
    """What limited the number, to stand on it."""
    labels = [escape(label) for label in c.get("limited_by") or [] if label]
    return f" ({', '.join(labels)})" if labels else ""


def _rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of GitHub's; cells are escaped already. "" without rows."""
    if not rows:
        return ""
    right = {"ratio", "95 % interval", "p adjusted", "blocks"}
    rule = ["---:" if name in right else "---" for name in header]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


# ---- JSON --------------------------------------------------------------------------------------------------------


def as_json(study: FinishedStudy) -> dict[str, Any]:
    """The study for a machine: plain values, None for what is no finite number; `report` is relative to the file.

    Ratios are candidate / baseline, levels in the unit of their metric. See verdict.json for the comparisons.
    """
    verdict, manifest = study.verdict, study.manifest
    levels = study.levels(list(study.configurations), study.metric)
    found = {
        "schema_version": SCHEMA_VERSION,
        "study": study.name,
        "created_at": manifest.get("created_at"),
        "design": manifest.get("design"),
        "seed": manifest.get("seed"),
        "question": manifest.get("question"),
        "setup": dict(described(manifest)),
        "servers": manifest.get("servers") or {},
        "sentence": verdict.get("sentence"),
        "words": dict(glossary.explained(study)),
        "headline": verdict.get("headline"),
        "comparisons": verdict.get("comparisons") or [],
        "aa": verdict.get("aa"),
        "warnings": _said(study),
        "notices": verdict.get("notices") or [],
        "limits": verdict.get("limits") or [],
        "levels": [
            {
                "configuration": str(row.configuration),
                "title": study.title(str(row.configuration)),
                "scenario": study.configurations[str(row.configuration)].get("scenario"),
                "metric": study.metric,
                "mean": row.mean,
                "ci_low": row.ci_low,
                "ci_high": row.ci_high,
                "blocks": row.blocks,
                "limited_by": [label for label in str(row.limited_by).split(", ") if label],
                "settings": study.configurations[str(row.configuration)].get("settings") or {},
            }
            for row in levels.itertuples(index=False)
        ],
        "trials": {"measured": len(study.trials), "valid": int(study.trials["valid"].sum())},
        "identity": manifest.get("identity") or {},
        "git": manifest.get("git") or {},
        "repeats": manifest.get("repeats"),
        "report": f"{study.name}.html",
    }
    plain: dict[str, Any] = _plain(found)
    return plain


def _plain(value: Any) -> Any:
    """JSON's own types, and None for what is no finite number."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value  # a numpy scalar
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---- the terminal ------------------------------------------------------------------------------------------------


def table(study: FinishedStudy) -> str:
    """The comparisons that matter in plain text, :data:`WIDTH` columns at most.

    The headline, parts, ladder, handlers that wait and A/A; in a study without parts and ladder, every level that was
    compared.
    """
    rows: list[tuple[str, Comparison]] = [(_title(study.headline, "the headline"), study.headline)]
    rows += [(f"  in {metric_words(str(c['metric']))}", c) for c in _other_metrics(study)]
    rows += [(f"  {_part(entry, c)}", c) for entry, c in _entries(study, "parts")]
    rows += [(f"  ladder: {_rung(entry)}", c) for entry, c in _entries(study, "ladder")]
    rows += [
        (f"  ladder: {_rung(entry)}", {"verdict": "not testable here"})
        for entry in study.entries("ladder")
        if entry.get("not_testable")
    ]
    rows += [(f"  {_title(c, 'handlers that wait')}", c) for c in waiting(study) if c is not study.headline]
    if not (study.entries("parts") or study.entries("ladder")):
        shown = [c for _, c in rows]
        rows += [(f"  {_title(c, 'another')}", c) for c in _other_candidates(study) if c not in shown]
    if aa := study.verdict.get("aa"):
        rows.append((_title(aa, "A/A"), aa))
    cells = [["", "ratio", "95 % interval", "verdict"]]
    cells += [[title.rstrip(), *_plain_cells(c)] for title, c in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(4)]
    widths[0] = max(12, min(widths[0], WIDTH - sum(widths[1:]) - 6))
    lines = [
        f"{_cut(title, widths[0]):<{widths[0]}}  {ratio:>{widths[1]}}  {between:>{widths[2]}}  {verdict}"
        for title, ratio, between, verdict in cells
    ]
    return "\n".join(line[:WIDTH].rstrip() for line in lines)


def _cut(title: str, width: int) -> str:
    indent = len(title) - len(title.lstrip(" "))
    return " " * indent + words.short(title, width - indent).replace("…", "~")


def _plain_cells(c: Comparison) -> list[str]:
    labels = [words.plain(label) for label in c.get("limited_by") or [] if label]
    verdict = words.plain(c.get("verdict") or "-") + (f" ({', '.join(labels)})" if labels else "")
    found = [qty.ratio(c.get("ratio")), words.interval_of(c), words.short(verdict, 44)]
    return [text.replace("×", "x").replace(qty.MISSING, "-").replace("…", "~") for text in found]


# ---- what they share ---------------------------------------------------------------------------------------------


def _entries(study: FinishedStudy, key: str) -> Iterable[tuple[Mapping[str, Any], Comparison]]:
    """The comparisons that a list of the plan names, as the verdict has them; what was not tested has none."""
    for entry in study.entries(key):
        baseline, candidate = str(entry.get("baseline") or ""), str(entry.get("candidate") or "")
        candidate = candidate or str(entry.get("configuration") or "")
        if baseline and candidate:
            metric = str(entry.get("metric") or study.headline.get("metric") or study.metric)
            scenario = str(entry.get("scenario") or study.configurations.get(candidate, {}).get("scenario") or "")
            yield entry, study.comparison(scenario, metric, baseline, candidate)


def _rung(entry: Mapping[str, Any]) -> str:
    """A rung's title, and whether optimized rejects it."""
    return words.plain(entry.get("title") or "") + ("" if entry.get("kept", True) else " (rejected)")


def _part(entry: Mapping[str, Any], c: Comparison) -> str:
    """A part's title, with its side in front where the title does not begin with it."""
    title, side = words.plain(entry.get("title") or _title(c, "a part")), words.plain(entry.get("side") or "")
    return title if title.startswith(side) else f"{side}: {title}"


def _other_metrics(study: FinishedStudy) -> list[Comparison]:
    """The headline's two compared in anything else."""
    first = study.headline
    keys = ("scenario", "baseline", "candidate")
    return [
        c
        for c in study.verdict.get("comparisons") or []
        if all(c.get(key) == first.get(key) for key in keys) and c.get("metric") not in (None, first.get("metric"))
    ]


def _other_candidates(study: FinishedStudy) -> list[Comparison]:
    """What else was compared in the headline's metric."""
    first = study.headline
    return [
        c
        for c in study.verdict.get("comparisons") or []
        if c.get("metric") == first.get("metric") and c.get("candidate") != first.get("candidate")
    ]


def _title(c: Comparison, otherwise: str) -> str:
    sides = f"{c.get('candidate')} against {c.get('baseline')}" if c.get("candidate") else otherwise
    return words.plain(c.get("title") or sides)


def _said(study: FinishedStudy) -> list[str]:
    return [words.plain(text) for text in study.verdict.get("warnings") or [] if text]


def _known(c: Comparison) -> bool:
    return math.isfinite(qty.number(c.get("ratio")))


def _blocks(c: Comparison) -> int:
    found = qty.number(c.get("blocks"))
    return int(found) if math.isfinite(found) else 0
