"""The result of a bench or a comparison for a build: JUnit XML, and annotations and a summary for GitHub Actions.

A :class:`BuildReport` is a list of checks. Those of a bench are its thresholds; the check of a comparison is its
verdict. :func:`deliver` writes it to the places that the options of :func:`grpclab.cli.options.build_options` name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from grpclab.cli.output import require_writable, write
from grpclab.errors import UsageError, invalid
from grpclab.text import markdown
from grpclab.text.printable import printable
from grpclab.text.redaction import mask

if TYPE_CHECKING:
    from grpclab.load.result import LoadResult
    from grpclab.study.comparison import CompareResult

GITHUB, SUMMARY = "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"
"""Variables of GitHub Actions: "true" in a workflow, and the file to which a step appends its summary."""
Outcome = Literal["passed", "failed", "skipped"]
"""A check is skipped where it has no result and needs none: an inconclusive verdict that is allowed."""
_SHOWN = {"passed": "✅", "failed": "❌", "skipped": "⚠️"}
_COMMANDS = {"passed": "notice", "failed": "error", "skipped": "warning"}


@dataclass(frozen=True, kw_only=True)
class BuildCheck:
    """One check: `kind` is a word for the reason why it failed or was skipped, `text` one sentence."""

    name: str
    outcome: Outcome
    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class BuildReport:
    """The checks of one command. `table` holds the figures in words, its header first."""

    command: str
    subject: str
    """What was measured: a call and its target, or the two sides."""
    checks: tuple[BuildCheck, ...]
    warnings: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]
    started_at: datetime | None = None
    seconds: float | None = None

    def with_outcome(self, outcome: Outcome) -> list[BuildCheck]:
        """Return the checks that ended so."""
        return [check for check in self.checks if check.outcome == outcome]


def check_place(junit: str | None, *others: str | None) -> None:
    """Raise UsageError where the file of --junit cannot be written, or is that of another output."""
    if junit is None:
        return
    if junit == "-" or junit in others:
        raise UsageError(invalid("--junit", junit, "a separate file"))
    require_writable(junit)


def deliver(report: BuildReport, *, junit: str | None, github: bool, automatic: bool = True) -> None:
    """Write the file, and for GitHub the annotations to standard error and the summary to the file that it names.

    `automatic`: a workflow of GitHub Actions is annotated without being asked to.
    """
    if junit is not None:
        write(junit, [as_junit(report)])
    if not github and not (automatic and os.environ.get(GITHUB) == "true"):
        return
    for line in workflow_commands(report):
        print(line, file=sys.stderr)
    if summary := os.environ.get(SUMMARY):
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(mask(as_markdown(report)))
        except OSError as error:
            print(f"grpclab: cannot write {summary}: {error.strerror}", file=sys.stderr)


# ---- what is checked ---------------------------------------------------------------------------------------------


def of_bench(result: LoadResult) -> BuildReport:
    """The report on a bench: whether any call succeeded, whether it ended as planned, and every threshold."""
    from grpclab.load.output.render import percentile_rows, reasons
    from grpclab.quantities import milliseconds

    run, summary = result.run, result.run.summary
    early = run.stopped_because and not run.ceiling
    cut = f"stopped early: {run.stopped_because}" if early else "interrupted" if run.interrupted else ""
    succeeded = f"{summary.succeeded:,} of {summary.requests:,} calls succeeded"
    checks = [_check("calls", "every-call-failed", succeeded, wrong=result.every_call_failed)]
    if cut:
        checks.append(_check("duration", "stopped-early", "", wrong=cut))
    if result.cluster is not None and result.cluster.lost:
        checks.append(_check("generators", "lost-worker", "", wrong=result.cluster.loss))
    for judged in result.judgements:
        name = f"{judged.objective.name}={judged.objective.text}"
        checks.append(_check(name, "threshold", judged.sentence, wrong="" if judged.met else judged.sentence))
    rows = [("calls", f"{summary.requests:,}"), ("failed", f"{summary.errors:,}")]
    if not result.steps:
        rows.append(("requests/s", f"{summary.throughput_rps:,.1f}"))
        rows += [(label, milliseconds(value)) for label, value, _, _ in percentile_rows(result)]
    return BuildReport(
        command="grpclab bench",
        subject=result.name or f"{result.title} at {result.target}",
        checks=tuple(checks),
        warnings=(*reasons(result), *(str(one) for one in result.notices if one.severity == "warning")),
        table=(("", "value"), *rows),
        started_at=result.started_at,
        seconds=summary.window_s,
    )


def of_comparison(result: CompareResult, *, allow_inconclusive: bool) -> BuildReport:
    """The report on a comparison: its verdict on B."""
    judgement, headline = result.judgement, result.judgement.headline
    outcomes: dict[str, Outcome] = {
        "slower": "failed",
        "inconclusive": "skipped" if allow_inconclusive else "failed",
    }
    subject = headline.title or f"{headline.candidate} against {headline.baseline}"
    table = result.table()
    check = BuildCheck(
        name=subject,
        outcome=outcomes.get(result.verdict, "passed"),
        kind=result.verdict,
        text=judgement.sentence,
    )
    return BuildReport(
        command="grpclab compare",
        subject=subject,
        checks=(check,),
        warnings=judgement.warnings,
        table=(
            ("", *map(str, table.columns)),
            *((str(name), *map(str, row)) for name, row in zip(table.index, table.values, strict=True)),
        ),
    )


def _check(name: str, kind: str, text: str, *, wrong: str) -> BuildCheck:
    return BuildCheck(name=name, outcome="failed" if wrong else "passed", kind=kind, text=wrong or text)


# ---- how it is written -------------------------------------------------------------------------------------------


def as_junit(report: BuildReport) -> str:
    """The report as JUnit XML, one suite, as Jenkins, GitLab and others read it."""
    from xml.etree import ElementTree as ET

    counts = {"tests": len(report.checks), "failures": len(report.with_outcome("failed")), "errors": 0}
    counts["skipped"] = len(report.with_outcome("skipped"))
    attributes = {"name": printable(f"{report.command}: {report.subject}")} | {n: f"{c}" for n, c in counts.items()}
    if report.seconds is not None:
        attributes["time"] = f"{report.seconds:.3f}"
    if report.started_at is not None:
        attributes["timestamp"] = report.started_at.isoformat(timespec="seconds")
    root = ET.Element("testsuites")
    suite = ET.SubElement(root, "testsuite", attributes)
    for check in report.checks:
        case = ET.SubElement(suite, "testcase", {"classname": report.command, "name": printable(check.name)})
        if check.outcome == "failed":
            failure = ET.SubElement(case, "failure", {"type": check.kind, "message": printable(check.text)})
            failure.text = printable(check.text)
        elif check.outcome == "skipped":
            ET.SubElement(case, "skipped", {"message": printable(check.text)})
    rows = report.table if len(report.table[0]) > 2 else report.table[1:]
    lines = [*("  ".join(map(printable, row)).strip() for row in rows), *map(printable, report.warnings)]
    ET.SubElement(suite, "system-out").text = "\n".join(lines)
    ET.indent(root)
    text: str = ET.tostring(root, encoding="utf-8", xml_declaration=True).decode()
    return text + "\n"


def workflow_commands(report: BuildReport) -> Iterator[str]:
    """Workflow commands: one for each check that failed or was skipped; a notice of all where none did.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
    """
    told = [check for check in report.checks if check.outcome != "passed"]
    for check in told:
        yield _command(check.outcome, f"{report.command}: {check.name}", check.text)
    if not told:
        yield _command("passed", f"{report.command}: {report.subject}", "; ".join(c.text for c in report.checks))


def _command(outcome: Outcome, title: str, text: str) -> str:
    """A workflow command in one line, in which no text ends the command, or a part of it."""
    message, name = printable(text).replace("%", "%25"), printable(title).replace("%", "%25")
    return f"::{_COMMANDS[outcome]} title={name.replace(':', '%3A').replace(',', '%2C')}::{message}"


def as_markdown(report: BuildReport) -> str:
    """The report as GitHub's Markdown, for the summary of a step."""
    parts = [f"### {markdown.escape(f'{report.command}: {report.subject}')}"]
    parts.append("\n".join(f"- {_SHOWN[c.outcome]} {_named(c, report.checks)}" for c in report.checks))
    header, *rows = ([markdown.escape(cell, begins=False) for cell in row] for row in report.table)
    parts.append(markdown.table(header, rows, right=header[1:2]))
    parts.append("\n".join(f"- {markdown.escape(warning)}" for warning in report.warnings))
    return "\n\n".join(part for part in parts if part) + "\n\n"


def _named(check: BuildCheck, checks: Sequence[BuildCheck]) -> str:
    """The sentence of a check, behind its name where there are several."""
    text = markdown.escape(check.text)
    return f"**{markdown.escape(check.name)}**: {text}" if len(checks) > 1 else text
