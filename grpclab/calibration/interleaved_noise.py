"""The noise of one block, in interleaved slices and without: a server against itself, each way in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from grpclab import quantities as qty
from grpclab.analysis.inference.interleaving import slices_spread
from grpclab.analysis.inference.ratios import numbers
from grpclab.calibration import resampling
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.pairs import PairFigures, measure
from grpclab.calibration.plan import Plan, core_plan, shuffled
from grpclab.calibration.resampling import Spread
from grpclab.errors import MeasurementError
from grpclab.factors.variants import LOAD, OPTIMIZED
from grpclab.report import theme
from grpclab.report.blocks import figure_block
from grpclab.report.tables import Cells, Piece, Table, bold
from grpclab.study.trial_progress import say
from grpclab.system.environment import CorePlan

A, B = "a", "b"
ENGINES = ("wire", "grpcio")
IN_FLIGHT = 64
SLICED, COUNTED, WALL = "sliced", "counted", "wall"
KINDS = {
    SLICED: "interleaved slices",
    COUNTED: "one after the other, equal counted time",
    WALL: "one after the other, equal wall time",
}
COLOURS = {SLICED: theme.CANDIDATE, COUNTED: theme.BASELINE, WALL: theme.OTHERS[0]}
SHARE_GOAL = 0.5
"""The most that the spread in slices may be of that without."""
SMALL, QUIET = 0.015, 0.03
"""Or it is no more than the first, where the other one is below the second."""
FEWEST_BLOCKS = 6
HAND_OVER_S = 0.005
"""The most that a hand-over between slices may cost, in the median."""
LEAST_SHARE = 0.2
"""The least counted time at equal wall time, as a share of that in slices."""


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`measure_blocks` at the sizes of a plan."""
    blocks = max(1, round(40 * min(1.0, plan.scale))) if plan.full else plan.rounds
    return measure_blocks(core_plan(), blocks=blocks, counted_s=min(1.0, plan.scale), seed=plan.seed)


def measure_blocks(
    cores: CorePlan, *, blocks: int, counted_s: float, seed: int, engines: Sequence[str] = ENGINES
) -> pd.DataFrame:
    """Blocks of each kind in turn, each with fresh servers: `optimized` against itself with 64 calls in flight.

    One row a block, engine and kind: block, engine, kind, ln_ratio (throughput of b over a; NaN where it failed),
    ln_whole (without the yardstick), ln_p50, counted_s (of each side), wall_s, within_sd (the part of the spread that
    comes from within the pair of servers, sliced only), slices (of a), hand_over_s and hand_over_p90_s (from the drain
    of one slice to the start of the next: median and 90th percentile of the block, sliced only), limited_by,
    failed. The counted time at equal wall time follows from what earlier blocks took. Raises MeasurementError where no
    block of a kind could be measured.
    """
    rows: list[dict[str, object]] = []
    walls: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for block in range(blocks):
        for engine in shuffled(list(engines), seed, block):
            config = OPTIMIZED.replace({**LOAD, "load.engine": engine, "load.concurrency": IN_FLIGHT})
            config = config.replace({"load.warmup_s": min(0.4, max(0.1, counted_s))})
            kinds = shuffled(list(KINDS), seed, 1000 + block)
            if block == 0:  # how long the others take is not known before
                kinds.sort(key=lambda kind: kind == WALL)
            for kind in kinds:
                each_s = counted_s if kind != WALL else equal_wall_s(counted_s, walls, engine)
                found = measure(
                    {A: config, B: config},
                    cores=cores,
                    seed=seed + len(rows),
                    block=block,
                    interleaved=kind == SLICED,
                    counted_s=each_s,
                )
                if not found.failed:
                    walls.setdefault((engine, kind), []).append((found.seconds, each_s))
                rows.append({"block": block, "engine": engine, "kind": kind, **row(found, each_s)})
        if (block + 1) % 5 == 0 or block + 1 == blocks:
            say(f"interleaving: {block + 1} of {qty.count(blocks, 'block')} of each kind")
    frame = pd.DataFrame(rows)
    if missing := [kind for kind in KINDS if not np.isfinite(frame.loc[frame["kind"] == kind, "ln_ratio"]).any()]:
        reasons = "; ".join(sorted(set(frame.loc[frame["failed"] != "", "failed"])))
        raise MeasurementError(f"no block could be measured {' or '.join(KINDS[kind] for kind in missing)}: {reasons}")
    return frame


def equal_wall_s(counted_s: float, walls: dict[tuple[str, str], list[tuple[float, float]]], engine: str) -> float:
    """The counted time of each side with which a block of servers one after the other takes as long as a sliced one."""
    means = [
        float(np.mean([seconds for seconds, _ in walls[engine, kind]])) if walls.get((engine, kind)) else math.nan
        for kind in (SLICED, COUNTED)
    ]
    longer_s = (means[0] - means[1]) / 2
    return max(LEAST_SHARE * counted_s, counted_s + longer_s) if math.isfinite(longer_s) else counted_s


def row(found: PairFigures, counted_s: float) -> dict[str, object]:
    """What one block brought."""
    mine = found.slices[found.slices["member"] == A]
    hand_overs = numbers(found.slices, "hand_over_s")
    return {
        "ln_ratio": found.ln_ratio(A, B),
        "ln_whole": found.ln_ratio_whole(A, B),
        "ln_p50": found.ln_ratio(A, B, "latency_p50_s"),
        "counted_s": counted_s,
        "wall_s": found.seconds,
        "within_sd": slices_spread(found.slices, A, B) if len(mine) and not found.failed else math.nan,
        "slices": int(mine["valid"].sum()) if len(mine) else 0,
        "hand_over_s": hand_overs.median(),
        "hand_over_p90_s": hand_overs.quantile(0.9),
        "limited_by": found.limits.get(A, ""),
        "failed": found.failed,
    }


# ---- what is made of the frame ---------------------------------------------------------------------------------


def ln_ratios(frame: pd.DataFrame, engine: str, kind: str) -> pd.Series:
    """The blocks of one kind."""
    return frame.loc[(frame["engine"] == engine) & (frame["kind"] == kind), "ln_ratio"]


def spreads(frame: pd.DataFrame, engine: str) -> dict[str, Spread]:
    """The spread over blocks of each kind."""
    return {kind: Spread.of(ln_ratios(frame, engine, kind)) for kind in KINDS}


def parts(frame: pd.DataFrame, engine: str) -> tuple[float, float]:
    """What remains in slices: the spread within a pair of servers, and that between pairs."""
    rows = frame[(frame["engine"] == engine) & (frame["kind"] == SLICED)]
    within = math.sqrt(float((rows["within_sd"] ** 2).mean())) if rows["within_sd"].notna().any() else math.nan
    total = Spread.of(rows["ln_ratio"]).sd
    return within, math.sqrt(max(0.0, total**2 - within**2))


def hand_overs(frame: pd.DataFrame, engine: str) -> tuple[float, float]:
    """The median and the 90th percentile of a block's hand-overs, the median over blocks of each; NaN if not stored."""
    rows = frame[(frame["engine"] == engine) & (frame["kind"] == SLICED)]
    median, p90 = (float(numbers(rows, name).median()) for name in ("hand_over_s", "hand_over_p90_s"))
    return median, p90


def engines_of(frame: pd.DataFrame) -> list[str]:
    """The engines that were measured, in the order in which they are told."""
    return [engine for engine in ENGINES if (frame["engine"] == engine).any()]


def claims(frame: pd.DataFrame) -> list[Claim]:
    """The spread is halved, what remains is split, and resampled blocks are covered."""
    told = []
    for engine in engines_of(frame):
        by_kind = spreads(frame, engine)
        sliced = by_kind[SLICED]
        for kind in (COUNTED, WALL):
            other = by_kind[kind]
            enough = min(sliced.blocks, other.blocks) >= FEWEST_BLOCKS
            halved = sliced.sd <= SHARE_GOAL * other.sd or (other.sd < QUIET and sliced.sd <= SMALL)
            told.append(
                Claim(
                    claim=(
                        f"{engine}: standard deviation of ln ratio per block in slices, against fresh servers "
                        f"{KINDS[kind]}"
                    ),
                    goal=f"at most half of the other, or at most {SMALL:g} if the other is below {QUIET:g}",
                    measured=f"{sliced} against {other}, {_times(other.sd, sliced.sd)}",
                    holds=halved if enough else None,
                )
            )
        within, between = parts(frame, engine)
        told.append(
            Claim(
                claim=f"{engine}: remaining noise in slices, within a pair of servers and between pairs",
                measured=f"{_digits(within)} within, {_digits(between)} between",
            )
        )
        told.append(_yardstick_claim(frame, engine, sliced))
        hand_over_s, p90_s = hand_overs(frame, engine)
        known = math.isfinite(hand_over_s)
        told.append(
            Claim(
                claim=f"{engine}: time from the end of one slice to the start of the next",
                goal=f"at most {qty.milliseconds(HAND_OVER_S)} (median)",
                measured=f"{qty.milliseconds(hand_over_s)} (median), {qty.milliseconds(p90_s)} (90th percentile)"
                if known
                else "",
                holds=hand_over_s <= HAND_OVER_S if known else None,
            )
        )
        told += resampling.claims(ln_ratios(frame, engine, SLICED), f"{engine}, sliced")
    failed = int((frame["failed"] != "").sum())
    told.append(Claim(claim="blocks that could not be measured as planned", measured=f"{failed} of {len(frame)}"))
    return told


def _yardstick_claim(frame: pd.DataFrame, engine: str, sliced: Spread) -> Claim:
    """Whether the spread is smaller where the speed of the cores is taken out of it."""
    rows = frame[(frame["engine"] == engine) & (frame["kind"] == SLICED)]
    without = Spread.of(numbers(rows, "ln_whole"))
    known = min(sliced.blocks, without.blocks) >= FEWEST_BLOCKS
    return Claim(
        claim=(
            f"{engine}: standard deviation of ln ratio per block in slices, corrected for core speed against "
            "uncorrected"
        ),
        goal="smaller, or both at most 0.015",
        measured=f"{sliced} against {without}",
        holds=sliced.sd < without.sd or max(sliced.sd, without.sd) <= SMALL if known else None,
    )


def body(frame: pd.DataFrame) -> list[Piece]:
    """Each block's ratio by kind, and what a block took."""
    engines = engines_of(frame)

    def draw(figure: Figure, narrow: bool) -> None:
        count = len(engines)
        axes = np.ravel(figure.subplots(count if narrow else 1, 1 if narrow else count, squeeze=False))
        values = [float(value) for value in np.exp(frame["ln_ratio"].dropna())]
        for ax, engine in zip(axes, engines, strict=True):
            for y, (kind, spread) in enumerate(spreads(frame, engine).items()):
                ratios = np.exp(ln_ratios(frame, engine, kind).dropna().to_numpy())
                heights = y + 0.3 * (np.arange(len(ratios)) / max(1, len(ratios) - 1) - 0.5)
                ax.plot(ratios, heights, "o", ms=4, mew=0, alpha=0.6, color=COLOURS[kind])
                if math.isfinite(spread.sd):
                    ends = [math.exp(-spread.sd), math.exp(spread.sd)]
                    ax.plot(ends, [y + 0.3] * 2, color=COLOURS[kind], lw=2.5)
            ax.axvline(1, color=theme.QUIET, lw=1)
            theme.ratio_axis(ax, values, most=5)
            ax.set_yticks(range(len(KINDS)), [name.replace(", ", ",\n") for name in KINDS.values()])
            ax.set_ylim(len(KINDS) - 0.5, -0.5)
            if ax is not axes[0] and not narrow:
                ax.set_yticklabels([])
            theme.clean(ax, grid="x")
            ax.spines["left"].set_visible(False)
            ax.set_title(f"engine {engine}")

    told = [
        f"{engine}: {_digits(by_kind[SLICED].sd)} in slices, {_digits(by_kind[COUNTED].sd)} at equal counted time and "
        f"{_digits(by_kind[WALL].sd)} at equal wall time"
        for engine in engines
        for by_kind in [spreads(frame, engine)]
    ]
    caption = f"Standard deviation of ln ratio per block, with fresh servers for each. {'; '.join(told)}."
    costs = {engine: hand_overs(frame, engine)[0] for engine in engines}
    paid = [f"{qty.milliseconds(cost_s)} with {engine}" for engine, cost_s in costs.items() if math.isfinite(cost_s)]
    if paid:
        caption += f" The median time between two slices was {' and '.join(paid)}."
    block = figure_block(
        title="A server against itself, measured in three ways",
        draw=draw,
        wide_height_in=3.2,
        narrow_height_in=5.6,
        alt=f"Ratios of {qty.count(frame['block'].nunique(), 'block')} of each kind. {caption}",
        caption=caption,
        how_to_read=(
            "Each dot is one block, in which the same configuration was measured twice, on fresh servers; the dot is "
            "the ratio of the two measurements, so any deviation from 1 is noise. The bar is one standard deviation "
            "in both directions. The three methods took turns, so the machine was in the same state for all of them. "
            "Servers measured one after the other were measured for the same counted time as in slices, and then "
            "again for as long as the sliced block took, including the edges of the slices."
        ),
        engines=f"engines: {' and '.join(engines)}",
    )
    rows: list[Cells] = []
    for engine in engines:
        rows.append([f"engine {engine}"])
        for kind, spread in spreads(frame, engine).items():
            mine = frame[(frame["engine"] == engine) & (frame["kind"] == kind)]
            wall_s, counted_s = float(mine["wall_s"].median()), float(mine["counted_s"].median())
            rows.append([KINDS[kind], bold(str(spread)), str(spread.blocks), f"{counted_s:.2f}", f"{wall_s:.2f}"])
    header = ["kind", "sd of ln ratio", "blocks", "counted s per side", "wall s per block"]
    return [block, Table(header=header, rows=rows, label="Noise per block", numeric={1, 2, 3, 4})]


def _digits(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else qty.MISSING


def _times(other: float, sliced: float) -> str:
    return f"{other / sliced:.1f} times less" if sliced > 0 and math.isfinite(other) else "not known"


EXPERIMENT = Experiment(
    title="Noise that cancels",
    question=(
        "How much does it help to measure two servers in interleaved slices? A server is compared with itself in "
        "three ways, which take turns: in slices, with fresh servers one after the other for the same counted time, "
        "and with fresh servers one after the other for the same wall-clock time."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
