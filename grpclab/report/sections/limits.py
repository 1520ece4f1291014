"""The limit of each configuration, and what would lift it."""

from __future__ import annotations

from grpclab.report import tables, words
from grpclab.report.finished import FinishedStudy
from grpclab.report.words import esc

TITLE, ANCHOR = "What limited each configuration", "limits"


_REMEDIES = {
    "server-cpu": "remedy: more server cores and processes, or less CPU per call",
    "client-cpu": "remedy: a client that costs less, or more cores for it",
    "link": "remedy: more bandwidth",
    "window": "remedy: a larger HTTP/2 window",
    "stream-limit": "remedy: more streams per connection",
    "concurrency": "remedy: more calls in flight",
    "threads": "remedy: more handler threads",
    "own-factor": "remedy: the other level",
    "generator-bound": "remedy: more load; the server can do more",
}
"""What raises the throughput, by resource."""


def section(study: FinishedStudy) -> str:
    """The table with a sentence on its rules; "" where the verdict does not say."""
    drawn = table(study)
    if not drawn:
        return ""
    named = {limit.resource for limit in study.resources.values()}
    own = "; a factor of your own where another level of it is" if "own-factor" in named else ""
    return (
        "<p>The resource that held each configuration back, by the first rule that its numbers meet; windows and "
        "stream limits are named only where a configuration that has more of them, and differs in nothing else, is "
        f"faster{own}.</p>{drawn}"
    )


def table(study: FinishedStudy) -> str:
    """The resource that limited each configuration, with its evidence; "" where the verdict does not say."""
    rows: list[tables.Cells] = []
    scenario = None
    for name, limit in study.resources.items():
        if study.configuration(name).scenario != scenario:
            scenario = study.configuration(name).scenario
            rows.append([esc(scenario or "other")])
        resource = words.plain(limit.resource or "unknown")
        unsure = [] if limit.certain or resource == "unknown" else ["not certain"]
        more = "".join(f"<br><small>{esc(text)}</small>" for text in [*unsure, _REMEDIES.get(resource, "")] if text)
        rows.append(
            [
                f"{esc(study.title(name))}<small><code>{esc(name)}</code></small>",
                f"<b>{esc(resource)}</b>{more}",
                esc(words.sentence_case(words.plain(limit.evidence or "no reason given"))),
            ]
        )
    header = ["configuration", "limited by", "evidence"]
    return tables.table(header, rows, label="What limited each configuration", widest=2) if rows else ""
