"""``grpclab study``: from parameters, or a study in a file, to a verdict and its report."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from grpclab.cli.completion import offering
from grpclab.cli.option_types import FileName
from grpclab.cli.options import allowance_given, remote_group
from grpclab.cli.output import require_writable, show, trial_lines
from grpclab.cli.parser import Flag, LabCommand, OptionGroup, Options
from grpclab.errors import UsageError
from grpclab.study.parameters import AUTO, DESIGNS, NO_BUDGET, StudyParameters, budget_seconds, refuse_without_part
from grpclab.system.inputs import STDIN, read_text
from grpclab.system.optional import needs_extra

if TYPE_CHECKING:
    from grpclab.analysis.study_plan import StudyPlan
    from grpclab.study.repeat import Original
    from grpclab.study.spread_blocks import ClusterMachines
    from grpclab.system.allowance import Allowance

EPILOG = """examples:
  grpclab study --design quick
  grpclab study --concurrency 1,16,64 --blocks 8
  grpclab study --file threads.toml --plan
  grpclab study --file threads.toml
  grpclab study --repeat reports/threads-1a2b3c.html --study threads-again

Exit codes: 0 done, whatever the verdict; 2 invalid option; 3 nothing could be measured; 130 Ctrl-C; 143 SIGTERM;
129 SIGHUP."""


def run(options: Options) -> int:
    """Plan or measure a study; returns the exit code."""
    parameters = _parameters(options)
    given = {name: value for name, value in vars(options).items() if value is not None}
    allowance = None if options.cluster else allowance_given(given)  # with a cluster, it is about the scheduler
    if allowance is not None and not options.file:
        raise UsageError("--allow-remote works only with --file: other studies start their servers on this machine")
    require_writable(options.json)
    if options.file and str(options.file) != STDIN:
        read_text("--file", options.file)  # what cannot be read is told before much is loaded
    with needs_extra("study"):
        from grpclab.study.spread_blocks import block_machines
    with block_machines(options.cluster, allow_remote=bool(options.allow_remote)) as machines:
        return _run(options, parameters, allowance, machines)


def _run(
    options: Options, parameters: StudyParameters, allowance: Allowance | None, machines: ClusterMachines | None
) -> int:
    """The same, on the machines of a cluster or here."""
    with needs_extra("study"):
        from grpclab.cli.report import show_result
        from grpclab.report.publish import publish
        from grpclab.report.stored import load_original, runs_of
        from grpclab.servers.leave import RemoteLeave
        from grpclab.study import repeat
        from grpclab.study.joint_runs import join_runs
        from grpclab.study.pilot import estimate
        from grpclab.study.runner import Study
        from grpclab.system.paths import project_root
    silent = options.quiet or options.json == "-"
    write: Callable[[str], None] = (lambda _: None) if silent else print
    original = load_original(options.repeat) if options.repeat else None
    if original:
        if options.plan and original.manifest.plan.subjects:
            kind = "a comparison" if original.manifest.design == "compare" else "a study of your own server"
            raise UsageError(
                f"--plan cannot be combined with --repeat of {kind}, whose number of blocks is already known"
            )
        study = repeat.planned(original, options.study, consent=options.yes or _agreed(original), machines=machines)
    elif options.file:
        study = Study.described(
            options.file,
            options.study,
            leave=RemoteLeave.within(allowance),
            budget_s=budget_seconds("budget", options.budget or NO_BUDGET),
            own_budget=options.budget in (None, AUTO),
            exclusive=options.exclusive,
            machines=machines,
        )
    elif options.plan:
        study = Study.planned(parameters, machines=machines)
    else:
        study = Study.prepare(parameters, machines=machines)
    if not options.quiet:
        _tell_unreached(study.manifest.plan)
    if options.plan:
        estimate(study, print, progress=write)
        return 0
    if original or options.file:
        study = study.begin()
    write(study.summary())
    with trial_lines(silent=silent) as say:
        study.run(say)
    verdict = show_result(publish(study), options)
    if original and options.json != "-":
        lines = ["", *repeat.compared(original, study.manifest, verdict)]
        runs = [original, *runs_of(original, project_root() / "results")]
        joint = join_runs(runs)
        lines += ["", *joint.lines()] if len(joint.runs) > 2 else joint.lines()[len(joint.runs) :]
        show("\n".join(lines))
    return 0


def _tell_unreached(plan: StudyPlan) -> None:
    """Say on standard error which levels of server.processes are more than there are connections."""
    from grpclab.factors.effective import unreached_processes

    for text in dict.fromkeys(unreached_processes(one.config) for one in plan.configurations):
        if text:
            print(f"grpclab: {text}", file=sys.stderr)


def _agreed(original: Original) -> bool:
    """The user's consent to what a study of another user or machine starts and opens, which is shown."""
    foreign = original.foreign() if original.trusted else []
    if not (foreign and sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    print(
        f"{original.source} was recorded by another user or on another machine. Repeating it would start or open the "
        "following:"
    )
    print("\n".join(f"  {line}" for line in foreign))
    return input("Continue? [y/N] ").strip().lower() in ("y", "yes")


def _parameters(options: Options) -> StudyParameters:
    """The parameters of a study, as they were given. Raises UsageError for those that have no part in it."""
    given = {field.name: getattr(options, field.name) for field in dataclasses.fields(StudyParameters)}
    chosen = {name: value for name, value in given.items() if value is not None}
    typed = [name for name in chosen if options.insists_on(name)]
    unused = DESIGNS[design].unused if (design := chosen.get("design", "default")) in DESIGNS else ()
    chosen = {name: value for name, value in chosen.items() if name in typed or name not in unused}
    others = [f"--{name.replace('_', '-')}" for name in sorted(set(typed) - {"study", "cluster"})]
    if options.repeat and (others := [*others, *(["--file"] if options.file else [])]):
        raise UsageError(f"{others[0]} cannot be combined with --repeat, which measures the plan of {options.repeat}")
    if options.yes and not options.repeat:
        raise UsageError("--yes works only with --repeat: no other command asks for confirmation")
    if options.insists_on("exclusive") and not options.file:
        raise UsageError(
            "--exclusive works only with --file: the built-in servers of other studies can run at the same time"
        )
    if options.file and (others := [one for one in others if one != "--budget"]):  # which is no key of a file
        raise UsageError(f"{others[0]} cannot be combined with --file: set it in {options.file}")
    if options.plan and options.insists_on("json"):
        raise UsageError("--json cannot be combined with --plan, which produces no result")
    refuse_without_part(design, [name for name in typed if name != "study"], written="--{}")
    return StudyParameters(**chosen)


def parameter_options() -> list[Flag]:
    """An option for each parameter of a study."""
    found = []
    for one in dataclasses.fields(StudyParameters):
        words = ",".join(f"{v:g}" for v in one.default) if isinstance(one.default, tuple) else f"{one.default}"
        flag = f"--{one.name.replace('_', '-')}"
        meaning = f"{one.metadata['meaning']} (default: {words.lower() or 'empty'})"
        offer = offering(lambda: DESIGNS) if one.name == "design" else None
        found.append(Flag(flag, metavar=_metavar(one.name, one.default), help=meaning, offer=offer))
    return found


def _metavar(name: str, default: object) -> str:
    """What stands for the value of a parameter in the help."""
    if isinstance(default, bool):
        return "true|false"
    if isinstance(default, tuple):
        return "N,N,..."
    return "N" if isinstance(default, (int, float)) else name.upper()


COMMAND = LabCommand(
    "study",
    run,
    summary="measure and compare many configurations, and write a report",
    usage="grpclab study [options]",
    description="Run the study in notebooks/sweep.ipynb from the terminal. Results go to results/<study>/ and the "
    "report to reports/<study>.html. Ctrl-C keeps the finished trials; run the same command again to resume the study.",
    epilog=EPILOG,
    groups=[
        OptionGroup(title="the parameters of a study", members=parameter_options()),
        OptionGroup(
            title="another study",
            members=[
                Flag(
                    "--file",
                    kind=FileName(as_path=True),
                    metavar="FILE",
                    help="your own study, in TOML (docs/your-own-service.md)",
                ),
                Flag(
                    "--exclusive",
                    switch=True,
                    help="with --file: run one server after the other, for servers that cannot run at the same time "
                    "(in the file: exclusive = true)",
                ),
                Flag(
                    "--repeat",
                    kind=FileName(as_path=True),
                    metavar="STUDY",
                    help=(
                        "repeat a study, given as results/STUDY, its manifest.json, or a report; use --study to name "
                        "the new run"
                    ),
                ),
                Flag(
                    "--yes",
                    switch=True,
                    explicit=True,
                    help="with --repeat: do not ask before starting the commands of a study from another user or "
                    "another machine",
                ),
            ],
        ),
        remote_group("a server on another machine"),
        OptionGroup(
            members=[
                Flag(
                    "--plan",
                    switch=True,
                    help=(
                        "only measure a short pilot, then estimate how long the study would take and what it could "
                        "detect"
                    ),
                ),
                Flag("--json", metavar="FILE", help="write the result as JSON; use - for standard output"),
            ]
        ),
    ],
)
