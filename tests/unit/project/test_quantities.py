"""Numbers as text: one module writes them, for a terminal, a page and an axis."""

from __future__ import annotations

import math

import pytest

from grpclab import quantities as qty


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (2e-4, "200 µs"),
        (8.5e-4, "850 µs"),
        (0.0009999, "1 ms"),
        (0.0123, "12.3 ms"),
        (0.99996, "1 s"),
        (-0.002, "-2 ms"),
        (0, "0 µs"),
        (math.nan, "–"),
        (None, "–"),
        (999.6, "1,000 s"),
        (3600.0, "3,600 s"),
    ],
)
def test_a_time_is_written_at_a_readable_scale(seconds: float | None, shown: str) -> None:
    assert qty.duration(seconds) == shown


def test_a_time_in_a_column_keeps_its_unit_whatever_its_size() -> None:
    assert qty.duration_in(0.0000871, "ms", ",.2f") == "0.09 ms"
    assert qty.duration_in(1.5, "µs", ",.0f") == "1,500,000 µs"
    assert qty.duration_in(0.5, "ms", ".1f", bare=True) == "500.0"
    assert [qty.microseconds(s) for s in (3.2e-6, 3.2e-5)] == ["3.2", "32"]


@pytest.mark.parametrize(
    ("ratio", "report", "sentence"),
    [
        (3.4, "3.40×", "3.4×"),
        (1.084, "1.08×", "1.08×"),
        (0.8, "0.80×", "0.80×"),
        (123.4, "123×", "123×"),
        (0.0123, "0.01×", "0.012×"),
        (math.nan, "–", "nan×"),
    ],
)
def test_a_ratio_has_the_fewer_digits_the_larger_it_is(ratio: float, report: str, sentence: str) -> None:
    assert (qty.ratio(ratio), qty.ratio(ratio, "sentence")) == (report, sentence)


def test_amounts_counts_and_shares_for_a_report_and_for_a_sentence() -> None:
    assert [qty.amount(12.0), qty.amount(12.0, "sentence"), qty.amount(12345.6)] == ["12.0", "12", "12,346"]
    assert [qty.percent(0.042), qty.percent(0.042, "sentence"), qty.percent(0)] == ["4.2%", "4%", "0%"]
    assert [qty.count(1, "block"), qty.count(1200, "block")] == ["1 block", "1,200 blocks"]
    assert [qty.count(n, "process", "processes") for n in (1, 2.5)] == ["1 process", "2.5 processes"]
    assert [qty.cores(n) for n in (1, 0.97, 0.002771)] == ["1 core", "0.97 cores", "0.0028 cores"]
    assert qty.percent_as_set(0.025) == "2.5%"
