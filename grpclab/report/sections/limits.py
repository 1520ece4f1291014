"""The limit of each configuration, and what would lift it."""

from __future__ import annotations

from dataclasses import dataclass

from grpclab.report import words
from grpclab.report.finished import FinishedStudy
from grpclab.report.tables import BREAK, Cells, Composed, Contents, Paragraph, Table, below, bold, name, small

TITLE, ANCHOR, PLACE, FOLDED = "What limited each configuration", "limits", 200, True


_REMEDIES = {
    "server-cpu": "remedy: more server cores and processes, or less CPU per call",
    "client-cpu": "remedy: a client that costs less, or more cores for the client",
    "link": "remedy: more bandwidth",
    "window": "remedy: a larger HTTP/2 window",
    "stream-limit": "remedy: more streams per connection",
    "concurrency": "remedy: more calls in flight",
    "threads": "remedy: more handler threads",
    "own-factor": "remedy: the better level of the factor",
    "generator-bound": "remedy: a stronger load generator, since the server may be capable of more",
}
"""What raises the throughput, by resource."""


@dataclass(frozen=True, kw_only=True)
class LimitsFound(Composed):
    """The table, and whether a factor of the user's own is among the limits."""

    table: Table
    own: bool

    @property
    def pieces(self) -> Contents:
        """The rules, and the table."""
        own = ", and a factor of your own only if another level is faster" if self.own else ""
        text = (
            "The table names the resource that limited each configuration, according to the first rule that matches "
            "the measurements. A window or a stream limit is named only if an otherwise identical configuration with a "
            f"larger value is faster{own}."
        )
        return [Paragraph(text=text), self.table]


def section(study: FinishedStudy) -> LimitsFound | None:
    """The table with a sentence on its rules; None where the verdict does not say."""
    drawn = table(study)
    if not drawn:
        return None
    named = {limit.resource for limit in study.resources.values()}
    return LimitsFound(table=drawn, own="own-factor" in named)


def table(study: FinishedStudy) -> Table | None:
    """The resource that limited each configuration, with its evidence; None where the verdict does not say."""
    rows: list[Cells] = []
    scenario = None
    for configuration, limit in study.resources.items():
        if study.configuration(configuration).scenario != scenario:
            scenario = study.configuration(configuration).scenario
            rows.append([scenario or "other"])
        resource = words.plain(limit.resource or "unknown")
        unsure = [] if limit.certain or resource == "unknown" else ["not certain"]
        more = [(BREAK, small(text)) for text in [*unsure, _REMEDIES.get(resource, "")] if text]
        rows.append(
            [
                (study.title(configuration), below(name(configuration))),
                (bold(resource), *more),
                words.typeset(words.as_sentence(words.plain(limit.evidence or "no reason given"))),
            ]
        )
    header = ["configuration", "limited by", "evidence"]
    return Table(header=header, rows=rows, label="What limited each configuration", widest=2) if rows else None
