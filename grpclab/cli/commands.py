"""The command line: thin. Options become factors; rooms below do the work; errors become one line.

Exit codes: 0 done; 1 a verdict or threshold failed; 2 usage or bad input; 3 the measurement is invalid or a
server could not be started; 4 inconclusive; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP; 141 output left unread.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import textwrap
import traceback
from collections.abc import Sequence

from grpclab import __version__
from grpclab.cli import bench, compare, doctor, factors, init, notebook, profile, report, serve, study
from grpclab.cli.parser import Parser
from grpclab.errors import GrpclabError
from grpclab.factors.config import FACTORS
from grpclab.system import interrupts, terminal, ulimits
from grpclab.text import credentials
from grpclab.text.printable import printable

INTERRUPTED = 130
"""The exit code of what Ctrl-C ended; SIGTERM and SIGHUP have codes of their own."""
COMMANDS = (serve, bench, init, study, compare, report, profile, notebook, doctor, factors)
"""Modules of commands, in the order of ``grpclab --help``; each has an ``add_parser``."""
DESCRIPTION = "Performance studies of gRPC services that hold up."


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    common = Parser(add_help=False)
    common.add_argument("-q", "--quiet", action="store_true", help="print only the result, and errors")
    common.add_argument("-v", "--verbose", action="store_true", help="show tracebacks of errors")
    common.add_argument(
        "--redact",
        metavar="NAME",
        action="append",
        default=[],
        help="keep what has this name (of metadata, a variable, an option of a command) out of all outputs, as what is"
        " called token, password, key and the like; may be repeated",
    )
    parser = Parser(prog="grpclab", description=DESCRIPTION, usage="grpclab COMMAND [options]")
    parser.add_argument("--version", action="version", version=f"grpclab {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", prog="grpclab")

    for command in COMMANDS:
        command.add_parser(commands, [common])
    return parser


def _warn_of_unread_variables(options: argparse.Namespace) -> None:
    """Say on standard error which variables that name factors of a server are not read, where a load is measured."""
    command = f"serve {options.variant}" if options.command == "serve" else options.command
    if command not in ("bench", "compare", "study", "serve reference"):
        return
    for factor in FACTORS.values():
        if factor.env and os.environ.get(factor.env):
            print(
                f"grpclab: {factor.env} is not used: it sets {factor.dotted} of `grpclab serve basic|optimized`,"
                f" not of {command}",
                file=sys.stderr,
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    with terminal.guarded(), interrupts.handled(leaving=arguments is None):
        try:
            try:
                return _run(arguments)
            finally:
                sys.stdout.flush()
        except KeyboardInterrupt:
            return interrupts.explain()
        except OSError as error:  # of standard output
            if isinstance(error, BrokenPipeError):
                return terminal.PIPE_CLOSED
            print(f"grpclab: {error.filename}: {error.strerror}", file=sys.stderr)
            return 3


def _run(arguments: Sequence[str] | None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    credentials.learn_words(given, files=credentials.OPTIONS_OF_FILES)
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.error("no command was named: `grpclab --help` lists them")
    options.command_line = shlex.join(["grpclab", *given])
    if options.redact:
        credentials.redact(options.redact)
        credentials.learn_words(given, files=credentials.OPTIONS_OF_FILES)
    try:
        if not options.quiet:
            _warn_of_unread_variables(options)
        return int(options.run(options))
    except GrpclabError as error:
        _explain(error, str(error), options)
        return interrupts.exit_code() if error.exit_code == INTERRUPTED else error.exit_code
    except (MemoryError, RuntimeError) as error:
        if not ulimits.exhausted(error):
            raise
        _explain(error, ulimits.EXHAUSTED, options)
        return 3
    except OSError as error:
        if error.filename == terminal.OUTPUT:
            raise
        _explain(error, f"{error.filename or 'the system'}: {error.strerror or error}", options)
        return 3


def _explain(error: BaseException, line: str, options: argparse.Namespace) -> None:
    """One line on standard error; with -v the traceback before it."""
    if options.verbose:
        trace = "".join(traceback.format_exception(error))
        print(textwrap.indent(trace, "  "), end="", file=sys.stderr)  # no line of others looks like one of ours
    print(f"grpclab: {printable(line)}", file=sys.stderr)
