"""The figures of one measured window, and whether the generator was its limit. Pure."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from grpclab.load.core.call_figures import summaries_by_call
from grpclab.load.core.failures import Failure, merge
from grpclab.load.core.kept_answers import AnswerSample, merged_samples
from grpclab.load.core.merging import SlotCounts, WindowCounts
from grpclab.load.core.summary import Summary, lateness, longest_silence, summarise
from grpclab.load.core.traffic import Traffic, add_counts
from grpclab.load.core.worker_window import Window
from grpclab.load.generator_limits import BUSY_LIMIT, STILL_LIMIT, crowded_shares, find_bound, find_limits
from grpclab.load.worker_messages import WindowEnded, WindowProgress
from grpclab.quantities import duration
from grpclab.system.interference import Interference
from grpclab.system.notices import Notice

SILENCE_S, SILENCE_MEDIANS = 0.05, 10
"""The shortest standstill, in seconds and in median latencies: no call ended for longer than both."""
SHORT_S = 1.0
"""A window that is shorter says so beside its throughput: a rate over some milliseconds is that of a moment."""
KEPT_SHARE = 0.99
"""A rate was kept up with if at least this share of the calls that were due came back."""
GENERATOR_BOUND, HELD_BACK = "generator-bound", "max-in-flight"
"""The results of :meth:`LoadRun.limited_by`."""

_NOTHING_LATE = {"p50": math.nan, "p99": math.nan, "max": math.nan}


@dataclass(frozen=True, kw_only=True)
class LoadProgress:
    """The measured window as it runs, all workers together."""

    elapsed_s: float
    """The time since the window opened."""
    calls: int
    errors: int
    latency_p99_s: float
    """The p99 of the calls that ended lately, of the worst worker; NaN with too few of them."""
    over: bool = False
    """The window is over, and calls are still under way."""
    succeeded: int = 0
    under_way: int = 0
    """Calls that have not ended."""
    longest_s: float = 0.0
    """The longest call that succeeded."""
    oldest_s: float = 0.0
    """For how long the oldest call has been under way."""
    youngest_s: float = 0.0
    """The time for which the last one to begin has been under way, over all workers."""
    slow: Mapping[float, int] = field(default_factory=dict)
    """By watched limit: the calls that succeeded and took longer."""
    overdue: Mapping[float, int] = field(default_factory=dict)
    """By watched limit: the calls that have been under way for longer."""


@dataclass(frozen=True, kw_only=True)
class LoadRun:
    """One measured window."""

    windows: list[Window]
    """Empty where the records stayed on the machines of a cluster."""
    distributions: Mapping[str, SlotCounts] = field(default_factory=dict, repr=False)
    """Then the distributions of :mod:`grpclab.load.core.merging`, by name."""
    counts: tuple[WindowCounts, ...] = field(default=(), repr=False)
    """Then the counts: of all calls, then of each call of a mix."""
    opened_at: float = 0.0
    """The moment at which the window opened, on this machine's clock."""
    summary: Summary
    by_call: tuple[Summary, ...] = ()
    """The same of each call of a mix, by its number; empty where one call is made always."""
    cpu_s: float
    """CPU time of all workers in the window, spinning included."""
    busy_share: float
    """The busiest worker's CPU time, without spinning, over the window's length, 0 to 1 (a little above where
    threads overlap)."""
    spin_s: float = 0.0
    """Time that all workers spent spinning for the next send, with nothing to do."""
    interrupted: bool = False
    """Ctrl-C ended the window; what had been measured by then is here."""
    stopped_because: str = ""
    """The reason why the window was ended before its time, where someone watched it."""
    ceiling: bool = False
    """A ceiling of what may be sent to another machine ended the window."""
    ran_out: bool = False
    """The window was ended since the requests were used up, which are not to repeat."""
    share: float = 1.0
    """The part of the load that was sent to the end; below 1 where generator processes of a cluster were lost. It is
    a part of `offered_rps`, too."""
    offered_rps: float | None = None
    """The rate of an open loop; None in a closed one."""
    planned: int = 0
    """Calls of the drawn schedule that were due in the window; 0 in a closed loop."""
    sent: int = 0
    """Calls of the window, late ones included."""
    calls_made: int = 0
    """Every call that was sent since the workers connected: warm-ups, ramps and tails included, whatever became of
    it."""
    unsent: int = 0
    """Calls that were due and that had not been sent when the run was given up; they count as NOT_ENDED."""
    lateness: dict[str, float] = field(default_factory=lambda: dict(_NOTHING_LATE))
    """The lateness of the calls of an open loop, in seconds: p50, p99, max; NaN in a closed loop."""
    held: int = 0
    """Calls that waited for the peer's limit of streams."""
    bound_hits: int = 0
    """Calls of an open loop that waited since `load.max_in_flight` others were under way, until they could be sent or
    to the end."""
    connections_lost: int = 0
    outage_s: float = 0.0
    """Time with no connection up; of several workers, the longest."""
    traffic: Traffic = field(default_factory=Traffic)
    """Connections, pings and GOAWAYs since the workers connected."""
    encodings: dict[str, int] = field(default_factory=dict)
    """Successful calls whose answers were compressed, by encoding; engine `grpcio` does not tell."""
    failures: tuple[Failure, ...] = ()
    answers: tuple[AnswerSample, ...] = field(default=(), repr=False)
    """The answers that were kept, those of the warm-up included."""
    """The texts of the calls that failed; their calls add up to the summary's errors."""
    limits: tuple[str, ...] = ()
    """The reasons why the generator, not the server, was the limit, in words; empty if it was not."""
    still_s: float = 0.0
    """For how long the event loop of a worker stood still in the window; of several workers, the longest."""
    held_back: str = ""
    """The reason why `load.max_in_flight` was the limit, where it was: a slow server meets it, not a slow generator."""

    interference: Interference = field(default_factory=Interference)
    """The events on the machine meanwhile."""

    silence: tuple[float, float] = (0.0, 0.0)
    """The longest time in which no call ended, and when it began: :func:`grpclab.load.core.summary.longest_silence`."""

    @property
    def notices(self) -> tuple[Notice, ...]:
        """The notices on the figures, beside their limits."""
        return (*self.interference.notices, *self._silence())

    def _silence(self) -> Iterator[Notice]:
        """Yield a notice that no call ended for long, where nothing else explains it; percentiles do not show it."""
        silence_s, at_s = self.silence
        if silence_s < SILENCE_S or silence_s < SILENCE_MEDIANS * self.summary.latency["p50"]:
            return
        if self.still_s < silence_s / 2 and not any(self.interference.stopped_s.values()):
            closed = self.offered_rps is None
            yield Notice(
                kind="silence",
                severity="warning" if closed else "note",
                text=(
                    f"no call completed for {silence_s:.2g} s, from {at_s:.2f} s on, while the generator was "
                    "running: the server, or something on the way to it, stalled"
                ),
                remedy="a closed loop sends nothing during such a pause; an open loop (--rate) counts it in full"
                if closed
                else "",
            )

    def limited_by(self, pooling: str) -> str:
        """GENERATOR_BOUND, ``client-cpu`` where the client is the factor under test, HELD_BACK, or nothing."""
        if not self.limits and self.busy_share <= BUSY_LIMIT:
            return HELD_BACK if self.held_back else ""
        return "client-cpu" if pooling == "per_call" else GENERATOR_BOUND

    @property
    def short(self) -> str:
        """Return a phrase on the length of a window that is below SHORT_S; nothing where it is not."""
        window_s = self.summary.window_s
        return f"over only {duration(window_s)}; use -z 1s to measure for a second" if 0 < window_s < SHORT_S else ""

    @property
    def stood_still(self) -> bool:
        """Return whether the generator stood still for so long that no figure is the server's alone."""
        return self.still_s > STILL_LIMIT * self.summary.window_s

    @property
    def due_rps(self) -> float:
        """The rate that was due; a Poisson schedule draws a few calls more or less, and the drawn ones count."""
        window_s = self.summary.window_s
        return min(self.offered_rps or 0.0, self.planned / window_s) if window_s > 0 else 0.0

    @property
    def keeps_up(self) -> bool:
        """Return whether the calls of an open loop came back as fast as they were due; one may fall over the edge."""
        window_s = self.summary.window_s
        if self.offered_rps is None or window_s <= 0:
            return self.offered_rps is None
        return self.summary.throughput_rps >= KEPT_SHARE * self.due_rps - 1 / window_s


def assemble(
    windows: list[Window],
    answers: Sequence[WindowEnded],
    *,
    rate_rps: float | None,
    planned: int | None,
    interrupted: bool = False,
    stopped: str = "",
    interference: Interference | None = None,
) -> LoadRun:
    """Make one run of the workers' windows, and of their figures at the end."""
    summary = summarise(windows)
    still_s = max(answer.still_s for answer in answers)
    busy_share = busiest(answers)
    held_back = find_bound(
        windows,
        bound_hits=sum(answer.bound_hits for answer in answers),
        unsent=sum(answer.unsent for answer in answers),
        busy_share=busy_share,
    )
    measured = MergedWindow(
        summary=summary,
        by_call=summaries_by_call(windows),
        opened_at=windows[0].opened_at,
        lateness=None if rate_rps is None else lateness(windows),
        limits=find_limits(
            windows,
            summary,
            busy_share=busy_share,
            planned=planned,
            still_s=still_s,
            held_back=held_back,
            crowded=max((crowded_shares(answer) for answer in answers), default=(0.0, 0.0)),
        ),
        held_back=held_back,
        silence=longest_silence(windows),
        windows=windows,
    )
    run = run_of(answers, measured, rate_rps=rate_rps, planned=planned, interrupted=interrupted, stopped=stopped)
    return run if interference is None else replace(run, interference=interference)


def busiest(answers: Sequence[WindowEnded]) -> float:
    """Return the CPU time of the busiest worker, without spinning, over the window's length."""
    # Spinning is counted by the wall clock: where the process was off its core meanwhile, it is more than the CPU.
    return max(max(0.0, a.cpu_s - a.spin_s) / max(a.busy_s, 1e-9) for a in answers)


@dataclass(frozen=True, kw_only=True)
class MergedWindow:
    """The figures of one window over all workers, by whatever way they were merged; the fields are those of LoadRun."""

    summary: Summary
    by_call: tuple[Summary, ...]
    opened_at: float
    lateness: dict[str, float] | None
    """None in a closed loop."""
    limits: tuple[str, ...]
    held_back: str
    silence: tuple[float, float]
    windows: list[Window] = field(default_factory=list)
    distributions: Mapping[str, SlotCounts] = field(default_factory=dict)
    counts: tuple[WindowCounts, ...] = ()


def run_of(
    answers: Sequence[WindowEnded],
    measured: MergedWindow,
    *,
    rate_rps: float | None,
    planned: int | None,
    interrupted: bool = False,
    stopped: str = "",
) -> LoadRun:
    """Return the run of a merged window and of the workers' figures at its end."""
    unsent = sum(answer.unsent for answer in answers)
    return LoadRun(
        windows=measured.windows,
        distributions=measured.distributions,
        counts=measured.counts,
        opened_at=measured.opened_at,
        summary=measured.summary,
        by_call=measured.by_call,
        cpu_s=sum(answer.cpu_s for answer in answers),
        busy_share=busiest(answers),
        spin_s=sum(answer.spin_s for answer in answers),
        interrupted=interrupted,
        stopped_because=stopped,
        offered_rps=rate_rps,
        planned=planned or 0,
        sent=measured.summary.requests - unsent,
        unsent=unsent,
        calls_made=sum(answer.made for answer in answers),
        lateness=dict(_NOTHING_LATE) if measured.lateness is None else measured.lateness,
        held=sum(answer.held for answer in answers),
        bound_hits=sum(answer.bound_hits for answer in answers),
        connections_lost=sum(answer.connections_lost for answer in answers),
        outage_s=max(answer.outage_s for answer in answers),
        failures=merge((answer.failures for answer in answers), opened_at=measured.opened_at),
        answers=merged_samples(answer.answers for answer in answers),
        traffic=sum((answer.traffic for answer in answers), start=Traffic()),
        encodings=functools.reduce(add_counts, (answer.encodings for answer in answers), {}),
        still_s=max(answer.still_s for answer in answers),
        limits=measured.limits,
        held_back=measured.held_back,
        silence=measured.silence,
    )


def merge_reports(reports: Collection[WindowProgress], elapsed_s: float, watch_s: Sequence[float] = ()) -> LoadProgress:
    """Make one of the workers' reports of a running window."""
    tails = [report.latency_p99_s for report in reports if not math.isnan(report.latency_p99_s)]
    running = [report.running for report in reports]
    return LoadProgress(
        elapsed_s=elapsed_s,
        calls=sum(report.calls for report in reports),
        errors=sum(report.errors for report in reports),
        latency_p99_s=max(tails, default=math.nan),
        over=any(report.over for report in reports),
        succeeded=sum(calls.succeeded for calls in running),
        under_way=sum(calls.under_way for calls in running),
        longest_s=max(calls.longest_s for calls in running),
        oldest_s=max(calls.oldest_s for calls in running),
        youngest_s=min(calls.youngest_s for calls in running),
        slow={limit: sum(calls.slow[at] for calls in running) for at, limit in enumerate(watch_s)},
        overdue={limit: sum(calls.overdue[at] for calls in running) for at, limit in enumerate(watch_s)},
    )
