"""``--plan`` of a study and of a comparison: the groups, and by a pilot what it would take and what it can show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import effect_lines, effect_table, smallest_seen
from grpclab.analysis.study_plan import PlannedHeadline, StoredProgram, StudyPlan
from grpclab.factors.config import LoadConfig
from grpclab.load.core.shapes import has_own_length
from grpclab.study.block_count import PILOT_BLOCKS, by_noise, noise_of
from grpclab.study.carried import require_carriable
from grpclab.study.comparing import pilot_of, require_listeners
from grpclab.study.comparing_study import ComparingStudy, comparison_manifest
from grpclab.study.designs import compare_design
from grpclab.study.designs.design import DELTA, no_verdict
from grpclab.study.designs.grouping import EXCLUSIVE, group_s, grouped
from grpclab.study.fitting import BESIDE_GROUP_S
from grpclab.study.manifests import surroundings
from grpclab.study.measured_study import BlockMachines, StudyInterruptedError
from grpclab.study.runner import Study
from grpclab.study.server_programs import servers_of
from grpclab.study.sides import A, B, Side
from grpclab.study.store import Store
from grpclab.study.stored_groups import noise_of_slices
from grpclab.study.target import Subject
from grpclab.study.wall_budget import GroupTimes, within_budget
from grpclab.system.temporary import TemporaryFolder


@dataclass(frozen=True, kw_only=True)
class Piloted:
    """What a pilot measured: its trials, the plan of its two sides, and the wall time of their groups."""

    trials: pd.DataFrame
    plan: StudyPlan
    times: GroupTimes
    slices_sd: float = math.nan
    """The part of the noise that comes from within a block."""

    @property
    def block_s(self) -> float:
        """The wall time of a block of them; of blocks on several machines at the same time, the part of each."""
        return self.times.block_s(range(len(self.plan.groups)))

    @property
    def noise(self) -> tuple[float, int]:
        """The sd of ln ratio from block to block, and its degrees of freedom."""
        return noise_of(self.trials, self.plan)


def piloted(
    sides: Mapping[str, Side],
    *,
    delta: float,
    seed: int,
    write: Callable[[str], None],
    start_timeout_s: float | None = None,
    servers: Mapping[str, StoredProgram] | None = None,
    rehearsed: bool = False,
    apart: str = "",
    machines: BlockMachines | None = None,
) -> Piloted:
    """The two sides in a few blocks that do not count: nothing of them is kept.

    `servers`: see comparison_manifest. `rehearsed`: their applications have been started once already. `apart`: why
    the sides are measured one after the other; in slices without a reason. With `machines`, those of a cluster measure
    the blocks.
    """
    at_once = _at_once(machines)
    with TemporaryFolder() as root:
        store = Store(root / "results" / "pilot")
        # A seed of its own: the order of the blocks that count must not repeat that of the pilot.
        plan_ = grouped(
            compare_design.plan(sides, blocks=PILOT_BLOCKS, delta=delta),
            apart=dict.fromkeys(sides, apart) if apart else {},
        )
        plan_ = replace(plan_, on_machines=machines is not None)
        manifest = comparison_manifest(
            surroundings(root, machines.stored if machines else ()),
            plan_,
            name="pilot",
            seed=seed + 1_000_003,
            start_timeout_s=start_timeout_s,
            servers=servers,
        )
        pilot = ComparingStudy(store, store.open(manifest), root, {name: side.subject for name, side in sides.items()})
        pilot.on(machines).rehearsed = rehearsed
        try:
            pilot.run(write)
        except StudyInterruptedError:
            raise StudyInterruptedError("stopped during the pilot, whose results are not kept") from None
        return Piloted(
            trials=pilot.collect(),
            plan=plan_,
            times=GroupTimes.of(
                plan_,
                {place: value / at_once for place, value in store.seconds_of_groups(PILOT_BLOCKS).items()},
                beside_s=BESIDE_GROUP_S / at_once,
            ),
            slices_sd=noise_of_slices(store.folder, plan_.headline),
        )


def estimate(study: Study, write: Callable[[str], None], *, progress: Callable[[str], None]) -> None:
    """Say how many trials, how long, and what the headline can show at the noise of a pilot of its two sides.

    Where the blocks are too few for a verdict, that is all there is to say, and no pilot is measured. The pilot's
    trials go to `progress`.
    """
    plan, blocks, delta = study.plan, study.plan.blocks, study.plan.delta or DELTA
    write(study.summary())
    write("\n".join(["", *group_lines(plan)]))
    block_s = sum(group_s(plan, group) for group in plan.groups)
    if study.machines is not None:
        write(f"\n{shares_text(study.machines, blocks, block_s)}")
    pilot = study.manifest.pilot
    if no_verdict(blocks):
        return
    headline = plan.headline or PlannedHeadline()
    sides = {A: _side(study, headline.baseline), B: _side(study, headline.candidate)}
    write(
        f"\nheadline: {headline.title}\npilot of {PILOT_BLOCKS} blocks with both sides, which do not count as evidence:"
    )
    both = {headline.baseline, headline.candidate}
    apart = next((group.reason for group in plan.groups if not group.interleaved and both <= set(group.members)), "")
    found = piloted(
        sides,
        delta=delta,
        seed=study.seed,
        write=progress,
        rehearsed=study.rehearsed,
        apart=apart,
        machines=study.machines,
    )
    sd, degrees = found.noise
    block_s /= _at_once(study.machines)
    least = smallest_seen(sd, blocks, degrees, delta=delta)
    write(
        f"\nnoise of the ratio from block to block: {100 * sd:.1f}%, from {PILOT_BLOCKS} blocks; with {blocks} "
        f"blocks, an effect of {100 * least:.1f}% is detected in four out of five studies (smallest effect of "
        f"interest: {delta:.0%})"
    )
    if pilot and pilot.budget_s is not None:
        write(
            f"the first {pilot.blocks} blocks determine the counted time and the number of blocks for a budget of "
            f"{qty.rough_duration(pilot.budget_s)}"
        )
    write("\nblocks needed to detect an effect in four out of five studies, and the time they take:")
    write("\n".join(effect_lines(effect_table(sd, degrees, delta=delta, block_s=block_s), delta=delta)))


def estimate_comparison(
    sides: Mapping[str, Side],
    *,
    blocks: int | None,
    delta: float,
    seed: int,
    write: Callable[[str], None],
    progress: Callable[[str], None],
    start_timeout_s: float | None = None,
    exclusive: bool = False,
    budget_s: float | None = None,
    machines: BlockMachines | None = None,
) -> None:
    """Say which groups a comparison has, how long a block takes, and what its blocks can show, by a pilot.

    The parameters are those of :func:`.comparing.prepare`; nothing is stored. The pilot's trials go to `progress`.
    Raises DesignError, UsageError, MeasurementError.
    """
    fitted = pilot_of(blocks, budget_s)
    apart = EXCLUSIVE if exclusive else ""
    planned = compare_design.plan(sides, blocks=blocks or PILOT_BLOCKS, delta=delta)
    plan = grouped(planned, apart=dict.fromkeys(sides, apart) if apart else {})
    subjects = {name: side.subject for name, side in sides.items()}
    if machines is not None:
        require_carriable(planned, subjects)
        write(machines.text)
    require_listeners(subjects)
    servers = servers_of(plan, subjects)
    write("\n".join(configuration.title for configuration in plan.configurations))
    write("\n".join(group_lines(plan)))
    write(f"\npilot of {PILOT_BLOCKS} blocks, which do not count as evidence:")
    found = piloted(
        sides,
        delta=delta,
        seed=seed,
        write=progress,
        start_timeout_s=start_timeout_s,
        servers=servers,
        rehearsed=True,
        apart=apart,
        machines=machines,
    )
    sd, degrees = found.noise
    block_s = found.block_s
    write(f"\na block takes {qty.rough_duration(block_s * _at_once(machines))}")
    if machines is not None and blocks is not None:
        write(shares_text(machines, blocks, block_s * _at_once(machines)))
    if budget_s is not None:
        given = blocks if fitted and fitted.blocks_given else None
        fit = within_budget(found.trials, found.plan, found.times, budget_s, blocks=given, slices_sd=found.slices_sd)
        write(fit.reason)
    elif blocks is None:
        write(by_noise(found.trials, found.plan, block_s).reason)
    else:
        least = smallest_seen(sd, blocks, degrees, delta=delta)
        noise = f"the ratio varies by {100 * sd:.1f}% from block to block"
        seen = f"{blocks} blocks detect an effect of {100 * least:.1f}% in four out of five comparisons"
        write(f"{noise}: {no_verdict(blocks) or seen}")
    write("\nblocks needed to detect an effect in four out of five comparisons, and the time they take:")
    write("\n".join(effect_lines(effect_table(sd, degrees, delta=delta, block_s=block_s), delta=delta)))


def _at_once(machines: BlockMachines | None) -> int:
    """The blocks that are measured at the same time."""
    return 1 if machines is None else len(machines.stored)


def shares_text(machines: BlockMachines, blocks: int, block_s: float) -> str:
    """How many blocks each machine measures, and how long all of them take."""
    count = len(machines.stored)
    each = math.ceil(blocks / count)
    most = "" if blocks % count == 0 or count == 1 else "at most "
    number = "1 machine" if count == 1 else f"{count} machines"
    took = qty.rough_duration(each * block_s)
    return f"{number} with {most}{qty.count(each, 'block')}{'' if count == 1 else ' each'}: {took} for all of them"


def group_lines(plan: StudyPlan) -> list[str]:
    """The groups of a plan in lines: members, the hub first, the length of a pass, and memory."""
    lines = [f"{qty.count(len(plan.groups), 'group')} in each block, with the hub first:"]
    for number, group in enumerate(plan.groups):
        counted = [_counted(plan.configuration(name).config.load, group.counted_s) for name in group.members]
        words = [f"{' or '.join(dict.fromkeys(counted))} counted for each"]
        if group.interleaved and len(group.members) > 1:
            words += [] if group.pass_s is None else [f"a pass of {qty.duration(group.pass_s)}"]
        else:
            words.append(f"one after the other: {group.reason}" if len(group.members) > 1 else f"alone: {group.reason}")
        words += [] if group.memory_bytes is None else [f"{group.memory_bytes / 2**20:,.0f} MiB"]
        words.append(f"about {qty.rough_duration(group_s(plan, group))}")
        lines.append(f"  {number:02d}  {', '.join(group.members)}  ({'; '.join(words)})")
    return lines


def _counted(load: LoadConfig, least_s: float) -> str:
    """The counted time of a trial: `least_s` and until its calls are made, unless its load has a length of its own."""
    most_s = math.inf if load.duration_s is None else load.duration_s
    if load.requests is None:
        return qty.duration(most_s)
    if load.rate_rps is not None:
        own_s = load.requests / load.rate_rps
        return qty.duration(min(own_s if has_own_length(load) else max(own_s, least_s), most_s))
    if has_own_length(load):
        return f"the time of {qty.count(load.requests, 'call')}"
    return qty.duration(most_s) if most_s <= least_s else f"at least {qty.duration(least_s)}"


def _side(study: Study, name: str) -> Side:
    configuration = study.plan.configuration(name)
    return Side(label=configuration.title, config=configuration.config, subject=study.subjects.get(name, Subject()))
