"""What a bench result looks like for programs: JSON for scripts written for ghz, and CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from typing import Any

import grpc
import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from grpclab.load.bench_result import BenchResult
from grpclab.load.calls.method import CallSpec
from grpclab.load.output.call_columns import csv_chunks
from grpclab.load.output.formats import DETAILS, json_chunks
from grpclab.load.output.ghz_terms import nanoseconds
from grpclab.status import ENDED_BY_CLIENT, STATUS_NAMES, go_name
from grpclab.system.interference import SERVER, Interference
from tests.support.bench_results import (
    OK,
    UNAVAILABLE,
    csv_text,
    ghz_json,
    open_loop,
    rate_run,
    result,
    schedule,
    thousand,
)

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


def distribution(shares: dict[str, Any]) -> dict[int, int]:
    return {row["percentage"]: row["latency"] for row in shares["latencyDistribution"]}


# ---- ghz's JSON ----------------------------------------------------------------------------------------------


def test_the_json_has_ghzs_fields_and_one_key_of_our_own() -> None:
    assert list(ghz_json(thousand())) == [*GHZ_KEYS, "grpclab"]


def test_the_json_is_json_without_nan() -> None:
    for case in (thousand(), result([]), result([0.01])):
        text = json.dumps(ghz_json(case), allow_nan=False)
        assert json.loads(text)["count"] == case.run.summary.requests


def test_notices_are_values_with_the_numbers_behind_them() -> None:
    around = Interference(seconds=10.0, stopped_s={SERVER: 1.0})
    own = ghz_json(result([0.01] * 99, interference=around))["grpclab"]
    assert own["notices"] == [notice.to_json() for notice in around.notices]
    assert set(own["notices"][0]) == {"kind", "severity", "text", "remedy"}
    assert own["surroundings"]["stopped_s"] == {SERVER: 1.0}
    assert own["surroundings"]["others_s"] is None


def test_each_step_of_a_schedule_has_its_notices_and_the_whole_has_those_of_all() -> None:
    disturbed = rate_run(2000.0, [0.001] * 2000, interference=Interference(seconds=1.0, stopped_s={SERVER: 0.5}))
    measured = schedule(rate_run(1000.0, [0.001] * 1000), disturbed)
    own = ghz_json(measured)["grpclab"]
    assert [step["notices"] for step in own["steps"]] == ["", "server-stopped"]
    assert [notice["kind"] for notice in own["notices"]] == ["server-stopped"]


def test_durations_are_whole_nanoseconds() -> None:
    document = ghz_json(thousand(levels={"load.duration_s": 2.5, "client.deadline_s": 1.5}))
    assert (document["fastest"], document["slowest"]) == (1_000_000, 1_000_000_000)
    assert document["average"] == 500_500_000
    assert document["total"] == 1_000_000_000
    assert document["options"]["duration"] == 2_500_000_000
    assert document["options"]["timeout"] == 1_500_000_000
    durations = [document[name] for name in ("average", "fastest", "slowest", "total")]
    durations += [row["latency"] for row in (*document["details"], *document["latencyDistribution"])]
    assert {type(value) for value in durations} == {int}


def test_rounding_to_nanoseconds_is_to_the_nearest() -> None:
    assert [nanoseconds(s) for s in (1e-9, 0.6e-9, 1.5, math.nan)] == [1, 1, 1_500_000_000, 0]


def test_counts_and_codes_add_up() -> None:
    document = ghz_json(thousand())
    assert document["count"] == 1000
    assert document["statusCodeDistribution"] == {"OK": 990, "DeadlineExceeded": 3, "Unavailable": 7}
    assert document["errorDistribution"] == {
        "rpc error: code = DeadlineExceeded": 3,
        "rpc error: code = Unavailable": 7,
    }


def test_a_status_that_did_not_occur_has_no_key() -> None:
    assert ghz_json(result([0.1] * 3))["statusCodeDistribution"] == {"OK": 3}
    assert ghz_json(result([0.1] * 3, [UNAVAILABLE] * 3))["statusCodeDistribution"] == {"Unavailable": 3}


def test_rps_is_the_throughput_of_what_succeeded() -> None:
    measured = thousand()
    assert ghz_json(measured)["rps"] == measured.run.summary.throughput_rps == pytest.approx(990)


def test_percentiles_are_those_of_the_successful_calls() -> None:
    shares = distribution(ghz_json(result(np.arange(1, 2001) / 1000)))
    assert shares == {p: p * 20_000_000 for p in (10, 25, 50, 75, 90, 95, 99)}
    assert distribution(ghz_json(thousand()))[50] == 495_000_000


def test_a_percentile_with_too_few_calls_beyond_it_is_left_out_never_0() -> None:
    assert list(distribution(ghz_json(result([0.01] * 999)))) == [10, 25, 50, 75, 90, 95]
    assert list(distribution(ghz_json(result([0.01] * 20)))) == [10, 25, 50]
    assert distribution(ghz_json(result([]))) == {}


def test_the_histogram_counts_every_successful_call_once() -> None:
    buckets = ghz_json(thousand())["histogram"]
    assert len(buckets) == 11
    assert sum(bucket["count"] for bucket in buckets) == 990
    assert sum(bucket["frequency"] for bucket in buckets) == pytest.approx(1)
    assert (buckets[0]["mark"], buckets[-1]["mark"]) == (0.001, 0.99)
    assert [bucket["mark"] for bucket in buckets] == sorted(bucket["mark"] for bucket in buckets)


def test_a_bucket_counts_the_calls_up_to_its_mark_and_above_the_one_before() -> None:
    buckets = ghz_json(result([1.0, 1.5, 2.0, 2.5, 11.0]))["histogram"]
    assert [bucket["mark"] for bucket in buckets] == [float(mark) for mark in range(1, 12)]
    assert [bucket["count"] for bucket in buckets] == [1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1]


def test_equal_latencies_and_none_make_a_histogram_too() -> None:
    assert sum(bucket["count"] for bucket in ghz_json(result([0.25] * 7))["histogram"]) == 7
    assert ghz_json(result([0.5], [UNAVAILABLE]))["histogram"] == []


def test_details_name_every_call_with_its_moment_and_status() -> None:
    rows = ghz_json(result([0.002, 0.001], [UNAVAILABLE, OK], levels={"load.warmup_s": 1.5}))["details"]
    assert rows == [
        {
            "timestamp": "2026-11-23T12:00:01.500000+00:00",
            "latency": 1_000_000,
            "error": "",
            "status": "OK",
        },
        {
            "timestamp": "2026-11-23T12:00:01.500000+00:00",
            "latency": 2_000_000,
            "error": "rpc error: code = Unavailable",
            "status": "Unavailable",
        },
    ]


def test_more_than_a_thousand_calls_are_listed_only_where_that_is_asked_for() -> None:
    many, few = result([0.1] * (DETAILS + 1)), result([0.1] * DETAILS)
    assert (ghz_json(many)["details"], ghz_json(many)["count"]) == ([], DETAILS + 1)
    assert "--details" in ghz_json(many)["grpclab"]["details_note"]
    for document in (ghz_json(many, details=True), ghz_json(few)):
        assert len(document["details"]) == document["count"]
        assert document["grpclab"]["details_note"] == ""


@pytest.mark.parametrize("details", [False, True])
def test_the_text_made_piece_by_piece_is_the_same_json(details: bool) -> None:
    for case in (thousand(), result([]), result([0.1] * (DETAILS + 1), [UNAVAILABLE] * (DETAILS + 1))):
        document, wanted = json.loads("".join(json_chunks(case, details=details))), ghz_json(case, details=details)
        for one in (document, wanted):
            one["grpclab"].pop("written_at")
        assert document == wanted


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


def test_what_had_no_effect_is_told_and_is_no_setting() -> None:
    reasons = {"client.connections": "pooling=shared ignores this factor", "seed": "nothing is random"}
    case = dataclasses.replace(thousand(levels={"client.connections": 2}), without_effect=reasons)
    own = ghz_json(case)["grpclab"]
    assert (own["without_effect"], "client.connections" in own["settings"]) == (reasons, False)
    assert "client.connections has no effect: pooling=shared ignores this factor" in str(case)


def test_status_codes_are_grpcs_and_have_gos_names() -> None:
    assert [(code.value[0], code.name) for code in grpc.StatusCode] == list(enumerate(STATUS_NAMES))
    assert [go_name(name) for name in STATUS_NAMES] == GO_NAMES


# ---- what an open loop, a schedule, a stream and a call of one's own add ---------------------------------------


def test_the_call_is_the_one_that_was_made() -> None:
    call = CallSpec(path="/shop.v1.Cart/Get", payload=b"")
    assert ghz_json(result([0.1], call=call))["options"]["call"] == "shop.v1.Cart.Get"
    assert ghz_json(result([0.1]))["options"]["call"] == "greet.GreeterService.SayHello"


def load_options(case: BenchResult) -> dict[str, Any]:
    options = ghz_json(case)["options"]
    return {name: value for name, value in options.items() if name == "rps" or name.startswith("load-")}


def test_ghzs_options_of_the_load() -> None:
    none = {"load-start": 0, "load-end": 0, "load-step": 0, "load-step-duration": 0, "load-max-duration": 0}
    assert load_options(result([0.1])) == {"load-schedule": "const", **none}
    assert load_options(open_loop(50.0, [0.001] * 100)) == {"rps": 50, "load-schedule": "const", **none}
    steps = [rate_run(rate, [0.001] * 100) for rate in (100.0, 150.0, 200.0)]
    assert load_options(schedule(*steps)) == none | {
        "load-schedule": "step",
        "load-start": 100,
        "load-end": 200,
        "load-step": 50,
        "load-step-duration": 10_000_000_000,
    }


def test_a_closed_loop_of_unary_calls_has_none_of_it() -> None:
    own = ghz_json(thousand())["grpclab"]
    assert (own["open_loop"], own["streaming"], own["knee"]) == (None, None, None)
    assert (own["steps"], own["slo"], own["limits"], own["notes"]) == ([], [], [], [])


def test_an_open_loop_tells_what_was_offered_how_late_and_both_latencies() -> None:
    late = [0.0] * 1980 + [0.1] * 20
    own = ghz_json(open_loop(1000.0, [0.01] * 1980 + [0.5] * 20, late, held=3, bound_hits=2, outage_s=0.5))["grpclab"]
    loop = own["open_loop"]
    assert (loop["offered_rps"], loop["planned"], loop["sent"]) == (1000.0, 2000, 2000)
    assert loop["lateness_s"] == {"p50": 0.0, "p99": 0.0, "max": 0.1}
    assert own["latency_s"]["p99"] == pytest.approx(0.01)
    assert loop["latency_uncorrected_s"]["p50"] == pytest.approx(0.01)
    assert loop["in_flight_bound_hits"] == 2
    assert (own["held_by_stream_limit"], own["outage_s"]) == (3, 0.5)


def test_a_schedule_has_its_steps_and_its_knee() -> None:
    steps = [rate_run(rate, [0.001] * 2000, opened_at=at) for rate, at in ((100.0, 100.0), (200.0, 130.0))]
    document = ghz_json(schedule(*steps))
    own = document["grpclab"]
    assert [step["rate_rps"] for step in own["steps"]] == [100.0, 200.0]
    assert [step["requests"] for step in own["steps"]] == [2000, 2000]
    assert {step["limited_by"] for step in own["steps"]} == {""}
    assert own["knee"]["rate_rps"] == 200.0
    assert document["count"] == 4000
    assert document["total"] == 30_000_000_000
    assert document["rps"] == pytest.approx(4000 / 30, rel=0.01)
    json.dumps(document, allow_nan=False)


def test_a_stream_has_the_time_to_its_first_message_and_the_gaps_between_them() -> None:
    call = CallSpec(path="/greet.GreeterService/SayHelloStream", payload=b"", server_streaming=True)
    own = ghz_json(result([0.5] * 20, call=call, first_s=[0.2] * 20, gap_s=[0.1] * 100))["grpclab"]
    assert own["streaming"]["messages"] == 120
    assert own["streaming"]["time_to_first_message_s"]["p50"] == 0.2
    assert own["streaming"]["time_to_first_message_s"]["p90"] is None
    assert own["streaming"]["message_gap_s"]["p90"] == 0.1
    assert own["streaming"]["message_since_sent_s"] == {}
    assert own["streaming"]["messages_sent"] == 0


def test_a_stream_that_the_client_has_cancelled_is_canceled_in_go_s_words_and_no_error() -> None:
    call = CallSpec(path="/a.B/Watch", payload=b"", server_streaming=True)
    ended = ghz_json(result([0.5] * 20, [OK] * 5 + [ENDED_BY_CLIENT] * 15, call=call), details=True)
    assert ended["statusCodeDistribution"] == {"OK": 5, "Canceled": 15}
    assert ended["errorDistribution"] == {}
    assert ended["average"] == 500_000_000
    assert ended["histogram"][0]["count"] == 20
    assert ended["grpclab"]["streaming"]["ended_by_client"] == 15


def test_thresholds_and_their_fate_are_there() -> None:
    (first, second) = ghz_json(thousand(slo="p50=400ms,errors=5%"))["grpclab"]["slo"]
    assert (first["name"], first["limit"], first["figure"], first["met"]) == ("p50", 0.4, 0.495, False)
    assert (second["name"], second["met"]) == ("errors", True)
    (unknown,) = ghz_json(result([0.1], slo="p99=5ms"))["grpclab"]["slo"]
    assert (unknown["figure"], unknown["met"]) == (None, False)


def test_a_run_that_was_stopped_is_cancelled_with_its_reason() -> None:
    document = ghz_json(thousand(stopped_because="p99 was 9 ms"))
    assert document["endReason"] == "cancel"
    assert document["grpclab"]["stopped_because"] == "p99 was 9 ms"


# ---- CSV -----------------------------------------------------------------------------------------------------


def test_csv_has_a_line_for_each_call_in_order_of_start() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(result([0.25, 0.125], [UNAVAILABLE, OK])))))
    assert rows == [
        {"start_s": "0.000000", "late_s": "0.000000000", "latency_s": "0.125000000", "status": "OK", "error": ""},
        {
            "start_s": "0.000000",
            "late_s": "0.000000000",
            "latency_s": "0.250000000",
            "status": "UNAVAILABLE",
            "error": "",
        },
    ]
    assert csv_text(result([])) == "start_s,late_s,latency_s,status,error\n"


def test_csv_of_a_schedule_says_the_rate_of_each_call() -> None:
    steps = [rate_run(10.0, [0.001] * 3), rate_run(20.0, [0.002] * 2, 0.5, opened_at=110.0)]
    rows = list(csv.DictReader(io.StringIO(csv_text(schedule(*steps)))))
    assert [row["rate_rps"] for row in rows] == ["10", "10", "10", "20", "20"]
    assert [row["late_s"] for row in rows[2:4]] == ["0.000000000", "0.500000000"]
    assert [float(row["start_s"]) for row in rows] == pytest.approx([0, 0.1, 0.2, 10, 10.05])


def test_csv_is_made_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grpclab.load.output.call_columns.CSV_CHUNK", 2)
    pieces = list(csv_chunks(result([0.1] * 5)))
    assert [piece.count("\n") for piece in pieces] == [1, 2, 2, 1]
