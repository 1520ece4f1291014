"""The parser of every command: one line that says what is wrong, under the usage of the command that was meant.

``argparse`` answers a mistake with the whole list of options, and one in a command with the usage of another parser.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from grpclab.text.printable import printable

KINDS: dict[type, str] = {int: "a whole number", float: "a number"}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are two lines: a short usage, and what is wrong with its remedy.

    Options are not abbreviated: what ``--co`` means would change with every new option.
    """

    hints: Mapping[str, str] = {}
    """What to type instead of an option that this command does not have, by the option."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"{self.format_usage()}grpclab: {printable(message)}\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse as argparse does; what is left over is an error of this parser, not of the one above it."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            self.error(self._unknown(left))
        return parsed, left

    def _unknown(self, left: Sequence[str]) -> str:
        option = next((word for word in left if word.startswith("-") and len(word) > 1), None)
        if option is None:
            return f"unexpected argument {left[0]!r}: `{self.prog} --help` shows what {self.prog} takes"
        name = option.partition("=")[0]
        return f"unknown option {name}: {self._hint(name, self._option_string_actions)}"

    def _hint(self, word: str, known: Iterable[str]) -> str:
        if word in self.hints:
            return self.hints[word]
        near = difflib.get_close_matches(word, list(known), n=1)
        return f"did you mean {near[0]}?" if near else f"`{self.prog} --help` lists them"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        if isinstance(action, argparse._SubParsersAction):
            near = difflib.get_close_matches(str(value), choices, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(choices)}"
            raise argparse.ArgumentError(None, f"unknown command {value!r}: {hint}")
        raise argparse.ArgumentError(None, f"invalid {_name(action)}={value}: expected {either(choices)}")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        if not arg_string.strip() and action.nargs != argparse.PARSER:  # whose words are those of its command
            expected = action.metavar if isinstance(action.metavar, str) else "a value"
            message = f"invalid {_name(action)}={arg_string}: expected {expected}, not nothing: is a variable unset?"
            raise argparse.ArgumentError(None, message)
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError:
            kind = KINDS.get(action.type, "another value") if isinstance(action.type, type) else "another value"
            raise argparse.ArgumentError(None, f"invalid {_name(action)}={arg_string}: expected {kind}") from None

    def _match_argument(self, action: argparse.Action, arg_strings_pattern: str) -> int:
        try:
            return super()._match_argument(action, arg_strings_pattern)
        except argparse.ArgumentError:
            expected = action.metavar if isinstance(action.metavar, str) else "a value"
            raise argparse.ArgumentError(None, f"no value for {_name(action)}: expected {expected}") from None


def either(words: Sequence[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _name(action: argparse.Action) -> str:
    """An option as it is written in full, or a positional argument's name."""
    return action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
