"""The time of the profiled configurations: stacked shares of samples, as perf and as py-spy see them."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from grpclab import quantities as qty
from grpclab.analysis import Interval
from grpclab.analysis.inference import evidence
from grpclab.analysis.inference.ratios import numbers
from grpclab.profiling.families import SHOWN as FAMILIES
from grpclab.report import theme, words
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy

_DARK = {"send", "receive", "handler", "python", "memory"}


@dataclass(frozen=True, kw_only=True)
class View:
    """A tool that looks at stacks: its columns in the frame, what it is called, and what it sees and misses."""

    prefix: str
    samples: str
    note: str
    name: str
    title: str
    sees: str


VIEWS = (
    View(
        prefix=evidence.PERF,
        samples="perf_samples",
        note="perf_note",
        name="perf",
        title="Where the server's CPU time goes: every thread, sampled by perf",
        sees=(
            "perf samples every thread while it runs on a CPU, including gRPC core's own I/O threads and code in the "
            "kernel; perf cannot name Python functions, so the handler counts as part of the interpreter here"
        ),
    ),
    View(
        prefix=evidence.PYSPY,
        samples="profile_samples",
        note="profile_note",
        name="py-spy",
        title="What the Python threads do, sampled by py-spy",
        sees=(
            "py-spy can name Python functions, including the handler, but samples only Python threads, so gRPC "
            "core's I/O threads, which do much of the sending and receiving, are missing"
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A profiled configuration in one view.

    `families` are shares of the samples at work; `wait`, py-spy's only, is a share of all samples. The kernel's
    share of the CPU time is `kernel` by the samples (perf's only), and `accounted` by the kernel's own accounting.
    """

    configuration: str
    title: str
    colour: str
    families: dict[str, Interval]
    wait: Interval
    kernel: Interval
    accounted: Interval
    samples: int
    blocks: int


def profiles(study: FinishedStudy, view: View) -> list[Profile]:
    """The profiled configurations that hold samples of this view."""
    counts = numbers(study.trials, view.samples)
    trials = study.trials[study.trials["valid"] & (counts > 0)]
    profiled = []
    for name in study.plan.profiled:
        rows = trials[trials["configuration"] == name]
        if rows.empty:
            continue

        def level(values: pd.Series[float], name: str = name) -> Interval:
            return evidence.level(trials, name, values)

        profiled.append(
            Profile(
                configuration=name,
                title=study.title(name),
                colour=study.colour_of(name),
                families={key: level(evidence.work_shares(trials, view.prefix, key)) for key in FAMILIES},
                wait=level(numbers(trials, f"{view.prefix}{evidence.WAIT}")),
                kernel=level(numbers(trials, "perf_kernel_share")),
                accounted=level(numbers(trials, "server_kernel_share")),
                samples=int(counts[rows.index].sum()),
                blocks=int(rows["block"].nunique()),
            )
        )
    return [p for p in profiled if any(math.isfinite(s.mean) for s in p.families.values())]


def profile(study: FinishedStudy, view: View) -> FigureBlock | None:
    """The bars of one view; None where it brought nothing."""
    drawn = profiles(study, view)
    if not drawn:
        return None
    present = [f for f in FAMILIES if any(p.families[f].mean > 0.0005 for p in drawn)]
    beside = ("kernel, by perf", [p.kernel for p in drawn])
    if view.prefix == evidence.PYSPY:
        beside = ("waiting, share of all samples", [p.wait for p in drawn])

    def draw(figure: Figure, narrow: bool) -> None:
        if narrow:
            axes = figure.subplots(3, 1, gridspec_kw={"height_ratios": [1.6, 1, 1]})
        else:
            axes = figure.subplots(1, 3, gridspec_kw={"width_ratios": [3.6, 1, 1]}, sharey=True)
        busy, left, right = axes
        _stack(busy, drawn, present, least=0.09 if narrow else 0.05)
        busy.set_title("share of working samples by activity")
        _bars(left, drawn, beside[1], beside[0] if narrow else beside[0].removesuffix(", share of all samples"))
        _bars(right, drawn, [p.accounted for p in drawn], "kernel, by /proc")
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
        f"{qty.count(p.samples, 'sample')} in {qty.count(p.blocks, 'block')} for {p.title}" for p in drawn
    )
    waited = "; most samples are of waiting threads" if all(p.wait.mean > 0.5 for p in drawn) else ""
    return figure_block(
        title=view.title,
        draw=draw,
        wide_height_in=0.62 * len(drawn) + 1.5,
        narrow_height_in=1.45 * len(drawn) + 0.35 * ((len(present) + 1) // 2) + 1.1,
        alt=_alt(drawn, present, beside),
        caption=f"{_caption(drawn)} There are {samples}{waited}.",
        how_to_read=(
            f"{view.sees[0].upper()}{view.sees[1:]}. Samples are taken under the same load right after the measured "
            "window, never during it. The long bar divides the samples in which a thread was working by activity; "
            "waiting for work costs no CPU time and is left out. As a check on the samples, the last bar shows the "
            "kernel's share of the CPU time of all threads during the measured window, according to /proc. All "
            "figures are means over blocks; the tables below show their intervals."
        ),
        engines=study.engines(p.configuration for p in drawn),
    )


def _wrapped(title: str, width: int) -> str:
    return "\n".join(textwrap.wrap(words.short(title, 2 * width), width)) or title


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
                    f"{100 * share:.0f}%",
                    ha="center",
                    va="center",
                    fontsize=8.5,
                    color=theme.PAPER if family in _DARK else theme.INK,
                )
            left += width


def _bars(ax: Axes, drawn: list[Profile], shares: list[Interval], title: str) -> None:
    for y, (one, share) in enumerate(zip(drawn, shares, strict=True)):
        ax.barh(y, 1, height=0.3, fc="#F1F3F6", ec="none")
        if math.isfinite(share.mean):
            ax.barh(y, share.mean, height=0.3, fc=one.colour, ec="none")
        text = qty.percent(share.mean) if math.isfinite(share.mean) else "not measured"
        ax.text(0, y - 0.2, text, ha="left", va="bottom", fontsize=9, fontweight="bold")
    ax.set_title(title)


def _alt(drawn: list[Profile], present: list[str], beside: tuple[str, list[Interval]]) -> str:
    texts = []
    for p, other in zip(drawn, beside[1], strict=True):
        parts = [f"{FAMILIES[f][0]} {qty.percent(p.families[f].mean)}" for f in present]
        texts.append(
            f"{p.title}: {', '.join(parts)} of active samples; {beside[0]} {qty.percent(other.mean)}; kernel, "
            f"by /proc, {qty.percent(p.accounted.mean)} of CPU time"
        )
    return f"Stacked bars of profile shares. {'; '.join(texts)}."


def _caption(drawn: list[Profile]) -> str:
    largest = []
    for p in drawn:
        family = max(FAMILIES, key=lambda f: p.families[f].mean if math.isfinite(p.families[f].mean) else -1)
        largest.append(f"{FAMILIES[family][0]} for {p.title} ({qty.percent(p.families[family].mean)})")
    return f"Largest share of the work: {'; '.join(largest)}."
