"""The answer of a study in words: the verdict in at most 15 words, its confidence in a line, the title of the study."""

from __future__ import annotations

import re
from collections.abc import Iterator

from grpclab import quantities as qty
from grpclab.analysis.sentence import advice, names
from grpclab.analysis.study_plan import PlannedHeadline
from grpclab.metrics import lower_is_faster, metric_words
from grpclab.report import words
from grpclab.report.confidence import ratios_of
from grpclab.report.finished import FinishedStudy

MOST_WORDS = 15
"""The most words that the verdict may have."""
_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z])")
_NO_VERDICT = "There is no verdict."


def title(study: FinishedStudy) -> str:
    """The title of a study: its question, else one made of its headline, else its name."""
    if study.manifest.question:
        return words.plain(study.manifest.question)
    candidate, baseline, _ = _names(study)
    return f"Is {candidate} faster than {baseline}?" if candidate and baseline else study.name


def sentence(study: FinishedStudy) -> str:
    """The verdict; of a study that tests claims, how many hold."""
    whole = study.verdict.sentence
    if study.plan.tests_claims and whole:
        return words.typeset(_SENTENCES.split(words.plain(whole), maxsplit=1)[0])
    c, (candidate, baseline, at) = study.headline, _names(study)
    if not candidate or not baseline:
        return _NO_VERDICT
    metric = metric_words(study.metric_of_headline)
    if not c.computed:
        return f"No ratio of {candidate} to {baseline} could be computed."
    ratio = words.ratio_of(c)
    ways = {
        "equivalent": f"No difference that matters: {candidate} has {ratio} the {metric} of {baseline}",
        "inconclusive": f"Undecided: {candidate} had {ratio} the {metric} of {baseline}",
    }
    text = ways.get(c.verdict, f"{candidate} has {ratio} the {metric} of {baseline}")
    full = f"{text} {at}" if at else text
    return f"{full if len(full.split()) <= MOST_WORDS else text}."


def confidence(study: FinishedStudy) -> str:
    """The interval, how many blocks agree, and what would decide where nothing is decided; "" without a headline."""
    c, at = study.headline, _names(study)[2]
    if study.plan.tests_claims or not study.verdict.headline.baseline:
        return ""
    where = f"{at}: " if at and at not in sentence(study) else ""
    if not c.computed:
        why = words.plain(c.note) or "no block has results for both sides"
        return words.typeset(words.sentence_case(f"{where}{why}; {advice(c)}."))
    less = lower_is_faster(study.metric_of_headline)
    ratios = ratios_of(study, c)
    faster = sum(ratio < 1 if less else ratio > 1 for ratio in ratios)
    agree, way = (faster, "faster") if 2 * faster >= len(ratios) else (len(ratios) - faster, "slower")
    of_blocks = f"{way} in {agree} of {qty.count(len(ratios), 'block')}" if ratios else qty.count(c.blocks, "block")
    parts = [words.sentence_case(f"{where}{words.with_interval(c)}; {of_blocks}")]
    if less:
        parts.append("lower is better")
    if c.verdict == "inconclusive":
        parts.append(advice(c))
    return words.typeset(f"{'; '.join(parts)}.")


def more(study: FinishedStudy) -> Iterator[str]:
    """What else the sentence of the study says, and the note on its headline, but for what is a warning, too."""
    texts = _SENTENCES.split(words.plain(study.verdict.sentence))[1:]
    if study.headline.computed:
        texts.append(words.plain(study.headline.note))
    for text in texts:
        said = text.removeprefix("But ").rstrip(".")
        if said and not any(said in warning for warning in study.warnings):
            yield words.as_sentence(words.typeset(text))


def _names(study: FinishedStudy) -> tuple[str, str, str]:
    """The candidate, the baseline, and where they were compared, in words."""
    candidate, baseline, at = names(study.headline, study.plan.headline or PlannedHeadline())
    return words.plain(candidate), words.plain(baseline), words.plain(at)
