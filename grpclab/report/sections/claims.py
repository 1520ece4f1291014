"""The claims of the Rust demo as a table: what was done, what came of it, and the verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.analysis.claims import claim as rules
from grpclab.analysis.claims import replication
from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import BREAK, Cell, Cells, Composed, Contents, Paragraph, Table, badge, below, small

TITLE, ANCHOR, PLACE, FOLDED = "The claims", "claims", 40, False

_COLOURS = {rules.HOLDS: "faster", rules.CONDITION: "equivalent", rules.FAILS: "slower"}


@dataclass(frozen=True, kw_only=True)
class ClaimsTested(Composed):
    """How many claims have which verdict, and the table of all."""

    number: str
    counted: str
    table: Table

    @property
    def pieces(self) -> Contents:
        """The origin of the claims, and the table."""
        text = (
            f"This study tests {self.number} from the README of the Rust demo, a gRPC server written in Rust (tonic); "
            f"the README states how much the server gains from its settings. Verdicts: {self.counted}. Intervals are "
            "95% intervals over blocks. A claim made without conditions is tested under several conditions; if only "
            "some of them confirm the claim, it holds under a condition."
        )
        return [Paragraph(text=text), self.table]


def section(study: FinishedStudy) -> ClaimsTested | None:
    """The number of claims that hold, and the table; None where the plan tests none."""
    if not study.plan.tests_claims:
        return None
    claims = replication.claims(study.trials, study.verdict.judged, study.plan)
    rows: list[Cells] = [
        [
            (claim, below(claimed), badge(verdict, _COLOURS.get(verdict, "inconclusive"))),
            (small(f"{words.sentence_case(done)}."), BREAK, *_lines(result)),
        ]
        for claim, claimed, done, result, verdict in claims.itertuples(index=False)
    ]
    counts = Counter(claims["verdict"])
    counted = ", ".join(f"{verdict} ({counts[verdict]})" for verdict in rules.VERDICTS if counts[verdict])
    header = ["claim and verdict", "test and result"]
    table = Table(header=header, rows=rows, label="The claims of the Rust demo", widest=1)
    number = qty.count(len(claims), "claim")
    return ClaimsTested(number=number, counted=counted, table=table)


def _lines(result: str) -> list[Cell]:
    """Each part of a result on a line of its own."""
    parts: list[Cell] = []
    for part in result.split("; "):
        parts += [*([BREAK] if parts else []), words.sentence_case(part)]
    return parts
