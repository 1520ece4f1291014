"""The words of a command: split first, filled afterwards, so that a level with blanks stays one word. Pure.

``{port}``, ``{socket}`` and the ``{NAME}`` of each ``arg.NAME`` become their values, once: a value that looks like
``{port}`` stays what it is, as every other brace does. A word that is ``{NAME}`` alone is left out where its level
is empty.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence

from grpclab.errors import UsageError, invalid

PORT, SOCKET = "port", "socket"
"""The names that the lab itself fills: a free port, and the path of a Unix socket."""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


def placeholders(command: str) -> set[str]:
    """The names that stand in braces in a command."""
    return set(_PLACEHOLDER.findall(command))


def filled(words: Iterable[str], values: Mapping[str, str]) -> list[str]:
    """The words with the values of their names, in one pass."""
    return [text for word in words if (text := _fill(word, values)) is not None]


def _fill(word: str, values: Mapping[str, str]) -> str | None:
    """One word; None where it is left out."""
    alone = _PLACEHOLDER.fullmatch(word)
    if alone and values.get(alone[1]) == "":
        return None
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), word)


def filled_words(command: str, values: Mapping[str, str]) -> list[str]:
    """The words of a command, split as a shell would do and then filled. Raises ValueError for open quotes."""
    return filled(shlex.split(command), values)


def check_arguments(
    places: Sequence[str],
    configurations: Mapping[str, Mapping[str, str]],
    option: str = "command",
    *,
    planned: Collection[str] = (),
) -> None:
    """Raise UsageError, one line, where the ``arg.NAME`` of a plan and the ``{NAME}`` of its command do not match.

    `places` are the command, which `option` gave, and the commands beside it, `prepare` and `cleanup`.
    `configurations` has the arguments of each configuration that this command serves, by its name; the baseline is
    the first. `planned` are the names that have a level in other configurations, of another command.
    """
    there = set().union(*map(placeholders, places))
    levels = {name: level for arguments in configurations.values() for name, level in arguments.items()}
    for name, level in levels.items():
        if name in (PORT, SOCKET):
            expected = f"another name, since {{{name}}} is reserved for a free port or the path of a socket"
            raise UsageError(invalid(f"arg.{name}", level, expected))
        if name not in there:
            raise UsageError(invalid(f"arg.{name}", level, f"{{{name}}} in the {option}, to be replaced by the level"))
    for configuration, arguments in configurations.items():
        if missing := sorted((set(levels) | (set(planned) & there)) - set(arguments)):
            name = missing[0]
            expected = f"a level of arg.{name} for {{{name}}} in each configuration; {configuration} has none"
            raise UsageError(invalid(option, places[0], expected))
