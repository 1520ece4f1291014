"""Every comparison of the study as a dot with its interval: the forest plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.metrics import metric_words
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.figures.ratio_marks import band, dot, known, reach
from grpclab.report.finished import FinishedStudy
from grpclab.report.grouping import OTHER_METRICS, grouped

Groups = list[tuple[str, list[Comparison]]]
# Words in columns have their place; the layout must not make room for them a second time.
_ROW: dict[str, Any] = {"va": "center", "fontsize": 8.5, "in_layout": False}
_BOLD: dict[str, Any] = {**_ROW, "fontweight": "bold"}


MOST_ROWS = 30
"""So many ratios stand in one picture: it fits on a sheet of paper."""


def forest(study: FinishedStudy) -> list[FigureBlock]:
    """Every comparison with a ratio, in as many pictures as that takes; empty where there is none."""
    groups = [(name, [c for c in members if known(c)]) for name, members in grouped(study)]
    groups = [(name, members) for name, members in groups if members]
    sheets = _sheets(groups)
    every = [c for _, members in groups for c in members]
    return [_forest_sheet(study, sheet, every, at, len(sheets)) for at, sheet in enumerate(sheets, start=1)]


def _sheets(groups: Groups) -> list[Groups]:
    """The groups in order, divided so that no sheet has more than MOST_ROWS rows; a large group goes on on the next."""
    sheets: list[Groups] = []
    room = 0
    for name, members in groups:
        left = list(members)
        while left:
            if room < 4:
                sheets.append([])
                room = MOST_ROWS
            taken, left = left[: room - 1], left[room - 1 :]
            sheets[-1].append((name, taken))
            room -= len(taken) + 1
    return sheets


def _forest_sheet(study: FinishedStudy, groups: Groups, every: Sequence[Comparison], at: int, of: int) -> FigureBlock:
    shown = [c for _, members in groups for c in members]
    panels = [p for p in (_between(groups, *ends) for ends in ((20, math.inf), (2, 20), (1, 2))) if p]

    def draw(figure: Figure, narrow: bool) -> None:
        heights = [_height(panel, narrow=narrow) for panel in panels]
        grid = figure.subplots(
            len(panels),
            1 if narrow else 3,
            squeeze=False,
            height_ratios=heights,
            width_ratios=None if narrow else [3.7, 3.5, 2.9],
        )
        for row, panel in zip(grid, panels, strict=True):
            _forest_panel(row, panel, study.margins, narrow=narrow)

    def inches(narrow: bool) -> float:
        return sum(0.25 * _height(panel, narrow=narrow) + 0.55 for panel in panels)

    return figure_block(
        title="Every comparison" + (f", {at} of {of}" if of > 1 else ""),
        draw=draw,
        wide_height_in=inches(False),
        narrow_height_in=inches(True),
        alt=_forest_alt(shown),
        caption=_forest_caption(study, shown, every),
        how_to_read=(
            "Each marker is the ratio of candidate to baseline, and the line through the marker is the 95% interval. "
            f"An effect inside the grey band ({study.margin_words}) is too small to matter in this study. Upward "
            "triangles are faster, downward triangles slower, squares equivalent, and circles inconclusive. For "
            "latencies, a ratio below 1 is faster. All comparisons except the headline are corrected for multiple "
            "testing (Holm, one family per metric). Groups with effects beyond a factor of 2, or beyond a factor of "
            "20, have their own scale. A hollow marker means that the load generator may have been the limit on one "
            "side."
        ),
        engines=_engines(study, shown),
    )


def _engines(study: FinishedStudy, shown: Sequence[Comparison]) -> str:
    return study.engines(side for c in shown for side in (c.baseline, c.candidate))


def _between(groups: Groups, least: float, most: float) -> Groups:
    """The groups whose furthest ratio is beyond a factor of `least`, and not beyond one of `most`."""
    furthest = {name: max(abs(math.log(c.ratio)) for c in members) for name, members in groups}
    return [
        (name, members)
        for name, members in groups
        if math.log(least) <= furthest[name] < (math.log(most) if math.isfinite(most) else math.inf)
    ]


def _height(panel: Groups, *, narrow: bool) -> float:
    """The height of a panel in rows."""
    return sum(1.3 + len(members) * 1.5 for _, members in panel) if narrow else sum(1 + len(f) for _, f in panel)


def _forest_panel(row: Sequence[Axes], panel: Groups, margins: tuple[float, float], *, narrow: bool) -> None:
    before, ax, after = (row[0],) * 3 if narrow else row
    shown = [c for _, members in panel for c in members]
    theme.ratio_axis(ax, [*reach(shown), *margins], most=6, pad=0.04)
    band(ax, margins)
    y = 0.0
    for name, members in panel:
        before.text(0, y, words.short(name, 44), transform=before.get_yaxis_transform(), **_BOLD)
        y += 1.3 if narrow else 1
        for comparison, subject in zip(members, _subjects(name, members), strict=True):
            dot(ax, y, comparison)
            if narrow:
                _words_above(ax, y, subject, comparison)
            else:
                _words_beside(before, after, y, subject, comparison)
            y += 1.5 if narrow else 1
    for each in (before, ax, after):
        each.set_ylim(y - 0.5, -0.6)
    if not narrow:
        before.set_axis_off()
        after.set_axis_off()
    ax.set_yticks([])
    theme.clean(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("candidate / baseline, log scale")


def _subjects(group: str, members: Sequence[Comparison]) -> list[str]:
    """What the comparisons of a group are called below its name, without the words that all of them begin with."""
    if group == OTHER_METRICS:
        return [metric_words(c.metric) for c in members]
    texts = [_subject(c).removeprefix(f"{group}: ") for c in members]
    starts = {text.partition(": ")[0] for text in texts}
    return [text.partition(": ")[2] or text for text in texts] if len(members) > 1 and len(starts) == 1 else texts


def _subject(comparison: Comparison) -> str:
    title, metric = words.title_of(comparison), comparison.metric
    return title if metric == "throughput_rps" else f"{metric_words(metric)}: {title}"


def _words_above(ax: Axes, y: float, subject: str, comparison: Comparison) -> None:
    verdict = comparison.verdict
    across = ax.get_yaxis_transform()
    ax.text(0, y - 0.52, words.short(subject, 36), transform=across, **_ROW)
    text = f"{qty.ratio(comparison.ratio)} {verdict}"
    colour = theme.VERDICT.get(verdict, theme.QUIET)
    clear = {"boxstyle": "square,pad=0.1", "fc": theme.PAPER, "ec": "none", "alpha": 0.85}
    ax.text(1, y - 0.52, text, transform=across, ha="right", color=colour, bbox=clear, **_ROW)


def _words_beside(before: Axes, after: Axes, y: float, subject: str, comparison: Comparison) -> None:
    verdict = comparison.verdict
    left, right = before.get_yaxis_transform(), after.get_yaxis_transform()
    before.text(0.03, y, words.short(subject, 44), transform=left, **_ROW)
    between = words.interval_of(comparison)
    after.text(0.14, y, qty.ratio(comparison.ratio), transform=right, ha="right", **_BOLD)
    after.text(0.16, y, between, transform=right, color=theme.QUIET, **_ROW)
    after.text(0.66, y, verdict, transform=right, color=theme.VERDICT.get(verdict, theme.QUIET), **_ROW)


def _forest_alt(shown: list[Comparison]) -> str:
    texts = [f"{words.title_of(c)} {words.ratio_of(c)} ({words.interval_of(c)}), {c.verdict}" for c in shown]
    return f"Forest plot of {qty.count(len(shown), 'ratio')} with 95 % intervals: {'; '.join(texts)}."


def _forest_caption(study: FinishedStudy, shown: Sequence[Comparison], every: Sequence[Comparison]) -> str:
    counts = {v: sum(c.verdict == v for c in shown) for v in theme.VERDICT}
    counted = words.listing([f"{n} {verdict}" for verdict, n in counts.items() if n])
    if len(shown) < len(every):
        return f"This figure shows {len(shown)} of {qty.count(len(every), 'comparison')}: {counted}."
    aa, noise = study.verdict.aa, ""
    if aa and known(aa):
        noise = f" The baseline against itself (A/A) gives {words.estimate(aa)}."
    return f"This figure shows {qty.count(len(shown), 'comparison')}: {counted}.{noise}"
