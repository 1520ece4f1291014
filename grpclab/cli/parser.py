"""Commands on click: options in groups, and errors in two lines, a short usage and what is wrong with its remedy.

::

    COMMAND = LabCommand("doctor", run, summary="...", usage="grpclab doctor [options]", groups=[...])
    options = COMMAND.invoke(context)  # the values of its options; `run` does what they ask for

Options are not abbreviated: what ``--co`` means would change with every new option.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import click
from click.core import ParameterSource

from grpclab.cli import completion
from grpclab.cli.help_pages import COLUMN, HelpTable, page, painted
from grpclab.cli.option_types import PATHS, written
from grpclab.errors import UsageError, did_you_mean, invalid
from grpclab.system import terminal

DEFAULTS_FILE = "grpclab.defaults_file"
"""The key of click's context under which the file is named that gives defaults."""
UNSET_VARIABLE = "but it is empty; is a variable unset?"


def is_given(value: object) -> bool:
    """Whether a value is that of an option that was given: 0 is, None, False and an empty list are not."""
    return not (value is None or value is False or value == [])


class Options(SimpleNamespace):
    """The values of a command's options and arguments, by their names; None, empty or False where one was not given.

    ``run`` is the function of the command, ``command`` its name.
    """

    inherited: Mapping[str, str] = {}
    """Where the values come from that are not of the command line: a variable or a file, by the options' names."""

    def insists_on(self, name: str) -> bool:
        """Whether the command line itself gives this option: without use it is an error there, a default is not."""
        return name not in self.inherited and is_given(getattr(self, name, None))


class Flag(click.Option):
    """An option of a command.

    `many`: it may be repeated, and its value is a list. `repeatable`: it may be repeated, and its value is a list only
    then, else a word. `several`: it takes all words up to the next option, too.
    `switch`: it takes no value. `explicit`: neither a variable nor a file gives it.
    `offer`: what TAB offers for its value.
    """

    def __init__(
        self,
        *names: str,
        help: str,
        metavar: str | None = None,
        kind: click.ParamType[Any] | None = None,
        many: bool = False,
        repeatable: bool = False,
        several: bool = False,
        switch: bool = False,
        explicit: bool = False,
        offer: completion.Offer | None = None,
        default: object = None,
        **more: Any,
    ) -> None:
        self.several, self.repeatable = several, repeatable
        kind = kind or PATHS.get(metavar or "", click.STRING)
        multiple = many or several or repeatable
        shape: dict[str, Any] = {"is_flag": True} if switch else {"type": kind, "multiple": multiple}
        if default is not None:
            shape["default"] = default
        offer = offer or completion.of_placeholder(metavar or "")
        if offer is not None:
            shape["shell_complete"] = offer
        super().__init__(list(names), help=help, metavar=metavar, allow_from_autoenv=not explicit, **shape, **more)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the value in its type. Raises click.UsageError for one that is nothing."""
        place = _place(ctx, str(self.name))
        try:
            for word in value if isinstance(value, list | tuple) else [value]:
                if isinstance(word, str) and not word.strip():
                    raise click.UsageError(_nothing(self, word), ctx)
            return super().type_cast_value(ctx, value)
        except click.BadParameter:
            raise click.UsageError(invalid(place or written(self), value, "true or false"), ctx) from None
        except click.UsageError as error:
            if not place:
                raise
            raise click.UsageError(f"{error.format_message()} ({written(self)} is set by {place})", ctx) from None

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return the value of the variable: one word, blanks included, where the option is seldom repeated."""
        if not self.repeatable:
            return super().value_from_envvar(ctx)
        word = self.resolve_envvar_value(ctx)
        return None if word is None else [word]

    @property
    def placeholder(self) -> str:
        """What stands for the value in the help; nothing for a switch."""
        return "" if self.is_flag else self.metavar or str(self.name).upper()

    @property
    def word(self) -> str:
        """The option in the help: ``-n, --requests N``."""
        return f"{', '.join(self.opts)} {self.placeholder}".rstrip()


class Operand(click.Argument):
    """An argument of a command, which may be left out; `many`: it takes several words, and its value is a list."""

    def __init__(
        self, name: str, metavar: str, help: str, *, many: bool = False, offer: completion.Offer | None = None
    ) -> None:
        super().__init__([name], required=False, metavar=metavar, nargs=-1 if many else 1, shell_complete=offer)
        self.help = help

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Return the value. Raises click.UsageError for one that is nothing."""
        if isinstance(value, str) and not value.strip():
            raise click.UsageError(_nothing(self, value), ctx)
        return super().type_cast_value(ctx, value)

    @property
    def placeholder(self) -> str:
        """What stands for the value in the help."""
        return str(self.metavar)

    @property
    def word(self) -> str:
        """The argument in the help."""
        return self.placeholder


def _nothing(param: Flag | Operand, word: str) -> str:
    return f"invalid {written(param)}={word}: expected {param.placeholder or 'a value'}, {UNSET_VARIABLE}"


@dataclass(frozen=True, kw_only=True)
class OptionGroup:
    """Options that stand together in the help, under a title; those without one stand with the common ones."""

    title: str = ""
    note: str = ""
    members: Sequence[Flag | Operand]

    def table(self, column: int = COLUMN) -> HelpTable:
        """The group in the help."""
        meanings = {member.word: member.help or "" for member in self.members}
        return HelpTable(title=self.title, note=self.note, meanings=meanings, column=column)


def common_options() -> list[Flag]:
    """The options that every command has."""
    return [
        Flag("-q", "--quiet", switch=True, help="print only the result and any errors"),
        Flag("-v", "--verbose", switch=True, help="show tracebacks for errors"),
        Flag(
            "--redact",
            metavar="NAME",
            many=True,
            help="treat metadata, variables and command options with this name as secret, like those named token,"
            " password or key, and keep them out of all outputs; can be repeated",
        ),
    ]


class LabCommand(click.Command):
    """A command of grpclab. To invoke it is to read its options: the caller runs it."""

    def __init__(
        self,
        name: str,
        run: Callable[[Options], int],
        *,
        summary: str,
        usage: str,
        description: str,
        groups: Sequence[OptionGroup],
        terms: Callable[[], Sequence[HelpTable]] = tuple,
        closing: Callable[[], Sequence[HelpTable]] = tuple,
        epilog: str = "",
        beats: Mapping[str, Sequence[str]] | None = None,
        hints: Mapping[str, str] | None = None,
        reword: Callable[[Sequence[str]], list[str]] = list,
    ) -> None:
        """`terms` and `closing` make tables for the help, to go before and after those of the options.

        `reword` puts the command's own options in the place of those of another tool. It may raise UsageError.
        """
        own = [member for group in groups if not group.title for member in group.members]
        self.groups = [
            *(group for group in groups if group.title),
            OptionGroup(title="options", members=[*own, *common_options(), help_option()]),
        ]
        super().__init__(
            name,
            params=[member for group in self.groups for member in group.members],
            help=description,
            epilog=epilog,
            short_help=summary,
            add_help_option=False,
            context_settings={"allow_extra_args": True},
        )
        self.run, self.usage, self.terms, self.closing, self.reword = run, usage, terms, closing, reword
        self.beats = dict(beats or {})
        """The defaults of other options that an option on the command line sets aside, by its name."""
        self.hints = dict(hints or {})
        """What to type instead of an option that this command does not have, by the option."""

    @property
    def flags(self) -> list[Flag]:
        """The options, without the arguments."""
        return [param for param in self.params if isinstance(param, Flag)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, after the words of each option have been told apart. Raises click.UsageError."""
        try:
            left = super().parse_args(ctx, args if ctx.resilient_parsing else self._apart(ctx, self.reword(args)))
        except UsageError as error:
            raise click.UsageError(str(error), ctx) from None
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise
        if left and not ctx.resilient_parsing:
            path = ctx.command_path
            raise click.UsageError(f"unexpected argument {left[0]!r}: `{path} --help` shows its arguments", ctx)
        return left

    def _apart(self, ctx: click.Context, words: Sequence[str]) -> list[str]:
        """The words, with each value of an option behind a name of its own: ``--name=value`` and ``-n=value`` alike.

        Raises click.UsageError for an option without its value: another option is none.
        """
        flags = {name: flag for flag in self.flags for name in flag.opts if not flag.is_flag}
        names = {name for flag in self.flags for name in flag.opts}
        left, done = list(words), list[str]()
        while left:
            word = left.pop(0)
            if word == "--":
                return [*done, word, *left]
            name, equals, value = word.partition("=")
            flag = flags.get(name)
            if flag is None:
                if equals and name in names:
                    raise click.UsageError(f"invalid {name}={value}: expected {name} without a value", ctx)
                done.append(word)
                continue
            if not equals:
                if not left or _is_option(left[0], names):
                    raise click.UsageError(f"no value for {written(flag)}: expected {flag.placeholder}", ctx)
                value = left.pop(0)
            done += [name, value]
            while flag.several and left and not left[0].startswith("-"):
                done += [name, left.pop(0)]
        return done

    def invoke(self, ctx: click.Context) -> Options:
        """Return the values of the options."""
        values = {name: list(one) if isinstance(one, tuple) else one for name, one in ctx.params.items()}
        for flag in self.flags:
            if flag.repeatable and len(words := values[str(flag.name)]) < 2:
                values[str(flag.name)] = words[0] if words else None
        inherited = {name: place for name in values if (place := _place(ctx, name))}
        for name in set(self.beats) - set(inherited):
            if is_given(values[name]):
                for other in set(self.beats[name]) & set(inherited):
                    values[other] = [] if isinstance(values[other], list) else None
                    del inherited[other]
        return Options(**values, run=self.run, command=self.name, inherited=inherited)

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002
        """The page of ``--help``."""
        tables = [*self.terms(), *(group.table() for group in self.groups), *self.closing()]
        return page(self.usage, self.help or "", tables, "\n\n".join(filter(None, (self.epilog, self._defaults))))

    @property
    def _defaults(self) -> str:
        """How an option gets another default, for the help."""
        flag = next(flag for flag in self.flags if not flag.is_flag and flag.allow_from_autoenv)
        variable = f"GRPCLAB_{self.name}_{flag.name}".upper()
        return (
            f"You can change defaults under [{self.name}] in grpclab.toml or [tool.grpclab.{self.name}] in "
            f"pyproject.toml, in the working folder, or with environment variables such as {variable} for "
            f"{flag.opts[-1]}. The command line overrides the variable, and the variable overrides the file."
        )


def _place(ctx: click.Context, name: str) -> str:
    """The variable or the file that gives an option; nothing for one of the command line, or none."""
    source = ctx.get_parameter_source(name)
    if source is ParameterSource.ENVIRONMENT:
        return f"{ctx.auto_envvar_prefix}_{name.upper()}"
    return str(ctx.meta.get(DEFAULTS_FILE, "a file")) if source is ParameterSource.DEFAULT_MAP else ""


def show_page(ctx: click.Context) -> None:
    """Print the page of ``--help``, in a terminal with colours."""
    page = f"{ctx.get_help()}\n"
    terminal.paint(sys.stdout, painted(page) if terminal.in_colour(sys.stdout) else page)


def help_option() -> Flag:
    """The option that shows the help and ends."""

    def show(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            show_page(ctx)
            ctx.exit()

    return Flag(
        "-h",
        "--help",
        switch=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="show this help message and exit",
    )


def _is_option(word: str, names: Iterable[str]) -> bool:
    """Whether a word is meant as an option, and as no value of one."""
    return word.partition("=")[0] in names or (
        word[:1] == "-" and word[1:2] not in ("", *"0123456789.") and " " not in word
    )


def explained(error: click.UsageError) -> str:
    """The error of a command line in one line, with a remedy."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None:
        return error.format_message()
    command, name = error.ctx.command, error.option_name
    if isinstance(command, LabCommand) and name in command.hints:
        return f"unknown option {name}: {command.hints[name]}"
    known = [word for param in command.params if isinstance(param, click.Option) for word in param.opts]
    return (
        f"unknown option {name}: {did_you_mean(name, known) or f'`{error.ctx.command_path} --help` lists the options'}"
    )
