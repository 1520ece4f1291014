"""What happened around the trials of a study: the notices on them as notices of the study. Pure."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Sequence

import pandas as pd

from grpclab.analysis.inference.ratios import column, valid_trials
from grpclab.system.notices import Notice, stored_notices
from grpclab.text.printable import printable

MOST_NAMED = 4
"""So many configurations are named."""
MOST_WORDINGS = 2
"""So many wordings of one kind are quoted, those of most trials."""
_FIGURE = re.compile(r"(?<![\w.,:/=+-])(?<!core )[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?=%?[,.;:)]*(?:\s|$))")
"""A number in a sentence: no part of a name or of a setting, and not the number of a core."""


def study_notices(trials: pd.DataFrame) -> tuple[Notice, ...]:
    """One notice for each kind on valid trials: on how many, of which configurations; warnings first."""
    rows = valid_trials(trials)
    marked: dict[str, list[tuple[str, Notice]]] = {}
    for configuration, stored in zip(column(rows, "configuration"), column(rows, "notices"), strict=True):
        for notice in _gravest(stored_notices(stored)):
            marked.setdefault(notice.kind, []).append((str(configuration), notice))
    combined = [_combined(kind, on, len(rows)) for kind, on in marked.items()]
    return tuple(sorted(combined, key=lambda notice: notice.severity != "warning"))


def _gravest(notices: list[Notice]) -> Iterable[Notice]:
    """One notice of each kind: a trial may carry it for its server and for its generator."""
    kept: dict[str, Notice] = {}
    for notice in sorted(notices, key=lambda notice: notice.severity != "warning"):
        kept.setdefault(notice.kind, notice)
    return kept.values()


def _combined(kind: str, on: list[tuple[str, Notice]], trials: int) -> Notice:
    """The notices of one kind as one, with the range of each figure over the trials that carry it."""
    counts = collections.Counter(configuration for configuration, _ in on)
    named = ", ".join(f"{name} {count}" for name, count in counts.most_common(MOST_NAMED))
    rest = f" and {len(counts) - MOST_NAMED} more" if len(counts) > MOST_NAMED else ""
    some = f"{len(on)} of {trials} valid trials ({named}{rest})"
    texts = [printable(notice.text, 300) for _, notice in on]
    return Notice(
        kind=printable(kind, 40),
        severity="warning" if any(notice.severity == "warning" for _, notice in on) else "note",
        text=f"in {'all valid trials' if len(on) == trials else some}, {_with_ranges(texts)}",
        remedy=printable(on[0][1].remedy, 300),
    )


def _with_ranges(texts: Sequence[str]) -> str:
    """One text for all: a figure in which they differ becomes its range; other words follow after an "or"."""
    commonest = sorted(wordings(texts), key=len, reverse=True)[:MOST_WORDINGS]
    return "; or ".join(map(as_one, commonest))


def wordings(texts: Iterable[str]) -> list[list[str]]:
    """The texts in lists of those that differ only in figures, in the order in which each wording first appears."""
    alike: dict[str, list[str]] = {}
    for text in texts:
        alike.setdefault(_FIGURE.sub("0", text), []).append(text)
    return list(alike.values())


def as_one(texts: Sequence[str]) -> str:
    """Texts that differ only in figures, as one text with their ranges: ``for 2 to 5% of its time``."""
    columns = zip(*(_FIGURE.findall(text) for text in texts), strict=True)
    ranges = iter([_range(figures) for figures in columns])
    return _FIGURE.sub(lambda _: next(ranges), texts[0])


def _range(figures: Sequence[str]) -> str:
    ends = (min(figures, key=_number), max(figures, key=_number))
    return ends[0] if _number(ends[0]) == _number(ends[1]) else " to ".join(ends)


def _number(figure: str) -> float:
    return float(figure.replace(",", ""))
