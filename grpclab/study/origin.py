"""Where a manifest comes from: sealed by this user on this machine, or from somewhere else.

A folder of results may have been copied, unpacked or sent, and its manifest holds commands that start servers and
files that describe calls. So what a study of this user runs is sealed when its manifest is written, by a key that
only this user can read; whatever has no such seal asks before it runs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpclab.load.calls.metadata import is_reference
from grpclab.system.untrusted import read_bytes

KEY_BYTES = 32


def started_by(manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What a study's plan starts or opens beside this program: by configuration, command, files, variables."""
    found = {}
    for name, subject in ((manifest.get("plan") or {}).get("subjects") or {}).items():
        parts = {key: value for key in ("command", "proto", "proto_path") if (value := (subject or {}).get(key))}
        if referred := [word for word in (subject or {}).get("metadata") or () if is_reference(str(word))]:
            parts["metadata"] = referred
        if parts:
            found[name] = parts
    return found


def seal(manifest: Mapping[str, Any]) -> str:
    """The seal of what a manifest starts or opens; "" if that is nothing, or where no key can be kept."""
    started = started_by(manifest)
    key = _key(make=True) if started else None
    return "" if key is None else _digest(key, started)


def is_sealed(manifest: Mapping[str, Any]) -> bool:
    """Whether this user sealed what the manifest starts or opens; True if that is nothing."""
    started = started_by(manifest)
    if not started:
        return True
    key = _key(make=False)
    return key is not None and hmac.compare_digest(
        str(manifest.get("seal") or "").encode(), _digest(key, started).encode()
    )


def _digest(key: bytes, started: Mapping[str, Any]) -> str:
    return hmac.new(key, json.dumps(started, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes | None:
    path = _folder() / "key"
    try:
        return _checked(path)
    except FileNotFoundError:
        if not make:
            return None
    except (OSError, ValueError):
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        return _checked(path)
    except (OSError, ValueError):  # a full or read-only home, or another process was faster: the repeat will ask
        return None


def _checked(path: Path) -> bytes:
    """The key. Raises OSError, and ValueError for one that others can read or that is not whole."""
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ValueError("others can read it")
    key = read_bytes(path, KEY_BYTES)
    if len(key) < KEY_BYTES:
        raise ValueError("it is cut off")
    return key


def _folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "grpclab"
