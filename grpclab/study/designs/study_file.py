"""The TOML file of a study of one's own as a value: its keys and the levels of its factors, checked. Pure.

::

    question = "How many handler threads does our load need?"
    variant = "optimized"                 # what everything starts from; left out: all factors at their defaults
    headline = "server.threads=64"        # what is compared with the baseline, declared before the run

    [set]                                 # changes to that, for every configuration
    load.concurrency = 32

    [factors]                             # levels, one factor at a time around the baseline
    server.threads = [4, 16, 64]
    client.connections = [1, 4]

``schemas/study-file.json`` is the JSON Schema of such a file, by which editors complete it.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from grpclab.analysis import fewest_blocks
from grpclab.errors import DesignError, FactorError, invalid
from grpclab.factors.config import FACTORS
from grpclab.factors.levels import Level
from grpclab.factors.variants import VARIANTS

GRIDS = ("one-at-a-time", "full")
MOST_BLOCKS = 1000

_WORDS = {str: "a text in quotes", int: "a whole number", bool: "true or false", dict: "a table"}


def _key(kind: type, default: Any, meaning: str) -> Any:
    """A key of the file: the type of its value in TOML, what it is where it is left out, and what it means."""
    return field(default=default, metadata={"kind": kind, "meaning": meaning})


def _table(meaning: str) -> Any:
    """A key that holds a table, which is empty where it is left out."""
    return field(default_factory=dict, metadata={"kind": dict, "meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class StudyFile:
    """What a file says; `factors` are the levels by the dotted name of the factor."""

    question: str = _key(str, "", "The question that the study answers.")
    variant: str | None = _key(
        str, None, "The variant that every configuration starts from; without one all factors are at their defaults."
    )
    headline: str | None = _key(
        str, None, "The configuration that is compared with the baseline: server.threads=64, or several such words."
    )
    grid: str = _key(
        str,
        GRIDS[0],
        "Whether the factors change one at a time around the baseline, or every combination of their levels is"
        " measured; the baseline of a full grid has the first level of every factor.",
    )
    blocks: int | None = _key(int, None, "How often each configuration is measured; the fewest that give a verdict.")
    seed: int = _key(int, 1, "The seed of the order of the trials.")
    min_effect: str = _key(str, "5%", "The smallest effect of interest: 5%, or 0.05.")
    profile: bool = _key(bool, True, "Whether baseline and headline are profiled after their windows.")
    set: Mapping[str, Level] = _table("Factors of every configuration that differ from the variant.")
    factors: Mapping[str, tuple[Level, ...]] = _table("The levels of each factor that is varied.")


KINDS: dict[str, type] = {key.name: key.metadata["kind"] for key in fields(StudyFile)}
"""The type of each key's value in TOML."""


def study_file(content: Mapping[str, Any]) -> StudyFile:
    """The file that holds these values of TOML. Raises UsageError, one line that names the key."""
    for key, value in content.items():
        _check_key(key, value)
    file = StudyFile(
        **{
            **content,
            "min_effect": str(content.get("min_effect", StudyFile.min_effect)),
            "set": {name: _level(name, value) for name, value in _dotted("set", content)},
            "factors": {name: _levels(name, value) for name, value in _dotted("factors", content)},
        }
    )
    if file.variant is not None and file.variant not in VARIANTS:
        raise DesignError(invalid("variant", file.variant, f"one of {', '.join(VARIANTS)}"))
    if not file.factors:
        raise DesignError("factors is missing: name a factor and its levels, as server.threads = [4, 16]")
    if file.grid not in GRIDS:
        raise DesignError(invalid("grid", file.grid, f"one of {', '.join(GRIDS)}"))
    fewest = fewest_blocks()
    if file.blocks is not None and not fewest <= file.blocks <= MOST_BLOCKS:
        raise DesignError(invalid("blocks", file.blocks, f"{fewest} to {MOST_BLOCKS:,}: a verdict needs {fewest}"))
    if file.seed < 0:
        raise DesignError(invalid("seed", file.seed, "0 or more"))
    return file


def _check_key(key: str, value: Any) -> None:
    if key not in KINDS:
        near = difflib.get_close_matches(key, KINDS, n=1)
        raise DesignError(
            f"unknown key {key!r}: {f'did you mean {near[0]}?' if near else f'there are {chr(44).join(KINDS)}'}"
        )
    if key == "min_effect" and isinstance(value, float):
        return  # 0.05 is as clear as "5%"
    if not isinstance(value, KINDS[key]) or (KINDS[key] is int and isinstance(value, bool)):
        raise DesignError(invalid(key, value, _WORDS[KINDS[key]]))


def _dotted(table: str, content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """``server.threads`` and its value, however the tables are written. Raises FactorError for what is no factor."""
    pairs: list[tuple[str, Any]] = []
    for key, value in content.get(table, {}).items():
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


def _levels(name: str, value: object) -> tuple[Level, ...]:
    if not isinstance(value, list) or not value:
        raise FactorError(f"factors: {invalid(name, value, 'a list of levels in brackets, as [1, 8]')}")
    return tuple(dict.fromkeys(_level(name, one) for one in value))
