"""Values that differ from call to call: ``{{.RequestNumber}}``, ``{{newUUID}}`` and their like, as ghz writes them.

A template is a text with actions in double braces. Rendering is pure: all that is random comes from the seed and the
number of the request, and the time is passed in, so a number always gives the same text. ghz's other functions (those
of Go's text/template and of Sprig) are not here; a program's own values come from a callable.
"""

from __future__ import annotations

import random
import re
import string
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from grpclab.errors import UsageError

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|`([^`]*)`|(-?\d{1,18})(?!\d)|(\.?[A-Za-z_]\w*)')
_LETTERS = string.ascii_letters + string.digits
MAX_RANDOM_LENGTH = 1 << 20
"""The longest random string."""


@dataclass(frozen=True, kw_only=True)
class TemplateValues:
    """What the actions of a template may name, beside the number of the request."""

    service: str = ""
    method: str = ""
    callers: int = 1
    """The callers of the load: the request's worker is its number modulo this."""
    seed: int = 1
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    """The time that ``{{.Timestamp}}`` gives: that at which the requests are made, before the load."""


def key_of(values: TemplateValues, text: str) -> TemplateValues:
    """The values by which renderings of a text differ: without the time, and without callers that it does not name."""
    return replace(values, now=datetime.min, callers=values.callers if "WorkerID" in text else 1)


def is_template(text: str) -> bool:
    """Return whether a text has actions."""
    return "{{" in text


class Template:
    """A text with actions, read once. Raises UsageError for an action that is none."""

    def __init__(self, text: str) -> None:
        self._parts: list[str | Callable[[_Rendering], str]] = []
        at = 0
        for match in _ACTION.finditer(text):
            self._parts += [text[at : match.start()], _action(match[1])]
            at = match.end()
        if "{{" in text[at:]:
            raise UsageError('invalid template: expected "}}" after each "{{", e.g. {{.RequestNumber}}')
        self._parts.append(text[at:])

    def render(self, number: int, values: TemplateValues, part: int = 0) -> str:
        """Return the text of one request, counted from 0, or of one `part` of it, whose random values are its own."""
        rendering = _Rendering(number, values, part)
        return "".join(part if isinstance(part, str) else part(rendering) for part in self._parts)


class _Rendering:
    """One request: its number, and the random numbers that belong to it, or to a part of it."""

    def __init__(self, number: int, values: TemplateValues, part: int = 0) -> None:
        self.number, self.values = number, values
        self.random = random.Random(f"{values.seed}/{number}" + (f"/{part}" if part else ""))

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))


_VALUES: dict[str, Callable[[_Rendering], str]] = {
    ".RequestNumber": lambda one: str(one.number),
    ".WorkerID": lambda one: f"g0c{one.number % max(1, one.values.callers)}",
    ".FullyQualifiedName": lambda one: f"{one.values.service}.{one.values.method}",
    ".ServiceName": lambda one: one.values.service.rpartition(".")[2],
    ".MethodName": lambda one: one.values.method,
    ".Timestamp": lambda one: one.values.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    ".TimestampUnix": lambda one: str(int(one.values.now.timestamp())),
    ".TimestampUnixMilli": lambda one: str(int(one.values.now.timestamp() * 1e3)),
    ".TimestampUnixNano": lambda one: str(int(one.values.now.timestamp() * 1e6) * 1000),
    ".UUID": lambda one: one.uuid(),
}


def _new_uuid(one: _Rendering) -> str:
    return one.uuid()


def _random_int(one: _Rendering, low: int, high: int) -> str:
    return str(one.random.randrange(low, high))


def _random_string(one: _Rendering, low: int, high: int) -> str:
    return "".join(one.random.choices(_LETTERS, k=one.random.randrange(low, high) if high > low else low))


def _action(text: str) -> Callable[[_Rendering], str]:
    """The function that an action is. Raises UsageError."""
    words, at = [], 0
    while at < len(text):
        match = _WORD.match(text, at)
        if match is None:
            raise _unknown(text)
        words.append(match)
        at = match.end()
        at += len(text[at:]) - len(text[at:].lstrip())
    if not words:
        raise _unknown(text)
    name, arguments = words[0][4], [_argument(word, text) for word in words[1:]]
    if name is None and len(words) == 1:
        literal = str(_argument(words[0], text))
        return lambda _: literal
    if name in _VALUES and not arguments:
        return _VALUES[name]
    if name == "newUUID" and not arguments:
        return _new_uuid
    if name in ("randomInt", "randomString"):
        return _random(name, arguments, text)
    if name in ("choice", "randomChoice") and arguments:
        choices = [str(argument) for argument in arguments]
        return lambda one: one.random.choice(choices)
    raise _unknown(text)


def _random(name: str, arguments: Sequence[str | int], text: str) -> Callable[[_Rendering], str]:
    low, high = arguments if len(arguments) == 2 else (0, 100) if name == "randomInt" else (2, 16)
    if len(arguments) not in (0, 2) or not isinstance(low, int) or not isinstance(high, int):
        raise UsageError(f"invalid template {{{{{text}}}}}: expected two whole numbers, e.g. {{{{{name} 1 10}}}}")
    if low > high or (name == "randomInt" and low == high):
        raise UsageError(
            f"invalid template {{{{{text}}}}}: expected the smaller number first; the larger one is excluded"
        )
    if name == "randomInt":
        return lambda one: _random_int(one, low, high)
    if low < 0 or high > MAX_RANDOM_LENGTH:
        raise UsageError(f"invalid template {{{{{text}}}}}: expected lengths from 0 to {MAX_RANDOM_LENGTH:,}")
    return lambda one: _random_string(one, low, high)


def _argument(word: re.Match[str], text: str) -> str | int:
    if word[4] is not None:
        raise _unknown(text)
    if word[3] is not None:
        return int(word[3])
    return word[2] if word[2] is not None else re.sub(r"\\(.)", r"\1", word[1])


def _unknown(text: str) -> UsageError:
    names = ", ".join([*_VALUES, "newUUID", "randomInt 1 10", "randomString 5 10", 'choice "a" "b"'])
    return UsageError(
        f'invalid template {{{{{text[:60]}}}}}: expected one of {names}; for plain braces, write {{{{"{{{{"}}}}'
    )
