"""The configuration and the call of a load test out of its options, with the rules that hold between them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from grpclab.errors import UsageError, invalid
from grpclab.factors.config import LoadConfig, TrialConfig
from grpclab.factors.levels import Level, format_level
from grpclab.factors.registries import ARRIVALS
from grpclab.load.calls.call_options import IN_TURN, DataOptions
from grpclab.load.calls.metadata import parse_metadata
from grpclab.load.calls.method import CallSpec, find_call, greeting
from grpclab.load.calls.mixed_call import MixedCall
from grpclab.load.calls.templates import TemplateValues
from grpclab.load.calls.varying_metadata import VaryingMetadata
from grpclab.load.core.arrivals import ScheduledRate, parse_rates, schedule_note
from grpclab.load.core.bounds import split
from grpclab.load.core.call_order import PIECE
from grpclab.load.core.shapes import calls_within, complete
from grpclab.load.core.stream_plan import check_streams
from grpclab.load.mix import mix_of
from grpclab.load.plan_rules import give_rate, how_to_plan_more, no_effect, refuse_server_factors, seed_has_no_effect
from grpclab.load.reachability import await_listener
from grpclab.load.replay import replayed
from grpclab.load.slo import Objective, calls_for, check_enough, with_implied
from grpclab.metrics import PERCENTILES, calls_needed
from grpclab.system.addresses import host_port
from grpclab.system.allowance import SharedAllowance
from grpclab.system.transport import PLAINTEXT, Security

DEFAULT_CALLS = TrialConfig().load.requests or 0
OPEN_LOOP_S = 10.0
"""The duration of an open loop when neither a number of calls nor a duration is given."""
MOST_PLANNED = 1_000_000_000
"""The most calls of one window of an open loop: their schedule is drawn before it."""
OF_A_RATE = ("load.arrival", "load.pacing", "load.max_in_flight")
"""Factors of an open loop only: who sets one has forgotten the rate."""


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """A load before it is sent: its configuration, the rates of a schedule, and remarks on it.

    `objectives` are the thresholds that it has to keep; `without_effect` has the factors that were given and cannot
    act, each with the reason.
    """

    config: TrialConfig
    rates: tuple[ScheduledRate, ...] = ()
    objectives: tuple[Objective, ...] = ()
    notes: tuple[str, ...] = ()
    without_effect: Mapping[str, str] = field(default_factory=dict)

    @property
    def calls(self) -> int | None:
        """The most calls that a window can have, of a schedule the shortest one; None where only time bounds it."""
        load = self.config.load
        counts = [] if load.requests is None else [load.requests]
        if load.duration_s is not None and load.rate_rps is not None:
            rates = [step.rate_rps for step in self.rates] or [load.rate_rps]
            if ARRIVALS.resolve(load.arrival).varies:
                counts += [calls_within(rate_rps, load.arrival, load.duration_s) for rate_rps in rates]
            else:
                counts += [int(rate_rps * load.duration_s) for rate_rps in rates]
        return min(counts, default=None)

    @property
    def more(self) -> str:
        """Return the change of an option that gives a window of more calls."""
        return how_to_plan_more(self.config, self.rates)

    @property
    def too_few_calls(self) -> str:
        """Return a sentence if no window will have a p99, with the remedy; nothing where one may have it."""
        needed = calls_needed(PERCENTILES["p99"])
        if self.calls is None or self.calls >= needed:
            return ""
        return f"p99 needs {needed:,} calls, but {self.calls:,} are planned: {self.more}"


def planned(
    levels: Mapping[str, Level],
    rate: str | None = None,
    *,
    seeded: bool = False,
    objectives: Sequence[Objective] = (),
    speed: float | None = None,
) -> LoadPlan:
    """Return the load for some levels and a rate or a schedule. It has as many calls as its `objectives` need, unless
    the levels set their number; `seeded` is true where a seed was given, `speed` is that of a replay.

    Raises UsageError, one line.
    """
    enough = calls_for(objectives)
    if rate is None and enough > DEFAULT_CALLS and not {"load.requests", "load.duration_s"} & set(levels):
        levels = {**levels, "load.requests": enough}
    rates = () if rate is None else parse_rates(rate)
    config, notes = load_plan(levels, rates, speed)
    if rate is not None and (note := schedule_note(rate)):
        notes = (note, *notes)
    idle = no_effect(config, levels) | seed_has_no_effect(config, given=seeded)
    plan = LoadPlan(
        config=config, rates=tuple(rates), objectives=with_implied(objectives), notes=notes, without_effect=idle
    )
    check_enough(objectives, plan.calls, plan.more)
    return plan


def load_plan(
    levels: Mapping[str, Level], rates: Sequence[ScheduledRate] = (), speed: float | None = None
) -> tuple[TrialConfig, tuple[str, ...]]:
    """Return the configuration for some levels and a rate or a schedule, or the speed of a replay, with remarks on it.

    Without a number of calls and a duration, a closed loop makes 500 calls and an open one runs for 10 s. Raises
    UsageError, one line.
    """
    refuse_server_factors(levels)
    levels, notes = dict(levels), []
    if rates:
        give_rate(levels, rates)
    if "load.arrival" in levels or speed is not None:
        notes += complete(levels, speed)
    bounded = levels.get("load.requests") is not None or levels.get("load.duration_s") is not None
    if levels.get("load.rate_rps") is not None:
        if not bounded:
            levels["load.duration_s"] = OPEN_LOOP_S
            each = "each rate" if len(rates) > 1 else "an open loop"
            notes.append(f"{each} runs for {OPEN_LOOP_S:g} s, since neither --requests nor --duration is given")
    else:
        shape = ARRIVALS.resolve(str(levels.get("load.arrival", "constant")))
        if shape.callers is not None and not bounded:
            levels["load.duration_s"] = shape.length_s
            notes.append(f"the load lasts {shape.length_s:g} s, as long as the concurrency schedule")
        idle = next((one for one in OF_A_RATE if one in levels and not (shape.callers and one == "load.arrival")), None)
        if idle is not None:
            raise UsageError(f"{idle}={format_level(levels[idle])} applies only to an open loop: add --rate")
    if levels.get("load.duration_s") is not None and levels.get("load.requests") is None:
        levels["load.requests"] = None  # a duration alone is a bound of its own
    config = TrialConfig().replace(levels)
    _check_length(config.load, rates)
    if config.load.workers:  # else as many as fit
        split(config)
    return config, tuple(notes)


def _check_length(load: LoadConfig, rates: Sequence[ScheduledRate]) -> None:
    """Raise UsageError for a window of more calls than can be planned in a few seconds."""
    rate_rps = max([step.rate_rps for step in rates] or [load.rate_rps or 0.0])
    if load.requests is None and load.duration_s is not None and rate_rps * load.duration_s > MOST_PLANNED:
        expected = (
            f"at most {MOST_PLANNED:,} calls in a window, which are {MOST_PLANNED / rate_rps:,.6g} s at this rate"
        )
        raise UsageError(invalid("load.duration_s", f"{load.duration_s:g}", expected))


def check_call(name: str | None, levels: Collection[str], **parts: object) -> None:
    """Raise UsageError where the parts of a call do not go together.

    `levels` are the factors that were set, `parts` the options of a call: ``data``, ``proto``, ``proto_path``.
    """
    absent = (type(None), list, tuple)
    options = [f"--{part.replace('_', '-')}" for part, value in parts.items() if not isinstance(value, absent) or value]
    if name is None and options:
        raise UsageError(f"{options[0]} applies only to your own calls: add --call package.Service/Method")
    for factor in ("load.method", "load.request_bytes"):
        if name is not None and factor in levels:
            raise UsageError(f"{factor} applies only to grpclab's own greeter: remove it, or remove --call {name}")
    if "--proto-path" in options and not {"--proto", "--protoset"} & set(options):
        raise UsageError("--proto-path applies only to a .proto file: add --proto FILE")


@dataclass(frozen=True, kw_only=True)
class CallRequest:
    """The call that a user names; without a name, our greeter's.

    `data` is JSON as a text, or Python values; `metadata` are ``key=value`` words; the schema is in the file `proto`,
    whose imports lie below the folders `proto_path`, or is what the server told of itself when it was started, the
    `descriptors`, or comes from its reflection. `data` may hold many requests, as `options` say.
    """

    name: str | None = None
    data: Any = None
    options: DataOptions = field(default_factory=DataOptions)
    check: str = ""
    metadata: Sequence[str] = ()
    proto: str | Path | None = None
    proto_path: Sequence[str | Path] = ()
    descriptors: tuple[bytes, ...] = ()
    server: Hashable = None
    """What stands for the server in a study, whose reflection is asked once; None: it is asked for each call spec."""
    mix: tuple[MixedCall, ...] = ()
    """Several calls that take turns, instead of this one; they share its metadata and its schema."""
    share: float = 1.0
    """The share of this call in a mix."""

    @property
    def title(self) -> str:
        """The names of the methods; "" for our greeter's."""
        file = f"the calls of {str(self.data)[1:]}" if self.is_recorded else ""
        return ", ".join(one.method for one in self.mix) or self.name or file

    @property
    def is_recorded(self) -> bool:
        """Whether it is a recording, which has methods of its own."""
        return self.options.is_recorded(self.data)

    def of(self, one: MixedCall, share: float = 1.0) -> CallRequest:
        """Return the request of one call of the mix."""
        return dataclasses.replace(
            self,
            name=one.method,
            data=one.data,
            options=one.options(self.options.seed),
            check=one.check,
            metadata=(*self.metadata, *one.metadata),
            mix=(),
            share=share,
        )

    def planned(self, calls: int, load: LoadConfig) -> int:
        """Return how many of so many calls are this one's, amply."""
        return calls if self.share == 1 else math.ceil(self.share * calls) + PIECE * (load.workers or MOST_WORKERS)


GREETING = CallRequest()

CLOSED_RPS = 10_000
"""The calls per second of a closed loop for which requests are made that differ from call to call."""
MOST_WORKERS = 16
"""So many workers are planned for where their number is left open."""
MOST_UNPLANNED = 100_000
"""So many of them at most where nobody said how many calls there will be: encoding one takes about 150 µs."""


def calls_planned(load: LoadConfig, rates: Sequence[ScheduledRate] = ()) -> int:
    """Return an upper estimate of the calls of a load, warm-up included."""
    if load.rate_rps is not None:
        peak: float = ARRIVALS.resolve(load.arrival).peak
        steps = [step.rate_rps * peak for step in rates] or [load.rate_rps * peak]
        each = [min(rate * (load.duration_s or math.inf), load.requests or math.inf) for rate in steps]
        warmups = sum(steps) * load.warmup_s
        return math.ceil(1.1 * (sum(each) + warmups)) + 1000  # arrivals of a Poisson process are a few more
    unplanned_s = load.warmup_s + (0.0 if load.requests is not None else load.duration_s or 0.0)
    unplanned = min(MOST_UNPLANNED, math.ceil(CLOSED_RPS * unplanned_s))
    return max(1, len(rates)) * (load.requests or 0) + unplanned + 1


def choose_call(
    target: str,
    config: TrialConfig,
    request: CallRequest = GREETING,
    *,
    wait_s: float | None = 0.0,
    rates: Sequence[ScheduledRate] = (),
    security: Security = PLAINTEXT,
    ledger: SharedAllowance | None = None,
) -> CallSpec:
    """Return the call at the target; waits up to `wait_s` for a server whose reflection has the schema.

    The calls of reflection are taken from the `ledger`. Raises UsageError, TargetError or MeasurementError.
    """
    if request.mix or request.is_recorded:
        again = partial(choose_call, target, config, wait_s=wait_s, rates=rates, security=security, ledger=ledger)
        check_call(request.title, config.differences(TrialConfig()), proto=request.proto, proto_path=request.proto_path)
        if request.mix:
            return mix_of(request.mix, lambda one, share: again(request.of(one, share)))
        if request.name or request.check or request.options.order != IN_TURN:
            raise UsageError(
                "--data-file with a recording cannot be combined with --call, --check or --data-order, because the "
                "recording determines the calls and their order"
            )
        return replayed(str(request.data), request.metadata, lambda method: again(request.of(MixedCall(method=method))))
    target = host_port(target, remote=bool(security.remote))
    varying = VaryingMetadata(parse_metadata(request.metadata))
    service, _, method = (request.name or "greet.GreeterService/SayHello").strip("/").rpartition("/")
    values = TemplateValues(
        service=service,
        method=method,
        callers=config.load.concurrency,
        seed=request.options.seed,
        now=datetime.now(UTC),
    )
    pairs = (*varying.fixed, *varying.render(0, values))
    levels = config.differences(TrialConfig())
    check_call(request.name, levels, data=request.data, proto=request.proto, proto_path=request.proto_path)
    planned_calls = request.planned(calls_planned(config.load, rates), config.load)
    if request.name is None:
        call = dataclasses.replace(greeting(config.load), metadata=pairs)
        check_streams(config.load, config.load.method, sends=False, receives=call.server_streaming)
        return _varied(call, varying, values, planned_calls, request)
    if request.proto is None and not request.descriptors:
        await_listener(target, wait_s, remote=security.remote)
    data = "{}" if request.data is None else request.data
    call = find_call(
        target,
        request.name,
        data=data,
        metadata=pairs,
        proto=request.proto,
        proto_paths=request.proto_path,
        descriptors=request.descriptors,
        options=request.options,
        planned=planned_calls,
        load=config.load,
        security=security,
        ledger=ledger,
        server=request.server,
    )
    if request.check:
        from grpclab.load.calls.checks import answer_check

        answer_check(request.check, call.answer)  # each worker makes its own
    return _varied(dataclasses.replace(call, check=request.check), varying, values, planned_calls, request)


def _varied(
    call: CallSpec, varying: VaryingMetadata, values: TemplateValues, planned_calls: int, request: CallRequest
) -> CallSpec:
    """Return the call with metadata that differs from call to call, where it does."""
    if not varying:
        return call
    once = call.payloads is not None and not call.payloads.repeat
    count = call.payloads.count if call.payloads is not None and once else planned_calls
    headers = varying.write(values, count, repeat=request.options.repeat)
    return dataclasses.replace(call, metadata=varying.fixed, headers=headers)
