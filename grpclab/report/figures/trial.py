"""The picture of a trial, or of a group's, for its own notebook: the run over time, and latency by percentile."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

PERCENT_TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999)


Frames = tuple[pd.DataFrame, pd.DataFrame]
"""A trial's timeline and its latencies, with the columns of its two parquet files; either may be empty."""


def trial_picture(timeline: pd.DataFrame, latency: pd.DataFrame, title: str) -> bytes:
    """The figure of :func:`trial_figure` as PNG."""
    with style.context("default"):  # a matplotlibrc of the user, or one in the working folder, is for other pictures
        return _png(trial_figure(timeline, latency, title))


def group_picture(members: Mapping[str, Frames], title: str) -> bytes:
    """The figure of :func:`group_figure` as PNG."""
    with style.context("default"):
        return _png(group_figure(members, title))


def group_figure(members: Mapping[str, Frames], title: str) -> Figure:
    """The trials of a group by the names of their configurations, a line each, as in :func:`trial_figure`."""
    figure, over_time, by_percentile = _two(title)
    for name, (timeline, latency) in members.items():
        label = _plain(name)
        if len(timeline):
            width = _bin_s(timeline)
            whole = timeline.iloc[:-1] if len(timeline) > 2 else timeline  # the last one may be cut off
            over_time.plot(whole["t_s"] + width / 2, whole["completed"] / width, linewidth=1.2, label=label)
        _percentiles(by_percentile, latency, label=label)
    over_time.set_ylim(bottom=0)
    if members:
        figure.legend(*over_time.get_legend_handles_labels(), loc="outside right upper", fontsize=8, frameon=False)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _two(title: str) -> tuple[Figure, Axes, Axes]:
    """A figure with its two empty pictures."""
    figure = Figure(figsize=(9.5, 3.2), layout="constrained")
    over_time, by_percentile = figure.subplots(1, 2)
    figure.suptitle(_plain(title.strip()), x=0.01, ha="left", fontsize=10)
    over_time.set(xlabel="seconds since the start of the window", ylabel="calls completed per second")
    by_percentile.set(xlabel="percentile", ylabel="latency, ms")
    return figure, over_time, by_percentile


def _plain(text: str) -> str:
    """A text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def _bin_s(timeline: pd.DataFrame) -> float:
    return float(timeline["t_s"].diff().median()) if len(timeline) > 1 else 0.1


def _percentiles(axes: Axes, latency: pd.DataFrame, *, label: str = "", color: str | None = None) -> None:
    """Draw the latencies of the calls that count, by percentile."""
    measured = latency[latency["start_s"] >= 0] if len(latency) else latency
    if not len(measured):
        return
    values = np.sort(measured["latency_s"].to_numpy()) * 1e3
    beyond = 1 - (np.arange(len(values)) + 0.5) / len(values)
    axes.plot(1 / beyond, values, color=color, label=label)
    axes.set(xscale="log", yscale="log")
    most = max(len(values), axes.get_xlim()[1] / 2)
    ticks = [p for p in PERCENT_TICKS if 1 / (1 - p) <= most]
    axes.set_xticks([1 / (1 - p) for p in ticks], [f"{p * 100:g}%" for p in ticks])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)


def trial_figure(timeline: pd.DataFrame, latency: pd.DataFrame, title: str) -> Figure:
    """Left: calls ended per second over time (bins of 0.1 s), with the server's CPU share. Right: latency by
    percentile, both axes logarithmic (an "hdr plot").
    """
    figure, over_time, by_percentile = _two(title)
    if len(timeline):
        width = _bin_s(timeline)
        over_time.bar(timeline["t_s"] + width / 2, timeline["completed"] / width, width=width * 0.9, color="#4c78a8")
        if timeline["t_s"].min() < 0:
            over_time.axvspan(timeline["t_s"].min(), 0, color="0.92", zorder=0)
            over_time.text(
                timeline["t_s"].min(),
                1.01,
                " warm-up",
                fontsize=8,
                color="0.4",
                transform=over_time.get_xaxis_transform(),
            )
        cpu = over_time.twinx()
        cpu.plot(timeline["t_s"] + width / 2, timeline["server_cpu_share"], color="#e45756", linewidth=1.5)
        cpu.set_ylabel("server CPU, cores", color="#e45756")
        cpu.set_ylim(bottom=0)
    _percentiles(by_percentile, latency, color="#4c78a8")
    return figure
