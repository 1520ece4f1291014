"""Where things are: the folder that results and reports go to, and the notebooks that the package carries."""

from __future__ import annotations

import os
from pathlib import Path

ROOT_VARIABLE = "GRPCLAB_ROOT"


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


def is_stored(word: str) -> bool:
    """Whether the word names a stored study by its folder, with or without a configuration after a colon."""
    return (Path(word.partition(":")[0]) / "manifest.json").exists()


def notebook(name: str) -> Path:
    """The path of a notebook, in the installed package, or beside it in a clone."""
    return _notebook_folder() / f"{name}.ipynb"


def notebooks() -> list[str]:
    """The names of all notebooks."""
    return sorted(path.stem for path in _notebook_folder().glob("*.ipynb"))


def _notebook_folder() -> Path:
    package = Path(__file__).resolve().parent
    installed = package / "notebooks"
    return installed if installed.is_dir() else package.parent / "notebooks"
