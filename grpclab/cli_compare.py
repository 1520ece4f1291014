"""The command line of ``grpclab compare``: its options, the two sides, the table, the exit code."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from grpclab import cli_bench, units
from grpclab.config import parse_settings
from grpclab.errors import UsageError
from grpclab.units import share
from grpclab.variants import LOAD, VARIANTS

if TYPE_CHECKING:
    from grpclab.study.sides import Asked, Command, Side

DESCRIPTION = """Compare two servers, or two configurations, in interleaved blocks, and give a verdict on B.

Each side is a variant (basic, optimized) with --a-set and --b-set, a command that starts any gRPC server without TLS
(--a-cmd, --b-cmd; {port} in it becomes a free port), or a stored result, results/STUDY:CONFIGURATION. A command is
started without a shell: env NAME=VALUE ./server sets a variable, sh -c '...' runs anything else."""

EPILOG = """examples:
  grpclab compare basic optimized
  grpclab compare optimized optimized --b-set server.window_kib=64 --b-set server.adaptive_window=false
  grpclab compare --a-cmd './old --port {port}' --b-cmd './new --port {port}' --call shop.Cart/Get --data '{"id": 7}'
  grpclab compare --a-cmd 'env THREADS=4 ./srv --port {port}' --a-name 4 --b-cmd './srv --port {port}' --b-name default
  grpclab compare results/monday:optimized-c64 results/tuesday:optimized-c64

Exit codes: 0 B is faster or equivalent, 1 B is slower, 2 a wrong option, 3 a side cannot be measured, 4 inconclusive
(0 with --allow-inconclusive), 130 Ctrl-C. What is measured is stored under results/; `grpclab report` draws it."""


def add_parser(commands: Any, parents: Sequence[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "compare",
        parents=parents,
        help="two servers or configurations, interleaved, with a verdict and an exit code",
        usage="grpclab compare [A B] [options]",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=cli_bench.Help,
    )
    sides = parser.add_argument_group("the two sides")
    sides.add_argument("a", nargs="?", metavar="A", help="the baseline: a variant or a stored result")
    sides.add_argument("b", nargs="?", metavar="B", help="the candidate")
    for side in "ab":
        told = f"a factor of {side.upper()} only"
        sides.add_argument(f"--{side}-set", metavar="FACTOR=LEVEL", action="append", default=[], help=told)
        sides.add_argument(f"--{side}-cmd", metavar="COMMAND", help=f"starts {side.upper()}'s server")
        sides.add_argument(f"--{side}-name", metavar="NAME", help=f"what {side.upper()} is called in every output")
    sides.add_argument(
        "--start-timeout", metavar="SECONDS", help="longest wait until a command's server listens (default: 25)"
    )
    cli_bench.add_call_options(sides)
    much = parser.add_argument_group("the load of a trial")
    cli_bench.add_load_options(much, LOAD)
    judged = parser.add_argument_group("the judgement")
    judged.add_argument("--blocks", default="auto", metavar="N|auto", help="auto: planned from a pilot (default: auto)")
    judged.add_argument(
        "--min-effect", default="5%", metavar="SHARE", help="smallest effect of interest (default: 5%%)"
    )
    judged.add_argument("--seed", default="1", metavar="N", help="order within the blocks (default: 1)")
    judged.add_argument("--study", metavar="NAME", help="folder under results/; an interrupted comparison resumes")
    judged.add_argument("--allow-inconclusive", action="store_true", help="exit with 0 where it stays open")
    judged.add_argument("--allow-mixed", action="store_true", help="stored results of different machines or versions")
    judged.add_argument("--json", metavar="FILE", help="write the verdict as JSON; - is standard output")
    parser._action_groups.append(parser._action_groups.pop(1))  # -h, -q and their like last, not first
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure, judge, print; returns the exit code."""
    from grpclab.extras import needs_extra

    with needs_extra("study"):
        from grpclab.study import comparing
    delta = share("--min-effect", options.min_effect)
    cli_bench.require_writable(options.json)
    silent = options.quiet or options.json == "-"
    words = {"a": options.a, "b": options.b}
    names = {name: getattr(options, f"{name}_name") for name in words}
    if all(word and comparing.is_stored(word) for word in words.values()):
        found = comparing.compare_stored(words, delta=delta, allow_mixed=options.allow_mixed, names=names)
    else:
        sides, asked = _sides(options)
        running = comparing.prepare(
            sides,
            blocks=None if options.blocks == "auto" else _blocks(options.blocks),
            delta=delta,
            seed=cli_bench.whole("--seed", options.seed),
            study=_study_name(options.study),
            write=(lambda _: None) if silent else _say,
            again=options.command_line,
            start_timeout_s=asked.start_timeout_s,
        )
        if not silent:
            _say(f"{running.plan['blocks']} blocks of {len(sides)} trials, stored in results/{running.name}:")
        running.run((lambda _: None) if silent else _say)
        found = comparing.judge(running)
    code = 0 if found.verdict == "inconclusive" and options.allow_inconclusive else comparing.EXIT_CODES[found.verdict]
    if options.json != "-":
        print("\n".join(found.conclusion) if options.quiet else f"\n{found}")
        if found.study and not options.quiet:
            print(f"draw it: grpclab report results/{running.name}")
    if options.json:
        answer = found.as_dict() | {"exit_code": code}
        cli_bench.write(options.json, [json.dumps(answer, indent=1), "\n"])
    return code


def _say(line: str) -> None:
    print(line, flush=True)


def _blocks(text: str) -> int:
    blocks = cli_bench.whole("--blocks", text)
    if not 2 <= blocks <= 1000:
        raise UsageError(f"--blocks {text} is not possible: give auto, or a whole number from 2 to 1000")
    return blocks


def _study_name(name: str | None) -> str | None:
    from grpclab.study.parameters import study_name

    return None if name is None else study_name("--study", name)


def _sides(options: argparse.Namespace) -> tuple[dict[str, Side], Asked]:
    """What the options say of the two sides. Raises UsageError."""
    from grpclab.study.sides import A, Asked, B, pair

    load = cli_bench.load_levels(options, LOAD)
    asked = Asked(
        call=options.call,
        data=options.data,
        metadata=tuple(options.metadata),
        proto=options.proto,
        start_timeout_s=_start_timeout(options.start_timeout),
        settings={factor: level for factor, level in load.items() if factor.startswith("client.")}
        | parse_settings(options.settings),
        own={name: parse_settings(getattr(options, f"{name}_set")) for name in (A, B)},
        names={name: getattr(options, f"{name}_name") for name in (A, B)},
        load={factor: level for factor, level in load.items() if not factor.startswith("client.")},
    )
    return pair(_given(options, A), _given(options, B), asked), asked


def _given(options: argparse.Namespace, name: str) -> Command | str:
    from grpclab.study.sides import Command

    word, command = getattr(options, name), getattr(options, f"{name}_cmd")
    if bool(word) == bool(command):
        given = f"both {word!r} and --{name}-cmd" if word else "neither"
        raise UsageError(
            f"{name.upper()} is a variant ({', '.join(VARIANTS)}) or --{name}-cmd COMMAND; {given} was given"
        )
    if word and word not in VARIANTS:
        raise UsageError(
            f"invalid {name.upper()}={word}: expected a variant ({', '.join(VARIANTS)}), or results/STUDY:CONFIGURATION"
            " on both sides; no stored study lies there"
        )
    return Command(command, f"--{name}-cmd") if command else word


def _start_timeout(word: str | None) -> float | None:
    if word is None:
        return None
    try:
        return units.seconds(word) if word[-1:].isalpha() else float(word)
    except ValueError:
        raise UsageError(f"invalid --start-timeout={word}: expected seconds, as 60 or 2m") from None
