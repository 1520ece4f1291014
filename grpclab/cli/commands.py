"""The command line: thin. Options become factors; rooms below do the work; errors become one line.

Exit codes: 0 done; 1 a verdict or threshold failed; 2 usage or bad input; 3 the measurement is invalid or a
server could not be started; 4 inconclusive; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP; 141 output left unread.
"""

from __future__ import annotations

import gc
import importlib
import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from grpclab import __version__
from grpclab.cli import completion, defaults
from grpclab.cli.help_pages import HelpTable, page
from grpclab.cli.parser import (
    DEFAULTS_FILE,
    Flag,
    LabCommand,
    OptionGroup,
    Options,
    explained,
    help_option,
    show_page,
)
from grpclab.errors import GrpclabError, UsageError, did_you_mean
from grpclab.system import interrupts, terminal, ulimits
from grpclab.text import credentials
from grpclab.text.printable import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

INTERRUPTED = 130
"""The exit code of what Ctrl-C ended; SIGTERM and SIGHUP have codes of their own."""
COMMANDS = {
    "serve": "run a server in the foreground",
    "bench": "load-test a running server and print a summary",
    "record": "record calls to a server so that you can replay them later",
    "call": "list a service's methods, describe a message, or make a single call",
    "init": "write a TOML file for a study of your own service",
    "study": "measure and compare many configurations, and write a report",
    "compare": "compare two servers or settings, with a verdict and an exit code",
    "bisect": "find the first commit that made a service slower",
    "report": "rebuild the report of a stored study",
    "profile": "profile a running Python process, by kind of work and as a flamegraph",
    "notebook": "list the notebooks, or copy one into this folder",
    "certs": "create certificates for trying out TLS",
    "doctor": "check what this machine can and cannot measure well",
    "factors": "list every factor with its levels",
    "menu": "choose what to run from a menu",
}
"""Commands, each a module of this room with a ``COMMAND``, and a line on each; in the order of ``grpclab --help``."""
DESCRIPTION = "Reliable performance studies of gRPC services."
EXAMPLES = """examples:
  grpclab compare basic optimized      is B faster than A, and by how much?
  grpclab COMMAND --help               options of a command, and more examples
  grpclab menu                         choose from a menu instead"""


HELP = frozenset({"-h", "--help"})


class Program(click.Group):
    """The program: a command is loaded when it is named."""

    usage = "grpclab COMMAND [options]"

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """The names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> LabCommand | None:  # noqa: ARG002
        """Load a command; None for an unknown one."""
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does. Where no command is named: show them in a terminal, else raise click.UsageError."""
        if not args and not ctx.resilient_parsing:
            if sys.stdin.isatty() and sys.stdout.isatty():
                show_page(ctx)
                ctx.exit(2)
            raise click.UsageError("no command given: `grpclab --help` lists the commands", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Load the command that the first word names. Raises click.UsageError for an unknown one."""
        command = self.get_command(ctx, args[0])
        if command is None and not ctx.resilient_parsing:
            hint = did_you_mean(args[0], COMMANDS) or f"expected one of {', '.join(COMMANDS)}"
            raise click.UsageError(f"unknown command {args[0]!r}: {hint}", ctx)
        if command is not None and not ctx.resilient_parsing and not HELP & set(args):
            file, words = defaults.of_file(args[0], command.flags, COMMANDS)
            ctx.default_map = {args[0]: dict(words)}
            ctx.meta[DEFAULTS_FILE] = file
        return args[0] if command else None, command, args[1:]

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands, none of which is loaded for it, and the options of the program."""
        from click.shell_completion import CompletionItem

        items = [CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def get_help(self, ctx: click.Context) -> str:
        """The page of ``--help``."""
        flags = [param for param in self.get_params(ctx) if isinstance(param, Flag)]
        tables = [
            HelpTable(title="commands", meanings=COMMANDS, column=12),
            OptionGroup(title="options", members=flags).table(column=14),
        ]
        return page(self.usage, DESCRIPTION, tables, EXAMPLES)


def load_command(name: str) -> LabCommand:
    """The command of this name."""
    with interrupts.deferred():  # libraries that are being loaded lose an exception, or wrap it
        command = importlib.import_module(f"grpclab.cli.{name}").COMMAND
    assert isinstance(command, LabCommand)
    return command


def _show_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        print(f"grpclab {__version__}")
        ctx.exit()


PROGRAM = Program(
    "grpclab",
    no_args_is_help=False,
    add_help_option=False,
    params=[
        Flag(
            "--version",
            switch=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="show the version and exit",
        ),
        help_option(),
    ],
)


def read(words: Sequence[str]) -> Options:
    """The options that a command line gives.

    Raises SystemExit: 0 where it asks for help, 2 where it is wrong, which two lines on standard error say.
    """
    try:
        with PROGRAM.make_context("grpclab", list(words), auto_envvar_prefix="GRPCLAB") as context:
            options = PROGRAM.invoke(context)
    except click.exceptions.Exit as end:
        raise SystemExit(end.exit_code) from None
    except click.UsageError as error:
        _refuse(error)
    except UsageError as error:  # in a file of defaults
        _say(printable(str(error)))
        raise SystemExit(2) from None
    assert isinstance(options, Options)
    return options


def _refuse(error: click.UsageError) -> NoReturn:
    """Say how the command is used and what is wrong; ends with exit code 2."""
    command = error.ctx.command if error.ctx else PROGRAM
    usage = command.usage if isinstance(command, LabCommand) else Program.usage
    print(f"usage: {usage}", file=sys.stderr)
    _say(printable(explained(error)))
    raise SystemExit(2) from None


def _warn_of_unread_variables(options: Options) -> None:
    """Say on standard error which variables that name factors of a server are not read, where a load is measured."""
    command = f"serve {options.variant}" if options.command == "serve" else options.command
    if command not in ("bench", "compare", "bisect", "study", "serve reference"):
        return
    from grpclab.factors.config import FACTORS

    for factor in FACTORS.values():
        if factor.env and os.environ.get(factor.env):
            print(
                f"grpclab: {factor.env} is ignored: it sets {factor.dotted} for `grpclab serve basic|optimized`, "
                f"not for {command}",
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
    if arguments is None and (instruction := os.environ.get(completion.VARIABLE)):
        return completion.respond(PROGRAM, instruction)
    given = sys.argv[1:] if arguments is None else arguments
    credentials.learn_words(given, files=credentials.OPTIONS_OF_FILES)
    options = read(given)
    inherited = _inherited_words(options)
    credentials.learn_words(inherited, files=credentials.OPTIONS_OF_FILES)
    options.command_line = shlex.join(["grpclab", *given, *inherited])
    if options.redact:
        credentials.redact(options.redact)
        credentials.learn_words([*given, *inherited], files=credentials.OPTIONS_OF_FILES)
    try:
        if not options.quiet:
            _warn_of_unknown_variables(options)
            _warn_of_unread_variables(options)
        gc.enable()  # the program was started without
        return int(options.run(options))
    except GrpclabError as error:
        _explain(error, f"{error}{_places(str(error), options)}", options)
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


def _inherited_words(options: Options) -> list[str]:
    """The options that a variable or a file gives, as words of a command line."""
    words: list[str] = []
    for flag in load_command(options.command).flags if options.inherited else ():
        if flag.name in options.inherited:
            value = getattr(options, flag.name)
            if flag.is_flag:
                words += [flag.opts[-1]] if value else []
            else:
                words += [
                    word
                    for one in (value if isinstance(value, list) else [value])
                    for word in (flag.opts[-1], str(one))
                ]
    return words


def _places(line: str, options: Options) -> str:
    """Where the options that an error names come from, if not from the command line."""
    flags = {flag.name: flag.opts[-1] for flag in load_command(options.command).flags} if options.inherited else {}
    found = [f"{flags[name]} is set by {place}" for name, place in options.inherited.items() if flags[name] in line]
    return f" ({'; '.join(found)})" if found else ""


def _warn_of_unknown_variables(options: Options) -> None:
    """Say on standard error which variables are named as if they gave an option its default, and do not."""
    prefix = f"GRPCLAB_{options.command.upper()}_"
    if any(name.startswith(prefix) for name in os.environ):
        for line in defaults.unknown_variables(options.command, load_command(options.command).flags, os.environ):
            print(f"grpclab: {line}", file=sys.stderr)


def _explain(error: BaseException, line: str, options: Options) -> None:
    """One line on standard error; with -v the traceback before it."""
    if options.verbose:
        import textwrap  # here: only this needs them
        import traceback

        trace = "".join(traceback.format_exception(error))
        print(textwrap.indent(trace, "  "), end="", file=sys.stderr)  # no line of others looks like one of ours
    _say(printable(line))


def _say(line: str) -> None:
    """An error on standard error; in a terminal it is wrapped at its edge, and has a colour."""
    text = f"grpclab: {line}"
    if columns := terminal.columns(sys.stderr):
        import textwrap

        text = textwrap.fill(text, columns, break_long_words=False, break_on_hyphens=False)
    if terminal.in_colour(sys.stderr):
        text = text.replace("grpclab:", "\x1b[1;31mgrpclab:\x1b[0m", 1)
    terminal.paint(sys.stderr, f"{text}\n")
