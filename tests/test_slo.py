"""Thresholds: what may be written, how a window is judged, and when a running one is ended."""

from __future__ import annotations

import math
from typing import Any

import pytest
from bench_results import rate_run, result, schedule, thousand

from grpclab.errors import UsageError
from grpclab.load.slo import (
    KEYS,
    WATCH_REPORTS,
    Watch,
    calls_needed,
    check_watchable,
    judge,
    judge_steps,
    parse_slo,
)
from grpclab.load.summary import PERCENTILES


def test_thresholds_are_read_in_their_order() -> None:
    found = parse_slo("p99=5ms, errors = 0.1%,rps=1000,max=1s")
    assert [(o.name, o.limit, o.text) for o in found] == [
        ("p99", pytest.approx(0.005), "5ms"),
        ("errors", pytest.approx(0.001), "0.1%"),
        ("rps", 1000.0, "1000"),
        ("max", 1.0, "1s"),
    ]
    assert parse_slo("errors=0.001")[0].limit == pytest.approx(0.001)


@pytest.mark.parametrize("name", KEYS)
def test_every_key_can_be_given(name: str) -> None:
    (found,) = parse_slo(f"{name}={'50%' if name == 'errors' else '7' if name == 'rps' else '7ms'}")
    assert found.name == name
    judge(found, thousand().run.summary)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p99", r"--slo 'p99' is not a threshold: write name=limit, as p99=5ms"),
        ("", r"--slo '' is not a threshold"),
        ("p99=5ms,", r"--slo '' is not a threshold"),
        ("p98=5ms", r"--slo has no 'p98': did you mean p9"),
        ("error=1%", r"--slo has no 'error': did you mean errors\?"),
        ("speed=1", r"--slo has no 'speed': there are p50, p90"),
        ("p99=5", r"invalid --slo p99=5: expected a time, as 500ms, 1.5s or 1m30s, with its unit"),
        ("mean=fast", r"invalid --slo mean=fast: expected a time"),
        ("errors=5", r"invalid --slo errors=5: expected a share of calls, as 0.1% or 0.001"),
        ("errors=101%", r"invalid --slo errors=101%: expected a share"),
        ("errors=few", r"invalid --slo errors=few: expected a share"),
        ("rps=0", r"invalid --slo rps=0: expected the fewest"),
        ("rps=10%", r"invalid --slo rps=10%: expected the fewest"),
        ("p99=5ms,p99=6ms", r"--slo names p99 twice"),
    ],
)
def test_what_cannot_be_a_threshold_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        parse_slo(text)
    assert "\n" not in str(refused.value)


# ---- judged ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slo", "met", "sentence"),
    [
        ("p50=500ms", True, "p50 was 500.00 ms, within 500ms"),
        ("p50=400ms", False, "p50 was 500.00 ms, 25.0% above the 400ms allowed"),
        ("p90=100ms", False, "p90 was 900.00 ms, 9.0 x the 100ms allowed"),
        ("max=1s", True, "max was 1,000.00 ms, within 1s"),
        ("mean=0s", False, "mean was 500.50 ms, above the 0s allowed"),
        ("errors=1%", True, "errors were 1.00%, within 1%"),
        ("errors=0.5%", False, "errors were 1.00%, 100.0% above the 0.5% allowed"),
        ("errors=0", False, "errors were 1.00%, above the 0 allowed"),
        ("rps=990", True, "rps was 990.0 requests/s, at least 990"),
        ("rps=1100", False, "rps was 990.0 requests/s, 10.0% below the 1100 asked for"),
    ],
)
def test_a_window_is_judged_by_all_its_calls(slo: str, met: bool, sentence: str) -> None:
    (found,) = thousand(slo=slo).judgements
    assert (found.met, found.sentence) == (met, sentence)


def test_what_too_few_calls_were_made_for_is_not_met_and_says_so() -> None:
    (found,) = result([0.001] * 999, slo="p99=5ms").judgements
    assert not found.met
    assert found.sentence == "not enough calls to judge p99=5ms: it needs 1,000, there were 999"
    assert result([0.001] * 1000, slo="p99=5ms").judgements[0].met
    for slo in ("max=5ms", "mean=5ms", "errors=1%"):
        assert "it needs 1, there were 0" in result([], slo=slo).missed


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
        missed == "p50 was 500.00 ms, 25.0% above the 400ms allowed; errors were 1.00%, 100.0% above the 0.5% allowed"
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


# ---- watched ---------------------------------------------------------------------------------------------------

SEEN: dict[str, Any] = {"elapsed_s": 2.0, "calls": 1000, "errors": 0, "latency_p99_s": 0.001}


def reasons(slo: str, reports: int = 1, **seen: Any) -> list[str | None]:
    watch = Watch(objectives=parse_slo(slo))
    return [watch.reason(**(SEEN | seen)) for _ in range(reports)]


def test_errors_and_rates_end_the_run_at_once() -> None:
    assert reasons("errors=1%", errors=11) == ["errors were 1.10% after 1,000 calls, against the errors=1% of --slo"]
    assert reasons("errors=1%", errors=10) == [None]
    assert reasons("rps=501")[0] == "rps was 500.0 requests/s after 1,000 calls, against the rps=501 of --slo"
    assert reasons("rps=500") == [None]


def test_a_running_p99_must_be_too_high_several_times_in_a_row() -> None:
    found = reasons("p99=5ms", reports=WATCH_REPORTS, latency_p99_s=0.006)
    assert found[:-1] == [None] * (WATCH_REPORTS - 1)
    assert found[-1] == "p99 was 6.00 ms after 1,000 calls, against the p99=5ms of --slo"
    watch = Watch(objectives=parse_slo("p99=5ms"))
    for latency_s in (0.006, 0.006, 0.004) * 5:
        assert watch.reason(**SEEN | {"latency_p99_s": latency_s}) is None


@pytest.mark.parametrize("name", ["p999", "max"])
def test_what_lies_beyond_the_p99_is_broken_by_it(name: str) -> None:
    assert reasons(f"{name}=5ms", reports=WATCH_REPORTS, latency_p99_s=0.006)[-1] is not None


def test_a_moment_without_a_p99_does_not_break_the_row() -> None:
    watch = Watch(objectives=parse_slo("p99=5ms"))
    found = [watch.reason(**SEEN | {"latency_p99_s": s}) for s in (0.006, math.nan, 0.006, math.nan, 0.006)]
    assert [reason is not None for reason in found] == [False, False, False, False, True]


def test_nothing_ends_before_a_hundred_calls_and_no_rate_counts_in_the_first_second() -> None:
    assert reasons("errors=1%", calls=99, errors=99) == [None]
    assert reasons("errors=1%", calls=100, errors=99) != [None]
    assert reasons("rps=5000", elapsed_s=0.9) == [None]
    assert reasons("errors=1%,rps=5,p99=1us", elapsed_s=-0.3, calls=0, latency_p99_s=math.nan) == [None]


def test_a_threshold_that_cannot_be_watched_is_refused() -> None:
    check_watchable(parse_slo("p50=1ms,p99=5ms"))
    with pytest.raises(UsageError, match=r"--abort-on-slo cannot watch p50, mean: give --slo one of p99, p999"):
        check_watchable(parse_slo("p50=1ms,mean=1ms"))
    with pytest.raises(UsageError, match=r"--abort-on-slo cannot watch anything: give --slo"):
        check_watchable(())
