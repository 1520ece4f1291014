"""``grpclab study --plan``: what a study would take, and which effect it can show, before it is begun."""

from __future__ import annotations

from collections.abc import Callable

from grpclab.analysis import smallest_effect, spread_of
from grpclab.analysis.study_plan import PlannedHeadline, StudyPlan
from grpclab.study.comparing import PILOT_BLOCKS, piloted
from grpclab.study.designs.design import DELTA
from grpclab.study.runner import Study, no_verdict
from grpclab.study.sides import A, B, Side


def foretell(study: Study, write: Callable[[str], None], *, progress: Callable[[str], None]) -> None:
    """Say how many trials, how long, and what the headline can show at the noise of a pilot of its two sides.

    Where the blocks are too few for a verdict, that is all there is to say, and no pilot is measured. The pilot's
    trials go to `progress`.
    """
    blocks, delta = study.plan.blocks, study.plan.delta or DELTA
    write(study.summary())
    if no_verdict(blocks):
        return
    headline = study.plan.headline or PlannedHeadline()
    sides = {A: _side(study.plan, headline.baseline), B: _side(study.plan, headline.candidate)}
    write(f"\nheadline: {headline.title}; pilot, {PILOT_BLOCKS} blocks that do not count:")
    pilot = piloted(sides, metric=headline.metric, delta=delta, seed=study.seed, write=progress)
    spread = spread_of(ci_low=pilot.ci_low, ci_high=pilot.ci_high, blocks=pilot.blocks)
    least = smallest_effect(spread, blocks)
    write(
        f"\nblock noise of the ratio: {100 * spread:.1f} %, by {pilot.blocks} blocks; with {blocks} blocks an effect of"
        f" {100 * least:.1f} % is found in four of five studies ({delta:.0%} is the least of interest)"
    )
    if least > delta:
        write("what is smaller may stay inconclusive: more blocks, or a quieter machine, would show it")


def _side(plan: StudyPlan, name: str) -> Side:
    configuration = plan.configuration(name)
    return Side(label=configuration.title, config=configuration.config)
