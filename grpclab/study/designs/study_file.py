"""The TOML file of a study of one's own as a value: its keys and the levels of its factors, checked. Pure.

::

    question = "Would more threads help our till?"
    headline = "server.threads=64"        # what is compared with the baseline, declared before the run

    [target]                              # what is measured; or variant = "optimized" above: the built-in greeter
    app = "shop.server:register"

    [call]
    method = "shop.v1.Till/Pay"
    data = {id = 7}

    [set]                                 # factors of every configuration
    load.concurrency = 32

    [factors]                             # levels, one factor at a time around the baseline
    server.threads = [4, 16, 64]
    arg.cache = ["on", "off"]

``schemas/study-file.json`` is the JSON Schema of such a file, by which editors complete it.
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from grpclab.analysis import fewest_blocks
from grpclab.errors import DesignError, FactorError, invalid
from grpclab.factors.config import FACTORS
from grpclab.factors.levels import Level
from grpclab.factors.own import has_own_section, is_own, own_factor
from grpclab.factors.variants import VARIANTS
from grpclab.study.designs.file_tables import (
    KINDS_OF_TARGETS,
    Calls,
    ScenarioTable,
    TargetTable,
    entry,
    normal,
    read_calls,
    read_table,
    table,
    text,
)

GRIDS = ("one-at-a-time", "full")
MOST_BLOCKS = 1000
PRODUCTION = "production"
NOT_OF_PRODUCTION = ("factors", "headline", "grid", "variant", "scenario", "min_effect")
"""The keys that a file with that design cannot have."""
SCENARIO_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,29}")


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """What a file says; `factors` are the levels by the dotted name of the factor."""

    question: str = text("The question that the study answers.")
    design: str = text(
        'What is measured, if it is not [factors]: "production" measures what each feature of a production service '
        "costs the application in [target]."
    )
    rate: str = entry(
        str,
        int,
        float,
        default="auto",
        meaning='With design = "production": the calls/s for the p99 latency; "auto" is half the throughput, and '
        '"none" leaves it out.',
    )
    variant: str | None = entry(
        str,
        default=None,
        meaning="The variant that every configuration starts from; without it, all factors have their defaults.",
    )
    target: TargetTable | None = entry(
        dict, default=None, meaning="The system under test, if it is not the built-in greeter."
    )
    call: Calls | None = entry(
        dict, list, default=None, meaning="The call, if it is not the built-in greeter's, or a mix of several calls."
    )
    scenario: tuple[ScenarioTable, ...] = entry(
        list,
        default=(),
        meaning="Workloads; configurations are compared within each of them, and the headline names one.",
    )
    headline: str | None = entry(
        str,
        default=None,
        meaning="The configuration to compare with the baseline, e.g. server.threads=64, or several such settings. By "
        "default, it has the last level of the first factor, if the levels rise or fall steadily. With several "
        "scenarios, it must also name one with scenario=NAME.",
    )
    grid: str = entry(
        str,
        default=GRIDS[0],
        meaning="Whether factors change one at a time around the baseline, or all combinations of their levels are "
        "measured. The baseline of a full grid has the first level of every factor.",
    )
    blocks: int | None = entry(
        int,
        default=None,
        meaning="How many times each configuration is measured; by default, the minimum for a verdict.",
    )
    seed: int = entry(int, default=1, meaning="The seed for the order of the trials.")
    min_effect: str = entry(str, float, default="5%", meaning="The smallest effect of interest: 5%, or 0.05.")
    profile: bool = entry(
        bool, default=True, meaning="Whether to profile the baseline and the headline after their windows."
    )
    set: Mapping[str, Level] = table("Factors that differ from the variant in every configuration.")
    factors: Mapping[str, tuple[Level, ...]] = table("The levels of each factor that is varied.")


KINDS: dict[str, tuple[type, ...]] = {one.name: one.metadata["kinds"] for one in fields(StudyFile)}
"""The types of each key's value in TOML."""


def study_file(content: Mapping[str, Any]) -> StudyFile:
    """The file that holds these values of TOML. Raises UsageError, one line that names the key."""
    content = normal(content, KINDS)
    target = read_table(TargetTable, content["target"], "target") if "target" in content else None
    file = StudyFile(
        **{
            **content,
            "target": target,
            "call": read_calls(content["call"], "call") if "call" in content else None,
            "scenario": tuple(_scenarios(content.get("scenario", []))),
            "min_effect": str(content.get("min_effect", StudyFile.min_effect)),
            "rate": str(content.get("rate", StudyFile.rate)),
            "set": levels_of("set", content.get("set", {})),
            "factors": {name: _levels(name, value) for name, value in _dotted("factors", content.get("factors", {}))},
        }
    )
    if target is not None:
        given = [f"{name}={getattr(target, name)}" for name in KINDS_OF_TARGETS if getattr(target, name)]
        if file.variant is not None:
            raise DesignError("variant cannot be combined with [target], because both specify what is measured")
        if len(given) != 1:
            expected = f"exactly one of {', '.join(KINDS_OF_TARGETS)}"
            raise DesignError(invalid("target", " and ".join(given) or "{}", expected))
        if target.variant:
            file = replace(file, variant=target.variant)
    if file.variant is not None and file.variant not in VARIANTS:
        raise DesignError(invalid("variant", file.variant, f"one of {', '.join(VARIANTS)}"))
    if file.design:
        _check_design(file, content)
    elif "rate" in content:
        raise DesignError('rate works only with design = "production": set load.rate_rps under [set] or [factors]')
    elif not file.factors:
        raise DesignError("factors is missing: expected a factor and its levels, e.g. server.threads = [4, 16]")
    if file.grid not in GRIDS:
        raise DesignError(invalid("grid", file.grid, f"one of {', '.join(GRIDS)}"))
    fewest = fewest_blocks()
    if file.blocks is not None and not fewest <= file.blocks <= MOST_BLOCKS:
        raise DesignError(
            invalid("blocks", file.blocks, f"{fewest} to {MOST_BLOCKS:,}, since a verdict needs {fewest} blocks")
        )
    if file.seed < 0:
        raise DesignError(invalid("seed", file.seed, "0 or more"))
    return file


def _check_design(file: StudyFile, content: Mapping[str, Any]) -> None:
    """Raise DesignError for a design that there is not, or that has its own values for other keys of the file."""
    if file.design != PRODUCTION:
        raise DesignError(invalid("design", file.design, PRODUCTION))
    for name in NOT_OF_PRODUCTION:
        if name in content:
            raise DesignError(f"{name} cannot be combined with design = {PRODUCTION!r}, which sets it")
    if file.target is None or not file.target.app:
        raise DesignError(invalid("design", file.design, "an application (app under [target])"))


def _scenarios(tables: list[Any]) -> Iterator[ScenarioTable]:
    """The workloads, each with a name of its own. Raises UsageError."""
    names: set[str] = set()
    for number, content in enumerate(tables, 1):
        where = f"scenario[{number}]"
        if not isinstance(content, dict):
            raise DesignError(invalid("scenario", content, "tables, written [[scenario]] with two brackets"))
        found = read_table(ScenarioTable, content, where)
        if not SCENARIO_NAME.fullmatch(found.name):
            raise DesignError(invalid(f"{where}.name", found.name, "at most 30 letters, digits, '_' and '-'"))
        if found.name in names:
            raise DesignError(invalid(f"{where}.name", found.name, "a unique name; this one is already used"))
        names.add(found.name)
        read_calls(found.call, f"{where}.call")
        yield replace(found, set=levels_of(f"{where}.set", found.set))


def levels_of(where: str, content: Mapping[str, Any]) -> dict[str, Level]:
    """The levels in a table of factors. Raises UsageError."""
    return {name: _level(name, value) for name, value in _dotted(where, content)}


def _dotted(where: str, content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """``server.threads`` and its value, however the tables are written. Raises FactorError for what is no factor."""
    pairs: list[tuple[str, Any]] = []
    for key, value in content.items():
        pairs += [(f"{key}.{name}", one) for name, one in value.items()] if isinstance(value, dict) else [(key, value)]
    named = [(name if has_own_section(name) else name.replace("-", "_"), value) for name, value in pairs]
    for name, _ in named:
        if has_own_section(name):
            try:
                own_factor(name)
            except FactorError as error:
                raise FactorError(f"{where}: {error}") from None
        elif name not in FACTORS:
            near = difflib.get_close_matches(name, FACTORS, n=1)
            hint = f"did you mean {near[0]}?" if near else "`grpclab factors` lists them"
            raise FactorError(f"{where}: unknown factor {name!r}: {hint}")
    return named


def _level(name: str, value: object) -> Level:
    if is_own(name):
        if not isinstance(value, str | int | float):
            raise FactorError(invalid(name, value, "a string, a number, true or false"))
        return own_factor(name).normal(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return FACTORS[name].parse(value.isoformat() if isinstance(value, datetime.time) else str(value))


def _levels(name: str, value: object) -> tuple[Level, ...]:
    if not isinstance(value, list) or not value:
        raise FactorError(f"factors: {invalid(name, value, 'a list of levels in brackets, e.g. [1, 8]')}")
    return tuple(dict.fromkeys(_level(name, one) for one in value))
