"""The JSON files of a study: written whole or not at all, read within bounds and never from outside its folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpclab.system.untrusted import JSON_BYTES, json_object, read_bytes
from grpclab.text import redaction

SCHEMA_VERSION = 1
"""Of manifest.json, result.json and verdict.json. 1: first version."""


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN becomes null."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with temporary.open("x") as file:  # never through a symbolic link that lay there
        json.dump(redaction.masked(plain(value)), file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def plain(value: Any) -> Any:
    """A value of JSON's types only: NaN and infinities become None, tuples lists, numpy's numbers Python's."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_json(path: Path, *, inside: Path) -> dict[str, Any]:
    """The JSON object in a file below the folder `inside`. Raises OSError, and ValueError for what is damaged."""
    return json_object(read_bytes(path, JSON_BYTES, inside=inside))


def manifest_document(folder: Path) -> dict[str, Any]:
    """The content of a study's manifest.json as it stands there, for copies of it. Raises OSError or ValueError."""
    return read_json(folder / "manifest.json", inside=folder)
