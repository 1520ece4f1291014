"""Every trial in the order it ran, relative to its configuration's mean: drift shows as a slope or a step."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.report import theme
from grpclab.report.blocks import FigureBlock, figure_block
from grpclab.report.finished import FinishedStudy


def relative(study: FinishedStudy) -> pd.DataFrame:
    """One row a trial in order of execution: place (0, 1, ...), block, configuration, valid, relative.

    `relative` is the throughput over the geometric mean of the configuration's valid trials; NaN if invalid.
    """
    # The trials of a group are stored in the order in which the groups were measured.
    order = ["block"] if "group" in study.trials else ["block", "order", "started_at"]
    frame = study.trials.sort_values(order, kind="stable").reset_index(drop=True)
    started = pd.to_datetime(frame["started_at"], errors="coerce", utc=True, format="ISO8601")
    if len(frame) and started.notna().all() and started.nunique() == len(frame):
        frame = frame.iloc[np.argsort(started.to_numpy(), kind="stable")].reset_index(drop=True)
    usable = frame["valid"] & (frame["throughput_rps"] > 0)
    logs = np.log(frame["throughput_rps"].where(usable))
    centre = logs.groupby(frame["configuration"]).transform("mean")
    out = frame[["block", "configuration", "valid"]].copy()
    out.insert(0, "place", np.arange(len(frame)))
    out["relative"] = np.exp(logs - centre)
    return out


def timeline(study: FinishedStudy) -> FigureBlock | None:
    """The scatter; None where fewer than two valid trials exist."""
    table = relative(study)
    good = table[table["relative"].notna()]
    repeats = good["configuration"].value_counts()
    if len(good) < 2 or repeats.max() < 2:
        return None
    bad = table[~table["valid"]]
    starts = table.groupby("block")["place"].agg(["min", "max"]).sort_values("min")
    running = good["relative"].rolling(max(3, len(good) // 12), center=True, min_periods=2).median()
    reach = max(0.03, 1.12 * float(np.abs(np.log(good["relative"])).max()))
    both = [(study.baseline, theme.BASELINE), (study.candidate, theme.CANDIDATE)]

    def draw(figure: Figure, narrow: bool) -> None:
        import seaborn as sns

        ax = figure.subplots()
        ax.set_yscale("log")
        ax.set_ylim(math.exp(-reach), math.exp(reach))
        for shade, (_, row) in enumerate(starts.iterrows()):
            if shade % 2 == 0:
                ax.axvspan(row["min"] - 0.5, row["max"] + 0.5, color="#F5F7F9", lw=0, zorder=0)
        ax.axhspan(1 - study.delta, 1 + study.delta, color="#E4E9EF", lw=0, zorder=0)
        ax.axhline(1, color=theme.QUIET, lw=1, zorder=1)
        others = good[~good["configuration"].isin([name for name, _ in both])]
        sns.scatterplot(data=others, x="place", y="relative", ax=ax, color="#A3AEBB", s=18, lw=0, legend=False)
        for name, colour in both:
            trials = good[good["configuration"] == name]
            if len(trials):
                sns.scatterplot(
                    data=trials,
                    x="place",
                    y="relative",
                    ax=ax,
                    color=colour,
                    s=34,
                    lw=0,
                    legend=False,
                    zorder=4,
                )
        ax.plot(good["place"], running, color=theme.INK, lw=1.3, zorder=3)
        if len(bad):
            ax.plot(
                bad["place"],
                [0.04] * len(bad),
                "x",
                color=theme.VERDICT["slower"],
                ms=6,
                mew=1.5,
                transform=ax.get_xaxis_transform(),
                zorder=5,
            )
        middles = {(row["min"] + row["max"]) / 2: f"{label}" for label, row in starts.iterrows()}
        every = max(1, -(-len(middles) // (8 if narrow else 16)))
        ticks = sorted(middles)[::every]
        theme.plain_ticks(
            ax,
            "x",
            ticks,
            lambda v: f"block {middles[v]}" if len(ticks) <= (3 if narrow else 8) else middles[v],
        )
        theme.plain_ticks(
            ax,
            "y",
            theme.ratio_ticks(math.exp(-reach), math.exp(reach), most=7),
            lambda v: f"{100 * (v - 1):+.0f} %" if v != 1 else "mean",
        )
        ax.set_xlim(-0.8, len(table) - 0.2)
        theme.clean(ax)
        ax.set_ylabel("")
        ax.set_xlabel("trials in order of execution" + (", by block" if len(ticks) > (3 if narrow else 8) else ""))
        ax.set_title(
            "throughput relative to the mean of its configuration",
            fontweight="normal",
            color=theme.QUIET,
            fontsize=9.5,
        )

    half = len(good) // 2
    drift = float(np.exp(np.log(good["relative"]).iloc[half:].mean() - np.log(good["relative"]).iloc[:half].mean()))
    spread = float(np.exp(np.log(good["relative"]).std(ddof=1)) - 1)
    invalid = f" Red crosses mark {qty.count(len(bad), 'invalid trial')}." if len(bad) else ""
    caption = (
        f"From the first half of the study to the second, throughput changed by {100 * (drift - 1):+.1f}%; single "
        f"trials vary by about {100 * spread:.1f}% around the mean of their configuration.{invalid}"
    )
    return figure_block(
        title="Every trial, in order",
        draw=draw,
        wide_height_in=3.1,
        narrow_height_in=3.1,
        alt=(
            f"Scatter plot of {qty.count(len(good), 'valid trial')} in "
            f"{qty.count(len(starts), 'block')}, from {qty.ratio(good['relative'].min())} to "
            f"{qty.ratio(good['relative'].max())} of the mean of their configuration. {caption}"
        ),
        caption=caption,
        how_to_read=(
            "Each dot is one trial, in the order in which the trials ran; the shaded stripes are blocks. Grey-blue "
            "dots are the baseline of the headline, orange dots its candidate, and pale dots all other "
            "configurations. The black line is a running median, which is flat if the machine kept its speed and "
            "slopes if the speed drifted. Comparisons are made within blocks, so slow drift cancels out, but a step "
            f"inside a block does not. The darker band is ± {100 * study.delta:g} %."
        ),
        engines=study.engines(study.trials["configuration"].unique()),
    )
