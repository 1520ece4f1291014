"""``grpclab report``: the report of a stored study or calibration, rebuilt; a site of all reports."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grpclab.cli.completion import offering
from grpclab.cli.option_types import FileName
from grpclab.cli.output import LateFiles, require_writable, show, write
from grpclab.cli.parser import Flag, LabCommand, Operand, OptionGroup, Options
from grpclab.errors import DesignError, UsageError, did_you_mean, invalid
from grpclab.study.documents import plain
from grpclab.system import terminal
from grpclab.system.optional import needs_extra
from grpclab.system.paths import project_root, stored_studies
from grpclab.text.printable import printable

if TYPE_CHECKING:
    from grpclab.analysis import Judgement
    from grpclab.report.publish import Published

EPILOG = """examples:
  grpclab report threads-1a2b3c
  grpclab report threads-1a2b3c --section certainty limits
  grpclab report threads-1a2b3c --figures figures/ --json verdict.json
  grpclab report threads-1a2b3c --joint results/threads-again
  grpclab report --site site/"""


def run(options: Options) -> int:
    """Rebuild a report, build the site; returns the exit code."""
    if folder := _calibration_folder(options.study):
        _rebuild_calibration(folder, options)
    elif options.joint or options.rejudge:
        _judge_again(options)
    elif options.study or not options.site:
        _rebuild(options)
    elif option := next(filter(options.insists_on, ("allow_mixed", "figures", "section", "json")), ""):
        raise UsageError(f"no study given: --{option.replace('_', '-')} works only with grpclab report STUDY")
    if options.site:
        with needs_extra("study"):
            from grpclab.report.site import build, repository_of
        path = build(project_root(), options.site.resolve(), repository=repository_of(os.environ))
        if options.json != "-":
            print(f"site: {path}")
    return 0


def _judge_again(options: Options) -> None:
    """Print a study by today's rules, or a joint verdict over several; no report is written."""
    if unfit := next(filter(options.insists_on, ("site", "figures", "section")), ""):
        raise UsageError(
            f"--{unfit} cannot be combined with --{'joint' if options.joint else 'rejudge'}, which writes no report"
        )
    if options.joint and options.rejudge:
        raise UsageError("--rejudge cannot be combined with --joint, which keeps the verdict of each run")
    if options.joint and options.insists_on("allow_mixed"):
        raise UsageError(
            "--allow-mixed cannot be combined with --joint, which accepts runs from different machines anyway"
        )
    folder = stored_folder(options.study)
    require_writable(options.json)
    with needs_extra("study"):
        from grpclab.report.stored import load_original
        from grpclab.study.joint_runs import JointRuns, join_runs
        from grpclab.study.rejudging import Rejudged, rejudge
        from grpclab.study.runner import Study
        from grpclab.study.stored_values import evaluating
    found: JointRuns | Rejudged
    if options.joint:
        names = [name if Path(name).is_file() else stored_folder(name) for name in options.joint]
        found = join_runs([load_original(source) for source in (folder, *names)])
    else:
        with evaluating(folder):
            found = rejudge(Study.stored(folder), allow_mixed=options.allow_mixed)
    if options.json:
        write(options.json, [json.dumps(plain(found.as_json()), indent=1, allow_nan=False), "\n"])
    if options.json != "-":
        show("\n".join(found.lines()))


def _rebuild(options: Options) -> None:
    """Write the report of a stored study anew, and its figures as files where they are asked for."""
    folder = stored_folder(options.study)
    require_writable(options.json)
    with needs_extra("study"):
        from grpclab.report.content import ORDER
        from grpclab.report.publish import publish
        from grpclab.report.renderers.figure_files import write_figures
        from grpclab.study.runner import Study
        from grpclab.study.stored_values import evaluating

        _check_sections(options.section, [part.ANCHOR for part in ORDER])
    with evaluating(folder):
        study = Study.stored(folder)
        published = publish(study, allow_mixed=options.allow_mixed)
    show_result(published, options)
    if options.section and options.json != "-":
        _show_sections(published, options.section)
    if options.figures:
        written = write_figures(options.figures, published.study)
        if options.json != "-":
            print(f"figures: {len(written)} in {options.figures}")


def _calibration_folder(name: str | None) -> Path | None:
    """The folder of a stored calibration, by its path or its name; None if that names something else."""
    results = project_root() / "results"
    places = [Path(name).absolute(), results / name] if name else []
    found = (place for place in places if place.parent.name == "results" and not (place / "manifest.json").exists())
    return next((place for place in found if (place / "about.json").is_file()), None)


def _rebuild_calibration(folder: Path, options: Options) -> None:
    """Write the report of a stored calibration anew, and print its goals."""
    if unfit := next(filter(options.insists_on, ("joint", "rejudge", "allow_mixed", "figures")), ""):
        raise UsageError(
            f"--{unfit.replace('_', '-')} needs a study: results/{printable(folder.name)} is a calibration"
        )
    require_writable(options.json)
    with needs_extra("study"):
        from grpclab.calibration import page
        from grpclab.calibration.store import Results
        from grpclab.report.renderers.terminal import sections_text
    results = Results(folder.parent.parent, folder.name)
    _check_sections(options.section, page.anchors(results))
    parts = page.sections(results)
    path = page.write(results, {part.anchor: part for part in parts})
    if options.json:
        write(options.json, [json.dumps(page.as_json(results, parts), indent=1, allow_nan=False), "\n"])
    if options.json == "-":
        return
    wanted = options.section if options.quiet else ["answer", *options.section]
    chosen = [part for part in parts if _ALL in wanted or part.anchor in wanted]
    lines = [sections_text(chosen, _width()), ""] if chosen else [page.sentence(results)]
    lines.append(f"report: {path}")
    if not options.quiet:
        lines += [f"for a pull request: {path.with_suffix('.md')}", f"for programs: {path.with_suffix('.json')}"]
    show("\n".join(lines))


_ALL = "all"
"""The name of every section."""


def _check_sections(names: Sequence[str], anchors: Sequence[str]) -> None:
    """Raise UsageError for a name that no section of a report has."""
    known = [*anchors, _ALL]
    for name in names:
        if name not in known:
            raise UsageError(invalid("--section", name, f"one of {', '.join(known)}", known))


def _show_sections(published: Published, names: Sequence[str]) -> None:
    """Print the sections of these names, and which of them the report does not have."""
    from grpclab.report.renderers.terminal import sections_text

    chosen = [part for part in published.sections if _ALL in names or part.anchor in names]
    missing = set(names) - {_ALL, *(part.anchor for part in chosen)}
    lines = [f"no section {name} in this report: the study has nothing to show there" for name in sorted(missing)]
    show("\n".join(["", *lines, *([sections_text(chosen, _width())] if chosen else [])]))


def _width() -> int:
    """The columns of the terminal, as far as a table needs them."""
    from grpclab.report.renderers.terminal import WIDTH

    return min(WIDTH, terminal.columns(sys.stdout) or WIDTH)


def show_result(published: Published, options: Options) -> Judgement:
    """Print the answer of a study, and write it as JSON where that is asked for; returns its verdict."""
    from grpclab.report import glossary
    from grpclab.report.renderers.json import as_json
    from grpclab.report.renderers.terminal import table

    study, path, width = published.study, published.path, _width()
    files = LateFiles()
    if options.json:  # first: standard output may be read by `head`
        files.write(options.json, [json.dumps(as_json(study, published.sections), indent=1, allow_nan=False), "\n"])
    if options.json != "-":
        if not options.quiet:
            show(f"\n{table(study, width)}\n")
        lines = [printable(study.verdict.sentence), *textwrap.wrap(glossary.line(study), width)]
        lines += [f"warning: {printable(warning)}" for warning in study.verdict.warnings]
        lines.append(f"report: {path}")
        if not options.quiet:
            lines += [f"for a pull request: {path.with_suffix('.md')}", f"for programs: {path.with_suffix('.json')}"]
        show("\n".join(lines))
    files.end()
    return study.verdict


def stored_folder(name: str | None) -> Path:
    """The folder of a stored study, by its path or its name. Raises UsageError, with the names that are near."""
    results = project_root() / "results"
    known = stored_studies()
    if name is None:
        raise UsageError(f"no study given: expected grpclab report STUDY; {_some(known, results)}")
    if Path(name).is_file():
        hint = "open a report in a browser or with grpclab.load_study" if name.endswith(".html") else "this is a file"
        raise DesignError(f"no study in {name}: expected the name of a study or its folder; {hint}")
    places = list(dict.fromkeys((Path(name), results / name)))
    for folder in places:
        if (folder / "manifest.json").is_file():
            return folder
    hint = did_you_mean(Path(name).name, known) or _some(known, results)
    where = ", nor in ".join(map(str, places))
    raise DesignError(f"no study in {where}: there is no manifest.json; {hint}")


def _some(known: Sequence[str], results: Path) -> str:
    if not known:
        return f"{results} has no studies yet"
    more = f" and {len(known) - 5} more" if len(known) > 5 else ""
    return f"{results} has {', '.join(known[:5])}{more}"


COMMAND = LabCommand(
    "report",
    run,
    summary="rebuild the report of a stored study",
    usage="grpclab report STUDY [options]",
    description="Rebuild the report of a stored study or calibration, without measuring.",
    epilog=EPILOG,
    groups=[
        OptionGroup(
            members=[
                Operand(
                    "study",
                    "STUDY",
                    "name of the study, or its folder, results/STUDY",
                    offer=offering(stored_studies),
                ),
                Flag("--allow-mixed", switch=True, help="accept trials from different machines or versions"),
                Flag(
                    "--rejudge",
                    switch=True,
                    help="list the rows that the current rules would change; stored results and the report stay as "
                    "they are",
                ),
                Flag(
                    "--joint",
                    several=True,
                    metavar="OTHER...",
                    help=(
                        "give a joint verdict on this study and others with the same plan, each as results/STUDY or a "
                        "report"
                    ),
                ),
                Flag(
                    "--section",
                    several=True,
                    metavar="NAME...",
                    help="also print these sections of the report, e.g. certainty or limits; all prints every one",
                ),
                Flag(
                    "--figures",
                    kind=FileName(folder=True, as_path=True),
                    metavar="DIR",
                    help="also write every figure as an SVG and a PNG file",
                ),
                Flag(
                    "--site",
                    kind=FileName(folder=True, as_path=True),
                    metavar="DIR",
                    help="build a static site of all reports and guides in this folder",
                ),
                Flag("--json", metavar="FILE", help="write the result as JSON; use - for standard output"),
            ]
        )
    ],
)
