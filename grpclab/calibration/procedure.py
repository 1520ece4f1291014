"""The error rates of a whole comparison: a pilot of four blocks that count, n fixed from their noise, then the verdict.

Simulated comparisons whose truth is known go through the functions that a measured one goes through: the blocks come
from the spread within pairs of the pilot alone (:func:`.sample_size.blocks_for`), never from its effect, and the
verdict is that of a headline. What a number fixed by the noise does to error rates is simulated here, not assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import blocks_for, fewest_blocks, judge, log_t_interval, paired_t_p, sign_flip_p
from grpclab.analysis.inference.ratios import Floats
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan
from grpclab.report.tables import Cells, Paragraph, Piece, Table, bold
from grpclab.study.block_count import MOST_BLOCKS, PILOT_BLOCKS

NOISES = (0.008, 0.015, 0.03)
"""Standard deviations of ln ratio over blocks: a quiet machine, a usual one, a busy one."""
WRONG, DECIDED, COVERED, FOUND = "called faster or slower", "equivalent", "interval covers the truth", "found"
GOALS = {WRONG: (0.0, 0.025), DECIDED: (0.8, 1.0), COVERED: (0.93, 0.97), FOUND: (0.8, 1.0)}
"""From and to: the shares in which each must happen."""
_EXACT = 10
"""Up to so many blocks the sign flip is quick; beyond, the paired t test, which it agrees with there, stands in."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A truth and the smallest effect of interest of the comparison that is put to it."""

    truth: float
    delta: float


CASES = (
    Case(truth=1.0, delta=0.05),
    Case(truth=1.0, delta=0.02),
    Case(truth=1.10, delta=0.05),
    Case(truth=1.05, delta=0.02),
    Case(truth=1 / 1.10, delta=0.05),
)
"""A/A, and planted effects of twice the smallest effect of interest and more; one of them slower."""


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`simulate` at the sizes of a plan."""
    return simulate(comparisons=plan.calls(400, 2000), seed=plan.seed)


def simulate(*, comparisons: int, seed: int) -> pd.DataFrame:
    """All cells, a row each: truth, delta, noise, what (of GOALS), share, blocks (the median), comparisons."""
    rows = []
    for number, case in enumerate(CASES):
        for noise in NOISES:
            ends = verdicts(case, noise, comparisons=comparisons, seed=seed + number)
            shares = {COVERED: np.mean([end.covers for end in ends])}
            if case.truth == 1.0:
                shares[WRONG] = np.mean([end.verdict in ("faster", "slower") for end in ends])
                shares[DECIDED] = np.mean([end.verdict == "equivalent" for end in ends])
            else:
                wanted = "faster" if case.truth > 1 else "slower"
                shares[FOUND] = np.mean([end.verdict == wanted for end in ends])
            cell = {"truth": case.truth, "delta": case.delta, "noise": noise}
            blocks = float(np.median([end.blocks for end in ends]))
            cut = float(np.mean([end.cut for end in ends]))
            rows += [
                {**cell, "what": what, "share": float(share), "blocks": blocks, "cut": cut}
                for what, share in shares.items()
            ]
    return pd.DataFrame(rows).assign(comparisons=comparisons)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A simulated comparison; `cut`: the noise asked for more blocks than are planned at most."""

    verdict: str
    covers: bool
    blocks: int
    cut: bool


def verdicts(case: Case, noise: float, *, comparisons: int, seed: int) -> list[Ended]:
    """So many comparisons of one case; `noise` is the standard deviation of ln ratio over blocks."""
    rng = np.random.default_rng([seed, round(noise * 1e6)])
    return [_compared(case, noise, rng) for _ in range(comparisons)]


def _compared(case: Case, noise: float, rng: np.random.Generator) -> Ended:
    """One comparison from its pilot to its verdict."""
    logs = rng.normal(math.log(case.truth), noise, MOST_BLOCKS)
    pilot = logs[:PILOT_BLOCKS]
    needed = blocks_for(float(pilot.std(ddof=1)), PILOT_BLOCKS - 1, delta=case.delta)
    blocks = max(fewest_blocks(), min(MOST_BLOCKS, needed or MOST_BLOCKS))
    sample: Floats = logs[:blocks]
    interval = log_t_interval(np.exp(sample))
    verdict = judge(
        metric="throughput_rps",
        ratio=interval.mean,
        ci_low=interval.low,
        ci_high=interval.high,
        p_value=_p(sample) if interval.low > 1 or interval.high < 1 else 1.0,
        delta=case.delta,
        blocks=blocks,
    )
    return Ended(
        verdict=verdict,
        covers=interval.low <= case.truth <= interval.high,
        blocks=blocks,
        cut=needed is None or needed > MOST_BLOCKS,
    )


def _p(sample: Floats) -> float:
    return sign_flip_p(sample) if sample.size <= _EXACT else paired_t_p(sample)


# ---- what is made of the frame ---------------------------------------------------------------------------------


def claims(frame: pd.DataFrame) -> list[Claim]:
    """Each kind over its cells; where most comparisons were cut at the most blocks, nothing was promised.

    The truth must be covered over all cells together: a single one has too few comparisons to tell 93 % from 95 %.
    """
    drawn = []
    for what, (low, high) in GOALS.items():
        cells = frame[frame["what"].eq(what)]
        promised = cells[cells["cut"].lt(0.5)] if what in (DECIDED, FOUND) else cells
        shares = pd.Series([promised["share"].mean()]) if what == COVERED else promised["share"]
        goal = f"{qty.percent(low)} to {qty.percent(high)}"
        if high == 1 or not low:
            goal = f"at least {qty.percent(low)}" if high == 1 else f"at most {high:.1%}"
        span = dict.fromkeys((f"{shares.min():.1%}", f"{shares.max():.1%}"))
        drawn.append(
            Claim(
                claim=f"simulated comparisons from pilot to verdict: {what}, {qty.count(len(promised), 'case')}",
                goal=goal,
                measured=" to ".join(span),
                holds=bool(shares.between(low, high).all()) if len(shares) else None,
            )
        )
    return drawn


def body(frame: pd.DataFrame) -> list[Piece]:
    """Every cell in a table."""
    rows: list[Cells] = []
    for what in GOALS:
        rows.append([what])
        rows += [
            [
                f"{float(str(cell.truth)):.2f}×",
                qty.percent(float(str(cell.delta))),
                f"{float(str(cell.noise)):.1%}",
                f"{float(str(cell.blocks)):.0f}",
                bold(f"{float(str(cell.share)):.1%}"),
            ]
            for cell in frame[frame["what"].eq(what)].itertuples()
        ]
    header = ["truth", "smallest effect", "block noise", "blocks, median", "share of comparisons"]
    text = (
        f"{int(frame['comparisons'].iloc[0]):,} simulated comparisons in each case, each with a pilot of "
        f"{PILOT_BLOCKS} blocks, which count as well. The number of blocks follows from the upper 80% bound of the "
        f"pilot's noise, is at most {MOST_BLOCKS}, and never depends on the effect."
    )
    table = Table(header=header, rows=rows, label="Simulated comparisons", numeric={0, 1, 2, 3, 4})
    return [Paragraph(text=text), table]


EXPERIMENT = Experiment(
    title="A comparison from its pilot to its verdict, simulated",
    question=(
        "What are the error rates of the whole procedure, from the pilot, whose noise determines the number of "
        "blocks, to the verdict?"
    ),
    sized=sized,
    claims=claims,
    body=body,
)
