"""The study inside its report: the trials as the Parquet file that is stored beside it, everything else as JSON.

Both stand in the page once, deflated (zlib) and in base64, in script elements of a type that no browser runs. So a
report that was sent away is still a study: the page reads them for its tables and downloads, :func:`unpack` for Python.
"""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.errors import DesignError

SCHEMA_VERSION = 1  # 1: the first
TRIALS, STUDY = "grpclab-trials", "grpclab-study"


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What a report holds of its study: see manifest.json, trials.parquet and verdict.json.

    `details` has for each trial, by its name, what does not fit a row of a frame: `log`, the last lines of its
    server's log, and `advertised`, the settings that each side of a connection announced. `markdown` is the study as
    :func:`grpclab.report.summaries.markdown` tells it.
    """

    manifest: Mapping[str, Any]
    trials: pd.DataFrame
    verdict: Mapping[str, Any]
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    markdown: str = ""

    def elements(self) -> str:
        """The two elements, safe in HTML whatever text is in the study."""
        about = {
            "schema_version": SCHEMA_VERSION,
            "manifest": self.manifest,
            "verdict": self.verdict,
            "details": self.details,
            "markdown": self.markdown,
        }
        text = json.dumps(about, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return _element(STUDY, text.encode()) + _element(TRIALS, parquet(self.trials))


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
        return unpack(Path(path).read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise DesignError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DesignError(f"{path} holds no study ({error}): it is no report, or one of an earlier version") from None


def unpack(page: str) -> Packed:
    """The study inside the text of a report. Raises ValueError where there is none."""
    about = json.loads(_content(page, STUDY))
    if about.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"schema version {about.get('schema_version')}, not {SCHEMA_VERSION}")
    trials = pd.read_parquet(io.BytesIO(_content(page, TRIALS)))
    if not all(isinstance(about[name], Mapping) for name in ("manifest", "verdict", "details")):
        raise ValueError("its parts are of another kind")
    return Packed(trials=trials, **{name: about[name] for name in ("manifest", "verdict", "details", "markdown")})


def _element(name: str, content: bytes) -> str:
    packed = base64.b64encode(zlib.compress(content, 9)).decode("ascii")
    return f'<script type="application/octet-stream" id="{name}">{packed}</script>'


def _content(page: str, name: str) -> bytes:
    found = re.search(rf'<script\b[^>]*\bid="{name}"[^>]*>([A-Za-z0-9+/=]*)</script>', page)
    if not found:
        raise ValueError(f"there is no {name} in it")
    try:
        return zlib.decompress(base64.b64decode(found[1]))
    except zlib.error as error:
        raise ValueError(f"{name} is damaged: {error}") from None


def _encodable(value: object) -> object:
    """Text without lone surrogates, which no file can hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
