"""The options of a load of several calls: a mix out of a configuration, or a recording."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from grpclab.errors import UsageError, invalid
from grpclab.load.calls import call_options

OF_ONE_CALL = ("data", "data_file", "data_format", "data_order", "data_repeat", "check")
"""Options of one call's requests and answers: a call of a mix has them in its table."""


def is_recorded(given: Mapping[str, Any]) -> bool:
    """Return whether the requests are a recording of calls, which has methods of its own."""
    file, data = given.get("data_file"), given.get("data")
    reference = f"{call_options.MARK}{file}" if file else data
    return call_options.is_recorded(reference, given.get("data_format") or "")


def called(given: Mapping[str, Any]) -> str:
    """Return the method that is called, or what stands for several; "" for our own greeter's."""
    if mix := given.get("mix"):
        return str(mix[0].method)
    return str(given.get("call") or ("those of the recording" if is_recorded(given) else ""))


def check_several(given: Mapping[str, Any], levels: Collection[str], parts: Mapping[str, Any]) -> bool:
    """Return whether several calls are made, checked as :func:`grpclab.load.plan.check_call` does. Raises UsageError.

    `parts` are the options of a call that were given, None for the others.
    """
    from grpclab.load import plan

    mix = given.get("mix")
    if not mix and not is_recorded(given):
        return False
    if mix and (idle := next((part.replace("_", "-") for part in OF_ONE_CALL if parts.get(part) is not None), None)):
        raise UsageError(f"--{idle} belongs to one call, and the file has a mix: write {idle} into its tables")
    shared = {name: part for name, part in parts.items() if name not in (*OF_ONE_CALL, "ignore_fields")}
    plan.check_call(called(given), levels, **shared)
    return True


def replay_speed(word: str | None) -> float | None:
    """The speed of a replay; None where none was given. Raises UsageError."""
    if word is None:
        return None
    try:
        speed = float(word)
    except ValueError:
        speed = 0.0
    if not 0 < speed < math.inf:
        raise UsageError(invalid("--speed", word, "a number above 0, e.g. 4"))
    return speed
