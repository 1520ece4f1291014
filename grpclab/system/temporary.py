"""Temporary folders that end with their process; those of a process that was killed go with the next one's first.

Each folder holds a file that its owner keeps locked. The system releases the lock when the owner ends, SIGKILL
included, so whoever can take it knows that the folder is nobody's any more. Process ids would not tell: they are used
again, and mean something else in another container with the same ``/tmp``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from grpclab.errors import StorageError
from grpclab.system import interrupts

PREFIX = "grpclab-"
OWNER = ".owner"
ROOM_BYTES = 1 << 18
"""A new folder takes so much, or the disk is full."""
UNOWNED_S = 86_400.0
"""After so long a folder of ours without an owner's file is nobody's: its removal was cut off."""
REMOVALS = 10
"""So often at most a folder is removed, since processes that end may still write into it."""


class TemporaryFolder:
    """A new folder for this process, removed by :meth:`remove` or at the end of a ``with`` block.

    It lies in `parent`, by default in the folder that TMPDIR names, or the system's. Raises StorageError where it
    cannot be made, or holds nothing.
    """

    def __init__(self, parent: Path | None = None) -> None:
        parent = parent or location()
        try:
            if parent == location():
                remove_abandoned(parent)
            with interrupts.deferred():  # a folder that nobody knows of would stay
                self.path, lock = _owned(parent)
                self._finalizer = weakref.finalize(self, _remove, self.path, lock, os.getpid())
        except OSError as error:
            raise StorageError(_unwritable(parent, error)) from None
        try:
            require_room(self.path, ROOM_BYTES)
        except OSError as error:
            self.remove()
            raise StorageError(_unwritable(parent, error)) from None

    def remove(self) -> None:
        """Remove the folder. Safe to call twice."""
        with interrupts.deferred():
            self._finalizer()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def _remove(path: Path, lock: int | None, owner: int) -> None:
    if os.getpid() != owner:
        return  # a copy of its owner, by fork
    for _ in range(REMOVALS):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            break
        time.sleep(0.02)
    if lock is not None:
        os.close(lock)


def location() -> Path:
    """The folder of temporary folders: what TMPDIR (or TEMP, or TMP) names, usable or not, else the system's.

    Python itself goes elsewhere without a word where that folder is full or missing, at last into the working folder.
    """
    for variable in ("TMPDIR", "TEMP", "TMP"):
        if named := os.environ.get(variable):
            return Path(named).absolute()
    with contextlib.suppress(OSError):
        folder = Path(tempfile.gettempdir())
        if folder != Path.cwd():
            return folder
    return Path("/tmp")  # the error then names it


def require_room(folder: Path, size: int) -> None:
    """Write `size` bytes into an existing folder, in a file without a name. Raises OSError where that fails."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        rest = memoryview(bytes(size))
        while rest:  # a disk that is nearly full takes a part, and refuses the next one
            rest = rest[file.write(rest) :]


@functools.cache
def remove_abandoned(parent: Path) -> None:
    """Remove the folders in `parent` whose owner has ended: once in the life of a process."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), _abandoned(path) as abandoned:
            if abandoned:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    """Yield True if a folder's owner has ended; nobody else removes it meanwhile."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        yield False
        return
    try:
        lock = os.open(path / OWNER, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield time.time() - status.st_mtime > UNOWNED_S
        return
    try:
        yield _locked(lock)
    finally:
        os.close(lock)


def _owned(parent: Path) -> tuple[Path, int | None]:
    """A new folder and its lock; no lock where the file system has none. Raises OSError."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        try:
            lock = os.open(path / OWNER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            with contextlib.suppress(OSError):
                path.rmdir()
            raise
        try:
            # Between the file and its lock another process may have found it, and removed the folder.
            if _locked(lock) and _is_at(lock, path / OWNER):
                return path, lock
            os.close(lock)
        except OSError:  # a file system without locks: kept for a day where its removal is cut off
            os.close(lock)
            (path / OWNER).unlink(missing_ok=True)
            return path, None


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _locked(handle: int) -> bool:
    """Take the lock of an open file, unless another process has it. Raises OSError where there are no locks."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unwritable(parent: Path, error: OSError) -> str:
    return (
        f"temporary files cannot be written to {parent} ({error.strerror or error}): set TMPDIR to a folder with "
        "free space"
    )
