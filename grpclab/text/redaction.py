"""Redaction: what stands in files, reports and outputs in the place of a secret.

:func:`mask` takes the secrets that a process knows (:mod:`grpclab.text.credentials`) out of every text that leaves.

In the manifest of a study a secret is ``redacted:`` and 12 digits of an HMAC-SHA256 under the study's salt: equal
values have equal digits there, and nowhere else. The salt, 32 random bytes, lies in ``results/<study>/.salt``, which
only its owner may read, and is part of no report: who has a report can test no guess. Who has the salt can, so a folder
that is passed on goes without it; then whether a credential is still the same cannot be told, and nothing else is lost.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from grpclab.text.credentials import (
    ASSIGNED,
    DIGITS,
    MASK,
    NEVER_SECRET,
    OPTIONS_OF_FILES,
    PLACEHOLDER,
    PREFIX,
    REFERENCE,
    SCHEME,
    SHORTEST,
    USER_AND_PASSWORD,
    USERINFO,
    is_added,
    is_distinctive,
    is_file,
    is_flag,
    is_placeholder,
    is_secret,
    names_secret,
    replace_known,
    snake_case,
    sounds_secret,
)

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
Names = tuple[str, ...]
"""Of the fields and keys that lead to a text."""

SALT, SALT_BYTES = ".salt", 32
"""The file in a study's folder that holds its salt."""
_BEARER = re.compile(r"\b(?P<scheme>(?:bearer|dpop)\s+)(?P<value>[\w.~+/=-]+)", re.IGNORECASE)
"""A token in a sentence, behind its scheme; ``basic`` is a word of ours, too."""
_NEEDS_NO_QUOTES = re.compile(r"[\w@%+=:,./{}-]+", re.ASCII)
"""Those of shlex, and braces: ``{port}`` stays as it was written."""
_BETWEEN_WORDS = re.compile(r"[\s\"'<>&;,=()\[\]{}\\|]+")


def mask(text: str) -> str:
    """The text without the secrets of this process and without the credentials in URLs: for outputs of our own."""
    return _without_userinfo(replace_known(text, lambda _: MASK), lambda _: MASK)


def mask_foreign(text: str) -> str:
    """Mask as :func:`mask`, and what has a secret's name as well: for logs and other texts of servers."""
    return _by_name(mask(text), lambda _: MASK)


def masked(value: T) -> T:
    """A JSON value, or one of a dataclass of such values, whose texts :func:`mask_foreign` has read."""
    return with_texts(value, lambda _, text: mask_foreign(text))


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
    for pattern in (USERINFO, USER_AND_PASSWORD):
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
        last = re.split(r"[^a-z0-9]+", snake_case(match["name"]))[-1]  # a KeyError is none
        secret = (is_secret(last) and name not in NEVER_SECRET) or is_added(name)
        prose = ":" in match["between"] and not is_distinctive(bare)  # "unexpected token: end of line"
        if not secret or prose or not bare.strip("=") or is_placeholder(bare) or REFERENCE.fullmatch(bare):
            return match[0]
        quote = value[0] if value[0] in "\"'" else ""
        return f"{match['name']}{match['between']}{quote}{by(bare)}{quote}"

    def behind_scheme(match: re.Match[str]) -> str:
        value = match["value"]
        token = is_distinctive(value) and any(letter.isdigit() for letter in value)  # "bearer authentication" is none
        return f"{match['scheme']}{by(value)}" if token else match[0]

    return _BEARER.sub(behind_scheme, ASSIGNED.sub(replaced, text))


def with_texts(value: T, by: Callable[[Names, str], str], path: Names = ()) -> T:
    """A value of JSON or of a dataclass with other texts: what `by` makes of the names that lead to one, and of it."""
    changed: Any = value
    if isinstance(value, Mapping):
        changed = {key: with_texts(item, by, (*path, str(key))) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        changed = type(value)(with_texts(item, by, path) for item in value)
    elif isinstance(value, str):
        changed = by(path, value)
    elif is_dataclass(value) and not isinstance(value, type):
        parts = ((one.name, getattr(value, one.name)) for one in fields(value))
        changed = replace(value, **{name: with_texts(part, by, (*path, name)) for name, part in parts})
    return cast("T", changed)


# ---- a study -----------------------------------------------------------------------------------------------------


def without_digits(value: T) -> T:
    """A plan, or another value, in which all secrets look the same."""
    return with_texts(value, lambda _, text: PLACEHOLDER.sub(MASK, text))


class Redactor:
    """Takes the secrets out of a manifest, each for its placeholder under one salt; without one all look the same."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def placeholder(self, value: str) -> str:
        """The placeholder of a secret; the scheme before a token is no part of it."""
        if is_placeholder(value):
            return value
        if not self._salt:
            return MASK
        bare = SCHEME.sub("", value.strip(), count=1)
        import hashlib  # here: they load OpenSSL, which `grpclab --help` has no use for
        import hmac

        return PREFIX + hmac.new(self._salt, bare.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:DIGITS]

    def manifest(self, value: T) -> T:
        """A manifest, or a part of it, without its secrets."""
        return with_texts(value, self._clean)

    def _clean(self, path: Names, text: str) -> str:
        if path[:1] == ("references",):  # what is referred to is secret, whatever the variable is called
            return self.placeholder(text)
        if not text:
            return text
        name = path[-1] if path else ""
        if path[-2:] == ("security", "key"):
            return text  # the path of a file
        readers = {"command": self.command, "again": self.own_command, "data": self.request, "metadata": self.word}
        reader = readers.get(name)
        # A name that --redact adds is the user's: no field of the manifest has a dot in its name, their factors have.
        secret = sounds_secret(name) or ("." in name and is_added(name))
        return reader(text) if reader else self.placeholder(text) if secret else self.text(text)

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
        import json  # here: an error of the command line has no use for it

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

    def own_command(self, command: str) -> str:
        """A command line of grpclab."""
        return self.command(command, files=OPTIONS_OF_FILES)

    def command(self, command: str, *, files: Collection[str] = ()) -> str:
        """A command, its words as they were but for the secrets; behind the flags `files` stand paths."""
        try:
            words = shlex.split(command)
        except ValueError:
            return self.text(command)
        clean = []
        for before, word in zip(["", *words], words, strict=False):
            flagged = is_flag(before) and is_secret(before) and before not in files and not is_file(word)
            clean.append(self.placeholder(word) if flagged else self.word(word))
        if clean == words:
            return command
        return " ".join(word if _NEEDS_NO_QUOTES.fullmatch(word) else shlex.quote(word) for word in clean)

    def text(self, text: str) -> str:
        """Any other text."""
        return _by_name(self._known(text), self.placeholder)

    def _known(self, text: str) -> str:
        return _without_userinfo(replace_known(text, self.placeholder), self.placeholder)

    def leaked(self, text: str, manifest: Any) -> bool:
        """True if a text holds a secret of this process, or one of those that were taken out of a manifest."""
        import json

        if replace_known(text, lambda _: MASK) != text:
            return True
        taken_out = set(PLACEHOLDER.findall(json.dumps(manifest, default=str)))
        words = {word for word in _BETWEEN_WORDS.split(text) if len(word) >= SHORTEST} if taken_out else set()
        return any(self.placeholder(word) in taken_out for word in words if not is_placeholder(word))
