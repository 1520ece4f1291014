"""What is carried between machines: the folder of a target to the workers of a cluster, the files of a group back.

Both are tar archives in memory, within bounds. A target's folder is carried once to each worker, under the SHA-256 of
its archive. Its paths then name other folders, so a subject is told where they lie (:meth:`Places.moved`).
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from grpclab import quantities as qty
from grpclab.analysis.study_plan import StudyPlan
from grpclab.errors import UsageError, invalid
from grpclab.factors.own import REQUIREMENTS, REVISION
from grpclab.load.core.shapes import replayed_file
from grpclab.servers import targets
from grpclab.study.target import Subject
from grpclab.system.paths import project_root
from grpclab.system.untrusted import MIB

MOST_CARRIED_BYTES = 64 * MIB
MOST_FILES = 10_000
MOST_RETURNED_BYTES = 256 * MIB
"""A group of a study has a few megabytes, and its latencies are capped."""
LEFT_OUT = frozenset({"__pycache__", "node_modules"})
"""Folders that are not carried, as are hidden files and folders, virtual environments, and results and reports."""
FILE = "@"
"""The beginning of a request that lies in a file."""


class CarryError(Exception):
    """What cannot be carried; the text says why."""


# ---- archives ----------------------------------------------------------------------------------------------------


def packed(files: Iterable[tuple[Path, str]], most_bytes: int) -> bytes:
    """An archive of files, each under its name. Raises CarryError above the bounds, OSError."""
    buffer = io.BytesIO()
    total = 0
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, (path, name) in enumerate(files):
            content = path.read_bytes()
            total += len(content)
            if total > most_bytes or number >= MOST_FILES:
                raise CarryError(f"more than {most_bytes // MIB} MiB or {MOST_FILES:,} files")
            info = tarfile.TarInfo(name)  # neither owner nor time: the same files are the same archive
            info.size, info.mode = len(content), path.stat().st_mode & 0o777
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(content: bytes, folder: Path, most_bytes: int) -> None:
    """Write the files of an archive into a folder. Raises CarryError for one that is damaged or holds anything else."""
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for number, info in enumerate(archive):
                total += max(info.size, 0)
                name = PurePosixPath(info.name)
                if not info.isreg() or name.is_absolute() or ".." in name.parts:
                    raise CarryError(f"{info.name!r} is not a file inside the folder")
                if total > most_bytes or number >= MOST_FILES:
                    raise CarryError(f"more than {most_bytes // MIB} MiB or {MOST_FILES:,} files")
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                file = archive.extractfile(info)
                assert file is not None
                with path.open("xb") as written:
                    written.write(file.read())
                path.chmod(info.mode & 0o777)
    except (tarfile.TarError, EOFError) as error:
        raise CarryError(f"the archive is damaged: {error}") from None


def files_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """All files of a folder by their names in it, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path, path.relative_to(folder).as_posix()


# ---- the folders of targets --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folders and files that were carried, in `folder` by their numbers; relative paths start at `cwd`."""

    roots: tuple[str, ...]
    cwd: str
    folder: str = ""

    def moved(self, path: str) -> str:
        """The path on this machine of what `path` names on the one that it was carried from."""
        absolute = os.path.normpath(os.path.join(self.cwd, path))
        for number, root in enumerate(self.roots):
            if absolute == root or absolute.startswith(f"{root.rstrip(os.sep)}{os.sep}"):
                return os.path.normpath(os.path.join(self.folder, str(number), os.path.relpath(absolute, root)))
        return path

    def subject(self, subject: Subject) -> Subject:
        """A subject with its paths on this machine."""
        if subject.target.own:
            return subject
        target = subject.target
        moved = replace(
            target,
            command=self._command(target.command),
            prepare=self._command(target.prepare),
            cleanup=self._command(target.cleanup),
            app_dir=self.moved(target.app_dir) if target.app else "",
            cwd=self.moved(target.cwd) if target.command or target.cwd else "",
        )
        return replace(
            subject,
            target=moved,
            data=self._data(subject.data),
            proto=subject.proto and self.moved(subject.proto),
            proto_path=tuple(map(self.moved, subject.proto_path)),
            mix=tuple(replace(one, data=self._data(one.data)) for one in subject.mix),
        )

    def _data(self, data: str | None) -> str | None:
        return f"{FILE}{self.moved(data[1:])}" if isinstance(data, str) and data.startswith(FILE) else data

    def _command(self, command: str) -> str:
        for number, root in enumerate(self.roots):
            command = command.replace(f"{root.rstrip(os.sep)}{os.sep}", f"{os.path.join(self.folder, str(number))}/")
        return command


@dataclass(frozen=True, kw_only=True)
class CarriedFolders:
    """The folders and files of a study's targets as one archive."""

    places: Places
    archive: bytes
    files: int

    @property
    def digest(self) -> str:
        """The SHA-256 of the archive."""
        return hashlib.sha256(self.archive).hexdigest()

    def text(self, machines: int) -> str:
        """What is carried, in a sentence."""
        names = ", ".join(self.places.roots)
        size = qty.amount(len(self.archive), "sentence")
        return (
            f"copying {names} ({qty.count(self.files, 'file')}, {size} bytes) to {qty.count(machines, 'machine')}; "
            "hidden files, virtual environments, results and reports are not copied"
        )


def carried(subjects: Mapping[str, Subject], cwd: Path | None = None) -> CarriedFolders | None:
    """What the targets of a study need on other machines; None if they are all the built-in greeter.

    Raises UsageError for a folder that is too large or cannot be read.
    """
    cwd = cwd or Path.cwd()
    named = dict.fromkeys(path for subject in subjects.values() for path in _paths(subject))
    absolute = dict.fromkeys(os.path.normpath(os.path.join(cwd, path)) for path in named)
    inside = [path for path in absolute if not any(_is_below(path, other) for other in absolute)]
    if not inside:
        return None
    places, counted = Places(roots=tuple(inside), cwd=str(cwd)), 0

    def files() -> Iterator[tuple[Path, str]]:
        nonlocal counted
        for number, root in enumerate(inside):
            for path, name in _of_root(Path(root)):
                counted += 1
                yield path, f"{number}/{name}" if name else str(number)

    try:
        archive = packed(files(), MOST_CARRIED_BYTES)
    except CarryError as error:
        expected = (
            f"at most {MOST_CARRIED_BYTES // MIB} MiB and {MOST_FILES:,} files to copy to the workers, but "
            f"{', '.join(inside)} has {error}; run grpclab in the application's folder, or set --app-dir or --cwd"
        )
        raise UsageError(f"invalid target folder: expected {expected}") from None
    except OSError as error:
        raise UsageError(f"cannot read {error.filename}: {error.strerror}") from None
    return CarriedFolders(places=places, archive=archive, files=counted)


def _is_below(path: str, other: str) -> bool:
    return path != other and path.startswith(f"{other.rstrip(os.sep)}{os.sep}")


def _paths(subject: Subject) -> Iterator[str]:
    """The folders and files that a subject names; the folder that it runs in first."""
    target = subject.target
    if target.own:
        return
    yield (target.app_dir if target.app else target.cwd) or "."
    yield from (path for path in (target.cwd, subject.proto, *subject.proto_path) if path)
    for data in (subject.data, *(one.data for one in subject.mix)):
        if isinstance(data, str) and data.startswith(FILE):
            yield data[1:]


def _of_root(root: Path) -> Iterator[tuple[Path, str]]:
    """The files of a folder that are carried, with their names in it; a file itself has none."""
    if not root.is_dir():
        yield root, ""
        return
    ours = {project_root() / name for name in ("results", "reports")}
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if _is_carried(name) and here / name not in ours)
        folders[:] = [name for name in folders if not (here / name / "pyvenv.cfg").exists()]
        for name in sorted(files):
            if _is_carried(name) and (here / name).is_file():
                yield here / name, (here / name).relative_to(root).as_posix()


def _is_carried(name: str) -> bool:
    return not name.startswith(".") and name not in LEFT_OUT


def require_carriable(plan: StudyPlan, subjects: Mapping[str, Subject]) -> None:
    """Raise UsageError for what the workers of a cluster cannot measure."""
    for configuration in plan.configurations:
        subject, own = subjects.get(configuration.name, Subject()), configuration.config.own
        target = subject.target
        _refuse(bool(target.address), "--address", target.address, "blocks on several machines would share one server")
        kind = target.command if target.command and targets.is_registered(target.command) else ""
        _refuse(bool(kind), "--cmd", kind, "the server of another package is not copied to the workers")
        _refuse(bool(target.python), "--python", target.python, "interpreters are not copied to the workers")
        _refuse(target.security.key is not None, "--key", "", "client keys are not sent to other machines")
        for factor in (REVISION, REQUIREMENTS):
            _refuse(factor in own, factor, own.get(factor, ""), "revisions and packages are not copied to the workers")
        replayed = replayed_file(configuration.config.load.arrival)
        _refuse(bool(replayed), "load.arrival", f"replay:{replayed}", "recordings are not copied to the workers")


def _refuse(condition: bool, name: str, value: str, why: str) -> None:
    if condition:
        raise UsageError(invalid(name, value, f"a measurement without --cluster, since {why}"))
