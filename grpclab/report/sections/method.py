"""The procedure of the measurement, and the rules of its judgement."""

from __future__ import annotations

from grpclab import quantities as qty
from grpclab.analysis.inference.edition import rules_of
from grpclab.analysis.study_plan import StudyPlan
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "Method", "method"


_ENGINES = {
    "grpcio": "grpc.aio, what a Python client really does and costs",
    "wire": "HTTP/2 frames of its own, so that the client is hardly ever the limit",
}


def section(study: FinishedStudy) -> str:
    """The procedure of the measurement, and the rules of its judgement."""
    plan = study.plan
    valid = int(study.trials["valid"].sum())
    profiled = ", then, never inside the window, a profile window in some of them" if plan.profiled else ""
    again = (
        " The baseline is measured once more under another name (A/A), not adjusted either: what differs there is "
        "noise."
        if study.has_aa and not plan.without_aa
        else ""
    )
    rules = rules_of(plan)
    margins = (
        f"the margins, {study.margin_words.removeprefix('from ')}; <i>equivalent</i> needs the whole interval inside "
        "them; all else is <i>inconclusive</i>, and so is every verdict about a server where the load generator was "
        "the limit, unless its limit points the same way, which is marked as <i>at least</i>"
        if rules.mirrored
        else "1 ± that; <i>equivalent</i> needs the whole interval inside it; all else is <i>inconclusive</i>"
    )
    return (
        f"<p>{qty.count(len(study.configurations), 'configuration')} in {qty.count(plan.blocks, 'block')}, "
        f"{qty.count(len(study.trials), 'trial')}, {valid:,} of them valid. Every trial has a freshly "
        f"started server: warm-up, then the measured {'time' if plan.groups else 'window'}{profiled}. {_order(plan)} "
        "The unit of evidence is the block, not the request: within each block the "
        "two sides of a comparison give one ratio, and what is reported is the geometric mean of these ratios with a "
        "95 % paired t interval on their logarithms. The p value of the headline is that of a sign flip (exact up to "
        "16 blocks) and not adjusted, since it is the one "
        "hypothesis declared before the run; all other comparisons are paired t tests, corrected by Holm in "
        f"one family for each metric. The smallest effect of interest is {100 * study.delta:g} %: "
        "<i>faster</i> and <i>slower</i> need an interval that leaves out 1, a p below 0.05 and a ratio "
        f"beyond {margins}.{again}</p><p>{_load_words(study)}</p>"
    )


def _order(plan: StudyPlan) -> str:
    """What a block is."""
    if not plan.groups:
        return "A block is one pass over all configurations in random order."
    return (
        "A block measures all groups in random order. The servers of a group are up together, and their slices of load "
        'interleave, or it is said why not (<a href="#groups">Measured together</a>).'
    )


def _load_words(study: FinishedStudy) -> str:
    """The load generators, and when they were themselves the limit."""
    names = sorted({engine for name in study.configurations if (engine := study.engine(name))})
    engines = [f"<b>{esc(name)}</b> ({esc(_ENGINES[name])})" if name in _ENGINES else esc(name) for name in names]
    made = (
        f"The load comes from the engine{'' if len(engines) == 1 else 's'} {words.listing(engines)}. "
        if engines
        else ""
    )
    return (
        f"{made}A number is marked <i>generator-bound</i>, and its marker is hollow, where a process of the load "
        "generator was busy for more than 90 % of the window or, in an open loop, could not keep to its schedule; "
        "<i>client-cpu</i> says the same of a client that opens a channel for each call, since there the client is "
        "the factor under test."
    )
