"""The rungs of a plan, and the ladder from its top: optimized without one rung at a time.

What a rung gives may depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from grpclab.analysis.study_plan import PlannedOmission, PlannedRung
from grpclab.factors.config import TrialConfig
from grpclab.factors.levels import Level
from grpclab.factors.variants import BASIC, LADDER, OPTIMIZED, Rung


def without(name: str) -> TrialConfig:
    """`optimized` with the factors that a kept rung changes back at what they were below it."""
    below: dict[str, Level] = BASIC.flat()
    for rung in LADDER:
        if rung.name == name:
            return OPTIMIZED.replace({factor: below[factor] for factor in rung.changes})
        if rung.kept:
            below |= rung.changes
    raise KeyError(name)


def rung_of(rung: Rung, configuration: str, baseline: str, not_testable: str = "") -> PlannedRung:
    """A rung of the ladder as the plan holds it, with the configuration that has it and the one below."""
    return PlannedRung(
        name=rung.name,
        title=rung.title,
        configuration=configuration,
        baseline=baseline,
        kept=rung.kept,
        why=rung.why,
        not_testable=not_testable,
    )


def entries(
    ladder: Sequence[PlannedRung],
    optimized: str,
    *,
    scenario: str,
    configuration: Callable[[str, str, TrialConfig], str],
) -> tuple[PlannedOmission, ...]:
    """An entry of the plan for each kept rung that was climbed.

    `configuration` gives the name under which the study holds a configuration, with a name and a title to add it by.
    """
    omissions = []
    for rung in ladder[1:]:
        if not rung.kept or rung.not_testable:
            continue
        config = without(rung.name)
        name = configuration(f"without-{rung.name}", f"optimized without {rung.title}", config)
        if name != optimized:
            omissions.append(
                PlannedOmission(name=rung.name, title=rung.title, scenario=scenario, without=name, top=optimized)
            )
    return tuple(omissions)
