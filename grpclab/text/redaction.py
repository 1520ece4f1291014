"""Credentials: which values are secret, and what stands in files, reports and outputs in their place.

A value is secret by its name: that of a metadata key, a variable, an option or a field (:func:`is_secret`), or one that
``--redact NAME`` adds. Binary metadata is secret whatever its name: nobody can see what is in it. What a process knows
of its secrets, out of its environment, its command line and its files, is kept in memory only, and :func:`mask` takes
it out of every text that leaves.

In the manifest of a study a secret is ``redacted:`` and 12 digits of an HMAC-SHA256 under the study's salt: equal
values have equal digits there, and nowhere else. The salt, 32 random bytes, lies in ``results/<study>/.salt``, which
only its owner may read, and is part of no report: who has a report can test no guess. Who has the salt can, so a folder
that is passed on goes without it; then whether a credential is still the same cannot be told, and nothing else is lost.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import re
import shlex
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

MASK = "redacted"
"""What stands in the place of a secret where equality does not matter."""
_PREFIX = f"{MASK}:"
SALT, SALT_BYTES = ".salt", 32
"""The file in a study's folder that holds its salt."""
_DIGITS = 12
_PLACEHOLDER = re.compile(rf"{_PREFIX}[0-9a-f]{{{_DIGITS}}}")
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
_NEVER = {"pwd", "oldpwd", "public_key"}
_BEARER = re.compile(r"\b(?P<scheme>(?:bearer|dpop)\s+)(?P<value>[\w.~+/=-]+)", re.IGNORECASE)
"""A token in a sentence, behind its scheme; ``basic`` is a word of ours, too."""
_SCHEMES = ("basic", "bearer", "digest", "dpop", "negotiate", "token")
_SCHEME = re.compile(rf"(?i:{'|'.join(_SCHEMES)})\s+(?=\S)")

SHORTEST, PLAIN_WORD, VARIED = 6, 12, 4
"""Shorter values, plain words and numbers shorter than that, and values of fewer different characters could be part of
anything: they are taken out only where their name stands."""
_NUMBER = re.compile(r"[\d.,:]+")
_ASSIGNED = re.compile(
    rf"""(?<![\w.-])(?P<name>[A-Za-z_][\w.-]{{0,63}})(?P<between>["']?\s*(?:=|:\s?)\s*)(?P<value>"[^"\n]+"|'[^'\n]+'|"""
    rf"""(?:(?i:{"|".join(_SCHEMES)})\s+)?[^\s"'\\&,;<>]+)"""
)
_USERINFO = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<who>[^\s/@\"'<>]+)@")
_HOST = r"(?:localhost\b|\[|[\w.-]+:\d|[\w.-]+\.[A-Za-z]{2,}\b|(?:\d+\.){3}\d+\b)"
"""What stands behind the @ where no scheme says that it is an address: `STEP@HOLD` and `500@5s` are rates."""
_USER_AND_PASSWORD = re.compile(rf"(?P<scheme>(?<![\w/@]))(?P<who>[A-Za-z][^\s/@:\"'=<>]*:[^\s/@\"'<>]+)@(?={_HOST})")
_NEEDS_NO_QUOTES = re.compile(r"[\w@%+=:,./{}-]+", re.ASCII)
"""Those of shlex, and braces: ``{port}`` stays as it was written."""
_BETWEEN_WORDS = re.compile(r"[\s\"'<>&;,=()\[\]{}\\|]+")


def is_secret(name: str, *, of_request: bool = False) -> bool:
    """Whether what has this name is a credential: ``x-api-key``, ``DB_PASSWORD``, ``accessToken``.

    `of_request`: whether it is a field of a request, where a key need not be one.
    """
    bare = name.strip("-").removesuffix("-bin")
    parts = [part for part in re.split(r"[^a-z0-9]+", _snake(bare)) if part]
    if bare.lower() in _further():
        return True
    if bare.lower() in _NEVER or (of_request and parts and parts[-1] in _OF_REQUESTS):
        return False
    return any(part in _WORDS or part.endswith(_ENDINGS) for part in parts)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def redact(names: Iterable[str]) -> None:
    """Let these names be secret as well, here and in child processes."""
    more = [name.strip().lower().removesuffix("-bin") for name in names]
    os.environ[VARIABLE] = ",".join(dict.fromkeys([*_further(), *(name for name in more if name)]))
    _KNOWN.read_environment()


def _further() -> list[str]:
    return [name for name in os.environ.get(VARIABLE, "").split(",") if name]


def is_placeholder(value: str) -> bool:
    """Whether this stands for a value that was not stored."""
    return value == MASK or bool(_PLACEHOLDER.search(value))


def without_digits(value: Any) -> Any:
    """A plan, or another JSON value, in which all secrets look the same."""
    if isinstance(value, Mapping):
        return {key: without_digits(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_digits(item) for item in value]
    return _PLACEHOLDER.sub(MASK, value) if isinstance(value, str) else value


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
            if is_secret(name) and not _is_file(value):
                self.add(value)
            else:
                for match in _USERINFO.finditer(value):
                    self.add(match["who"].partition(":")[2])

    def add(self, value: str) -> None:
        """Learn one."""
        parts = [part for part in _parts(value) if part.lower() not in _SCHEMES]
        found = {spelling for part in parts for spelling in _spellings(part)}
        new = {text for text in found if _telling(text)} - self._values
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


def learn(value: str) -> None:
    """Remember a secret, so that it leaves in no text."""
    if not is_placeholder(value):
        _KNOWN.add(value)


def learn_from(text: str) -> None:
    """Remember the secrets of a text by their names, such as those of a command line or a configuration."""
    for match in _ASSIGNED.finditer(text):
        if is_secret(match["name"]) and not REFERENCE.fullmatch(match["value"]):
            learn(match["value"].strip("\"'"))
    for pattern in (_USERINFO, _USER_AND_PASSWORD):
        for match in pattern.finditer(text):
            learn(match["who"].partition(":")[2])


def learn_words(words: Sequence[str]) -> None:
    """Remember the secrets of a command's words: ``--password WORD``, ``TOKEN=WORD``, ``authorization=WORD``."""
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        if _is_flag(before) and is_secret(before) and not _is_file(word):
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


def _is_flag(word: str) -> bool:
    return word.startswith("-") and "=" not in word


def _is_file(value: str) -> bool:
    """Whether a value is the path of a file, which is no secret, whatever is in the file."""
    return "/" in value and os.path.exists(value)


def names_secret(name: str) -> bool:
    """Whether a word ``NAME=...`` assigns a secret."""
    return re.fullmatch(r"[\w.-]+", name) is not None and (is_secret(name) or name.endswith("-bin"))


def _parts(value: str) -> Iterator[str]:
    """A value, and the parts of it that are a secret by themselves."""
    value = value.strip()
    yield value
    bare = _SCHEME.sub("", value, count=1)
    if bare != value:
        yield bare
        with contextlib.suppress(ValueError, binascii.Error):
            yield base64.b64decode(bare, validate=True).decode().partition(":")[2]
    if "\n" in value:  # a key in PEM
        yield from (line for line in value.splitlines() if len(line) >= 16)


def _spellings(value: str) -> Iterator[str]:
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


def _telling(value: str) -> bool:
    """Whether a value is so particular that it is a secret wherever it stands."""
    plain = (value.isalpha() and value.islower()) or bool(_NUMBER.fullmatch(value))
    long_enough = len(value) >= (PLAIN_WORD if plain else SHORTEST)
    return long_enough and len(set(value)) >= VARIED and not is_placeholder(value)


# ---- what leaves -------------------------------------------------------------------------------------------------


def mask(text: str) -> str:
    """The text without the secrets of this process and without the credentials in URLs: for outputs of our own."""
    return _without_userinfo(_KNOWN.replace(text, lambda _: MASK), lambda _: MASK)


def mask_foreign(text: str) -> str:
    """As :func:`mask`, and without what has a secret's name: for logs and other texts of servers."""
    return _by_name(mask(text), lambda _: MASK)


def masked(value: Any) -> Any:
    """A JSON value whose texts :func:`mask_foreign` has read."""
    return _mapped(value, mask_foreign)


def mask_command(command: str) -> str:
    """A command without its secrets."""
    return Redactor(b"").command(command)


def scrub(folder: Path) -> None:
    """Take the secrets of this process out of the text files of a folder."""
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".log", ".ipynb", ".folded", ".md", ".html") and path.is_file():
            text = path.read_text("utf-8", "surrogateescape")
            if (clean := mask(text)) != text:
                path.write_text(clean, "utf-8", "surrogateescape")


def _without_userinfo(text: str, by: Callable[[str], str]) -> str:
    """The text with something in the place of who logs in, before the @ of a URL or an address."""
    if "@" not in text:
        return text
    for pattern in (_USERINFO, _USER_AND_PASSWORD):
        text = pattern.sub(
            lambda match: f"{match['scheme']}{match['who'] if is_placeholder(match['who']) else by(match['who'])}@",
            text,
        )
    return text


def _by_name(text: str, by: Callable[[str], str]) -> str:
    def replaced(match: re.Match[str]) -> str:
        value = match["value"]
        bare = value.strip("\"'")
        name = match["name"].lower()
        last = re.split(r"[^a-z0-9]+", _snake(match["name"]))[-1]  # a KeyError is none
        secret = (is_secret(last) and name not in _NEVER) or name in _further()
        prose = ":" in match["between"] and not _telling(bare)  # "unexpected token: end of line"
        if not secret or prose or not bare.strip("=") or is_placeholder(bare) or REFERENCE.fullmatch(bare):
            return match[0]
        quote = value[0] if value[0] in "\"'" else ""
        return f"{match['name']}{match['between']}{quote}{by(bare)}{quote}"

    def behind_scheme(match: re.Match[str]) -> str:
        value = match["value"]
        token = _telling(value) and any(letter.isdigit() for letter in value)  # "bearer authentication" is none
        return f"{match['scheme']}{by(value)}" if token else match[0]

    return _BEARER.sub(behind_scheme, _ASSIGNED.sub(replaced, text))


def _mapped(value: Any, by: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _mapped(item, by) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, by) for item in value]
    return by(value) if isinstance(value, str) else value


# ---- a study -----------------------------------------------------------------------------------------------------


class Redactor:
    """Takes the secrets out of a manifest, each for its placeholder under one salt; without one all look the same."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def placeholder(self, value: str) -> str:
        """What stands for a secret; the scheme before a token is no part of it."""
        if is_placeholder(value):
            return value
        if not self._salt:
            return MASK
        bare = _SCHEME.sub("", value.strip(), count=1)
        return _PREFIX + hmac.new(self._salt, bare.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:_DIGITS]

    def manifest(self, value: Any, name: str = "") -> Any:
        """A manifest, or a part of it that has this name, without its secrets."""
        if isinstance(value, Mapping):
            if name == "references":  # what is referred to is secret, whatever the variable is called
                return {key: self.placeholder(str(item)) for key, item in value.items()}
            return {key: self.manifest(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.manifest(item, name) for item in value]
        if not isinstance(value, str) or not value:
            return value
        reader = {"command": self.command, "again": self.command, "data": self.request, "metadata": self.word}.get(name)
        return reader(value) if reader else self.placeholder(value) if is_secret(name) else self.text(value)

    def word(self, word: str) -> str:
        """A word ``name=value``, or any other."""
        name, equals, value = word.partition("=")
        if equals and names_secret(name) and not REFERENCE.fullmatch(value):
            return f"{name}={self.placeholder(value)}"
        if word.startswith(("{", "[")):
            return self.request(word)
        clean = self.text(word)
        return self.command(clean) if " " in clean else clean

    def request(self, data: str) -> str:
        """A request in JSON; as it was written, but for the secrets among its fields."""
        try:
            values = json.loads(data)
        except (ValueError, RecursionError):
            return self.text(data)
        clean = self._fields(values)
        return data if clean == values else json.dumps(clean, ensure_ascii=False)

    def _fields(self, value: Any, name: str = "") -> Any:
        if isinstance(value, Mapping):
            return {key: self._fields(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fields(item, name) for item in value]
        if not isinstance(value, str):
            return value
        return self.placeholder(value) if is_secret(name, of_request=True) else self._known(value)

    def command(self, command: str) -> str:
        """A command, its words as they were but for the secrets."""
        try:
            words = shlex.split(command)
        except ValueError:
            return self.text(command)
        clean = []
        for before, word in zip(["", *words], words, strict=False):
            flagged = _is_flag(before) and is_secret(before) and not _is_file(word)
            clean.append(self.placeholder(word) if flagged else self.word(word))
        if clean == words:
            return command
        return " ".join(word if _NEEDS_NO_QUOTES.fullmatch(word) else shlex.quote(word) for word in clean)

    def text(self, text: str) -> str:
        """Any other text."""
        return _by_name(self._known(text), self.placeholder)

    def _known(self, text: str) -> str:
        return _without_userinfo(_KNOWN.replace(text, self.placeholder), self.placeholder)

    def leaked(self, text: str, manifest: Any) -> bool:
        """Whether a text holds a secret of this process, or one of those that were taken out of a manifest."""
        if _KNOWN.replace(text, lambda _: MASK) != text:
            return True
        taken_out = set(_PLACEHOLDER.findall(json.dumps(manifest, default=str)))
        words = {word for word in _BETWEEN_WORDS.split(text) if len(word) >= SHORTEST} if taken_out else set()
        return any(self.placeholder(word) in taken_out for word in words if not is_placeholder(word))
