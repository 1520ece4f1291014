"""Times with their units."""

from __future__ import annotations

import pytest

from grpclab.units import seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [("200us", 2e-4), ("5ms", 0.005), ("1.5s", 1.5), (" 2 m ", 120.0), ("1e3us", 0.001), ("10ns", 1e-8), ("0s", 0.0)],
)
def test_a_time_has_a_unit(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["5", "", "ms", "-1ms", "nans", "infs", "5 h", "1 hour", "1:2s", "1e999s"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time with its unit"):
        seconds(text)
