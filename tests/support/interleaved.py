"""Slices that nobody measured: two sides on a machine whose speed wanders, which both of them meet, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from grpclab.analysis.study_plan import PlannedGroup
from grpclab.report.finished import FinishedStudy
from grpclab.study.stored_groups import MeasuredGroup, MeasuredLengths, MeasuredMember

RAMP_S, COUNTED_S, SLICE_S = 0.025, 0.08, 0.14


def slices(
    levels: dict[str, float],
    *,
    blocks: int = 6,
    passes: int = 14,
    shared: float = 0.05,
    own: float = 0.01,
    between: float = 0.01,
    seed: int = 1,
) -> pd.DataFrame:
    """One row a slice of each side in each pass; `levels` are their true calls a second.

    Standard deviations of logarithms: `shared` of the machine's speed, `own` of each slice, `between` of the processes
    of a block.
    """
    random = np.random.default_rng(seed)
    rows = []
    for block in range(blocks):
        fresh = {name: random.normal(0, between) for name in levels}
        speed = 0.0
        for number in range(passes):
            speed = 0.6 * speed + random.normal(0, 0.8 * shared)
            for place, at in enumerate(random.permutation(len(levels))):
                name = list(levels)[int(at)]
                log = fresh[name] + speed + random.normal(0, own)
                rows.append(
                    {
                        "block": block,
                        "group": 0,
                        "pass": number,
                        "member": name,
                        "started_at": 2.0 + (number * len(levels) + place) * SLICE_S,
                        "ramp_s": RAMP_S,
                        "counted_s": COUNTED_S,
                        "tail_s": 0.02,
                        "drain_s": 0.01,
                        "calls": 500,
                        "counted": 320,
                        "throughput_rps": levels[name] * float(np.exp(log)),
                        "latency_p50_s": 0.02,
                        "valid": True,
                        "reason": "",
                    }
                )
    return pd.DataFrame(rows)


def measured(planned: Sequence[PlannedGroup], *, blocks: int = 6, passes: int = 14) -> tuple[MeasuredGroup, ...]:
    """The groups of a plan as if all went as planned."""
    return tuple(
        MeasuredGroup(
            block=block,
            group=number,
            hub=group.hub,
            members=tuple(
                MeasuredMember(configuration=name, valid=True, pass_count=passes if group.interleaved else 0)
                for name in group.members
            ),
            interleaved=group.interleaved,
            lengths=MeasuredLengths(ramp_s=RAMP_S, counted_s=COUNTED_S + 0.01 * number) if group.interleaved else None,
            passes=(group.members,) * passes if group.interleaved else (),
            seconds=9.0 + 0.3 * block,
        )
        for block in range(blocks)
        for number, group in enumerate(planned)
    )


def interleaved(study: FinishedStudy, *, groups: Sequence[PlannedGroup], **noise: float) -> FinishedStudy:
    """The study as if measured in these groups, and the sides of its headline in slices with this noise."""
    manifest = replace(study.manifest, plan=replace(study.plan, groups=tuple(groups)))
    ratio = study.headline.ratio if study.headline.computed else 1.1
    frame = slices({study.baseline: 1000.0, study.candidate: 1000.0 * ratio}, blocks=study.plan.blocks, **noise)  # type: ignore[arg-type]
    return replace(study, manifest=manifest, groups=measured(groups, blocks=study.plan.blocks), slices=frame)
