"""Every error this package raises on purpose, one root and its tree.

::

    GrpclabError                 exit 1   root; its text is one line for a person
    ├── UsageError               exit 2   the request is not valid (also a ValueError)
    │   ├── FactorError                   an unknown factor, or a level it cannot take
    │   └── DesignError                   a study that cannot be planned, or does not match its folder
    ├── MissingDependencyError   exit 2   a package of an extra is not installed
    ├── PluginError              exit 2   an entry point of another package does not load
    └── MeasurementError         exit 3   the measurement is invalid
        ├── ServerError                   a server could not be started, or died
        ├── TargetError                   no server responds at the target
        ├── WorkerError                   a load worker, the link or a kernel died
        └── StorageError                  a result cannot be written

The text of each says what was wrong, with the value given, and how to mend it. ``exit_code`` is what the
command line returns for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from grpclab.text.printable import printable
from grpclab.text.redaction import mask


class GrpclabError(Exception):
    """The root of all errors of this package. The text is a single line and contains no secrets, whatever it quotes."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(mask(super().__str__()))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback (IPython asks exceptions for this method)."""
        return [f"grpclab: {self}"]


class UsageError(GrpclabError, ValueError):
    """A request that cannot be valid."""

    exit_code = 2


class FactorError(UsageError):
    """An unknown factor, or a level outside its range."""


class DesignError(UsageError):
    """A study that cannot be planned, or that does not match what its folder already holds."""


class MissingDependencyError(GrpclabError):
    """A package of an extra is not installed."""

    exit_code = 2


class PluginError(GrpclabError):
    """An entry point that another package registered does not load."""

    exit_code = 2


class MeasurementError(GrpclabError):
    """The measurement is invalid."""

    exit_code = 3


class ServerError(MeasurementError):
    """A server could not be started, or died."""


class TargetError(MeasurementError):
    """No server responds at the target."""


class WorkerError(MeasurementError):
    """A load worker, the emulated link or a notebook kernel died or broke its protocol."""


class StorageError(MeasurementError):
    """A result cannot be written: the disk is full, or the folder is not writable."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean NAME?`` with the nearest of the words; empty if none is similar."""
    import difflib  # here: only a mistake needs it

    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""


def invalid(name: str, value: object, expected: str, known: Iterable[str] = ()) -> str:
    """The text of an error about one value: ``invalid NAME=VALUE: expected ...``, on one line, with a long value cut
    short.

    If `known` values are given, the text suggests the nearest of them.
    """
    hint = did_you_mean(str(value), known)
    expected = f"{expected}; {hint}" if hint else expected
    shown = " ".join(str(value).split())
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in shown)
    return f"invalid {name}={shown if len(shown) <= 200 else shown[:197] + '...'}: expected {expected}"
