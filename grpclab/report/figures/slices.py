"""Both sides of the headline, slice by slice, and their ratio beneath: whether the noise is shared."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import numbers
from grpclab.metrics import metric_words
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy

MOST_BLOCKS, MOST_BLOCKS_NARROW = 12, 5
"""So many blocks are drawn, evenly chosen among them all."""
GAP = 0.06
"""Between two blocks, as a share of the longest."""
LEAST_REACH = math.log(1.02)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """The scatter within blocks, as standard deviations of logarithms: of each side from pass to pass, and of the
    ratio; `shared` is the correlation of the sides, `speeds` that of the ratio and the speeds of the cores, NaN if they
    are not known."""

    baseline: float
    candidate: float
    ratio: float
    shared: float
    speeds: float = math.nan


def passes(study: FinishedStudy) -> pd.DataFrame:
    """One row a pass in which both sides count: block, pass, at (seconds since the group began), baseline, candidate,
    speeds (the speed of the candidate's cores over that of the baseline's; NaN if it is not known).

    The sides are in the unit of the headline's metric: means over the slices of that pass, of the last group of each
    block that holds both. Empty where there are none.
    """
    columns = ["block", "pass", "at", "baseline", "candidate", "speeds"]
    frame = study.slices
    sides = {study.baseline: "baseline", study.candidate: "candidate"}
    if frame.empty or len(sides) < 2:
        return pd.DataFrame(columns=columns)
    metric = study.metric_of_headline if study.metric_of_headline in frame else "throughput_rps"
    middle = (frame["started_at"] + frame["ramp_s"] + frame["counted_s"] / 2).astype(float)
    speed = numbers(frame, "core_speed")
    frame = frame.assign(value=frame[metric].astype(float), at=middle, side=frame["member"].map(sides), speed=speed)
    usable = frame["valid"] & frame["side"].notna() & (frame["value"] > 0)
    kept = frame[usable & np.isfinite(frame["value"]) & np.isfinite(frame["at"])]
    if kept.empty:
        return pd.DataFrame(columns=columns)
    kept = kept[kept["group"] == kept.groupby("block")["group"].transform("max")]
    times = kept.groupby(["block", "pass"])["at"].mean()
    means = kept.groupby(["block", "pass", "side"])[["value", "speed"]].mean().unstack("side")
    wide, speeds = means["value"], means["speed"]
    if not {"baseline", "candidate"} <= set(wide.columns):
        return pd.DataFrame(columns=columns)
    quotient = (speeds["candidate"] / speeds["baseline"]).rename("speeds")
    whole: pd.DataFrame = wide.dropna().join([times, quotient]).reset_index()
    return whole.sort_values(["block", "pass"], ignore_index=True)[columns]


def noise(table: pd.DataFrame) -> Noise | None:
    """The scatter of :func:`passes` within blocks; None with fewer than three passes in all beyond one a block."""
    logs = pd.DataFrame({side: np.log(table[side]) for side in ("baseline", "candidate")})
    logs["ratio"] = logs["candidate"] - logs["baseline"]
    centred = logs - logs.groupby(table["block"]).transform("mean")
    degrees = len(table) - table["block"].nunique()
    if degrees < 3:
        return None
    one, other, ratio = (math.sqrt(float((centred[name] ** 2).sum()) / degrees) for name in logs)
    both = float((centred["baseline"] * centred["candidate"]).sum()) / degrees
    return Noise(
        baseline=one,
        candidate=other,
        ratio=ratio,
        shared=both / (one * other) if one and other else 0.0,
        speeds=_follows(centred["ratio"], table),
    )


def _follows(ratio: pd.Series, table: pd.DataFrame) -> float:
    """The correlation within blocks of ln ratio and the ln speeds of the cores; NaN if those are not known."""
    speeds = table["speeds"].astype(float)
    if not (speeds > 0).all():
        return math.nan
    logs = pd.Series(np.log(speeds), index=table.index)
    centred = logs - logs.groupby(table["block"]).transform("mean")
    spread = math.sqrt(float((ratio**2).sum() * (centred**2).sum()))
    return float((ratio * centred).sum()) / spread if spread > 0 else math.nan


def slices(study: FinishedStudy) -> FigureBlock | None:
    """The figure; None where the headline's sides were not interleaved in at least two passes."""
    table = passes(study)
    scatter = noise(table) if len(table) else None
    if scatter is None:
        return None
    names = {"baseline": study.title(study.baseline), "candidate": study.title(study.candidate)}
    relative = pd.DataFrame({side: table[side] / _centre(table[side]) for side in names})
    ratio = table["candidate"] / table["baseline"]
    centre = _centre(ratio)
    farthest = [
        float(np.abs(np.log(values)).max()) for values in (*relative.to_dict("series").values(), ratio / centre)
    ]
    reach = max(LEAST_REACH, 1.12 * max(farthest))
    blocks = list(dict.fromkeys(table["block"]))

    def draw(figure: Figure, narrow: bool) -> None:
        shown = _some(blocks, MOST_BLOCKS_NARROW if narrow else MOST_BLOCKS)
        places, middles = _places(table, shown)
        top, beneath = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [1.25, 1]})
        for ax in (top, beneath):
            ax.set_yscale("log")
            for at, block in enumerate(shown):
                if at % 2 == 0:
                    xs = places[table["block"] == block]
                    ax.axvspan(xs.min() - GAP / 2, xs.max() + GAP / 2, color="#F5F7F9", lw=0, zorder=0)
        for block in shown:
            rows = table["block"] == block
            for side, colour, marker in (("baseline", theme.BASELINE, "o"), ("candidate", theme.CANDIDATE, "s")):
                _line(top, places[rows], relative[side][rows], colour, marker)
            _line(beneath, places[rows], ratio[rows], theme.INK, "")
            if math.isfinite(scatter.speeds):
                beneath.plot(places[rows], centre * table["speeds"][rows], color=theme.OTHERS[0], lw=1.1, zorder=2)
        top.set_ylim(math.exp(-reach), math.exp(reach))
        beneath.set_ylim(centre * math.exp(-reach), centre * math.exp(reach))
        ticks = theme.ratio_ticks(math.exp(-reach), math.exp(reach), most=5)
        theme.plain_ticks(top, "y", ticks, lambda v: f"{100 * (v - 1):+.0f}%" if v != 1 else "mean")
        theme.plain_ticks(
            beneath,
            "y",
            [centre * tick for tick in ticks],
            lambda v: qty.ratio(centre) if math.isclose(v, centre) else f"{100 * (v / centre - 1):+.0f}%",
        )
        beneath.axhline(centre, color=theme.QUIET, lw=1, zorder=1)
        top.axhline(1, color=theme.QUIET, lw=1, zorder=1)
        theme.plain_ticks(
            beneath, "x", list(middles), lambda v: middles[v] if narrow or len(shown) > 8 else f"block {middles[v]}"
        )
        for ax in (top, beneath):
            theme.clean(ax)
        _legend(top, names, narrow=narrow)
        length = 20 if narrow else 34
        quotient = f"{words.short(names['candidate'], length)} / {words.short(names['baseline'], length)}"
        beneath.set_title(quotient, fontweight="normal", fontsize=9.5)
        if math.isfinite(scatter.speeds):
            place = {"transform": beneath.transAxes, "ha": "right", "fontsize": 9.5}
            beneath.text(1.0, 1.03, "speeds of their cores", color=theme.OTHERS[0], **place)
        beneath.set_xlabel("time within each group" + ("" if not (narrow or len(shown) > 8) else ", by block"))

    metric = metric_words(study.metric_of_headline)
    caption = _caption(scatter, names)
    if study.narrowing:
        caption += f" {words.sentence_case(study.narrowing.sentence())}."
    left_out = "" if len(blocks) <= MOST_BLOCKS else f" The figure shows {MOST_BLOCKS} of {len(blocks)} blocks."
    return figure_block(
        title="Both sides over time, and their ratio",
        draw=draw,
        wide_height_in=4.1,
        narrow_height_in=4.1,
        alt=(
            f"Two line charts of {qty.count(len(table), 'pass', 'passes')} in {qty.count(len(blocks), 'block')}, on "
            f"one scale: above, the {metric} of {names['baseline']} and {names['candidate']}, each relative to its own "
            f"mean; below, their ratio, {qty.ratio(centre)} on average. {caption}"
        ),
        caption=caption + left_out,
        how_to_read=(
            "Top: each point is one slice, about a tenth of a second of load, relative to the mean of its side. Both "
            "servers are up at the same time and take turns in random order. Where the two lines rise and fall "
            "together, a change in the machine's speed affected both sides. Bottom: the ratio of the two sides in "
            "each pass, on the same scale, and the ratio of the speeds of their cores, if those were measured. "
            "Whatever affected both sides cancels out, and the comparison corrects for a core that was slow for one "
            "side only; the rest is noise. A step in the ratio from one block to the next comes from the server "
            "processes, which are fresh in each block. That is why the block, not the slice, is the unit of evidence."
        ),
        engines=study.engines([study.baseline, study.candidate]),
    )


def _centre(values: pd.Series) -> float:
    """The geometric mean."""
    return float(np.exp(np.log(values).mean()))


def _some(blocks: list[int], most: int) -> list[int]:
    if len(blocks) <= most:
        return blocks
    return [blocks[round(at * (len(blocks) - 1) / (most - 1))] for at in range(most)]


def _places(table: pd.DataFrame, shown: list[int]) -> tuple[pd.Series, dict[float, str]]:
    """Where each pass stands, blocks side by side, each as wide as it took time; and the middles of the blocks."""
    places = pd.Series(np.nan, index=table.index)
    longest = max(float(np.ptp(table["at"][table["block"] == block])) for block in shown) or 1.0
    start, middles = 0.0, {}
    for block in shown:
        times = table["at"][table["block"] == block]
        within = (times - times.min()) / longest
        places[times.index] = start + within
        middles[start + float(within.max()) / 2] = str(block)
        start += float(within.max()) + GAP
    return places, middles


def _line(ax: Axes, x: pd.Series, y: pd.Series, colour: str, marker: str) -> None:
    ax.plot(x, y, color=colour, lw=1.3, marker=marker or None, ms=2.6, mew=0, zorder=3)


def _legend(ax: Axes, names: dict[str, str], *, narrow: bool) -> None:
    """The two sides by name above the picture, in their colours and markers."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=colour, lw=1.6, marker=marker, ms=4, mew=0)
        for colour, marker in ((theme.BASELINE, "o"), (theme.CANDIDATE, "s"))
    ]
    length = 22 if narrow else 40
    labels = [words.short(names[side], length) for side in ("baseline", "candidate")]
    ax.legend(
        marks,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=1 if narrow else 2,
        frameon=False,
        borderaxespad=0.2,
        handlelength=1.6,
        fontsize=9.5,
    )


def _caption(scatter: Noise, names: dict[str, str]) -> str:
    """What is to be seen, in numbers: how much of the noise both sides share."""
    if scatter.shared > 0.5:
        gist = "Both sides rise and fall together, so most of the noise comes from the machine and cancels out"
    elif scatter.shared > 0.2:
        gist = "The two sides share part of the noise, and that part cancels out"
    else:
        gist = "The two sides share hardly any noise"
    text = (
        f"{gist}. From pass to pass, {names['baseline']} varies by {_share(scatter.baseline)}, {names['candidate']} "
        f"by {_share(scatter.candidate)}, and their ratio by {_share(scatter.ratio)} (standard deviations within "
        "blocks)"
    )
    if math.isfinite(scatter.speeds):
        part = "follows" if scatter.speeds > 0.6 else "partly follows" if scatter.speeds > 0.3 else "hardly follows"
        speeds = f"the speeds of the cores (correlation {scatter.speeds:.2f})"
        text += f". The ratio {part} {speeds}; the verdict is corrected for them"
    return f"{text}."


def _share(deviation: float) -> str:
    return f"{100 * math.expm1(deviation):.1f}%"
