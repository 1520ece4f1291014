"""The options of a load of several calls: a mix, of several --call or out of a configuration, or a recording."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grpclab.cli.request_options import request_data
from grpclab.errors import UsageError, invalid
from grpclab.load.calls import call_options

if TYPE_CHECKING:
    from grpclab.load.calls.mixed_call import MixedCall

OF_ONE_CALL = ("data", "data_file", "data_format", "data_order", "data_repeat", "check", "ignore_fields")
"""Options of one call's requests and answers: a call of a mix has them in its table."""


def gathered(given: Mapping[str, Any], *, in_a_file: bool = False) -> Mapping[str, Any]:
    """The options, with a mix in place of several --call and their --data. Raises UsageError.

    Defaults of a single call are left out of a mix. In a file a list of requests may stand beside a single call, too.
    """
    calls, data = given.get("call"), given.get("data")
    if isinstance(calls, list):
        inherited = given.get("inherited", {})
        idle = {name for name in OF_ONE_CALL if name in inherited} if "call" not in inherited else set()
        requests = None if "data" in idle else data
        kept = {name: value for name, value in given.items() if name not in {"call", "data", *idle}}
        return kept | {"mix": _mix(calls, requests)}
    if isinstance(data, list) and not in_a_file:
        raise UsageError(f"--data is given {len(data)} times: expected one --data, or one for each --call")
    if isinstance(calls, str) and "=" in calls:
        raise UsageError(invalid("--call", calls, "no weight, since there is only one --call"))
    return given


def _mix(calls: Sequence[str], data: Any) -> tuple[MixedCall, ...]:
    """The calls as they take turns; `data` is a request for each of them, or one for all. Raises UsageError."""
    from grpclab.load.calls.mixed_call import MixedCall, named

    each = data if isinstance(data, list) else [data]
    if len(each) not in (1, len(calls)):
        expected = "expected one --data for all calls, or one for each call in the same order"
        raise UsageError(f"--data is given {len(each)} times for {len(calls)} --call: {expected}")
    requests = [request_data({"data": one}) for one in each]
    requests *= len(calls) // len(requests)
    made = []
    for word, request in zip(calls, requests, strict=True):
        method, weighted, weight = word.partition("=")
        made.append(MixedCall(method=method, weight=_weight(word, weight) if weighted else 1.0, data=request))
    return named(made)


def _weight(word: str, text: str) -> float:
    weight = _above_zero(text)
    if weight is None:
        raise UsageError(invalid("--call", word, "METHOD or METHOD=WEIGHT, with a weight above 0"))
    return weight


def _above_zero(text: str) -> float | None:
    """The number above 0 that the text is; None where it is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def is_recorded(given: Mapping[str, Any]) -> bool:
    """Return whether the requests are a recording of calls, which has methods of its own."""
    file, data = given.get("data_file"), given.get("data")
    reference = f"{call_options.MARK}{file}" if file else data
    return call_options.is_recorded(reference, given.get("data_format") or "")


def called(given: Mapping[str, Any]) -> str:
    """Return the method that is called, or what stands for several; "" for our own greeter's."""
    if mix := given.get("mix"):
        return str(mix[0].method)
    call = given.get("call")
    if isinstance(call, list):
        return str(call[0]).partition("=")[0]
    return str(call or ("those of the recording" if is_recorded(given) else ""))


def check_several(given: Mapping[str, Any], levels: Collection[str], parts: Mapping[str, Any]) -> bool:
    """Return whether several calls are made, checked as :func:`grpclab.load.plan.check_call` does. Raises UsageError.

    `parts` are the options of a call that were given, None for the others.
    """
    from grpclab.load import plan

    mix = given.get("mix")
    if not mix and not is_recorded(given):
        return False
    if mix and (idle := next((part.replace("_", "-") for part in OF_ONE_CALL if parts.get(part) is not None), None)):
        raise UsageError(
            f"--{idle} applies to a single call, but several calls are given; in a configuration file, set {idle} in "
            "the [[call]] table of each call it applies to"
        )
    shared = {name: part for name, part in parts.items() if name not in OF_ONE_CALL}
    plan.check_call(called(given), levels, **shared)
    return True


def replay_speed(word: str | None) -> float | None:
    """The speed of a replay; None where none was given. Raises UsageError."""
    speed = None if word is None else _above_zero(word)
    if word is not None and speed is None:
        raise UsageError(invalid("--speed", word, "a number above 0, e.g. 4"))
    return speed
