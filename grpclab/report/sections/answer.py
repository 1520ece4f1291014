"""The answer: the verdict in a sentence, what its words mean, the numbers it stands on, and how sure it is."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from grpclab import quantities as qty
from grpclab.analysis.inference.validity import first_texts
from grpclab.metrics import metric_words, value_text
from grpclab.report import confidence, glossary, tables, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z])")

TITLE, ANCHOR = "The answer", "answer"


def section(study: FinishedStudy) -> str:
    """The verdict in a sentence, its words, the numbers it stands on, and how sure it is."""
    headline = study.headline
    sentence = study.verdict.sentence or "There is no verdict."
    noted = f'<p class="gl-note">{esc(headline.note)}</p>' if headline.note else ""
    # Of a replication the claims are the answer: a word on one ratio would not be.
    badge = "" if study.plan.tests_claims else f"{tables.badge(headline.verdict)} "
    first, *more = _SENTENCES.split(words.plain(sentence), maxsplit=1)
    rest = "".join(f' <span class="gl-more">{esc(text)}</span>' for text in more)
    return (
        f'<p class="gl-verdict">{badge}{esc(first)}{rest}</p>{meanings(study)}'
        f'<div class="gl-cards">{_ratio_card(study)}{_level_card(study)}{_errors_card(study)}</div>{noted}'
        f"{reasons(study)}"
    )


def reasons(study: FinishedStudy) -> str:
    """The reasons as a list; "" without any."""
    items = "".join(f"<dt>{esc(term)}</dt><dd>{esc(text)}</dd>" for term, text in confidence.reasons(study))
    return f'<dl class="gl-reasons">{items}</dl>' if items else ""


def meanings(study: FinishedStudy) -> str:
    """The words as a note, the named configurations first, all others folded; "" for none."""
    first = dict(glossary.variants(study))
    rest = {word: meaning for word, meaning in glossary.explained(study) if word not in first}
    note = f'<p class="gl-note">{_meanings(first)}</p>' if first else ""
    folded = f'<details class="gl-note"><summary>Other words used here</summary><p>{_meanings(rest)}</p></details>'
    return note + (folded if rest else "")


def _meanings(explained: Mapping[str, str]) -> str:
    return "; ".join(f"<b>{esc(word)}</b>: {esc(meaning)}" for word, meaning in explained.items()) + "."


def _ratio_card(study: FinishedStudy) -> str:
    c = study.headline
    if not c.computed:
        return tables.card(qty.MISSING, "ratio", "could not be computed")
    blocks = qty.count(c.blocks, "block")
    engines = esc(study.engines([study.baseline, study.candidate]))
    sides = f"{metric_words(c.metric)}, {words.title_of(c)}"
    return tables.card(
        f"{words.ratio_of(c)}{tables.limits(c.limited_by)}",
        esc(sides),
        f"{words.with_interval(c)}, {blocks}{f'<br>{engines}' if engines else ''}",
    )


def _level_card(study: FinishedStudy) -> str:
    metric = study.metric_of_headline
    table = study.levels_of_pair(metric, study.baseline, study.candidate)
    values = [value_text(metric, v).removesuffix(" requests/s") for v in table["mean"]]
    unit = "requests per second" if metric == "throughput_rps" else esc(metric_words(metric))
    sides = []
    for row in table.itertuples(index=False):
        between = qty.interval(row.ci_low, row.ci_high)
        shown = between if metric == "throughput_rps" and between != qty.MISSING else ""
        sides.append(f"{esc(study.title(str(row.configuration)))}{f': {shown}' if shown else ''}")
    return tables.card(f'{values[0]} <span class="gl-arrow">→</span> {values[1]}', unit, "<br>".join(sides))


def _errors_card(study: FinishedStudy) -> str:
    failed, made, by_status = failed_calls(study, [study.baseline, study.candidate])
    everywhere, all_made, _ = failed_calls(study, list(study.trials["configuration"].unique()))
    what = f"failed of {made:,} calls in the headline's trials"
    more = f"{esc(by_status)}<br>" if by_status else ""
    return tables.card(
        f"{failed:,}", what, f"{more}{everywhere:,} of {all_made:,} in the whole study{_on_purpose(study, everywhere)}"
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
    return f", {share} where failing is what is measured ({esc(places)})"


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
