"""The command line of ``grpclab compare``: its options, the two sides, the table, the exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from grpclab.cli import target_options
from grpclab.cli.cluster_options import measuring
from grpclab.cli.comparison_options import (
    block_flags,
    blocks_given,
    call_group,
    cluster_flag,
    factors_given,
    pair_options,
    placement_flags,
    placement_names,
    same_commit,
    settings_of_side,
)
from grpclab.cli.completion import offering
from grpclab.cli.options import (
    BEATS,
    build_options,
    idle_lines,
    load_options,
    remote_group,
    security_group,
    set_option,
    variant_terms,
    whole,
)
from grpclab.cli.output import LateFiles, require_writable, show, tell_encoding
from grpclab.cli.parser import Flag, LabCommand, Operand, OptionGroup, Options
from grpclab.errors import UsageError, did_you_mean
from grpclab.factors.defaults import COMPARISON_BUDGET_S, LOAD, MEANINGS
from grpclab.quantities import share, time_option
from grpclab.system.optional import needs_extra

if TYPE_CHECKING:
    from grpclab.servers.target import Target
    from grpclab.study.comparison import CompareResult
    from grpclab.study.sides import GivenTarget, Side

SIDES = ("a", "b")
_MEASURED = (
    *("settings", "a_set", "b_set", *target_options.names(SIDES), *placement_names(SIDES)),
    *("call", "data", "data_file", "data_format", "data_order", "data_repeat", "check", "ignore_fields"),
    *("metadata", "metadata_file", "proto", "protoset", "proto_path"),
    *("requests", "duration", "warmup", "concurrency", "engine", "deadline", "rate", "arrival", "connections"),
    *("blocks", "budget", "plan", "exclusive", "seed", "study", "start_timeout", "cluster"),
    *(*target_options.SECURITY, *target_options.REMOTE),
)
"""What is measured, and how."""

DESCRIPTION = """Compare two servers or configurations in interleaved slices of load, and give a verdict on B.

Each side is one of these: a variant (basic, optimized, production); your own application, hosted by grpclab (--app
MODULE:NAME); a command that starts a gRPC server (--cmd, in which {port} is replaced by a free port); the address of a
running server (--address); or a stored result (results/STUDY:CONFIGURATION). Options such as --a-app and --b-cmd apply
to one side.

--a-set and --b-set set factors on one side. Server factors apply to variants and applications. arg.NAME replaces {NAME}
in a command, or sets a parameter of an application. env.NAME sets an environment variable for the server. Commands do
not run in a shell; use sh -c '...' if you need one."""

EPILOG = """examples:
  grpclab compare basic optimized
  grpclab compare optimized optimized --b-set server.window_kib=64 --b-set server.adaptive_window=false
  grpclab compare --app shop.server:register --call shop.v1.Till/Pay --data '{"id": 7}' --b-set server.threads=64
  grpclab compare --app shop.server:register --call shop.v1.Till/Pay --a-rev main --b-rev HEAD
  grpclab compare --a-cmd './old --port {port}' --b-cmd './new --port {port}' --call shop.Cart/Get --data '{"id": 7}'
  grpclab compare --a-cmd './old {port}' --b-cmd './new {port}' --call shop.Cart/Get=7 --call shop.Cart/List=3
  grpclab compare --a-cmd 'env THREADS=4 ./srv --port {port}' --a-name 4 --b-cmd './srv --port {port}' --b-name default
  grpclab compare --a-cmd './old {port}' --b-cmd './new {port}' --data-file day.calls --arrival replay:day.calls@4
  grpclab compare results/monday:optimized-c64 results/tuesday:optimized-c64

Exit codes: 0 B is faster or equivalent, 1 B is slower, 2 bad input, 3 a side cannot be measured, 4 inconclusive (0 with
--allow-inconclusive), 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP. Results are stored under results/; `grpclab report` builds a
report from them."""


def run(options: Options) -> int:
    """Measure, judge, print; returns the exit code."""
    from grpclab.cli.build_report import check_place
    from grpclab.study.parameters import AUTO, comparison_budget, study_name
    from grpclab.system.paths import is_stored

    delta = share("--min-effect", options.min_effect)
    require_writable(options.json)
    check_place(options.junit, options.json)
    words = {name: getattr(options, name) for name in SIDES}
    names = {name: getattr(options, f"{name}_name") for name in SIDES}
    stored = {name: bool(word and is_stored(word)) for name, word in words.items()}
    if all(stored.values()):
        _refuse(options, _MEASURED, "stored results are compared as they were measured, so remove it")
        blocks, seed, study, timeout_s, budget_s = None, 1, None, None, None
        sides: dict[str, Side] = {}
    else:
        _refuse_one_stored(words, stored)
        _refuse(options, ("allow_mixed",), "it applies only to two stored results, so remove it")
        servers = {name: _server(options, name) for name in SIDES}
        if not options.cluster:  # with a cluster, the permission is about its scheduler
            servers = target_options.allowed(servers, options)
        own = [server.target for server in servers.values() if not isinstance(server, str)]
        _refuse_unused(options, own)
        given_s = options.start_timeout
        timeout_s = None if given_s is None else time_option("--start-timeout", given_s)
        sides = _sides(options, servers, names, timeout_s)
        blocks = blocks_given(options.blocks)
        seed = 1 if options.seed is None else whole("--seed", options.seed)
        study = None if options.study is None else study_name("--study", options.study)
        budget_s = comparison_budget("--budget", options.budget or AUTO, blocks)
        if options.plan:
            _refuse(options, ("json", "junit"), "--plan produces no result")
    with needs_extra("study"):
        from grpclab.study import comparing
        from grpclab.study.stored_comparison import compare_stored
    tell_encoding(quiet=options.quiet)
    if not sides:
        result = compare_stored(words, delta=delta, allow_mixed=options.allow_mixed, names=names)
    else:
        given = {name: factors_given(options, name) for name in SIDES}
        same = [line] if (line := same_commit(sides)) else []
        for line in () if options.quiet else (*same, *idle_lines(sides, given)):
            print(f"grpclab: {line}", file=sys.stderr)
        asked = _Asked(blocks=blocks, delta=delta, seed=seed, start_timeout_s=timeout_s, budget_s=budget_s, study=study)
        if options.plan:
            _estimate(options, sides, asked)
            return 0
        result = _measured(options, sides, asked)
    code = comparing.EXIT_CODES[result.verdict]
    return _show(result, options, 0 if result.verdict == "inconclusive" and options.allow_inconclusive else code)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """How much is measured, and under which name."""

    blocks: int | None
    delta: float
    seed: int
    start_timeout_s: float | None
    budget_s: float | None
    study: str | None


def _estimate(options: Options, sides: Mapping[str, Side], asked: _Asked) -> None:
    """Measure a pilot, and print what it says."""
    from grpclab.study import pilot

    known = {name: value for name, value in vars(asked).items() if name != "study"}
    with measuring(options) as (machines, say):
        pilot.estimate_comparison(
            sides, **known, write=print, progress=say, exclusive=options.exclusive, machines=machines
        )


def _measured(options: Options, sides: Mapping[str, Side], asked: _Asked) -> CompareResult:
    """Measure the comparison."""
    from grpclab.study import comparing

    with measuring(options) as (machines, say):
        running = comparing.prepare(
            sides,
            **vars(asked),
            write=say,
            again=options.command_line,
            exclusive=options.exclusive,
            machines=machines,
        )
        say(running.heading)
        running.run(say)
    return comparing.judge(running)


def _show(result: CompareResult, options: Options, code: int) -> int:
    """Print the result, write its JSON; returns the exit code."""
    import json
    from pathlib import Path

    from grpclab.cli import build_report

    files = LateFiles()
    if options.json:  # first: standard output may be read by `head`
        answer = result.as_dict() | {"exit_code": code}
        files.write(options.json, [json.dumps(answer, indent=1), "\n"])
    if options.json != "-":
        show("\n".join(result.conclusion) if options.quiet else f"\n{result}")
        if result.study and not options.quiet:
            show(f"create the report: grpclab report {Path(result.study).name}")
    report = build_report.of_comparison(result, allow_inconclusive=options.allow_inconclusive)
    build_report.deliver(report, junit=options.junit, github=options.github)
    files.end()
    return code


def _refuse_one_stored(words: Mapping[str, str | None], stored: Mapping[str, bool]) -> None:
    """Raise UsageError where one side is a stored result, and the other is none."""
    if any(stored.values()):
        name = next(name for name in SIDES if stored[name])
        other = next(name for name in SIDES if not stored[name])
        raise UsageError(
            f"{name.upper()}={words[name]} is a stored result, but {other.upper()}={words[other]} is not: "
            f"expected two stored results, or two servers to measure; {_near(words[other] or '')}".rstrip("; ")
        )


def _refuse(options: Options, names: Sequence[str], reason: str) -> None:
    """Raise UsageError if one of these options was given."""
    for name in names:
        if options.insists_on(name):
            flag = "--set" if name == "settings" else f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} cannot be used here: {reason}")


def _refuse_unused(options: Options, own: Sequence[Target]) -> None:
    """Raise UsageError for an option that belongs to a server of the user's own, and that none here has a use for."""
    if not own:
        _refuse(options, ("start_timeout",), "it applies only to a server of your own; add --app, --a-cmd or --b-cmd")
    target_options.refuse_unused(options, own, SIDES)
    if not any(target_options.takes_security(target) for target in own):
        _refuse(
            options,
            target_options.SECURITY,
            "it applies only to --cmd or --address; for TLS on grpclab's own servers, set server.tls",
        )


def _sides(
    options: Options,
    servers: Mapping[str, GivenTarget | str],
    names: Mapping[str, str | None],
    start_timeout_s: float | None,
) -> dict[str, Side]:
    """The two sides, as the options describe them. Raises UsageError."""
    from grpclab.study.sides import pair

    own = {name: settings_of_side(options, name) for name in SIDES}
    both = pair_options(options, own=own, names=names, start_timeout_s=start_timeout_s)
    return pair(servers["a"], servers["b"], both)


def _server(options: Options, name: str) -> GivenTarget | str:
    """A variant's name, or a target and the option that gave it."""
    from grpclab.servers.target import Target
    from grpclab.servers.targets import is_registered
    from grpclab.study.sides import GivenTarget

    word, given = getattr(options, name), target_options.target_given(options, name)
    if word and given and given[1].removeprefix("--").replace("-", "_") in options.inherited:
        given = None
    if bool(word) == bool(given):
        found = f"both {word!r} and {given[1]}" if given else "neither"
        raise UsageError(
            f"{name.upper()} must be a variant ({', '.join(MEANINGS)}) or your own server, given by --{name}-app, "
            f"--{name}-cmd or --{name}-address (for both sides: --app, --cmd or --address); got {found}"
        )
    if given:
        return GivenTarget(target_options.secured(given[0], options), given[1])
    if word not in MEANINGS and is_registered(word):
        return GivenTarget(Target(command=word), name.upper())
    if word not in MEANINGS:
        missing = f"{name.upper()}={word} is neither a variant ({', '.join(MEANINGS)}) nor the folder of a stored study"
        raise UsageError(f"{missing}; {_near(word)}".rstrip("; "))
    return str(word)


def _near(word: str) -> str:
    """The variant or the stored study that a word may mean."""
    return did_you_mean(word.partition(":")[0], _sides_there())


def _sides_there() -> list[str]:
    """What a side of a comparison may be called: the variants, and the stored studies."""
    from grpclab.system.paths import stored_studies

    return [*MEANINGS, *(f"results/{study}" for study in stored_studies())]


def _side_options(side: str) -> list[Flag]:
    """What is set for one side, and its name."""
    whose = side.upper()
    return [
        Flag(f"--{side}-set", metavar="FACTOR=LEVEL", many=True, help=f"a factor of {whose} only"),
        Flag(f"--{side}-name", metavar="NAME", help=f"the name of {whose} in every output"),
    ]


def _groups() -> list[OptionGroup]:
    """The options."""
    sides = OptionGroup(
        title="the two sides",
        members=[
            Operand("a", "A", "the baseline: a variant or a stored result", offer=offering(_sides_there)),
            Operand("b", "B", "the candidate", offer=offering(_sides_there)),
            set_option("a factor on both sides, e.g. server.window_kib=1024"),
            *_side_options("a"),
            *_side_options("b"),
        ],
    )
    targets = OptionGroup(
        title="servers of your own",
        members=[
            *target_options.target_flags(sides=SIDES),
            *placement_flags(sides=SIDES),
            Flag("--start-timeout", metavar="TIME", help="how long to wait for a server to be ready (default: 25 s)"),
        ],
    )
    judged = OptionGroup(
        title="the verdict",
        members=[
            *block_flags(budget=f"{COMPARISON_BUDGET_S:g}s without --blocks"),
            Flag(
                "--plan",
                switch=True,
                help="only measure a pilot, then estimate how long the comparison would take and what it could detect",
            ),
            Flag(
                "--study",
                metavar="NAME",
                help="folder under results/; run the same command again to resume an interrupted comparison",
            ),
            cluster_flag(),
            Flag("--allow-inconclusive", switch=True, help="exit with code 0 even if the verdict is inconclusive"),
            Flag("--allow-mixed", switch=True, help="accept results from different machines or versions"),
            Flag("--json", metavar="FILE", help="write the verdict as JSON; use - for standard output"),
            *build_options(),
        ],
    )
    return [
        sides,
        targets,
        security_group("TLS to a server started by a command or at an address"),
        remote_group("an --address on another machine"),
        call_group(),
        OptionGroup(title="the load in each trial", members=load_options(LOAD)),
        judged,
    ]


COMMAND = LabCommand(
    "compare",
    run,
    summary="compare two servers or settings, with a verdict and an exit code",
    usage="grpclab compare [A B] [options]",
    description=DESCRIPTION,
    terms=variant_terms,
    epilog=EPILOG,
    beats=BEATS | {"app": ("cmd", "address"), "cmd": ("app", "address"), "address": ("app", "cmd")},
    groups=_groups(),
)
