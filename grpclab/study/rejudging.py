"""``grpclab report --rejudge``: a stored study by today's rules, and the rows whose verdict they change.

Nothing that is stored changes: the report and verdict.json stay judged by the rules of the version that measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis import Comparison, Judgement, analyse
from grpclab.analysis.inference.edition import TODAY, Rules, rules_of
from grpclab.errors import MeasurementError
from grpclab.metrics import metric_words
from grpclab.study.runner import Study
from grpclab.system.json_fields import Json
from grpclab.text.printable import printable


@dataclass(frozen=True, kw_only=True)
class ChangedRow:
    """A comparison as it was judged, and as it is by today's rules."""

    before: Comparison
    after: Comparison

    def line(self) -> str:
        """What changed, and why where a rule says it."""
        one = self.after
        why = f": {'; '.join(one.obstacles)}" if one.obstacles else ""
        sides = f"{one.title}, {metric_words(one.metric)}"
        return printable(f"{sides}: {self.before.verdict_words} -> {one.verdict_words}{why}")


@dataclass(frozen=True, kw_only=True)
class Rejudged:
    """A study by today's rules; `measured` are the rules under which it was measured."""

    study: str
    measured: Rules
    judgement: Judgement
    changed: tuple[ChangedRow, ...]
    rows: int

    def lines(self) -> list[str]:
        """How many rows changed, and which."""
        edition = (
            "the rules under which it was measured"
            if self.measured == TODAY
            else f"edition {TODAY.edition}; the study was measured under the rules of edition {self.measured.edition}"
        )
        count = f"{len(self.changed)} of {qty.count(self.rows, 'row')} changed"
        return [f"{self.study} by current rules, {edition}: {count}", *(f"  {row.line()}" for row in self.changed)]

    def as_json(self) -> dict[str, Json]:
        """The same for a machine: the verdict as verdict.json has it, and the rows that changed."""
        return {
            "schema_version": 1,
            "study": self.study,
            "edition": TODAY.edition,
            "measured_under": self.measured.edition,
            "changed": [
                {
                    "title": row.after.title,
                    "scenario": row.after.scenario,
                    "metric": row.after.metric,
                    "baseline": row.after.baseline,
                    "candidate": row.after.candidate,
                    "before": row.before.verdict,
                    "after": row.after.verdict,
                    "at_least": row.after.at_least,
                    "remedy": row.after.remedy,
                }
                for row in self.changed
            ],
            "verdict": self.judgement.as_dict(),
        }


def rejudge(study: Study, *, allow_mixed: bool = False) -> Rejudged:
    """Judge a stored study by its own rules and by today's. Raises MeasurementError if it holds no trial yet."""
    trials = study.collect(allow_mixed=allow_mixed)
    if trials.empty:
        raise MeasurementError(f"study {study.name} has no trials yet: run it first")
    before, after = (
        analyse(trials, study.plan, study.manifest.cores, rules) for rules in (rules_of(study.plan), TODAY)
    )
    pairs = [*zip(before.judged, after.judged, strict=True)]
    if before.aa and after.aa:
        pairs.append((before.aa, after.aa))
    changed = (ChangedRow(before=old, after=new) for old, new in pairs if old.verdict_words != new.verdict_words)
    return Rejudged(
        study=study.name,
        measured=rules_of(study.plan),
        judgement=after,
        changed=tuple(changed),
        rows=len(pairs),
    )
