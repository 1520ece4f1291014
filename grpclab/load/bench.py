"""``grpclab bench``: load one running server.

::

    result = await grpclab.bench("localhost:50051", requests=2500, concurrency=50)
    result             # a picture in a notebook; print(result) is the terminal's summary
    result.to_frame()  # a row for each call
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpclab.cluster.connection import Cluster, opened
from grpclab.errors import UsageError, invalid
from grpclab.factors.config import pool_settings, refuse_twice
from grpclab.factors.levels import Level
from grpclab.factors.registries import ARRIVALS
from grpclab.link.emulation import check_link, running_link
from grpclab.load import compression
from grpclab.load.bench_result import BenchResult, PartialLoadError
from grpclab.load.bench_windows import Watcher, connections_now, measured_windows
from grpclab.load.calls.call_options import DataOptions
from grpclab.load.calls.metadata import metadata_words
from grpclab.load.calls.method import greeting
from grpclab.load.calls.mixed_call import mixed_calls
from grpclab.load.ceiling import stored_ceiling
from grpclab.load.cluster_figures import over_windows
from grpclab.load.cluster_load import ClusterGenerator
from grpclab.load.cluster_losses import ON_LOST, STOP
from grpclab.load.cluster_rules import check_shared
from grpclab.load.generator import Generator
from grpclab.load.plan import GREETING, CallRequest, LoadPlan, check_call, choose_call, planned
from grpclab.load.reachability import await_listener
from grpclab.load.steps import RateStep, merged
from grpclab.system.addresses import host_port
from grpclab.system.allowance import Allowance, SharedAllowance, allowed, announcement
from grpclab.system.dialling import addresses_elsewhere
from grpclab.system.environment import machine, split_cores
from grpclab.system.inputs import mapping, text, whole
from grpclab.system.interference import LINK, SERVER
from grpclab.system.listeners import listening_at
from grpclab.system.transport import PLAINTEXT, UNVERIFIED, Security

if TYPE_CHECKING:
    from distributed import Client

DEFAULT_TARGET = "localhost:50051"


def _on_standard_error(line: str) -> None:
    print(f"grpclab: {line}", file=sys.stderr)


def run_bench(
    target: str,
    plan: LoadPlan,
    *,
    call: CallRequest = GREETING,
    security: Security = PLAINTEXT,
    allowance: Allowance | None = None,
    announce: Callable[[str], None] = _on_standard_error,
    abort: bool = False,
    seed: int = 1,
    connect_timeout_s: float | None = None,
    watcher: Watcher | None = None,
    connected: Callable[[], None] | None = None,
    cluster: Cluster | None = None,
    records: bool = False,
    on_lost_worker: str = STOP,
) -> BenchResult:
    """Load the server at `target` as the plan says. Server factors are not used, because the server is already running.

    The rates of a schedule are measured one after the other on the same connections, each with its own warm-up. `abort`
    ends the load as soon as the figures so far violate one of the plan's objectives. If the plan has link factors, the
    load goes through an emulated link, which is measured first. `connected` is called before the first call.

    Only this machine is loaded, unless there is an `allowance`: then another machine may be loaded within its ceilings,
    and `announce` is called first with a sentence that says what will be sent where. With a `cluster` its workers send
    the load, and keep the records of the calls unless `records` is true; `on_lost_worker` is one of ON_LOST. Raises
    UsageError, TargetError or WorkerError, and PartialLoadError where one of these workers was lost in mid-load.
    Ctrl-C ends the load early and returns what was measured.
    """
    config = plan.config
    if allowance is not None:
        security = dataclasses.replace(security, remote=_elsewhere(target, plan, allowance))
        if security.remote:
            name = call.title or greeting(config.load).path.removeprefix("/")
            announce(announcement(name, target, security, allowance))
    if cluster is not None:
        check_shared(plan, cluster, target, security)
    wait_s = connect_timeout_s or 0.0
    ledger = None if allowance is None else SharedAllowance(allowance, now=time.perf_counter() + wait_s)
    chosen = choose_call(target, config, call, wait_s=wait_s, security=security, rates=plan.rates, ledger=ledger)
    remarks = [chosen.mix.note] if chosen.mix and chosen.mix.note else []
    target = host_port(target, remote=bool(security.remote))
    seed = whole("seed", seed)
    await_listener(target, connect_timeout_s or 0.0, remote=security.remote)
    schedule = list(plan.rates) if len(plan.rates) > 1 else []
    checked = check_link(config.link) if config.link.emulated else None
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(running_link(config.link, target)) if config.link.emulated else None
        left = None if ledger is None else ledger.left_of_calls()
        generator: Generator | ClusterGenerator
        if cluster is not None:
            generator = ClusterGenerator(
                cluster,
                config,
                target,
                call=chosen,
                security=security,
                allowance=left,
                seed=seed,
                connect_timeout_s=connect_timeout_s,
                records=records,
                on_lost=on_lost_worker,
            )
        else:
            generator = Generator(
                config,
                link.target if link else target,
                cpus=_cores(config.load.workers),
                call=chosen,
                security=security.pinned(target) if link else security,
                allowance=left,
                seed=seed,
                connect_timeout_s=connect_timeout_s,
            )
            if not security.remote:
                generator.beside[SERVER] = listening_at(target)
            if link is not None:
                generator.beside[LINK] = [link.pid]
        stack.enter_context(generator)
        if connected is not None:
            connected()
        started_at = datetime.now(UTC)
        windows = measured_windows(generator, plan, schedule, abort=abort, watcher=watcher)
        if link is not None:
            link.require_alive()
        connections, by_process = connections_now(generator, target, security)
    run = merged(windows.runs)
    result = BenchResult(
        target=target,
        config=config,
        call=chosen,
        started_at=started_at,
        run=run,
        connections=connections,
        connections_by_process=by_process,
        steps=tuple(
            RateStep(rate_rps=step.rate_rps * run.share, run=run, limited_by=run.limited_by(config.client.pooling))
            for step, run in zip(schedule, windows.runs, strict=False)
        ),
        objectives=plan.objectives,
        notes=(*plan.notes, *remarks, *([] if security.verify else [UNVERIFIED])),
        without_effect={**plan.without_effect, **compression.without_effect(config, run, chosen)},
        link=checked,
        ceiling=stored_ceiling(config.load.engine),
        cluster=over_windows(windows.figures) if windows.figures else None,
    )
    if windows.lost is not None:
        raise PartialLoadError(str(windows.lost), result)
    return result


def _elsewhere(target: str, plan: LoadPlan, allowance: Allowance) -> tuple[str, ...]:
    """The addresses off this machine that may be dialled. Raises UsageError above the ceilings."""
    peak = ARRIVALS.resolve(plan.config.load.arrival).peak
    for rate_rps in [step.rate_rps for step in plan.rates] or [plan.config.load.rate_rps or 0.0]:
        allowance.check_rate(rate_rps * peak)
    remote = addresses_elsewhere(target)
    if remote and plan.config.link.emulated:
        expected = "a server on this machine, since a link can be emulated only here; remove the link.* settings"
        raise UsageError(invalid("target", target, expected))
    return remote


def _cores(workers: int) -> tuple[int, ...]:
    """The generator's core; for more workers the last few."""
    affinity = machine().affinity
    planned = split_cores(affinity).generator
    return planned if workers <= len(planned) else tuple(sorted(affinity)[-workers:])


async def bench(
    target: str = DEFAULT_TARGET,
    *,
    requests: int | None = None,
    duration_s: float | None = None,
    concurrency: int | None = None,
    connections: int | None = None,
    rate_rps: float | str | None = None,
    arrival: str | None = None,
    call: str | None = None,
    mix: Sequence[Any] = (),
    data: Any = None,
    data_options: DataOptions | None = None,
    check: str = "",
    metadata: Any = None,
    proto: str | Path | None = None,
    proto_path: str | Path | Sequence[str | Path] = (),
    security: Security = PLAINTEXT,
    allow_remote: bool = False,
    max_rate_rps: float | None = None,
    max_calls: int | None = None,
    max_time_s: float | None = None,
    engine: str | None = None,
    settings: Mapping[str, Level] | None = None,
    seed: int = 1,
    connect_timeout_s: float | None = None,
    cluster: str | Client | None = None,
    records: bool = False,
    on_lost_worker: str = STOP,
) -> BenchResult:
    """Send load to the server at `target` and return the measurements.

    - `requests`, `duration_s`: the window ends after this many calls or seconds, whichever comes first; by default
      after 500 calls, or after 10 s with a rate.
    - `concurrency`: calls in flight in a closed loop (50).
    - `rate_rps`: calls per second in an open loop. A string is a schedule (``"500:5000:500@5s"``) or a ramp
      (``"500:5000@60s"``).
    - `arrival`: the load shape, e.g. ``"poisson"``.
    - `connections`: number of TCP connections; the client pools them if there is more than one.
    - `call`: ``package.Service/Method``, by default the method of grpclab's greeter. The schema comes from
      reflection or from `proto`, whose imports are searched in `proto_path`.
    - `data`: the request as JSON, ``@FILE`` or Python values: a datetime is a Timestamp, a timedelta a Duration.
      Requests in a list are sent in turn. A callable takes a request's number; an iterator supplies the next request,
      and the load ends when it is exhausted, unless `data_options` allow repetition. If the client streams, a list
      contains the messages of one call.
    - `mix`: several calls that take turns, as ``[[call]]`` tables: ``[{"method": "shop.Cart/Get"}, ...]``.
    - `check`: an expression that must be true for every answer.
    - `metadata`: a mapping, or pairs. A value is a string, bytes if the key ends in ``-bin``, or a list of them.
    - `security`: see :func:`grpclab.security_of`.
    - `settings`: further client, load and link factors, by their dotted names.
    - `connect_timeout_s`: how long to wait for a server that is about to start.
    - `allow_remote`: send load to a server on another machine, within the limits `max_rate_rps`, `max_calls` and
      `max_time_s`, which include warm-up and resent calls.
    - `cluster`: send the load from the workers of a Dask cluster: ``"local:N"``, the address of a scheduler, or a
      ``distributed.Client``. The record of each call stays on its machine unless `records` is true.
    - `on_lost_worker`: what to do if one of these workers is lost during the load: ``"stop"`` ends the load and raises
      PartialLoadError, whose `partial` is the result of the others; with ``"continue"`` they go on with their part of
      the load, and the result says so.

    Raises the same errors as :func:`run_bench`.
    """
    given: dict[str, Level] = {
        "load.requests": requests,
        "load.duration_s": duration_s,
        "load.concurrency": concurrency,
        "load.arrival": arrival,
        "load.engine": engine,
    }
    levels: dict[str, Level] = {name: level for name, level in given.items() if level is not None}
    if connections is not None:
        levels |= pool_settings(whole("connections", connections, minimum=1))
    target, seed = text("target", target, DEFAULT_TARGET), whole("seed", seed)
    name = None if call is None else text("call", call, "package.Service/Method")
    settings = mapping("settings", settings or {}, '{"load.workers": 2}')
    refuse_twice(levels, settings)
    levels |= settings
    plan = planned(levels, None if rate_rps is None else str(rate_rps), seeded=seed != 1 and not mix)
    if on_lost_worker not in ON_LOST:
        raise UsageError(invalid("on_lost_worker", on_lost_worker, " or ".join(ON_LOST)))
    if on_lost_worker != STOP and cluster is None:
        raise UsageError("on_lost_worker works only with cluster")
    pairs, calls = metadata_words(metadata), mixed_calls(mix) if mix else ()
    if calls and (name or data is not None):
        raise UsageError("mix cannot be combined with call or data")
    allowance = allowed(allow_remote, rate_rps=max_rate_rps, calls=max_calls, time_s=max_time_s)

    options = data_options or DataOptions()
    roots = [proto_path] if isinstance(proto_path, str | Path) else list(proto_path)

    def run() -> BenchResult:
        call = CallRequest(
            name=name, data=data, options=options, check=check, metadata=pairs, proto=proto, proto_path=roots, mix=calls
        )
        check_call(call.title or None, levels, data=data, proto=proto, proto_path=roots)
        with contextlib.ExitStack() as stack:
            joined = None if cluster is None else stack.enter_context(opened(cluster, allow_remote=allow_remote))
            return run_bench(
                target,
                plan,
                call=call,
                security=security,
                allowance=allowance,
                seed=seed,
                connect_timeout_s=connect_timeout_s,
                cluster=joined,
                records=records,
                on_lost_worker=on_lost_worker,
            )

    return await asyncio.to_thread(run)
