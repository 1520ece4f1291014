"""What a run says of itself: the workers' answers as one, and the reasons why the generator was the limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from grpclab.load.core.recorder import Records
from grpclab.load.core.running import Tally
from grpclab.load.core.summary import summarise
from grpclab.load.core.traffic import Traffic
from grpclab.load.core.worker_window import Window
from grpclab.load.generator_limits import find_limits
from grpclab.load.run import GENERATOR_BOUND, HELD_BACK, LoadRun, assemble, merge_reports
from grpclab.load.worker_messages import WindowEnded, WindowProgress


def opened(late_s: Sequence[float], service_s: float = 0.010, *, length_s: float = 10.0) -> Window:
    """An open loop's window from 100 on: calls at even distances, each sent so late."""
    late = np.array(late_s, dtype=np.float64)
    calls = Records(
        start_s=np.linspace(100.0, 100.0 + length_s, len(late), endpoint=False, dtype=np.float64),
        latency_s=late + service_s,
        status=np.zeros(len(late), dtype=np.uint8),
        late_s=late,
    )
    return Window(records=calls, opened_at=100.0, requests=None, closes_at=100.0 + length_s, held_open=True)


def limits(window: Window, *, planned: int | None, busy_share: float = 0.5, still_s: float = 0.0) -> tuple[str, ...]:
    return find_limits([window], summarise([window]), busy_share=busy_share, planned=planned, still_s=still_s)


def answer(**figures: Any) -> WindowEnded:
    """A worker's figures of a window of 10 s."""
    quiet = WindowEnded(
        cpu_s=1.0,
        spin_s=0.0,
        busy_s=10.0,
        loop_s=1.0,
        waited_s=0.0,
        ran_out_at=None,
        admitted=0,
        unsent=0,
        still_s=0.0,
        held=0,
        bound_hits=0,
        connections_lost=0,
        outage_s=0.0,
        traffic=Traffic(),
        encodings={},
        failures=(),
    )
    return replace(quiet, **figures)


# ---- the generator as the limit ------------------------------------------------------------------------------


def test_a_generator_that_met_its_times_was_not_the_limit() -> None:
    assert limits(opened([0.0] * 2000), planned=2000) == ()
    assert limits(opened([0.0009] * 2000), planned=2000) == (), "under a tenth of every percentile"


@pytest.mark.parametrize("planned", [None, 2000])
def test_a_busy_process_is_a_limit_of_both_loops(planned: int | None) -> None:
    window = opened([0.0] * 2000)
    assert limits(window, planned=planned, busy_share=0.90) == ()
    assert limits(window, planned=planned, busy_share=0.97) == (
        "a generator process was busy for 97% of the window, above 90%",
    )


@pytest.mark.parametrize(("waited_s", "worked_s", "bound"), [(4.8, 4.6, True), (4.8, 3.0, False), (0.5, 8.8, False)])
def test_a_generator_that_shares_its_core_is_a_limit_once_it_is_never_idle(
    waited_s: float, worked_s: float, bound: bool
) -> None:
    run = assemble(
        [opened([0.0] * 2000)],
        [answer(loop_s=worked_s, cpu_s=worked_s, waited_s=waited_s)],
        rate_rps=None,
        planned=None,
    )
    assert (run.limited_by("pool") == GENERATOR_BOUND) is bound


def test_pacing_is_no_work_of_a_generator_that_shares_its_core() -> None:
    ended = answer(loop_s=6.0, cpu_s=6.0, spin_s=5.0, waited_s=3.5)
    assert assemble([opened([0.0] * 2000)], [ended], rate_rps=200.0, planned=2000).limits == ()


def standstill(rate_rps: float | None, **figures: Any) -> LoadRun:
    """50 callers on a server that answers in 10 ms, and once not for two seconds."""
    each = np.concatenate([np.arange(0.0, 4.0, 0.010), np.arange(6.0, 10.0, 0.010)])
    start = np.repeat(100.0 + each, 50)
    latency = np.where(np.isclose(start, 103.99), 2.01, 0.0099)
    calls = Records(start_s=start, latency_s=latency, status=np.zeros(len(start), dtype=np.uint8))
    window = Window(records=calls, opened_at=100.0, requests=None, closes_at=110.0)
    planned = None if rate_rps is None else len(start)
    return assemble([window], [answer(**figures)], rate_rps=rate_rps, planned=planned)


def test_a_closed_loop_says_that_no_call_ended_since_its_percentiles_do_not() -> None:
    run = standstill(None)
    assert run.summary.latency["p99"] < 0.02
    (notice,) = run.notices
    assert (notice.kind, notice.severity) == ("silence", "warning")
    assert run.silence == pytest.approx((2.0, 4.0), abs=0.02)


def test_a_silence_that_is_the_generators_own_is_told_by_its_limit_alone() -> None:
    run = standstill(None, still_s=1.95)
    assert run.notices == ()
    assert run.limited_by("pool") == GENERATOR_BOUND


def test_more_than_a_hundredth_not_sent_in_time_is_a_limit() -> None:
    # the last 21 calls of 2000 went out after the window had closed; 20 would be allowed
    for unsent, expected in ((20, ()), (21, ("21 of 2,000 calls had not been sent when the window closed",))):
        late = [0.0] * (2000 - unsent) + [0.5] * unsent
        window = opened(late, service_s=10.0)
        assert limits(window, planned=2000) == expected


def test_one_call_on_its_way_at_the_border_is_no_limit_of_a_short_window() -> None:
    assert limits(opened([0.0] * 49 + [0.3]), planned=50) == ()


def test_calls_that_were_never_sent_are_a_limit() -> None:
    assert limits(opened([0.0] * 1000), planned=2000) == (
        "1,000 of 2,000 calls had not been sent when the window closed",
    )


def test_late_sends_that_make_up_more_than_a_tenth_of_a_percentile_are_a_limit_and_it_is_named() -> None:
    late = [0.0] * 1900 + [0.005] * 80 + [0.0] * 20
    assert limits(opened(late), planned=2000) == ("late sends account for more than 10% of p99",)
    assert limits(opened([0.002] * 2000), planned=2000) == (
        "late sends account for more than 10% of p50, p90, p95, p99",
    )


def test_a_percentile_that_there_are_too_few_calls_for_is_no_limit() -> None:
    assert limits(opened([0.0] * 48 + [0.005] * 2), planned=50) == ()


def test_a_limit_of_calls_in_flight_that_a_slow_server_meets_is_not_the_generator() -> None:
    def found(**figures: Any) -> LoadRun:
        window = opened([0.0] * 500 + [0.5] * 1500)
        return assemble([window], [answer(**figures)], rate_rps=200.0, planned=2000)

    assert found(bound_hits=1400).limited_by("shared") == HELD_BACK
    assert found(bound_hits=1400).limits == ()
    assert found(bound_hits=1400, unsent=1300).limited_by("shared") == HELD_BACK
    assert found(bound_hits=1400, cpu_s=9.5).limited_by("shared") == GENERATOR_BOUND, "a busy one is the limit itself"
    assert found(bound_hits=10).limited_by("shared") == GENERATOR_BOUND, "most were late for another reason"
    assert found().limited_by("shared") == GENERATOR_BOUND


@pytest.mark.parametrize("planned", [None, 2000])
def test_a_generator_that_stood_still_is_a_limit_of_both_loops(planned: int | None) -> None:
    assert limits(opened([0.0] * 2000), planned=planned, still_s=0.1) == ()
    (limit,) = limits(opened([0.0] * 2000), planned=planned, still_s=5.0)
    assert limit.startswith("the generator stalled for 5.00 s of 10.00 s")
    run = assemble([opened([0.0] * 2000)], [answer(), answer(still_s=5.0)], rate_rps=None, planned=None)
    assert run.stood_still
    assert run.limited_by("shared") == GENERATOR_BOUND


def test_a_rate_is_kept_up_with_if_what_was_due_came_back() -> None:
    late = assemble([opened([0.0] * 620 + [9.0] * 380)], [answer()], rate_rps=100.0, planned=1000)
    assert (late.keeps_up, late.due_rps) == (False, 100.0)
    assert assemble([opened([0.0] * 1000)], [answer()], rate_rps=100.0, planned=1000).keeps_up
    assert assemble([opened([0.0] * 900)], [answer()], rate_rps=100.0, planned=900).keeps_up, "Poisson drew fewer"


def test_in_a_closed_loop_only_the_busy_share_counts() -> None:
    assert limits(opened([0.002] * 2000), planned=None) == ()


def test_the_label_depends_on_what_the_client_is_there_for() -> None:
    def run(**figures: Any) -> LoadRun:
        window = opened([0.0] * 10)
        return LoadRun(windows=[window], summary=summarise([window]), cpu_s=1.0, **{"busy_share": 0.5} | figures)

    assert run().limited_by("shared") == ""
    assert run(limits=("late sends",)).limited_by("pool") == "generator-bound"
    assert run(limits=("late sends",)).limited_by("per_call") == "client-cpu"
    assert run(busy_share=0.95).limited_by("shared") == "generator-bound"


# ---- several workers as one ----------------------------------------------------------------------------------


def test_the_answers_of_the_workers_add_up() -> None:
    windows = [opened([0.001] * 2000), opened([0.003] * 2000)]
    answers = [
        answer(cpu_s=5.0, spin_s=4.0, held=2, bound_hits=3, connections_lost=1, outage_s=0.5, encodings={"gzip": 5}),
        answer(cpu_s=9.0, spin_s=3.0, held=1, bound_hits=4, connections_lost=1, outage_s=0.7, encodings={"gzip": 1}),
    ]
    load_run = assemble(windows, answers, rate_rps=400.0, planned=4000)
    assert (load_run.cpu_s, load_run.spin_s) == (14.0, 7.0)
    assert load_run.busy_share == pytest.approx(0.6), "the busiest one's, without its spinning"
    assert (load_run.held, load_run.bound_hits, load_run.connections_lost) == (3, 7, 2)
    assert load_run.encodings == {"gzip": 6}
    assert load_run.outage_s == 0.7, "the same outage, seen by two"
    assert (load_run.offered_rps, load_run.planned, load_run.sent) == (400.0, 4000, 4000)
    assert load_run.lateness == {"p50": 0.001, "p99": 0.003, "max": 0.003}
    assert load_run.limits


def test_a_closed_loop_offers_no_rate_and_is_never_late() -> None:
    load_run = assemble([opened([0.0] * 10)], [answer()], rate_rps=None, planned=None)
    assert load_run.offered_rps is None
    assert load_run.planned == 0
    assert all(math.isnan(value) for value in load_run.lateness.values())
    assert load_run.limits == ()


def test_more_spinning_than_cpu_time_is_not_less_than_idle() -> None:
    load_run = assemble([opened([0.0] * 10)], [answer(cpu_s=1.0, spin_s=1.2)], rate_rps=10.0, planned=10)
    assert load_run.busy_share == 0.0


def test_running_figures_add_up_and_the_worst_tail_stands_for_all() -> None:
    def report(
        under_way: Sequence[float], *, calls: int, errors: int, latency_p99_s: float, over: bool = False
    ) -> WindowProgress:
        """At 10 s, of calls under way since then."""
        tally = Tally(limits_s=[0.5])
        tally.add([1.0, 2.0, 3.0], [0.1, 0.6, 0.9], [0, 0, 14])
        running = tally.running(under_way, 10.0)
        return WindowProgress(calls=calls, errors=errors, latency_p99_s=latency_p99_s, over=over, running=running)

    reports = [
        report([], calls=10, errors=1, latency_p99_s=math.nan),
        report([9.0, 9.75], calls=2000, errors=0, latency_p99_s=0.02),
        report([8.0], calls=3000, errors=2, latency_p99_s=0.01, over=True),
    ]
    progress = merge_reports(reports, 1.5, [0.5])
    assert (progress.elapsed_s, progress.calls, progress.errors, progress.latency_p99_s) == (1.5, 5010, 3, 0.02)
    assert (progress.succeeded, progress.longest_s, progress.slow) == (6, 0.6, {0.5: 3})
    assert (progress.under_way, progress.oldest_s, progress.overdue) == (3, 2.0, {0.5: 2})
    assert progress.youngest_s == 0.0, "one worker has none under way"
    assert merge_reports(reports[1:], 1.5, [0.5]).youngest_s == 0.25
    assert progress.over
    assert math.isnan(merge_reports(reports[:1], 1.5).latency_p99_s)
