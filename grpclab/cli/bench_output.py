"""What ``grpclab bench`` writes, and where: the summary or another format, and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from grpclab.cli.output import LateFiles, require_writable, show, write
from grpclab.errors import UsageError
from grpclab.load.output.exporters import FORMATS

if TYPE_CHECKING:
    from grpclab.load.bench_result import BenchResult

SUMMARY = "summary"
LISTS_CALLS = ("csv", "influx-details")
"""The formats that list every call."""


def lists_calls(given: Mapping[str, Any]) -> bool:
    """Return whether an output lists every call, so that their records have to be here."""
    return bool(given.get("details")) or given.get("format") in LISTS_CALLS


def check_outputs(given: Mapping[str, Any]) -> None:
    """Raise UsageError where outputs cannot be written, or two would be written in one place."""
    from grpclab.cli.build_report import check_place

    where, json_file, format_ = given.get("output", "-"), given.get("json"), given.get("format")
    if where == json_file and format_ not in (None, "json"):
        raise UsageError(f"--format {format_} and --json both write to {where}: use a different file for one of them")
    if given.get("details") and json_file is None and format_ != "json":
        raise UsageError("--details lists calls in the JSON output: add --json FILE or --format json")
    for name in (where, json_file):
        require_writable(name)
    check_place(given.get("junit"), where, json_file)
    FORMATS[format_ or SUMMARY]  # raises what is wrong with a plug-in, or with a package that is missing


def answer(result: BenchResult, given: Mapping[str, Any]) -> LateFiles:
    """Write what was asked for, in its one or two places; where a file cannot be written, the summary is printed.

    Returns the files, whose error is still to be raised.
    """
    from grpclab.load.output.formats import json_chunks

    def lines(format_: str) -> Iterable[str]:
        if format_ == "json":
            return json_chunks(result, details=bool(given.get("details")))
        return FORMATS[format_](result)

    where, json_file = given.get("output", "-"), given.get("json")
    answers = {where: given.get("format", SUMMARY)}
    if json_file:
        answers[json_file] = "json"  # two answers in one place would be readable as neither
    files = LateFiles()
    for one, asked in answers.items():
        if one != "-":
            files.write(one, lines(asked))
    if files.failed and "-" not in answers:
        answers["-"] = SUMMARY
    if answers.get("-") == SUMMARY:  # after the files: standard output may be read by `head`
        show("".join(lines(SUMMARY)).rstrip("\n"))
    elif "-" in answers:
        write("-", lines(answers["-"]))
    return files
