"""Estimates that differ by more than their errors say, as one: a random-effects mean with the interval of Hartung and
Knapp. They are the runs of one plan, or the machines of one study.

Each gives ln ratio y and its standard error s. The variance between them, tau^2, is estimated by restricted maximum
likelihood, and with the weights w = 1 / (s^2 + tau^2) the mean is mu = sum(w y) / sum(w). Its interval is
mu -/+ t(0.975, k - 1) sqrt(q / sum(w)) with q = sum(w (y - mu)^2) / (k - 1): from the spread of the estimates
themselves, on k - 1 degrees of freedom, so it holds for the few that there are, where the normal interval is far too
narrow.

A machine's y is the mean of ln ratio over its blocks. Its s is the standard deviation within machines, pooled over all
of them, divided by the root of its number of blocks: a study has too few blocks on each machine for an estimate of its
own.

Sources: Hartung & Knapp, Statist. Med. 20 (2001), 3875-3889; IntHout et al., BMC Med. Res. Methodol. 14 (2014), 25;
Viechtbauer, J. Educ. Behav. Stat. 30 (2005), 261-293 for the estimate of tau^2. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import scipy

from grpclab import quantities as qty
from grpclab.analysis.inference.ratios import (
    CONFIDENCE,
    Floats,
    Interval,
    log_t_interval,
    t_interval,
    t_quantile,
)

FEWEST_MACHINES = 3
"""From so many machines on, the interval holds for other machines like them. On two it would have one degree of
freedom."""


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """A random-effects mean with its 95% interval and p, and the standard deviation tau between the estimates."""

    mean: float
    low: float
    high: float
    p_value: float
    tau: float
    runs: int


@dataclass(frozen=True, kw_only=True)
class MachineRatio:
    """The ratio on one machine: the geometric mean over its blocks, with its 95% interval (NaN below three blocks)."""

    machine: str = ""
    blocks: int = 0
    ratio: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan

    def as_dict(self) -> dict[str, str | float | None]:
        """The fields as in verdict.json: a number that is not finite becomes None."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, kw_only=True)
class AcrossMachines:
    """A comparison over the machines of its blocks: the ratio on each, and from FEWEST_MACHINES on their mean."""

    machines: tuple[MachineRatio, ...] = ()
    pooled: Pooled | None = None

    def interval(self, blocks: int) -> Interval:
        """The mean over machines as a ratio, of so many blocks."""
        assert self.pooled is not None
        mean, low, high = (math.exp(value) for value in (self.pooled.mean, self.pooled.low, self.pooled.high))
        return Interval(mean=mean, low=low, high=high, blocks=blocks)

    @property
    def note(self) -> str:
        """What is to be said of the machines; "" for one."""
        return "" if len(self.machines) < 2 else self.spread(self.pooled.tau if self.pooled else None)

    def spread(self, tau: float | None) -> str:
        """How far the machines lie apart, and what that means for the interval. `tau` is None without their mean."""
        texts = [qty.ratio(one.ratio, "sentence") for one in sorted(self.machines, key=lambda one: one.ratio)]
        if len(texts) == 1:
            return f"the ratio is {texts[0]} on the only machine, and the interval holds for it alone"
        if texts[0] == texts[-1]:
            apart = f"the ratio is {texts[0]} on {'both' if len(texts) == 2 else f'all {len(texts)}'} machines"
        else:
            apart = f"the ratio is {texts[0]} to {texts[-1]} on {len(texts)} machines"
        if tau is None:
            return f"{apart}; with fewer than {FEWEST_MACHINES}, the interval holds for these machines only"
        between = "" if math.isnan(tau) else f", with a standard deviation of {100 * tau:.2g}% between them"
        return f"{apart}{between}; the interval is that of the mean over machines"


def machines_note(machines: tuple[MachineRatio, ...], tau: float | None) -> str:
    """How far the machines of a headline lie apart, for its warnings; "" for one. `tau` is None without their mean."""
    return f"in the headline, {AcrossMachines(machines=machines).spread(tau)}" if len(machines) > 1 else ""


def across(ratios: Floats, machines: Sequence[str]) -> AcrossMachines:
    """The ratios of blocks (shape: blocks, as `machines`, their names) by machine, and their mean over machines.

    Nothing where no block names its machine.
    """
    names = sorted({name for name in machines if name})
    places = np.asarray(machines, dtype=object)
    intervals = {name: log_t_interval(ratios[places == name]) for name in names}
    found = tuple(
        MachineRatio(machine=name, blocks=one.blocks, ratio=one.mean, ci_low=one.low, ci_high=one.high)
        for name, one in intervals.items()
    )
    return AcrossMachines(machines=found, pooled=over_machines(np.log(ratios), machines))


def over_machines(ln_ratios: Floats, machines: Sequence[str]) -> Pooled | None:
    """The mean over machines of ln ratio in blocks (shape of both: blocks), as the module says.

    None below FEWEST_MACHINES, and where the machine of a block is not known. Without two blocks on any machine,
    nothing tells machines from blocks: then tau is NaN, and the interval is the t interval over machines.
    """
    names = sorted(set(machines))
    if len(names) < FEWEST_MACHINES or "" in names:
        return None
    places = np.asarray(machines, dtype=object)
    groups = [ln_ratios[places == name] for name in names]
    means = np.array([group.mean() for group in groups])
    degrees = sum(group.size - 1 for group in groups)
    within = math.sqrt(sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / max(degrees, 1))
    if degrees and within > 0:
        return hartung_knapp(means, [within / math.sqrt(group.size) for group in groups])
    interval = t_interval(means)
    p_value = float(scipy.stats.ttest_1samp(means, 0.0).pvalue) if np.ptp(means) > 0 else float(interval.mean == 0)
    tau = math.nan if not degrees else float(means.std(ddof=1))
    return Pooled(mean=interval.mean, low=interval.low, high=interval.high, p_value=p_value, tau=tau, runs=len(names))


def hartung_knapp(estimates: npt.ArrayLike, errors: npt.ArrayLike) -> Pooled:
    """The mean of independent estimates with these standard errors, as the module says; shapes: estimates.

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
