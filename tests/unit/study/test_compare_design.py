"""The design of a comparison: what cannot be judged, and what to change for it."""

from __future__ import annotations

import dataclasses

import pytest

from grpclab import OPTIMIZED, Side
from grpclab.study.designs.compare_design import too_few_calls, too_few_of_a_call


@pytest.mark.parametrize(
    ("requests", "rate_rps", "planned", "option"),
    [(600, None, 600, "-n"), (600, 400.0, 600, "-n and -z"), (2500, 300.0, 600, "-z"), (2500, 500.0, 1000, "")],
)
def test_what_is_to_be_raised_is_what_keeps_the_calls_few(
    requests: int, rate_rps: float | None, planned: int, option: str
) -> None:
    load = dataclasses.replace(OPTIMIZED.load, requests=requests, rate_rps=rate_rps, duration_s=2.0)
    side = Side(label="a", config=dataclasses.replace(OPTIMIZED, load=load))
    said = too_few_calls({"a": side, "b": side}).get("latency_p99_s", "")
    expected = f"p99 latency needs 1,000 calls in each trial, but {planned} are planned: raise {option}"
    assert said == (expected if option else "")


def test_calls_of_a_mix_that_are_too_rare_for_a_p99_are_named() -> None:
    load = dataclasses.replace(OPTIMIZED.load, requests=4000, duration_s=2.0)
    side = Side(label="a", config=dataclasses.replace(OPTIMIZED, load=load))
    sides = {"a": side, "b": side}
    assert too_few_of_a_call(sides, {"Buy": 0.75, "Look": 0.25}) == ""
    assert too_few_of_a_call(sides, {"Buy": 0.7, "Look": 0.2, "Watch": 0.1}) == (
        "p99 latency of Look, Watch needs 1,000 of each call in each trial, but 400 of Watch are planned: raise -n"
    )
