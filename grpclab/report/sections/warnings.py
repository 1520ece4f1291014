"""The warnings to read before a number of the study is used."""

from __future__ import annotations

from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "Warnings", "warnings"


def section(study: FinishedStudy) -> str:
    """The warnings, the most serious first; "" for none."""
    texts = [text for text in study.verdict.warnings if text]
    if not texts:
        return ""
    return f'<ul class="gl-warnings">{"".join(f"<li>{esc(text)}</li>" for text in texts)}</ul>'
