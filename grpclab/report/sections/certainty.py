"""How sure the answer is, what the noise was, and what limits each side."""

from __future__ import annotations

from dataclasses import dataclass

from grpclab.report import confidence
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Composed, Definitions

TITLE, ANCHOR, PLACE, FOLDED = "Confidence, and what limits each side", "certainty", 50, True


@dataclass(frozen=True, kw_only=True)
class Reasons(Composed):
    """Questions and their answers."""

    pairs: tuple[tuple[str, str], ...]

    @property
    def pieces(self) -> Definitions:
        """Each question with its answer."""
        return Definitions(pairs=self.pairs)

    @property
    def gist(self) -> str:
        """What limits the last side, where that is known."""
        term, text = self.pairs[-1]
        return f"{term} {text.partition(':')[0]}" if term.endswith("limited by") else ""


def section(study: FinishedStudy) -> Reasons | None:
    """The reasons to trust or to doubt the answer; None without any."""
    pairs = tuple(confidence.reasons(study))
    return Reasons(pairs=pairs) if pairs else None
