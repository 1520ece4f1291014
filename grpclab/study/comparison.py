"""The result of a comparison of two: a table and a verdict, for the terminal and for notebooks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from grpclab import quantities as qty
from grpclab.analysis import Judgement, Verdict, paired_levels
from grpclab.analysis.answer_comparison import AnswersDiffer, answers_differ
from grpclab.analysis.inference.ratios import TOO_FEW, trials_of
from grpclab.load.output.notebook_html import in_cell
from grpclab.metrics import metric_named, metric_words
from grpclab.text import pages
from grpclab.text.printable import printable


@dataclass(frozen=True, kw_only=True, repr=False)
class CompareResult:
    """The result of a comparison. `trials` has one row per trial, of configuration ``a`` or ``b``; `study` is the
    folder, if any.

    `setup` says what was called and how, as pairs of a term and its text.
    """

    trials: pd.DataFrame
    judgement: Judgement
    study: str = ""
    setup: tuple[tuple[str, str], ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The verdict on B in the headline's metric."""
        return self.judgement.headline.verdict

    @property
    def conclusion(self) -> list[str]:
        """The sentence, a line on equal answers, then one line per warning. Different answers are part of the
        sentence."""
        found = self.answers
        equal = [f"answers: {found}"] if found is not None and not found.differing else []
        lines = [self.judgement.sentence, *equal, *(f"warning: {warning}" for warning in self.judgement.warnings)]
        return [printable(line) for line in lines]

    @property
    def answers(self) -> AnswersDiffer | None:
        """The comparison of the answers that were sampled on both sides; None if there are none."""
        headline = self.judgement.headline
        return answers_differ(self.trials, headline.baseline, headline.candidate)

    def to_frame(self) -> pd.DataFrame:
        """One row per trial: every factor, every metric."""
        return self.trials

    def table(self) -> pd.DataFrame:
        """One row per metric, as text: the levels of A and B, the ratio B / A, its interval and the verdict.

        Levels are geometric means over the blocks of the ratio, so B / A of the levels is the ratio.
        """
        rows = {}
        for one in self.judgement.judged:
            known = one.computed
            between = (
                f"{qty.ratio(one.ci_low, 'sentence')} to {qty.ratio(one.ci_high, 'sentence')}"
                if one.has_interval
                else TOO_FEW
            )
            rows[metric_words(one.metric)] = [
                *(_figure(one.metric, level) for level in self.levels(one.metric)),
                qty.ratio(one.ratio, "sentence") if known else "-",
                between if known else "-",
                one.verdict_words,
            ]
        failed = [f"{int(trials_of(self.trials, name)['errors'].sum()):,}" for name in "ab"]
        rows["failed calls"] = [*failed, "", "", ""]
        columns = ["A", "B", "B / A", "95% interval", "verdict"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def levels(self, metric: str) -> tuple[float, float]:
        """A and B in one metric, in its unit: geometric means over the blocks in which both are valid."""
        first = self.judgement.headline
        before, after = paired_levels(
            self.trials,
            scenario=first.scenario,
            metric=metric,
            baseline=first.baseline,
            candidate=first.candidate,
        )
        return before.mean, after.mean

    def as_dict(self) -> dict[str, Any]:
        """The result for programs: the content of verdict.json, the setup, and the levels of A and B by metric."""
        metrics = [one.metric for one in self.judgement.judged]
        levels = {metric: dict(zip("ab", self.levels(metric), strict=True)) for metric in metrics}
        known = {m: {side: None if math.isnan(v) else v for side, v in two.items()} for m, two in levels.items()}
        setup = dict(self.setup) | ({} if self.answers is None else {"answers": str(self.answers)})
        return self.judgement.as_dict() | {"setup": setup, "levels": known, "study": self.study}

    def __str__(self) -> str:
        table = self.table()
        texts = [[str(name), *row] for name, row in zip(table.index, table.values, strict=True)]
        unknown = [row[0] for row in texts if row[1:4] == ["-", "-", "-"]]
        rows = [["", *table.columns], *(row for row in texts if row[0] not in unknown)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        aligned = [str.ljust, *[str.rjust] * 4, str.ljust]
        lines = ["  ".join(to(t, w) for to, t, w in zip(aligned, row, widths, strict=True)).rstrip() for row in rows]
        if unknown:
            lines.append(f"no figures for {', '.join(unknown)}: too few calls, or none succeeded (raise -n)")
        width = max((len(term) for term, _ in self.setup), default=0)
        setup = [f"{term:<{width}}  {printable(text)}" for term, text in self.setup]
        return "\n".join([*setup, *([""] if setup else []), *lines, "", *self.conclusion])

    def __repr__(self) -> str:
        return f"<CompareResult {self.judgement.sentence}>"

    def _repr_html_(self) -> str:
        table, warnings = self.table(), self.judgement.warnings
        sentence, *remarks = self.conclusion[: -len(warnings) or None]
        body = pages.rendered(
            pages.SHARED,
            "compare_result.html.j2",
            in_cell=True,
            verdict=self.verdict,
            sentence=sentence,
            remarks=remarks,
            warnings=warnings,
            titles=table.columns,
            rows=zip(table.index, table.to_numpy(), strict=True),
            setup=self.setup,
        )
        return in_cell(pages.cell_style(), body)


def _figure(metric: str, value: float) -> str:
    if math.isnan(value):
        return "-"
    if metric_named(metric).quantity == "rate":
        return f"{value:,.0f}/s"
    return qty.duration_in(value, "µs", ",.0f") if "cpu" in metric else qty.duration_in(value, "ms", ",.2f")
