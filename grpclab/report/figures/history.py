"""The same configuration, and the same headline, from study to study.

Studies stand in order of time. Where the machine or a version changed in between, a line says what changed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.metrics import metric_named, metric_words, value_text
from grpclab.report import recurrence, theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.past import Past, PastLevel
from grpclab.report.recurrence import Change, PastValue

_MARKERS = "osD^vP"


@dataclass(frozen=True, kw_only=True)
class Track:
    """One configuration, or one headline, in the studies that hold it, the oldest first."""

    title: str
    name: str
    colour: str
    marker: str
    spots: tuple[PastValue, ...]


def history(studies: Sequence[Past]) -> list[FigureBlock]:
    """The figures of all that recurs, in any order of `studies`: levels first; none where nothing does."""
    once = {
        (study.study, study.when): study for study in sorted(studies, key=recurrence.order, reverse=True)
    }  # not its copies
    newest = list(once.values())[: recurrence.MOST_STUDIES]
    return [block for draw in (levels, ratios) if (block := draw(newest)) is not None]


def levels(studies: Sequence[Past]) -> FigureBlock | None:
    """The level of each configuration that two studies or more hold; None where none recurs."""
    recurring = recurrence.recurring(studies)
    if not recurring:
        return None
    newest = max(itertools.chain(*recurring.values()), key=lambda pair: pair[0].age)[0]
    metric = recurrence.metric_of(newest, recurring)
    same_metric = {key: pairs for key, pairs in recurring.items() if pairs[0][1].metric == metric}
    chosen = recurrence.chosen(newest, same_metric)
    drawn = recurrence.distinct([study for key in chosen for study, _ in same_metric[key]])
    lines = [
        Track(
            title=words.short(same_metric[key][-1][1].title, 30),
            name=words.short(same_metric[key][-1][1].name, 16),
            colour=_colour(newest, same_metric[key][0][1], at),
            marker=_MARKERS[at],
            spots=tuple(
                PastValue(place=drawn.index(study), mean=level.mean, low=level.low, high=level.high)
                for study, level in same_metric[key]
                if study in drawn
            ),
        )
        for at, key in enumerate(chosen)
    ]
    borders = recurrence.borders(drawn)
    caption = (
        f"{words.sentence_case(metric_words(metric))} in {len(drawn)} studies, from {drawn[0].when} to "
        f"{drawn[-1].when}, for {_choice(len(lines), len(recurring))}. {_moves(lines, borders)}{_changes(borders)}"
    )
    return figure_block(
        title="The same configuration, study by study",
        draw=_draw(lines, borders, drawn, unit=metric_words(metric), text=_scale(metric)),
        wide_height_in=4.4,
        narrow_height_in=4.6,
        alt=f"Line chart of {metric_words(metric)} across {len(drawn)} studies. "
        + "; ".join(
            f"{line.title}: {', '.join(value_text(metric, spot.mean) for spot in line.spots)}" for line in lines
        )
        + f".{_changes(borders)}",
        caption=caption,
        how_to_read=(
            "Studies are shown in chronological order, evenly spaced, with their dates below. Each point is the "
            "geometric mean over the blocks of one study, with a 95% interval; the axis is logarithmic, so equal "
            "distances are equal ratios. Configurations count as the same only if they have the same name, scenario "
            "and settings. A dashed line marks a change of the machine or of a version; the label says what changed. "
            "Points are connected only where nothing changed, since absolute figures from two machines are not "
            "comparable."
        ),
        engines="",
    )


def ratios(studies: Sequence[Past]) -> FigureBlock | None:
    """The newest headline that two studies or more share, as a ratio with its interval; None where none is shared."""
    by_headline: dict[tuple[str, ...], list[Past]] = {}
    for study in sorted(studies, key=recurrence.order):
        if study.same_headline:
            by_headline.setdefault(study.same_headline, []).append(study)
    shared = [same for same in by_headline.values() if len(same) > 1]
    if not shared:
        return None
    same = max(shared, key=lambda same: same[-1].age)
    drawn = recurrence.distinct(same)
    last = drawn[-1]
    spots = tuple(
        PastValue(place=at, mean=one.ratio, low=one.low, high=one.high, verdict=one.verdict)
        for at, one in enumerate(drawn)
    )
    line = Track(title="", name="", colour=theme.INK, marker="o", spots=spots)
    borders = recurrence.borders(drawn)
    title = f"{last.candidate} against {last.baseline}"
    others = len(shared) - 1
    more = f" Not shown: {qty.count(others, 'other headline')} shared by at least two studies." if others else ""
    return figure_block(
        title="The same headline, study by study",
        draw=_draw([line], borders, drawn, unit=f"ratio, {title}", text=qty.ratio_tick, delta=last.delta),
        wide_height_in=3.6,
        narrow_height_in=4.0,
        alt=f"Dot plot of the ratio of {title} in {metric_words(last.metric)} across {len(drawn)} studies: "
        + "; ".join(
            f"{one.when} {qty.ratio(one.ratio)} ({qty.interval(one.low, one.high)}), {one.verdict}" for one in drawn
        )
        + f".{_changes(borders)}",
        caption=(
            f"{title} in {metric_words(last.metric)}: the ratio was {qty.ratio(min(s.mean for s in spots))} to "
            f"{qty.ratio(max(s.mean for s in spots))} in {len(drawn)} studies with the design {last.design}, and "
            f"{qty.ratio(last.ratio)} ({_between(spots[-1])}) in the last one. "
            f"{_agreement(spots, borders)}{more}{_changes(borders)}"
        ),
        how_to_read=(
            "Each marker is the ratio of the headline comparison in one study, with a 95% interval; the marker's shape "
            "and colour show the verdict (upward triangle: faster, downward triangle: slower, square: equivalent, "
            "circle: inconclusive). The line at 1 means no difference; an effect inside the band around that line is "
            "too small to matter. Only studies of the same design with the same settings on both sides are shown. If "
            "the intervals of two studies do not overlap, the studies differ by more than the noise within each; if "
            "there is a dashed line between them, they also differ in the machine or version named there."
        ),
        engines="",
    )


def _choice(drawn: int, recurring: int) -> str:
    """The number of configurations that are drawn, of how many."""
    if recurring == 1:
        return "the one configuration that appears in at least two studies"
    how = ", the two of the newest headline first, then those in the most studies" if recurring > drawn else ""
    return f"{drawn} of {qty.count(recurring, 'configuration')} that appear in at least two studies{how}"


def _colour(newest: Past, level: PastLevel, place: int) -> str:
    sides = {newest.baseline: theme.BASELINE, newest.candidate: theme.CANDIDATE}
    if level.scenario == newest.scenario and level.name in sides:
        return sides[level.name]
    return theme.OTHERS[place % len(theme.OTHERS)]


def _draw(
    lines: Sequence[Track],
    borders: Sequence[Change],
    drawn: Sequence[Past],
    *,
    unit: str,
    text: Callable[[float], str],
    delta: float = math.nan,
) -> theme.Draw:
    is_ratio = bool(lines[0].spots[0].verdict)

    def draw(figure: Figure, narrow: bool) -> None:
        ax = figure.subplots()
        _y_axis(ax, lines, text, ratio=is_ratio)
        if is_ratio:
            if math.isfinite(delta):
                ax.axhspan(1 - delta, 1 + delta, color=theme.BAND, lw=0, zorder=0)
            ax.axhline(1, color=theme.QUIET, lw=1, zorder=1)
        for line in lines:
            _draw_line(ax, line, borders)
        ax.set_xlim(-0.5, len(drawn) - 0.5)
        _dates(ax, drawn, most=4 if narrow else 9)
        theme.clean(ax)
        title = words.short(unit, 44 if narrow else 90)
        ax.set_title(title, color=theme.QUIET, fontweight="normal", fontsize=9.5)
        _draw_borders(ax, borders, most=6 if narrow else 14)
        if is_ratio:
            return
        theme.lay_out(figure)
        last = len(drawn) - 1
        names = [line.name if narrow and len(line.title) > 16 else line.title for line in lines]
        ends = [(last, line.spots[-1].mean, name, line.colour) for line, name in zip(lines, names, strict=True)]
        theme.end_labels(ax, ends)

    return draw


def _draw_line(ax: Axes, line: Track, borders: Sequence[Change]) -> None:
    for piece in recurrence.runs(line.spots, borders):
        ax.plot([s.place for s in piece], [s.mean for s in piece], color=line.colour, lw=1.5, alpha=0.8, zorder=3)
    for spot in line.spots:
        colour = theme.VERDICT.get(spot.verdict, line.colour)
        marker = theme.VERDICT_MARKER.get(spot.verdict, line.marker)
        if math.isfinite(spot.low) and math.isfinite(spot.high):
            bottom, top = ax.get_ylim()
            ends = [max(spot.low, bottom), min(spot.high, top)]
            ax.plot([spot.place] * 2, ends, color=colour, lw=1.4, zorder=3)
            theme.arrowheads(ax, "y", (spot.low, spot.high), spot.place, colour)
        ax.plot(spot.place, spot.mean, marker, ms=6, mfc=colour, mec=colour, zorder=4)


def _draw_borders(ax: Axes, borders: Sequence[Change], *, most: int) -> None:
    for border in borders:
        ax.axvline(border.place + 0.5, color=theme.QUIET, lw=1, ls=(0, (4, 3)), zorder=2)
        if len(borders) <= most:
            ax.text(
                border.place + 0.5,
                0.02,
                f" {words.short(border.what, 44)}",
                transform=ax.get_xaxis_transform(),
                rotation=90,
                ha="right",
                va="bottom",
                fontsize=8,
                color=theme.QUIET,
                bbox={"boxstyle": "square,pad=0.1", "fc": theme.PAPER, "ec": "none", "alpha": 0.85},
                zorder=2,
            )


def _y_axis(ax: Axes, lines: Sequence[Track], text: Callable[[float], str], *, ratio: bool) -> None:
    """A log axis with all that is drawn, intervals included as far as they say something."""
    spots = [spot for line in lines for spot in line.spots]
    intervals = [v for spot in spots for v in (spot.low, spot.high)]
    values = theme.within_reach([spot.mean for spot in spots], intervals, also=[1.0] if ratio else [])
    low, high = math.log(min(values)), math.log(max(values))
    margin = max(0.08 * (high - low), 0.03)
    ends = math.exp(low - margin), math.exp(high + margin)
    ax.set_yscale("log")
    ax.set_ylim(*ends)
    theme.plain_ticks(ax, "y", theme.ratio_ticks(*ends, most=6) if ratio else _level_ticks(*ends), text)


def _level_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends of a log axis, as many as fit."""
    for steps in (tuple(1 + 0.5 * k for k in range(18)), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        inside = [s * 10.0**e for e in range(-9, 10) for s in steps if low <= s * 10.0**e <= high]
        if 3 <= len(inside) <= 8:
            return inside
    middle = math.sqrt(low * high)
    return [float(f"{value:.3g}") for value in (low * 1.02, middle, high / 1.02)]


def _dates(ax: Axes, drawn: Sequence[Past], *, most: int) -> None:
    """A date below every study or every so many, the newest always; with its time where two are of one day."""
    every = max(1, math.ceil(len(drawn) / most))
    places = list(range(len(drawn) - 1, -1, -every))[::-1]
    days = [f"{s.at:%Y-%m-%d}" if s.at else "?" for s in drawn]

    def label(place: int) -> str:
        at = drawn[place].at
        return f"{days[place]}\n{at:%H:%M}" if at and days.count(days[place]) > 1 else days[place]

    labels = {place: label(place) for place in places}
    theme.plain_ticks(ax, "x", [float(place) for place in places], lambda value: labels.get(round(value), ""))


def _scale(metric: str) -> Callable[[float], str]:
    return qty.duration if metric_named(metric).quantity == "time" else qty.amount_tick


def _moves(lines: Sequence[Track], borders: Sequence[Change]) -> str:
    """The change of each line on its last machine."""
    moves = []
    for line in lines:
        piece = recurrence.runs(line.spots, borders)[-1]
        if len(piece) > 1:
            moves.append(f"{qty.ratio(piece[-1].mean / piece[0].mean)} for {line.title}")
    if not moves:
        return "No configuration was measured twice on the most recent machine."
    return f"On the most recent machine, the ratio of the last study to the first is {words.listing(moves)}."


def _agreement(spots: Sequence[PastValue], borders: Sequence[Change]) -> str:
    """Whether the last study agrees with the one before it on the same machine."""
    piece = recurrence.runs(spots, borders)[-1]
    if len(piece) < 2:
        return "No other study has the same machine and versions as the last one."
    before, last = piece[-2], piece[-1]
    if not all(math.isfinite(end) for spot in (before, last) for end in (spot.low, spot.high)):
        return "An interval is missing, so the last two studies cannot be compared."
    overlap = before.low <= last.high and last.low <= before.high
    return f"On the same machine, the intervals of the last two studies {'overlap' if overlap else 'do not overlap'}."


def _between(spot: PastValue) -> str:
    between = qty.interval(spot.low, spot.high)
    return f"95% interval {between}" if between != qty.MISSING else "no interval"


def _changes(borders: Sequence[Change]) -> str:
    if not borders:
        return ""
    times = "once" if len(borders) == 1 else f"{len(borders)} times"
    return f" The machine or a version changed {times}, most recently: {borders[-1].what}."
