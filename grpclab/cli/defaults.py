"""Defaults of options, from a file of the working folder.

``grpclab.toml`` has a table for each command, ``pyproject.toml`` the same under ``[tool.grpclab]``::

    [compare]
    requests = 5000
    set = { "server.threads" = 16 }

Options are written as on the command line, without dashes in front. A variable, as ``GRPCLAB_COMPARE_REQUESTS``, goes
before the file, an option on the command line before both. What has to be said each time, as ``--allow-remote``, is
taken from neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from grpclab.cli.parser import Flag
from grpclab.errors import UsageError, did_you_mean, invalid

FILES = {"grpclab.toml": (), "pyproject.toml": ("tool", "grpclab")}
"""Files that may hold defaults, and the table of each that holds those of all commands; the first that has some."""

Word = str | bool | list[str]


def of_file(command: str, flags: Iterable[Flag], commands: Iterable[str]) -> tuple[str, Mapping[str, Word]]:
    """The file that gives defaults, and those of a command by the names of its parameters. Raises UsageError."""
    for name, path in FILES.items():
        try:
            with open(name, encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError):
            continue
        if path and "tool.grpclab" not in text and "[tool]" not in text:
            continue
        table = _table(name, text, path)
        if table is None:
            continue
        _check(name, table, commands, "a table for each command")
        own = table.get(command, {})
        if not isinstance(own, dict):
            raise UsageError(f"{name}: {invalid(command, own, 'a table of options')}")
        return name, _words(f"{name}: {command}.", own, {flag.opts[-1].removeprefix("--"): flag for flag in flags})
    return "", {}


def _table(name: str, text: str, path: tuple[str, ...]) -> dict[str, object] | None:
    import tomllib  # here: most folders have no such file

    try:
        found: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if path:  # another tool's file, which that tool complains about
            return None
        raise UsageError(f"{name}: expected TOML: {error}") from None
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _check(where: str, names: Iterable[str], known: Iterable[str], expected: str) -> None:
    """Raise UsageError for a name that is none of the known ones."""
    known = list(known)
    for name in names:
        if name not in known:
            raise UsageError(f"{where}: unknown {name}: {did_you_mean(name, known) or f'expected {expected}'}")


def _words(where: str, table: Mapping[str, object], flags: Mapping[str, Flag]) -> Mapping[str, Word]:
    """The words of a table of options, by the names of the parameters."""
    found: dict[str, Word] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in flags:
            hint = did_you_mean(name, flags) or "which this command does not have"
            raise UsageError(f"{where}{key}: unknown option, {hint}")
        flag = flags[name]
        if not flag.allow_from_autoenv:
            raise UsageError(f"{where}{key}: --{name} works only on the command line; remove it from this file")
        found[str(flag.name)] = _word(f"{where}{key}", value, flag)
    return found


def _word(where: str, value: object, flag: Flag) -> Word:
    if flag.is_flag:
        if isinstance(value, bool):
            return value
        raise UsageError(invalid(where, value, "true or false"))
    if isinstance(value, dict) and flag.multiple and not flag.repeatable:
        return [f"{name}={_plain(where, one)}" for name, one in value.items()]
    if flag.multiple:
        return [_plain(where, one) for one in value] if isinstance(value, list) else [_plain(where, value)]
    return _plain(where, value)


def _plain(where: str, value: object) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise UsageError(invalid(where, value, "a word or a number"))


def unknown_variables(command: str, flags: Iterable[Flag], environ: Mapping[str, str]) -> list[str]:
    """A line for each variable that is named as if it gave an option of a command its default, and does not."""
    prefix = f"GRPCLAB_{command.upper()}_"
    known = {f"{prefix}{str(flag.name).upper()}": flag for flag in flags}
    lines = []
    for name in sorted(environ):
        if not name.startswith(prefix):
            continue
        if name not in known:
            lines.append(f"{name} is not used: {did_you_mean(name, known) or f'grpclab {command} has no such option'}")
        elif not known[name].allow_from_autoenv:
            lines.append(f"{name} is not used: {known[name].opts[-1]} works only on the command line")
    return lines
