"""The ladder: from the first configuration to the last, one change at a time, on a log axis of ratios."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import analysis
from grpclab import quantities as qty
from grpclab.metrics import metric_words
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy

_SLOT = 0.07  # the width of an empty slot, as a share of the axis


@dataclass(frozen=True, kw_only=True)
class Step:
    """A rung: from `start` to `start * ratio`, relative to the first rung. NaN where nothing is known.

    `limited`: the client was the limit on one of its two sides.
    """

    title: str
    kept: bool
    reason: str
    start: float
    ratio: float
    low: float
    high: float
    verdict: str
    limited: bool

    @property
    def end(self) -> float:
        """The end of the rung's bar."""
        return self.start * self.ratio


def steps(study: FinishedStudy) -> list[Step]:
    """The rungs after the first, each placed where its baseline stands."""
    table = analysis.ladder_steps(study.trials, study.plan, study.metric, study.comparisons.values())
    reached: dict[str, float] = {}
    here = 1.0
    placed = []
    for row in table.itertuples(index=False):
        configuration, baseline = str(row.configuration or ""), str(row.baseline or "")
        reason = words.plain(row.not_testable or "")
        if not reason and (not baseline or baseline == configuration) and not reached:
            reached[configuration] = 1.0
            continue
        start = reached.get(baseline, here)
        ratio = math.nan if reason else qty.number(row.ratio)
        step = Step(
            title=words.plain(row.title or row.name),
            kept=bool(row.kept),
            reason=reason or ("" if math.isfinite(ratio) else "no ratio could be computed"),
            start=start,
            ratio=ratio,
            low=qty.number(row.ci_low),
            high=qty.number(row.ci_high),
            verdict=str(row.verdict or ""),
            limited=any(study.limits(name) for name in (baseline, configuration)),
        )
        if step.kept and math.isfinite(step.end):
            reached[configuration] = here = step.end
        placed.append(step)
    return placed


def ladder(study: FinishedStudy) -> FigureBlock | None:
    """The waterfall; None where the plan has no ladder or no rung could be measured."""
    if not study.plan.ladder:
        return None
    rungs = steps(study)
    if not any(math.isfinite(s.ratio) for s in rungs):
        return None
    total = _ends_compared(study)
    whole = total.ratio
    bars = [v for s in rungs for v in (s.start, s.end)] + [whole]
    ends = theme.within_reach(bars, [v for s in rungs for v in (s.start * s.low, s.start * s.high)], also=[1.0])
    if any(not math.isfinite(s.ratio) for s in rungs):
        spread = [v for v in [*ends, 1.0] if math.isfinite(v)]
        ends.append(max(s.start for s in rungs) * (max(spread) / min(spread)) ** _SLOT)
    rows = len(rungs) + (1 if math.isfinite(whole) else 0)

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        theme.ratio_axis(ax, ends, most=6 if narrow else 10)
        for y, step in enumerate(rungs):
            _rung(ax, y, step, narrow=narrow)
        for y, step in enumerate(rungs):
            later = [i for i, other in enumerate(rungs) if i > y and other.start == step.end]
            if later and step.kept:
                ax.plot([step.end] * 2, [y + 0.25, later[-1] - 0.25], color=theme.QUIET, lw=0.8, zorder=1)
        if math.isfinite(whole):
            low, high = total.ci_low, total.ci_high
            y = len(rungs)
            ax.axhline(y - 0.55, color=theme.FAINT, lw=1)
            hollow = bool(total.limited_by)
            face = theme.PAPER if hollow else theme.INK
            ax.barh(y, whole - 1, left=1, height=0.5, fc=face, ec=theme.INK, lw=1, zorder=2)
            _whisker(ax, y, low, high, theme.INK)
            _note(ax, y, (1, whole), (low, high), qty.ratio(whole), bold=True, hollow=hollow, narrow=narrow)
        labels = [s.title for s in rungs] + (["all together"] if math.isfinite(whole) else [])
        ax.axvline(1, color=theme.QUIET, lw=1, zorder=1)
        ax.set_ylim(rows - 0.4, -0.6)
        if narrow:
            ax.set_yticks([])
            for y, label in enumerate(labels):
                ax.text(
                    0,
                    y - 0.33,
                    words.short(label, 44),
                    transform=ax.get_yaxis_transform(),
                    va="bottom",
                    fontsize=9,
                    bbox={"boxstyle": "square,pad=0.12", "fc": theme.PAPER, "ec": "none"},
                )
            ax.set_ylim(rows - 0.5, -0.8)
        else:
            ax.set_yticks(range(rows), [words.short(label, 34) for label in labels], color=theme.INK)
        theme.clean(ax, grid="x")
        ax.spines["left"].set_visible(False)
        ax.set_xlabel(f"{metric_words(study.metric)} relative to the first rung, log scale")

    return figure_block(
        title="From the first rung to the last",
        draw=draw,
        wide_height_in=0.46 * rows + 0.9,
        narrow_height_in=0.58 * rows + 0.8,
        alt=_alt(study, rungs, whole),
        caption=_caption(rungs, whole),
        how_to_read=(
            "Read from top to bottom. Each rung builds on the last rung that was kept: its bar starts where that bar "
            "ends, and the length of the bar is the ratio between the two rungs. On a logarithmic axis, equal "
            "lengths are equal ratios. The thin line is the 95% interval of that ratio. Coloured bars are rungs that "
            "were kept; grey hatched bars are rungs that were tried and rejected. A dashed empty slot is a rung that "
            "cannot be tested on this machine, which does not mean that the rung has no effect. The last bar "
            "compares the two ends of the ladder directly. A hollow bar means that the client may have been the "
            "limit on one side."
        ),
        engines=study.engines(rung.configuration for rung in study.plan.ladder),
    )


def _ends_compared(study: FinishedStudy) -> analysis.Comparison:
    """The plan's comparison of the two ends of the ladder; an empty one where it has none."""
    kept = [rung.configuration for rung in study.plan.ladder if rung.kept and rung.configuration]
    ends = (study.metric, kept[0], kept[-1]) if kept else ()
    compared = [c for key, c in study.comparisons.items() if key[1:] == ends]
    return compared[0] if compared else analysis.Comparison()


def _rung(ax: Axes, y: int, step: Step, *, narrow: bool) -> None:
    if not math.isfinite(step.ratio):
        complete = step.reason.startswith(("no ", "not "))
        text = step.reason if complete else f"not testable here: {step.reason}"
        left, right = ax.get_xlim()
        end = step.start * (right / left) ** (_SLOT * 0.8)
        ax.barh(
            y,
            end - step.start,
            left=step.start,
            height=0.5,
            fc="none",
            ec=theme.QUIET,
            ls=(0, (3, 2)),
            lw=1,
        )
        on_left = step.start > math.sqrt(left * right)
        ax.annotate(
            textwrap.fill(words.short(text, 64), 34 if narrow else 64),
            xy=(step.start if on_left else end, y),
            xytext=(-6 if on_left else 6, 0),
            textcoords="offset points",
            va="center",
            ha="right" if on_left else "left",
            color=theme.QUIET,
            fontsize=8.5,
            style="italic",
        )
        return
    colour = theme.CANDIDATE if step.kept else theme.QUIET
    ax.barh(
        y,
        step.end - step.start,
        left=step.start,
        height=0.5,
        fc=(theme.PAPER if step.limited else colour) if step.kept else "#F1F3F6",
        ec=colour if step.kept else "#A3AEBB",
        hatch="" if step.kept else "////",
        lw=1,
        zorder=2,
    )
    if step.kept and abs(math.log(step.ratio)) < 0.004:
        ax.plot([step.end] * 2, [y - 0.25, y + 0.25], color=colour, lw=2.5, zorder=2)
    low, high = step.start * step.low, step.start * step.high
    _whisker(ax, y, low, high, theme.INK)
    note = qty.ratio(step.ratio) + ("" if step.kept else "  rejected")
    _note(ax, y, (step.start, step.end), (low, high), note, bold=step.kept, hollow=step.limited, narrow=narrow)


def _whisker(ax: Axes, y: float, low: float, high: float, colour: str) -> None:
    if math.isfinite(low) and math.isfinite(high):
        left, right = ax.get_xlim()
        ax.plot([max(low, left), min(high, right)], [y, y], color=colour, lw=1.2, zorder=4)
        theme.arrowheads(ax, "x", (low, high), y, colour)
        for end in (end for end in (low, high) if left <= end <= right):
            ax.plot([end] * 2, [y - 0.09, y + 0.09], color=colour, lw=1.2, zorder=4)


def _note(
    ax: Axes,
    y: float,
    bar: tuple[float, float],
    ends: tuple[float, float],
    text: str,
    *,
    bold: bool,
    hollow: bool,
    narrow: bool,
) -> None:
    """The factor inside its bar where the bar is long, else beside it, on the side with room."""
    (start, end), (low, high) = bar, ends
    left, right = ax.get_xlim()
    edges = [min(max(v, left), right) for v in (start, end, low, high) if math.isfinite(v)]
    scale = math.log(right / left)
    inner = min(max(v, left) for v in (end, low) if math.isfinite(v))
    inside = end > start and math.log(inner / start) / scale > (0.28 if narrow else 0.14)
    on_right = math.log(right / max(edges)) / scale > (0.3 if narrow else 0.16)
    x, ha = (inner, "right") if inside else (max(edges), "left") if on_right else (min(edges), "right")
    ax.annotate(
        text,
        xy=(x, y),
        xytext=(6 if ha == "left" else -6, 0),
        textcoords="offset points",
        va="center",
        ha=ha,
        fontweight="bold" if bold else "normal",
        color=theme.PAPER if inside and bold and not hollow else theme.INK if bold else theme.QUIET,
        zorder=5,
    )


def _caption(rungs: list[Step], whole: float) -> str:
    kept = [s for s in rungs if s.kept and math.isfinite(s.ratio)]
    parts = []
    if kept:
        best = max(kept, key=lambda s: s.ratio)
        product = math.prod(s.ratio for s in kept)
        parts.append(
            f"The largest single step is {best.title}, with {qty.ratio(best.ratio)}. Multiplied together, the kept "
            f"rungs give {qty.ratio(product)}"
        )
        if math.isfinite(whole):
            parts[-1] += f"; measured directly, they give {qty.ratio(whole)}"
    rejected = [s.title for s in rungs if not s.kept]
    if rejected:
        parts.append(f"Rejected: {words.listing(rejected)}")
    slots = [s.title for s in rungs if not math.isfinite(s.ratio)]
    if slots:
        parts.append(f"Not measured on this machine: {words.listing(slots)}")
    return ". ".join(parts) + "."


def _alt(study: FinishedStudy, rungs: list[Step], whole: float) -> str:
    parts = []
    for s in rungs:
        if math.isfinite(s.ratio):
            kept = "kept" if s.kept else "rejected"
            between = words.interval_of(analysis.Comparison(ratio=s.ratio, ci_low=s.low, ci_high=s.high))
            parts.append(f"{s.title} {qty.ratio(s.ratio)} ({between}), {kept}")
        else:
            parts.append(f"{s.title}: {s.reason}")
    end = f"; all together {qty.ratio(whole)}" if math.isfinite(whole) else ""
    return f"Waterfall of {metric_words(study.metric)} factors on a log axis: {'; '.join(parts)}{end}."
