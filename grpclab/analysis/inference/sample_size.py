"""How many blocks a comparison takes, from its noise alone, and what so many blocks can show.

The noise is the standard deviation s of ln ratio over blocks, as a pilot saw it on few degrees of freedom. Its upper
80 % bound is planned with, s sqrt(f / chi2(0.2, f)), so that four plans in five are not too small (Browne, Statist.
Med. 14 (1995), 1933-1940). No effect that was seen enters: blocks that were measured before the number was fixed may
then be counted. Power is 0.8 by the usual sum of two t quantiles (Julious, Statist. Med. 23 (2004), 1921-1986). Effects
are shares (0.05: 5 %), times are in seconds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from grpclab import quantities as qty
from grpclab.analysis.inference.edition import TODAY, Rules, ln_margins
from grpclab.analysis.inference.ratios import ALPHA, CONFIDENCE, Floats, fewest_blocks, t_quantile

POWER = 0.8
"""The chance that so many blocks decide, if the noise is that planned with."""
POWERS = (0.95, 0.9, 0.85, POWER, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""A budget shows equivalence with the first of these for which there is time: a pilot's noise may be low by luck."""
MOST_BLOCKS = 1000
"""No study is sent off to run more blocks than this."""
NOISE_CONFIDENCE = 0.8
"""The share of pilots whose upper bound of the noise is not below the noise."""
PROMISED = 1.5
"""An effect is promised only beyond so many times the margin: one that equals the margin is found half the time, by
definition."""
EFFECTS = (0.10, 0.05, 0.03, 0.02, 0.01)
"""The effects that a plan tells the price of."""
_FEWEST_FOR_NOISE = 3  # two blocks estimate the noise on one degree of freedom: off by a factor of ten either way
COUNTED_S = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Counted times that a budget chooses from, of a configuration in a block."""


@dataclass(frozen=True, kw_only=True)
class EffectRow:
    """The cost of an effect: the number of blocks that detect it in four out of five comparisons, and their time.

    `effect` 0 stands for the verdict ``equivalent`` when there is no difference. `blocks` and `seconds` are None if no
    number can be given: for an effect within PROMISED times the margin (`promised` is then False), or one that needs
    more than MOST_BLOCKS.
    """

    effect: float
    blocks: int | None
    seconds: float | None
    promised: bool


@dataclass(frozen=True, kw_only=True)
class BlockCosts:
    """The wall time of a block: `fixed_s`, plus `per_counted_s` for each second of counted time per configuration."""

    fixed_s: float
    per_counted_s: float

    def block_s(self, counted_s: float) -> float:
        """The wall time of a block with that counted time per configuration."""
        return self.fixed_s + self.per_counted_s * counted_s


@dataclass(frozen=True, kw_only=True)
class PairNoise:
    """The standard deviation of ln ratios over blocks, its degrees of freedom, and the counted time per side.

    `slices_sd` is the part that comes from within a block, which decreases with the counted time as 1 / sqrt(time). If
    it is unknown (NaN), a longer time is assumed not to help.
    """

    sd: float
    degrees: int
    counted_s: float
    slices_sd: float = math.nan

    def at(self, counted_s: float) -> float:
        """The expected standard deviation with another counted time."""
        within = min(self.slices_sd, self.sd) if math.isfinite(self.slices_sd) else 0.0
        if not math.isfinite(self.slices_sd) and counted_s < self.counted_s:
            within = self.sd  # the worst: all of the noise grows as the time shrinks
        return math.sqrt(self.sd**2 - within**2 + within**2 * self.counted_s / counted_s)


@dataclass(frozen=True, kw_only=True)
class BudgetFit:
    """What fits into a budget: the counted time per configuration in a block, the blocks, and the smallest detectable
    effect.

    `seconds` is the wall time of all blocks. `fits` is False if even the fewest blocks with the shortest counted time
    exceed the budget.
    """

    counted_s: float
    blocks: int
    smallest_effect: float
    seconds: float
    fits: bool


def upper_spread(sd: float, degrees: int, confidence: float = NOISE_CONFIDENCE) -> float:
    """The one-sided upper confidence bound of a standard deviation: s sqrt(f / chi2(1 - confidence, f)).

    NaN below one degree of freedom.
    """
    return sd * _bound_factor(degrees, confidence) if degrees >= 1 else math.nan


def spread_within_pairs(ln_ratios: Iterable[npt.ArrayLike]) -> tuple[float, int]:
    """The pooled standard deviation of ln ratios over blocks, and its degrees of freedom.

    Each array (shape: blocks) is one comparison. Its mean is subtracted, so its effect has no influence. If no
    comparison has two blocks, the result is NaN with 0 degrees of freedom.
    """
    squares, degrees = 0.0, 0
    for values in ln_ratios:
        sample = np.asarray(values, dtype=np.float64)
        sample = sample[np.isfinite(sample)]
        if sample.size >= 2:
            squares += float(((sample - sample.mean()) ** 2).sum())
            degrees += sample.size - 1
    return (math.sqrt(squares / degrees), degrees) if degrees else (math.nan, 0)


def blocks_for(
    sd_pairs: float, degrees: int, *, delta: float, effect: float = 0.0, tests: int = 1, most: int = MOST_BLOCKS
) -> int | None:
    """The number of blocks that decides in four out of five comparisons, computed from the noise within pairs alone.

    Let n be the number of blocks, s the upper bound of the noise, m = ln(1 + delta), and t have n - 1 degrees of
    freedom. ``effect`` 0 stands for the verdict ``equivalent`` at a ratio of 1, which needs
    ``(t(0.975) + t(0.9)) s / sqrt(n) <= m``, since the interval may leave the margins on either side. Any other effect
    stands for ``faster`` or ``slower``, which needs
    ``(t(1 - 0.05 / (2 tests)) + t(0.8)) s / sqrt(n) <= ln(1 + effect)`` and
    ``t(0.8) s / sqrt(n) <= ln(1 + effect) - m``, since the ratio must lie beyond the margin. `tests` is the size of the
    Holm family, in the worst case. An effect of the same size below 1 needs at most as many blocks.

    None if no number can be given: for an effect within PROMISED times delta, for unknown noise, and above `most`.
    """
    if not (math.isfinite(sd_pairs) and degrees >= 1) or (effect and not is_promised(effect, delta)):
        return None
    spread = upper_spread(sd_pairs, degrees)
    for blocks in range(fewest_blocks(), most + 1):
        if _decides(spread, blocks, delta=delta, effect=effect, tests=tests):
            return blocks
    return None


def is_promised(effect: float, delta: float) -> bool:
    """Whether an effect lies beyond PROMISED times the margin."""
    return effect > PROMISED * delta + 1e-12


def effect_table(
    sd_pairs: float,
    degrees: int,
    *,
    delta: float,
    block_s: float,
    tests: int = 1,
    effects: Sequence[float] = EFFECTS,
) -> tuple[EffectRow, ...]:
    """The cost of the verdict ``equivalent`` at a ratio of 1, then of each effect; a block takes `block_s` seconds."""
    rows = []
    for effect in (0.0, *effects):
        blocks = blocks_for(sd_pairs, degrees, delta=delta, effect=effect, tests=tests)
        rows.append(
            EffectRow(
                effect=effect,
                blocks=blocks,
                seconds=None if blocks is None else blocks * block_s,
                promised=not effect or is_promised(effect, delta),
            )
        )
    return tuple(rows)


def effect_lines(rows: Sequence[EffectRow], *, delta: float) -> list[str]:
    """The table as lines of plain text."""
    lines = []
    for row in rows:
        what = f"an effect of {100 * row.effect:g} %" if row.effect else f"no difference (within {100 * delta:g} %)"
        if not row.promised:
            says = (
                f"might not be detected: at most {PROMISED:g} times the smallest effect of interest ({100 * delta:g}%)"
            )
        elif row.blocks is None or row.seconds is None:
            says = f"more than {MOST_BLOCKS:,} blocks"
        else:
            says = f"{qty.count(row.blocks, 'block')}, about {qty.rough_duration(row.seconds)}"
        lines.append(f"{what:<34}{says}")
    return lines


def smallest_seen(sd_pairs: float, blocks: int, degrees: int, *, delta: float, tests: int = 1) -> float:
    """The smallest effect, as a share, that this number of blocks detects in four out of five comparisons.

    The inverse of :func:`blocks_for`, so never within PROMISED times delta. NaN without noise or below two blocks.
    """
    if blocks < 2 or degrees < 1 or not math.isfinite(sd_pairs):
        return math.nan
    error = upper_spread(sd_pairs, degrees) / math.sqrt(blocks)
    power = t_quantile(POWER, blocks - 1) * error
    strict = t_quantile(1 - ALPHA / (2 * max(1, tests)), blocks - 1) * error
    with np.errstate(over="ignore"):
        return max(PROMISED * delta, float(np.expm1(max(strict + power, math.log1p(delta) + power))))


def shows_equivalence(sd_pairs: float, blocks: int, degrees: int, *, delta: float, power: float = POWER) -> bool:
    """Whether this number of blocks ends ``equivalent`` in such a share of the comparisons without a difference."""
    known = math.isfinite(sd_pairs) and degrees >= 1 and blocks >= fewest_blocks()
    return known and _decides(upper_spread(sd_pairs, degrees), blocks, delta=delta, effect=0.0, tests=1, power=power)


def fit_budget(
    costs: BlockCosts,
    noise: PairNoise,
    seconds: float,
    *,
    delta: float,
    tests: int = 1,
    least_counted_s: float = COUNTED_S[0],
    most_counted_s: float = COUNTED_S[-1],
    most: int = MOST_BLOCKS,
) -> BudgetFit:
    """The counted time and the number of blocks that detect the smallest effect within `seconds` of wall time.

    The fit uses only costs and noise. It shows equivalence if any choice does, with the highest of POWERS. If several
    choices detect the same effect (effects within PROMISED times delta count as the same), it takes the one with the
    least time, so a quiet machine finishes early. It never plans fewer blocks than a verdict needs, even if they exceed
    the budget: see `fits`.
    """
    times = {least_counted_s, most_counted_s, noise.counted_s, *COUNTED_S}
    choices = []
    for counted_s in sorted(time for time in times if least_counted_s <= time <= most_counted_s):
        block_s = costs.block_s(counted_s)
        affordable = min(most, int(seconds / block_s + 1e-9)) if block_s > 0 else most
        spread = noise.at(counted_s)
        for blocks in range(fewest_blocks(), max(affordable, fewest_blocks()) + 1):
            seen = smallest_seen(spread, blocks, noise.degrees, delta=delta, tests=tests)
            shown = (
                power for power in POWERS if shows_equivalence(spread, blocks, noise.degrees, delta=delta, power=power)
            )
            power = next(shown, 0.0)
            fit = BudgetFit(
                counted_s=counted_s,
                blocks=blocks,
                smallest_effect=seen,
                seconds=blocks * block_s,
                fits=blocks <= affordable,
            )
            late_s = 0.0 if fit.fits else fit.seconds
            rank = (not fit.fits, late_s, -power, round(seen, 4), fit.seconds)
            choices.append((rank, fit))
    return min(choices, key=lambda choice: choice[0])[1]


def blocks_needed(
    *,
    ratio: float,
    ci_low: float,
    ci_high: float,
    blocks: int,
    delta: float,
    tests: int = 1,
    rules: Rules = TODAY,
) -> int | None:
    """The number of blocks that a new study needs to reach a verdict in four out of five cases, at this ratio and
    noise.

    Let s be the standard deviation of ln ratios, computed back from the interval, and let t have n - 1 degrees of
    freedom. A ratio beyond the margins is decided if ``|ln ratio| >= (t(1 - 0.05 / (2 tests)) + t(0.8)) s / sqrt(n)``
    and ln ratio is at least ``t(0.8) s / sqrt(n)`` from the edge. A ratio inside is decided if it is at least
    ``(t(0.975) + t(0.8)) s / sqrt(n)`` from the nearer edge. This is the usual sample size for a paired t test
    (Julious, Statist. Med. 23 (2004), 1921-1986). `tests` is the size of the Holm family, in the worst case
    (Bonferroni). The result is never below :func:`.ratios.fewest_blocks`.

    None if there are fewer than 3 blocks, or if more than 1000 would be needed.
    """
    if blocks < _FEWEST_FOR_NOISE or not all(math.isfinite(x) and x > 0 for x in (ratio, ci_low, ci_high)):
        return None
    low_edge, high_edge = ln_margins(delta, rules)
    middle = math.log(ratio)
    spread = spread_of(ci_low=ci_low, ci_high=ci_high, blocks=blocks)
    sizes = np.arange(blocks + 1, MOST_BLOCKS + 1)
    error = spread / np.sqrt(sizes)
    margin = error * _quantiles(POWER)[blocks:]
    if low_edge <= middle <= high_edge:
        gap = min(high_edge - middle, middle - low_edge)
        enough = gap > error * _quantiles((1 + CONFIDENCE) / 2)[blocks:] + margin
    else:
        gap = middle - high_edge if middle > 0 else low_edge - middle
        strict = error * _quantiles(1 - ALPHA / (2 * max(1, tests)))[blocks:]
        enough = (abs(middle) > strict + margin) & (gap > margin)
    enough &= sizes >= fewest_blocks()
    return int(sizes[enough.argmax()]) if enough.any() else None


def spread_of(*, ci_low: float, ci_high: float, blocks: int) -> float:
    """The standard deviation of ln ratios over blocks, computed back from their 95 % interval: the block noise."""
    half = (math.log(ci_high) - math.log(ci_low)) / 2
    return half / t_quantile((1 + CONFIDENCE) / 2, blocks - 1) * math.sqrt(blocks)


def smallest_effect(spread: float, blocks: int) -> float:
    """The smallest effect, as a share, that this number of blocks detects in four out of five studies at this block
    noise.

    exp((t(0.975) + t(0.8)) spread / sqrt(n)) - 1, with n - 1 degrees of freedom: see :func:`blocks_needed`.
    """
    quantiles = t_quantile(1 - ALPHA / 2, blocks - 1) + t_quantile(POWER, blocks - 1)
    return math.expm1(quantiles * spread / math.sqrt(blocks))


@functools.lru_cache(maxsize=1024)
def _bound_factor(degrees: int, confidence: float) -> float:
    return math.sqrt(degrees / float(scipy.stats.chi2.ppf(1 - confidence, degrees)))


def _decides(spread: float, blocks: int, *, delta: float, effect: float, tests: int, power: float = POWER) -> bool:
    """Whether so many blocks decide in that share of the comparisons, at this noise."""
    error, margin = spread / math.sqrt(blocks), math.log1p(delta)
    if not effect:
        both = (1 + power) / 2
        return float((_quantiles((1 + CONFIDENCE) / 2)[blocks - 1] + _quantiles(both)[blocks - 1]) * error) <= margin
    reserve = float(_quantiles(power)[blocks - 1]) * error
    strict = float(_quantiles(1 - ALPHA / (2 * max(1, tests)))[blocks - 1]) * error
    size = math.log1p(effect)
    return strict + reserve <= size and reserve <= size - margin


@functools.lru_cache(maxsize=64)
def _quantiles(share: float) -> Floats:
    """:func:`.ratios.t_quantile` with 0 to MOST_BLOCKS - 1 degrees of freedom, NaN for none."""
    quantiles: Floats = np.asarray(scipy.stats.t.ppf(share, np.arange(MOST_BLOCKS)))
    quantiles.flags.writeable = False
    return quantiles
