"""The procedure of the measurement, and the rules of its judgement."""

from __future__ import annotations

from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis.inference.edition import rules_of
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Cell, Composed, Contents, Paragraph, bold, italic, link

TITLE, ANCHOR, PLACE, FOLDED = "Method", "method", 250, True


_ENGINES = {
    "grpcio": "grpc.aio, with the full cost of a Python client",
    "wire": "pre-encoded HTTP/2 frames, so the client is rarely the limit",
}


@dataclass(frozen=True, kw_only=True)
class Procedure(Composed):
    """What was done, and the rules; `margins` is "" by the rules of the first edition, whose margin is `delta`.

    `engines` are the load generators, each with what it is, "" where that is not known.
    """

    configurations: str
    blocks: str
    trials: str
    valid: str
    profiled: bool
    grouped: bool
    aa: bool
    delta: str
    margins: str
    engines: tuple[tuple[str, str], ...]

    @property
    def pieces(self) -> Contents:
        """What was done with the rules of the judgement, then the load."""
        return [Paragraph(text=(self._done(), *self._rules())), Paragraph(text=(*self._load(), *_MARKS))]

    def _done(self) -> Cell:
        """Trials and blocks."""
        measured = "time" if self.grouped else "window"
        profiled = ", and then, in some trials, a separate profile window" if self.profiled else ""
        text = (
            f"The study measured {self.configurations} in {self.blocks}: {self.trials}, {self.valid} of them valid. "
            f"Every trial starts a fresh server; a warm-up comes first, then the measured {measured}{profiled}. "
        )
        if not self.grouped:
            return f"{text}A block is one pass over all configurations in random order. "
        groups = (
            "A block measures all groups in random order. The servers of a group run at the same time and their slices "
            "of load are interleaved; exceptions are listed, with the reason, under "
        )
        return text, groups, link("Measured together", "groups"), ". "

    def _rules(self) -> list[Cell]:
        """The unit of evidence, the tests, the verdicts."""
        rules: list[Cell] = [
            "The unit of evidence is the block, not the request: each block gives one ratio of the two sides of a "
            "comparison, and the report shows the geometric mean of these ratios with a 95% paired t interval on "
            "their logarithms. The p value of the headline comes from a sign-flip test (exact up to 16 blocks) and is "
            "not adjusted, since the headline is the one hypothesis stated before the run. All other comparisons are "
            "paired t tests with Holm's correction, one family per metric. The smallest effect of interest is "
            f"{self.delta}. The verdicts ",
            *(italic("faster"), " and ", italic("slower")),
            " require an interval that excludes 1, a p value below 0.05 and a ratio ",
        ]
        if self.margins:
            rules += [f"outside the margins, {self.margins}; ", italic("equivalent")]
            rules.append(" requires the whole interval inside the margins")
        else:
            rules += ["that differs from 1 by more than that; ", italic("equivalent")]
            rules.append(" requires that the whole interval differs by less")
        rules += [". Everything else is ", italic("inconclusive"), "."]
        if self.margins:
            rules += [
                " If the load generator was the limit, the verdict is ",
                italic("inconclusive"),
                " too, unless that limit can only make the true effect larger; such a ratio is marked ",
                *(italic("at least"), "."),
            ]
        if self.aa:
            rules.append(
                " The baseline is also measured a second time under another name (A/A), without adjustment: any "
                "difference there is noise."
            )
        return rules

    def _load(self) -> list[Cell]:
        """The engines, each with what it is; nothing without any."""
        if not self.engines:
            return []
        load: list[Cell] = [f"The load comes from the engine{'s' if len(self.engines) > 1 else ''} "]
        for at, (name, what) in enumerate(self.engines):
            joint = "" if not at else " and " if at == len(self.engines) - 1 else ", "
            load.append((joint, bold(name), f" ({what})") if what else f"{joint}{name}")
        return [*load, ". "]


_MARKS: tuple[Cell, ...] = (
    "A figure is marked ",
    italic("generator-bound"),
    ", and its marker is hollow, if a process of the load generator was busy for more than 90% of the window or, in "
    "an open loop, could not keep to its schedule. The mark ",
    italic("client-cpu"),
    " means the same for a client that opens a channel for each call, because such a client is part of what is tested.",
)


def section(study: FinishedStudy) -> Procedure:
    """The procedure of the measurement, and the rules of its judgement."""
    plan = study.plan
    names = sorted({engine for name in study.configurations if (engine := study.engine(name))})
    return Procedure(
        configurations=qty.count(len(study.configurations), "configuration"),
        blocks=qty.count(plan.blocks, "block"),
        trials=qty.count(len(study.trials), "trial"),
        valid=f"{int(study.trials['valid'].sum()):,}",
        profiled=bool(plan.profiled),
        grouped=bool(plan.groups),
        aa=study.has_aa and not plan.without_aa,
        delta=f"{100 * study.delta:g}%",
        margins=study.margin_words.removeprefix("from ") if rules_of(plan).mirrored else "",
        engines=tuple((name, _ENGINES.get(name, "")) for name in names),
    )
