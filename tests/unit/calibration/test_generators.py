"""What is made of the figures of the wire engine, h2load and ghz, and of what ghz prints."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from grpclab.calibration.generators import CASES, FAST, _descriptors, body, claims, parse_ghz, ratio
from grpclab.calibration.servers import SAY_HELLO
from tests.support.pages import html_of

SUMMARY = """
Summary:
  Count:	2000
  Total:	251.52 ms
  Requests/sec:	7951.75

Status code distribution:
  [OK]            1990 responses
  [Unavailable]   10 responses
"""


def frame(
    *, rate: float = 1.1, cpu: float = 0.2, spread: float = 0.01, rounds: int = 10, errors: int = 0
) -> pd.DataFrame:
    """Rounds in which the wire engine has `rate` times h2load's throughput and `cpu` times ghz's CPU per call."""
    rows = []
    for number in range(rounds):
        noise = 1 + spread * (number % 5 - 2)
        figures = {"wire": (1000 * rate * noise, 20 * cpu * noise), "h2load": (1000, 2), "ghz": (100, 20)}
        for case in CASES:
            rows += [
                {
                    "round": number,
                    "server": case.server,
                    "in_flight": case.in_flight,
                    "tool": tool,
                    "version": {"h2load": "nghttp2/1.52.0"}.get(tool, ""),
                    "rps": figures[tool][0],
                    "cpu_us_per_call": figures[tool][1],
                    "calls": 1000,
                    "errors": errors,
                }
                for tool in case.tools
            ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("rate", "cpu", "spread", "holds"),
    [
        (1.1, 0.2, 0.01, [True, True, True]),
        (0.9, 0.5, 0.01, [False, False, False]),
        (1.0, 1 / 3, 0.01, [None, None, None]),
    ],
)
def test_a_goal_is_met_where_the_whole_interval_is(
    rate: float, cpu: float, spread: float, holds: list[bool | None]
) -> None:
    assert [claim.holds for claim in claims(frame(rate=rate, cpu=cpu, spread=spread))] == [*holds, True]


def test_few_rounds_have_a_median_and_no_interval() -> None:
    found = ratio(frame(rounds=3), "rps", "h2load", FAST)
    assert found.median == pytest.approx(1.089)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert [claim.holds for claim in claims(frame(rounds=3))[:-1]] == [None] * 3


def test_the_interval_of_ten_rounds_leaves_out_the_two_ends() -> None:
    rounds = frame(spread=0)
    wire = (rounds["tool"] == "wire") & (rounds["server"] == FAST.server)
    rounds.loc[wire, "rps"] = [1000.0 * (1 + number / 10) for number in range(10)]
    found = ratio(rounds, "rps", "h2load", FAST)
    assert (found.low, found.median, found.high) == pytest.approx((1.1, 1.45, 1.8))


def test_calls_that_failed_are_told_and_each_case_has_its_rows() -> None:
    assert claims(frame(errors=1))[-1].holds is False
    html = html_of(body(frame()))
    assert all(case.title in html for case in CASES)
    assert "h2load nghttp2/1.52.0" in html


def test_what_ghz_prints_is_understood_and_other_text_is_not() -> None:
    assert parse_ghz(SUMMARY) == {"rps": 7951.75, "ok": 1990}
    assert parse_ghz(SUMMARY.replace("[OK]", "[Internal]")) == {"rps": 7951.75, "ok": 0}
    assert parse_ghz("ghz: error: expected argument 'host'") == {}


def test_ghz_is_given_the_method_that_the_others_call() -> None:
    (file,) = FileDescriptorSet.FromString(_descriptors()).file
    names = [f"{file.package}.{service.name}/{method.name}" for service in file.service for method in service.method]
    assert SAY_HELLO in names
