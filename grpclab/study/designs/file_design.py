"""The design of a study of one's own, which a TOML file describes (:mod:`.study_file`). Pure but for reading the file.

All configurations are compared with the baseline, the one of the headline first. In a full grid the baseline has the
first level of every factor.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grpclab.analysis import fewest_blocks
from grpclab.analysis.study_plan import PlannedPoint, PlannedSweep, StudyPlan
from grpclab.errors import DesignError, UsageError, invalid
from grpclab.factors.channel_args import cannot_act
from grpclab.factors.config import TrialConfig, settings_of
from grpclab.factors.levels import Level, format_level
from grpclab.factors.variants import LOAD, VARIANTS
from grpclab.quantities import share
from grpclab.study.designs.design import PROFILED_BLOCKS, Configurations, comparison, headline
from grpclab.study.designs.study_file import StudyFile, study_file
from grpclab.system.inputs import read_text

SCENARIO = "custom"


@dataclass(frozen=True, kw_only=True)
class FileDesign:
    """What a file asks for."""

    question: str
    seed: int
    plan: StudyPlan
    longest_s: float


def read(path: Path) -> FileDesign:
    """The design in a file. Raises DesignError, one line that names the file and the key."""
    try:
        content = tomllib.loads(read_text("--file", path))
    except tomllib.TOMLDecodeError as error:
        raise DesignError(invalid("--file", path, f"TOML: {error}")) from None
    except UsageError as error:
        raise DesignError(str(error)) from None
    try:
        return design(content)
    except UsageError as error:
        raise DesignError(f"{path}: {error}") from None


def design(content: Mapping[str, Any]) -> FileDesign:
    """The design that the values of a file describe; another package plans a study with it, too. Raises UsageError."""
    return _design(study_file(content))


def _design(file: StudyFile) -> FileDesign:
    start = (VARIANTS[file.variant] if file.variant else TrialConfig()).replace(LOAD).replace(file.set)
    if file.grid == "full":
        start = start.replace({name: levels[0] for name, levels in file.factors.items()})
        wanted: list[dict[str, Level]] = [
            dict(zip(file.factors, levels, strict=True)) for levels in itertools.product(*file.factors.values())
        ]
    else:
        wanted = [{name: level} for name, levels in file.factors.items() for level in levels]
    _refuse_idle("set", file.set, [start, *(start.replace(levels) for levels in wanted)])
    for name in file.factors:
        _refuse_idle("factors", [name], [start.replace(levels) for levels in wanted if name in levels])
    plan = _plan(start, wanted, file)
    if file.grid == "one-at-a-time":
        plan = replace(plan, sweeps=_sweeps(start, file.factors, plan))
    question = file.question or f"Which levels of {', '.join(file.factors)} make the service faster?"
    return FileDesign(question=question, seed=file.seed, plan=plan, longest_s=start.load.duration_s or 10.0)


def _refuse_idle(table: str, names: Iterable[str], configs: Sequence[TrialConfig]) -> None:
    """Raise DesignError for a factor that can act in none of the configurations."""
    for name in names:
        reasons = [cannot_act(config).get(name) for config in configs]
        if all(reasons):
            raise DesignError(f"{table}: {name} cannot act: {reasons[0]}")


def _plan(start: TrialConfig, wanted: Sequence[Mapping[str, Level]], file: StudyFile) -> StudyPlan:
    planned = Configurations()
    baseline = planned.add("baseline", "the baseline", SCENARIO, start)
    by_config = {start: baseline}
    for levels in wanted:
        config = start.replace(levels)
        if config not in by_config:
            changed = config.differences(start)
            title = " ".join(f"{name}={format_level(level)}" for name, level in changed.items())
            by_config[config] = planned.add(_slug(changed), title, SCENARIO, config)
    again = planned.add("baseline-again", "the baseline once more (A/A)", SCENARIO, start)
    words = file.headline
    if words is None:
        raise DesignError(
            "headline is missing: say what is compared with the baseline, as headline = 'server.threads=64'"
        )
    candidate = by_config.get(start.replace(settings_of(words)))
    if candidate in (None, baseline):
        titles = [one.title for one in planned.configurations.values() if one.name not in (baseline, again)]
        raise DesignError(invalid("headline", words, f"one of the configurations: {'; '.join(titles)}"))
    for name in by_config.values():
        if name not in (baseline, candidate):
            planned.compare(f"{planned.configurations[name].title}, against the baseline", SCENARIO, baseline, name)
    title = f"{words} against the baseline"
    return replace(
        planned.plan(
            blocks=fewest_blocks() if file.blocks is None else file.blocks,
            delta=share("min_effect", file.min_effect),
        ),
        headline=headline(title, SCENARIO, baseline, candidate, labels=("the baseline", words)),
        aa=comparison("the baseline against itself (A/A)", SCENARIO, baseline, again),
        profiled=(baseline, candidate) if file.profile else (),
        profiled_blocks=PROFILED_BLOCKS,
    )


def _sweeps(start: TrialConfig, factors: Mapping[str, Sequence[Level]], plan: StudyPlan) -> tuple[PlannedSweep, ...]:
    """One figure a factor, with the baseline's own level among its points."""
    names = {one.config: one.name for one in reversed(plan.configurations)}
    sweeps = []
    for factor, levels in factors.items():
        own = start.flat()[factor]
        shown = levels if own in levels else [own, *levels]
        points = (
            PlannedPoint(label=format_level(level), configuration=names[start.replace({factor: level})])
            for level in shown
        )
        title = factor.partition(".")[2].replace("_", " ")
        sweeps.append(
            PlannedSweep(title=title, factor=factor, scenario=SCENARIO, base="baseline", points=tuple(points))
        )
    return tuple(sweeps)


def _slug(levels: Mapping[str, Level]) -> str:
    words = "-".join(f"{name.partition('.')[2]}-{format_level(level)}" for name, level in levels.items())
    return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-")[:80]
