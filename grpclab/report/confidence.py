"""The confidence in the headline, and the limit of each of its sides, in words for those who read no further."""

from __future__ import annotations

import math

from grpclab import quantities as qty
from grpclab.analysis import Comparison, block_ratios, fewest_blocks, smallest_seen, spread_of
from grpclab.metrics import lower_is_faster
from grpclab.report import words
from grpclab.report.finished import FinishedStudy


def reasons(study: FinishedStudy) -> list[tuple[str, str]]:
    """Pairs of a question and its answer, plain text: how sure, the noise, what interleaving gave, what so many blocks
    can show, and what limits each side."""
    pairs = [
        ("Confidence", sure(study)),
        ("Noise on this machine", noise(study) or _unchecked(study)),
        ("Measured together", _narrower(study)),
        ("What these blocks can detect", seen(study)),
    ]
    return [pair for pair in [*pairs, *_limits(study)] if pair[1]]


def ratios_of(study: FinishedStudy, c: Comparison) -> list[float]:
    """The ratio of a comparison in each block that holds both sides, in the order of the blocks."""
    metric = c.metric or study.metric
    table = block_ratios(study.trials, scenario=c.scenario, metric=metric, baseline=c.baseline, candidate=c.candidate)
    return [float(ratio) for ratio in table["ratio"]]


def sure(study: FinishedStudy) -> str:
    """The agreement of the blocks, and how often chance alone would agree so well."""
    c = study.headline
    ratios = ratios_of(study, c)
    if len(ratios) < 2:
        return "There is none, because fewer than two blocks have results for both sides."
    less = lower_is_faster(study.metric_of_headline)
    better = sum(ratio < 1 if less else ratio > 1 for ratio in ratios)
    worse = sum(ratio > 1 if less else ratio < 1 for ratio in ratios)
    agree, way = (better, "faster") if better >= worse else (worse, "slower")
    spread = f"with ratios from {qty.ratio(min(ratios))} to {qty.ratio(max(ratios))}"
    side = words.sentence_case(words.as_subject(study.title(study.candidate)))
    trend = f"{side} was {way} in {agree} of {qty.count(len(ratios), 'block')}, {spread}"
    if len(ratios) < fewest_blocks():
        return (
            f"{trend}. {qty.count(len(ratios), 'block')} cannot rule out chance: at least {fewest_blocks()} are needed."
        )
    p = c.p_value
    if not math.isfinite(p):
        return f"{trend}."
    least = (
        ", the smallest value possible with this number of blocks"
        if math.isclose(p, 2 / 2 ** len(ratios), rel_tol=1e-9)
        else ""
    )
    once = f"once in {round(1 / p):,} studies" if p < 0.5 else "in at least half of all studies"
    return (
        f"{trend}. If there were no difference, a mean ratio this far from 1 would occur {once} (sign-flip test, p = "
        f"{p:.2g}{least})."
    )


def noise(study: FinishedStudy) -> str:
    """The machine's noise, as the A/A arm shows it; "" without an interval."""
    aa = study.verdict.aa
    if not (aa and aa.computed and math.isfinite(aa.ci_low) and math.isfinite(aa.ci_high)):
        return ""
    differs = aa.excludes_one
    measured = f"Measured against itself, the baseline gave {words.estimate(aa)}"
    if not differs and (aa.ci_low < study.margins[0] or aa.ci_high > study.margins[1]):
        return (
            f"{measured}. With this number of blocks, a ratio inside that interval cannot be distinguished from noise."
        )
    return (
        f"{measured}. Identical configurations gave different results, so treat every ratio in this study with caution."
        if differs
        else f"{measured}, so the comparison found no difference where there is none."
    )


def _unchecked(study: FinishedStudy) -> str:
    """That nobody knows the noise of the machine; "" where it is known, or there is nothing to doubt."""
    lacking = not (study.verdict.aa or study.plan.without_aa) and (study.headline.computed or study.resources)
    return "It was not checked, because there is no A/A comparison." if lacking else ""


def seen(study: FinishedStudy) -> str:
    """The smallest effect that the headline's blocks find at their noise; "" in a study of the first edition."""
    c = study.headline
    if not study.plan.groups or not c.has_interval or c.blocks < fewest_blocks() or not c.ci_high > c.ci_low:
        return ""
    units, unit = c.degrees + 1, "machine" if c.over_machines else "block"
    spread = spread_of(ci_low=c.ci_low, ci_high=c.ci_high, blocks=units)
    least = smallest_seen(spread, units, c.degrees, delta=study.delta)
    return (
        f"With {qty.count(units, unit)} whose ratios vary by {100 * spread:.1f}%, four out of five comparisons "
        f"detect an effect of {qty.percent_as_set(least)} or more. The smallest effect of interest is "
        f"{qty.percent_as_set(study.delta)}; an effect close to that size might remain undecided."
    )


def _narrower(study: FinishedStudy) -> str:
    """How many times narrower the interval is for being interleaved; "" where that is not known."""
    return f"{words.sentence_case(words.typeset(study.narrowing.sentence()))}." if study.narrowing else ""


def _limits(study: FinishedStudy) -> list[tuple[str, str]]:
    pairs = []
    for side in (study.baseline, study.candidate):
        limit = study.resources.get(side)
        if limit:
            what = words.plain(limit.resource or "unknown")
            unsure = "" if limit.certain or what == "unknown" else " (not certain)"
            evidence = words.plain(limit.evidence or "no reason given")
            pairs.append(
                (
                    f"{words.sentence_case(words.as_subject(study.title(side)))} is limited by",
                    f"{what}{unsure}: {words.typeset(evidence)}.",
                )
            )
    return pairs
