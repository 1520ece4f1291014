"""The command line of ``grpclab compare``: its options, the two sides, the table, the exit code."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from grpclab import cli_bench
from grpclab.config import Level, TrialConfig, parse_settings
from grpclab.errors import UsageError, invalid
from grpclab.units import share
from grpclab.variants import LOAD, VARIANTS

if TYPE_CHECKING:
    from grpclab.study.comparing import Side

DESCRIPTION = """Compare two servers, or two configurations, in interleaved blocks, and give a verdict on B.

Each side is a variant (basic, optimized) with --a-set and --b-set, a command that starts any gRPC server without TLS
(--a-cmd, --b-cmd; {port} in it becomes a free port), or a stored result, results/STUDY:CONFIGURATION."""

EPILOG = """examples:
  grpclab compare basic optimized
  grpclab compare optimized optimized --b-set server.window_kib=64 --b-set server.adaptive_window=false
  grpclab compare --a-cmd './old --port {port}' --b-cmd './new --port {port}' --call shop.Cart/Get --data '{"id": 7}'
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
    cli_bench.add_call_options(sides)
    much = parser.add_argument_group("the load of a trial")
    cli_bench.add_load_options(much, LOAD)
    judged = parser.add_argument_group("the judgement")
    judged.add_argument("--blocks", default="auto", metavar="N|auto", help="auto: planned from a pilot (default: auto)")
    judged.add_argument(
        "--min-effect", default="5%", metavar="SHARE", help="smallest effect of interest (default: 5%%)"
    )
    judged.add_argument("--seed", default="1", metavar="N", help="order within the blocks (default: 1)")
    judged.add_argument("--study", metavar="NAME", help="folder under results/; an interrupted one is gone on with")
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
    words = {comparing.A: options.a, comparing.B: options.b}
    if all(word and comparing.is_stored(word) for word in words.values()):
        found = comparing.compare_stored(words, delta=delta, allow_mixed=options.allow_mixed)
    else:
        sides = {name: _side(options, name) for name in words}
        running = comparing.prepare(
            sides,
            blocks=None if options.blocks == "auto" else _blocks(options.blocks),
            delta=delta,
            seed=cli_bench.whole("--seed", options.seed),
            study=_study_name(options.study),
            write=(lambda _: None) if silent else _say,
            again=options.command_line,
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
        answer = found.judgement.as_dict() | {"study": found.study, "exit_code": code}
        cli_bench.write(options.json, [json.dumps(answer, indent=1), "\n"])
    return code


def _say(line: str) -> None:
    print(line, flush=True)


def _blocks(text: str) -> int:
    blocks = cli_bench.whole("--blocks", text)
    if not 2 <= blocks <= 1000:
        raise UsageError(invalid("--blocks", text, "auto, or a whole number from 2 to 1,000"))
    return blocks


def _study_name(name: str | None) -> str | None:
    from grpclab.study.parameters import study_name

    return None if name is None else study_name("--study", name)


def _side(options: argparse.Namespace, name: str) -> Side:
    """What the options say of one side. Raises UsageError."""
    from grpclab.study.comparing import Side
    from grpclab.study.subject import Subject

    word, command = getattr(options, name), getattr(options, f"{name}_cmd")
    own = getattr(options, f"{name}_set")
    if bool(word) == bool(command):
        given = f"both {word!r} and --{name}-cmd" if word else "neither"
        raise UsageError(
            f"{name.upper()} is a variant ({', '.join(VARIANTS)}) or --{name}-cmd COMMAND; {given} was given"
        )
    if word and word not in VARIANTS:
        raise UsageError(f"{name.upper()}={word} is no variant ({', '.join(VARIANTS)}), and no stored study lies there")
    base = VARIANTS[word] if word else TrialConfig()
    load = cli_bench.load_levels(options, LOAD)
    levels: Mapping[str, Level] = {**load, **parse_settings(options.settings), **parse_settings(own)}
    if command:
        server = sorted(factor for factor in levels if factor.startswith("server."))
        if server:
            raise UsageError(f"{server[0]} is a factor of our own servers: --{name}-cmd brings its own")
    label = command or word
    label += f" with {' '.join(own)}" if own else ""
    return Side(
        label=" ".join(label.split()),
        config=base.replace(levels),
        subject=Subject(
            command=command or "",
            call=options.call or "",
            data=cli_bench.request_text(vars(options)),
            metadata=tuple(options.metadata),
            proto=options.proto,
            proto_path=tuple(options.proto_path),
        ),
    )
