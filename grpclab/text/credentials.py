"""Credentials: which values are secret, and what a process knows of them.

A value is secret by its name: that of a metadata key, a variable, an option or a field (:func:`is_secret`), or one that
``--redact NAME`` adds. Binary metadata is secret whatever its name: nobody can see what is in it. What a process knows
of its secrets, out of its environment, its command line and its files, is kept in memory only;
:mod:`grpclab.text.redaction` takes it out of every text that leaves.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

MASK = "redacted"
"""What stands in the place of a secret where equality does not matter."""
PREFIX = f"{MASK}:"
DIGITS = 12
PLACEHOLDER = re.compile(rf"{PREFIX}[0-9a-f]{{{DIGITS}}}")
OPTIONS_OF_FILES = ("--key",)
"""Options of grpclab whose names are those of secrets, and that take the path of a file."""
VARIABLE = "GRPCLAB_REDACT"
"""Further names, separated by commas; child processes read them there."""
REFERENCE = re.compile(r"(?P<scheme>[A-Za-z]+ )?env:(?P<variable>[A-Za-z_]\w*)")
"""A value that a variable holds, ``Bearer env:TOKEN``: it is no secret itself."""

_WORDS = {
    *("auth", "authorization", "authentication", "bearer", "cookie", "cookies", "credential", "credentials", "dsn"),
    *("jwt", "key", "keys", "pass", "passphrase", "passwd", "password", "pwd", "secret", "secrets", "session"),
    *("sessionid", "signature", "token"),
}
_OF_REQUESTS = {"key", "keys", "session", "pass", "auth", "signature"}
"""Fields of a request that have these names are mostly no credentials: a store's keys, say."""
_ENDINGS: tuple[str, ...] = ("authorization", "cookie", "passwd", "password", "secret", "token")
_ENDINGS += ("apikey", "accesskey", "privatekey", "secretkey")
NEVER_SECRET = {"pwd", "oldpwd", "public_key"}
_SCHEMES = ("basic", "bearer", "digest", "dpop", "negotiate", "token")
SCHEME = re.compile(rf"(?i:{'|'.join(_SCHEMES)})\s+(?=\S)")

SHORTEST, PLAIN_WORD, VARIED = 6, 12, 4
"""Shorter values, plain words and numbers shorter than that, and values of fewer different characters could be part of
anything: they are taken out only where their name stands."""
_NUMBER = re.compile(r"[\d.,:]+")
ASSIGNED = re.compile(
    rf"""(?<![\w.-])(?P<name>[A-Za-z_][\w.-]{{0,63}})(?P<between>["']?\s*(?:=|:\s?)\s*)(?P<value>"[^"\n]+"|'[^'\n]+'|"""
    rf"""(?:(?i:{"|".join(_SCHEMES)})\s+)?[^\s"'\\&,;<>]+)"""
)
USERINFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<who>[^\s/@\"'<>]+)@")
_HOST = r"(?:localhost\b|\[|[\w.-]+:\d|[\w.-]+\.[A-Za-z]{2,}\b|(?:\d+\.){3}\d+\b)"
"""What stands behind the @ where no scheme says that it is an address: `STEP@HOLD` and `500@5s` are rates."""
USER_AND_PASSWORD = re.compile(rf"(?P<scheme>(?<![\w/@]))(?P<who>[A-Za-z][^\s/@:\"'=<>]*:[^\s/@\"'<>]+)@(?={_HOST})")


def is_secret(name: str, *, of_request: bool = False) -> bool:
    """True if what has this name is a credential, as its name says or ``--redact`` does.

    `of_request`: whether it is a field of a request, where a key need not be one.
    """
    return is_added(name.strip("-").removesuffix("-bin")) or sounds_secret(name, of_request=of_request)


def sounds_secret(name: str, *, of_request: bool = False) -> bool:
    """True if a name is that of a credential: ``x-api-key``, ``DB_PASSWORD``, ``accessToken``."""
    bare = name.strip("-").removesuffix("-bin")
    parts = [part for part in re.split(r"[^a-z0-9]+", snake_case(bare)) if part]
    if bare.lower() in NEVER_SECRET or (of_request and parts and parts[-1] in _OF_REQUESTS):
        return False
    return any(part in _WORDS or part.endswith(_ENDINGS) for part in parts)


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def redact(names: Iterable[str]) -> None:
    """Let these names be secret as well, here and in child processes."""
    more = [name.strip().lower().removesuffix("-bin") for name in names]
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*added_names(), *(name for name in more if name)]))
    _KNOWN.read_environment()


def added_names() -> list[str]:
    return [name for name in os.environ.get(VARIABLE, "").split(",") if name]


def is_added(name: str) -> bool:
    """True if ``--redact`` names what has this name: itself, or the variable or argument of an own factor."""
    bare = name.lower()
    return bool({bare, bare.removeprefix("env."), bare.removeprefix("arg.")}.intersection(added_names()))


def is_placeholder(value: str) -> bool:
    """True if this stands for a value that was not stored."""
    return value == MASK or bool(PLACEHOLDER.search(value))


# ---- what this process knows -------------------------------------------------------------------------------------


class _Known:
    """The secrets of this process, in the spellings in which they may turn up."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._environment_read = False

    def read_environment(self) -> None:
        """Learn the variables whose names are secret."""
        self._environment_read = True
        for name, value in list(os.environ.items()):
            if is_secret(name) and not is_file(value):
                self.add(value)
            else:
                for match in USERINFO.finditer(value):
                    self.add(match["who"].partition(":")[2])

    def add(self, value: str) -> None:
        """Learn one."""
        parts = [part for part in _parts(value) if part.lower() not in _SCHEMES]
        spellings = {spelling for part in parts for spelling in _spellings(part)}
        new = {text for text in spellings if is_distinctive(text)} - self._values
        if new:
            self._values |= new
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def replace(self, text: str, by: Callable[[str], str]) -> str:
        """The text with something in the place of each known secret."""
        if not self._environment_read:
            self.read_environment()
        return self._pattern.sub(lambda match: by(match[0]), text) if self._pattern else text


_KNOWN = _Known()


def replace_known(text: str, by: Callable[[str], str]) -> str:
    """Return the text with something in the place of each secret of this process."""
    return _KNOWN.replace(text, by)


def learn(value: str) -> None:
    """Remember a secret, so that it leaves in no text."""
    if not is_placeholder(value):
        _KNOWN.add(value)


def learn_from(text: str) -> None:
    """Remember the secrets of a text by their names, such as those of a command line or a configuration."""
    for match in ASSIGNED.finditer(text):
        if is_secret(match["name"]) and not REFERENCE.fullmatch(match["value"]):
            learn(match["value"].strip("\"'"))
    for pattern in (USERINFO, USER_AND_PASSWORD):
        for match in pattern.finditer(text):
            learn(match["who"].partition(":")[2])


def learn_words(words: Sequence[str], *, files: Collection[str] = ()) -> None:
    """Remember the secrets of a command's words: ``--password WORD``, ``TOKEN=WORD``, ``authorization=WORD``.

    Behind the flags `files` stands the path of a file.
    """
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        if before in files:
            continue
        if is_flag(before) and is_secret(before) and not is_file(word):
            learn(word)
        if equals and names_secret(name) and not REFERENCE.fullmatch(value):
            learn(value)
        if word.startswith(("{", "[")):
            learn_request(word)
        elif " " in word or "@" in word:
            learn_from(word)
            with contextlib.suppress(ValueError):
                inner = shlex.split(word)
                if len(inner) > 1:
                    learn_words(inner)


def learn_request(data: Any) -> None:
    """Remember the secrets among the fields of a request: JSON as a text, or its values."""
    if isinstance(data, str):
        import json  # here: an error of the command line has no use for it

        with contextlib.suppress(ValueError, RecursionError):
            learn_request(json.loads(data))
    elif isinstance(data, Mapping):
        for name, value in data.items():
            if isinstance(value, str) and is_secret(str(name), of_request=True):
                learn(value)
            elif not isinstance(value, str):
                learn_request(value)
    elif isinstance(data, list | tuple):
        for value in data:
            if not isinstance(value, str):
                learn_request(value)


def learn_command(command: str) -> None:
    """Remember the secrets in a command."""
    with contextlib.suppress(ValueError):  # quotes that cannot be read
        learn_words(shlex.split(command))


def is_flag(word: str) -> bool:
    return word.startswith("-") and "=" not in word


def is_file(value: str) -> bool:
    """True if a value is the path of a file, which is no secret, whatever is in the file."""
    return "/" in value and os.path.exists(value)


def names_secret(name: str) -> bool:
    """True if a word ``NAME=...`` assigns a secret."""
    return re.fullmatch(r"[\w.-]+", name) is not None and (is_secret(name) or name.endswith("-bin"))


def _parts(value: str) -> Iterator[str]:
    """A value, and the parts of it that are a secret by themselves."""
    value = value.strip()
    yield value
    bare = SCHEME.sub("", value, count=1)
    if bare != value:
        yield bare
        with contextlib.suppress(ValueError, binascii.Error):
            yield base64.b64decode(bare, validate=True).decode().partition(":")[2]
    if "\n" in value:  # a key in PEM
        yield from (line for line in value.splitlines() if len(line) >= 16)


def _spellings(value: str) -> Iterator[str]:
    import json
    import urllib.parse

    yield value
    yield json.dumps(value)[1:-1]
    yield urllib.parse.quote(value, safe="")
    unpadded = value.rstrip("=")
    if re.fullmatch(r"[A-Za-z0-9+/_-]{8,}", unpadded):  # base64 comes padded and not, and in two alphabets
        yield unpadded
        with contextlib.suppress(ValueError, binascii.Error):
            decoded = base64.urlsafe_b64decode(unpadded.translate({43: "-", 47: "_"}) + "=" * (-len(unpadded) % 4))
            if decoded.isascii() and decoded.decode().isprintable():
                yield decoded.decode()


def is_distinctive(value: str) -> bool:
    """True if a value is so particular that it is a secret wherever it stands."""
    plain = (value.isalpha() and value.islower()) or bool(_NUMBER.fullmatch(value))
    long_enough = len(value) >= (PLAIN_WORD if plain else SHORTEST)
    return long_enough and len(set(value)) >= VARIED and not is_placeholder(value)
