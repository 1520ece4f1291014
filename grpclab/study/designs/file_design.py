"""A study of one's own, described in a TOML file. Pure but for reading the file.

::

    question = "How many handler threads does our load need?"
    variant = "optimized"                 # what everything starts from; left out: all factors at their defaults
    headline = "server.threads=64"        # what is compared with the baseline, declared before the run

    [set]                                 # changes to that, for every configuration
    load.concurrency = 32

    [factors]                             # levels, one factor at a time around the baseline
    server.threads = [4, 16, 64]
    client.connections = [1, 4]

Further keys: `grid` (``one-at-a-time`` or ``full``), `blocks`, `seed`, `min_effect`, `profile`. In a full grid the
baseline has the first level of every factor. All other configurations are compared with the baseline as well.
"""

from __future__ import annotations

import datetime
import difflib
import itertools
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grpclab.analysis import fewest_blocks
from grpclab.analysis.study_plan import PlannedPoint, PlannedSweep, StudyPlan
from grpclab.errors import DesignError, FactorError, UsageError, invalid
from grpclab.factors.channel_args import cannot_act
from grpclab.factors.config import FACTORS, TrialConfig, parse_settings
from grpclab.factors.levels import Level, format_level
from grpclab.factors.variants import LOAD, VARIANTS
from grpclab.quantities import share
from grpclab.study.designs.design import PROFILED_BLOCKS, Configurations, comparison, headline
from grpclab.system.inputs import read_text

SCENARIO = "custom"
GRIDS = ("one-at-a-time", "full")
KINDS: dict[str, type] = {
    "question": str,
    "variant": str,
    "headline": str,
    "grid": str,
    "blocks": int,
    "seed": int,
    "min_effect": str,
    "profile": bool,
    "set": dict,
    "factors": dict,
}


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
        found = tomllib.loads(read_text("--file", path))
    except tomllib.TOMLDecodeError as error:
        raise DesignError(invalid("--file", path, f"TOML: {error}")) from None
    except UsageError as error:
        raise DesignError(str(error)) from None
    try:
        return design(found)
    except UsageError as error:
        raise DesignError(f"{path}: {error}") from None


def design(found: Mapping[str, Any]) -> FileDesign:
    """The design that the content of a file describes. Raises UsageError."""
    _check_keys(found)
    variant = found.get("variant")
    if variant is not None and variant not in VARIANTS:
        raise DesignError(invalid("variant", variant, f"one of {', '.join(VARIANTS)}"))
    start = (VARIANTS[variant] if variant else TrialConfig()).replace(LOAD)
    start = start.replace({name: _level(name, value) for name, value in _dotted("set", found.get("set", {}))})
    factors = {name: _levels(name, value) for name, value in _dotted("factors", found.get("factors", {}))}
    if not factors:
        raise DesignError("factors is missing: name a factor and its levels, as server.threads = [4, 16]")
    grid = found.get("grid", GRIDS[0])
    if grid not in GRIDS:
        raise DesignError(invalid("grid", grid, f"one of {', '.join(GRIDS)}"))
    blocks = found.get("blocks", fewest_blocks())
    if not fewest_blocks() <= blocks <= 1000:
        raise DesignError(invalid("blocks", blocks, f"{fewest_blocks()} to 1,000: a verdict needs {fewest_blocks()}"))
    seed = found.get("seed", 1)
    if seed < 0:
        raise DesignError(invalid("seed", seed, "0 or more"))
    if grid == "full":
        start = start.replace({name: levels[0] for name, levels in factors.items()})
        wanted: list[dict[str, Level]] = [
            dict(zip(factors, levels, strict=True)) for levels in itertools.product(*factors.values())
        ]
    else:
        wanted = [{name: level} for name, levels in factors.items() for level in levels]
    changed = dict(_dotted("set", found.get("set", {})))
    _refuse_idle("set", changed, [start, *(start.replace(levels) for levels in wanted)])
    for name in factors:
        _refuse_idle("factors", [name], [start.replace(levels) for levels in wanted if name in levels])
    plan = _plan(start, wanted, found, blocks)
    if grid == "one-at-a-time":
        plan = replace(plan, sweeps=_sweeps(start, factors, plan))
    question = found.get("question") or f"Which levels of {', '.join(factors)} make the service faster?"
    return FileDesign(question=question, seed=seed, plan=plan, longest_s=start.load.duration_s or 10.0)


def _refuse_idle(table: str, names: Iterable[str], configs: Sequence[TrialConfig]) -> None:
    """Raise DesignError for a factor that can act in none of the configurations."""
    for name in names:
        reasons = [cannot_act(config).get(name) for config in configs]
        if all(reasons):
            raise DesignError(f"{table}: {name} cannot act: {reasons[0]}")


def _plan(
    start: TrialConfig, wanted: Sequence[Mapping[str, Level]], found: Mapping[str, Any], blocks: int
) -> StudyPlan:
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
    asked = found.get("headline")
    if asked is None:
        raise DesignError(
            "headline is missing: say what is compared with the baseline, as headline = 'server.threads=64'"
        )
    candidate = by_config.get(start.replace(parse_settings(asked.split())))
    if candidate in (None, baseline):
        titles = [one.title for one in planned.configurations.values() if one.name not in (baseline, again)]
        raise DesignError(invalid("headline", asked, f"one of the configurations: {'; '.join(titles)}"))
    for name in by_config.values():
        if name not in (baseline, candidate):
            planned.compare(f"{planned.configurations[name].title}, against the baseline", SCENARIO, baseline, name)
    title = f"{asked} against the baseline"
    return replace(
        planned.plan(blocks=blocks, delta=share("min_effect", str(found.get("min_effect", "5%")))),
        headline=headline(title, SCENARIO, baseline, candidate, labels=("the baseline", asked)),
        aa=comparison("the baseline against itself (A/A)", SCENARIO, baseline, again),
        profiled=(baseline, candidate) if found.get("profile", True) else (),
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


def _check_keys(found: Mapping[str, Any]) -> None:
    for key, value in found.items():
        if key not in KINDS:
            near = difflib.get_close_matches(key, KINDS, n=1)
            raise DesignError(
                f"unknown key {key!r}: {f'did you mean {near[0]}?' if near else f'there are {chr(44).join(KINDS)}'}"
            )
        if key == "min_effect" and isinstance(value, float):
            continue  # 0.05 is as clear as "5%"
        if not isinstance(value, KINDS[key]) or (KINDS[key] is int and isinstance(value, bool)):
            kind = {str: "a text in quotes", int: "a whole number", bool: "true or false", dict: "a table"}[KINDS[key]]
            raise DesignError(invalid(key, value, kind))


def _dotted(table: str, found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """``server.threads`` and its value, however the tables are written. Raises FactorError for what is no factor."""
    pairs: list[tuple[str, Any]] = []
    for key, value in found.items():
        pairs += [(f"{key}.{name}", one) for name, one in value.items()] if isinstance(value, dict) else [(key, value)]
    for name, _ in pairs:
        if name not in FACTORS:
            near = difflib.get_close_matches(name, FACTORS, n=1)
            hint = f"did you mean {near[0]}?" if near else "`grpclab factors` lists them"
            raise FactorError(f"{table}: unknown factor {name!r}: {hint}")
    return pairs


def _level(name: str, value: object) -> Level:
    if isinstance(value, bool):
        value = str(value).lower()
    return FACTORS[name].parse(value.isoformat() if isinstance(value, datetime.time) else str(value))


def _levels(name: str, value: object) -> list[Level]:
    if not isinstance(value, list) or not value:
        raise FactorError(f"factors: {invalid(name, value, 'a list of levels in brackets, as [1, 8]')}")
    return list(dict.fromkeys(_level(name, one) for one in value))
