"""Where the time of the profiled configurations goes: stacked shares of samples, waiting apart."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grpclab import analysis
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.study import Study

FAMILIES = {
    "send": ("sending (system calls)", "#0B4F8A"),
    "receive": ("receiving (system calls)", "#3E8FCB"),
    "locks": ("locks and futexes", "#9CCBEB"),
    "other_kernel": ("other kernel work", "#C9D3DE"),
    "python": ("Python code", "#D98A1F"),
    "grpc_core": ("RPC library, native code", "#F2C879"),
    "memory": ("memory management", "#B58BB0"),
    "other": ("everything else", "#E6E3DE"),
}
"""The families of samples in the order of the bar: blues are the kernel's, warm colours user space."""
_DARK = {"send", "receive", "python", "memory"}


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of 1 with its interval over blocks."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A profiled configuration.

    `families` are shares of the samples that did not wait; `wait` is of all samples.
    """

    configuration: str
    title: str
    colour: str
    families: dict[str, Share]
    wait: Share
    kernel_of_cpu: Share
    samples: int
    blocks: int


def profiles(study: Study) -> list[Profile]:
    """The profiled configurations that hold samples."""
    names = [str(name) for name in study.plan.get("profiled") or []]
    sampled = study.trials[study.trials["valid"] & (study.trials["profile_samples"] > 0)]
    names = [name for name in names if (sampled["configuration"] == name).any()]
    waits = analysis.profile_shares(sampled, names)
    busy = sampled.copy()
    share = pd.to_numeric(busy["share_wait"], errors="coerce") if "share_wait" in busy else 0.0
    for family in FAMILIES:
        if f"share_{family}" in busy:
            busy[f"share_{family}"] = pd.to_numeric(busy[f"share_{family}"], errors="coerce") / (1 - share)
    rest = analysis.profile_shares(busy, names)
    found = []
    for name in names:
        mine = sampled[sampled["configuration"] == name]
        kernel = analysis.t_interval(mine["server_kernel_share"].to_numpy())
        found.append(
            Profile(
                configuration=name,
                title=study.title(name),
                colour=study.colour_of(name),
                families={family: _share(rest, name, family) for family in FAMILIES},
                wait=_share(waits, name, "wait"),
                kernel_of_cpu=Share(mean=kernel.mean, low=kernel.low, high=kernel.high),
                samples=int(mine["profile_samples"].sum()),
                blocks=int(mine["block"].nunique()),
            )
        )
    return [p for p in found if any(math.isfinite(s.mean) for s in p.families.values())]


def profile(study: Study) -> FigureBlock | None:
    """The bars; None where nothing was profiled."""
    drawn = profiles(study)
    if not drawn:
        return None
    present = [f for f in FAMILIES if any(p.families[f].mean > 0.0005 for p in drawn)]

    def draw(figure: Figure, narrow: bool) -> None:
        if narrow:
            axes = figure.subplots(3, 1, gridspec_kw={"height_ratios": [1.6, 1, 1]})
        else:
            axes = figure.subplots(1, 3, gridspec_kw={"width_ratios": [3.6, 1, 1]}, sharey=True)
        busy, wait, kernel = axes
        _stack(busy, drawn, present, least=0.09 if narrow else 0.05)
        busy.set_title("what the working samples did")
        _bars(wait, drawn, [p.wait for p in drawn], "waiting, of all samples" if narrow else "waiting")
        _bars(
            kernel,
            drawn,
            [p.kernel_of_cpu for p in drawn],
            "kernel, of CPU time (/proc)" if narrow else "kernel, of CPU",
        )
        for ax in axes:
            ax.set_yticks(range(len(drawn)), [_wrapped(p.title, 14 if narrow else 20) for p in drawn], color=theme.INK)
            ax.set_ylim(len(drawn) - 0.45, -0.55)
            ax.set_xlim(0, 1)
            ax.set_xticks([])
            ax.tick_params(left=False)
            for side in ("left", "right", "top", "bottom"):
                ax.spines[side].set_visible(False)
            if ax is not busy:
                ax.tick_params(labelleft=narrow)
        handles = [Patch(fc=FAMILIES[f][1], ec=theme.PAPER, label=FAMILIES[f][0]) for f in present]
        figure.legend(
            handles=handles,
            loc="outside lower left",
            ncols=2 if narrow else 4,
            frameon=False,
            fontsize=8.5,
            handlelength=1.1,
            handleheight=1.1,
            columnspacing=1.4,
        )

    samples = "; ".join(
        f"{p.title}: {words.count(p.samples, 'sample')} in {words.count(p.blocks, 'block')}" for p in drawn
    )
    return figure_block(
        title="Where the server's time goes",
        draw=draw,
        wide_height_in=0.62 * len(drawn) + 1.5,
        narrow_height_in=1.45 * len(drawn) + 0.35 * ((len(present) + 1) // 2) + 1.1,
        alt=_alt(drawn, present),
        caption=f"{_caption(drawn)} ({samples}.)",
        how_to_read=(
            "Samples are looks at the stack of every server thread, taken right after the measured window "
            "and never inside it. The long bar splits the samples in which a thread worked by what it was "
            "doing; those in which it only waited for work say nothing about cost and stand apart, as a "
            "share of all samples. The kernel's share of CPU time comes from the kernel's own accounting of "
            "all threads during the measured window, so it is a check on the samples. Numbers are means "
            "over blocks; the table below has their intervals."
        ),
        engines=study.engines(p.configuration for p in drawn),
    )


def _wrapped(title: str, width: int) -> str:
    return "\n".join(textwrap.wrap(words.short(title, 2 * width), width)) or title


def _share(table: pd.DataFrame, configuration: str, family: str) -> Share:
    rows = table[(table["configuration"] == configuration) & (table["family"] == family)]
    if rows.empty:
        return Share(mean=math.nan, low=math.nan, high=math.nan)
    row = rows.iloc[0]
    return Share(mean=words.number(row["share"]), low=words.number(row["ci_low"]), high=words.number(row["ci_high"]))


def _stack(ax: Axes, drawn: list[Profile], present: list[str], *, least: float) -> None:
    for y, one in enumerate(drawn):
        total = sum(one.families[f].mean for f in present if math.isfinite(one.families[f].mean))
        left = 0.0
        for family in present:
            share = one.families[family].mean
            if not math.isfinite(share) or total <= 0:
                continue
            width = share / total
            ax.barh(y, width, left=left, height=0.62, fc=FAMILIES[family][1], ec=theme.PAPER, lw=1.2)
            if width >= least:
                ax.text(
                    left + width / 2,
                    y,
                    f"{100 * share:.0f} %",
                    ha="center",
                    va="center",
                    fontsize=8.5,
                    color=theme.PAPER if family in _DARK else theme.INK,
                )
            left += width


def _bars(ax: Axes, drawn: list[Profile], shares: list[Share], title: str) -> None:
    for y, (one, share) in enumerate(zip(drawn, shares, strict=True)):
        ax.barh(y, 1, height=0.3, fc="#F1F3F6", ec="none")
        if math.isfinite(share.mean):
            ax.barh(y, share.mean, height=0.3, fc=one.colour, ec="none")
        text = words.percent(share.mean) if math.isfinite(share.mean) else "not measured"
        ax.text(0, y - 0.2, text, ha="left", va="bottom", fontsize=9, fontweight="bold")
    ax.set_title(title)


def _alt(drawn: list[Profile], present: list[str]) -> str:
    told = []
    for p in drawn:
        parts = [f"{FAMILIES[f][0]} {words.percent(p.families[f].mean)}" for f in present]
        told.append(
            f"{p.title}: {', '.join(parts)} of the samples that worked; waiting {words.percent(p.wait.mean)} "
            f"of all samples; kernel {words.percent(p.kernel_of_cpu.mean)} of CPU time"
        )
    return f"Stacked bars of profile shares. {'; '.join(told)}."


def _caption(drawn: list[Profile]) -> str:
    told = []
    for p in drawn:
        family = max(FAMILIES, key=lambda f: p.families[f].mean if math.isfinite(p.families[f].mean) else -1)
        told.append(f"in {p.title} it is {FAMILIES[family][0]} ({words.percent(p.families[family].mean)})")
    return f"The largest part of the work: {'; '.join(told)}."
