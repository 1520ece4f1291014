"""The headline beside what it must be read with: every block as a dot, the mean with its interval, the A/A below."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.metrics import lower_is_faster, metric_words
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.confidence import ratios_of
from grpclab.report.figures.ratio_marks import band, dot, known, reach
from grpclab.report.finished import FinishedStudy

MOST_OTHERS = 8
"""So many other comparisons stand below the headline."""
_LONGEST_TITLE = {"wide": 58, "narrow": 46}


@dataclass(frozen=True)
class _Row:
    title: str
    comparison: Comparison
    ratios: Sequence[float]


def headline(study: FinishedStudy) -> FigureBlock | None:
    """The headline, its parts or the other levels against the same baseline, and the A/A; None without a ratio."""
    if not known(study.headline):
        return None
    rows = [_row(study, title, c) for title, c in _compared(study)]
    shown = [row.comparison for row in rows]
    first, metric = study.headline, metric_words(study.metric_of_headline)

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        theme.ratio_axis(ax, [*reach(shown), *study.margins], most=5 if narrow else 7, pad=0.06)
        band(ax, study.margins)
        low, high = ax.get_xlim()
        across = ax.get_yaxis_transform()
        for y, row in enumerate(rows):
            inside = [ratio for ratio in row.ratios if low <= ratio <= high]
            ax.plot(inside, np.full(len(inside), y + 0.24), "o", ms=3.2, mew=0, alpha=0.55, color=theme.QUIET, zorder=2)
            dot(ax, y, row.comparison)
            weight = "bold" if y == 0 else "normal"
            title = words.short(row.title, _LONGEST_TITLE["narrow" if narrow else "wide"])
            ax.text(
                0,
                y - (0.52 if narrow else 0.34),
                title,
                transform=across,
                va="center",
                fontsize=9,
                fontweight=weight,
                in_layout=False,
            )
            text = f"{words.ratio_of(row.comparison)} {_verdict(row.comparison)}"
            colour = theme.VERDICT.get(row.comparison.verdict, theme.QUIET)
            style: dict[str, Any] = {
                "va": "center",
                "ha": "right",
                "fontsize": 9,
                "fontweight": weight,
                "color": colour,
            }
            ax.text(1, y - (0.27 if narrow else 0.34), text, transform=across, in_layout=False, **style)
        ax.set_ylim(len(rows) - 0.45, -0.75)
        ax.set_yticks([])
        ax.set_xlabel(f"{metric}, candidate / baseline, log scale")
        theme.clean(ax, grid="x")
        ax.spines["left"].set_visible(False)

    texts = [f"{row.title}: {words.estimate(row.comparison)}, {row.comparison.verdict}" for row in rows]
    less = " Lower is better." if lower_is_faster(study.metric_of_headline) else ""
    return figure_block(
        title=f"Ratio of {metric}, block by block",
        draw=draw,
        wide_height_in=0.75 + 0.52 * len(rows),
        narrow_height_in=0.75 + 0.68 * len(rows),  # the ratio stands below the title
        alt=f"Ratios with 95% intervals over blocks: {'; '.join(texts)}.",
        caption=_caption(study, first, rows),
        how_to_read=(
            f"Each small grey dot is one block: the candidate's {metric} divided by the baseline's. The large marker "
            "is the geometric mean of the dots, and the line through that marker is the 95% confidence interval. An "
            f"effect inside the grey band ({study.margin_words}) is too small to matter in this study.{less} The "
            "baseline against itself (A/A) shows how noisy this machine is."
        ),
        engines=study.engines(side for c in shown for side in (c.baseline, c.candidate)),
    )


def _compared(study: FinishedStudy) -> list[tuple[str, Comparison]]:
    """The rows: the headline, what belongs to it, and the A/A."""
    first = study.headline
    rows = [(words.title_of(first, "the headline"), first)]
    rows += [(title, c) for title, c in study.parts() if known(c)]
    if len(rows) == 1:
        same = (first.scenario, first.metric, first.baseline)
        others = (
            c
            for c in study.verdict.comparisons
            if (c.scenario, c.metric, c.baseline) == same and c.candidate != first.candidate and known(c)
        )
        against = re.compile(rf",? against {re.escape(study.title(first.baseline))}$")
        rows += [(against.sub("", words.title_of(c)), c) for c in islice(others, MOST_OTHERS)]
    aa = study.verdict.aa
    if aa and known(aa) and aa.metric == first.metric and aa not in [c for _, c in rows]:
        rows.append((words.title_of(aa, "the baseline against itself (A/A)"), aa))
    return rows


def _row(study: FinishedStudy, title: str, c: Comparison) -> _Row:
    return _Row(title, c, ratios_of(study, c))


def _caption(study: FinishedStudy, first: Comparison, rows: Sequence[_Row]) -> str:
    """The headline's blocks, and the noise beside them."""
    ratios = rows[0].ratios
    spread = f"ratios from {qty.ratio(min(ratios))} to {qty.ratio(max(ratios))}" if ratios else qty.ratio(first.ratio)
    text = f"{words.title_of(first, 'the headline')}: {spread} in {qty.count(len(ratios), 'block')}"
    aa = study.verdict.aa
    noise = f" The baseline against itself (A/A) gives {qty.ratio(aa.ratio)}." if aa and known(aa) else ""
    return f"{words.sentence_case(text)}.{noise} The grey band marks differences too small to matter in this study."


def _verdict(c: Comparison) -> str:
    """The verdict, with the reason for none where the blocks are too few, however far from 1 they lie."""
    return f"{c.verdict}: only {qty.count(c.blocks, 'block')}" if c.too_few_blocks else c.verdict
