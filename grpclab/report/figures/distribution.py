"""The distribution of latency: by percentile on logarithmic axes (an "hdr plot"), and as a cumulative share (ECDF)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis.inference.distribution import Distribution, distribution
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy

MOST_LINES = 5
"""So many configurations are drawn: the headline's two, then the other sides of its parts."""
MOST_BLOCKS = 12
"""So many single blocks are drawn beside the whole."""
_TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """One configuration: all its blocks together, and each block alone."""

    configuration: str
    name: str
    colour: str
    whole: Distribution
    blocks: tuple[Distribution, ...]


def chosen(study: FinishedStudy) -> list[str]:
    """The configurations that the figure is about, as far as they have latencies."""
    sides = [side for part in study.plan.parts for side in (part.baseline, part.candidate)]
    names = dict.fromkeys(name for name in (study.baseline, study.candidate, *sides) if study.histograms.get(name))
    return list(names)[:MOST_LINES]


def lines(study: FinishedStudy) -> list[Latencies]:
    """The lines of the figure; configurations with too few calls for any percentile are left out."""
    drawn = []
    for place, name in enumerate(chosen(study)):
        encoded = study.histograms[name]
        line = Latencies(
            configuration=name,
            name=study.title(name),
            colour=study.colour([name], place=place),
            whole=distribution(encoded.values()),
            blocks=tuple(distribution([one]) for one in _some(list(encoded.values()))),
        )
        if line.whole.last > 0:
            drawn.append(line)
    return drawn


def _some(encoded: list[str]) -> list[str]:
    """At most MOST_BLOCKS of them, evenly chosen."""
    step = max(1, -(-len(encoded) // MOST_BLOCKS))
    return encoded[::step]


def latency_distribution(study: FinishedStudy) -> FigureBlock | None:
    """The two pictures of a distribution; None where no trial holds its latencies."""
    drawn = lines(study)
    if not drawn:
        return None

    def draw(figure: Figure, narrow: bool) -> None:
        by_percentile, cumulative = figure.subplots(2, 1) if narrow else figure.subplots(1, 2, width_ratios=[1.15, 1])
        _by_percentile(by_percentile, drawn)
        _cumulative(cumulative, drawn)
        handles = [by_percentile.plot([], [], color=line.colour, lw=3)[0] for line in drawn]
        names = [words.short(line.name, 34) for line in drawn]
        by_percentile.legend(
            handles, names, loc="lower right", fontsize=8.5, handlelength=1.2, framealpha=0.85, edgecolor="none"
        )

    return figure_block(
        title="Latency by percentile and as a distribution",
        draw=draw,
        wide_height_in=3.9,
        narrow_height_in=6.6,
        alt="Latency by percentile and as a cumulative share, logarithmic. " + " ".join(_alt(line) for line in drawn),
        caption=_caption(study, drawn),
        how_to_read=(
            "Left: the latency at each percentile. Both axes are logarithmic, so the far right shows the slowest "
            "0.1% of calls and beyond. Each thick line combines the histograms of all valid trials of a "
            f"configuration; each thin line is one block (at most {MOST_BLOCKS} are shown). Where the thin lines fan "
            "out, the tail differs from block to block. Each line ends at the last percentile that has at least 10 "
            "calls beyond it. Right: the share of calls that took no longer than the time on the axis. "
            "Failed calls are included. In a closed loop, callers wait for their replies, so latency grows with the "
            "number of callers; in an open loop, latency is measured from the planned send time."
        ),
        engines=study.engines(line.configuration for line in drawn),
    )


def _by_percentile(ax: Axes, drawn: list[Latencies]) -> None:
    furthest = max(line.whole.last for line in drawn)
    ax.set_xscale("log")
    ax.set_yscale("log")
    latencies: list[float] = []
    for line in drawn:
        for block in line.blocks:
            shares, latency = block.curve(80)
            ax.plot(1 / (1 - shares), latency, color=line.colour, lw=0.6, alpha=0.45, zorder=2)
            latencies += latency.tolist()
        shares, latency = line.whole.curve()
        ax.plot(1 / (1 - shares), latency, color=line.colour, lw=2.2, zorder=3)
        latencies += latency.tolist()
    ticks = [tick for tick in _TICKS if tick <= furthest]
    theme.plain_ticks(ax, "x", [1 / (1 - tick) for tick in ticks], lambda value: _percentile(1 - 1 / value))
    ax.set_xlim(1, 1.25 / (1 - furthest))
    theme.latency_ticks(ax, "y", latencies)
    theme.clean(ax, grid="both")
    ax.set_title("latency at each percentile", fontweight="normal", color=theme.QUIET, fontsize=9.5)


def _cumulative(ax: Axes, drawn: list[Latencies]) -> None:
    ax.set_xscale("log")
    latencies: list[float] = []
    for line in drawn:
        shares = line.whole.at_or_below / line.whole.count
        kept = _thinned(shares)
        ax.step(line.whole.latency_s[kept], shares[kept], where="post", color=line.colour, lw=1.8, zorder=3)
        latencies += [line.whole.at(share) for share in (0.0, min(0.99, line.whole.last), 0.5)]
    theme.latency_ticks(ax, "x", latencies, most=5)
    theme.plain_ticks(ax, "y", [0, 0.25, 0.5, 0.75, 1], qty.percent)
    ax.set_ylim(0, 1.02)
    theme.clean(ax, grid="both")
    ax.set_title("share of calls that took no longer", fontweight="normal", color=theme.QUIET, fontsize=9.5)


def _thinned(shares: np.ndarray, most: int = 400) -> np.ndarray:
    """The places of at most `most` steps, the highest share of each."""
    wanted = np.linspace(shares[0], 1, most)
    return np.unique(np.searchsorted(shares, wanted - 1e-12).clip(0, len(shares) - 1))


def _percentile(share: float) -> str:
    return f"{100 * share:.6g}%"


def _shares(line: Latencies) -> list[float]:
    return [share for share in (0.5, 0.9, 0.99, 0.999, 0.9999) if share <= line.whole.last]


def _alt(line: Latencies) -> str:
    percentiles = ", ".join(f"p{100 * share:.6g} {qty.duration(line.whole.at(share))}" for share in _shares(line))
    measured = qty.count(line.whole.count, "call")
    return f"{line.name}: {percentiles or 'too few calls for a percentile'} ({measured})."


def _caption(study: FinishedStudy, drawn: list[Latencies]) -> str:
    both = {line.configuration: line for line in drawn if line.configuration in (study.baseline, study.candidate)}
    compared = ""
    if len(both) == 2:
        first, second = both[study.baseline], both[study.candidate]
        shared = [share for share in _shares(first) if share in _shares(second)]
        shown = [shared[0], shared[-1]] if len(shared) > 1 else shared
        pairs = [
            f"at p{100 * share:.6g} {words.listing([qty.duration(one.whole.at(share)) for one in (first, second)])}"
            for share in shown
        ]
        compared = f"{words.sentence_case(first.name)} and {second.name}: {'; '.join(pairs)}." if pairs else ""
    others = len(study.configurations) - len(drawn)
    left_out = f" The figure leaves out {qty.count(others, 'other configuration')}." if others > 0 else ""
    return f"{compared or _alt(drawn[0])}{left_out}".strip()
