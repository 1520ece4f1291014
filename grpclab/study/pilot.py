"""``grpclab study --plan``: the groups of a study, and by a pilot what it would take, and what it can show."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import effect_lines, effect_table, smallest_seen
from grpclab.analysis.study_plan import PlannedHeadline, StoredProgram, StudyPlan
from grpclab.study.block_count import PILOT_BLOCKS, noise_of
from grpclab.study.comparing_study import ComparingStudy, comparison_manifest
from grpclab.study.designs import compare_design
from grpclab.study.designs.design import DELTA, no_verdict
from grpclab.study.designs.grouping import group_s, grouped
from grpclab.study.manifests import surroundings
from grpclab.study.measured_study import StudyInterruptedError
from grpclab.study.runner import Study
from grpclab.study.sides import A, B, Side
from grpclab.study.store import Store
from grpclab.study.target import Subject
from grpclab.system.temporary import TemporaryFolder


def piloted(
    sides: Mapping[str, Side],
    *,
    delta: float,
    seed: int,
    write: Callable[[str], None],
    start_timeout_s: float | None = None,
    servers: Mapping[str, StoredProgram] | None = None,
    rehearsed: bool = False,
) -> tuple[pd.DataFrame, StudyPlan]:
    """The trials of the two sides in a few blocks that do not count, and their plan: nothing of them is kept.

    `servers`: see comparison_manifest. `rehearsed`: their applications have been started once already.
    """
    with TemporaryFolder() as root:
        store = Store(root / "results" / "pilot")
        # A seed of its own: the order of the blocks that count must not repeat that of the pilot.
        plan_ = grouped(compare_design.plan(sides, blocks=PILOT_BLOCKS, delta=delta))
        manifest = comparison_manifest(
            surroundings(root),
            plan_,
            name="pilot",
            seed=seed + 1_000_003,
            start_timeout_s=start_timeout_s,
            servers=servers,
        )
        pilot = ComparingStudy(store, store.open(manifest), root, {name: side.subject for name, side in sides.items()})
        pilot.rehearsed = rehearsed
        try:
            pilot.run(write)
        except StudyInterruptedError:
            raise StudyInterruptedError("stopped in the pilot, of which nothing is kept") from None
        return pilot.collect(), plan_


def estimate(study: Study, write: Callable[[str], None], *, progress: Callable[[str], None]) -> None:
    """Say how many trials, how long, and what the headline can show at the noise of a pilot of its two sides.

    Where the blocks are too few for a verdict, that is all there is to say, and no pilot is measured. The pilot's
    trials go to `progress`.
    """
    plan, blocks, delta = study.plan, study.plan.blocks, study.plan.delta or DELTA
    write(study.summary())
    write("\n".join(["", *group_lines(plan)]))
    pilot = study.manifest.pilot
    if no_verdict(blocks):
        return
    headline = plan.headline or PlannedHeadline()
    sides = {A: _side(study, headline.baseline), B: _side(study, headline.candidate)}
    write(f"\nheadline: {headline.title}; pilot, {PILOT_BLOCKS} blocks of its two sides that do not count:")
    trials, piloted_plan = piloted(sides, delta=delta, seed=study.seed, write=progress, rehearsed=study.rehearsed)
    sd, degrees = noise_of(trials, piloted_plan)
    block_s = sum(group_s(plan, group) for group in plan.groups)
    least = smallest_seen(sd, blocks, degrees, delta=delta)
    write(
        f"\nblock noise of the ratio: {100 * sd:.1f} %, by {PILOT_BLOCKS} blocks; with {blocks} blocks an effect of"
        f" {100 * least:.1f} % is found in four of five studies ({delta:.0%} is the least of interest)"
    )
    if pilot and pilot.budget_s is not None:
        write(
            f"the first {pilot.blocks} blocks fix counted time and blocks for a budget of"
            f" {qty.rough_duration(pilot.budget_s)}"
        )
    write("\nblocks that show an effect in four of five studies, and how long they take:")
    write("\n".join(effect_lines(effect_table(sd, degrees, delta=delta, block_s=block_s), delta=delta)))


def group_lines(plan: StudyPlan) -> list[str]:
    """The groups of a plan in lines: members, the hub first, the length of a pass, and memory."""
    lines = [f"{qty.count(len(plan.groups), 'group')} in each block, the hub first:"]
    for number, group in enumerate(plan.groups):
        words = [f"{group.counted_s:g} s counted each"]
        if group.interleaved and len(group.members) > 1:
            words += [] if group.pass_s is None else [f"a pass of {qty.duration(group.pass_s)}"]
        else:
            words.append(f"one after the other: {group.reason}" if len(group.members) > 1 else f"alone: {group.reason}")
        words += [] if group.memory_bytes is None else [f"{group.memory_bytes / 2**20:,.0f} MiB"]
        words.append(f"about {qty.rough_duration(group_s(plan, group))}")
        lines.append(f"  {number:02d}  {', '.join(group.members)}  ({'; '.join(words)})")
    return lines


def _side(study: Study, name: str) -> Side:
    configuration = study.plan.configuration(name)
    return Side(label=configuration.title, config=configuration.config, subject=study.subjects.get(name, Subject()))
