"""Registries: what can be added by name, by a line in a table here or by an entry point of another package.

A table maps each built-in name to ``module:attribute``, which is imported when it is first asked for. The entry
points of other packages are read only when a name is in no table, or when all names are wanted: naming what is built
in costs no look at the disk.

Another package adds to a registry in its ``pyproject.toml``::

    [project.entry-points."grpclab.engines"]
    mine = "my_package.engine:MyEngine"

A built-in name cannot be replaced.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from grpclab.errors import PluginError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Registry(Generic[T]):
    """Objects of one kind by their names; `group` is that of the entry points, `kind` what an error calls them."""

    def __init__(
        self, group: str, kind: str, builtin: Mapping[str, str], arguments: Mapping[str, str] | None = None
    ) -> None:
        """`arguments`: what stands for the argument of each built-in name that takes one, as in ``gamma:SHAPE``."""
        self.group = group
        self.kind = kind
        self._builtin = dict(builtin)
        self._arguments = dict(arguments or {})
        self._loaded: dict[str, T] = {}

    @property
    def builtin(self) -> tuple[str, ...]:
        """The names in this package's own table, in its order."""
        return tuple(self._builtin)

    @property
    def words(self) -> tuple[str, ...]:
        """The built-in names as they are written, with what stands for their argument."""
        return tuple(f"{name}:{self._arguments[name]}" if name in self._arguments else name for name in self._builtin)

    @property
    def without_argument(self) -> tuple[str, ...]:
        """The built-in names that take no argument: they are levels as they stand."""
        return tuple(name for name in self._builtin if name not in self._arguments)

    def __iter__(self) -> Iterator[str]:
        """All names: the built-in ones in the order of their table, then those of other packages by name."""
        return iter((*self._builtin, *sorted(set(self._entry_points()) - set(self._builtin))))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._builtin or name in self._entry_points())

    def __getitem__(self, name: str) -> T:
        """The object of that name. Raises UsageError for an unknown name, PluginError for one that does not load."""
        if name not in self._loaded:
            if name in self._builtin:
                module, _, attribute = self._builtin[name].partition(":")
                self._loaded[name] = getattr(importlib.import_module(module), attribute)
            else:
                self._loaded[name] = self._of_plugin(name)
        return self._loaded[name]

    def resolve(self, word: str) -> T:
        """The object of a name, or what the object makes of the argument in ``NAME:ARGUMENT``.

        An object that takes an argument has a method ``with_argument``, which raises ValueError for what it
        cannot take.
        Raises ValueError where an argument is missing or belongs to nothing, else as reading a name does.
        """
        name, colon, argument = word.partition(":")
        found = self[name]
        make = getattr(found, "with_argument", None)
        if make is None:
            if colon:
                raise ValueError(f"{name} without an argument")
            return found
        return cast("T", make(argument))

    def items(self) -> Iterator[tuple[str, T]]:
        """Every name with its object, in the order of the names."""
        return ((name, self[name]) for name in self)

    def _of_plugin(self, name: str) -> T:
        points = self._entry_points().get(name, [])
        if not points:
            names = list(self)
            import difflib  # here: only a mistake needs it

            near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(names)}"
            raise UsageError(f"unknown {self.kind} {name!r}: {hint}")
        if len(points) > 1:
            raise PluginError(f"{self.kind} {name!r} is registered by {' and '.join(map(_origin, points))}: remove one")
        try:
            return cast("T", points[0].load())
        except Exception as error:  # whatever the code of others raises while it is imported
            raise PluginError(
                f"{self.kind} {name!r} of {_origin(points[0])} cannot be loaded: {type(error).__name__}: {error}"
            ) from error

    def _entry_points(self) -> Mapping[str, Sequence[EntryPoint]]:
        return _entry_points(self.group, tuple(sys.path))


@functools.cache
def _entry_points(group: str, _path: tuple[str, ...]) -> Mapping[str, Sequence[EntryPoint]]:
    """The entry points of a group by name, as the packages on `sys.path` have them."""
    from importlib.metadata import entry_points

    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        points.setdefault(point.name, []).append(point)
    return points


def _origin(point: EntryPoint) -> str:
    package = f"{point.dist.name} " if point.dist else ""
    return f"{package}({point.value})"
