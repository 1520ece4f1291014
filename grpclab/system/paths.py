"""Paths: the folder that results and reports go to, and the notebooks that the package carries."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grpclab.errors import StorageError

ROOT_VARIABLE = "GRPCLAB_ROOT"
SCARCE = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)
"""Processes, memory, open files: no other folder would help."""
ROOM_BYTES = 1 << 20
"""A folder with less room than this, about one report, counts as full."""

TRIES = 20
"""So often a folder is made that other processes, which begin a study as well, make and remove."""


def project_root(start: Path | None = None) -> Path:
    """The folder that holds ``results/`` and ``reports/``.

    In a clone of this project it is the clone, from whichever of its folders one starts (a notebook's working
    folder is its own). Elsewhere it is the folder one stands in. GRPCLAB_ROOT beats both.
    """
    if named := os.environ.get(ROOT_VARIABLE):
        return Path(named).resolve()
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        try:
            if 'name = "grpclab"' in (folder / "pyproject.toml").read_text():
                return folder
        except OSError:
            continue
    return here


def cache_folder() -> Path:
    """The folder of what is kept between runs, and can be made again at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grpclab"


def require_writable(folder: Path) -> None:
    """Raise StorageError where a file could not be written into a folder, which need not be there yet.

    It is asked for before anything is measured, and leaves nothing behind.
    """
    with written_to(folder):
        for left in reversed(range(TRIES)):
            try:
                _try_to_write(folder)
            except (FileExistsError, FileNotFoundError):  # another process makes or removes it meanwhile
                if not left:
                    raise
            else:
                return


def _try_to_write(folder: Path) -> None:
    from grpclab.system.temporary import require_room  # loads shutil and tempfile

    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        require_room(folder, ROOM_BYTES)
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()


@contextmanager
def written_to(folder: Path, advice: str = "") -> Iterator[None]:
    """Turn an OSError of writing in the block into a StorageError that names the folder and says how to mend it."""
    try:
        yield
    except OSError as error:
        if error.errno in SCARCE:
            raise
        mend = advice or f"free some space, or set {ROOT_VARIABLE} to another folder for results and reports"
        raise StorageError(f"cannot write to {folder} ({error.strerror or error}): {mend}") from None


def is_stored(word: str) -> bool:
    """True if the word names a stored study by its folder, with or without a configuration after a colon."""
    return (Path(word.partition(":")[0]) / "manifest.json").exists()


def stored_studies() -> list[str]:
    """The names of the studies that lie under results/."""
    return sorted(path.parent.name for path in (project_root() / "results").glob("*/manifest.json"))


def notebook(name: str) -> Path:
    """The path of a notebook, in the installed package, or beside it in a clone."""
    return _notebook_folder() / f"{name}.ipynb"


def notebooks() -> list[str]:
    """The names of all notebooks."""
    return sorted(path.stem for path in _notebook_folder().glob("*.ipynb"))


def _notebook_folder() -> Path:
    package = Path(__file__).resolve().parent.parent
    installed = package / "notebooks"
    return installed if installed.is_dir() else package.parent / "notebooks"


def require_outputs(*folders: Path) -> None:
    """Raise StorageError where one of these folders, or that of temporary files, is full or cannot be written to."""
    from grpclab.system.temporary import TemporaryFolder  # loads shutil and tempfile

    TemporaryFolder().remove()
    for folder in folders:
        require_writable(folder)
