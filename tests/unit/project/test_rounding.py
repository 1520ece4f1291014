"""Figures that differ by rounding are equal, and no others."""

from __future__ import annotations

import pytest

from tests.support.rounding import as_rounded


@pytest.mark.parametrize(
    ("text", "expected", "equal"),
    [
        ("p=1.5577252028025018e-07, n=6", "p=1.5577252028025099e-07, n=6", True),
        ("0.08207938013", "0.08207938017", True),
        ("0.08207938013", "0.08207948017", False),
        ("1.5577252028025018e-07", "1.5577252028025018e-06", False),
        ("2.5x of 0.08207938013", "2.6x of 0.08207938013", False),
        ("0.08207938013", "0.08207938013, 0.08207938013", False),
    ],
)
def test_only_the_last_digits_may_differ(text: str, expected: str, equal: bool) -> None:
    assert (as_rounded(text, expected) == expected) == equal
