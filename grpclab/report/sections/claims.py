"""The claims of the Rust demo as a table: what was done, what came of it, and the verdict."""

from __future__ import annotations

from collections import Counter

from grpclab import quantities as qty
from grpclab.analysis.claims import claim as rules
from grpclab.analysis.claims import replication
from grpclab.report import tables, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "The claims", "claims"

_COLOURS = {rules.HOLDS: "faster", rules.CONDITION: "equivalent", rules.FAILS: "slower"}


def section(study: FinishedStudy) -> str:
    """The number of claims that hold, and the table; "" where the plan tests none."""
    if not study.plan.tests_claims:
        return ""
    claims = replication.claims(study.trials, study.verdict.judged, study.plan)
    rows = [
        [
            f"{esc(claim)}<small>{esc(claimed)}</small>{_badge(verdict)}",
            f"<small>{esc(words.sentence_case(done))}.</small><br>{_lines(result)}",
        ]
        for claim, claimed, done, result, verdict in claims.itertuples(index=False)
    ]
    counts = Counter(claims["verdict"])
    counted = ", ".join(f"{verdict}: {counts[verdict]}" for verdict in rules.VERDICTS if counts[verdict])
    lead = (
        f"<p>{qty.count(len(claims), 'claim')} of the Rust demo's README: a gRPC server in Rust (tonic), which says "
        f"what its settings give. {esc(words.sentence_case(counted))}. Intervals are "
        "95 % over blocks. A claim that is made without a condition is tested at several places, and holds under a "
        "condition where it is confirmed at some of them only.</p>"
    )
    header = ["claim and verdict", "what was done, and the result"]
    return lead + tables.table(header, rows, label="The claims of the Rust demo", widest=1)


def _lines(result: str) -> str:
    """Each part of a result on a line of its own."""
    return "<br>".join(esc(words.sentence_case(part)) for part in result.split("; "))


def _badge(verdict: str) -> str:
    return f'<span class="gl-badge gl-{_COLOURS.get(verdict, "inconclusive")}">{esc(verdict)}</span>'
