"""No axis follows an interval that says nothing, and its ticks never overprint."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.report import theme, words
from grpclab.report.figures import forest
from grpclab.report.figures.history import history
from grpclab.report.figures.ratio_marks import dot, reach
from grpclab.report.grouping import grouped
from grpclab.report.past import Past, summary
from tests.support import synthetic

HUGE = Comparison(ratio=1.3, ci_low=3e-9, ci_high=2_864_277_723.0, blocks=2)
TIGHT = Comparison(ratio=0.8, ci_low=0.7, ci_high=0.9, verdict="slower", blocks=6)


def test_an_interval_moves_an_axis_no_further_than_its_reach() -> None:
    values = reach([HUGE, TIGHT])
    assert min(values) == pytest.approx(0.8 / theme.REACH)
    assert max(values) == pytest.approx(1.3 * theme.REACH)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1), st.lists(st.floats(min_value=0) | st.just(math.nan)))
def test_every_point_is_within_reach_and_all_of_it_is_finite(points: list[float], ends: list[float]) -> None:
    found = theme.within_reach(points, ends)
    assert set(points) <= set(found)
    assert all(math.isfinite(value) and value > 0 for value in found)


@given(st.floats(1e-9, 0.9), st.floats(1.1, 1e9), st.integers(4, 10))
def test_there_are_no_more_ticks_than_fit(low: float, high: float, most: int) -> None:
    ticks = theme.ratio_ticks(low, high, most=most)
    assert 1.0 in ticks
    spans = [math.log(b / a) for a, b in itertools.pairwise(ticks)]
    assert all(span >= math.log(high / low) * 0.4 / most for span in spans)


def test_an_interval_that_goes_on_beyond_the_picture_ends_in_arrowheads() -> None:
    ax = Figure().subplots()
    theme.ratio_axis(ax, reach([HUGE, TIGHT]), most=6)
    for y, comparison in enumerate((HUGE, TIGHT)):
        dot(ax, y, comparison)
    heads = [line.get_marker() for line in ax.lines if line.get_marker() in ("<", ">")]
    assert heads == ["<", ">"]
    left, right = ax.get_xlim()
    drawn = np.concatenate([np.asarray(line.get_xdata(), dtype=float) for line in ax.lines])
    assert left <= drawn.min() <= drawn.max() <= right


def made(blocks: int) -> synthetic.MadeStudy:
    return synthetic.small_study(blocks=blocks)


def test_two_blocks_have_no_interval_in_any_row_and_no_verdict() -> None:
    study = made(2).finished()
    rows = [c for _, group in grouped(study) for c in group]
    assert {words.interval_of(c) for c in rows} == {"too few blocks"}
    assert {c.verdict for c in rows} == {"inconclusive"}
    assert all(math.isnan(c.p_adjusted) for c in rows)
    assert all("too few blocks" in block.alt for block in forest(study))


def test_the_history_of_studies_is_drawn_to_the_scale_of_its_levels() -> None:
    found = made(6)
    about = summary(found.finished()).written()
    for level in about["levels"]:
        level |= {"ci_low": 1e-9, "ci_high": 2_864_277_723.0}
    about |= {"ci_low": 1e-9, "ci_high": 2_864_277_723.0}
    studies = [
        Past.read(about | {"study": name, "created_at": f"2026-11-0{day}T00:00:00Z"})
        for day, name in ((1, "x"), (2, "y"))
    ]
    blocks = history(studies)
    assert len(blocks) == 2
    assert all("864,277" not in block.html() for block in blocks)


def test_an_interval_wider_than_a_hundredfold_says_that_it_says_nothing() -> None:
    assert qty.interval(3e-9, 2_864_277_723.0) == qty.interval(0.0, 5e9) == "too wide to tell"
    assert (qty.interval(0.5, 20.0), qty.interval(0.0, 0.5)) == ("0.5 to 20.0", "0.00 to 0.50")
