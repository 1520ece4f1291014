"""The sentence: the first thing a reader of a study sees, out of the headline and its parts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import fewest_blocks
from grpclab.analysis.inference.sample_size import MOST_BLOCKS
from grpclab.analysis.inference.verdict import Comparison
from grpclab.analysis.study_plan import PlannedHeadline, PlannedPart
from grpclab.metrics import lower_is_faster, metric_words

Part = tuple[PlannedPart, Comparison]
"""A part of the plan and what became of it."""

_TITLE = re.compile(r"(?P<candidate>[^:,;]+?) against (?P<baseline>[^:,;]+?)(?: (?P<at>(?:at|with|over) .+))?")


def sentence(headline: Comparison, planned: PlannedHeadline, parts: Sequence[Part]) -> str:
    """The headline as one plain-text sentence, with what its parts give, or what to do when it is undecided.

    Names are the planned headline's `candidate_label`, `baseline_label` and `at`, else they come from
    a title like "optimized against basic at concurrency 64", else they are the configurations' own. What a label says,
    as ``A (srv with arg.threads=10)``, is no condition of both sides. The words for a part are its `phrase`, else its
    side. A part with an `already` is repeated with its interval, for readers who already have
    the other parts: ``a client that already keeps its channel``.
    """
    candidate, baseline, at = names(headline, planned)
    where = f" {at}" if at else ""
    metric = metric_words(headline.metric)
    if not headline.computed:
        return (
            f"{candidate} against {baseline} in {metric}{where}: inconclusive, because no ratio could be computed "
            f"({headline.missing or headline.note}); run at least {fewest_blocks()} blocks."
        )
    between = ""
    if headline.has_interval:
        low, high = qty.interval_ends(headline.ci_low, headline.ci_high)
        between = f"95% interval {low} to {high}, "
    direction = "lower is better; " if lower_is_faster(headline.metric) else ""
    bound = f"{headline.bound_word} " if headline.bound_word else ""
    text = (
        f"{candidate} has {bound}{qty.ratio(headline.ratio, 'sentence')} the {metric} of {baseline}{where} "
        f"({direction}{between}{headline.blocks} blocks): {headline.verdict}"
    )
    if headline.verdict == "equivalent":
        text += f" (the whole interval is within {qty.percent_as_set(headline.delta)} of 1)"
    if headline.verdict == "inconclusive":
        text += f"; {advice(headline)}"
    shares = _parts(headline, parts)
    return " ".join([f"{text}; {shares}." if shares else f"{text}.", *_already(parts)])


def names(headline: Comparison, planned: PlannedHeadline) -> tuple[str, str, str]:
    """The candidate, the baseline, and the condition that both share, in words; see :func:`sentence`."""
    title = _TITLE.fullmatch(planned.title.strip())
    parsed = title.groupdict() if title else {}
    if (at := parsed.get("at")) and at in planned.baseline_label:
        parsed["at"] = ""
    return (
        planned.candidate_label or parsed.get("candidate") or headline.candidate,
        planned.baseline_label or parsed.get("baseline") or headline.baseline,
        planned.at or parsed.get("at") or "",
    )


def advice(headline: Comparison) -> str:
    """What would decide a headline that is inconclusive."""
    if not headline.computed:
        return f"run at least {fewest_blocks()} blocks"
    if headline.obstacles:
        return "; ".join(headline.obstacles)
    if headline.blocks_needed is not None:
        return f"at this noise level, a new study would need about {headline.blocks_needed} blocks for a verdict"
    return (
        f"at this noise level, not even {MOST_BLOCKS:,} blocks would be enough for a verdict, because the ratio is "
        f"too close to the edge of 1 ± {qty.percent_as_set(headline.delta)}: choose a different smallest effect of "
        "interest, or use a quieter machine"
    )


def _parts(headline: Comparison, parts: Sequence[Part]) -> str:
    shares: list[str] = []
    for planned, part in parts:
        if not part.computed:
            continue
        phrase = planned.phrase or (f"the {planned.side}" if planned.side else "") or planned.title or part.title
        doubt = f" ({part.verdict})" if part.verdict in ("equivalent", "inconclusive") else ""
        bound = f"{part.bound_word} " if part.bound_word else ""
        given = "" if shares else "contributes "
        shares.append(f"{phrase} {given}{bound}{qty.ratio(part.ratio, 'sentence')}{doubt}")
    return "" if headline.verdict == "inconclusive" else ", ".join(shares)


def _already(parts: Sequence[Part]) -> list[str]:
    sentences = []
    for planned, part in parts:
        if part.computed and (who := planned.already):
            between = ""
            if part.has_interval:
                low, high = qty.interval_ends(part.ci_low, part.ci_high)
                between = f" (95% interval {low} to {high})"
            sentences.append(
                f"For {who[:1].lower()}{who[1:]}, the ratio is {qty.ratio(part.ratio, 'sentence')}{between}: "
                f"{part.verdict}."
            )
    return sentences
