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
        ("Noise on this machine", noise(study)),
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
        return "none: fewer than two blocks have both sides."
    less = lower_is_faster(study.metric_of_headline)
    better = sum(ratio < 1 if less else ratio > 1 for ratio in ratios)
    worse = sum(ratio > 1 if less else ratio < 1 for ratio in ratios)
    agree, way = (better, "faster") if better >= worse else (worse, "slower")
    spread = f"from {qty.ratio(min(ratios))} to {qty.ratio(max(ratios))}"
    trend = f"{study.title(study.candidate)} was {way} in {agree} of {qty.count(len(ratios), 'block')}, {spread}"
    if len(ratios) < fewest_blocks():
        return (
            f"{trend}; {qty.count(len(ratios), 'block')} cannot rule out chance; it takes at least {fewest_blocks()}."
        )
    p = c.p_value
    if not math.isfinite(p):
        return f"{trend}."
    least = (
        ", the smallest that this number of blocks can give"
        if math.isclose(p, 2 / 2 ** len(ratios), rel_tol=1e-9)
        else ""
    )
    once = f"once in {round(1 / p):,} studies" if p < 0.5 else "in at least half of all studies"
    return (
        f"{trend}. If there were no difference, a mean this far from 1 would occur {once} (sign-flip test, p "
        f"{p:.2g}{least})."
    )


def noise(study: FinishedStudy) -> str:
    """The machine's noise, as the A/A arm shows it; "" without an interval."""
    aa = study.verdict.aa
    if not (aa and aa.computed and math.isfinite(aa.ci_low) and math.isfinite(aa.ci_high)):
        return ""
    differs = aa.excludes_one
    measured = f"the baseline against itself gave {words.estimate(aa)}"
    if not differs and (aa.ci_low < study.margins[0] or aa.ci_high > study.margins[1]):
        return (
            f"{measured}: with this number of blocks, anything inside that interval cannot be distinguished from noise."
        )
    return (
        f"{measured}: identical configurations differ, so doubt every ratio in this study."
        if differs
        else f"{measured}: identical configurations come out the same."
    )


def seen(study: FinishedStudy) -> str:
    """The smallest effect that the headline's blocks find at their noise; "" in a study of the first edition."""
    c = study.headline
    if not study.plan.groups or not c.has_interval or c.blocks < fewest_blocks() or not c.ci_high > c.ci_low:
        return ""
    spread = spread_of(ci_low=c.ci_low, ci_high=c.ci_high, blocks=c.blocks)
    least = smallest_seen(spread, c.blocks, c.blocks - 1, delta=study.delta)
    return (
        f"{qty.count(c.blocks, 'block')} with ratios that vary by {100 * spread:.1f}% detect an effect of "
        f"{qty.percent_as_set(least)} or more in four out of five comparisons. The smallest effect of interest is "
        f"{qty.percent_as_set(study.delta)}; an effect close to it may remain undecided."
    )


def _narrower(study: FinishedStudy) -> str:
    """How many times narrower the interval is for being interleaved; "" where that is not known."""
    return f"{words.typeset(study.narrowing.sentence())}." if study.narrowing else ""


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
                    f"{words.sentence_case(study.title(side))} is limited by",
                    f"{what}{unsure}: {words.typeset(evidence)}.",
                )
            )
    return pairs
