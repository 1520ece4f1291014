"""The level of a factor: which levels it takes, how a word becomes one, how one is written. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from grpclab.errors import FactorError, invalid
from grpclab.factors.service_time import parse_milliseconds
from grpclab.quantities import TIMES, in_unit
from grpclab.status import STATUS_NAMES, statuses_of
from grpclab.system.registry import Registry

Level = bool | int | float | str | None
"""One value of a factor. None means "not set": the library's default, unlimited or off."""

NAME_PATTERNS = {"metadata key": re.compile(r"[0-9a-z_.-]+")}
"""The kinds of names that a level can be, and how they are written."""
_NONE_WORDS = {"none", "off", "unlimited"}
_TRUE_WORDS, _FALSE_WORDS = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A row of the table: one knob with its type, range and meaning."""

    section: str
    name: str
    kind: type
    optional: bool
    choices: tuple[str, ...]
    default: Level
    meaning: str
    minimum: float | None
    maximum: float | None
    tonic: str | None
    env: str | None
    distribution: bool
    """Whether its levels are words for a distribution of times (:func:`.service_time.parse_milliseconds`); `minimum`
    and `maximum` are then those of the mean."""
    naming: str | None
    """The kind of name, of :data:`NAME_PATTERNS`, that its levels are."""
    statuses: bool
    """Whether its levels are names of gRPC's statuses, joined by commas (:func:`grpclab.status.statuses_of`)."""
    registry: Registry[Any] | None
    """Where its levels are registered; `choices` are the built-in ones of them that take no argument."""

    @property
    def dotted(self) -> str:
        """``section.name``."""
        return f"{self.section}.{self.name}"

    @property
    def time_unit(self) -> str | None:
        """The unit of a time, from the end of its name; None where it is no time."""
        end = self.name.rpartition("_")[2]
        return end if self.kind is float and end in ("s", "ms", "us") else None

    @property
    def range_text(self) -> str:
        """The levels it takes, for people; of registered ones the built-in."""
        return self._levels_text(self.choices if self.registry is None else self.registry.words)

    def _levels_text(self, choices: Iterable[str]) -> str:
        if words := "|".join(choices):
            text = words
        elif self.statuses:
            text = "names of gRPC statuses, e.g. UNAVAILABLE,ABORTED"
        elif self.kind is bool:
            text = "true|false"
        elif self.naming:
            text = self.naming
        else:
            word = "integer" if self.kind is int else "number"
            low = "" if self.minimum is None else f" from {self.minimum:,}"
            high = "" if self.maximum is None else f" to {self.maximum:,.0f}"
            text = f"{word}{low}{high}"
        if self.distribution:
            text += ", exponential:MEAN, uniform:LOW,HIGH or lognormal:MEDIAN,SIGMA"
        return f"{text}|none" if self.optional else text

    def parse(self, text: str, called: str | None = None) -> Level:
        """The level that a word of a command line, a variable or a notebook means.

        Raises FactorError, which calls the factor as the user did.
        """
        word = text.strip()
        try:
            return self.normal(self._convert(word))
        except ValueError:
            raise self._refusal(word, called) from None

    def normal(self, level: Level) -> Level:
        """The level as it is kept: a distribution or statuses in their one way of being written, else as it is.

        A distribution may also be given as a number, its constant; a time as text with its unit. Raises FactorError.
        """
        if self.time_unit and isinstance(level, str):
            return self.parse(level)
        if self.distribution and isinstance(level, int | float) and not isinstance(level, bool):
            level = str(level)
        self.check(level)
        if self.statuses:
            return ",".join(statuses_of(str(level)))
        return parse_milliseconds(str(level)).text if self.distribution else level

    def _convert(self, word: str) -> Level:
        lowered = word.lower()
        if self.kind is bool:
            if lowered in _TRUE_WORDS | _FALSE_WORDS:
                return lowered in _TRUE_WORDS
            raise ValueError
        if self.optional and lowered in _NONE_WORDS:
            return None
        if self.time_unit:
            return in_unit(word, self.time_unit)
        return word if self.kind is str else self.kind(word) if self.kind is float else _whole(word)

    def check(self, level: Level) -> None:
        """Raise FactorError unless the level is one that this factor can take."""
        if level is None and self.optional:
            return
        accepted = (int, float) if self.kind is float else self.kind
        fits = isinstance(level, accepted) and (self.kind is bool or not isinstance(level, bool))
        if fits and isinstance(level, (int, float)) and self.kind is not bool:
            low = -math.inf if self.minimum is None else self.minimum
            high = math.inf if self.maximum is None else self.maximum
            fits = low <= level <= high and (isinstance(level, int) or math.isfinite(level))
        if fits and self.distribution:
            fits = self._has_mean(str(level))
        if fits and self.naming:
            fits = NAME_PATTERNS[self.naming].fullmatch(str(level)) is not None
        if fits and self.statuses:
            fits = _are_statuses(str(level))
        if not fits or (self.choices and level not in self.choices and self.registry is None):
            raise self._refusal(level)
        if self._registered_refusal(level) is not None:
            raise self._refusal(level)

    def _registered_refusal(self, level: object) -> str | None:
        """What is expected where a level is not registered, or has an argument that it cannot take; else None."""
        registry = self.registry
        if registry is None or level in registry.without_argument:
            return None
        if str(level).partition(":")[0] not in registry:
            return self._levels_text([*registry.words, *(name for name in registry if name not in registry.builtin)])
        try:
            registry.resolve(str(level))
        except ValueError as error:
            return str(error)
        return None

    def _has_mean(self, text: str) -> bool:
        """True if the text is a distribution whose mean is within the bounds."""
        try:
            mean = parse_milliseconds(text).mean_s * 1e3
        except ValueError:
            return False
        return (self.minimum or 0) <= mean <= (math.inf if self.maximum is None else self.maximum)

    def _refusal(self, level: object, called: str | None = None) -> FactorError:
        unit = {"s": "seconds", "ms": "milliseconds", "us": "microseconds"}.get(self.time_unit or "")
        expected = self._registered_refusal(level) or self._levels_text(self.choices)
        if unit:
            expected = f"{expected.replace('number', unit, 1)}, or {TIMES}"
        shown = f"{level:.12g}" if isinstance(level, float) else level  # 100 * 1e-6 is 9.999999999999999e-05
        known = list(STATUS_NAMES[1:] if self.statuses else self.choices if self.registry is None else self.registry)
        if str(level).partition(":")[0] in known:  # it is the argument that is wrong
            known = []
        return FactorError(invalid(called or self.dotted, shown, expected, known))


def _are_statuses(text: str) -> bool:
    """True if the text is a list of statuses."""
    try:
        return bool(statuses_of(text))
    except ValueError:
        return False


def _whole(word: str) -> int:
    """The whole number of a word; papermill and other tools write 4.0 and 2e3 for some. Raises ValueError."""
    try:
        return int(word)
    except ValueError:
        number = float(word)
        if not number.is_integer() or abs(number) > 2**53:
            raise
        return int(number)


def format_level(level: Level) -> str:
    """A level as a word that Factor.parse reads back."""
    if level is None:
        return "none"
    if isinstance(level, bool):
        return "true" if level else "false"
    return f"{level:g}" if isinstance(level, float) and level == float(f"{level:g}") else str(level)
