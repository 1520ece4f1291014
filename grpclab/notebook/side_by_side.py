"""Two studies side by side, and only what of them is alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from grpclab import quantities as qty
from grpclab.factors.config import FACTORS
from grpclab.factors.own import is_own
from grpclab.report import words
from grpclab.report.stored import StoredStudy

RATIO = ("ratio", "ci_low", "ci_high", "verdict")


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Two studies side by side.

    `differences` names what sets them apart: machine, versions (columns: what and the two studies). `trials` has the
    valid trials of the configurations that both hold with equal factors, under an index level `study`. `left_out` says
    why the others are not in it.
    """

    names: tuple[str, str]
    differences: pd.DataFrame
    trials: pd.DataFrame
    comparisons: pd.DataFrame
    left_out: pd.Series

    @property
    def comparable(self) -> bool:
        """Whether absolute numbers may be compared: the machine and the versions are the same."""
        return self.differences.empty

    @property
    def sentence(self) -> str:
        """A sentence on what may be compared."""
        shared = self.trials["configuration"].nunique()
        what = f"{qty.count(shared, 'configuration')} in common"
        if self.comparable:
            return (
                f"The two studies ran on the same machine with the same versions and have {what}, so absolute "
                "figures can be compared as well."
            )
        apart = words.listing([str(name) for name in self.differences.index])
        return (
            f"The two studies differ in {apart} and have {what}. Absolute figures are therefore not compared, only "
            "ratios, each of which is taken within one study."
        )

    def levels(self, metric: str) -> pd.DataFrame:
        """The metric of each shared configuration in both studies, geometric means; empty unless comparable.

        Columns: one for each study, and ratio, the second over the first. It has no interval: the two were not
        interleaved, so their machine may have changed in between.
        """
        if not self.comparable or self.trials.empty:
            return pd.DataFrame(columns=[*self.names, "ratio"])
        logs = np.log(self.trials[metric].where(self.trials[metric] > 0))
        means = np.exp(logs.groupby([self.trials["configuration"], self.trials.index.get_level_values("study")]).mean())
        table: pd.DataFrame = means.unstack("study")[list(self.names)]
        return table.assign(ratio=table[self.names[1]] / table[self.names[0]])

    def agreement(self) -> str:
        """One sentence on whether the comparisons of the two studies agree."""
        both = self.comparisons.dropna(subset=[f"{column}_{side}" for column in RATIO[:3] for side in (1, 2)])
        if both.empty:
            return "No comparison has an interval in both studies."
        overlap = (both["ci_low_1"] <= both["ci_high_2"]) & (both["ci_low_2"] <= both["ci_high_1"])
        same = both["verdict_1"].eq(both["verdict_2"])
        opposite = {"faster": "slower", "slower": "faster"}
        against = both["verdict_1"].map(opposite).eq(both["verdict_2"])
        return (
            f"Of {qty.count(len(both), 'comparison')} in both studies, {int(overlap.sum())} have overlapping "
            f"intervals, {int(same.sum())} have the same verdict, and {int(against.sum())} have opposite verdicts."
        )


def join(first: StoredStudy, second: StoredStudy) -> Joined:
    """Put two studies side by side, and only what of them is alike."""
    names = (first.name, second.name if second.name != first.name else f"{second.name} (2)")
    ours, theirs = first.identity, second.identity
    apart = [key for key in dict.fromkeys([*ours, *theirs]) if ours.get(key) != theirs.get(key)]
    differences = pd.DataFrame(
        {name: [str(of.get(key)) for key in apart] for name, of in zip(names, (ours, theirs), strict=True)},
        index=pd.Index(apart, name="what"),
    )
    left_out = _left_out(first, second)
    kept = [study.valid[~study.valid["configuration"].isin(left_out.index)] for study in (first, second)]
    trials = pd.concat(kept, keys=names, names=["study", None])
    trials = trials.drop(columns="study")  # each name is in the index, where two of the same name are told apart
    comparisons = _in_both(first, second)
    return Joined(names=names, differences=differences, trials=trials, comparisons=comparisons, left_out=left_out)


def _in_both(first: StoredStudy, second: StoredStudy) -> pd.DataFrame:
    """The comparisons of the same title and metric whose sides have equal factors, whatever they are called."""
    key, sides = ["title", "metric"], ["baseline", "candidate"]
    both = [study.comparisons.reindex(columns=[*key, *sides, *RATIO]).drop_duplicates(key) for study in (first, second)]
    shared = both[0].merge(both[1], on=key, suffixes=("_1", "_2"))
    ours, theirs = _factors(first), _factors(second)
    alike = [
        all(ours.get(row[f"{side}_1"]) == theirs.get(row[f"{side}_2"]) for side in sides)
        for row in shared.to_dict("records")
    ]
    return shared[alike].drop(columns=[f"{side}_{at}" for side in sides for at in (1, 2)]).set_index(key)


def _left_out(first: StoredStudy, second: StoredStudy) -> pd.Series:
    """The configurations that are not in both studies with equal factors, each with the reason."""
    sides = [_factors(first), _factors(second)]
    reasons = {}
    for name in sorted({*sides[0], *sides[1]}):
        if name not in sides[1]:
            reasons[name] = f"only in {first.name}"
        elif name not in sides[0]:
            reasons[name] = f"only in {second.name}"
        else:
            ours, theirs = sides[0][name], sides[1][name]
            unlike = [factor for factor in ours if ours[factor] != theirs.get(factor, ours[factor])]
            if unlike:
                reasons[name] = f"different {words.listing(unlike)}"
    return pd.Series(reasons, name="why", dtype=object).rename_axis("configuration")


def _factors(study: StoredStudy) -> dict[str, dict[str, str]]:
    """The factors of each configuration, as text: so 4 is 4.0's equal where a column holds gaps."""
    first = study.trials.drop_duplicates("configuration").set_index("configuration")
    known = [name for name in first.columns if name in FACTORS or is_own(name)]
    return {str(name): {factor: level_text(row[factor]) for factor in known} for name, row in first.iterrows()}


def level_text(level: object) -> str:
    """The text of a level, equal for 4 and 4.0."""
    if level is None or (isinstance(level, float) and np.isnan(level)):
        return "none"
    number = qty.number(level) if not isinstance(level, (bool, np.bool_)) else np.nan
    return f"{number:g}" if np.isfinite(number) else str(level)
