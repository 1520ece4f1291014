"""Several runs of one plan as one estimate: a random-effects mean with the interval of Hartung and Knapp.

Each run gives ln ratio y and its standard error s. Runs differ by more than s says, since each is of another day or
another machine: the variance between them, tau^2, is estimated by restricted maximum likelihood, and with the weights
w = 1 / (s^2 + tau^2) the mean is mu = sum(w y) / sum(w). Its interval is mu -/+ t(0.975, k - 1) sqrt(q / sum(w)) with
q = sum(w (y - mu)^2) / (k - 1): from the spread of the runs themselves, on k - 1 degrees of freedom, so it holds for
the few runs that there are, where the normal interval is far too narrow.

Sources: Hartung & Knapp, Statist. Med. 20 (2001), 3875-3889; IntHout et al., BMC Med. Res. Methodol. 14 (2014), 25;
Viechtbauer, J. Educ. Behav. Stat. 30 (2005), 261-293 for the estimate of tau^2. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from grpclab.analysis.inference.edition import TODAY, Rules
from grpclab.analysis.inference.ratios import CONFIDENCE, Floats, t_quantile
from grpclab.analysis.inference.sample_size import spread_of
from grpclab.analysis.inference.verdict import Comparison, Verdict, judge

FEWEST_RUNS = 3
"""From so many runs on there is one interval; of two, its one degree of freedom would say nothing."""


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A random-effects mean with its 95% interval and p, and the standard deviation tau between the runs."""

    mean: float
    low: float
    high: float
    p_value: float
    tau: float
    runs: int


@dataclass(frozen=True, kw_only=True)
class JointVerdict:
    """Runs of one plan together: the ratio of each, their spread, and from FEWEST_RUNS on one interval and a verdict.

    `low` and `high` are the least and the greatest ratio of a run, `ratio` is the geometric mean of the runs. Below
    FEWEST_RUNS there is no interval and no verdict beyond ``inconclusive``.
    """

    runs: tuple[Comparison, ...]
    ratio: float
    low: float
    high: float
    pooled: Pooled | None
    verdict: Verdict

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the 95% interval of the ratio, NaN below FEWEST_RUNS."""
        if self.pooled is None:
            return math.nan, math.nan
        return math.exp(self.pooled.low), math.exp(self.pooled.high)

    @property
    def bound(self) -> bool:
        """Whether the load generator was the limit of a run."""
        return any(run.bound_sides for run in self.runs)

    @property
    def blocks(self) -> int:
        """All blocks of the runs."""
        return sum(run.blocks for run in self.runs)


def hartung_knapp(estimates: npt.ArrayLike, errors: npt.ArrayLike) -> Pooled:
    """The mean of independent estimates with these standard errors, as the module says; shapes: runs.

    Raises ValueError below two, or for an error that is not positive.
    """
    y, s = np.asarray(estimates, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if y.size < 2 or y.shape != s.shape or not (np.isfinite(y).all() and (s > 0).all()):
        raise ValueError("expected at least two estimates, each with a standard error above 0")
    tau2 = _tau2(y, s**2)
    weights = 1 / (s**2 + tau2)
    mean = float((weights * y).sum() / weights.sum())
    degrees = y.size - 1
    error = math.sqrt(float((weights * (y - mean) ** 2).sum()) / degrees / float(weights.sum()))
    half = t_quantile((1 + CONFIDENCE) / 2, degrees) * error
    p_value = 2 * float(scipy.stats.t.sf(abs(mean) / error, degrees)) if error > 0 else float(mean == 0)
    return Pooled(mean=mean, low=mean - half, high=mean + half, p_value=p_value, tau=math.sqrt(tau2), runs=int(y.size))


def _tau2(y: Floats, variances: Floats) -> float:
    """The variance between runs that maximises the restricted likelihood; 0 where none does."""

    def loss(tau2: float) -> float:
        weights = 1 / (variances + tau2)
        mean = (weights * y).sum() / weights.sum()
        return float(np.log(variances + tau2).sum() + np.log(weights.sum()) + (weights * (y - mean) ** 2).sum())

    most = float(np.ptp(y)) ** 2 + float(variances.max())
    found = scipy.optimize.minimize_scalar(loss, bounds=(0.0, most), method="bounded", options={"xatol": 1e-12 * most})
    return float(found.x) if loss(float(found.x)) < loss(0.0) else 0.0


def joined(runs: Sequence[Comparison], *, delta: float, rules: Rules = TODAY) -> JointVerdict:
    """The runs of one comparison together, each with its interval; those without are left out.

    From FEWEST_RUNS on the verdict is that of the pooled ratio, its interval and its p, by the same margins. A run in
    which the load generator was the limit makes it ``inconclusive``, as in a single study.
    """
    known = tuple(run for run in runs if run.computed and run.has_interval and run.ci_high > run.ci_low)
    logs = np.array([math.log(run.ratio) for run in known])
    errors = [
        spread_of(ci_low=run.ci_low, ci_high=run.ci_high, blocks=run.blocks) / math.sqrt(run.blocks) for run in known
    ]
    ends = (math.exp(logs.min()), math.exp(logs.max())) if known else (math.nan, math.nan)
    if len(known) < FEWEST_RUNS:
        mean = math.exp(logs.mean()) if known else math.nan
        return JointVerdict(runs=known, ratio=mean, low=ends[0], high=ends[1], pooled=None, verdict="inconclusive")
    pooled = hartung_knapp(logs, errors)
    bound = {side for run in known for side in run.bound}
    verdict = judge(
        metric=known[0].metric,
        ratio=math.exp(pooled.mean),
        ci_low=math.exp(pooled.low),
        ci_high=math.exp(pooled.high),
        p_value=pooled.p_value,
        delta=delta,
        blocks=sum(run.blocks for run in known),
        rules=rules,
        bound=bound,
    )
    return JointVerdict(
        runs=known, ratio=math.exp(pooled.mean), low=ends[0], high=ends[1], pooled=pooled, verdict=verdict
    )
