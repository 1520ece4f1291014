"""The sentence: the first thing a reader of a study sees, out of the headline and its parts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

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
        low, high = _interval(headline.ci_low, headline.ci_high)
        between = f", 95 % interval {low} to {high}"
    direction = ", where less is faster" if lower_is_faster(headline.metric) else ""
    text = (
        f"{candidate} is {times(headline.ratio)} {baseline} in {metric}{where}{direction}"
        f"{between}, {headline.blocks} blocks: {headline.verdict}"
    )
    if headline.verdict == "equivalent":
        text += f", the whole interval lies within {_percent(headline.delta)} of 1"
    if headline.verdict == "inconclusive":
        text += f"; {_advice(headline)}"
    shares = _parts(headline, parts)
    return " ".join([f"{text}; {shares}." if shares else f"{text}.", *_already(parts)])


def times(ratio: float) -> str:
    """A ratio for people: 3.4x, 1.08x, 0.80x, 120x."""
    return f"{_figure(ratio, _decimals(ratio))}x"


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
        f"at this noise not even {MOST_BLOCKS:,} blocks would decide it, the ratio is too near "
        f"to the edge of 1 +/- {_percent(headline.delta)}: choose another smallest effect, or a quieter machine"
    )


def _parts(headline: Comparison, parts: Sequence[Part]) -> str:
    told = []
    for entry, part in parts:
        if not part.computed:
            continue
        side = entry.get("side")
        phrase = entry.get("phrase") or (f"the {side}" if side else "") or entry.get("title") or part.title
        doubt = f" ({part.verdict})" if part.verdict in ("equivalent", "inconclusive") else ""
        told.append((times(part.ratio), phrase, doubt))
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
                low, high = _interval(part.ci_low, part.ci_high)
                between = f", 95 % interval {low} to {high}"
            told.append(f"What is left for {who[:1].lower()}{who[1:]}: {times(part.ratio)}{between}, {part.verdict}.")
    return told


def _interval(low: float, high: float) -> tuple[str, str]:
    """Both ends with the same decimals, one more where an end that is not 1 would read as 1."""
    decimals = _decimals(low)
    near = any(end != 1 and float(f"{end:.{decimals}f}") == 1 for end in (low, high) if math.isfinite(end))
    decimals += 1 if near else 0
    return _figure(low, decimals), _figure(high, decimals)


def _decimals(value: float) -> int:
    if not math.isfinite(value) or value >= 9.95:
        return 0
    return 1 if value >= 1.95 else 2


def _figure(value: float, decimals: int) -> str:
    if math.isinf(value):
        return "infinity"
    if value < 0.095 or value >= 1e6:
        return f"{value:.2g}"
    return f"{value:,.{decimals}f}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
