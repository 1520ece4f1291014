"""The warnings to read before a number of the study is used."""

from __future__ import annotations

from dataclasses import dataclass

from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Composed, WarningList

TITLE, ANCHOR, PLACE, FOLDED = "Warnings", "warnings", 20, False


@dataclass(frozen=True, kw_only=True)
class ListedWarnings(Composed):
    """The warnings, the most serious first."""

    texts: tuple[str, ...]

    @property
    def pieces(self) -> WarningList:
        """The list."""
        return WarningList(texts=self.texts)

    @property
    def gist(self) -> str:
        """Their number, in brackets."""
        return f"({len(self.texts)})"


def section(study: FinishedStudy) -> ListedWarnings | None:
    """The warnings; None without any."""
    return (
        ListedWarnings(texts=tuple(words.as_sentence(words.typeset(text)) for text in study.warnings))
        if study.warnings
        else None
    )
