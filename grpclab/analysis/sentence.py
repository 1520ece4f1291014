"""The sentence: the first thing a reader of a study sees, out of the headline and its parts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import fewest_blocks
from grpclab.analysis.inference.verdict import MOST_BLOCKS, Comparison
from grpclab.metrics import lower_is_faster, metric_words

Part = tuple[Mapping[str, Any], Comparison]
"""An entry of ``plan["parts"]`` and what became of it."""

_TITLE = re.compile(r"(?P<candidate>[^:,;]+?) against (?P<baseline>[^:,;]+?)(?: (?P<at>(?:at|with|over) .+))?")


def sentence(headline: Comparison, plan: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """The headline as one plain-text sentence, with what its parts give, or what to do when it is undecided.

    Names come from the keys `candidate_label`, `baseline_label` and `at` of ``plan["headline"]``, else from
    a title like "optimized against basic at concurrency 64", else they are the configurations' own. The
    words for a part are its `phrase`, else its side. A part with an `already` is told once more with its interval, for
    readers to whom the other parts are nothing new: ``a client that already keeps its channel``.
    """
    candidate, baseline, at = _names(headline, plan)
    where = f" {at}" if at else ""
    metric = metric_words(headline.metric)
    if not headline.computed:
        return (
            f"{candidate} against {baseline} in {metric}{where}: inconclusive, there is no ratio "
            f"({headline.note}); run at least {fewest_blocks()} blocks."
        )
    between = ""
    if headline.has_interval:
        low, high = qty.interval_ends(headline.ci_low, headline.ci_high)
        between = f", 95 % interval {low} to {high}"
    direction = ", where less is faster" if lower_is_faster(headline.metric) else ""
    text = (
        f"{candidate} is {qty.ratio(headline.ratio, 'sentence')} {baseline} in {metric}{where}{direction}"
        f"{between}, {headline.blocks} blocks: {headline.verdict}"
    )
    if headline.verdict == "equivalent":
        text += f", the whole interval lies within {qty.percent_as_set(headline.delta)} of 1"
    if headline.verdict == "inconclusive":
        text += f"; {_advice(headline)}"
    shares = _parts(headline, parts)
    return " ".join([f"{text}; {shares}." if shares else f"{text}.", *_already(parts)])


def _names(headline: Comparison, plan: Mapping[str, Any]) -> tuple[str, str, str]:
    given = plan.get("headline") or {}
    found = _TITLE.fullmatch(str(given.get("title") or "").strip())
    parsed = found.groupdict() if found else {}

    def name(key: str, part: str, otherwise: str) -> str:
        return str(given.get(key) or parsed.get(part) or otherwise)

    return (
        name("candidate_label", "candidate", headline.candidate),
        name("baseline_label", "baseline", headline.baseline),
        name("at", "at", ""),
    )


def _advice(headline: Comparison) -> str:
    fewest = fewest_blocks()
    if headline.blocks < fewest:
        return f"{headline.blocks} blocks are too few for a verdict, run at least {fewest}"
    if headline.blocks_needed is not None:
        return f"at this noise a new study of about {headline.blocks_needed} blocks would decide it"
    return (
        f"at this noise not even {MOST_BLOCKS:,} blocks would decide it, the ratio is too near to "
        f"the edge of 1 +/- {qty.percent_as_set(headline.delta)}: choose another smallest effect, or a quieter machine"
    )


def _parts(headline: Comparison, parts: Sequence[Part]) -> str:
    told = []
    for entry, part in parts:
        if not part.computed:
            continue
        side = entry.get("side")
        phrase = entry.get("phrase") or (f"the {side}" if side else "") or entry.get("title") or part.title
        doubt = f" ({part.verdict})" if part.verdict in ("equivalent", "inconclusive") else ""
        told.append((qty.ratio(part.ratio, "sentence"), phrase, doubt))
    if not told or headline.verdict == "inconclusive":
        return ""
    if headline.verdict == "equivalent":
        return "of its parts, " + " and ".join(f"{ratio} comes from {who}{doubt}" for ratio, who, doubt in told)
    (ratio, who, doubt), *others = told
    text = f"{ratio} of it comes from {who}{doubt}"
    return text + "".join(f", {ratio} from {who}{doubt}" for ratio, who, doubt in others)


def _already(parts: Sequence[Part]) -> list[str]:
    told = []
    for entry, part in parts:
        if part.computed and entry.get("already"):
            who = str(entry["already"])
            between = ""
            if part.has_interval:
                low, high = qty.interval_ends(part.ci_low, part.ci_high)
                between = f", 95 % interval {low} to {high}"
            told.append(
                f"What is left for {who[:1].lower()}{who[1:]}: {qty.ratio(part.ratio, 'sentence')}{between}, "
                f"{part.verdict}."
            )
    return told
