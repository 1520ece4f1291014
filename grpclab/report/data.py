"""The study inside its report: the trials as the Parquet file that is stored beside it, everything else as JSON.

Both stand in the page once, deflated (zlib) and in base64, in script elements of a type that no browser runs. So a
report that was sent away is still a study: the page reads them for its tables and downloads, :func:`unpack` for Python.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from markupsafe import Markup

from grpclab.errors import DesignError
from grpclab.report import assets
from grpclab.study.collection import Details
from grpclab.system.parquet import MOST_BYTES, from_parquet
from grpclab.system.untrusted import JSON_BYTES, MIB, inflate, is_small, json_object, read_bytes, size_text

T = TypeVar("T")

SCHEMA_VERSION = 1  # 1: the first
TRIALS, STUDY = "grpclab-trials", "grpclab-study"
PAGE_BYTES = 48 * MIB
ELEMENT_BYTES = 24 * MIB


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A study inside its report: manifest.json, trials.parquet and verdict.json as they are stored.

    `details` has for each trial, by its name, what does not fit a row of a frame: `log`, the last lines of its
    server's log, and `advertised`, the settings that each side of a connection announced. `markdown` is the study as
    :func:`grpclab.report.renderers.markdown.markdown` tells it.
    """

    manifest: Mapping[str, Any]
    trials: pd.DataFrame
    verdict: Mapping[str, Any]
    details: Details = field(default_factory=dict)
    markdown: str = ""

    def elements(self) -> str:
        """The two elements, safe in HTML whatever text is in the study; details that make it too large are left out."""
        about = {
            "schema_version": SCHEMA_VERSION,
            "manifest": self.manifest,
            "verdict": self.verdict,
            "details": self.details,
            "markdown": self.markdown,
        }
        text = _compact(about)
        if not is_small(text):
            text = _compact(about | {"details": {}})
        return _element(STUDY, text) + _element(TRIALS, parquet(self.trials))


def _compact(about: Mapping[str, Any]) -> bytes:
    return json.dumps(about, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def parquet(trials: pd.DataFrame) -> bytes:
    """The frame as a Parquet file; not compressed, since the page deflates it whole."""
    frame = trials.copy()
    for name in frame.columns:
        if pd.api.types.is_object_dtype(frame[name]):
            frame[name] = frame[name].map(_encodable)
    out = io.BytesIO()
    frame.to_parquet(out, index=False, compression=None)
    return out.getvalue()


def read(path: Path | str) -> Packed:
    """The study inside a report. Raises DesignError if `path` is none, or one of a version that held no study."""
    try:
        return unpack(read_page(path))
    except OSError as error:
        raise DesignError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise DesignError(f"no study can be read from {path}: {error}; expected a report that grpclab wrote") from None


def unpack(page: bytes | str) -> Packed:
    """The study inside the text of a report. Raises ValueError where there is none."""
    content = page.encode("utf-8", "replace") if isinstance(page, str) else page
    packed = {name: _packed(content, name) for name in (STUDY, TRIALS)}
    del page, content  # the largest of all that is in memory meanwhile
    about = _named(STUDY, json_object, _inflated(packed, STUDY, JSON_BYTES))
    if about.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"its schema version is {str(about.get('schema_version'))[:20]}, not {SCHEMA_VERSION}")
    parts: dict[str, Any] = {name: about.get(name) for name in ("manifest", "verdict", "details", "markdown")}
    if not all(isinstance(part, str if name == "markdown" else dict) for name, part in parts.items()):
        raise ValueError("its parts have unexpected types")
    trials = _named(TRIALS, from_parquet, _inflated(packed, TRIALS, MOST_BYTES))
    return Packed(trials=trials, **parts)


def _packed(page: bytes, name: str) -> bytes:
    content = element(page, name)
    if content is None:
        raise ValueError(f"it has no {name}")
    return content


def _inflated(packed: dict[str, bytes], name: str, most: int) -> bytes:
    """The content of an element, which is let go."""
    try:
        content = binascii.a2b_base64(packed.pop(name))
    except binascii.Error:
        raise ValueError(f"{name} is damaged") from None
    return _named(name, inflate, content, most)


def _named(name: str, read_part: Callable[..., T], *content: Any) -> T:
    """Read a part; an error names it."""
    try:
        return read_part(*content)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def _element(name: str, content: bytes) -> str:
    packed = base64.b64encode(zlib.compress(content, 9)).decode("ascii")
    return str(assets.rendered("packed.html.j2", name=name, packed=Markup(packed)))


def _encodable(value: object) -> object:
    """Text without lone surrogates, which no file can hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def read_page(path: Path | str) -> bytes:
    """The bytes of a report. Raises OSError, and ValueError for what is no file or too large to be a report."""
    return read_bytes(path, PAGE_BYTES)


def element(page: bytes, name: str) -> bytes | None:
    """The content of the script element with this id; None without one. Raises ValueError for one that is too large.

    Attributes before and after the id are 200 bytes at most, and no content holds ``<``: so each byte is looked at
    a bounded number of times.
    """
    opening = rb'<script\b[^<>]{0,200}\bid="%s"[^<>]{0,200}>' % name.encode()
    match = re.search(opening + rb"([^<]*+)</script>", page)
    if match is None:
        return None
    if match.end(1) - match.start(1) > ELEMENT_BYTES:
        raise ValueError(f"its {name} is larger than {size_text(ELEMENT_BYTES)}")
    return match[1]
