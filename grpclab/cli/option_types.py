"""What the values of options are: numbers, one of a few words, paths, tags; an error names the option in full."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from grpclab.errors import UsageError, invalid
from grpclab.system.registry import Registry


class Whole(click.ParamType[int]):
    """A whole number."""

    name = "whole number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Raises click.UsageError."""
        try:
            return int(value)
        except ValueError:
            raise click.UsageError(invalid(written(param), value, "a whole number"), ctx) from None


class Decimal(click.ParamType[float]):
    """A number."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises click.UsageError."""
        try:
            return float(value)
        except ValueError:
            raise click.UsageError(invalid(written(param), value, "a number"), ctx) from None


class OneOf(click.Choice[str]):
    """One of a few words."""

    def allows(self, word: object) -> bool:
        """Return whether it is one of them."""
        return word in self.choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word. Raises click.UsageError."""
        if self.allows(value):
            return str(value)
        words = [str(word) for word in self.choices]
        raise click.UsageError(invalid(written(param), value, either(words), words), ctx)


class NameOf(OneOf):
    """A name of a registry: one that is built in, or one of another package."""

    def __init__(self, registry: Registry[Any]) -> None:
        super().__init__(registry.builtin)
        self._registry = registry

    def allows(self, word: object) -> bool:
        """Return whether the registry has the name."""
        return word in self._registry


class FileName(click.Path):
    """The path of a file, or of a folder, which need not be there."""

    def __init__(self, *, folder: bool = False, as_path: bool = False) -> None:
        super().__init__(file_okay=not folder)
        self.as_path = as_path

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        """Return the path as it was given, or as a Path."""
        if not self.as_path:
            return value
        from pathlib import Path  # here: it takes long to import, and most options do without

        return Path(value)


PATHS = {"FILE": FileName(), "DIR": FileName(folder=True)}
"""Types of options by what stands for their value, where they have no other."""


def either(words: Sequence[str]) -> str:
    """``a, b or c``."""
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def written(param: click.Parameter | None) -> str:
    """An option as it is written in full, or what stands for an argument."""
    if isinstance(param, click.Option):
        return param.opts[-1]
    return str((param.metavar or param.name) if param else "the value")


def parsed_tags(text: str) -> dict[str, str]:
    """The tags of --tags: pairs, or an object of strings in JSON. Raises UsageError."""
    expected = "KEY=VALUE,KEY=VALUE, or a JSON object of strings"
    if text.lstrip().startswith("{"):
        try:
            tags = json.loads(text)
        except ValueError:
            raise UsageError(invalid("--tags", text, expected)) from None
    else:
        pairs = [word.partition("=") for word in text.split(",") if word]
        tags = {key.strip(): value for key, equals, value in pairs if equals and key.strip()}
        if len(tags) < len(pairs):
            raise UsageError(invalid("--tags", text, expected))
    if not all(isinstance(value, str) for value in tags.values()):
        raise UsageError(invalid("--tags", text, expected))
    return dict(tags)
