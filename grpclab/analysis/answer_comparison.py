"""Whether both sides of a comparison answer alike, by the hashes of the answers that their trials kept. Pure.

A cell of the column ``answers`` is JSON: by the number of a request, its answers as hash, count and hashes of fields.
Trials without kept answers have none, and nothing is said of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from grpclab.analysis.inference.ratios import valid_trials
from grpclab.analysis.inference.verdict import Comparison
from grpclab.text.printable import printable

COLUMN = "answers"
REQUESTS = "requests"
"""Stands among the numbers of a cell for all requests as they were sent."""
MOST_NAMED = 4
"""So many fields are named."""

Hashes = Mapping[str, Mapping[str, int]]


def answers_cell(answers: Hashes, fields: Mapping[str, Mapping[str, str]]) -> str:
    """The cell of a trial: see the module's docstring."""
    return json.dumps(
        {
            number: [[digest, count, fields.get(digest, {})] for digest, count in of.items()]
            for number, of in answers.items()
        }
    )


@dataclass
class _Answers:
    """The answers of a configuration: by the number of a request, hashes and how often each came."""

    counts: dict[int, dict[str, int]] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: dict[str, dict[str, str]] = field(default_factory=dict)
    """By the hash of all requests: the hashes of the fields of the first."""

    def add(self, cell: str | float | None) -> None:
        """Add those of a trial; what is no such cell is left out."""
        try:
            content = json.loads(cell) if isinstance(cell, str) else {}
            for number, answers in content.items():
                if number == REQUESTS:
                    self.requests |= {str(digest): dict(fields) for digest, _, fields in answers}
                    continue
                of_request = self.counts.setdefault(int(number), {})
                for digest, count, fields in answers:
                    of_request[str(digest)] = of_request.get(str(digest), 0) + int(count)
                    self.fields.setdefault(str(digest), dict(fields))
        except (ValueError, TypeError, AttributeError):
            return


@dataclass(frozen=True, kw_only=True)
class AnswersDiffer:
    """How many of the answers of two sides that can be compared differ, and where first."""

    differing: int
    compared: int
    first: int
    """The number of the first request, from 0 as in ``{{.RequestNumber}}``."""
    fields: tuple[str, ...]
    """The fields that differ there, where that is known."""

    def __str__(self) -> str:
        text = f"{self.differing:,} of {self.compared:,} answers differ"
        if not self.differing:
            return f"equal in all {self.compared:,} sampled calls"
        names = ", ".join(printable(name, 60) for name in self.fields[:MOST_NAMED])
        return f"{text}, the first at request number {self.first:,}{f' in {names}' if names else ''}"


def answers_differ(trials: pd.DataFrame, baseline: str, candidate: str) -> AnswersDiffer | None:
    """Hold the answers of two configurations against each other; None where none were kept of both.

    An answer of one side differs where the other side never gave it to that request.
    """
    before, after = _sides(trials, baseline, candidate)
    common = sorted(before.counts.keys() & after.counts.keys())
    if not common:
        return None
    found: list[tuple[int, int, tuple[int, tuple[str, ...]] | None]] = []
    for one, other in ((after, before), (before, after)):
        differing, first = 0, None
        for number in common:
            for digest, count in one.counts[number].items():
                if digest not in other.counts[number]:
                    differing += count
                    known = next(iter(other.counts[number]))
                    first = first or (number, tuple(_apart(one.fields.get(digest, {}), other.fields.get(known, {}))))
        found.append((differing, sum(sum(one.counts[number].values()) for number in common), first))
    differing, compared, first = max(found, key=lambda side: side[0])
    number, fields = first or (0, ())
    return AnswersDiffer(differing=differing, compared=compared, first=number, fields=fields)


def _sides(trials: pd.DataFrame, baseline: str, candidate: str) -> tuple[_Answers, _Answers]:
    before, after = _Answers(), _Answers()
    if COLUMN in trials.columns and baseline != candidate:
        rows = valid_trials(trials)
        for name, answers in ((baseline, before), (candidate, after)):
            for cell in rows.loc[rows["configuration"] == name, COLUMN]:
                answers.add(cell)
    return before, after


def requests_differ(trials: pd.DataFrame, baseline: str, candidate: str) -> str:
    """The sentence on two configurations that were not sent the same requests; nothing where they were."""
    before, after = (side.requests for side in _sides(trials, baseline, candidate))
    if not before or not after or before.keys() & after.keys():
        return ""
    names = list(_apart(next(iter(before.values())), next(iter(after.values()))))
    where = (
        f"the first requests differ in {', '.join(printable(name, 60) for name in names[:MOST_NAMED])}" if names else ""
    )
    return f"the two sides did not receive the same requests{f': {where}' if where else ''}"


def _apart(one: Mapping[str, str], other: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys((*one, *other)):
        if one.get(name) != other.get(name):
            yield name


def answers_caution(trials: pd.DataFrame, headline: Comparison) -> str:
    """The sentence beside a verdict on two sides whose answers differ; nothing where they are the same."""
    found = answers_differ(trials, headline.baseline, headline.candidate)
    if headline.computed and (requests := requests_differ(trials, headline.baseline, headline.candidate)):
        return f"But {requests}."
    if found is None or not found.differing or not headline.computed:
        return ""
    return f"But the two sides gave different answers: {found}."


def answers_notes(trials: pd.DataFrame, comparisons: Iterable[Comparison]) -> list[str]:
    """A warning for each pair of configurations whose answers differ."""
    pairs = dict.fromkeys((one.baseline, one.candidate) for one in comparisons if one.computed)
    notes = []
    for baseline, candidate in pairs:
        if requests := requests_differ(trials, baseline, candidate):
            notes.append(f"{candidate} against {baseline}: {requests}; their schemas may differ")
        found = answers_differ(trials, baseline, candidate)
        if found is not None and found.differing:
            notes.append(
                f"{candidate} against {baseline}: {found}; a server that gives different answers may be faster for "
                "that reason alone (use --ignore-fields to exclude fields that always vary)"
            )
    return notes
