"""The lab's own words that the report uses, each with what it means."""

from __future__ import annotations

from dataclasses import dataclass

from grpclab.report import glossary
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import Composed, Paragraph, explained

TITLE, ANCHOR, PLACE, FOLDED = "Terms used here", "terms", 270, True


@dataclass(frozen=True, kw_only=True)
class Explained(Composed):
    """Words and what they mean; the named configurations are not among them: the answer has those."""

    words: tuple[tuple[str, str], ...]

    @property
    def pieces(self) -> Paragraph:
        """All words in one paragraph."""
        return explained(self.words)

    @property
    def gist(self) -> str:
        """The words."""
        return ", ".join(word for word, _ in self.words)


def section(study: FinishedStudy) -> Explained | None:
    """The words of the lab; None where the study uses none."""
    named = dict(glossary.variants(study))
    found = tuple((word, meaning) for word, meaning in glossary.explained(study) if word not in named)
    return Explained(words=found) if found else None
