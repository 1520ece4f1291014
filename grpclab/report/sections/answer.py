"""The answer: the verdict in at most 15 words, a line on its confidence, one figure, and the numbers behind it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis.inference.validity import first_texts
from grpclab.metrics import metric_words, value_text
from grpclab.report import answering, figures, glossary, words
from grpclab.report.blocks import FigureBlock
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import BREAK, Card, CardRow, Cell, Composed, Contents, Paragraph, VerdictLine, explained

TITLE, ANCHOR, PLACE, FOLDED = "The answer", "answer", 10, False


@dataclass(frozen=True, kw_only=True)
class VerdictShown(Composed):
    """The verdict, its confidence, the figure that shows both, what the named configurations are, and two numbers.

    `verdict` is "" where claims are the answer: a word on one ratio would not be. `more` are what else the sentence of
    the study says, and the note on its headline.
    """

    verdict: str
    sentence: str
    confidence: str
    limits: tuple[str, ...]
    more: tuple[str, ...]
    variants: tuple[tuple[str, str], ...]
    picture: FigureBlock | None
    cards: tuple[Card, ...]

    @property
    def pieces(self) -> Contents:
        """The verdict first, the numbers behind it last."""
        return [
            VerdictLine(verdict=self.verdict, sentence=self.sentence, limits=self.limits),
            Paragraph(text=self.confidence, look="confidence") if self.confidence else None,
            [Paragraph(text=text, look="note") for text in self.more],
            self.picture,
            explained(self.variants) if self.variants else None,
            CardRow(cards=self.cards),
        ]


def section(study: FinishedStudy) -> VerdictShown:
    """The answer of a study, whatever is known of it."""
    headline = study.headline
    return VerdictShown(
        verdict="" if study.plan.tests_claims else headline.verdict,
        sentence=answering.sentence(study),
        confidence=answering.confidence(study),
        limits=tuple(words.plain(label) for label in headline.limited_by if label),
        more=tuple(answering.more(study)),
        variants=tuple(glossary.variants(study)),
        picture=figures.headline(study),
        cards=(_level_card(study), _errors_card(study)),
    )


def _level_card(study: FinishedStudy) -> Card:
    metric = study.metric_of_headline
    table = study.levels_of_pair(metric, study.baseline, study.candidate)
    values = [value_text(metric, v).removesuffix(" requests/s") for v in table["mean"]]
    unit = "requests per second" if metric == "throughput_rps" else metric_words(metric)
    sides: list[Cell] = []
    for row in table.itertuples(index=False):
        between = qty.interval(row.ci_low, row.ci_high)
        shown = f": {between}" if metric == "throughput_rps" and between != qty.MISSING else ""
        sides += [*([BREAK] if sides else []), f"{study.title(str(row.configuration))}{shown}"]
    if engines := study.engines([study.baseline, study.candidate]):
        sides += [BREAK, engines]
    return Card(value=f"{values[0]} → {values[1]}", what=unit, more=sides)


def _errors_card(study: FinishedStudy) -> Card:
    failed, made, by_status = failed_calls(study, [study.baseline, study.candidate])
    everywhere, all_made, _ = failed_calls(study, list(study.trials["configuration"].unique()))
    whole = f"{everywhere:,} of {all_made:,} calls failed in the whole study{_on_purpose(study, everywhere)}"
    return Card(
        value=f"{failed:,}",
        what=f"of {made:,} calls failed in the headline comparison",
        more=[by_status, BREAK, whole] if by_status else whole,
    )


def _on_purpose(study: FinishedStudy, failed: int) -> str:
    """The number of failed calls that are what is measured, and where; "" for none."""
    by_name = {name: failed_calls(study, [name])[0] for name in study.failing_on_purpose}
    named = {name: count for name, count in by_name.items() if count}
    if not named:
        return ""
    inside = sum(named.values())
    share = "all of them" if inside == failed else f"{inside:,} of them"
    places = "; ".join(f"{study.title(name)}: {count:,}" for name, count in named.items())
    return f", {share} in configurations that measure failure ({places})"


def failed_calls(study: FinishedStudy, names: Sequence[str]) -> tuple[int, int, str]:
    """Failed calls, all calls, and the failures by status, over the valid trials of these configurations."""
    trials = study.trials[study.trials["valid"] & study.trials["configuration"].isin(list(names))]
    statuses: Counter[str] = Counter()
    for text in trials["errors_by_status"]:
        try:
            statuses.update({words.plain(k): int(n) for k, n in json.loads(text or "{}").items() if n})
        except (ValueError, AttributeError, TypeError):
            statuses.update({"unreadable": 1})
    texts = first_texts(trials)
    parts = (
        f"{status} {n:,}" + (f' "{texts[status]}"' if status in texts else "") for status, n in statuses.most_common()
    )
    by_status = ", ".join(parts)
    return int(trials["errors"].sum()), int(trials["requests"].sum()), by_status
