"""What must hold of the lab, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.report.tables import BREAK, Cell, Cells, Span, Table, badge, below, bold


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One line of the table. `holds` is None where there is no goal, or nothing was measured."""

    claim: str
    goal: str = ""
    measured: str = ""
    holds: bool | None = None


def claims_table(groups: Mapping[str, Sequence[Claim]]) -> Table:
    """The claims as a table, in groups that have a name."""
    rows: list[Cells] = []
    for name, claims in groups.items():
        rows.append([name])
        rows += [[_asked(c), _badge(c), bold(_unbroken(c.measured))] for c in claims]
    return Table(
        header=["what is measured, and the goal", "met?", "measured"], rows=rows, label="Goals and measurements"
    )


def verdict(claims: Sequence[Claim]) -> str:
    """One sentence: how many hold, and which do not."""
    judged = [c for c in claims if c.holds is not None]
    failed = [c.claim for c in judged if not c.holds]
    if not judged:
        return "None of the goals was measured."
    if not failed:
        return f"All {len(judged)} goals are met on this machine."
    return f"{len(judged) - len(failed)} of {len(judged)} goals are met on this machine. Not met: {'; '.join(failed)}."


def _asked(claim: Claim) -> Cell:
    """The goal stands under the claim, so that whether it holds is in sight on a phone."""
    return claim.claim, below(f"goal: {claim.goal}") if claim.goal else ""


def _unbroken(text: str) -> Cell:
    """A line for each part between commas, none broken."""
    first, *others = (Span("unbroken", (part,)) for part in (text or qty.MISSING).split(", "))
    return [first, *((",", BREAK, part) for part in others)]


def _badge(claim: Claim) -> Cell:
    if claim.holds is None:
        return Span("quiet", ("undecided" if claim.goal else "for information",))
    word, kind = ("met", "faster") if claim.holds else ("not met", "slower")
    return badge(word, kind)
