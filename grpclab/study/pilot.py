"""A pilot: a few blocks of two sides that do not count. Their noise says what a study would take, and what it can show.

``grpclab compare`` plans its blocks by one, ``grpclab study --plan`` says what the headline of a study can show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from grpclab import analysis
from grpclab.analysis import Comparison, blocks_needed, fewest_blocks, smallest_effect, spread_of
from grpclab.analysis.study_plan import PlannedHeadline, StoredProgram
from grpclab.study.comparing_study import ComparingStudy, comparison_manifest
from grpclab.study.designs import compare_design
from grpclab.study.designs.compare_design import SCENARIO
from grpclab.study.designs.design import DELTA, no_verdict
from grpclab.study.manifests import surroundings
from grpclab.study.runner import Study, StudyInterruptedError
from grpclab.study.sides import A, B, Side
from grpclab.study.store import Store
from grpclab.study.target import Subject
from grpclab.system.temporary import TemporaryFolder

PILOT_BLOCKS = 4
MOST_BLOCKS = 30
"""No more are planned by a pilot, however noisy the machine."""


def piloted(
    sides: Mapping[str, Side],
    *,
    metric: str,
    delta: float,
    seed: int,
    write: Callable[[str], None],
    start_timeout_s: float | None = None,
    servers: Mapping[str, StoredProgram] | None = None,
    rehearsed: bool = False,
) -> Comparison:
    """The two sides in a few blocks that do not count: nothing of them is kept. `servers`: see comparison_manifest.

    `rehearsed`: their applications have been started once already.
    """
    with TemporaryFolder() as root:
        store = Store(root / "results" / "pilot")
        # A seed of its own: the order of the blocks that count must not repeat that of the pilot.
        plan_ = compare_design.plan(sides, blocks=PILOT_BLOCKS, delta=delta)
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
        trials = pilot.collect()
    return analysis.compare(trials, scenario=SCENARIO, metric=metric, baseline=A, candidate=B, delta=delta, exact=True)


def planned_blocks(pilot: Comparison) -> tuple[int, str]:
    """The number of blocks that decides it in four of five cases at the pilot's ratio and noise, and why."""
    needed = blocks_needed(
        ratio=pilot.ratio,
        ci_low=pilot.ci_low,
        ci_high=pilot.ci_high,
        blocks=pilot.blocks,
        delta=pilot.delta,
    )
    fewest = fewest_blocks()
    if needed is None or needed > MOST_BLOCKS:
        about = "more than 1,000" if needed is None else f"about {needed:,}"
        return MOST_BLOCKS, f"at this noise {about} blocks would be needed; {MOST_BLOCKS} are planned, the most"
    blocks = max(fewest, needed)
    return blocks, f"{blocks} blocks are planned: enough in four of five cases at the pilot's ratio and noise"


def estimate(study: Study, write: Callable[[str], None], *, progress: Callable[[str], None]) -> None:
    """Say how many trials, how long, and what the headline can show at the noise of a pilot of its two sides.

    Where the blocks are too few for a verdict, that is all there is to say, and no pilot is measured. The pilot's
    trials go to `progress`.
    """
    blocks, delta = study.plan.blocks, study.plan.delta or DELTA
    write(study.summary())
    if no_verdict(blocks):
        return
    headline = study.plan.headline or PlannedHeadline()
    sides = {A: _side(study, headline.baseline), B: _side(study, headline.candidate)}
    write(f"\nheadline: {headline.title}; pilot, {PILOT_BLOCKS} blocks that do not count:")
    pilot = piloted(
        sides, metric=headline.metric, delta=delta, seed=study.seed, write=progress, rehearsed=study.rehearsed
    )
    spread = spread_of(ci_low=pilot.ci_low, ci_high=pilot.ci_high, blocks=pilot.blocks)
    least = smallest_effect(spread, blocks)
    write(
        f"\nblock noise of the ratio: {100 * spread:.1f} %, by {pilot.blocks} blocks; with {blocks} blocks an effect of"
        f" {100 * least:.1f} % is found in four of five studies ({delta:.0%} is the least of interest)"
    )
    if least > delta:
        write("what is smaller may stay inconclusive: more blocks, or a quieter machine, would show it")


def _side(study: Study, name: str) -> Side:
    configuration = study.plan.configuration(name)
    return Side(label=configuration.title, config=configuration.config, subject=study.subjects.get(name, Subject()))
