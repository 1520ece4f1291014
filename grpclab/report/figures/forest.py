"""Ratios as dots with intervals: every comparison of the study, and the sweeps of single factors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab.analysis import metric_words
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.study import Study

Comparison = Mapping[str, Any]
Groups = list[tuple[str, list[Comparison]]]
# Words in columns have their place; the layout must not make room for them a second time.
_ROW: dict[str, Any] = {"va": "center", "fontsize": 8.5, "in_layout": False}
_BOLD: dict[str, Any] = {**_ROW, "fontweight": "bold"}


MOST_ROWS = 30
"""So many ratios stand in one picture: it fits on a sheet of paper."""


def forest(study: Study) -> list[FigureBlock]:
    """Every comparison with a ratio, in as many pictures as that takes; empty where there is none."""
    groups = [(name, [c for c in found if _known(c)]) for name, found in study.listed()]
    groups = [(name, found) for name, found in groups if found]
    sheets = _sheets(groups)
    every = [c for _, found in groups for c in found]
    return [_forest_sheet(study, sheet, every, at, len(sheets)) for at, sheet in enumerate(sheets, start=1)]


def _sheets(groups: Groups) -> list[Groups]:
    """The groups in order, divided so that no sheet has more than MOST_ROWS rows; a large group goes on on the next."""
    sheets: list[Groups] = []
    room = 0
    for name, found in groups:
        left = list(found)
        while left:
            if room < 4:
                sheets.append([])
                room = MOST_ROWS
            taken, left = left[: room - 1], left[room - 1 :]
            sheets[-1].append((name, taken))
            room -= len(taken) + 1
    return sheets


def _forest_sheet(study: Study, groups: Groups, every: Sequence[Comparison], at: int, of: int) -> FigureBlock:
    shown = [c for _, found in groups for c in found]
    panels = [p for p in (_beyond(groups, far=True), _beyond(groups, far=False)) if p]

    def draw(figure: Figure, narrow: bool) -> None:
        heights = [_height(panel, narrow=narrow) for panel in panels]
        grid = figure.subplots(
            len(panels),
            1 if narrow else 3,
            squeeze=False,
            height_ratios=heights,
            width_ratios=None if narrow else [3.7, 3.8, 2.6],
        )
        for row, panel in zip(grid, panels, strict=True):
            _forest_panel(row, panel, study.delta, narrow=narrow)

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
            "A dot is the ratio candidate / baseline, the line through it the 95 % interval. The grey band "
            f"is 1 ± {100 * study.delta:g} %: an effect inside it is too small to matter, by the study's own "
            "choice. Upward triangles are faster, downward ones slower, squares equivalent, circles "
            "inconclusive. For latencies a ratio below 1 is the faster one. All but the headline are "
            "corrected for their number (Holm, one family for each metric). Groups with effects beyond a "
            "factor of 2 have a scale of their own. Hollow marks: the load generator may have been the "
            "limit on one side."
        ),
        engines=_engines(study, shown),
    )


def sweeps(study: Study) -> FigureBlock | None:
    """One panel for each swept factor, against the base; None where nothing was measured."""
    every = [(entry, points) for entry in study.entries("sweeps") if (points := _sweep(study, entry))]
    drawn = [(entry, _some(points)) for entry, points in every[:MOST_PANELS]]
    if not drawn:
        return None
    levels, shown = (sum(len(points) for _, points in of) for of in (every, drawn))
    left_out = "" if shown == levels else f" Drawn are {shown} of {levels} levels; the tables below have all."
    rows = [len(points) for _, points in drawn]
    columns = min(len(drawn), 3)
    lines = -(-len(drawn) // columns)

    def draw(figure: Figure, narrow: bool) -> None:
        if narrow:
            axes = figure.subplots(
                len(drawn),
                1,
                squeeze=False,
                sharex=True,
                gridspec_kw={"height_ratios": [n + 0.6 for n in rows]},
            )
        else:
            axes = figure.subplots(lines, columns, squeeze=False)
        ends = [
            words.number(c.get(key)) for _, points in drawn for _, c in points for key in ("ratio", "ci_low", "ci_high")
        ] + [1 - study.delta, 1 + study.delta]
        for place, ax in enumerate(axes.ravel()):
            if place >= len(drawn):
                ax.set_axis_off()
                continue
            entry, points = drawn[place]
            theme.ratio_axis(ax, ends, most=6 if narrow or columns == 1 else 5)
            _band(ax, study.delta)
            for y, (_, comparison) in enumerate(points):
                if comparison.get("baseline") == comparison.get("candidate"):
                    ax.plot(1, y, "D", ms=6, mfc=theme.PAPER, mec=theme.QUIET, mew=1.5, zorder=4)
                    ax.annotate(
                        "base",
                        xy=(1, y),
                        xytext=(8, 0),
                        textcoords="offset points",
                        va="center",
                        color=theme.QUIET,
                        fontsize=8.5,
                    )
                else:
                    _dot(ax, y, comparison)
                    _ratio_above(ax, y, comparison)
            ax.set_yticks(range(len(points)), [words.short(label, 22) for label, _ in points], color=theme.INK)
            ax.set_ylim(len(points) - 0.5, -0.6)
            theme.clean(ax, grid="x")
            ax.spines["left"].set_visible(False)
            ax.set_title(words.short(entry.get("title") or entry.get("factor") or "", 34))
            if narrow and place < len(drawn) - 1:
                ax.tick_params(labelbottom=False)
        figure.supxlabel(
            "throughput against the base, log scale" if _rates(drawn) else "ratio against the base, log scale",
            fontsize=9.5,
            color=theme.QUIET,
        )

    return figure_block(
        title="One factor at a time",
        draw=draw,
        wide_height_in=lines * (0.33 * max(rows) + 0.85) + 0.3,
        narrow_height_in=0.3 * sum(rows) + 0.5 * len(drawn) + 0.5,
        alt=" ".join(_sweep_alt(entry, points) for entry, points in drawn),
        caption=" ".join(_sweep_caption(entry, points) for entry, points in drawn) + left_out,
        how_to_read=(
            "Each panel changes one factor and leaves all others as they are in the base (hollow diamond). "
            "Dots are ratios to the base with their 95 % intervals; triangles are faster or slower, squares "
            f"equivalent, circles inconclusive. The grey band is 1 ± {100 * study.delta:g} %."
        ),
        engines=_engines(study, [c for _, points in drawn for _, c in points]),
    )


MOST_LEVELS, MOST_PANELS = 12, 12
"""So many levels of a factor, and so many factors, are drawn in one picture."""


def _some(points: list[tuple[str, Comparison]]) -> list[tuple[str, Comparison]]:
    """At most MOST_LEVELS points: the base, the ends, and others evenly between, in their order."""
    if len(points) <= MOST_LEVELS:
        return points
    base = [at for at, (_, c) in enumerate(points) if c["baseline"] == c["candidate"]]
    even = [round(at * (len(points) - 1) / (MOST_LEVELS - 2)) for at in range(MOST_LEVELS - 1)]
    return [points[at] for at in sorted({*base, *even})]


def _engines(study: Study, shown: Sequence[Comparison]) -> str:
    return study.engines(str(c.get(side)) for c in shown for side in ("baseline", "candidate"))


def _beyond(groups: Groups, *, far: bool) -> Groups:
    """The groups with, or without, a ratio beyond a factor of 2."""
    return [
        (name, found) for name, found in groups if far == any(abs(math.log(c["ratio"])) > math.log(2) for c in found)
    ]


def _height(panel: Groups, *, narrow: bool) -> float:
    """The height of a panel in rows."""
    return sum(1.3 + len(found) * 1.5 for _, found in panel) if narrow else sum(1 + len(f) for _, f in panel)


def _forest_panel(row: Sequence[Axes], panel: Groups, delta: float, *, narrow: bool) -> None:
    before, ax, after = (row[0],) * 3 if narrow else row
    shown = [c for _, found in panel for c in found]
    ends = [words.number(c.get(key)) for c in shown for key in ("ratio", "ci_low", "ci_high")]
    theme.ratio_axis(ax, [*ends, 1 - delta, 1 + delta], most=6, pad=0.04)
    _band(ax, delta)
    y = 0.0
    for name, found in panel:
        before.text(0, y, words.short(name, 44), transform=before.get_yaxis_transform(), **_BOLD)
        y += 1.3 if narrow else 1
        for comparison in found:
            _dot(ax, y, comparison)
            subject = _subject(comparison).removeprefix(f"{name}: ")
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


def _known(comparison: Comparison) -> bool:
    return words.number(comparison.get("ratio")) > 0


def _sweep(study: Study, entry: Mapping[str, Any]) -> list[tuple[str, Comparison]]:
    base, scenario = str(entry.get("base") or ""), str(entry.get("scenario") or "")
    found: list[tuple[str, Comparison]] = []
    for point in entry.get("points") or []:
        name, label = str(point.get("configuration") or ""), words.plain(point.get("label") or "")
        if name == base:
            found.append((label, {"baseline": base, "candidate": base, "ratio": 1.0}))
            continue
        comparison = study.comparison(scenario, study.metric, base, name)
        if _known(comparison):
            found.append((label, comparison))
    return found if any(c["baseline"] != c["candidate"] for _, c in found) else []


def _rates(drawn: list[tuple[Mapping[str, Any], list[tuple[str, Comparison]]]]) -> bool:
    return all(c.get("metric", "throughput_rps") == "throughput_rps" for _, points in drawn for _, c in points)


def _band(ax: Axes, delta: float) -> None:
    if 0 < delta < 1:
        ax.axvspan(1 - delta, 1 + delta, color=theme.BAND, lw=0, zorder=0)
    ax.axvline(1, color=theme.QUIET, lw=1, zorder=1)


def _dot(ax: Axes, y: float, comparison: Comparison) -> None:
    verdict = str(comparison.get("verdict") or "inconclusive")
    colour = theme.VERDICT.get(verdict, theme.QUIET)
    low, high = words.number(comparison.get("ci_low")), words.number(comparison.get("ci_high"))
    if low > 0 and math.isfinite(high):
        ax.plot([low, high], [y, y], color=colour, lw=2, solid_capstyle="butt", zorder=3)
    face = theme.PAPER if comparison.get("limited_by") else colour
    marker = theme.VERDICT_MARKER.get(verdict, "o")
    ax.plot(comparison["ratio"], y, marker, ms=6.5, mfc=face, mec=colour, mew=1.4, zorder=4)


def _ratio_above(ax: Axes, y: float, comparison: Comparison) -> None:
    """The ratio above its point: beside a wide interval there is no room."""
    ax.annotate(
        words.ratio(comparison["ratio"]),
        xy=(comparison["ratio"], y),
        xytext=(0, 6),
        textcoords="offset points",
        va="bottom",
        ha="center",
        color=theme.QUIET,
        fontsize=8.5,
    )


def _subject(comparison: Comparison) -> str:
    title = words.plain(comparison.get("title") or f"{comparison.get('candidate')} vs {comparison.get('baseline')}")
    metric = str(comparison.get("metric") or "")
    return title if metric == "throughput_rps" else f"{title} ({metric_words(metric)})"


def _words_above(ax: Axes, y: float, subject: str, comparison: Comparison) -> None:
    verdict = str(comparison.get("verdict") or "inconclusive")
    across = ax.get_yaxis_transform()
    ax.text(0, y - 0.52, words.short(subject, 36), transform=across, **_ROW)
    told = f"{words.ratio(comparison['ratio'])} {verdict}"
    colour = theme.VERDICT.get(verdict, theme.QUIET)
    clear = {"boxstyle": "square,pad=0.1", "fc": theme.PAPER, "ec": "none", "alpha": 0.85}
    ax.text(1, y - 0.52, told, transform=across, ha="right", color=colour, bbox=clear, **_ROW)


def _words_beside(before: Axes, after: Axes, y: float, subject: str, comparison: Comparison) -> None:
    verdict = str(comparison.get("verdict") or "inconclusive")
    left, right = before.get_yaxis_transform(), after.get_yaxis_transform()
    before.text(0.03, y, words.short(subject, 44), transform=left, **_ROW)
    between = words.interval(comparison.get("ci_low"), comparison.get("ci_high"))
    after.text(0.17, y, words.ratio(comparison["ratio"]), transform=right, ha="right", **_BOLD)
    after.text(0.21, y, between, transform=right, color=theme.QUIET, **_ROW)
    after.text(0.63, y, verdict, transform=right, color=theme.VERDICT.get(verdict, theme.QUIET), **_ROW)


def _forest_alt(shown: list[Comparison]) -> str:
    told = [
        f"{words.plain(c.get('title') or c.get('candidate'))} {words.ratio(c['ratio'])} "
        f"({words.interval(c.get('ci_low'), c.get('ci_high'))}), {c.get('verdict')}"
        for c in shown
    ]
    return f"Forest plot of {words.count(len(shown), 'ratio')} with 95 % intervals: {'; '.join(told)}."


def _forest_caption(study: Study, shown: Sequence[Comparison], every: Sequence[Comparison]) -> str:
    counts = {v: sum(c.get("verdict") == v for c in shown) for v in theme.VERDICT}
    told = words.listing([f"{n} {verdict}" for verdict, n in counts.items() if n])
    if len(shown) < len(every):
        return f"Of these {len(shown)} of {words.count(len(every), 'comparison')}: {told}."
    aa = study.verdict.get("aa") or {}
    noise = ""
    if _known(aa):
        noise = f" The baseline against itself (A/A) gives {words.estimate(aa)}."
    return f"Of {words.count(len(shown), 'comparison')}: {told}.{noise}"


def _sweep_alt(entry: Mapping[str, Any], points: list[tuple[str, Comparison]]) -> str:
    told = [f"{label} {'is the base' if c['baseline'] == c['candidate'] else words.estimate(c)}" for label, c in points]
    return f"Dot plot, {words.plain(entry.get('title') or '')}: {'; '.join(told)}."


def _sweep_caption(entry: Mapping[str, Any], points: list[tuple[str, Comparison]]) -> str:
    moved = [
        f"{label} is {c['verdict']} ({words.ratio(c['ratio'])})"
        for label, c in points
        if c.get("verdict") in {"faster", "slower"}
    ]
    title = words.plain(entry.get("title") or entry.get("factor") or "").rstrip(":")
    told = words.listing(moved) or "no level is clearly faster or slower than the base"
    return f"{words.sentence_case(title)}: {told}."
