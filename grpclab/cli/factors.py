"""``grpclab factors``: every factor and its levels."""

from __future__ import annotations

import json
import sys

from grpclab.cli.output import show, write
from grpclab.cli.parser import Flag, LabCommand, OptionGroup, Options
from grpclab.errors import UsageError
from grpclab.factors.config import FACTORS, table
from grpclab.factors.levels import format_level


def run(options: Options) -> int:
    """List the factors; returns the exit code."""
    if options.tonic:
        from grpclab.factors.tonic import mapping_markdown

        if options.json:
            raise UsageError("--json cannot be combined with --tonic, which prints its table as Markdown")
        sys.stdout.write(mapping_markdown())
        return 0
    if options.json:
        write(options.json, [json.dumps(table(), indent=1), "\n"])
    if options.json == "-":
        return 0
    if options.quiet:
        print("\n".join(FACTORS))
        return 0
    width = max(len(name) for name in FACTORS)
    lines = []
    for name, factor in FACTORS.items():
        lines.append(f"{name:<{width}}  {factor.meaning}")
        lines.append(f"{'':<{width}}  {factor.range_text}; default {format_level(factor.default)}")
    show("\n".join(lines))
    return 0


COMMAND = LabCommand(
    "factors",
    run,
    summary="list every factor with its levels",
    usage="grpclab factors [options]",
    description="List every factor with its levels and its default. With -q, print only the names.",
    groups=[
        OptionGroup(
            members=[
                Flag("--tonic", switch=True, help='print the table "from tonic to grpcio" as Markdown'),
                Flag("--json", metavar="FILE", help="write the table as JSON; use - for standard output"),
            ]
        )
    ],
)
