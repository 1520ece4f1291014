"""``reports/<name>.html``, and the same as Markdown and JSON: made of what is stored, without measuring again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grpclab import quantities as qty
from grpclab.calibration.claims import Claim, claims_table, verdict
from grpclab.calibration.experiments import EXPERIMENTS
from grpclab.calibration.store import About, Results
from grpclab.report import files, tables, words
from grpclab.report.blocks import Section, Shown
from grpclab.report.renderers.html import Head, page
from grpclab.report.renderers.json import sections_json
from grpclab.report.renderers.markdown import document
from grpclab.report.tables import Composed, Contents, FactList, Missing, Paragraph, Piece, VerdictLine, WarningList
from grpclab.study.documents import plain
from grpclab.text.markdown import escape

TITLE = "How well grpclab measures"
QUESTION = (
    "How far can you trust figures from grpclab on this machine? Each part checks one instrument against a known "
    "reference: a load generator written in C, a server that reports the true latency of each call, a link without "
    "delay."
)
OTHERS_LIMIT = 0.05
"""What others may use of the machine before the report warns of it."""
SCHEMA_VERSION = 1
"""Of :func:`as_json`. 1: the first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoalsMet(Composed):
    """How many goals are met, and what makes the figures worth less than those of another run."""

    sentence: str
    warnings: tuple[str, ...]

    TEMPLATE = "calibration/goals.html.j2"

    @property
    def pieces(self) -> Contents:
        """The sentence, and the warnings."""
        warnings = [WarningList(texts=self.warnings)] if self.warnings else []
        return [VerdictLine(verdict="", sentence=self.sentence), *warnings]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnHtml(Composed):
    """What an experiment of another package shows, as HTML."""

    html: str

    TEMPLATE = "calibration/own_html.html.j2"

    @property
    def pieces(self) -> Contents:
        """Where it is to be seen."""
        return Missing(text="This experiment shows its result only as HTML: see the report.")


def sections(results: Results, made: Mapping[str, Section] | None = None) -> list[Section]:
    """The report, section by section: the claims, an experiment each, the machine.

    `made`: the sections of experiments, by name, that have been drawn already.
    """
    made = made or {}
    about = results.about()
    return [
        Section(title="Goals", anchor="answer", data=_answered(results)),
        *(made.get(name) or section(results, name) for name in asked_for(results)),
        Section(title="Machine and versions", anchor="machine", data=tables.titled_facts(_facts(about))),
    ]


def answer(results: Results) -> Shown:
    """How many goals are met, and what makes the figures worth less than those of another run."""
    met = GoalsMet(sentence=sentence(results), warnings=_warnings(results.about()))
    return Shown(parts=[met], text=met.sentence)


def sentence(results: Results) -> str:
    """How many goals are met, and which are not."""
    return verdict([claim for claims in _claims(results).values() for claim in claims])


def _answered(results: Results) -> list[Piece]:
    """The answer of the page: how many goals are met, every claim, and the machine in short."""
    about = results.about()
    return [
        GoalsMet(sentence=sentence(results), warnings=_warnings(about)),
        claims_table(_claims(results)),
        FactList(pairs=_in_short(about)),
    ]


def claims(results: Results) -> Section:
    """Every claim with its goal and what was measured."""
    return Section(title="Goals", data=claims_table(_claims(results)))


def _claims(results: Results) -> dict[str, list[Claim]]:
    return {EXPERIMENTS[name].title: experiment_claims(results, name) for name in asked_for(results)}


def asked_for(results: Results) -> list[str]:
    """The names of the experiments that a calibration was to make: all, or those of its parameter ``only``."""
    parts = results.about().parameters.parts
    return [name for name in EXPERIMENTS if not parts or name in parts]


def experiment_claims(results: Results, name: str) -> list[Claim]:
    """The claims of an experiment, or that it was not made and why."""
    frame = results.frame(name)
    if frame is None:
        return [Claim(claim=f"not measured: {_why_not(results, name)}")]
    return EXPERIMENTS[name].claims(frame)


def anchors(results: Results) -> list[str]:
    """The names of the sections, without drawing any. Raises DesignError if there is no calibration."""
    return ["answer", *asked_for(results), "machine"]


def section(results: Results, name: str) -> Section:
    """One experiment: its question, its figure or table."""
    experiment = EXPERIMENTS[name]
    frame = results.frame(name)
    if frame is None:
        body: tables.Contents = Missing(text=f"Not measured: {_why_not(results, name)}")
    else:
        made = experiment.body(frame)
        body = OwnHtml(html=made) if isinstance(made, str) else made
    return Section(title=experiment.title, anchor=name, data=[Paragraph(text=experiment.question), body])


def write(results: Results, made: Mapping[str, Section] | None = None) -> Path:
    """Write the report of what is stored, and the same as Markdown and JSON beside it; returns its path.

    `made` as in :func:`sections`; it only saves time. Raises DesignError if there is no calibration.
    """
    parts, about = sections(results, made), results.about()
    # No summary: the index lists studies, and this is none.
    head = Head(kicker="Calibration", title=TITLE, created_at=about.created_at, machine=_where(about))
    files.replace(results.report.with_suffix(".md"), markdown(results, parts))
    told = json.dumps(as_json(results, parts), indent=1, allow_nan=False)
    files.replace(results.report.with_suffix(".json"), f"{told}\n")
    return files.replace(results.report, page(parts, head))


def markdown(results: Results, parts: Sequence[Section]) -> str:
    """The sections as GitHub-flavoured Markdown, the goals first and the others folded."""
    about = results.about()
    measured = ", ".join(escape(text) for text in (about.created_at, _where(about)) if text)
    return document(parts, f"Measured: {measured}.", results.report.name)


def as_json(results: Results, parts: Sequence[Section]) -> dict[str, Any]:
    """The calibration for a program: plain values, every claim with its goal, and the content of each section.

    `holds` is null if there is no goal or nothing was measured; `report` is relative to the file.
    """
    about = results.about()
    values = {
        "schema_version": SCHEMA_VERSION,
        "calibration": results.folder.name,
        "title": TITLE,
        "question": QUESTION,
        "sentence": sentence(results),
        "warnings": _warnings(about),
        "claims": [
            {"part": title, **dataclasses.asdict(claim)}
            for title, claims in _claims(results).items()
            for claim in claims
        ],
        "about": dataclasses.asdict(about),
        "sections": sections_json(parts),
        "report": results.report.name,
    }
    return dict(plain(values))


def _where(about: About) -> str:
    return ", ".join(filter(None, (about.machine.host, about.machine.cpu_model)))


def _why_not(results: Results, name: str) -> str:
    return results.about().notes.get(name) or "the run ended before this part"


def _warnings(about: About) -> tuple[str, ...]:
    """What makes these figures worth less than those of another run."""
    warnings = []
    if not about.parameters.full:
        warnings.append("This was a short run. A full run (full = true) has longer windows.")
    if about.parameters.scale < 1:
        warnings.append(f"All durations were scaled by {about.parameters.scale:g}, so no figure here is a result.")
    busy = {name: share for name, share in about.others.items() if share > OTHERS_LIMIT}
    if busy:
        shares = words.listing([f"{EXPERIMENTS[name].title} {qty.percent(share)}" for name, share in busy.items()])
        warnings.append(
            f"Other programs used this machine at the same time ({shares}, as a share of all cores). That affects "
            "the tails."
        )
    if len(about.machine.affinity) == 1:
        warnings.append("This machine has only one core, so the load generator and the server compete for it.")
    return tuple(warnings)


def _in_short(about: About) -> list[tuple[str, str]]:
    machine, versions, parameters = about.machine, about.versions, about.parameters
    names = ("python", "grpcio", "uvloop")
    return [
        ("machine", f"{machine.cpu_model or machine.architecture}, {len(machine.affinity)} cores"),
        ("virtual machine", {True: "yes", False: "no", None: "unknown"}[machine.virtual_machine]),
        ("kernel", f"{machine.system} {machine.kernel}"),
        ("versions", ", ".join(f"{name} {versions[name]}" for name in names if versions.get(name))),
        ("rounds", f"{parameters.rounds}, seed {parameters.seed}"),
        *([("parts", f"only {', '.join(parameters.parts)}")] if parameters.parts else []),
        ("load average", f"{_load(machine.load_average)} before, {_load(about.load_average_after)} after"),
    ]


def _load(averages: Sequence[float] | None) -> str:
    return f"{averages[0]:g}" if averages else "unknown"


def _facts(about: About) -> dict[str, list[tuple[str, str]]]:
    parts = {
        "Machine": vars(about.machine),
        "Versions": about.versions,
        "Source": vars(about.git),
        "Parameters": dataclasses.asdict(about.parameters),
    }
    return {title: tables.flat(facts) for title, facts in parts.items()}
