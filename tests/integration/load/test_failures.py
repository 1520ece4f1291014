"""What the server, or the engine, said of the calls that failed: kept, counted, and shown in every output."""

from __future__ import annotations

import html
import subprocess
import sys
from contextlib import AbstractContextManager
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from grpclab.factors.levels import Level
from grpclab.load.bench import run_bench
from grpclab.load.bench_result import BenchResult
from grpclab.load.core.failures import (
    LONGEST_TEXT,
    MOST_TEXTS,
    Failure,
    FailureLog,
    combine,
    describe_details,
    merge,
    only_text,
    sentence,
)
from grpclab.load.plan import planned
from grpclab.status import NOT_ENDED
from grpclab.testing import FakeTarget, fake_target
from grpclab.text.printable import printable
from tests.support.bench_results import OK, UNAVAILABLE, csv_text, ghz_json, result

CANCELLED, UNKNOWN, UNAUTHENTICATED = 1, 2, 16

# ---- the log -------------------------------------------------------------------------------------------------


def merged(*logs: FailureLog, opened_at: float = 0.0) -> tuple[Failure, ...]:
    return merge((log.entries() for log in logs), opened_at=opened_at)


def test_texts_are_counted_by_status_and_the_first_time_is_kept() -> None:
    one, two = FailureLog(), FailureLog()
    one.note(UNKNOWN, "no database", 1.0, 1.5)
    one.note(UNAUTHENTICATED, "who are you", 1.0, 3.0)
    two.note(UNKNOWN, "no database", 1.0, 1.25)
    two.note(UNKNOWN, "no disk", 1.0, 4.0)
    assert merged(one, two, opened_at=1.0) == (
        Failure(status="UNKNOWN", text="no database", calls=2, first_s=0.25),
        Failure(status="UNKNOWN", text="no disk", calls=1, first_s=3.0),
        Failure(status="UNAUTHENTICATED", text="who are you", calls=1, first_s=2.0),
    )


def test_calls_of_the_warm_up_are_left_out() -> None:
    log = FailureLog(opens_at=10.0)
    log.note(UNKNOWN, "early", 9.99, 11.0)
    log.note(UNKNOWN, "inside", 10.0, 11.0)
    assert [failure.text for failure in merged(log)] == ["inside"]


@given(st.lists(st.tuples(st.sampled_from([UNKNOWN, UNAVAILABLE]), st.text(max_size=3)), max_size=60))
def test_no_failed_call_is_lost_and_memory_is_bounded(calls: list[tuple[int, str]]) -> None:
    log = FailureLog()
    for number, (status, text) in enumerate(calls):
        log.note(status, text * 500, 0.0, float(number))
    failures = merged(log)
    assert sum(failure.calls for failure in failures) == len(calls)
    for name in ("UNKNOWN", "UNAVAILABLE"):
        of_status = [failure for failure in failures if failure.status == name]
        assert len(of_status) <= MOST_TEXTS + 1
        assert all(len(failure.text) <= LONGEST_TEXT for failure in of_status)


def test_windows_one_after_the_other_count_from_the_first_ones_opening() -> None:
    first = Failure(status="UNKNOWN", text="a", calls=2, first_s=0.5)
    second = Failure(status="UNKNOWN", text="a", calls=3, first_s=0.1)
    assert combine([(0.0, [first]), (10.0, [second])]) == (Failure(status="UNKNOWN", text="a", calls=5, first_s=0.5),)
    assert combine([(0.0, []), (10.0, [second])])[0].first_s == pytest.approx(10.1)


@given(st.text())
def test_what_is_printed_has_no_control_characters_and_is_one_line(text: str) -> None:
    shown = printable(text, 40)
    assert len(shown) <= 40
    assert shown.isprintable()


def test_escape_sequences_and_reordering_are_taken_out() -> None:
    assert printable("\x1b[2Jgone\r\nforged:  ok \u202etxt.exe") == "[2Jgone  forged:  ok txt.exe"


# ---- details -------------------------------------------------------------------------------------------------


def packed(*details: Any) -> bytes:
    wrapped = []
    for detail in details:
        one = AnyMessage()
        one.Pack(detail)
        wrapped.append(one)
    content: bytes = Status(code=UNKNOWN, message="m", details=wrapped).SerializeToString()
    return content


def test_details_of_googleapis_are_spelt_out_and_others_named() -> None:
    lines = describe_details(packed(error_details_pb2.ErrorInfo(reason="QUOTA", domain="shop"), Duration(seconds=3)))
    assert lines == ('ErrorInfo {reason: "QUOTA" domain: "shop"}', "google.protobuf.Duration (2 bytes)")


def test_details_that_do_not_decode_are_said_to_be_so() -> None:
    assert describe_details(b"\xff\xff") == (
        "2 bytes of grpc-status-details-bin that are not a valid google.rpc.Status",
    )
    broken = AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
    content = Status(details=[broken, AnyMessage()]).SerializeToString()
    assert describe_details(content) == (
        "google.rpc.ErrorInfo (1 bytes that cannot be decoded)",
        "a detail without a type (0 bytes)",
    )
    assert describe_details(b"") == ()


@given(st.binary(max_size=60))
def test_no_details_are_a_traceback(content: bytes) -> None:
    assert all(line.isprintable() for line in describe_details(content))


# ---- in every output -----------------------------------------------------------------------------------------

SAID = (Failure(status="UNAVAILABLE", text='no "disk"', calls=3, first_s=0.2, details=("ErrorInfo {}",)),)


def test_text_count_time_and_details_are_in_terminal_json_csv_and_notebook() -> None:
    measured = result([0.1, 0.2, 0.3, 0.4], [OK, UNAVAILABLE, UNAVAILABLE, UNAVAILABLE], failures=SAID)
    for shown in (str(measured), html.unescape(measured._repr_html_()).replace("\xa0", " ")):
        assert all(part in shown for part in ('"no "disk""', "0.200 s", "ErrorInfo {}"))
    document = ghz_json(measured)
    error = 'rpc error: code = Unavailable desc = no "disk"'
    assert document["errorDistribution"] == {error: 3}
    assert [detail["error"] for detail in document["details"]] == ["", error, error, error]
    assert document["grpclab"]["failures"] == [SAID[0].to_json()]
    assert csv_text(measured).splitlines()[1:3] == [
        "0.000000,0.000000000,0.100000000,OK,",
        '0.000000,0.000000000,0.200000000,UNAVAILABLE,"no ""disk"""',
    ]


def test_a_text_is_a_calls_own_only_where_its_status_had_no_other() -> None:
    two = (*SAID, Failure(status="UNAVAILABLE", text="no fan", calls=1, first_s=0.2))
    assert only_text(SAID, "UNAVAILABLE") == 'no "disk"'
    assert (only_text(two, "UNAVAILABLE"), only_text(SAID, "UNKNOWN")) == ("", "")
    document = ghz_json(result([0.1] * 5, [UNAVAILABLE] * 5, failures=two))
    assert {detail["error"] for detail in document["details"]} == {"rpc error: code = Unavailable"}
    assert document["errorDistribution"] == {
        'rpc error: code = Unavailable desc = no "disk"': 3,
        "rpc error: code = Unavailable desc = no fan": 1,
        "rpc error: code = Unavailable": 1,
    }


def test_calls_whose_statuses_are_one_in_ghz_are_counted_together() -> None:
    failures = tuple(
        Failure(status=status, text="over", calls=n, first_s=0.0) for status, n in (("CANCELLED", 1), ("NOT_ENDED", 2))
    )
    document = ghz_json(result([0.1] * 3, [CANCELLED, NOT_ENDED, NOT_ENDED], failures=failures))
    assert document["errorDistribution"] == {"rpc error: code = Canceled desc = over": 3}


def test_a_text_is_no_formula_in_a_spreadsheet() -> None:
    failures = (Failure(status="UNAVAILABLE", text="=1+1", calls=1, first_s=0.0),)
    assert csv_text(result([0.1], [UNAVAILABLE], failures=failures)).endswith(',"\'=1+1"\n')


def test_a_sentence_names_three_and_counts_the_rest() -> None:
    many = [Failure(status="UNKNOWN", text=str(n), calls=n, first_s=0.0) for n in (1, 2, 3, 4, 5)]
    assert sentence(many) == 'UNKNOWN "1" (1 call), UNKNOWN "2" (2 calls), UNKNOWN "3" (3 calls) and 2 more'


# ---- from real servers, with both engines --------------------------------------------------------------------


def refuse(_request: bytes, context: grpc.ServicerContext) -> bytes:
    info = packed(error_details_pb2.ErrorInfo(reason="NO_TOKEN"))
    context.set_trailing_metadata((("grpc-status-details-bin", info),))
    context.abort(grpc.StatusCode.UNKNOWN, "authentication-failure")
    return b""


def serving(**methods: Any) -> AbstractContextManager[FakeTarget]:
    """A server of the greeter with these methods and no others."""
    handlers: dict[str, Any] = {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in methods.items()}
    handler = grpc.method_handlers_generic_handler("greet.GreeterService", handlers)
    return fake_target(handler, answer=None, services=())


def benched(target: str, engine: str) -> BenchResult:
    levels: dict[str, Level] = {"load.engine": engine, "load.requests": 20, "load.concurrency": 2, "load.warmup_s": 0.0}
    return run_bench(target, planned(levels))


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_both_engines_keep_the_servers_words_and_details(engine: str) -> None:
    with serving(SayHello=refuse) as target:
        measured = benched(target.address, engine)
    (failure,) = measured.run.failures
    assert (failure.status, failure.text, failure.calls) == ("UNKNOWN", "authentication-failure", 20)
    assert failure.details == ('ErrorInfo {reason: "NO_TOKEN"}',)
    assert measured.every_call_failed.startswith("every call to greet.GreeterService/SayHello failed: UNKNOWN")


@pytest.mark.parametrize("engine", ["wire", "grpcio"])
def test_a_server_without_the_greeter_is_told_what_was_called(engine: str) -> None:
    with serving() as target:
        command = [
            sys.executable,
            "-m",
            "grpclab",
            "bench",
            target.address,
            "-q",
            "-n",
            "20",
            "-c",
            "2",
            "--engine",
            engine,
        ]
        done = subprocess.run([*command, "--set", "load.warmup_s=0"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for stream in (done.stdout, done.stderr):
        assert "greet.GreeterService/SayHello" in stream
        assert "--call package.Service/Method" in stream
        assert "Method not found!" in stream
