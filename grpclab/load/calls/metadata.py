"""Metadata: from words or Python values to the pairs that go over the wire.

A value may be kept where it is no part of a command line or a manifest: ``authorization=Bearer env:TOKEN`` is read from
the variable, ``@FILE`` stands for the pairs in a file, when the metadata is needed.

Rules: grpc/grpc, ``doc/PROTOCOL-HTTP2.md``. Values of ``-bin`` keys are base64 without padding, as on the wire.
"""

from __future__ import annotations

import base64
import json
import math
import numbers
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from grpclab.errors import UsageError, invalid
from grpclab.system.inputs import read_text
from grpclab.text import credentials

Pairs = tuple[tuple[str, str], ...]

_KEY = re.compile(r"[0-9a-z_.-]+")
_VALUE = re.compile(r"[\x20-\x7e]*")
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}|[A-Za-z0-9_-]*={0,2}")
_RESERVED = {"content-length", "content-type", "host", "te", "user-agent"}
_RESERVED |= {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
"""Headers that the client itself sends, or that HTTP/2 forbids (RFC 9113, 8.2.2)."""
_OF_GRPC = "grpc-"
"""Keys that begin so are gRPC's own, those of today and of later versions (PROTOCOL-HTTP2, "Custom-Metadata")."""
_SHOWN = 60
FILE = "@"
"""The beginning of a word that stands for the metadata in a file; no key begins so."""


def parse_metadata(words: Iterable[str]) -> Pairs:
    """The metadata that ``key=value`` words mean, in their order; a key may come more than once. Raises UsageError.

    ``key=env:NAME`` has its value in a variable, ``@FILE`` stands for the words in a file.
    """
    return tuple(_parse_word(word) for argument in words for word in _expanded(argument))


def file_word(path: str) -> str:
    """The word that stands for the metadata in a file."""
    return f"{FILE}{os.path.abspath(Path(path).expanduser())}"


def is_reference(word: str) -> bool:
    """Return whether a word refers to a variable or a file of whoever reads it."""
    return word.startswith(FILE) or bool(credentials.REFERENCE.fullmatch(word.partition("=")[2]))


def references(words: Iterable[str]) -> dict[str, str]:
    """Return the present content of the references among the words (``env:NAME``, ``@FILE``). Raises UsageError."""
    contents = {}
    for word in words:
        if word.startswith(FILE):
            contents[word] = "\n".join(_expanded(word))
        elif match := credentials.REFERENCE.fullmatch(word.partition("=")[2]):
            contents[f"env:{match['variable']}"] = _variable(word, match["variable"])
    return contents


def _expanded(word: str) -> list[str]:
    """The words that a reference stands for; the secrets among them are known from now on."""
    if word.startswith(FILE):
        path = word.removeprefix(FILE)
        words = [expanded for line in _words_of_file(path) for expanded in _expanded(line)]
    else:
        key, _, value = word.partition("=")
        match = credentials.REFERENCE.fullmatch(value)
        words = [f"{key}={match['scheme'] or ''}{_variable(word, match['variable'])}"] if match else [word]
        if not match:
            credentials.learn_words(words)
            return words
    for expanded in words:
        credentials.learn(expanded.partition("=")[2])
    return words


def _variable(word: str, name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise UsageError(invalid("metadata", word, f"the environment variable {name} to be set; run export {name}=..."))
    return value


def _words_of_file(path: str) -> list[str]:
    """``key=value`` or ``key: value`` a line, # for comments; or an object of JSON, as ghz has it."""
    text = read_text("--metadata-file", path)
    if text.lstrip().startswith("{"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise UsageError(invalid("--metadata-file", path, 'an object in JSON, e.g. {"x-user": "42"}')) from None
        return list(metadata_words(values))
    words = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if content and not content.startswith("#"):
            match = re.fullmatch(r"([^\s=:]+)\s*[=:]\s*(.*)", content)
            if match is None:
                raise UsageError(invalid("--metadata-file", path, f"key=value in line {number:,}, e.g. x-user=42"))
            words.append(f"{match[1]}={match[2]}")
    return words


def metadata_words(metadata: Any) -> tuple[str, ...]:
    """The ``key=value`` words of what a program gives: a mapping, pairs, or words; a value may be a list of them.

    Bytes are for keys that end in ``-bin``, whose texts are base64 as on the command line. Raises UsageError.
    """
    if metadata is None:
        return ()
    if isinstance(metadata, str | bytes) or not isinstance(metadata, Iterable):
        raise _invalid("", metadata, 'a mapping, e.g. {"x-user": "42"}')
    words: list[str] = []
    for item in metadata.items() if isinstance(metadata, Mapping) else metadata:
        if isinstance(item, str):
            words.append(item)
            continue
        if not isinstance(item, list | tuple) or len(item) != 2 or not isinstance(item[0], str):
            raise _invalid("", item, 'pairs of a key and its value, e.g. ("x-user", "42")')
        key, value = item
        if not _KEY.fullmatch(key.lower()) and not key.startswith(":"):  # a word would be split at another "="
            raise _invalid("", item, "a key of a-z, 0-9, '_', '-' and '.', e.g. x-user")
        values = value if isinstance(value, list | tuple) else [value]
        words += [f"{key}={_value(key, element)}" for element in values]
    return tuple(words)


def _value(key: str, value: Any) -> str:
    binary = key.endswith("-bin")
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray) and binary:
        return base64.b64encode(value).decode("ascii")
    number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if number and not binary:
        return str(int(value)) if isinstance(value, numbers.Integral) else repr(float(value))
    raise _invalid(key, value, 'bytes or base64, e.g. b"hello" or "aGVsbG8"' if binary else 'a string, e.g. "42"')


def _invalid(key: str, value: Any, expected: str) -> UsageError:
    name = f"metadata[{_shown(key)}]" if key else "metadata"
    return UsageError(f"invalid {name}={_shown(_without_secret(key, value))}: expected {expected}")


def _without_secret(key: str, value: Any) -> Any:
    """Return the part of a value, or of a word with its key before it, that a message may show."""
    word = isinstance(value, str) and not key
    pair = isinstance(value, list | tuple) and len(value) > 0 and not key
    name = value.partition("=")[0] if word else str(value[0]) if pair else key
    if not credentials.names_secret(name):
        return value
    return f"{name}={credentials.MASK}" if word else credentials.MASK


def _shown(value: Any) -> str:
    """A value on one line of any terminal."""
    text = ascii(value)[1:-1] if isinstance(value, str) else ascii(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _parse_word(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if credentials.is_placeholder(value):
        raise UsageError(
            f"the value of {_shown(key)} is a secret and was not stored; provide it again, e.g. {_shown(key)}=env:NAME"
        )
    if not equals or not key:
        raise _invalid("", word, "key=value, e.g. x-user=42")
    if key.startswith(":") or key.lower() in _RESERVED:
        raise _invalid("", word, f"a different key; HTTP/2 and gRPC set {_shown(key)} themselves")
    if key.lower().startswith(_OF_GRPC):
        raise _invalid("", word, f"a different key; those that begin with {_OF_GRPC} are reserved for gRPC")
    if key != key.lower():
        raise _invalid("", word, f"{_shown(key.lower())} in lower case, as HTTP/2 sends it")
    if not _KEY.fullmatch(key):
        raise _invalid("", word, "a key of a-z, 0-9, '_', '-' and '.', e.g. x-user")
    if key.endswith("-bin"):
        decoded = decode_base64(value)
        if decoded is None:
            raise _invalid("", word, f"base64 for a key that ends with -bin, e.g. {_shown(key)}=aGVsbG8")
        return key, base64.b64encode(decoded).decode("ascii").rstrip("=")
    if value != value.strip() or not _VALUE.fullmatch(value):
        raise _invalid(
            "",
            word,
            f"printable ASCII without leading or trailing spaces; for anything else, use {_shown(key)}-bin= and base64",
        )
    return key, value


def literal_pair(key: str, value: str) -> tuple[str, str]:
    """The pair of a key and a value as they are: nothing in it stands for a variable or a file. Raises UsageError."""
    return _parse_word(f"{key}={value}")


def own_metadata(headers: Iterable[tuple[str, str]]) -> Pairs:
    """The metadata among the headers of a request that is its caller's own: neither HTTP/2's nor gRPC's."""
    return tuple(
        (key, value)
        for key, value in headers
        if not key.startswith((":", _OF_GRPC)) and key not in _RESERVED and _KEY.fullmatch(key)
    )


def for_grpcio(metadata: Pairs) -> tuple[tuple[str, str | bytes], ...]:
    """The metadata as grpcio takes it: it wants the bytes of ``-bin`` values and encodes them itself."""
    return tuple(
        (key, base64.b64decode(value + "=" * (-len(value) % 4)) if key.endswith("-bin") else value)
        for key, value in metadata
    )


def decode_base64(text: str) -> bytes | None:
    """The bytes of some base64, in the standard or the URL-safe alphabet, padded or not; None where it is none."""
    bare = text.rstrip("=")
    if not _BASE64.fullmatch(text) or len(bare) % 4 == 1 or (len(bare) < len(text) and len(text) % 4):
        return None
    return base64.b64decode(bare.translate({ord("-"): "+", ord("_"): "/"}) + "=" * (-len(bare) % 4))
