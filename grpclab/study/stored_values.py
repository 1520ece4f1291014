"""What manifest.json, verdict.json and result.json may hold: their types and bounds, checked once when they are read.

A file that an earlier version wrote lacks what is newer, and one that was sent by somebody may hold anything. So
nothing but what is read without asking has to be there, null stands for anything that is unknown, and keys that are
not known here may hold what they like.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from grpclab.analysis.inference.distribution import check_histogram
from grpclab.errors import DesignError, GrpclabError

MOST_BLOCKS = 1000
MOST_CONFIGURATIONS = 2000
MOST_TRIALS = 20_000
MOST_COMPARISONS = 2000
MOST_ENTRIES = 10_000
MOST_TEXT = 100_000
MOST_NUMBER = 2**63

CONFIGURATION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""A configuration's name is part of a folder's name: a plan that was sent to us must not choose folders freely."""

ANY = object
"""Any JSON value."""
LEVEL = (str, int, float, bool)
"""A level of a factor: no list and no object."""

Kind = Any
"""A type; ``[kind]``, a list; ``{str: kind}``, an object whose values are of one kind; ``{"key": kind}``, one with
these keys."""

_TEXTS = {str: str}
_COMPARISON = dict.fromkeys(("title", "scenario", "metric", "baseline", "candidate", "family"), str)
_POINTS = [{"configuration": str, "title": str}]
_SWEEP = {"title": str, "factor": str, "scenario": str, "base": str, "points": _POINTS}
_PLAN: Kind = {
    "blocks": int,
    "delta": float,
    "metric": str,
    "configurations": [
        {"name": str, "title": str, "scenario": str, "settings": {str: LEVEL}, "without_effect": _TEXTS},
    ],
    "headline": {**_COMPARISON, "baseline_label": str, "candidate_label": str, "at": str},
    "comparisons": [_COMPARISON],
    "parts": [{**_COMPARISON, "side": str, "phrase": str}],
    "aa": _COMPARISON,
    "curves": [{"title": str, "scenario": str, "factor": str, "series": {str: [str]}}],
    "engines": {
        "scenario": str,
        "base": str,
        "other": str,
        "rows": [{"variant": str, "configurations": _TEXTS}],
    },
    "windows": [{**_SWEEP, "bytes_per_request": float}],
    "ladder": [dict.fromkeys(("name", "title", "configuration", "baseline", "why", "not_testable"), str)],
    "leave_one_out": [dict.fromkeys(("name", "title", "scenario", "without", "top"), str)],
    "sweeps": [_SWEEP],
    "waiting": {"scenario": str, "configurations": [str]},
    "idle": {"configurations": [str], "pause_s": float, "idle_timeout_s": float, "limit_s": float},
    "profiled": [str],
    "profiled_blocks": int,
    "mapping": [dict.fromkeys(("tonic", "factor", "grpcio", "note"), str)],
    "left_out": [str],
    "subjects": {
        str: {
            **dict.fromkeys(("command", "call", "proto"), str),
            "metadata": [str],
            "proto_path": [str],
        }
    },
    "replication": {str: ANY},
}
_MANIFEST: Kind = {
    **dict.fromkeys(("study", "design", "question", "created_at", "again"), str),
    "seed": int,
    **{key: {str: ANY} for key in ("parameters", "identity", "machine", "versions", "git", "link_check", "repeats")},
    "cores": {"server": [int], "generator": [int], "shared": bool},
    "plan": _PLAN,
    "servers": {str: {str: ANY}},
}
_JUDGED: Kind = {
    **_COMPARISON,
    **dict.fromkeys(("ratio", "ci_low", "ci_high", "p_value", "p_adjusted", "delta"), float),
    "blocks": int,
    "verdict": str,
    "limited_by": [str],
    "note": str,
}
_NOTICE: Kind = dict.fromkeys(("kind", "severity", "text", "remedy"), str)
_VERDICT: Kind = {
    "sentence": str,
    "headline": _JUDGED,
    "comparisons": [_JUDGED],
    "aa": _JUDGED,
    "warnings": [str],
    "notices": [_NOTICE],
    "limits": [{"configuration": str, "resource": str, "evidence": str, "certain": bool}],
}
_RESULT: Kind = {
    **dict.fromkeys(("study", "trial", "scenario", "configuration", "started_at", "invalid_reason", "limited_by"), str),
    **dict.fromkeys(("block", "order"), int),
    "valid": bool,
    "limits": [str],
    "notices": [_NOTICE],
    "factors": {str: LEVEL},
    "measured_on": {str: ANY},
    "without_effect": _TEXTS,
    "advertised": {str: {str: ANY}},
    "metrics": {str: float},
    "errors_by_status": {str: int},
    "failures": [{"status": str, "text": str, "calls": int}],
    "connections_by_process": [int],
    "goaways": {str: int},
    "histogram": str,
    "threads_per_call": {str: {str: ANY}},
    "syscalls_per_call": {str: float},
    **dict.fromkeys(("profile_note", "perf_note", "strace_note"), str),
}
_IN_EVERY_RESULT = (
    *("study", "trial", "scenario", "configuration", "block", "order", "started_at", "valid", "invalid_reason"),
    *("limited_by", "factors", "metrics", "errors_by_status", "connections_by_process", "without_effect"),
)
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Raise ValueError for a manifest that holds something of another type or out of bounds."""
    _check(manifest, _MANIFEST, "")
    plan = manifest.get("plan") or {}
    if len(plan.get("comparisons") or []) > MOST_COMPARISONS:
        raise ValueError(f"plans {len(plan['comparisons']):,} comparisons: expected at most {MOST_COMPARISONS:,}")


def check_plan(manifest: Mapping[str, Any]) -> None:
    """Raise ValueError for a manifest whose trials cannot be listed: its plan must say what is measured how often."""
    check_manifest(manifest)
    plan = manifest.get("plan") or {}
    for where, found in (("plan", manifest), *((f"plan.{key}", plan) for key in ("configurations", "blocks"))):
        if found.get(where.rpartition(".")[2]) is None:
            raise ValueError(f"{where} is missing")
    _require_within("seed", manifest.get("seed"), 0, MOST_NUMBER)
    _require_within("plan.blocks", plan["blocks"], 1, MOST_BLOCKS)
    names = [row.get("name") for row in plan["configurations"]]
    for name in names:
        if not isinstance(name, str) or not CONFIGURATION_NAME.fullmatch(name):
            raise ValueError(f"{_shown(name)} is no name of a configuration")
    if len(set(names)) < len(names):
        raise ValueError("two configurations have one name")
    _require_within("plan.configurations", len(names), 1, MOST_CONFIGURATIONS)
    _require_within("trials", len(names) * plan["blocks"], 1, MOST_TRIALS)


def check_verdict(verdict: Mapping[str, Any]) -> None:
    """Raise ValueError for a verdict that holds something of another type."""
    _check(verdict, _VERDICT, "")


def check_result(result: Mapping[str, Any], trial: str) -> None:
    """Raise ValueError for a result.json that is not that of the trial, or lacks what every one holds."""
    for key in _IN_EVERY_RESULT:
        if result.get(key) is None:
            raise ValueError(f"{key} is missing")
    _check(result, _RESULT, "")
    if text := result.get("histogram"):
        try:
            check_histogram(text)
        except ValueError as error:
            raise ValueError(f"its histogram {error}") from None
    if result["trial"] != trial:
        raise ValueError(f"is of the trial {_shown(result['trial'])}")


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
        raise DesignError(f"{source} cannot be evaluated: its parts do not fit together (-v shows where)") from error


def _check(value: Any, kind: Kind, where: str) -> None:
    """Raise ValueError if a value is not of its kind; null is of every kind."""
    if value is None or kind is ANY:
        return
    if isinstance(kind, list):
        _require(isinstance(value, list), where, value, "a list")
        _require(len(value) <= MOST_ENTRIES, where, value, f"at most {MOST_ENTRIES:,} entries")
        for at, item in enumerate(value):
            _require(item is not None, f"{where}[{at}]", item, "no null in a list")
            _check(item, kind[0], f"{where}[{at}]")
    elif isinstance(kind, dict):
        _require(isinstance(value, Mapping), where, value, "an object")
        _require(len(value) <= MOST_ENTRIES, where, value, f"at most {MOST_ENTRIES:,} keys")
        for key in value if str in kind else kind.keys() & value.keys():
            _check(value[key], kind[str] if str in kind else kind[key], f"{where}.{key}" if where else str(key))
    elif kind is str:
        _require(isinstance(value, str), where, value, _WORDS[str])
        _require(len(value) <= MOST_TEXT, where, value, f"a text of at most {MOST_TEXT:,} letters")
    elif kind is LEVEL:
        _require(isinstance(value, kind), where, value, "a level")
        _check(value, str if isinstance(value, str) else bool if isinstance(value, bool) else float, where)
    elif kind is bool:
        _require(isinstance(value, bool), where, value, _WORDS[bool])
    else:
        number = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        _require(number and abs(value) <= MOST_NUMBER, where, value, _WORDS[kind])


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
