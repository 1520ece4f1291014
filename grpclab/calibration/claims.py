"""What must hold of the lab, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grpclab import quantities as qty
from grpclab.report import tables
from grpclab.report.words import esc


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One line of the table. `holds` is None where there is no goal, or nothing was measured."""

    claim: str
    goal: str = ""
    measured: str = ""
    holds: bool | None = None


def claims_table(groups: Mapping[str, Sequence[Claim]]) -> str:
    """The claims as an HTML table, in groups that have a name."""
    rows: list[list[str]] = []
    for name, claims in groups.items():
        rows.append([esc(name)])
        rows += [[_asked(c), _badge(c), f"<b>{_unbroken(c.measured)}</b>"] for c in claims]
    return tables.table(["claim and goal", "holds?", "measured"], rows, label="Claims and what was measured")


def verdict(claims: Sequence[Claim]) -> str:
    """One sentence: how many hold, and which do not."""
    judged = [c for c in claims if c.holds is not None]
    failed = [c.claim for c in judged if not c.holds]
    if not judged:
        return "Nothing that has a goal was measured."
    if not failed:
        return f"All {len(judged)} goals are met on this machine."
    return f"{len(judged) - len(failed)} of {len(judged)} goals are met on this machine. Not met: {'; '.join(failed)}."


def _asked(claim: Claim) -> str:
    """The goal stands under the claim, so that whether it holds is in sight on a phone."""
    return esc(claim.claim) + (f"<small>goal: {esc(claim.goal)}</small>" if claim.goal else "")


def _unbroken(text: str) -> str:
    """A line for each part between commas, none broken."""
    return ",<br>".join(esc(part).replace(" ", "&nbsp;") for part in (text or qty.MISSING).split(", "))


def _badge(claim: Claim) -> str:
    if claim.holds is None:
        return f'<span class="gl-note">{"undecided" if claim.goal else "for information"}</span>'
    word, kind = ("holds", "faster") if claim.holds else ("does not hold", "slower")
    return f'<span class="gl-badge gl-{kind}">{word}</span>'
