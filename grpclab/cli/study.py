"""The command lines of ``grpclab study`` and ``grpclab report``: from parameters or stored trials to a verdict."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpclab.cli import bench
from grpclab.errors import DesignError, UsageError
from grpclab.study.parameters import StudyParameters, refuse_without_part
from grpclab.system.inputs import STDIN, read_text
from grpclab.system.optional import needs_extra
from grpclab.system.paths import project_root
from grpclab.text.printable import printable

if TYPE_CHECKING:
    from grpclab.study.repeat import Original
    from grpclab.study.runner import Study


def add_study(commands: Any, parents: Sequence[argparse.ArgumentParser]) -> None:
    """Add ``study`` to the command line."""
    study = commands.add_parser(
        "study",
        parents=parents,
        help="measure a sweep of configurations, judge it, write its report",
        usage="grpclab study [options]",
        description="The study of notebooks/sweep.ipynb, in the terminal. Results go to results/<study>/, the report"
        " to reports/<study>.html. Ctrl-C loses no finished trial; the same command resumes the study.",
        epilog="Exit codes: 0 done, whatever the verdict, 2 a wrong option, 3 nothing could be measured, 130 Ctrl-C,"
        " 143 SIGTERM, 129 SIGHUP.",
    )
    for field in dataclasses.fields(StudyParameters):
        words = field.default if not isinstance(field.default, tuple) else ",".join(f"{v:g}" for v in field.default)
        study.add_argument(
            f"--{field.name.replace('_', '-')}",
            metavar=field.name.upper(),
            dest=field.name,
            help=f"{field.metadata['meaning']} (default: {words})",
        )
    study.add_argument("--file", type=Path, metavar="FILE", help="a study of your own, in TOML (see the README)")
    study.add_argument(
        "--repeat",
        type=Path,
        metavar="STUDY",
        help="measure a study once more: results/STUDY, its manifest.json, or a report; --study names the repeat",
    )
    study.add_argument(
        "--yes",
        action="store_true",
        help="with --repeat: start the commands of a study that another user or machine recorded without asking",
    )
    study.add_argument(
        "--plan", action="store_true", help="measure a short pilot only; say how long it takes and what it can show"
    )
    study.add_argument("--json", metavar="FILE", help="write the result as JSON; - is standard output")
    study.set_defaults(run=_study)


def add_report(commands: Any, parents: Sequence[argparse.ArgumentParser]) -> None:
    """Add ``report`` to the command line."""
    report = commands.add_parser(
        "report",
        parents=parents,
        help="rebuild a report from stored results",
        usage="grpclab report STUDY [options]",
        description="Rebuild the report of a stored study, without measuring.",
    )
    report.add_argument("study", nargs="?", metavar="STUDY", help="its name, or its folder: results/STUDY")
    report.add_argument("--allow-mixed", action="store_true", help="accept trials of different machines or versions")
    report.add_argument("--figures", type=Path, metavar="DIR", help="write every figure as an SVG and a PNG file, too")
    report.add_argument("--site", type=Path, metavar="DIR", help="build a static site of all reports and guides there")
    report.add_argument("--json", metavar="FILE", help="write the result as JSON; - is standard output")
    report.set_defaults(run=_report)


def _study(options: argparse.Namespace) -> int:
    parameters = StudyParameters(**_chosen(options))
    bench.require_writable(options.json)
    if options.file and str(options.file) != STDIN:
        read_text("--file", options.file)  # what cannot be read is told before much is loaded
    with needs_extra("study"):
        from grpclab.report.publish import publish
        from grpclab.report.stored import load_original
        from grpclab.study import repeat
        from grpclab.study.planning import foretell
        from grpclab.study.runner import Study
    write: Callable[[str], None] = (lambda _: None) if options.quiet or options.json == "-" else print
    original = load_original(options.repeat) if options.repeat else None
    if original:
        if options.plan and original.plan.get("subjects"):
            raise UsageError("--plan does not go with the repeat of a comparison: its number of blocks is known")
        study = repeat.planned(original, options.study, consent=options.yes or _agreed(original))
    elif options.file:
        study = Study.described(options.file, options.study)
    elif options.plan:
        study = Study.planned(parameters)
    else:
        study = Study.prepare(parameters)
    if options.plan:
        foretell(study, print, progress=write)
        return 0
    if original or options.file:
        study = study.begin()
    write(study.summary())
    study.run(write)
    path = publish(study)
    verdict = _tell(study, path, options)
    if original and options.json != "-":
        print("\n".join(["", *repeat.compared(original, study.manifest, verdict)]))
    return 0


def _agreed(original: Original) -> bool:
    """Whether the user, shown what a study of another user or machine starts and opens, agrees to that."""
    foreign = original.foreign() if original.trusted else []
    if not (foreign and sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    print(f"{original.source} was recorded by another user or on another machine; it starts or opens:")
    print("\n".join(f"  {line}" for line in foreign))
    return input("Go on? [y/N] ").strip().lower() in ("y", "yes")


def _chosen(options: argparse.Namespace) -> dict[str, Any]:
    """The parameters of a study that were given. Raises UsageError for those that have no part in it."""
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(StudyParameters)}
    chosen = {name: value for name, value in given.items() if value is not None}
    others = [f"--{name.replace('_', '-')}" for name in sorted(set(chosen) - {"study"})]
    if options.repeat and (others := [*others, *(["--file"] if options.file else [])]):
        raise UsageError(f"{others[0]} does not go with --repeat: it measures the plan of {options.repeat}")
    if options.yes and not options.repeat:
        raise UsageError("--yes goes with --repeat only: nothing else asks")
    if options.file and others:
        raise UsageError(f"{others[0]} does not go with --file: write it into {options.file}")
    if options.plan and options.json:
        raise UsageError("--json does not go with --plan: a plan has no result yet")
    refuse_without_part(chosen.get("design", "default"), [name for name in chosen if name != "study"], written="--{}")
    return chosen


def _tell(study: Study, path: Path, options: argparse.Namespace) -> Mapping[str, Any]:
    """What a study found, on the terminal and as JSON where that is asked for; returns its verdict."""
    from grpclab.report import glossary
    from grpclab.report.publish import finished
    from grpclab.report.renderers.json import as_json
    from grpclab.report.renderers.terminal import WIDTH, table

    found = finished(study)
    if options.json:  # first: standard output may be read by `head`
        bench.write(options.json, [json.dumps(as_json(found), indent=1, allow_nan=False), "\n"])
    if options.json != "-":
        if not options.quiet:
            print(f"\n{table(found)}\n")
        print(printable(str(found.verdict["sentence"])))
        print("".join(f"{line}\n" for line in textwrap.wrap(glossary.line(found), WIDTH)), end="")
        for warning in found.verdict["warnings"]:
            print(f"warning: {printable(str(warning))}")
        print(f"report: {path}")
        if not options.quiet:
            print(f"for a pull request: {path.with_suffix('.md')}\nfor a machine: {path.with_suffix('.json')}")
    return found.verdict


def _report(options: argparse.Namespace) -> int:
    if options.study or not options.site:
        _rebuild(options)
    elif options.allow_mixed or options.figures or options.json:
        option = next(name for name in ("allow_mixed", "figures", "json") if getattr(options, name))
        raise UsageError(f"no study was named: --{option.replace('_', '-')} goes with grpclab report STUDY")
    if options.site:
        with needs_extra("study"):
            from grpclab.report.site import build, repository_of
        path = build(project_root(), options.site.resolve(), repository=repository_of(os.environ))
        if options.json != "-":
            print(f"site: {path}")
    return 0


def _rebuild(options: argparse.Namespace) -> None:
    """Write the report of a stored study anew, and its figures as files where they are asked for."""
    folder = stored_folder(options.study)
    bench.require_writable(options.json)
    with needs_extra("study"):
        from grpclab.report.publish import finished, publish
        from grpclab.report.renderers.figure_files import write_figures
        from grpclab.study.runner import Study
        from grpclab.study.stored_values import evaluating
    with evaluating(folder):
        study = Study.stored(folder)
        path = publish(study, allow_mixed=options.allow_mixed)
    _tell(study, path, options)
    if options.figures:
        written = write_figures(options.figures, finished(study, histograms=True))
        if options.json != "-":
            print(f"figures: {len(written)} in {options.figures}")


def stored_folder(name: str | None) -> Path:
    """The folder of a stored study, by its path or its name. Raises UsageError, with the names that are near."""
    results = project_root() / "results"
    known = sorted(path.parent.name for path in results.glob("*/manifest.json"))
    if name is None:
        raise UsageError(f"no study was named: expected grpclab report STUDY; {_some(known, results)}")
    if Path(name).is_file():
        hint = "a report is read by a browser or by grpclab.load_study" if name.endswith(".html") else "that is a file"
        raise DesignError(f"no study in {name}: expected the name of a study or its folder; {hint}")
    places = list(dict.fromkeys((Path(name), results / name)))
    for folder in places:
        if (folder / "manifest.json").is_file():
            return folder
    near = difflib.get_close_matches(Path(name).name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else _some(known, results)
    where = ", nor in ".join(map(str, places))
    raise DesignError(f"no study in {where}: there is no manifest.json; {hint}")


def _some(known: Sequence[str], results: Path) -> str:
    if not known:
        return f"{results} holds no study yet"
    more = f" and {len(known) - 5} more" if len(known) > 5 else ""
    return f"{results} holds {', '.join(known[:5])}{more}"
