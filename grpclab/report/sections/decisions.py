"""Why a rung of the ladder is in ``optimized`` or not, beside what this study says of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grpclab import quantities as qty
from grpclab.factors.variants import LADDER
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.sections import tables
from grpclab.report.words import esc

_WHY = {rung.title: rung.why for rung in LADDER}
"""For plans of before a rung said it itself."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A rung, whether `optimized` keeps it, on what evidence, and how this study compares it with the rung before."""

    title: str
    kept: bool
    why: str
    comparison: Mapping[str, Any]

    @property
    def ratio(self) -> float:
        """This study's ratio; NaN where it has none."""
        return qty.number(self.comparison.get("ratio"))

    @property
    def stands(self) -> str:
        """How this study stands to the decision, in a few words."""
        verdict = str(self.comparison.get("verdict") or "")
        if not math.isfinite(self.ratio):
            return "not measured here"
        if verdict in ("faster", "slower"):
            return "this study agrees" if (verdict == "faster") == self.kept else "this study says the opposite"
        if verdict == "equivalent":
            return "this study sees no difference"
        return "here it points the other way, within the noise" if self.against else "this study cannot tell"

    @property
    def against(self) -> bool:
        """Whether this study's ratio points the other way, decided or not."""
        apart = math.isfinite(self.ratio) and self.comparison.get("verdict") != "equivalent"
        return apart and (self.ratio < 1 if self.kept else self.ratio > 1)


def decisions(study: FinishedStudy) -> Iterator[Decision]:
    """The rungs above the first, in their order."""
    for rung in study.entries("ladder")[1:]:
        name, baseline = str(rung.get("configuration") or ""), str(rung.get("baseline") or "")
        scenario = str(study.configurations.get(name, {}).get("scenario") or "")
        yield Decision(
            title=words.plain(rung.get("title") or name),
            kept=bool(rung.get("kept", True)),
            why=words.plain(rung.get("why") or _WHY.get(str(rung.get("title")), "")),
            comparison=study.comparison(scenario, study.metric, baseline, name) if name and baseline else {},
        )


def told(found: list[Decision]) -> str:
    """Who decided, and which rungs this study sees otherwise, in plain text."""
    text = (
        "Kept and rejected say what the preset optimized holds. Earlier studies with 18 blocks in all decided that, "
        "with the ratios below, so that every study measures the same ladder; this one only says whether it agrees."
    )
    against = [f"{d.title} ({'kept' if d.kept else 'rejected'}, here {qty.ratio(d.ratio)})" for d in found if d.against]
    return f"{text} It points the other way for {words.listing(against)}." if against else text


def section(study: FinishedStudy) -> str:
    """The sentence and the table; "" without a rung above the first."""
    found = list(decisions(study))
    if not found:
        return ""
    rows = [
        [
            esc(d.title),
            f"<b>{qty.ratio(d.ratio)}</b> <small>"
            f"{qty.interval(d.comparison.get('ci_low'), d.comparison.get('ci_high'))}</small>",
            "kept" if d.kept else "rejected",
            esc(d.why) or qty.MISSING,
            esc(d.stands),
        ]
        for d in found
    ]
    header = ["rung", "here", "in optimized", "decided on", "this study"]
    body = tables.table(header, rows, label="Why each rung is kept or rejected", numeric={1}, widest=3)
    other = (
        " The ladder's handlers do not wait, so threads and asyncio do not help them; handlers that wait are another "
        'case: see <a href="#waiting">Handlers that wait</a>.'
        if study.plan.get("waiting")
        else ""
    )
    return f"<h3>Why each rung is kept or rejected</h3><p>{esc(told(found))}{other}</p>{body}"
