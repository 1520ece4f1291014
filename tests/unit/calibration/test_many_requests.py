"""What is made of the figures on many requests."""

from __future__ import annotations

import pandas as pd
import pytest

from grpclab.calibration.many_requests import COUNTS, GOALS, body, call_of, claims
from tests.support.pages import html_of


def frame(*factors: float, spread: float = 0.01, errors: int = 0) -> pd.DataFrame:
    """Eight rounds in which a call costs 4 µs times these factors, by the number of requests."""
    rows = [
        {
            "round": number,
            "requests": count,
            "cpu_us_per_call": 4.0 * factor * (1 + spread * ((number + at) % 3 - 1)),
            "calls": 1000,
            "errors": errors,
        }
        for number in range(8)
        for at, (count, factor) in enumerate(zip(COUNTS, factors, strict=True))
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("factors", "spread", "holds"),
    [
        ((1, 1.02, 1.1), 0.01, [True, True, True]),
        ((1, 1.2, 1.3), 0.01, [False, False, True]),
        ((1, 1.04, 1.14), 0.3, [None, None, True]),
    ],
)
def test_a_goal_is_met_where_the_whole_interval_is(
    factors: tuple[float, ...], spread: float, holds: list[bool | None]
) -> None:
    assert [claim.holds for claim in claims(frame(*factors, spread=spread))] == holds


def test_calls_that_failed_are_told_and_the_section_names_each_number_of_requests() -> None:
    assert claims(frame(1, 1, 1, errors=2))[-1].holds is False
    assert all(f"{count:,}" in html_of(body(frame(1, 1, 1))) for count in GOALS)


def test_the_requests_differ_and_have_one_size() -> None:
    call = call_of(1000)
    assert call.payloads is not None
    messages = [call.payloads.message(number) for number in range(1000)]
    assert len(set(messages)) == 1000
    assert {len(message) for message in messages} == {len(call_of(1).payload)}
