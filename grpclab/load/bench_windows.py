"""The windows of a bench: one, or one for each rate of a schedule, on the same connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from grpclab.errors import StorageError, WorkerError
from grpclab.load.cluster_figures import ClusterFigures
from grpclab.load.cluster_load import ClusterGenerator
from grpclab.load.core.arrivals import ScheduledRate
from grpclab.load.core.bounds import caller_changes
from grpclab.load.generator import Generator
from grpclab.load.plan import LoadPlan
from grpclab.load.run import LoadProgress, LoadRun
from grpclab.load.slo import ObjectiveWatch
from grpclab.load.steps import rate_text
from grpclab.system import interrupts, procfs
from grpclab.system.addresses import UNIX
from grpclab.system.dialling import loopback_target
from grpclab.system.listeners import connections_by_process, connections_of
from grpclab.system.transport import Security

Watcher = Callable[[str, LoadProgress], None]
"""Takes the progress of the load: the step ("" without steps), and the figures."""


@dataclass(kw_only=True)
class MeasuredWindows:
    """The windows that were measured, in their order."""

    runs: list[LoadRun] = field(default_factory=list)
    figures: list[ClusterFigures] = field(default_factory=list)
    """The generator processes in each window, where they ran in a cluster."""
    lost: WorkerError | StorageError | None = None
    """The loss of a generator process that has ended the load, or of its records."""


def measured_windows(
    generator: Generator | ClusterGenerator,
    plan: LoadPlan,
    schedule: Sequence[ScheduledRate],
    *,
    abort: bool,
    watcher: Watcher | None,
) -> MeasuredWindows:
    """Measure one window, or one for each rate of a schedule, until one of them ends the load.

    Raises WorkerError or StorageError where not even the first was measured.
    """
    measured, load = MeasuredWindows(), plan.config.load
    changing = bool(caller_changes(load))
    for number, step in enumerate(schedule or [None], start=1):
        if measured.runs and interrupts.waiting():
            break
        label = f"{number} of {len(schedule)}: {rate_text(step.rate_rps)}" if step else ""
        # No single step is meant to reach a rate of calls; see judge_steps.
        watch = ObjectiveWatch(
            objectives=[o for o in plan.objectives if not (step and o.at_least)],
            callers=load.concurrency if load.rate_rps is None and not changing else None,
        )
        try:
            run = generator.measure(
                keep_on_interrupt=True,
                rate_rps=step.rate_rps if step else None,
                progress=partial(watcher, label) if watcher else None,
                stop_when=watch.reason if abort else None,
                watch_s=watch.limits_s if abort else (),
            )
        except (WorkerError, StorageError) as error:
            if not measured.runs:
                raise
            measured.lost = error  # the windows before are kept
            break
        measured.runs.append(run)
        if isinstance(generator, ClusterGenerator) and generator.figures is not None:
            measured.figures.append(generator.figures)
            measured.lost = generator.ended_by
        if run.interrupted or run.stopped_because:
            break
    return measured


def connections_now(
    generator: Generator | ClusterGenerator, target: str, security: Security
) -> tuple[int, tuple[int, ...]]:
    """The connections that the generator has now, and those that each of the server's processes here has."""
    if isinstance(generator, ClusterGenerator):
        return generator.connections(), ()
    if security.remote:
        _, port = loopback_target(target, security.remote)
        return procfs.outgoing_connections(generator.pids, port), ()
    by_process = connections_by_process(target)
    unlinked = generator.target == target and target.startswith(UNIX)
    return sum(by_process) if unlinked else connections_of(generator.pids, generator.target), by_process
