"""Thresholds: what may be written, how a window is judged, and when a running one is ended."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from grpclab.errors import UsageError
from grpclab.load.core.recorder import Records
from grpclab.load.core.summary import summarise
from grpclab.load.core.worker_window import Window
from grpclab.load.run import LoadProgress
from grpclab.load.slo import (
    IMPLIED_ERRORS,
    KEYS,
    WATCH_REPORTS,
    ObjectiveResult,
    ObjectiveWatch,
    check_enough,
    check_watchable,
    judge,
    judge_steps,
    parse_slo,
    with_implied,
)
from grpclab.metrics import PERCENTILES, calls_needed
from grpclab.status import NOT_ENDED
from tests.support.bench_results import OK, UNAVAILABLE, open_loop, rate_run, result, schedule, thousand


def test_thresholds_are_read_in_their_order() -> None:
    objectives = parse_slo("p99=5ms, errors = 0.1%,rps=1000,max=1s")
    assert [(o.name, o.limit, o.text) for o in objectives] == [
        ("p99", pytest.approx(0.005), "5ms"),
        ("errors", pytest.approx(0.001), "0.1%"),
        ("rps", 1000.0, "1000"),
        ("max", 1.0, "1s"),
    ]
    assert parse_slo("errors=0.001")[0].limit == pytest.approx(0.001)


@pytest.mark.parametrize("name", KEYS)
def test_every_key_can_be_given(name: str) -> None:
    (objective,) = parse_slo(f"{name}={'50%' if name == 'errors' else '7' if name == 'rps' else '7ms'}")
    assert objective.name == name
    judge(objective, thousand().run.summary)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p99", r"--slo 'p99' is not a threshold: expected name=limit, e.g. p99=5ms"),
        ("", r"--slo '' is not a threshold"),
        ("p99=5ms,", r"--slo '' is not a threshold"),
        ("p98=5ms", r"--slo has no 'p98': did you mean p9"),
        ("error=1%", r"--slo has no 'error': did you mean errors\?"),
        ("speed=1", r"--slo has no 'speed': expected one of p50, p90"),
        ("p99=5", r"invalid --slo p99=5: expected a time, e.g. 500ms, 1.5s or 1m30s, with its unit"),
        ("mean=fast", r"invalid --slo mean=fast: expected a time"),
        ("errors=5", r"invalid --slo errors=5: expected a share of calls, e.g. 0.1% or 0.001"),
        ("errors=101%", r"invalid --slo errors=101%: expected a share"),
        ("errors=few", r"invalid --slo errors=few: expected a share"),
        ("rps=0", r"invalid --slo rps=0: expected the fewest"),
        ("rps=10%", r"invalid --slo rps=10%: expected the fewest"),
        ("p99=5ms,p99=6ms", r"--slo sets p99 twice"),
    ],
)
def test_what_cannot_be_a_threshold_is_told_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        parse_slo(text)
    assert "\n" not in str(refused.value)


# ---- judged ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slo", "met", "sentence"),
    [
        ("p50=500ms", True, "p50 was 495.00 ms, within 500ms"),
        ("p50=400ms", False, "p50 was 495.00 ms, 23.7% above the 400ms allowed"),
        ("p90=100ms", False, "p90 was 891.00 ms, 8.9× the 100ms allowed"),
        ("max=1s", True, "max was 990.00 ms, within 1s"),
        ("mean=0s", False, "mean was 495.50 ms, above the 0s allowed"),
        ("errors=1%", True, "errors were 1.00%, within 1%"),
        ("errors=0.5%", False, "errors were 1.00%, 100.0% above the 0.5% allowed"),
        ("errors=0", False, "errors were 1.00%, above the 0 allowed"),
        ("rps=990", True, "rps was 990.0 requests/s, at least 990"),
        ("rps=1100", False, "rps was 990.0 requests/s, 10.0% below the 1100 required"),
    ],
)
def test_a_window_is_judged_by_its_calls(slo: str, met: bool, sentence: str) -> None:
    (judgement,) = thousand(slo=slo).judgements
    assert (judgement.met, judgement.sentence) == (met, sentence)


def test_what_too_few_calls_were_made_for_is_not_met_and_says_so() -> None:
    (judgement,) = result([0.001] * 999, slo="p99=5ms").judgements
    assert not judgement.met
    assert judgement.sentence == "not enough calls to judge p99=5ms: it needs 1,000, but there were 999"
    assert result([0.001] * 1000, slo="p99=5ms").judgements[0].met
    for slo in ("max=5ms", "mean=5ms", "errors=1%"):
        assert "it needs 1, but there were 0" in result([], slo=slo).missed


def test_how_many_calls_a_percentile_needs() -> None:
    needed = {name: calls_needed(q) for name, q in PERCENTILES.items()}
    assert needed == {"p50": 20, "p90": 100, "p95": 200, "p99": 1000, "p999": 10_000}
    for name, calls in needed.items():
        assert not math.isnan(result([0.1] * calls).run.summary.latency[name])
        assert math.isnan(result([0.1] * (calls - 1)).run.summary.latency[name])


def test_what_was_missed_is_one_line() -> None:
    assert thousand(slo="p50=1s,errors=1%").missed == ""
    missed = thousand(slo="p50=400ms,p90=1s,errors=0.5%").missed
    assert (
        missed == "p50 was 495.00 ms, 23.7% above the 400ms allowed; errors were 1.00%, 100.0% above the 0.5% allowed"
    )
    assert thousand(slo="p50=1s", stopped_because="it was enough").missed == "stopped early: it was enough"


def test_a_schedule_keeps_a_threshold_at_every_rate_or_names_the_first_that_broke_it() -> None:
    steps = [rate_run(rate, [latency] * 2000) for rate, latency in ((100.0, 0.01), (200.0, 0.02), (300.0, 0.03))]
    case = schedule(*steps, slo="p99=15ms,p50=1s,rps=250")
    late, calm, fast = case.judgements
    assert late.sentence == "p99 was 20.00 ms at 200/s, 33.3% above the 15ms allowed"
    assert calm.met
    assert fast.met
    assert fast.at == "300/s"
    (slow,) = parse_slo("rps=1000")
    assert not judge_steps(slow, {"100/s": steps[0].summary, "300/s": steps[2].summary}).met


def test_a_latency_is_judged_by_the_calls_that_succeeded_and_by_those_that_were_given_up() -> None:
    quick_failures = result(
        [0.001] * 1000 + [0.5] * 1000, [UNAVAILABLE] * 1000 + [OK] * 1000, slo="p50=100ms,mean=1s"
    ).judgements
    assert [(j.met, j.figure) for j in quick_failures] == [(False, 0.5), (True, 0.5)]
    given_up = result([0.001] * 980 + [3.0] * 20, [OK] * 980 + [NOT_ENDED] * 20, slo="p99=5ms,max=1s")
    assert [(j.met, j.figure) for j in given_up.judgements] == [(False, 3.0), (False, 3.0)]


@pytest.mark.parametrize("name", [*PERCENTILES, "mean", "max"])
def test_a_server_that_refuses_everything_keeps_no_limit_of_latency(name: str) -> None:
    case = result([0.0001] * 20_000, [UNAVAILABLE] * 20_000, slo=f"{name}=5s")
    assert [j.met for j in case.judgements] == [False]
    steps = [rate_run(rate, [0.001] * 2000) for rate in (100.0, 200.0)]
    steps[1].windows[0].records.status[:] = UNAVAILABLE
    broken = dataclasses.replace(steps[1], summary=summarise(steps[1].windows))
    assert not schedule(steps[0], broken, slo="p99=5s").judgements[0].met


def test_a_call_of_the_warm_up_that_was_given_up_breaks_limits_from_the_opening_on() -> None:
    records = Records(start_s=np.array([99.0]), latency_s=np.array([6.0]), status=np.array([NOT_ENDED], np.uint8))
    summary = summarise([Window(records=records, opened_at=100.0, requests=None, closes_at=102.0)])
    assert (summary.requests, summary.not_ended, summary.not_ended_before) == (0, 1, 1)
    assert summary.latency_judged["max"] == 5.0
    assert not judge(parse_slo("max=5500ms")[0], summary).met
    assert judge(parse_slo("errors=1%")[0], summary).figure == 1.0


def test_a_window_in_which_no_call_ended_is_no_success() -> None:
    idle = result([])
    assert not idle.every_call_failed
    summary = dataclasses.replace(idle.run.summary, not_ended=3, not_ended_before=3)
    assert dataclasses.replace(idle, run=dataclasses.replace(idle.run, summary=summary)).every_call_failed


@pytest.mark.parametrize(
    ("run", "letter"), [({}, "A"), ({"offered_rps": 9000.0, "planned": 9000}, "F"), ({"still_s": 0.5}, "-")]
)
def test_a_rate_that_is_missed_or_a_generator_that_stood_still_is_no_grade_a(run: dict[str, Any], letter: str) -> None:
    assert open_loop(1000.0, [0.01] * 1000, **run).grade[0] == letter


def test_callers_that_all_wait_to_the_end_break_a_percentile_that_they_are_too_few_for() -> None:
    def frozen_for(stall_s: float) -> ObjectiveResult:
        """Two callers, a call each 10 ms; the last two never end."""
        good = np.arange(0.0, 10.0 - stall_s, 0.005)
        records = Records(
            start_s=np.append(good, [10.0 - stall_s] * 2),
            latency_s=np.append(np.full(len(good), 0.01), [stall_s + 3] * 2),
            status=np.append(np.zeros(len(good)), [NOT_ENDED] * 2).astype(np.uint8),
        )
        return judge(
            parse_slo("p99=50ms")[0],
            summarise([Window(records=records, opened_at=0.0, requests=None, closes_at=10.0)]),
        )

    assert frozen_for(0.09).met, "less than a hundredth of the window"
    assert not frozen_for(4.0).met


def test_an_error_threshold_is_implied_where_none_is_given() -> None:
    assert [(o.name, o.implied) for o in with_implied(parse_slo("p99=5ms"))] == [("p99", False), ("errors", True)]
    assert [o.implied for o in with_implied(parse_slo("p99=5ms,errors=50%"))] == [False, False]
    assert with_implied(()) == ()
    failing = result([0.001] * 100, [OK] * 98 + [UNAVAILABLE] * 2)
    judged = [judge(objective, failing.run.summary) for objective in with_implied(parse_slo("rps=1"))]
    assert [(j.objective.text, j.met) for j in judged] == [("1", True), (IMPLIED_ERRORS, False)]


@pytest.mark.parametrize(("name", "enough"), [("p50", 20), ("p99", 1000), ("p999", 10_000)])
def test_a_percentile_that_too_few_calls_are_planned_for_is_refused(name: str, enough: int) -> None:
    slo = parse_slo(f"{name}=5ms")
    check_enough(slo, enough, "raise -n")
    check_enough(slo, None, "raise -n")
    with pytest.raises(UsageError, match=rf"at least {enough:,} calls, but {enough - 1:,} are planned: raise -n"):
        check_enough(slo, enough - 1, "raise -n")
    check_enough(parse_slo("max=1ms,mean=1ms,errors=1%,rps=1"), 1, "raise -n")


# ---- watched ---------------------------------------------------------------------------------------------------


def seen(slo: str = "", **figures: Any) -> LoadProgress:
    """A thousand quick calls in two seconds, but for what is given."""
    none = dict.fromkeys(ObjectiveWatch(objectives=parse_slo(slo)).limits_s, 0) if slo else {}
    usual: dict[str, Any] = {"elapsed_s": 2.0, "calls": 1000, "errors": 0, "succeeded": 1000, "latency_p99_s": 0.001}
    return LoadProgress(**usual | {"longest_s": 0.001, "slow": none, "overdue": none} | figures)


def reports_until(slo: str, callers: int | None = None, **figures: Any) -> int | None:
    """After how many such reports a run ends; None if it never does."""
    watch = ObjectiveWatch(objectives=parse_slo(slo), callers=callers)
    return next((n for n in range(1, 20) if watch.reason(seen(slo, **figures))), None)


def test_errors_and_rates_end_the_run_at_once() -> None:
    assert reports_until("errors=1%", errors=11) == 1
    assert reports_until("errors=1%", errors=10) is None
    assert reports_until("rps=501") == 1
    assert reports_until("rps=500") is None
    assert reports_until("rps=501", over=True) is None, "nothing is sent any more"


def test_a_few_errors_at_the_beginning_are_no_share() -> None:
    assert reports_until("errors=1%", calls=20, errors=9) is None
    assert reports_until("errors=1%", calls=20, errors=10) == 1
    assert reports_until("rps=5000", elapsed_s=0.9) is None
    assert reports_until("rps=5", calls=2) == WATCH_REPORTS, "few calls, but again and again"
    assert reports_until("errors=1%,rps=5,p99=1us", elapsed_s=-0.3, calls=0, succeeded=0) is None


def test_one_call_that_is_too_long_breaks_the_longest_whether_it_has_ended_or_not() -> None:
    assert reports_until("max=5ms", longest_s=0.006) == 1
    assert reports_until("max=5ms", oldest_s=0.006) == 1
    assert reports_until("max=5ms", longest_s=0.005, oldest_s=0.005) is None


def test_a_percentile_is_broken_by_its_share_of_calls_those_under_way_included() -> None:
    for name, few, many in (("p99", 10, 11), ("p50", 500, 501)):
        slo = f"{name}=5ms"
        assert reports_until(slo, slow={0.005: few}) is None
        assert reports_until(slo, slow={0.005: many}) == WATCH_REPORTS
        assert reports_until(slo, slow={0.005: few}, overdue={0.005: few}) == WATCH_REPORTS
    assert reports_until("p99=5ms", succeeded=20, slow={0.005: 9}) is None, "too few to say"
    assert reports_until("p99=5ms", succeeded=0, overdue={0.005: 5}) == WATCH_REPORTS, "but for all there are"


def test_a_percentile_that_recovers_begins_anew() -> None:
    watch = ObjectiveWatch(objectives=parse_slo("p99=5ms"))
    for slow in [11] * (WATCH_REPORTS - 1) + [10]:
        assert watch.reason(seen(slow={0.005: slow}, overdue={0.005: 0})) is None


def test_a_closed_loop_that_stands_breaks_a_percentile_and_a_quiet_open_one_does_not() -> None:
    standing = {"under_way": 5, "overdue": {0.005: 5}, "youngest_s": 0.6}
    assert reports_until("p99=5ms", callers=5, **standing) == 1
    assert reports_until("p99=5ms", callers=6, **standing) is None
    assert reports_until("p99=5ms", callers=None, **standing) is None
    assert reports_until("p99=5ms", callers=5, **standing | {"elapsed_s": 100.0}) is None, "not a hundredth of it yet"


def test_a_threshold_that_cannot_be_watched_is_refused() -> None:
    check_watchable(parse_slo("p50=1ms,mean=5ms"))
    with pytest.raises(UsageError, match=r"--abort-on-slo cannot watch mean: set --slo for one of p50, p90"):
        check_watchable(parse_slo("mean=1ms"))
    with pytest.raises(UsageError, match=r"--abort-on-slo cannot watch anything: set --slo"):
        check_watchable(())
