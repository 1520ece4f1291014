"""Programs written in Go that some tests run against us: built once, and kept in the user's cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

BUILD_S = 420


def long_until_built(*programs: Path) -> list[pytest.MarkDecorator]:
    """Marks for tests that run these programs: `long` until all of them are built, which takes a minute of CPU time."""
    return [] if all(program.exists() for program in programs) else [pytest.mark.long]


def go_path(package: str, version: str) -> Path:
    """Where :func:`go_program` keeps the executable of a package."""
    return _cache() / version / package.replace("/", "-") / package.rpartition("/")[2]


def changed_path(module: str, version: str, package: str) -> Path:
    """Where :func:`changed_go_program` keeps the executable of a package."""
    return _cache() / version / f"{module.replace('/', '-')}-changed" / "bin" / package.rpartition("/")[2]


def own_path(name: str) -> Path:
    """Where :func:`own_go_program` keeps the executable of a program."""
    return _cache() / "own" / name / "bin" / name


def go_program(package: str, version: str) -> Path:
    """The executable of a Go package at this version; skips the test, and says how to install it, where it cannot be.

    `package` is the import path of its main package. `GRPCLAB_GO_PROGRAMS` names a folder in place of the cache.
    """
    program = go_path(package, version)
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        _go(program.parent, program.parent, "install", f"{package}@{version}")
    return program


def changed_go_program(
    module: str, version: str, package: str, changes: Mapping[str, tuple[tuple[str, str], ...]], needs: tuple[str, ...]
) -> Path:
    """The same for a package of a module in which some texts of some files are replaced.

    `needs` are the modules that it is built with, as they stand in a ``go.mod``, for a module that has none.
    """
    program = changed_path(module, version, package)
    folder = program.parents[1]
    wanted = json.dumps([changes, needs])
    built_from = folder / "changes.json"
    if program.exists() and built_from.exists() and built_from.read_text() == wanted:
        return program
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    told = json.loads(_go(folder, folder / "bin", "mod", "download", "-json", f"{module}@{version}"))
    source = folder / "source"
    shutil.copytree(told["Dir"], source, copy_function=shutil.copyfile)
    for path in [source, *source.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    (source / "go.mod").write_text(f"module {module}\ngo 1.21\nrequire (\n" + "\n".join(needs) + "\n)\n")
    for name, replaced in changes.items():
        text = (source / name).read_text()
        for before, after in replaced:
            assert text.count(before) == 1, f"{name} of {module}@{version} is not what it was"
            text = text.replace(before, after)
        (source / name).write_text(text)
    _go(source, folder / "bin", "install", f"./{package}")
    built_from.write_text(wanted)
    return program


def own_go_program(name: str, source: str, needs: tuple[str, ...]) -> Path:
    """The same for a program of ours in one file; `needs` are the modules that it is built with."""
    program = own_path(name)
    folder = program.parents[1]
    main = folder / "source" / "main.go"
    module = f"module {name}\ngo 1.21\nrequire (\n" + "\n".join(needs) + "\n)\n"
    built_from = folder / "built.txt"
    if program.exists() and built_from.exists() and built_from.read_text() == module + source:
        return program
    shutil.rmtree(folder, ignore_errors=True)
    main.parent.mkdir(parents=True)
    main.write_text(source)
    (main.parent / "go.mod").write_text(module)
    _go(main.parent, folder / "bin", "install", ".")
    built_from.write_text(module + source)
    return program


def _cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("GRPCLAB_GO_PROGRAMS") or cache / "grpclab-tests")


def _go(folder: Path, into: Path, *arguments: str) -> str:
    """Run Go in a folder; what it installs goes `into` another. Returns what it says."""
    command = f"GOBIN={into} go {' '.join(arguments)}"
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"Go is missing: apt-get install golang-go, or https://go.dev/dl/; then: {command}")
    try:
        done = subprocess.run(
            [go, *arguments],
            env={**os.environ, "GOBIN": str(into), "GOFLAGS": "-mod=mod"},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"not built within {BUILD_S} s: {command}")
    if done.returncode:
        pytest.skip(f"cannot be built ({(done.stderr.splitlines() or ['no reason given'])[-1]}): {command}")
    return done.stdout
