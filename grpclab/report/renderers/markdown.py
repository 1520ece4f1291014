"""A study in a few lines of Markdown, for a pull request."""

from __future__ import annotations

from typing import Any

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.analysis.setup import described, foreign, lab_words
from grpclab.metrics import metric_words
from grpclab.report import confidence, glossary, together, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import grouped
from grpclab.report.sections import answer as verdict_section
from grpclab.text.markdown import escape, table

MOST_ROWS = 200
"""So many comparisons at most stand in the Markdown: a comment may have 65,536 characters."""
RIGHT = frozenset({"ratio", "95 % interval", "adjusted p", "blocks"})
"""The columns of figures."""
_VERSIONS = ("python", "grpcio", "protobuf", "uvloop")
_FACTS = ("host", "cpu_model", "cores", "kernel", *_VERSIONS)


def markdown(study: FinishedStudy) -> str:
    """The study as GitHub-flavoured Markdown: the verdict first, what makes it sure or unsure, all comparisons folded.

    Whatever text is in the study: it adds no markup, loads nothing, mentions nobody and refers to no issue.
    """
    answer = verdict_section.section(study)
    word = f"**{escape(answer.verdict)}:** " if answer.verdict else ""
    bound = f" ({', '.join(map(escape, answer.limits))})" if answer.limits else ""
    parts = [f"{word}{escape(answer.sentence)}{bound}", escape(answer.confidence)]
    parts += [*map(escape, answer.more), escape(glossary.line(study)), _parts(study), _reasons(study)]
    parts += [_warnings(study), _setup(study), _all_comparisons(study), _machine(study)]
    parts.append(
        f"The full report is {escape(f'{study.name}.html')}, a single file next to this one that opens offline."
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _setup(study: FinishedStudy) -> str:
    """The call of a comparison, its load, and the servers."""
    setup = described(study.plan, study.manifest.servers, study.manifest.versions)
    if shown := together.line(study):
        setup.append(("measured together", shown))
    listed = "\n".join(f"- **{escape(term)}:** {escape(text)}" for term, text in setup)
    return f"<details><summary>What was compared</summary>\n\n{listed}\n\n</details>" if listed else ""


def _parts(study: FinishedStudy) -> str:
    rows = [[escape(title), *_cells(c)] for title, c in study.parts()]
    return table(["part", "ratio", "95 % interval", "verdict"], rows, RIGHT)


def _reasons(study: FinishedStudy) -> str:
    """The confidence, the noise, and the limit of each side."""
    if not study.headline.computed and not study.resources:
        return ""
    items = [f"- **{escape(term)}:** {escape(text)}" for term, text in confidence.reasons(study)]
    if not (study.verdict.aa or study.plan.without_aa):
        items.append("- **Noise on this machine:** not checked, because there is no A/A comparison.")
    return "\n".join(items)


def _warnings(study: FinishedStudy) -> str:
    texts = study.warnings
    return "**Warnings**\n\n" + "\n".join(f"- {escape(text)}" for text in texts) if texts else ""


def _all_comparisons(study: FinishedStudy) -> str:
    rows = [
        [
            escape(words.title_of(c)),
            escape(metric_words(c.metric)),
            *_cells(c),
            qty.p_value(c.p_adjusted).replace("<", "&lt;"),
            str(c.blocks),
        ]
        for _, group in grouped(study)
        for c in group
    ]
    if not rows:
        return ""
    header = ["comparison", "metric", "ratio", "95 % interval", "verdict", "adjusted p", "blocks"]
    summary = f"<details><summary>All {qty.count(len(rows), 'comparison')}</summary>"
    left_out = len(rows) - MOST_ROWS
    more = f"\n\nThe report lists {left_out:,} more." if left_out > 0 else ""
    return f"{summary}\n\n{table(header, rows[:MOST_ROWS], RIGHT)}{more}\n\n</details>"


def _machine(study: FinishedStudy) -> str:
    manifest = study.manifest
    known: dict[str, Any] = {**manifest.versions, **vars(manifest.machine)}
    theirs = bool(foreign(study.plan))  # then versions are not the server's, and are said to be the lab's
    machine = [key for key in _FACTS if known.get(key) and not (theirs and key in _VERSIONS)]
    facts = [f"{key.replace('_model', '').replace('_', ' ')} {known[key]}" for key in machine]
    commit = words.plain(manifest.git.commit or "")[:12]
    dirty = " with changes" if manifest.git.dirty else ""
    parts = [manifest.created_at, *facts, f"commit {commit}{dirty}" if commit else ""]
    parts.append(f"by {lab_words(study.manifest.versions)}" if theirs else "")
    parts.append(f"seed {manifest.seed}" if manifest.seed is not None else "")
    text = ", ".join(escape(text) for text in parts if text)
    return f"Measured: {text}." if text else ""


def _cells(c: Comparison) -> list[str]:
    return [f"{words.ratio_of(c)}{_bound(c)}", words.interval_of(c), escape(c.verdict)]


def _bound(c: Comparison) -> str:
    """The labels of what limited the number, to stand beside it."""
    labels = [escape(label) for label in c.limited_by if label]
    return f" ({', '.join(labels)})" if labels else ""
