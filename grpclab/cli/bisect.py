"""The command line of ``grpclab bisect``: the first commit that is slower than a good one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from grpclab.cli import target_options
from grpclab.cli.comparison_options import (
    block_flags,
    blocks_given,
    call_group,
    factors_given,
    pair_options,
    placement_flags,
    revision_flag,
)
from grpclab.cli.options import BEATS, idle_lines, load_options, security_group, set_option, whole
from grpclab.cli.output import LateFiles, require_writable, show, tell_encoding, trial_lines
from grpclab.cli.parser import Flag, LabCommand, OptionGroup, Options
from grpclab.errors import UsageError, invalid
from grpclab.factors.config import parse_settings
from grpclab.factors.defaults import LOAD
from grpclab.factors.own import REVISION
from grpclab.quantities import count, share, time_option
from grpclab.system.optional import needs_extra

if TYPE_CHECKING:
    from grpclab.study.bisection import BisectResult
    from grpclab.study.sides import GivenTarget
    from grpclab.system.repository import Commit, Repository

LONGEST_STUDY = 40
"""Of --study, which names begin with."""

DESCRIPTION = """Find the first commit that is slower than a good one.

The search first compares BAD with GOOD. It then compares commits between the two with GOOD, halving the range each
time, until it finds the first slower one, and finally compares that commit with its parent. A merge counts as one
commit; the commits on its branch are not tested. Each commit is checked out into a git worktree in a temporary folder;
your own checkout is not touched.

Each step runs a comparison, as `grpclab compare` does, and stores it under results/. To resume an interrupted search,
run the same command again. A step without a verdict is repeated with twice as many blocks. A commit that cannot be
measured is skipped."""

EPILOG = """examples:
  grpclab bisect --good v1.4 --bad HEAD --app shop.server:register --call shop.v1.Till/Pay --data '{"id": 7}'
  grpclab bisect --good main --bad worktree --app shop.server:register --call shop.v1.Till/Pay
  grpclab bisect --good v1.4 --bad HEAD --cmd './srv --port {port}' --prepare 'make srv' --call shop.Cart/Get

Exit codes: 0 the commit was found, 1 BAD is not slower than GOOD, 2 bad input, 3 GOOD or BAD cannot be measured, 4
inconclusive (0 with --allow-inconclusive), 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP."""


def run(options: Options) -> int:
    """Compare commit after commit, print what was found; returns the exit code."""
    from grpclab.study.parameters import budget_seconds, study_name

    delta = share("--min-effect", options.min_effect)
    require_writable(options.json)
    given = _target(options)
    for name in ("good", "bad"):
        if getattr(options, name) is None:
            raise UsageError(f"--{name} is missing: expected a commit, a tag or a branch")
    if REVISION in parse_settings(options.settings):
        raise UsageError(f"{REVISION} cannot be set here: --good and --bad already set the revisions")
    timeout_s = None if options.start_timeout is None else time_option("--start-timeout", options.start_timeout)
    study = None if options.study is None else study_name("--study", options.study)
    if study is not None and len(study) > LONGEST_STUDY:
        expected = f"at most {LONGEST_STUDY} characters, since it is the prefix of several study names"
        raise UsageError(invalid("--study", study, expected))
    with needs_extra("study"):
        from grpclab.load.calls.payloads import PAYLOAD_FOLDER
        from grpclab.servers.placement import repository_of_target
        from grpclab.study.bisection import StepOptions, bisect
        from grpclab.system.repository import WORKTREES
    try:
        repository = repository_of_target(given.target)
    except UsageError as error:
        raise UsageError(invalid(given.option, given.target.text, f"a target in a git repository; {error}")) from None
    good, commits = _history(repository, options.good, options.bad)
    bad = commits[-1]
    tell_encoding(quiet=options.quiet)
    silent = options.quiet or options.json == "-"
    with PAYLOAD_FOLDER.in_use(), WORKTREES.in_use(), trial_lines(silent=silent) as say:
        steps = StepOptions(
            target=given,
            options=pair_options(options, start_timeout_s=timeout_s),
            blocks=blocks_given(options.blocks),
            delta=delta,
            seed=1 if options.seed is None else whole("--seed", options.seed),
            again=options.command_line,
            name=study,
            exclusive=options.exclusive,
            budget_s=None if options.budget is None else budget_seconds("--budget", options.budget),
            write=say,
        ).named_after(good, bad)
        sides = steps.sides(good, bad)
        named = factors_given(options)
        for line in () if options.quiet else idle_lines(sides, dict.fromkeys(sides, named)):
            print(f"grpclab: {line}", file=sys.stderr)
        say(f"{count(len(commits), 'commit')} from {good.short} to {bad.short}")
        result = bisect(good, commits, steps.measure(good), say)
    return _show(result, options)


def _history(repository: Repository, good: str, bad: str) -> tuple[Commit, list[Commit]]:
    """The good commit, and those that follow it up to the bad one, or to the working tree. Raises UsageError."""
    from grpclab.system.repository import CHECKOUT

    first = repository.commit(good, "--good")
    if bad != CHECKOUT:
        return first, repository.after(first, repository.commit(bad, "--bad"), "--good")
    head, changes = repository.commit("HEAD", "--bad"), repository.changes("--bad")
    if changes is None:
        return first, repository.after(first, head, "--good")
    return first, [*([] if first == head else repository.after(first, head, "--good")), changes]


def _target(options: Options) -> GivenTarget:
    """The application or the command. Raises UsageError without one."""
    from grpclab.study.sides import GivenTarget

    chosen = target_options.target_given(options)
    if chosen is None:
        raise UsageError("no server given: expected --app MODULE:NAME or --cmd COMMAND")
    target_options.refuse_unused(options, [chosen[0]])
    if not target_options.takes_security(chosen[0]):
        for name in target_options.SECURITY:
            if options.insists_on(name):
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} cannot be used here: it only works with --cmd; for --app, set server.tls")
    return GivenTarget(target_options.secured(chosen[0], options), chosen[1])


def _show(result: BisectResult, options: Options) -> int:
    """Print what was found, write its JSON; returns the exit code."""
    code = 0 if result.exit_code == 4 and options.allow_inconclusive else result.exit_code
    files = LateFiles()
    if options.json:
        import json

        files.write(options.json, [json.dumps(result.as_dict() | {"exit_code": code}, indent=1), "\n"])
    if options.json != "-":
        show(result.sentence)
        measured = [step.study for step in result.steps if step.study]
        if measured and not options.quiet:
            show(f"create the report: grpclab report {measured[-1]}")
    files.end()
    return code


COMMAND = LabCommand(
    "bisect",
    run,
    summary="find the first commit that made a service slower",
    usage="grpclab bisect --good REV --bad REV (--app MODULE:NAME | --cmd COMMAND) [options]",
    description=DESCRIPTION,
    epilog=EPILOG,
    beats=BEATS | {"app": ("cmd",), "cmd": ("app",)},
    groups=[
        OptionGroup(
            title="the revisions",
            members=[
                revision_flag("--good", "commit, tag or branch known to be fast; every step uses it as the baseline"),
                revision_flag(
                    "--bad",
                    "later revision that is slower; worktree means the working tree with its uncommitted changes",
                ),
            ],
        ),
        OptionGroup(
            title="your server",
            members=[
                *target_options.target_flags(leave_out=("address",)),
                *placement_flags(leave_out=("rev",)),
                set_option("a server, client, load or link factor"),
                Flag(
                    "--start-timeout",
                    metavar="TIME",
                    help="how long to wait for a server to be ready (default: 25 s)",
                ),
            ],
        ),
        security_group("TLS to a server started by a command"),
        call_group(),
        OptionGroup(title="the load in each trial", members=load_options(LOAD)),
        OptionGroup(
            title="the steps",
            members=[
                *block_flags(budget="none"),
                Flag("--study", metavar="NAME", help="prefix for the study names under results/"),
                Flag(
                    "--allow-inconclusive", switch=True, help="exit with code 0 even if no single commit can be found"
                ),
                Flag(
                    "--json", metavar="FILE", help="write the steps and the result as JSON; use - for standard output"
                ),
            ],
        ),
    ],
)
