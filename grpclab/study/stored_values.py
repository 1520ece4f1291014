"""What a study stored, read into the values of :mod:`grpclab.study.model` and a :class:`.Judgement`.

Types and bounds are checked on the way: a file that was sent by somebody may hold anything. Nothing but what is read
without asking has to be there, null stands for anything that is unknown, and keys that are not known here may hold what
they like.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from grpclab.analysis.inference.distribution import check_histogram
from grpclab.analysis.judgement import Judgement
from grpclab.analysis.study_plan import StudyPlan
from grpclab.errors import DesignError, GrpclabError
from grpclab.factors.levels import Level
from grpclab.study.documents import SCHEMA_VERSION
from grpclab.study.model import Manifest, StoredResult
from grpclab.system.json_fields import ALWAYS
from grpclab.text.printable import printable

MOST_BLOCKS = 1000
MOST_CONFIGURATIONS = 2000
MOST_TRIALS = 20_000
MOST_COMPARISONS = 2000
MOST_COUNTED_S = 3600
MOST_ENTRIES = 10_000
MOST_TEXT = 100_000
MOST_NUMBER = 2**63

CONFIGURATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A configuration's name is part of a folder's name: a plan that was sent to us must not choose folders freely."""

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
_LEVEL = (str, int, float, bool)

T = TypeVar("T")


def read_manifest(document: Mapping[str, Any]) -> Manifest:
    """The manifest of a document. Raises ValueError for one that holds something of another type or out of bounds."""
    manifest = read(Manifest, document)
    comparisons = len(manifest.plan.comparisons)
    if comparisons > MOST_COMPARISONS:
        raise ValueError(f"plans {comparisons:,} comparisons: expected at most {MOST_COMPARISONS:,}")
    return manifest


def read_planned(document: Mapping[str, Any]) -> Manifest:
    """The manifest of a document whose trials can be listed: its plan says what is measured how often.

    Raises ValueError for any other.
    """
    manifest = read_manifest(document)
    plan = manifest.plan
    if document.get("plan") is None:
        raise ValueError("plan is missing")
    for name in ("configurations", "blocks"):
        if document["plan"].get(name) is None:
            raise ValueError(f"plan.{name} is missing")
    _require_within("seed", manifest.seed, 0, MOST_NUMBER)
    _require_within("plan.blocks", plan.blocks, 1, MOST_BLOCKS)
    names = plan.names
    for name, row in zip(names, document["plan"]["configurations"], strict=True):
        if not CONFIGURATION_NAME.fullmatch(name):
            raise ValueError(f"{_shown(row.get('name'))} is not a valid name of a configuration")
    if len(set(names)) < len(names):
        raise ValueError("two configurations have the same name")
    _require_within("plan.configurations", len(names), 1, MOST_CONFIGURATIONS)
    _require_within("trials", len(names) * plan.blocks, 1, MOST_TRIALS)
    _require_groups(plan)
    if manifest.pilot is not None:
        _require_within("pilot.blocks", manifest.pilot.blocks, 1, MOST_BLOCKS)
    return manifest


def _require_groups(plan: StudyPlan) -> None:
    """Raise ValueError for groups whose members are not those of the plan."""
    known = set(plan.names)
    for at, group in enumerate(plan.groups):
        members = set(group.members)
        if not members <= known or len(members) < len(group.members) or group.hub not in members:
            raise ValueError(f"plan.groups[{at}]: expected configurations of the plan, each once and including the hub")
        if not 0 < group.counted_s <= MOST_COUNTED_S:
            raise ValueError(f"plan.groups[{at}].counted_s={group.counted_s:g}: expected up to {MOST_COUNTED_S:,} s")
    if plan.groups and (apart := known - {name for group in plan.groups for name in group.members}):
        raise ValueError(f"plan.groups: {sorted(apart)[0]} is in no group")
    _require_within("trials", sum(len(group.members) for group in plan.groups) * plan.blocks, 0, MOST_TRIALS)


def read_measurable(document: Mapping[str, Any], source: object) -> Manifest:
    """The manifest of a document whose study is to be measured once more. Raises DesignError that names its source."""
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DesignError(f"{source} has schema version {version}; this grpclab reads version {SCHEMA_VERSION}")
    try:
        return read_planned(document)
    except ValueError as error:
        raise DesignError(f"{source} does not contain a usable plan: {printable(str(error))}") from None


def read_verdict(document: Mapping[str, Any]) -> Judgement:
    """The verdict of a document. Raises ValueError for one that holds something of another type."""
    return read(Judgement, document)


def read_result(document: Mapping[str, Any], trial: str) -> StoredResult:
    """The result of a document. Raises ValueError if it is not that of the trial, or lacks what every one holds."""
    result = read(StoredResult, document)
    if result.histogram:
        try:
            check_histogram(result.histogram)
        except ValueError as error:
            raise ValueError(f"its histogram {error}") from None
    if result.trial != trial:
        raise ValueError(f"belongs to trial {_shown(result.trial)}")
    return result


@contextlib.contextmanager
def evaluating(source: object) -> Iterator[None]:
    """While what a study holds is evaluated: anything that fails on its values becomes a DesignError that names it.

    The checks above are of types and bounds; a plan may still refer to what is not there, or contradict itself.
    """
    try:
        yield
    except GrpclabError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise DesignError(f"{source} cannot be evaluated: its parts are inconsistent (-v shows where)") from error


def read(kind: type[T], document: Mapping[str, Any]) -> T:
    """The value of a class of :mod:`grpclab.study.model` that a JSON object holds. Raises ValueError."""
    for name, field in kind.__dataclass_fields__.items():  # type: ignore[attr-defined]
        if field.default is MISSING and field.default_factory is MISSING and document.get(name) is None:
            raise ValueError(f"{name} is missing")
    value: T = _read(document, kind, "")
    return value


def written(value: Any) -> Any:
    """The JSON of a value of the model, or of a part of one: the opposite of :func:`read`.

    What is at its default is left out, unless the field is one that every document holds (`always`).
    """
    if is_dataclass(value) and not isinstance(value, type):
        parts = {one.name: getattr(value, one.name) for one in fields(value) if _is_written(value, one)}
        return {name: written(part) for name, part in parts.items()}
    if isinstance(value, Mapping):
        return {key: written(part) for key, part in value.items()}
    return [written(part) for part in value] if isinstance(value, list | tuple) else value


def _is_written(value: Any, one: Field[Any]) -> bool:
    default = one.default_factory() if one.default_factory is not MISSING else one.default
    return bool(one.metadata.get(ALWAYS)) or bool(getattr(value, one.name) != default)


@functools.cache
def fields_of(kind: type) -> dict[str, Any]:
    """The fields of a class of the model with their types."""
    return get_type_hints(kind)


def _read(value: Any, kind: Any, where: str) -> Any:
    """A value of JSON as one of that kind. Raises ValueError if it is none; null is of every kind."""
    if get_origin(kind) is UnionType and kind != Level:
        (kind,) = (one for one in get_args(kind) if one is not NoneType)
    if value is None or kind is Any:
        return value
    if get_origin(kind) is tuple:
        _require(isinstance(value, list), where, value, "a list")
        _require(len(value) <= MOST_ENTRIES, where, value, f"at most {MOST_ENTRIES:,} entries")
        for at, item in enumerate(value):
            _require(item is not None, f"{where}[{at}]", item, "no null in a list")
        return tuple(_read(item, get_args(kind)[0], f"{where}[{at}]") for at, item in enumerate(value))
    if get_origin(kind) is Mapping or is_dataclass(kind):
        _require(isinstance(value, Mapping), where, value, "an object")
        _require(len(value) <= MOST_ENTRIES, where, value, f"at most {MOST_ENTRIES:,} keys")
        kinds = fields_of(kind) if isinstance(kind, type) else dict.fromkeys(value, get_args(kind)[1])
        parts = {
            key: _read(value[key], kinds[key], f"{where}.{key}" if where else str(key)) for key in kinds if key in value
        }
        return kind(**{k: v for k, v in parts.items() if v is not None}) if isinstance(kind, type) else parts
    if kind == Level:
        _require(isinstance(value, _LEVEL), where, value, "a level")
        kind = str if isinstance(value, str) else bool if isinstance(value, bool) else float
    if get_origin(kind) is Literal:
        kind = str  # of the words that this version knows; another one may know more
    if kind is str:
        _require(isinstance(value, str), where, value, _WORDS[str])
        _require(len(value) <= MOST_TEXT, where, value, f"a string of at most {MOST_TEXT:,} characters")
    elif kind is bool:
        _require(isinstance(value, bool), where, value, _WORDS[bool])
    else:
        number = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        _require(number and abs(value) <= MOST_NUMBER, where, value, _WORDS[kind])
    return value


def _require(holds: bool, where: str, value: Any, expected: str) -> None:
    if not holds:
        raise ValueError(f"{where}={_shown(value)}: expected {expected}")


def _require_within(where: str, value: Any, least: int, most: int) -> None:
    number = isinstance(value, int) and not isinstance(value, bool)
    _require(number and least <= value <= most, where, value, f"a whole number, {least:,} to {most:,}")


def _shown(value: Any) -> str:
    """A value in an error, short whatever it is."""
    if isinstance(value, (list, Mapping)):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value):,}"
    return ascii(value) if len(str(value)) <= 60 else f"{str(value)[:57]!a}..."
