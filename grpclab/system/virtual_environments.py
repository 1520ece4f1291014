"""Virtual environments with some packages over those of another interpreter: made once, and kept in the cache folder.

What is required is installed, by uv where that is on the PATH and by pip elsewhere; everything else is found where the
other interpreter has it. An environment is there whole or not at all, under a digest of the interpreter and of what is
required.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from grpclab.errors import MeasurementError, UsageError, invalid
from grpclab.system.inputs import read_text
from grpclab.system.paths import cache_folder, written_to
from grpclab.system.temporary import TemporaryFolder, remove_abandoned
from grpclab.text.printable import printable

FILE = "@"
"""The beginning of a requirement that names a file of requirements."""
LONGEST_REASON = 300
_BETWEEN = re.compile(r",(?=\s*[A-Za-z@])(?![^\[]*\])")
"""A comma before a name; one before a version (``>=1.60,<1.70``), or between extras, is part of a requirement."""
_UNSOLVABLE = re.compile(
    r"No matching distribution|No solution found|conflicting dependencies|ResolutionImpossible|Invalid requirement"
)
_SAYS_LITTLE = re.compile(r"\(from versions: |^ResolutionImpossible|^subprocess-exited")
_UNREACHABLE = re.compile(r"Retrying \(|NewConnectionError|Failed to fetch|error sending request|dns error")
_BASE = """
import json, site, sys
folders = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
print(json.dumps({"version": sys.version, "prefix": sys.prefix, "folders": folders}))
"""
_FINISH = """
import importlib.metadata, json, os, sys, sysconfig
folders, names = json.loads(sys.argv[1])
with open(os.path.join(sysconfig.get_path("purelib"), "grpclab_base.pth"), "w") as file:
    print("import site; " + "; ".join(f"site.addsitedir({folder!r})" for folder in folders), file=file)
found = {}
for name in names:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""
"""Run by the new interpreter: lets it find the packages of the other one, too, behind its own."""


@dataclass(frozen=True, kw_only=True)
class VirtualEnvironment:
    """An environment: its interpreter, and the versions of the packages that were required."""

    python: str
    versions: Mapping[str, str] = field(default_factory=dict)


# ---- requirements ----------------------------------------------------------------------------------------------------


def requirements_of(text: str, called: str, folder: Path = Path()) -> tuple[str, ...]:
    """The requirements in a text, in their normal form and order: separated by commas or blanks, ``@FILE`` for a file.

    A file lies in `folder`. Raises UsageError, one line that names `called` and what is no requirement.
    """
    found: dict[str, str] = {}
    for word in _words(text, called, folder):
        try:
            one = Requirement(word)
        except InvalidRequirement:
            raise UsageError(invalid(called, word, "a requirement as pip reads it, e.g. grpcio==1.70")) from None
        if one.url and "@" in urlsplit(one.url).netloc:
            raise UsageError(
                invalid(called, one.name, "a URL without a password; set the password in pip's configuration")
            )
        one.name = canonicalize_name(one.name)
        if found.setdefault(one.name, str(one)) != str(one):
            raise UsageError(invalid(called, f"{found[one.name]}, {one}", f"one requirement of {one.name}"))
    if not found:
        raise UsageError(invalid(called, text, "a requirement, e.g. grpcio==1.70"))
    return tuple(found[name] for name in sorted(found))


def requirements_text(requirements: Sequence[str]) -> str:
    """The requirements as one text that :func:`requirements_of` reads back."""
    return ", ".join(requirements)


def _words(text: str, called: str, folder: Path) -> Iterator[str]:
    for part in map(str.strip, _BETWEEN.split(text)):
        if part.startswith(FILE):
            name, _, rest = part.removeprefix(FILE).partition(" ")
            yield from _lines(read_text(called, folder / Path(name).expanduser()), called)
            yield from _words(rest, called, folder) if rest.strip() else ()
        elif part and not _is_requirement(part) and all(map(_is_word, part.split())):
            for word in part.split():
                yield from _words(word, called, folder) if word.startswith(FILE) else [word]
        elif part:
            yield part


def _lines(content: str, called: str) -> Iterator[str]:
    """The requirements of a file, a line each."""
    for line in content.splitlines():
        words = re.sub(r"(^|\s)#.*", "", line).strip()
        if words.startswith("-") or words.endswith("\\"):
            expected = "lines with one requirement each; pip options belong in its configuration"
            raise UsageError(invalid(called, words, expected))
        if words:
            yield words


def _is_requirement(text: str) -> bool:
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def _is_word(word: str) -> bool:
    return word.startswith(FILE) or _is_requirement(word)


# ---- environments ----------------------------------------------------------------------------------------------------


@functools.cache
def _base(python: str) -> str:
    """What an interpreter says of itself, as JSON: its version, its prefix, the folders of its packages."""
    # In the root folder: a module of the working folder would be imported.
    done = subprocess.run([python, "-c", _BASE], capture_output=True, text=True, cwd=os.sep, check=False)
    if done.returncode:
        raise UsageError(invalid("python", python, f"a Python interpreter: {_reason(done.stderr)}"))
    return done.stdout.splitlines()[-1]


def environment(
    python: str, requirements: Sequence[str], *, tell: Callable[[str], None] = lambda _: None
) -> VirtualEnvironment:
    """The environment with these requirements over the packages of the interpreter `python`: a kept one, or a new one.

    `tell` is given a line before one is made. Raises UsageError where the requirements cannot be met, MeasurementError
    where they cannot be installed, StorageError where the cache folder cannot be written to.
    """
    base = _base(python)
    digest = hashlib.sha256("\n".join([base, *requirements]).encode()).hexdigest()[:16]
    folder = cache_folder() / "environments" / digest
    if (kept := _kept(folder)) is not None:
        return kept
    with written_to(folder.parent, "set XDG_CACHE_HOME to another folder"), _locked(folder):
        if (kept := _kept(folder)) is not None:  # another process made it meanwhile
            return kept
        tell(f"creating an environment with {requirements_text(requirements)}, which is kept in {folder}")
        remove_abandoned(folder.parent)
        with TemporaryFolder(folder.parent) as temporary:
            made = temporary / "environment"
            versions = _install(python, json.loads(base)["folders"], requirements, made)
            (made / "grpclab.json").write_text(json.dumps({"requirements": requirements, "versions": versions}))
            shutil.rmtree(folder, ignore_errors=True)  # one whose interpreter is gone
            made.rename(folder)
    kept = _kept(folder)
    assert kept is not None
    return kept


def _kept(folder: Path) -> VirtualEnvironment | None:
    """The environment in a folder; None where there is none, or its interpreter is gone."""
    python = folder / "bin" / "python"
    try:
        versions = json.loads((folder / "grpclab.json").read_text())["versions"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return VirtualEnvironment(python=str(python), versions=versions) if os.access(python, os.X_OK) else None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other processes from making the same environment; one that waits finds it made."""
    import fcntl

    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(python: str, base: Sequence[str], requirements: Sequence[str], folder: Path) -> dict[str, str]:
    """Make an environment in a folder; returns the versions of what was required."""
    own = str(folder / "bin" / "python")
    # uv does not read the variables and files by which pip is told of other indexes.
    uv = None if any(name.startswith("PIP_") for name in os.environ) else shutil.which("uv")
    if uv is not None:
        _run([uv, "venv", "--quiet", "--python", python, str(folder)], "no environment can be created")
        install = [uv, "pip", "install", "--quiet", "--python", own]
    else:
        _run([python, "-m", "venv", str(folder)], "no environment can be created")
        install = [own, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    _run([*install, *requirements], f"{requirements_text(requirements)} cannot be installed", asked=requirements)
    names = [Requirement(one).name for one in requirements]
    found = json.loads(_run([own, "-c", _FINISH, json.dumps([base, names])], "the environment cannot be read"))
    return {str(name): str(version) for name, version in found.items()}


def _run(command: Sequence[str], what: str, asked: Sequence[str] = ()) -> str:
    """What a command prints. Raises UsageError where nothing meets what was asked, else MeasurementError."""
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL, cwd=os.sep, check=False
    )
    if not done.returncode:
        return done.stdout
    said = f"{done.stdout}\n{done.stderr}"
    reason = _reason(said)
    if asked and _UNSOLVABLE.search(said) and not _UNREACHABLE.search(said):
        raise UsageError(invalid("target.requirements", requirements_text(asked), f"packages that exist: {reason}"))
    raise MeasurementError(f"{what}: {reason}")


def _reason(said: str) -> str:
    """The line of pip's or uv's output that says why: theirs of many versions, and the last one of many, do not."""
    lines = [line.strip(" \t│╰─▶×") for line in said.splitlines()]
    because = [number for number, line in enumerate(lines) if line.startswith("Because ")]
    if because:
        return printable(" ".join(filter(None, lines[because[0] :])), LONGEST_REASON)
    errors = [line.partition(": ")[2] for line in lines if line.lower().startswith("error: ")]
    telling = [line for line in errors if not _SAYS_LITTLE.search(line)]
    last = [line for line in lines if line][-1:]
    return printable((telling or errors or last or ["it gave no reason"])[0], LONGEST_REASON)
