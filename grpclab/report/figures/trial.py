"""The picture of a single trial, for its own notebook: the run over time, and latency by percentile."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

PERCENT_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999)


def trial_picture(timeline: pd.DataFrame, latency: pd.DataFrame, title: str) -> bytes:
    """The figure of :func:`trial_figure` as PNG."""
    buffer = io.BytesIO()
    with style.context("default"):  # a matplotlibrc of the user, or one in the working folder, is for other pictures
        trial_figure(timeline, latency, title).savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def trial_figure(timeline: pd.DataFrame, latency: pd.DataFrame, title: str) -> Figure:
    """Left: calls ended per second over time (bins of 0.1 s), with the server's CPU share. Right: latency by
    percentile, both axes logarithmic (an "hdr plot").

    `timeline` and `latency` have the columns of a trial's two parquet files; either may be empty.
    """
    figure = Figure(figsize=(9.5, 3.2), layout="constrained")
    over_time, by_percentile = figure.subplots(1, 2)
    figure.suptitle(title.strip().replace("$", r"\$"), x=0.01, ha="left", fontsize=10)
    over_time.set(xlabel="seconds since the window opened", ylabel="calls ended per second")
    by_percentile.set(xlabel="percentile", ylabel="latency, ms")
    if len(timeline):
        width = float(timeline["t_s"].diff().median()) if len(timeline) > 1 else 0.1
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
    measured = latency[latency["start_s"] >= 0] if len(latency) else latency
    if len(measured):
        values = np.sort(measured["latency_s"].to_numpy()) * 1e3
        beyond = 1 - (np.arange(len(values)) + 0.5) / len(values)
        by_percentile.plot(1 / beyond, values, color="#4c78a8")
        by_percentile.set(xscale="log", yscale="log")
        ticks = [p for p in PERCENT_TICKS if 1 / (1 - p) <= len(values)]
        by_percentile.set_xticks([1 / (1 - p) for p in ticks], [f"{p * 100:g} %" for p in ticks])
        by_percentile.minorticks_off()
        by_percentile.grid(alpha=0.3)
    return figure
