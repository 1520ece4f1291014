"""What a bench result looks like: for people, for scripts written for ghz, as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from grpclab.config import Level, TrialConfig
from grpclab.errors import UsageError
from grpclab.load.bench import BenchResult, pool_settings, render
from grpclab.load.formats import csv_text, ghz_json, nanoseconds
from grpclab.load.generator import LoadRun
from grpclab.load.recorder import Records
from grpclab.load.summary import Window, summarise
from grpclab.status import STATUS_NAMES, go_name

OK, DEADLINE_EXCEEDED, UNAVAILABLE = 0, 4, 14
GHZ_KEYS = [
    *("name", "endReason", "date", "options", "count", "total"),
    *("average", "fastest", "slowest", "rps", "errorDistribution", "statusCodeDistribution"),
    *("latencyDistribution", "histogram", "details", "tags"),
]
GO_NAMES = [
    *("OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound"),
    *("AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange"),
    *("Unimplemented", "Internal", "Unavailable", "DataLoss", "Unauthenticated"),
]
"""grpc-go, codes/code_string.go, with ghz's OK."""


def result(
    latency_s: Sequence[float],
    status: Sequence[int] | None = None,
    *,
    workers: int = 1,
    busy_share: float = 0.5,
    interrupted: bool = False,
    by_process: tuple[int, ...] = (),
    levels: Mapping[str, Level] | None = None,
) -> BenchResult:
    """Calls that all start as the window opens, dealt out to the workers in turn."""
    latency = np.array(latency_s, dtype=np.float64)
    codes = np.array(status if status is not None else np.zeros(len(latency)), dtype=np.uint8)
    config = TrialConfig().replace({"load.requests": max(1, len(latency)), "load.warmup_s": 0.0} | dict(levels or {}))
    windows = [
        Window(
            records=Records(
                start_s=np.full(len(latency[w::workers]), 100.0),
                latency_s=latency[w::workers],
                status=codes[w::workers],
            ),
            opened_at=100.0,
            requests=config.load.requests,
            closes_at=None if config.load.duration_s is None else 100.0 + config.load.duration_s,
        )
        for w in range(workers)
    ]
    run = LoadRun(
        windows=windows, summary=summarise(windows), cpu_s=0.4, busy_share=busy_share, interrupted=interrupted
    )
    return BenchResult(
        target="localhost:50051",
        config=config,
        started_at=datetime(2026, 11, 23, 12, 0, tzinfo=UTC),
        run=run,
        connections=4,
        connections_by_process=by_process,
    )


def thousand(**more: Any) -> BenchResult:
    """1, 2, ... 1000 ms; the calls over 990 ms failed."""
    status = [OK] * 990 + [UNAVAILABLE] * 7 + [DEADLINE_EXCEEDED] * 3
    return result(np.arange(1, 1001) / 1000, status, **more)  # type: ignore[arg-type]


def distribution(found: dict[str, Any]) -> dict[int, int]:
    return {row["percentage"]: row["latency"] for row in found["latencyDistribution"]}


# ---- ghz's JSON ----------------------------------------------------------------------------------------------


def test_the_json_has_ghzs_fields_and_one_key_of_our_own() -> None:
    assert list(ghz_json(thousand())) == [*GHZ_KEYS, "grpclab"]


def test_the_json_is_json_without_nan() -> None:
    for case in (thousand(), result([]), result([0.01])):
        text = json.dumps(ghz_json(case), allow_nan=False)
        assert json.loads(text)["count"] == case.run.summary.requests


def test_durations_are_whole_nanoseconds() -> None:
    found = ghz_json(thousand(levels={"load.duration_s": 2.5, "client.deadline_s": 1.5}))
    assert (found["fastest"], found["slowest"]) == (1_000_000, 1_000_000_000)
    assert found["average"] == 500_500_000
    assert found["total"] == 1_000_000_000
    assert found["options"]["duration"] == 2_500_000_000
    assert found["options"]["timeout"] == 1_500_000_000
    durations = [found[name] for name in ("average", "fastest", "slowest", "total")]
    durations += [row["latency"] for row in (*found["details"], *found["latencyDistribution"])]
    assert {type(value) for value in durations} == {int}


def test_rounding_to_nanoseconds_is_to_the_nearest() -> None:
    assert [nanoseconds(s) for s in (1e-9, 0.6e-9, 1.5, math.nan)] == [1, 1, 1_500_000_000, 0]


def test_counts_and_codes_add_up() -> None:
    found = ghz_json(thousand())
    assert found["count"] == 1000
    assert found["statusCodeDistribution"] == {"OK": 990, "DeadlineExceeded": 3, "Unavailable": 7}
    assert found["errorDistribution"] == {
        "rpc error: code = DeadlineExceeded": 3,
        "rpc error: code = Unavailable": 7,
    }


def test_a_status_that_did_not_occur_has_no_key() -> None:
    assert ghz_json(result([0.1] * 3))["statusCodeDistribution"] == {"OK": 3}
    assert ghz_json(result([0.1] * 3, [UNAVAILABLE] * 3))["statusCodeDistribution"] == {"Unavailable": 3}


def test_rps_is_the_throughput_of_what_succeeded() -> None:
    found = thousand()
    assert ghz_json(found)["rps"] == found.run.summary.throughput_rps == pytest.approx(990)


def test_percentiles_are_those_of_the_successful_calls() -> None:
    found = distribution(ghz_json(result(np.arange(1, 2001) / 1000)))  # type: ignore[arg-type]
    assert found == {p: p * 20_000_000 for p in (10, 25, 50, 75, 90, 95, 99)}
    assert distribution(ghz_json(thousand()))[50] == 495_000_000


def test_a_percentile_with_too_few_calls_beyond_it_is_left_out_never_0() -> None:
    assert list(distribution(ghz_json(result([0.01] * 999)))) == [10, 25, 50, 75, 90, 95]
    assert list(distribution(ghz_json(result([0.01] * 20)))) == [10, 25, 50]
    assert distribution(ghz_json(result([]))) == {}


def test_the_histogram_counts_every_successful_call_once() -> None:
    found = ghz_json(thousand())["histogram"]
    assert len(found) == 11
    assert sum(bucket["count"] for bucket in found) == 990
    assert sum(bucket["frequency"] for bucket in found) == pytest.approx(1)
    assert (found[0]["mark"], found[-1]["mark"]) == (0.001, 0.99)
    assert [bucket["mark"] for bucket in found] == sorted(bucket["mark"] for bucket in found)


def test_a_bucket_counts_the_calls_up_to_its_mark_and_above_the_one_before() -> None:
    found = ghz_json(result([1.0, 1.5, 2.0, 2.5, 11.0]))["histogram"]
    assert [bucket["mark"] for bucket in found] == [float(mark) for mark in range(1, 12)]
    assert [bucket["count"] for bucket in found] == [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_equal_latencies_and_none_make_a_histogram_too() -> None:
    assert sum(bucket["count"] for bucket in ghz_json(result([0.25] * 7))["histogram"]) == 7
    assert ghz_json(result([0.5], [UNAVAILABLE]))["histogram"] == []


def test_details_name_every_call_with_its_moment_and_status() -> None:
    found = ghz_json(result([0.002, 0.001], [UNAVAILABLE, OK], levels={"load.warmup_s": 1.5}))["details"]
    assert found == [
        {"timestamp": "2026-11-23T12:00:01.500000+00:00", "latency": 1_000_000, "error": "", "status": "OK"},
        {
            "timestamp": "2026-11-23T12:00:01.500000+00:00",
            "latency": 2_000_000,
            "error": "rpc error: code = Unavailable",
            "status": "Unavailable",
        },
    ]


def test_details_are_capped_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grpclab.load.formats.DETAILS_CAP", 5)
    capped, whole = ghz_json(result([0.1] * 6)), ghz_json(result([0.1] * 5))
    assert (len(capped["details"]), capped["grpclab"]["details_capped_at"]) == (5, 5)
    assert (len(whole["details"]), whole["grpclab"]["details_capped_at"]) == (5, None)
    assert capped["count"] == 6


@pytest.mark.parametrize(
    ("levels", "interrupted", "reason"),
    [
        ({}, False, "normal"),
        ({}, True, "cancel"),
        ({"load.requests": 50, "load.duration_s": 1.0}, False, "timeout"),
        ({"load.requests": None, "load.duration_s": 1.0}, False, "timeout"),
        ({"load.requests": None, "load.duration_s": 1.0}, True, "cancel"),
    ],
)
def test_the_end_reason_is_normal_only_if_every_request_was_made(
    levels: dict[str, Any], interrupted: bool, reason: str
) -> None:
    assert ghz_json(result([0.1] * 9, interrupted=interrupted, levels=levels))["endReason"] == reason


def test_calls_of_all_workers_are_in_every_part() -> None:
    one, three = ghz_json(thousand()), ghz_json(thousand(workers=3))
    for part in ("count", "average", "fastest", "slowest", "latencyDistribution", "histogram", "details"):
        assert one[part] == three[part], part


def test_what_we_add_says_what_limited_the_run_and_how_percentiles_are_made() -> None:
    own = ghz_json(thousand(busy_share=0.95, by_process=(3, 1)))["grpclab"]
    assert own["limited_by"] == "generator-bound"
    assert own["connections_by_server_process"] == [3, 1]
    assert own["latency_s"]["p50"] == 0.5
    assert own["latency_s"]["p999"] is None
    assert own["latency_ok_s"]["p50"] == 0.495
    assert own["errors"] == 10
    assert HdrHistogram.decode(own["hdr_histogram_us"]).get_total_count() == 1000
    assert "\n" not in own["grade_reason"]
    assert "fewer than 10" in own["percentile_method"]


def test_the_options_can_be_given_back_to_the_bench() -> None:
    own = ghz_json(thousand(levels={"client.pooling": "pool", "client.connections": 2}))["grpclab"]
    assert "client.pooling=pool" in own["settings"].split()
    assert "client.connections=2" in own["settings"].split()


def test_status_codes_are_grpcs_and_have_gos_names() -> None:
    assert [(code.value[0], code.name) for code in grpc.StatusCode] == list(enumerate(STATUS_NAMES))
    assert [go_name(name) for name in STATUS_NAMES] == GO_NAMES


# ---- CSV -----------------------------------------------------------------------------------------------------


def test_csv_has_a_line_for_each_call_in_order_of_start() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(result([0.25, 0.125], [UNAVAILABLE, OK])))))
    assert rows == [
        {"start_s": "0.000000", "latency_s": "0.125000000", "status": "OK"},
        {"start_s": "0.000000", "latency_s": "0.250000000", "status": "UNAVAILABLE"},
    ]
    assert csv_text(result([])) == "start_s,latency_s,status\n"


# ---- the summary for people ----------------------------------------------------------------------------------


def test_the_summary_shows_counts_throughput_latencies_and_errors() -> None:
    lines = [line.split() for line in render(thousand()).splitlines()]
    assert ["calls", "1,000"] in lines
    assert ["succeeded", "990", "99.0%"] in lines
    assert ["failed", "10", "1.0%"] in lines
    assert ["throughput", "990.0", "requests/s"] in lines
    assert ["p99", "990.00", "ms"] in lines
    assert ["UNAVAILABLE", "7", "0.7%"] in lines
    assert ["DEADLINE_EXCEEDED", "3", "0.3%"] in lines
    assert str(thousand()) == render(thousand())


def test_a_percentile_that_is_missing_says_how_many_calls_it_needs() -> None:
    lines = [line.split() for line in render(result([0.01] * 99)).splitlines()]
    assert ["p50", "10.00", "ms"] in lines
    for name, calls in {"p90": "100", "p95": "200", "p99": "1,000"}.items():
        assert [name, "-", *f"needs {calls} calls (10 beyond it)".split()] in lines


def test_a_limited_run_says_so_beside_its_figures() -> None:
    assert "GENERATOR-BOUND" in render(thousand(busy_share=0.91))
    per_call = render(thousand(busy_share=0.91, levels={"client.pooling": "per_call"}))
    assert "client-cpu" in per_call
    assert "GENERATOR-BOUND" not in per_call
    calm = render(thousand(busy_share=0.90))
    assert "GENERATOR-BOUND" not in calm
    assert "client-cpu" not in calm


def test_a_run_without_a_call_is_rendered_without_figures() -> None:
    text = render(result([]))
    assert "nan" not in text
    assert "too few calls to judge" in text


def test_an_interrupted_run_and_the_spread_of_connections_are_told() -> None:
    text = render(thousand(interrupted=True, by_process=(3, 1)))
    assert "interrupted" in text
    assert "by server process 3/1" in text
    assert "by server process" not in render(thousand(by_process=(4,)))


@pytest.mark.parametrize(
    ("pooling", "words"), [("per_call", "a channel for each call"), ("shared", "one channel"), ("pool", "a pool of 3")]
)
def test_the_first_line_names_the_client(pooling: str, words: str) -> None:
    text = render(thousand(levels={"client.pooling": pooling, "client.connections": 3}))
    assert words in text.splitlines()[0]


# ---- the grade -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed", "tail", "letter"),
    [
        (0, 2.0, "A"),
        (0, 2.01, "B"),
        (2, 1.0, "B"),
        (3, 1.0, "C"),
        (0, 8.0, "C"),
        (20, 8.0, "C"),
        (0, 8.1, "D"),
        (100, 16.0, "D"),
        (101, 1.0, "F"),
        (0, 16.1, "F"),
    ],
)
def test_the_grade_is_the_best_whose_two_limits_hold(failed: int, tail: float, letter: str) -> None:
    latency = [0.01] * 1900 + [0.01 * tail] * 100
    status = [UNAVAILABLE] * failed + [OK] * (2000 - failed)
    assert result(latency, status).grade[0] == letter


def test_the_grade_says_what_it_rests_on() -> None:
    letter, reason = result([0.01] * 150 + [0.04] * 50, [UNAVAILABLE] * 1 + [OK] * 199).grade
    assert letter == "C"
    assert reason == "0.5% errors, p95 is 4.0 x the median"


def test_too_few_calls_have_no_grade() -> None:
    assert result([0.01] * 99).grade == ("-", "too few calls to judge")
    assert result([0.01] * 100).grade[0] == "A"


def test_several_connections_are_a_pool() -> None:
    assert pool_settings(1) == {"client.pooling": "shared"}
    assert pool_settings(4) == {"client.pooling": "pool", "client.connections": 4}
    with pytest.raises(UsageError, match=r"--connections 0 is not possible: give 1 or more"):
        pool_settings(0)
