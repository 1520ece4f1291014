"""The status of a call that its server gives up at the deadline."""

from __future__ import annotations

import pytest

from grpclab.status import STATUS_NAMES, status_in_time


@pytest.mark.parametrize(
    ("status", "taken_s", "deadline_s", "expected"),
    [
        ("CANCELLED", 0.05, 0.05, "DEADLINE_EXCEEDED"),
        ("CANCELLED", 0.049, 0.05, "CANCELLED"),
        ("CANCELLED", 60.0, None, "CANCELLED"),
        ("UNAVAILABLE", 0.06, 0.05, "UNAVAILABLE"),
    ],
)
def test_a_call_cancelled_after_its_deadline_has_exceeded_it(
    status: str, taken_s: float, deadline_s: float | None, expected: str
) -> None:
    assert STATUS_NAMES[status_in_time(STATUS_NAMES.index(status), taken_s, deadline_s)] == expected
