"""What a comparison of two brought: a table and a verdict, for the terminal and for notebooks."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

import pandas as pd

from grpclab.analysis import Judgement, Verdict, metric_words, times
from grpclab.analysis.ratios import trials_of, valid_trials


@dataclass(frozen=True, kw_only=True, repr=False)
class CompareResult:
    """Two sides compared. `trials` has a row a trial, configuration ``a`` or ``b``; `study` is the folder, if any."""

    trials: pd.DataFrame
    judgement: Judgement
    study: str = ""

    @property
    def verdict(self) -> Verdict:
        """On B, in the headline's metric."""
        return self.judgement.headline.verdict

    @property
    def conclusion(self) -> list[str]:
        """The sentence, then the warnings, a line each."""
        return [self.judgement.sentence, *(f"warning: {warning}" for warning in self.judgement.warnings)]

    def to_frame(self) -> pd.DataFrame:
        """A row a trial: every factor, every metric."""
        return self.trials

    def table(self) -> pd.DataFrame:
        """A row a metric, in words: the medians of A and B, the ratio B / A, its interval and verdict."""
        rows = {}
        for one in (self.judgement.headline, *self.judgement.comparisons):
            known = one.computed
            rows[metric_words(one.metric)] = [
                _figure(one.metric, self._median("a", one.metric)),
                _figure(one.metric, self._median("b", one.metric)),
                times(one.ratio) if known else "-",
                f"{times(one.ci_low)} to {times(one.ci_high)}" if known else "-",
                one.verdict,
            ]
        failed = [f"{int(trials_of(self.trials, name)['errors'].sum()):,}" for name in "ab"]
        rows["failed calls"] = [*failed, "", "", ""]
        columns = ["A", "B", "B / A", "95 % interval", "verdict"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def _median(self, configuration: str, metric: str) -> float:
        return float(valid_trials(trials_of(self.trials, configuration))[metric].median())

    def __str__(self) -> str:
        table = self.table()
        rows = [["", *table.columns], *([str(name), *row] for name, row in zip(table.index, table.values, strict=True))]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        aligned = [str.ljust, *[str.rjust] * 4, str.ljust]
        lines = ["  ".join(to(t, w) for to, t, w in zip(aligned, row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, "", *self.conclusion])

    def __repr__(self) -> str:
        return f"<CompareResult {self.judgement.sentence}>"

    def _repr_html_(self) -> str:
        told = "".join(f"<p>{html.escape(line)}</p>" for line in self.conclusion)
        return f"{told}{self.table().to_html()}"


def _figure(metric: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    if metric.endswith("_rps"):
        return f"{value:,.0f}/s"
    return f"{value * 1e6:,.0f} us" if "cpu" in metric else f"{value * 1e3:,.2f} ms"
