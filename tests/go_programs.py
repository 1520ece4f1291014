"""Programs written in Go that some tests run against us: built once, and kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BUILD_S = 420


def go_program(package: str, version: str) -> Path:
    """The executable of a Go package at this version; skips the test, and says how to install it, where it cannot be.

    `package` is the import path of its main package. `GRPCLAB_GO_PROGRAMS` names a folder in place of the cache.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("GRPCLAB_GO_PROGRAMS") or cache / "grpclab-tests") / version
    program = folder / package.replace("/", "-") / package.rpartition("/")[2]
    if program.exists():
        return program
    command = f"GOBIN={program.parent} go install {package}@{version}"
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"needs Go (https://go.dev/dl/), then: {command}")
    program.parent.mkdir(parents=True, exist_ok=True)
    try:
        built = subprocess.run(
            [go, "install", f"{package}@{version}"],
            env={**os.environ, "GOBIN": str(program.parent), "GOFLAGS": "-mod=mod"},
            cwd=program.parent,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"not built within {BUILD_S} s: {command}")
    if built.returncode:
        pytest.skip(f"cannot be built ({(built.stderr.splitlines() or ['no reason given'])[-1]}): {command}")
    return program
