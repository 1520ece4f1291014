"""One factor at a time: the ratio of each level to the base."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis import Comparison
from grpclab.analysis.study_plan import PlannedSweep
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.figures.ratio_marks import band, dot, known, reach
from grpclab.report.finished import FinishedStudy

MOST_LEVELS, MOST_PANELS = 12, 12
"""So many levels of a factor, and so many factors, are drawn in one picture."""


def sweeps(study: FinishedStudy) -> FigureBlock | None:
    """One panel for each swept factor, against the base; None where nothing was measured."""
    every = [(entry, points) for entry in study.plan.sweeps if (points := _sweep(study, entry))]
    drawn = [(entry, _some(points)) for entry, points in every[:MOST_PANELS]]
    if not drawn:
        return None
    levels, shown = (sum(len(points) for _, points in of) for of in (every, drawn))
    left_out = (
        "" if shown == levels else (f" The figure shows {shown} of {levels} levels; the tables below show all of them.")
    )
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
        ends = [*reach([c for _, points in drawn for _, c in points]), *study.margins]
        for place, ax in enumerate(axes.ravel()):
            if place >= len(drawn):
                ax.set_axis_off()
                continue
            entry, points = drawn[place]
            theme.ratio_axis(ax, ends, most=6 if narrow or columns == 1 else 5)
            band(ax, study.margins)
            for y, (_, comparison) in enumerate(points):
                if comparison.baseline == comparison.candidate:
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
                    dot(ax, y, comparison)
                    _ratio_above(ax, y, comparison)
            ax.set_yticks(range(len(points)), [words.short(label, 22) for label, _ in points], color=theme.INK)
            ax.set_ylim(len(points) - 0.5, -0.6)
            theme.clean(ax, grid="x")
            ax.spines["left"].set_visible(False)
            ax.set_title(words.short(entry.title or entry.factor, 34))
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
            "Each panel changes one factor and leaves all others as they are in the base (hollow diamond). Markers "
            "are ratios to the base with 95% intervals: triangles are faster or slower, squares equivalent, and "
            f"circles inconclusive. An effect inside the grey band ({study.margin_words}) is too small to matter in "
            "this study."
        ),
        engines=study.engines(side for _, points in drawn for _, c in points for side in (c.baseline, c.candidate)),
    )


def _some(points: list[tuple[str, Comparison]]) -> list[tuple[str, Comparison]]:
    """At most MOST_LEVELS points: the base, the ends, and others evenly between, in their order."""
    if len(points) <= MOST_LEVELS:
        return points
    base = [at for at, (_, c) in enumerate(points) if c.baseline == c.candidate]
    even = [round(at * (len(points) - 1) / (MOST_LEVELS - 2)) for at in range(MOST_LEVELS - 1)]
    return [points[at] for at in sorted({*base, *even})]


def _sweep(study: FinishedStudy, entry: PlannedSweep) -> list[tuple[str, Comparison]]:
    base = entry.base
    points: list[tuple[str, Comparison]] = []
    for point in entry.points:
        name, label = point.configuration, words.plain(point.label)
        if name == base:
            points.append((label, Comparison(metric=study.metric, baseline=base, candidate=base, ratio=1.0)))
            continue
        comparison = study.comparison(entry.scenario, study.metric, base, name)
        if known(comparison):
            points.append((label, comparison))
    return points if any(c.baseline != c.candidate for _, c in points) else []


def _rates(drawn: list[tuple[PlannedSweep, list[tuple[str, Comparison]]]]) -> bool:
    return all(c.metric == "throughput_rps" for _, points in drawn for _, c in points)


def _ratio_above(ax: Axes, y: float, comparison: Comparison) -> None:
    """The ratio above its point: beside a wide interval there is no room."""
    ax.annotate(
        qty.ratio(comparison.ratio),
        xy=(comparison.ratio, y),
        xytext=(0, 6),
        textcoords="offset points",
        va="bottom",
        ha="center",
        color=theme.QUIET,
        fontsize=8.5,
    )


def _sweep_alt(entry: PlannedSweep, points: list[tuple[str, Comparison]]) -> str:
    texts = [f"{label} {'is the base' if c.baseline == c.candidate else words.estimate(c)}" for label, c in points]
    return f"Dot plot, {words.plain(entry.title)}: {'; '.join(texts)}."


def _sweep_caption(entry: PlannedSweep, points: list[tuple[str, Comparison]]) -> str:
    moved = [
        f"{label} is {c.verdict} ({qty.ratio(c.ratio)})" for label, c in points if c.verdict in {"faster", "slower"}
    ]
    title = words.plain(entry.title or entry.factor).rstrip(":")
    text = words.listing(moved) or "no level is clearly faster or slower than the base"
    return f"{words.sentence_case(title)}: {text}."
