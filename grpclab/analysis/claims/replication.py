"""The claims of the Rust demo, each judged by the trials of the design ``replication``. Pure.

The Rust demo is a gRPC server in Rust (tonic) whose README says what its optimized configuration gives, +277 % of
throughput among it.

A claim that is made without a condition is tested at several places (with both engines, over several networks, under
load and after silence). At each place it is confirmed, refuted or left open, by the rule in the docstring of its
function in :mod:`.load_claims` and :mod:`.network_claims`; :func:`.claim.combined` makes one verdict of that. Fewer
than LEAST_BLOCKS blocks decide nothing, but one failed call is enough against "zero errors". Comparisons are those of
``verdict.json``, adjusted within their family.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from grpclab.analysis.claims import load_claims, network_claims
from grpclab.analysis.claims.claim import (
    CONDITION,
    FAILS,
    HOLDS,
    NOT_EXPRESSIBLE,
    UNDECIDED,
    Comparisons,
    TestedClaim,
    listing,
)
from grpclab.analysis.inference.verdict import Comparison
from grpclab.analysis.study_plan import StudyPlan

COLUMNS = ("claim", "the claim", "how it was tested", "result", "verdict")


def claims(trials: pd.DataFrame, judged: Iterable[Comparison], plan: StudyPlan) -> pd.DataFrame:
    """The claims of the Rust demo with what became of them here: columns COLUMNS, all text, one row a claim.

    `trials` has one row a trial, `judged` are the comparisons of the verdict, `plan` is the manifest's.
    Empty where the plan has no ``replication``. Nothing missing raises: it makes a claim `not decided`.
    """
    planned = plan.replication
    rows: list[TestedClaim] = []
    if plan.tests_claims:
        compared, delta = Comparisons(judged), plan.smallest_effect
        rows = [
            load_claims.throughput(trials, compared, planned.throughput, delta),
            load_claims.syscalls(trials, planned.syscalls),
            load_claims.streams(trials, compared, planned.streams),
            load_claims.errors(trials, planned.errors),
            network_claims.handshakes(trials, compared, planned.handshakes),
            network_claims.no_delay(plan.mapping),
            network_claims.large_windows(trials, compared, planned.windows),
            network_claims.adaptive(trials, compared, planned.windows, delta),
        ]
    cells = [(row.claim, row.claimed, row.done, row.result, row.verdict) for row in rows]
    return pd.DataFrame(cells, columns=list(COLUMNS), dtype=object)


_WORDS = {
    HOLDS: ("holds", "hold"),
    CONDITION: ("holds under a condition", "hold under a condition"),
    FAILS: ("does not hold", "do not hold"),
    NOT_EXPRESSIBLE: ("cannot be expressed in grpcio", "cannot be expressed in grpcio"),
    UNDECIDED: ("is open", "are open"),
}


def answer(table: pd.DataFrame) -> str:
    """How many claims hold, in a sentence: ``Of 8 claims ..., 1 holds, 3 hold under a condition, ...``; "" for none."""
    counts = Counter(table["verdict"])
    counted = [
        f"{counts[verdict]} {words[counts[verdict] > 1]}" for verdict, words in _WORDS.items() if counts[verdict]
    ]
    claimed = "claim" if len(table) == 1 else "claims"
    return f"Of {len(table)} {claimed} in the Rust demo's README, {listing(counted)}." if counted else ""
