"""``grpclab study --plan``: what a study would take, and which effect it can show, before it is begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grpclab.analysis import smallest_effect, spread_of
from grpclab.study.comparing import PILOT_BLOCKS, piloted
from grpclab.study.designs.design import configuration_row, trial_config
from grpclab.study.runner import Study, no_verdict
from grpclab.study.sides import A, B, Side


def foretell(study: Study, write: Callable[[str], None], *, progress: Callable[[str], None]) -> None:
    """Say how many trials, how long, and what the headline can show at the noise of a pilot of its two sides.

    Where the blocks are too few for a verdict, that is all there is to say, and no pilot is measured. The pilot's
    trials go to `progress`.
    """
    blocks = study.plan["blocks"]
    write(study.summary())
    if no_verdict(blocks):
        return
    headline = study.plan["headline"]
    sides = {name: _side(study.plan, headline[role]) for name, role in ((A, "baseline"), (B, "candidate"))}
    write(f"\nheadline: {headline['title']}; pilot, {PILOT_BLOCKS} blocks that do not count:")
    seen = piloted(
        sides, metric=headline["metric"], delta=study.plan["delta"], seed=study.manifest["seed"], write=progress
    )
    spread = spread_of(ci_low=seen.ci_low, ci_high=seen.ci_high, blocks=seen.blocks)
    least = smallest_effect(spread, blocks)
    write(
        f"\nblock noise of the ratio: {100 * spread:.1f} %, by {seen.blocks} blocks; with {blocks} blocks an effect of"
        f" {100 * least:.1f} % is found in four of five studies ({study.plan['delta']:.0%} is the least of interest)"
    )
    if least > study.plan["delta"]:
        write("what is smaller may stay inconclusive: more blocks, or a quieter machine, would show it")


def _side(plan: dict[str, Any] | Any, name: str) -> Side:
    return Side(label=configuration_row(plan, name)["title"], config=trial_config(plan, name))
