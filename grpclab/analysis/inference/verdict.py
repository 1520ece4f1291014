"""A comparison and its verdict.

``faster`` and ``slower``: the interval lies beyond 1, the p (adjusted within its family) is below 0.05, and
the ratio is beyond the margins, 1 / (1 + delta) and 1 + delta: exchanging the sides mirrors the verdict.
``equivalent``: the whole interval lies inside them. A verdict about a server needs both sides free of
``generator-bound``; where one side alone is bound, and is truly at least as good as the verdict says, it stands as "at
least". Where something else used the cores in most trials, ``faster`` and ``slower`` need the 99.9% interval beyond 1:
what disturbs a few blocks only makes a 95% interval too narrow. Anything else is ``inconclusive``, with the number of
blocks that would decide it at the noise seen. So is everything without a p: the sign-flip test needs
:func:`.ratios.fewest_blocks`, the paired t test 4.
The ratio is always candidate / baseline of the raw metric; where less is better (latency), a ratio below 1 is faster.
What the first edition measured is judged by its own rules: see :mod:`.edition`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis.inference.edition import TODAY, Rules
from grpclab.analysis.inference.pairing import pair_blocks, trials_of_pair
from grpclab.analysis.inference.random_effects import FEWEST_MACHINES, MachineRatio, across
from grpclab.analysis.inference.ratios import (
    ALPHA,
    CONFIDENCE,
    WARY_ALPHA,
    fewest_blocks,
    log_t_interval,
    paired_t_p,
    sign_flip_p,
    t_quantile,
)
from grpclab.analysis.inference.sample_size import blocks_needed
from grpclab.analysis.inference.validity import (
    CLIENT,
    GENERATOR,
    bound_note,
    disturbed,
    generator_remedy,
    limits_of,
    too_few_calls,
)
from grpclab.errors import UsageError, invalid
from grpclab.metrics import lower_is_faster
from grpclab.system.json_fields import Json

Verdict = Literal["faster", "slower", "equivalent", "inconclusive"]
SideName = Literal["baseline", "candidate"]

_WRITTEN_IF_SET = frozenset(
    {"bound_sides", "at_least", "remedy", "missing", "disturbed", "by_machine", "between_machines"}
)
"""What verdict.json says where there is something to say."""
HELD_BACK = (
    "another program used the cores in most trials, so only a clearer difference would count: stop that program "
    "(`top` shows it) and measure again"
)
_AT_LEAST: dict[Verdict, SideName] = {"faster": "candidate", "slower": "baseline"}
"""The side that is truly as good as measured or better where such a verdict is at least as large."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A candidate compared with a baseline, in one metric and one scenario.

    `ratio` is NaN below two valid blocks, `ci_low` and `ci_high` (95%) below three, and the p values below the number
    of blocks that their test needs. `p_adjusted` equals `p_value` if nothing was corrected; `family` is the name of the
    Holm family, "" if there is none. `blocks_needed` is None if there is a verdict, or if no number can be given.

    `limited_by` contains the distinct labels of either side. `bound_sides` are the sides for which the load generator
    was the limit of a verdict about a server. The verdict is then "at least" (`at_least`), or there is none; `remedy`
    says what to change. `disturbed`: something else used the cores in most of its trials.

    `by_machine` are the ratios on each machine of a study that was measured on a cluster. From FEWEST_MACHINES machines
    on, ratio, interval and p are those of a random-effects mean over machines, and `between_machines` is the standard
    deviation of ln ratio between them.

    `missing` says why a number cannot be computed (null in verdict.json) and which blocks were left out. `note`
    contains everything worth knowing about the comparison, including `missing`.
    """

    title: str = ""
    scenario: str = ""
    metric: str = ""
    baseline: str = ""
    candidate: str = ""
    ratio: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    p_value: float = math.nan
    p_adjusted: float = math.nan
    family: str = ""
    delta: float = math.nan
    blocks: int = 0
    verdict: Verdict = "inconclusive"
    blocks_needed: Json = None
    limited_by: tuple[str, ...] = ()
    note: str = ""
    bound_sides: tuple[str, ...] = ()
    at_least: bool = False
    remedy: str = ""
    disturbed: bool = False
    missing: str = ""
    by_machine: tuple[MachineRatio, ...] = ()
    between_machines: float = math.nan

    @property
    def over_machines(self) -> bool:
        """Whether ratio, interval and p are those of a mean over machines."""
        return len(self.by_machine) >= FEWEST_MACHINES

    @property
    def degrees(self) -> int:
        """The degrees of freedom of the interval."""
        return (len(self.by_machine) if self.over_machines else self.blocks) - 1

    @property
    def standard_error(self) -> float:
        """The standard error of ln ratio, computed back from the interval; NaN where there is none."""
        if not self.has_interval:
            return math.nan
        return (math.log(self.ci_high) - math.log(self.ci_low)) / 2 / t_quantile((1 + CONFIDENCE) / 2, self.degrees)

    @property
    def directed(self) -> tuple[str, str, str, str]:
        """What is compared: scenario, metric, baseline, candidate."""
        return self.scenario, self.metric, self.baseline, self.candidate

    @property
    def computed(self) -> bool:
        """Whether there were enough blocks for a ratio."""
        return math.isfinite(self.ratio)

    @property
    def has_interval(self) -> bool:
        """Whether there were enough blocks for an interval."""
        return not (math.isnan(self.ci_low) or math.isnan(self.ci_high))

    @property
    def excludes_one(self) -> bool:
        """Whether the whole interval lies on one side of 1."""
        return self.ci_low > 1 or self.ci_high < 1

    @property
    def too_few_blocks(self) -> bool:
        """Whether there is a ratio, but too few blocks for a verdict."""
        return self.computed and math.isnan(self.p_value)

    @property
    def generator_limited(self) -> bool:
        """Whether there is no verdict because the load generator was the limit."""
        return bool(self.bound_sides) and self.verdict == "inconclusive"

    @property
    def obstacles(self) -> tuple[str, ...]:
        """What prevents a verdict, apart from noise: too few blocks, which comes first, or the load generator. If there
        is no ratio, `missing` says why."""
        if self.verdict != "inconclusive" or not self.computed:
            return ()
        few = f"{qty.count(self.blocks, 'block')} {'is' if self.blocks == 1 else 'are'} too few for a verdict"
        return (
            *((f"{few}: run at least {fewest_blocks()}",) if self.too_few_blocks else ()),
            *((f"the load generator was the limit: {self.remedy}",) if self.generator_limited else ()),
            *((HELD_BACK,) if self.held_back else ()),
        )

    @property
    def held_back(self) -> bool:
        """Whether there is no verdict because something else used the cores: without it the difference would count."""
        return self.disturbed and self.verdict == "inconclusive" and self._judged(disturbed=False) != "inconclusive"

    @property
    def bound_word(self) -> str:
        """The words before a ratio that is a bound: ``at least`` or ``at most``; "" if it is not a bound."""
        return "" if not self.at_least else "at least" if self.ratio > 1 else "at most"

    @property
    def verdict_words(self) -> str:
        """The verdict, and whether the effect is a lower bound: ``faster (at least)``."""
        return f"{self.verdict} (at least)" if self.at_least else self.verdict

    def adjusted(self, p_adjusted: float, *, tests: int, rules: Rules = TODAY) -> Comparison:
        """This comparison, judged again with a p that was corrected in a family of `tests` tests (paired t)."""
        again = dataclasses.replace(self, p_adjusted=p_adjusted)
        outcome = again._judged(disturbed=self.disturbed, rules=rules)
        again = dataclasses.replace(again, verdict=outcome)
        needed = None
        if outcome == "inconclusive" and not (self.bound_sides or again.held_back or self.over_machines):
            needed = blocks_needed(
                ratio=self.ratio,
                ci_low=self.ci_low,
                ci_high=self.ci_high,
                blocks=self.blocks,
                delta=self.delta,
                tests=tests,
                rules=rules,
            )
        at_least = bool(self.bound_sides) and outcome != "inconclusive"
        return dataclasses.replace(again, blocks_needed=needed, at_least=at_least)

    def _judged(self, *, disturbed: bool, rules: Rules = TODAY) -> Verdict:
        return judge(
            metric=self.metric,
            ratio=self.ratio,
            ci_low=self.ci_low,
            ci_high=self.ci_high,
            p_value=self.p_adjusted,
            delta=self.delta,
            blocks=self.blocks,
            rules=rules,
            bound=self.bound,
            disturbed=disturbed,
            degrees=self.degrees,
        )

    @property
    def bound(self) -> tuple[SideName, ...]:
        """The sides of the comparison for which the load generator was the limit."""
        sides: dict[SideName, str] = {"baseline": self.baseline, "candidate": self.candidate}
        return tuple(side for side, name in sides.items() if name in self.bound_sides)

    def as_dict(self) -> dict[str, Any]:
        """The fields as in verdict.json: a number that is not finite becomes None."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in fields.items()
        }
        known = plain | {"limited_by": list(self.limited_by), "bound_sides": list(self.bound_sides)}
        known["by_machine"] = [one.as_dict() for one in self.by_machine]
        return {name: value for name, value in known.items() if value or name not in _WRITTEN_IF_SET}


def judge(
    *,
    metric: str,
    ratio: float,
    ci_low: float,
    ci_high: float,
    p_value: float,
    delta: float,
    blocks: int,
    rules: Rules = TODAY,
    bound: Collection[SideName] = (),
    disturbed: bool = False,
    degrees: int | None = None,
) -> Verdict:
    """The verdict on a ratio candidate / baseline, from its interval, its adjusted p, delta and the number of blocks.

    NaN gives no verdict. `bound` contains the sides for which the load generator was the limit. `disturbed`: something
    else used the cores in most trials. `degrees` are those of freedom of the interval, by default one less than blocks.
    """
    degrees = blocks - 1 if degrees is None else degrees
    low, high = rules.margins(delta)
    verdict: Verdict = "inconclusive"
    if math.isnan(p_value):
        return verdict
    least, most = _wary_interval(ci_low, ci_high, degrees) if disturbed and rules.free_cores else (ci_low, ci_high)
    if least > 1 and ratio > high and p_value < ALPHA:
        verdict = "slower" if lower_is_faster(metric) else "faster"
    elif most < 1 and ratio < low and p_value < ALPHA:
        verdict = "faster" if lower_is_faster(metric) else "slower"
    elif ci_low > low and ci_high < high:
        verdict = "equivalent"
    hidden = bool(bound) and rules.about_server(metric) and {_AT_LEAST.get(verdict)} != set(bound)
    return "inconclusive" if hidden else verdict


def _wary_interval(ci_low: float, ci_high: float, degrees: int) -> tuple[float, float]:
    """The 99.9% interval of a ratio whose 95% interval is that."""
    if not (0 < ci_low <= ci_high < math.inf):
        return ci_low, ci_high
    times = t_quantile(1 - WARY_ALPHA / 2, degrees) / t_quantile(1 - ALPHA / 2, degrees)
    middle, half = (math.log(ci_high) + math.log(ci_low)) / 2, times * (math.log(ci_high) - math.log(ci_low)) / 2
    return math.exp(middle - half), math.exp(middle + half)


def compare(
    trials: pd.DataFrame,
    *,
    title: str = "",
    scenario: str,
    metric: str,
    baseline: str,
    candidate: str,
    family: str = "",
    delta: float = 0.05,
    exact: bool = False,
    rules: Rules = TODAY,
) -> Comparison:
    """Compare two configurations of one scenario in one metric, within the groups of each block.

    `trials` has one row per trial. With `exact`, p comes from the exact sign-flip test, otherwise from the paired t
    test. It is not adjusted: :func:`grpclab.analysis.analyse` does that for a family. Too few blocks, missing
    configurations and values without a logarithm do not raise an error; the `note` of the comparison mentions them.
    Raises UsageError for an invalid delta.
    """
    if not 0 < delta < 1:
        raise UsageError(invalid("delta", f"{delta:g}", "a fraction between 0 and 1, e.g. 0.05 for 5%"))
    paired = pair_blocks(trials, scenario=scenario, metric=metric, baseline=baseline, candidate=candidate)
    interval = log_t_interval(paired.frame["ratio"])
    missing = list(paired.notes)
    ratio = interval.mean
    p_value = math.nan
    if interval.blocks < 2:
        few = too_few_calls(trials, metric, (baseline, candidate))
        counted = f"both sides are valid in {_blocks(interval.blocks)}, and a ratio needs at least 2"
        missing = [few] if few else [counted, *missing]
        ratio = math.nan
    else:
        ln_ratios = np.log(paired.frame["ratio"].to_numpy())
        if interval.blocks >= (fewest_blocks() if exact else rules.fewest_for_t):
            p_value = sign_flip_p(ln_ratios) if exact else paired_t_p(ln_ratios)
    found = across(paired.frame["ratio"].to_numpy(), paired.machines)
    if (pooled := found.pooled) and math.isfinite(ratio):
        interval, ratio = found.interval(interval.blocks), math.exp(pooled.mean)
        p_value = math.nan if math.isnan(p_value) else pooled.p_value

    columns = ("limited_by", "load.engine", "notices")
    pair = trials_of_pair(trials, scenario=scenario, baseline=baseline, candidate=candidate, columns=columns)
    labels = {name: limits_of(pair, name, scenario) for name in (baseline, candidate)}
    limited = [name for name, limits in labels.items() if GENERATOR in limits]
    bound = bound_note(metric, baseline=baseline, candidate=candidate, limited=limited)
    clients = [name for name, limits in labels.items() if CLIENT in limits]
    notes = [note for note in (*missing, bound, found.note) if note]
    if clients:
        notes.append(f"in trials of {' and '.join(clients)}, the client under test was at its limit")
    return Comparison(
        title=title or f"{candidate} against {baseline}",
        scenario=scenario,
        metric=metric,
        baseline=baseline,
        candidate=candidate,
        ratio=ratio,
        ci_low=interval.low,
        ci_high=interval.high,
        p_value=p_value,
        p_adjusted=p_value,
        family=family,
        delta=delta,
        blocks=interval.blocks,
        limited_by=tuple(sorted({label for limits in labels.values() for label in limits})),
        note="; ".join(notes),
        missing="; ".join(missing),
        bound_sides=tuple(limited) if rules.about_server(metric) else (),
        remedy=generator_remedy(pair, limited) if limited and rules.about_server(metric) else "",
        disturbed=rules.free_cores and disturbed(pair),
        by_machine=found.machines,
        between_machines=pooled.tau if pooled else math.nan,
    ).adjusted(p_value, tests=1, rules=rules)


def _blocks(number: int) -> str:
    return {0: "no block", 1: "only 1 block"}.get(number, f"{number} blocks")
