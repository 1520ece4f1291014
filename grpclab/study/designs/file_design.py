"""The design of a study of one's own, which a TOML file describes (:mod:`.study_file`).

All configurations are compared with the baseline, the one of the headline first. In a full grid the baseline has the
first level of every factor.
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grpclab.analysis import fewest_blocks
from grpclab.analysis.study_plan import PlannedPoint, PlannedSweep, StudyPlan
from grpclab.errors import DesignError, UsageError, invalid
from grpclab.factors.channel_args import cannot_act
from grpclab.factors.config import TrialConfig, parse_settings, setting_word, setting_words
from grpclab.factors.levels import Level, format_level
from grpclab.load.core.shapes import replayed_file
from grpclab.quantities import number, share
from grpclab.servers.leave import RemoteLeave, require_address
from grpclab.servers.target import Target
from grpclab.study.designs import file_production, production_design
from grpclab.study.designs.design import PROFILED_BLOCKS, Configurations, comparison, headline
from grpclab.study.designs.file_tables import ScenarioTable
from grpclab.study.designs.file_targets import Workload, placed_beside, seen_from, target_of, workload_of
from grpclab.study.designs.grouping import EXCLUSIVE, grouped
from grpclab.study.designs.study_file import StudyFile, study_file
from grpclab.study.parameters import AUTO, NO_BUDGET
from grpclab.study.target import Subject
from grpclab.system.inputs import read_text

SCENARIO = "custom"
"""The scenario of a file that names none."""
LONGEST_NAME = 90
"""Of a configuration, which is part of a folder's name; a number may follow it."""
NAMED = "scenario"
"""The word of a headline that names its scenario."""


@dataclass(frozen=True, kw_only=True)
class FileDesign:
    """What a file asks for; `subjects` are the servers and calls by configuration, where they are not the greeter's.

    `note` says which configuration the headline is about, where the file does not. `blocks_given`: the file says how
    many blocks there are. `options` are those that were given beside the file. `budget_s` is the file's own, if none is
    given. `rate` is that of its open loops.
    """

    question: str
    seed: int
    plan: StudyPlan
    longest_s: float
    subjects: Mapping[str, Subject] = field(default_factory=dict)
    note: str = ""
    blocks_given: bool = False
    options: tuple[str, ...] = ()
    budget_s: float | None = None
    rate: str = ""
    at_rate: Callable[[str], FileDesign] | None = None
    """The same with open loops at a rate, if that is half the throughput of the headline's baseline."""


def read(
    path: Path, leave: RemoteLeave | None = None, *, exclusive: bool = False, budget: str = NO_BUDGET
) -> FileDesign:
    """The design in a file; `leave` to load a server on another machine. `exclusive` as the key under ``[target]``,
    `budget` as a study's parameter.

    Raises DesignError, one line that names the file and the key.
    """
    try:
        content = tomllib.loads(read_text("--file", path))
    except tomllib.TOMLDecodeError as error:
        raise DesignError(invalid("--file", path, f"TOML: {error}")) from None
    except UsageError as error:
        raise DesignError(str(error)) from None
    try:
        return design(content, Path(path).parent, leave, exclusive=exclusive, budget=budget)
    except UsageError as error:
        raise DesignError(f"{path}: {error}") from None


def design(
    content: Mapping[str, Any],
    folder: Path = Path(),  # a path is immutable
    leave: RemoteLeave | None = None,
    *,
    exclusive: bool = False,
    budget: str = NO_BUDGET,
) -> FileDesign:
    """The design that the values of a file describe; another package plans a study with it, too.

    `exclusive`: only one of its servers may be up at a time, as the key under ``[target]`` says it.
    What they name by a path lies beside `folder`. Raises UsageError.
    """
    file = study_file(content)
    target = target_of(file.target, folder)
    file = placed_beside(file, target, folder)
    if leave is not None:
        require_address(bool(target.address), "an address in [target]")
        called = file.call[0] if isinstance(file.call, tuple) else file.call
        target = leave.granted(target, called.method if called else "")
    if file.design:
        return _of_production(file, target, folder, exclusive=exclusive, budget=budget)
    workloads = [workload_of(file, target, one, folder) for one in file.scenario or (ScenarioTable(name=SCENARIO),)]
    for one in workloads:
        _refuse_idle(file, one)
        if one.subject:
            if leave is not None:
                for config in one.configs:
                    leave.check(one.subject.target, config)
            one.subject.check_arguments({one.title(config) or "the baseline": config for config in one.configs})
    chosen, candidate, note = _headline(file, workloads, target, folder)
    planned = Configurations()
    names: dict[tuple[str, TrialConfig], str] = {}
    for one in workloads:
        prefix = f"{one.name}-" if len(workloads) > 1 else ""
        for config in one.configs:
            slug = _slug(config.differences(one.start)) if config != one.start else "baseline"
            name = f"{prefix}{slug}"[:LONGEST_NAME]
            title = one.title(config) if config != one.start else f"the baseline{one.words}"
            names[one.name, config] = planned.add(_unused(name, planned), title, one.name, config, hosted=one.hosted)
    prefix = f"{chosen.name}-" if len(workloads) > 1 else ""
    again = planned.add(
        f"{prefix}baseline-again",
        f"the baseline{chosen.words} again (A/A)",
        chosen.name,
        chosen.start,
        hosted=chosen.hosted,
    )
    for one in workloads:
        _compare(planned, one, names, headline_of=candidate if one is chosen else None)
    baseline, shown = names[chosen.name, chosen.start], chosen.title(candidate)
    plan = replace(
        planned.plan(
            blocks=fewest_blocks() if file.blocks is None else file.blocks,
            delta=share("min_effect", file.min_effect),
        ),
        headline=headline(
            f"{shown} against the baseline",
            chosen.name,
            baseline,
            names[chosen.name, candidate],
            labels=("the baseline", shown),
        ),
        aa=comparison("the baseline against itself (A/A)", chosen.name, baseline, again),
        profiled=(baseline, names[chosen.name, candidate]) if file.profile else (),
        profiled_blocks=PROFILED_BLOCKS,
        sweeps=tuple(sweep for one in workloads for sweep in _sweeps(one, file, names)),
    )
    measured = {one.name: one.subject for one in workloads if one.subject}
    subjects = {name: measured[of] for (of, _), name in names.items() if of in measured}
    if chosen.subject:
        subjects[again] = chosen.subject
    plan = replace(plan, subjects={name: subject.stored() for name, subject in subjects.items()})
    apart = dict.fromkeys(plan.names, EXCLUSIVE) if exclusive or (file.target and file.target.exclusive) else {}
    return FileDesign(
        question=file.question or f"Which levels of {', '.join(file.factors)} make the service faster?",
        seed=file.seed,
        plan=grouped(plan, apart=apart),
        longest_s=max(one.longest_s for one in workloads),
        subjects=subjects,
        note=note,
        blocks_given=file.blocks is not None,
        options=("--exclusive",) if exclusive else (),
    )


def _of_production(file: StudyFile, target: Target, folder: Path, *, exclusive: bool, budget: str) -> FileDesign:
    """The design ``production`` on an application. Raises UsageError."""
    found = file_production.planned(file, target, folder, exclusive=exclusive, budget=budget)
    rate = found.parameters.rate

    def at(rate: str) -> FileDesign:
        return _of_production(replace(file, rate=rate), target, folder, exclusive=exclusive, budget=budget)

    return FileDesign(
        question=file.question or production_design.QUESTION,
        seed=file.seed,
        plan=found.plan,
        longest_s=production_design.LONG_S,
        subjects=dict.fromkeys(found.plan.names, found.subject),
        blocks_given=file.blocks is not None,
        options=("--exclusive",) if exclusive else (),
        budget_s=found.parameters.budget_s,
        rate=rate,
        at_rate=at if rate == AUTO else None,
    )


def _compare(
    planned: Configurations,
    workload: Workload,
    names: Mapping[tuple[str, TrialConfig], str],
    *,
    headline_of: TrialConfig | None,
) -> None:
    """Compare the configurations of a scenario with its baseline, each call of a mix, too; the headline is apart."""
    baseline, others = names[workload.name, workload.start], [one for one in workload.configs if one != workload.start]
    for config in others:
        name, title = names[workload.name, config], f"{workload.title(config)}, against the baseline{workload.words}"
        if config != headline_of:
            planned.compare(title, workload.name, baseline, name)
        if workload.subject:
            planned.compare_calls(title, workload.name, baseline, name, workload.subject.call_shares)


def _refuse_idle(file: StudyFile, workload: Workload) -> None:
    """Raise DesignError for a factor that can act in none of the configurations of a scenario."""
    for table, names in (("set", file.set), ("factors", file.factors)):
        for name in names:
            wanted = [levels for levels in workload.wanted if table == "set" or name in levels]
            configs = [workload.config_of(levels) for levels in wanted]
            configs += [workload.start] if table == "set" else []
            reasons = [cannot_act(config, hosted=workload.hosted).get(name) for config in configs]
            if all(reasons):
                raise DesignError(f"{table}: {name} has no effect: {reasons[0]}")


# ---- the headline ------------------------------------------------------------------------------------------------


def _headline(
    file: StudyFile, workloads: Sequence[Workload], target: Target, folder: Path
) -> tuple[Workload, TrialConfig, str]:
    """The scenario and the configuration that are compared with the baseline first, and a note on the choice."""
    titles = [one.title(config) for one in workloads for config in one.configs if config != one.start]
    if not titles:
        raise DesignError(_without_second_level(file, workloads[0].start))
    words, asked = file.headline, ""
    if words is not None:
        parts = setting_words(words, "headline")
        asked = next((part.partition("=")[2] for part in parts if part.startswith(f"{NAMED}=")), "")
        levels = parse_settings([part for part in parts if not part.startswith(f"{NAMED}=")])
    elif len(workloads) > 1:
        raise DesignError(f"headline is missing: expected one of the configurations ({'; '.join(titles)})")
    chosen = next((one for one in workloads if one.name == asked or (len(workloads) == 1 and not asked)), None)
    if chosen is None:
        expected = " or ".join(f"{NAMED}={one.name}" for one in workloads)
        raise DesignError(invalid("headline", words, f"{expected} in it"))
    if words is None:
        found = _obvious(file, chosen)
        if found is None:
            raise DesignError(f"headline is missing: expected one of the configurations ({'; '.join(titles)})")
        note = (
            f"headline: {chosen.title(found)} against the baseline; use headline = '...' to choose another "
            "configuration"
        )
        return chosen, found, note
    candidate = chosen.config_of(seen_from(levels, target, folder))
    if candidate == chosen.start or candidate not in chosen.configs:
        raise DesignError(invalid("headline", words, f"one of the configurations ({'; '.join(titles)})"))
    return chosen, candidate, ""


def _without_second_level(file: StudyFile, baseline: TrialConfig) -> str:
    """The text of an error about factors whose only level is the baseline's."""
    words = " ".join(setting_word(name, baseline.flat()[name]) for name in file.factors)
    return f"factors: {', '.join(file.factors)}: expected a second level; {words} is the baseline itself"


def _obvious(file: StudyFile, workload: Workload) -> TrialConfig | None:
    """The only configuration beside the baseline, or the end of a factor whose levels rise or fall: the first one's."""
    others = [config for config in workload.configs if config != workload.start]
    if len(others) == 1:
        return others[0]
    name, levels = next(iter(file.factors.items()))
    numbers = [number(level) for level in levels]
    steps = {math.copysign(1, after - before) for before, after in itertools.pairwise(numbers) if after != before}
    end = workload.config_of({name: levels[-1]})
    return end if len(steps) == 1 and not any(map(math.isnan, numbers)) and end != workload.start else None


# ---- parts of the plan -------------------------------------------------------------------------------------------


def _sweeps(
    workload: Workload, file: StudyFile, names: Mapping[tuple[str, TrialConfig], str]
) -> Iterator[PlannedSweep]:
    """One figure a factor, with the baseline's own level among its points; none of a full grid."""
    for factor, levels in file.factors.items() if file.grid == "one-at-a-time" else ():
        own = workload.start.flat()[factor]
        shown = levels if own in levels else [own, *levels]
        points = (
            PlannedPoint(
                label=format_level(level),
                configuration=names[workload.name, workload.config_of({factor: level})],
            )
            for level in shown
        )
        yield PlannedSweep(
            title=_axis(factor) + workload.words,
            factor=factor,
            scenario=workload.name,
            base=names[workload.name, workload.start],
            points=tuple(points),
        )


def _axis(factor: str) -> str:
    """The title of a factor's axis."""
    section, _, name = factor.partition(".")
    return {"arg": f"argument {name}", "env": f"variable {name}"}.get(section, name.replace("_", " "))


def _slug(levels: Mapping[str, Level]) -> str:
    words = "-".join(f"{name.partition('.')[2]}-{_short(name, level)}" for name, level in levels.items())
    return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-.")[:80] or "level"


def _short(name: str, level: Level) -> str:
    """A level in the name of a configuration: of a replay the file without its folder."""
    text, file = format_level(level).removeprefix("./"), replayed_file(level) if name == "load.arrival" else ""
    return text.replace(file, Path(file).name) if file else text


def _unused(name: str, planned: Configurations) -> str:
    """A name that no configuration has: levels that differ in blanks and signs alone have one slug."""
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(one for one in names if one not in planned.configurations)
