"""From what was asked for to a configuration and a call, with the rules that hold between the options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from grpclab.config import Level, TrialConfig
from grpclab.errors import UsageError
from grpclab.link_model import loopback_target
from grpclab.load.arrivals import Step
from grpclab.load.calls import CallSpec, find_call, greeting
from grpclab.load.metadata import parse_metadata

OPEN_LOOP_S = 10.0
"""How long an open loop runs when neither a number of calls nor a duration is given."""


def load_plan(levels: Mapping[str, Level], rates: Sequence[Step] = ()) -> tuple[TrialConfig, tuple[str, ...]]:
    """The configuration that some levels and a rate or a schedule ask for, and what there is to say of it.

    Without a number of calls and a duration, a closed loop makes 500 calls and an open one runs for 10 s. Raises
    UsageError, one line.
    """
    levels, notes = dict(levels), []
    hold_s = next((step.hold_s for step in rates if step.hold_s is not None), None)
    if rates:
        levels["load.rate_rps"] = rates[0].rate_rps
    if hold_s is not None:
        if levels.get("load.duration_s") is not None:
            raise UsageError(f"--duration and the @{hold_s:g}s of --rate both say how long a rate is held: give one")
        levels["load.duration_s"] = hold_s
    bounded = levels.get("load.requests") is not None or levels.get("load.duration_s") is not None
    if levels.get("load.rate_rps") is not None:
        if not bounded:
            levels["load.duration_s"] = OPEN_LOOP_S
            each = "each rate" if len(rates) > 1 else "an open loop"
            notes.append(f"{each} runs for {OPEN_LOOP_S:g} s where neither --requests nor --duration is given")
        if levels.get("load.concurrency") is not None:
            notes.append("--concurrency has no part in an open loop; load.max_in_flight bounds the calls in flight")
    else:
        idle = next((name for name in ("arrival", "pacing") if f"load.{name}" in levels), None)
        if idle is not None:
            raise UsageError(f"--{idle} says how calls are sent at a rate, but there is none: add --rate")
    if levels.get("load.duration_s") is not None and levels.get("load.requests") is None:
        levels["load.requests"] = None  # a duration alone is a bound of its own
    return TrialConfig().replace(levels), tuple(notes)


def choose_call(
    target: str,
    config: TrialConfig,
    *,
    name: str | None = None,
    data: Any = None,
    metadata: Sequence[str] = (),
    proto: str | None = None,
) -> CallSpec:
    """The call that `name` means at the target, or our greeter's. `metadata` are ``key=value`` words, `data` is
    JSON as a text, or Python values.

    Raises UsageError or TargetError.
    """
    loopback_target(target)
    pairs = parse_metadata(metadata)
    if name is None:
        given = "data" if data is not None else "proto" if proto is not None else None
        if given is not None:
            raise UsageError(f"--{given} belongs to a call of your own: add --call package.Service/Method")
        return dataclasses.replace(greeting(config.load), metadata=pairs)
    defaults = TrialConfig().load
    for factor in ("method", "request_bytes"):
        if getattr(config.load, factor) != getattr(defaults, factor):
            raise UsageError(f"load.{factor} is for our own greeter: leave it out, or --call {name}")
    return find_call(target, name, data="{}" if data is None else data, metadata=pairs, proto=proto)


def pool_settings(connections: int) -> dict[str, Level]:
    """The factors of a client with this many connections."""
    if connections < 1:
        raise UsageError(f"--connections {connections} is not possible: give 1 or more")
    if connections == 1:
        return {"client.pooling": "shared"}
    return {"client.pooling": "pool", "client.connections": connections}
