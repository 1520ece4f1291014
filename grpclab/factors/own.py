"""Factors that a user brings: ``arg.NAME``, ``env.NAME`` and those of the target. Their levels are text.

``arg.NAME`` fills ``{NAME}`` in a server's command, or a parameter of an application; ``env.NAME`` is a variable of
the server's environment, which the level ``none`` unsets. ``target.python`` is the interpreter that hosts an
application, ``target.requirements`` what is installed over its packages, and ``target.rev`` the revision of the
repository that an application or a command is taken from. A number, true or false is stored as the text that it is
written as.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from grpclab.errors import FactorError, invalid
from grpclab.factors.levels import Factor, Level, format_level
from grpclab.text import credentials

PYTHON, REVISION, REQUIREMENTS = "target.python", "target.rev", "target.requirements"
OF_THE_TARGET = {
    PYTHON: ("the interpreter that hosts the application", "the path of a Python interpreter"),
    REVISION: (
        "the git revision of the application, or of the folder the command runs in; worktree means the working tree, "
        "including uncommitted changes",
        "a commit, a tag or a branch",
    ),
    REQUIREMENTS: (
        "the packages to install for the application, on top of those of its interpreter",
        "requirements as pip reads them, e.g. grpcio==1.70",
    ),
}
"""The factors of a target: their meanings, and what is expected of a level."""
UNSET = "none"
"""The level of ``env.NAME`` that removes the variable from the server's environment."""
LONGEST = 4096
"""The longest level, in characters."""

_NAME = re.compile(r"(arg|env)\.([A-Za-z_][A-Za-z0-9_]{0,99})")
_MEANINGS = {
    "arg": "the text that replaces {{{name}}} in the server's command, or the application's parameter {name}",
    "env": "the variable {name} of the server's environment; none unsets it",
}


class OwnLevels(Mapping[str, str]):
    """The levels of own factors by their dotted names, sorted; immutable and hashable. Secret ones are remembered."""

    __slots__ = ("_levels",)

    def __init__(self, levels: Mapping[str, str] | None = None) -> None:
        self._levels = dict(sorted((levels or {}).items()))
        for name, level in self._levels.items():
            if credentials.is_secret(name):
                credentials.learn(level)

    def __getitem__(self, name: str) -> str:
        return self._levels[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._levels)

    def __len__(self) -> int:
        return len(self._levels)

    def __hash__(self) -> int:
        return hash(tuple(self._levels.items()))

    def __repr__(self) -> str:
        return repr(self._levels)

    def section(self, name: str) -> dict[str, str]:
        """The levels of a section, ``arg`` or ``env``, by the part of their names after the dot."""
        return {key.partition(".")[2]: level for key, level in self.items() if key.startswith(f"{name}.")}

    @property
    def arguments(self) -> dict[str, str]:
        """The levels of ``arg.NAME`` by NAME."""
        return self.section("arg")

    @property
    def variables(self) -> dict[str, str | None]:
        """What ``env.NAME`` makes of each variable NAME; None unsets it."""
        return {name: None if level == UNSET else level for name, level in self.section("env").items()}


@dataclass(frozen=True, kw_only=True)
class OwnFactor(Factor):
    """A factor that is not in the table; its default is None, "not given"."""

    def parse(self, text: str, called: str | None = None) -> Level:  # noqa: ARG002
        """The text as it is, blanks at its ends included. Raises FactorError."""
        return self.normal(text)

    def normal(self, level: Level) -> Level:
        """The level as text; None for a factor that is not given. Raises FactorError."""
        if level is None:
            return None
        text = level if isinstance(level, str) else format_level(level)
        self.check(text)
        return text

    def check(self, level: Level) -> None:
        """Raise FactorError for what cannot be a word of a command or a variable."""
        text = level if isinstance(level, str) else ""
        printable = "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
        if not isinstance(level, str) or not printable or len(text) > LONGEST:
            raise FactorError(invalid(self.dotted, ascii(level)[:80], self.range_text))
        if self.dotted in OF_THE_TARGET and not text.strip():
            raise FactorError(invalid(self.dotted, repr(text), OF_THE_TARGET[self.dotted][1]))

    @property
    def range_text(self) -> str:
        """The levels it takes, for people."""
        return f"a string of at most {LONGEST:,} characters without NUL, a number, true or false"


def is_own(name: object) -> bool:
    """True if a name is that of an own factor."""
    return isinstance(name, str) and (name in OF_THE_TARGET or _NAME.fullmatch(name) is not None)


def has_own_section(name: object) -> bool:
    """True if a dotted name begins as one of an own factor does."""
    return str(name).startswith(("arg.", "env.", "target."))


def own_factor(name: str) -> OwnFactor:
    """The factor of an own name. Raises FactorError for one that cannot be."""
    if not is_own(name):
        named = ", ".join(OF_THE_TARGET)
        expected = f"{named}, or arg.NAME or env.NAME with a NAME of letters, digits and _, not starting with a digit"
        raise FactorError(f"unknown factor {name!r}: expected {expected}")
    section, _, own = name.partition(".")
    meaning = OF_THE_TARGET[name][0] if name in OF_THE_TARGET else _MEANINGS[section].format(name=own)
    return OwnFactor(
        section=section,
        name=own,
        kind=str,
        optional=False,
        choices=(),
        default=None,
        meaning=meaning,
        minimum=None,
        maximum=None,
        tonic=None,
        env=None,
        distribution=False,
        naming=None,
        statuses=False,
        registry=None,
    )
