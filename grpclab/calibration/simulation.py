"""What intervals and verdicts are worth, on simulated studies whose truth is known.

Blocks have noise of their own on each side, a trend that both sides share, and now and then a block in which one side
is hit. Every study goes through the same functions as a measured one. Seeds are fixed.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import judge, log_t_interval, sign_flip_p
from grpclab.calibration.claims import Claim
from grpclab.calibration.experiments import Experiment
from grpclab.calibration.plan import Plan
from grpclab.load.core.recorder import Floats
from grpclab.report.tables import Cells, Paragraph, Piece, Table, bold

DELTA = 0.05
TREND = 0.8
"""What the machine's speed falls to over a study."""
OUTLIERS = 0.05
"""The share of blocks in which a side is hit, where any are."""
NOISES = (0.02, 0.05, 0.10)
COVER, APART, FOUND = "interval covers the truth", "itself called faster or slower", "a tenth is found"
"""What is counted, as stored calibrations have it in their frames: never reworded."""
_SHOWN = {FOUND: "10% is detected"}
"""What a page says where it is not the stored name."""
GOALS = {COVER: (0.93, 0.98), APART: (0.0, 0.05), FOUND: (0.95, 1.0)}
"""From and to: the shares in which each must happen."""


def sized(plan: Plan) -> pd.DataFrame:
    """The frame of :func:`simulate` at the sizes of a plan."""
    return simulate(studies=plan.calls(500, 2000), seed=plan.seed)


def simulate(*, studies: int, seed: int) -> pd.DataFrame:
    """All cells: what (of GOALS), blocks, noise (standard deviation of ln ratio), outliers, studies, share."""
    rows = []
    for noise in NOISES:
        for blocks in (6, 12):
            for outliers in (0.0, OUTLIERS):
                cell = {"blocks": blocks, "noise": noise, "outliers": outliers}
                ratios = block_ratios(blocks, ratio=1.3, noise=noise, seed=seed, studies=studies, outliers=outliers)
                rows.append({"what": COVER, **cell, "share": covered(ratios, 1.3)})
                ratios = block_ratios(blocks, ratio=1.0, noise=noise, seed=seed + 1, studies=studies, outliers=outliers)
                rows.append({"what": APART, **cell, "share": share_of(ratios, {"faster", "slower"})})
    ratios = block_ratios(8, ratio=1.1, noise=0.02, seed=seed + 2, studies=studies)
    rows.append({"what": FOUND, "blocks": 8, "noise": 0.02, "outliers": 0.0, "share": share_of(ratios, {"faster"})})
    return pd.DataFrame(rows).assign(studies=studies)


def block_ratios(blocks: int, *, ratio: float, noise: float, seed: int, studies: int, outliers: float = 0.0) -> Floats:
    """Ratios, shape (studies, blocks); `noise` is the standard deviation of ln ratio over blocks.

    Both sides of a block have the machine's level of that moment, which falls to TREND over the study; in a share
    `outliers` of the blocks one side loses 4 times the noise.
    """
    rng = np.random.default_rng([seed, blocks])
    level = np.exp(np.linspace(0, math.log(TREND), blocks))

    def side() -> Floats:
        own = np.exp(noise / math.sqrt(2) * rng.standard_normal((studies, blocks)))
        hit = np.where(rng.random((studies, blocks)) < outliers / 2, math.exp(-4 * noise), 1.0)
        return np.asarray(level * own * hit, dtype=np.float64)

    return np.asarray(ratio * side() / side(), dtype=np.float64)


def covered(ratios: Floats, truth: float) -> float:
    """The share of studies (rows) whose interval holds the truth."""
    intervals = [log_t_interval(study) for study in ratios]
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


def share_of(ratios: Floats, verdicts: set[str]) -> float:
    """The share of studies (rows) that end with one of these verdicts."""
    return float(np.mean([verdict(study) in verdicts for study in ratios]))


def verdict(ratios: Floats) -> str:
    """The headline's verdict on one study's ratios, shape (blocks,)."""
    interval = log_t_interval(ratios)
    return judge(
        metric="throughput_rps",
        ratio=interval.mean,
        ci_low=interval.low,
        ci_high=interval.high,
        p_value=sign_flip_p(np.log(ratios)),
        delta=DELTA,
        blocks=interval.blocks,
    )


# ---- what is made of the frame ---------------------------------------------------------------------------------


def claims(frame: pd.DataFrame) -> list[Claim]:
    """Each kind over its cells."""
    drawn = []
    for what, (low, high) in GOALS.items():
        shares = frame.loc[frame["what"] == what, "share"]
        goal = f"{qty.percent(low)} to {qty.percent(high)}" if low and high < 1 else ""
        goal = goal or (f"at least {qty.percent(low)}" if low else f"at most {qty.percent(high)}")
        span = sorted({qty.percent(shares.min()), qty.percent(shares.max())}, key=lambda text: float(text.rstrip("%")))
        drawn.append(
            Claim(
                claim=f"simulated studies: {_SHOWN.get(what, what)}, {qty.count(len(shares), 'case')}",
                goal=goal,
                measured=" to ".join(span),
                holds=bool(shares.between(low, high).all()),
            )
        )
    return drawn


def body(frame: pd.DataFrame) -> list[Piece]:
    """Every cell in a table."""
    rows: list[Cells] = []
    for what, (low, high) in GOALS.items():
        cells = frame[frame["what"] == what]
        rows.append([_SHOWN.get(what, what)])
        for cell in cells.itertuples():
            share = float(str(cell.share))
            outliers = "yes" if cell.outliers else "no"
            mark = "" if low <= share <= high else " (outside its goal)"
            rows.append(
                [f"{qty.percent(float(str(cell.noise)))}", str(cell.blocks), outliers, (bold(f"{share:.1%}"), mark)]
            )
    studies = int(frame["studies"].iloc[0])
    header = ["block noise", "blocks", "outliers", "share of studies"]
    text = (
        f"{studies:,} simulated studies in each case. Both sides of a block follow the speed of the machine, which "
        f"drops by {qty.percent(1 - TREND)} over the study. In cases with outliers, one side of "
        f"{qty.percent(OUTLIERS)} of the blocks is slower by four times the noise. Noise is the standard deviation "
        "of the logarithm of a block's ratio; the next part shows the noise of this machine."
    )
    table = Table(header=header, rows=rows, label="Simulated studies", numeric={0, 1, 3})
    return [Paragraph(text=text), table]


EXPERIMENT = Experiment(
    title="Intervals and verdicts, simulated",
    question=(
        "How often is an interval right, and how often is a verdict wrong? This part simulates studies in which the "
        "truth is known."
    ),
    sized=sized,
    claims=claims,
    body=body,
)
