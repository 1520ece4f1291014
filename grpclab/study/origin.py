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
from pathlib import Path

from grpclab.analysis.study_plan import StudyPlan
from grpclab.factors.own import is_own
from grpclab.load.calls.metadata import is_reference
from grpclab.load.core.shapes import replayed_file
from grpclab.study.model import Manifest
from grpclab.system.untrusted import read_bytes

KEY_BYTES = 32


Started = dict[str, dict[str, str | list[str]]]
"""By configuration what is started or opened for it: its command, files, variables. Its JSON is what is sealed."""
FILE = "@"
"""The beginning of a request that lies in a file."""


OF_THE_TARGET = ("app", "app_dir", "python", "command", "address", "cwd", "ready", "prepare", "cleanup")
"""Fields of a target that say what is started, imported or loaded."""
FILES = ("cacert", "cert", "key")
"""Options of TLS that name files."""


def started_by(plan: StudyPlan) -> Started:
    """What a study's plan starts, imports, opens or sets beside this program."""
    started: Started = {}
    for name, target in plan.subjects.items():
        words = [*target.metadata, *(word for one in target.mix for word in one.metadata)]
        parts: dict[str, str | list[str]] = {
            **{field: str(getattr(target, field)) for field in OF_THE_TARGET},
            "data": _file(target.data),
            "mix": [file for one in target.mix if (file := _file(one.data))],
            "proto": target.proto or "",
            "proto_path": list(target.proto_path),
            "metadata": [word for word in words if is_reference(word)],
            **{file: str(getattr(target.security, file)) for file in FILES},
        }
        if parts := {key: value for key, value in parts.items() if value}:
            started[name] = parts
    for configuration in plan.configurations:
        for factor, level in configuration.settings.items():
            if is_own(factor) or replayed_file(level):
                started.setdefault(configuration.name, {})[factor] = str(level)
    return started


def _file(data: object) -> str:
    """The data of a call that stands for a file; "" for other data."""
    return data if isinstance(data, str) and data.startswith(FILE) else ""


def seal(plan: StudyPlan) -> str:
    """The seal of what a plan starts or opens; "" if that is nothing, or where no key can be kept."""
    started = started_by(plan)
    key = _key(make=True) if started else None
    return "" if key is None else _digest(key, started)


def is_sealed(manifest: Manifest) -> bool:
    """Whether this user sealed what the manifest's plan starts or opens; True if that is nothing."""
    started = started_by(manifest.plan)
    if not started:
        return True
    key = _key(make=False)
    return key is not None and hmac.compare_digest(str(manifest.seal or "").encode(), _digest(key, started).encode())


def _digest(key: bytes, started: Started) -> str:
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
    status = path.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ValueError("other users can read it")
    key = read_bytes(path, KEY_BYTES)
    if len(key) < KEY_BYTES:
        raise ValueError("it is truncated")
    return key


def _folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "grpclab"
