"""Verdicts that decide: whole comparisons by the command, of a server with itself and of planted differences."""

from __future__ import annotations

import math
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis import block_ratios
from grpclab.analysis.inference.ratios import Floats
from grpclab.calibration import resampling
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.pairs import work_us
from grpclab.calibration.plan import Plan, core_plan
from grpclab.errors import MeasurementError
from grpclab.factors.variants import LOAD, OPTIMIZED
from grpclab.report import theme
from grpclab.report.blocks import figure_block
from grpclab.report.tables import Piece, Table
from grpclab.study.comparing import EXIT_CODES
from grpclab.study.designs.compare_design import SCENARIO
from grpclab.study.documents import read_json
from grpclab.study.sides import A, B
from grpclab.study.trial_progress import say
from grpclab.system.parquet import read_own
from grpclab.system.paths import ROOT_VARIABLE
from grpclab.system.subprocesses import module_command
from grpclab.system.temporary import TemporaryFolder

LONGEST_S = 900.0
WITHIN_S = 90.0
"""From the command to the verdict."""
LEAST_FOUND, LEAST_EQUIVALENT, MOST_EXCLUDED = 0.9, 0.95, 0.125
METRIC = "throughput_rps"


@dataclass(frozen=True, kw_only=True)
class PlantedEffect:
    """A difference that is planted: B has `ratio` of A's throughput; and the smallest effect of interest, a share."""

    title: str
    ratio: float
    min_effect: float


SAME = "same"
KINDS: dict[str, PlantedEffect] = {
    SAME: PlantedEffect(title="optimized against itself", ratio=1.0, min_effect=0.05),
    "five": PlantedEffect(title="5 % planted, smallest effect of interest 2 %", ratio=0.95, min_effect=0.02),
    "ten": PlantedEffect(title="10 % planted, smallest effect of interest 5 %", ratio=0.90, min_effect=0.05),
}
PLANTED = [name for name in KINDS if name != SAME]


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`compare_all` at the sizes of a plan."""
    numbers = {SAME: plan.calls(2, 40), "five": plan.calls(1, 10), "ten": plan.calls(1, 10)}
    return compare_all(numbers, seed=plan.seed, scale=min(1.0, plan.scale))


def compare_all(numbers: dict[str, int], *, seed: int, scale: float = 1.0) -> pd.DataFrame:
    """So many comparisons of each kind, each by its command in a process of its own, the kinds in turn.

    One row a comparison: kind, work_us (of B's handler), ratio, ci_low, ci_high, blocks, verdict, wall_s (from the
    command to its end), ln_ratios (of the blocks), failed. `scale` is a factor on the time in which the planted work
    is found out. Raises MeasurementError where none could be measured.
    """
    base, works = OPTIMIZED.replace(LOAD), {SAME: 0.0}
    for name in PLANTED:
        if numbers.get(name):
            works[name] = work_us(
                base,
                1 / KINDS[name].ratio,
                cores=core_plan(),
                seed=seed,
                counted_s=scale,
                rounds=max(1, round(5 * scale)),
            )
    rows = []
    for at in range(max(numbers.values())):
        for name in [name for name, number in numbers.items() if at < number]:
            row = by_command(name, works[name], seed=seed + at)
            rows.append({"kind": name, "work_us": works[name], **row})
            told = row["failed"] or f"{row['ratio']:.3f}, {row['verdict']}, {row['blocks']} blocks"
            say(f"{KINDS[name].title}, {at + 1} of {numbers[name]}: {told}, {row['wall_s']:.0f} s")
    frame = pd.DataFrame(rows)
    if (frame["failed"] != "").all():
        raise MeasurementError(f"none of the comparisons could be measured: {frame['failed'].iloc[0]}")
    return frame


def by_command(kind: str, work: float, *, seed: int) -> dict[str, object]:
    """One comparison: ``grpclab compare optimized optimized``, with the work on B; see :func:`compare_all`."""
    began = time.monotonic()
    with TemporaryFolder() as root:
        answer, study = root / "answer.json", "known"
        planted = ["--b-set", f"server.handler_work_us={work:g}"] if work else []
        effect = ["--min-effect", f"{KINDS[kind].min_effect:g}"]
        where = ["--json", str(answer), "--study", study, "--seed", str(seed), "-q"]
        try:
            ended = subprocess.run(
                module_command("grpclab", "compare", "optimized", "optimized", *planted, *effect, *where),
                cwd=root,
                env={**os.environ, ROOT_VARIABLE: str(root)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _nothing(f"no verdict within {LONGEST_S:g} s", time.monotonic() - began)
        wall_s = time.monotonic() - began
        if ended.returncode not in EXIT_CODES.values() or not answer.exists():
            said = ended.stderr.strip().rpartition("\n")[2]
            return _nothing(f"exit code {ended.returncode}: {said}", wall_s)
        return _outcome(root, answer, study) | {"wall_s": wall_s}


def _nothing(failed: str, wall_s: float) -> dict[str, object]:
    known = dict.fromkeys(("ratio", "ci_low", "ci_high"), math.nan)
    return {**known, "blocks": 0, "verdict": "", "ln_ratios": [], "failed": failed, "wall_s": wall_s}


def _outcome(root: Path, answer: Path, study: str) -> dict[str, object]:
    headline = read_json(answer, inside=root)["headline"]
    trials = read_own(root / "results" / study / "trials.parquet")
    pairs = block_ratios(trials, scenario=SCENARIO, metric=METRIC, baseline=A, candidate=B)
    return {
        **{name: float(headline[name]) for name in ("ratio", "ci_low", "ci_high")},
        "blocks": int(headline["blocks"]),
        "verdict": str(headline["verdict"]),
        "ln_ratios": np.log(pairs["ratio"].to_numpy(dtype=np.float64)).tolist(),
        "failed": "",
    }


# ---- what is made of the frame ---------------------------------------------------------------------------------


def measured(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The comparisons of a kind that were measured."""
    return frame[(frame["kind"] == kind) & (frame["failed"] == "")]


def pooled(frame: pd.DataFrame) -> Floats:
    """ln ratio of every block of the comparisons of the server with itself."""
    return np.array([value for values in measured(frame, SAME)["ln_ratios"] for value in values], dtype=np.float64)


def claims(frame: pd.DataFrame) -> list[Claim]:
    """No winner in A/A, most of it equivalent; planted differences found, in time."""
    same = measured(frame, SAME)
    of = len(same)
    won = int(same["verdict"].isin(["faster", "slower"]).sum())
    equivalent = int((same["verdict"] == "equivalent").sum())
    excluded = int(((same["ci_low"] > 1) | (same["ci_high"] < 1)).sum())
    told = [
        Claim(
            claim=f"optimized against itself, {qty.count(of, 'comparison')}: faster or slower",
            goal="none",
            measured=f"{won} of {of}",
            holds=won == 0 if of else None,
        ),
        Claim(
            claim="optimized against itself: equivalent",
            goal=f"at least {qty.percent(LEAST_EQUIVALENT)}",
            measured=f"{equivalent} of {of}",
            holds=equivalent >= LEAST_EQUIVALENT * of if of else None,
        ),
        Claim(
            claim="optimized against itself: intervals that exclude 1",
            goal=f"at most {MOST_EXCLUDED:.1%}",
            measured=f"{excluded} of {of}",
            holds=excluded <= MOST_EXCLUDED * of if of >= 1 / MOST_EXCLUDED else None,
        ),
        *resampling.claims(pooled(frame), "optimized against itself"),
    ]
    for kind in PLANTED:
        rows = measured(frame, kind)
        found = int((rows["verdict"] == "slower").sum())
        longest_s = float(rows["wall_s"].max()) if len(rows) else math.nan
        told += [
            Claim(
                claim=f"{KINDS[kind].title}: detected, of {qty.count(len(rows), 'comparison')}",
                goal=f"at least {qty.percent(LEAST_FOUND)}",
                measured=f"{found} of {len(rows)}",
                holds=found >= LEAST_FOUND * len(rows) if len(rows) else None,
            ),
            Claim(
                claim=f"{KINDS[kind].title}: longest time from the command to the verdict",
                goal=f"at most {WITHIN_S:g} s",
                measured=f"{longest_s:.0f} s" if len(rows) else qty.MISSING,
                holds=longest_s <= WITHIN_S if len(rows) else None,
            ),
        ]
    failed = int((frame["failed"] != "").sum())
    return [*told, Claim(claim="failed comparisons", goal="0", measured=str(failed), holds=not failed)]


def body(frame: pd.DataFrame) -> list[Piece]:
    """Every comparison with its interval, and what they took."""
    kinds = [kind for kind in KINDS if len(measured(frame, kind))]

    def draw(figure: Figure, narrow: bool) -> None:
        count = len(kinds)
        axes = np.ravel(figure.subplots(count if narrow else 1, 1 if narrow else count, squeeze=False))
        for ax, kind in zip(axes, kinds, strict=True):
            rows = measured(frame, kind).sort_values("ratio", ignore_index=True)
            margin = 1 + KINDS[kind].min_effect
            ax.axvspan(1 / margin, margin, color=theme.BAND, lw=0)
            ax.axvline(1, color=theme.QUIET, lw=1)
            for at, row in rows.iterrows():
                colour = theme.VERDICT[row["verdict"]]
                ax.plot([row["ci_low"], row["ci_high"]], [at, at], color=colour, lw=1.6, solid_capstyle="round")
                ax.plot(row["ratio"], at, theme.VERDICT_MARKER[row["verdict"]], ms=5, color=colour)
            if kind != SAME:
                ax.axvline(KINDS[kind].ratio, color=theme.INK, lw=1, ls=(0, (2, 2)))
            values = [float(value) for name in ("ci_low", "ci_high") for value in rows[name]]
            theme.ratio_axis(ax, [*values, 1 / margin, margin], most=5)
            ax.set_yticks([])
            theme.clean(ax, grid="x")
            ax.set_title(KINDS[kind].title.replace(", ", ",\n"))

    ended = [
        f"{KINDS[kind].title}: "
        + ", ".join(f"{n} {verdict}" for verdict, n in measured(frame, kind)["verdict"].value_counts().items())
        for kind in kinds
    ]
    caption = f"{'; '.join(ended)}."
    block = figure_block(
        title="Comparisons with a known truth, run as a command",
        draw=draw,
        wide_height_in=4.2,
        narrow_height_in=8.0,
        alt=f"Intervals of {qty.count(len(frame), 'comparison')}. {caption}",
        caption=caption,
        how_to_read=(
            "Each line is one comparison with a 95% interval. The comparisons were made by grpclab compare with its "
            "default settings, in which the noise of the first four blocks determines the number of blocks. Effects "
            "inside the band around 1 are smaller than the smallest effect of interest. The dashed line is the "
            "planted ratio: the handler of B did extra work whose cost had been measured beforehand."
        ),
        engines="engine: wire",
    )
    rows = []
    for kind in kinds:
        mine = measured(frame, kind)
        wall_s, work = mine["wall_s"], float(mine["work_us"].iloc[0])
        span = f"{mine['blocks'].min():g} to {mine['blocks'].max():g}"
        mean = math.exp(float(np.log(mine["ratio"]).mean()))
        rows.append(
            [
                KINDS[kind].title,
                f"{work:g}",
                f"{mean:.3f}",
                span,
                f"{wall_s.median():.0f} s",
                f"{wall_s.max():.0f} s",
            ]
        )
    header = ["comparison", "work, µs", "ratio, mean", "blocks", "time, median", "longest"]
    return [block, Table(header=header, rows=rows, label="Comparisons and their time", numeric=range(1, 6))]


EXPERIMENT = Experiment(
    title="Reaching a verdict",
    question=(
        "Does a comparison reach a verdict, is that verdict right, and how long does it take? The command is run as "
        "a user would run it: first on a server against itself, then on differences of 5% and 10% planted in B's "
        "handler."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
