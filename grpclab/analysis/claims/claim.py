"""What a claim is and how its verdict comes about: the words that the rules of a replication share. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from grpclab.analysis.inference.ratios import numbers
from grpclab.analysis.inference.validity import GENERATOR, limits_of
from grpclab.analysis.inference.verdict import Comparison

HOLDS = "holds"
CONDITION = "holds under a condition"
FAILS = "does not hold"
NOT_EXPRESSIBLE = "cannot be expressed in grpcio"
UNDECIDED = "not decided"
VERDICTS = (HOLDS, CONDITION, FAILS, NOT_EXPRESSIBLE, UNDECIDED)

LEAST_BLOCKS = 3
"""Two blocks tell the noise by one degree of freedom."""
BETTER = {"faster": True, "equivalent": False, "slower": False}
"""What a comparison's verdict means for a claim that something is better; `inconclusive` leaves it open."""

Outcome = bool | None
"""Of a claim at one place: confirmed, refuted, or open."""


@dataclass(frozen=True, kw_only=True)
class TestedClaim:
    """A row of the table; all text is plain."""

    claim: str
    claimed: str
    done: str
    result: str
    verdict: str


class Comparisons:
    """The comparisons of a verdict, by what they compare."""

    def __init__(self, judged: Iterable[Comparison]) -> None:
        self._judged = {(c.scenario, c.metric, c.baseline, c.candidate): c for c in judged}

    def get(self, scenario: str, baseline: str, candidate: str, metric: str = "throughput_rps") -> Comparison | None:
        """That comparison; None where the verdict has none, or no ratio with an interval."""
        c = self._judged.get((scenario, metric, baseline, candidate))
        return c if c and all(map(math.isfinite, (c.ratio, c.ci_low, c.ci_high))) else None


def combined(outcomes: Mapping[str, Outcome]) -> tuple[str, str]:
    """The verdict on a claim out of its outcome at each place, and the condition under which it holds, if one.

    Confirmed at every place it holds; at some places, it holds under the condition of being there (``only`` there where
    it was refuted at all others). Refuted at
    every place it does not hold. Else, with nothing confirmed and something open, it is not decided.
    """
    confirmed = [place for place, outcome in outcomes.items() if outcome]
    if confirmed and len(confirmed) == len(outcomes):
        return HOLDS, ""
    if confirmed:
        return CONDITION, f"{'confirmed' if None in outcomes.values() else 'only'} {listing(confirmed)}"
    if outcomes and all(outcome is False for outcome in outcomes.values()):
        return FAILS, ""
    return UNDECIDED, ""


def decided(c: Comparison | None, outcomes: Mapping[str, bool]) -> Outcome:
    """What the comparison's verdict means; open with too few blocks."""
    return outcomes.get(c.verdict) if c and c.blocks >= LEAST_BLOCKS else None


def bounded(trials: pd.DataFrame, c: Comparison | None) -> set[str]:
    """The sides of a comparison, `baseline` and `candidate`, that the load generator limited.

    A limited side was truly at least as fast: with the candidate limited a throughput ratio is a lower bound, which
    can confirm and not refute; with the baseline limited the reverse; with both it decides nothing.
    """
    if c is None:
        return set()
    sides = {"baseline": c.baseline, "candidate": c.candidate}
    return {side for side, name in sides.items() if GENERATOR in limits_of(trials, name, c.scenario)}


def within_bounds(outcome: Outcome, limited: set[str]) -> Outcome:
    """The outcome of a throughput ratio, if it stands for all that the limited sides can have been."""
    against = {True: "baseline", False: "candidate"}
    return None if outcome is None or against[outcome] in limited else outcome


def bound_words(limited: set[str]) -> str:
    """What a ratio with these sides limited is; "" for none."""
    if not limited:
        return ""
    kind = "no" if len(limited) == 2 else "a lower" if "candidate" in limited else "an upper"
    return f" ({kind} bound, because the load generator was the limit)"


def counted(rows: pd.DataFrame) -> pd.DataFrame:
    """The trials whose calls were counted, valid or not: one in which every call failed is invalid, and counts here."""
    return rows[numbers(rows, "errors").notna() & (numbers(rows, "requests") > 0)]


def ratio_words(c: Comparison | None) -> str:
    """``1.02× (0.99 to 1.05)``; two digits that matter far below 1."""
    if c is None:
        return "no known ratio"
    ratio, interval = _figures(c)
    return f"{ratio}× ({interval})"


def in_brackets(c: Comparison | None) -> str:
    """The ratio at the end of a part of a sentence; "" for none."""
    return ", a ratio of {} ({})".format(*_figures(c)) if c else ""


def _figures(c: Comparison) -> tuple[str, str]:
    low, middle, high = (f"{x:.2f}" if x >= 0.1 else f"{x:.2g}" for x in (c.ci_low, c.ratio, c.ci_high))
    return middle, f"{low} to {high}"


def listing(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else " and ".join([", ".join(words[:-1]), words[-1]])


def joined(condition: str, *parts: str) -> str:
    """Sentences in one: the condition first."""
    return "; ".join([*([condition] if condition else []), *(part for part in parts if part)])
