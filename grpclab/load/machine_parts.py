"""One measured window out of the parts of the machines of a cluster. Pure but for the asking."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grpclab.cluster.clocks import ClockOffset
from grpclab.cluster.connection import ClusterWorker
from grpclab.load.cluster_figures import ClusterFigures, GeneratorFigures
from grpclab.load.core.bounds import Bounds
from grpclab.load.core.merging import Slots, Values, WindowCounts
from grpclab.load.core.recorder import Records
from grpclab.load.core.traffic import Traffic, add_counts
from grpclab.load.core.worker_window import Window
from grpclab.load.generator_limits import late_limits
from grpclab.load.machine_worker import MachinePart
from grpclab.load.run import LoadRun, MergedWindow, assemble, run_of
from grpclab.load.worker_messages import WindowEnded

Ask = Callable[[tuple[Slots, ...]], tuple[Values, ...]]
"""Returns the observations of all machines in some slots: of all calls, then of each call of a mix."""


@dataclass(frozen=True, kw_only=True)
class MeasuredParts:
    """What the generator processes of a cluster measured in one window, in their order."""

    names: tuple[str, ...]
    workers: tuple[ClusterWorker, ...]
    address: str
    clocks: tuple[ClockOffset, ...]
    bounds_s: tuple[float, ...]
    """The error bound of each clock over the whole load."""
    parts: tuple[MachinePart, ...]
    """Without their counts."""
    ended: tuple[WindowEnded, ...]
    counts: tuple[WindowCounts, ...]
    """Of all machines: of all calls, then of each call of a mix."""

    def figures(self, bounds: Bounds) -> ClusterFigures:
        """Return the part of each process."""
        window_s = self.counts[0].window_s
        return ClusterFigures(
            address=self.address,
            machines=len({worker.machine for worker in self.workers}),
            generators=tuple(
                GeneratorFigures(
                    name=name,
                    address=worker.address,
                    calls=part.calls,
                    calls_per_s=part.calls / window_s if window_s > 0 else 0.0,
                    started_after_s=clock.here(part.first_s) - bounds.starts_at,
                    offset_s=clock.offset_s,
                    bound_s=bound_s,
                    late_p99_s=part.late_p99_s,
                    busy_share=part.busy_share,
                    limits=part.limits,
                    notices=part.interference.notices,
                )
                for name, worker, clock, bound_s, part in zip(
                    self.names, self.workers, self.clocks, self.bounds_s, self.parts, strict=True
                )
            ),
        )

    def answers(self) -> list[WindowEnded]:
        """The figures of each process at the end of its window, with moments of this clock."""
        return [
            dataclasses.replace(
                ended,
                failures=tuple(
                    dataclasses.replace(entry, first_at=clock.here(entry.first_at)) for entry in ended.failures
                ),
            )
            for ended, clock in zip(self.ended, self.clocks, strict=True)
        ]

    def silence(self) -> tuple[float, float]:
        """The longest time in which no call ended on any machine, at least, and the moment at which it began.

        The records are on the machines, each of which tells its own longest silence: where these overlap, all of them
        were silent.
        """
        begins = [clock.here(part.silence[1]) for part, clock in zip(self.parts, self.clocks, strict=True)]
        ends = [begin + part.silence[0] for begin, part in zip(begins, self.parts, strict=True)]
        return max(0.0, min(ends) - max(begins)), max(begins)


def assembled(
    measured: MeasuredParts,
    bounds: Bounds,
    ask: Ask,
    *,
    records: Sequence[Records] = (),
    requests: Sequence[int | None],
    planned: int | None,
    stopped: str,
    interrupted: bool,
    share: float = 1.0,
) -> tuple[LoadRun, ClusterFigures]:
    """Return one run of the parts of all machines, and what each contributed.

    Without the `records` of the calls the figures come from the counts, and `ask` returns the few observations that
    exact percentiles need. `requests` are the calls after which the window of each process ends. `planned` and `share`
    are the calls and the part of the load of these machines: others were lost.
    """
    figures, answers = measured.figures(bounds), measured.answers()
    whole, cut = measured.counts[0], interrupted or bool(stopped)
    if planned is not None and cut:
        planned = max(planned, whole.requests)
    rate_rps = bounds.offered_rps(planned)
    if rate_rps is not None and not bounds.varies:
        rate_rps *= share
    if records:
        windows = [
            Window(
                records=one,
                opened_at=bounds.opens_at,
                requests=most,
                closes_at=bounds.closes_at,
                held_open=bounds.rate_rps is not None and not cut,
                cut_at=bounds.cut_at,
            )
            for one, most in zip(records, requests, strict=True)
        ]
        run = assemble(windows, answers, rate_rps=rate_rps, planned=planned, interrupted=interrupted, stopped=stopped)
    else:
        known = ask(tuple(counts.wanted() for counts in measured.counts))
        summary, *by_call = (counts.summary(one) for counts, one in zip(measured.counts, known, strict=True))
        late = [] if planned is None else late_limits(whole.sent_in_time, len(answers), summary, planned)
        held_back = "; ".join(dict.fromkeys(part.held_back for part in measured.parts if part.held_back))
        silence_s, silent_at = measured.silence()
        merged = MergedWindow(
            summary=summary,
            by_call=tuple(by_call),
            opened_at=bounds.opens_at,
            lateness=None if planned is None else whole.lateness(known[0]),
            limits=() if held_back else tuple(late),
            held_back=held_back,
            silence=(silence_s, silent_at - bounds.opens_at) if silence_s > 0 else (0.0, 0.0),
            distributions=whole.distributions,
            counts=measured.counts,
        )
        run = run_of(answers, merged, rate_rps=rate_rps, planned=planned, interrupted=interrupted, stopped=stopped)
    goaways: dict[str, int] = {}
    for part in measured.parts:
        goaways = add_counts(goaways, part.goaways)
    limits = (*figures.limits, *(run.limits if not figures.limits else ()))
    run = dataclasses.replace(run, traffic=run.traffic + Traffic(goaways=goaways), limits=limits, share=share)
    return run, figures
