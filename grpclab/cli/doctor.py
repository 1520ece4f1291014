"""``grpclab doctor``: what this machine can and cannot measure well."""

from __future__ import annotations

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from grpclab.cli.output import show, write
from grpclab.cli.parser import Flag, LabCommand, OptionGroup, Options

if TYPE_CHECKING:
    from grpclab.cli.findings import Finding


def run(options: Options) -> int:
    """Look at the machine, show the findings; returns the exit code."""
    from grpclab.cli.findings import diagnose

    findings = diagnose()
    if options.json != "-":
        shown = [one for one in findings if one.state != "ok"] if options.quiet else findings
        if shown:
            show(render(shown, width=min(100, shutil.get_terminal_size((100, 24)).columns)))
    if options.json:
        write(options.json, [json.dumps(to_json(findings), indent=1), "\n"])
    return 0


def to_json(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """The findings as plain dictionaries."""
    return [dataclasses.asdict(finding) for finding in findings]


def render(findings: Sequence[Finding], *, width: int = 100) -> str:
    """Aligned text for a terminal, each problem with its remedy on the lines below, and a summary."""
    widest = max((len(finding.name) for finding in findings), default=0)
    indent = " " * (widest + 8)
    room = max(30, width - len(indent))
    lines = []
    for finding in findings:
        first, *rest = textwrap.wrap(finding.value, room) or [""]
        lines.append(f"{finding.state:4}  {finding.name:<{widest}}  {first}".rstrip())
        lines += [f"{indent}{line}" for line in rest]
        if finding.advice:
            lines += textwrap.wrap(
                finding.advice,
                width,
                initial_indent=f"{indent}-> ",
                subsequent_indent=f"{indent}   ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    return "\n".join([*lines, "", summary(findings)])


def summary(findings: Sequence[Finding]) -> str:
    """One line: how many problems there are."""
    fails, warns = (sum(f.state == state for f in findings) for state in ("fail", "warn"))
    if not fails and not warns:
        return "This machine is suitable for measurements."
    parts = [f"{n} {word}{'s' * (n != 1)}" for n, word in ((fails, "problem"), (warns, "warning")) if n]
    return f"{' and '.join(parts)}: the lines marked -> say what to do."


COMMAND = LabCommand(
    "doctor",
    run,
    summary="check what this machine can and cannot measure well",
    usage="grpclab doctor [options]",
    description="Check what this machine can and cannot measure well. With -q, print only the problems.",
    groups=[
        OptionGroup(
            members=[Flag("--json", metavar="FILE", help="write the findings as JSON; use - for standard output")],
        )
    ],
)
