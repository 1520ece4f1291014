"""The folders of a study's trials and groups: each there whole or not at all.

A trial is written into a hidden folder and renamed when it is complete; a rename is atomic. A group is written into one
hidden folder, its trials too, and its own folder with ``group.json`` appears last: trials whose group has none do not
count. A folder may come from somebody else: its files are read within bounds, and nothing is read or written through a
symbolic link that leads out of it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from grpclab.errors import DesignError
from grpclab.study.documents import SCHEMA_VERSION, read_json
from grpclab.study.model import StoredResult
from grpclab.study.stored_values import read_result
from grpclab.system.untrusted import is_inside
from grpclab.text import redaction
from grpclab.text.printable import printable

GROUP = "group.json"
"""The file that makes a group whole."""
MEMBERS = "members"
"""The folder of a group's trials while it is measured."""
_IN_GROUP = re.compile(r"(?P<group>\d{2,}-(?:\d{2}|[1-9]\d{2,}))-\d{3,}-")
"""The beginning of the name of a trial in a group."""


class TrialFolders:
    """The folders of trials and groups in that of a study."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials_folder = folder / "trials"
        self.groups_folder = folder / "groups"

    @contextlib.contextmanager
    def writing(self, trial: str) -> Iterator[Path]:
        """A hidden folder to write a trial into; it becomes the trial's folder when the block ends well."""
        hidden = self.trials_folder / f".{trial}"
        _remove(hidden)
        hidden.mkdir(parents=True)
        try:
            yield hidden
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        redaction.scrub(hidden)
        final = self.trials_folder / trial
        _remove(final)  # an invalid one that was measured again
        hidden.replace(final)

    @contextlib.contextmanager
    def writing_group(self, name: str, trials: Iterable[str]) -> Iterator[tuple[Path, dict[str, Path]]]:
        """A hidden folder to write a group into, and one in it for each of its trials, by the trial's name.

        When the block ends well, with ``group.json`` in the folder, the trials' folders appear, and the group's last.
        """
        hidden = self.groups_folder / f".{name}"
        _remove(hidden)
        folders = {trial: hidden / MEMBERS / trial for trial in trials}
        for folder in folders.values():
            folder.mkdir(parents=True)
        try:
            yield hidden, folders
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        redaction.scrub(hidden)
        self.trials_folder.mkdir(exist_ok=True)
        for trial, folder in folders.items():
            final = self.trials_folder / trial
            _remove(final)
            folder.replace(final)
        _remove(hidden / MEMBERS)
        _remove(self.groups_folder / name)
        hidden.replace(self.groups_folder / name)

    def results(self) -> dict[str, StoredResult]:
        """result.json of every trial that is there and whole, by the trial's name."""
        return self._read()[0]

    def damaged(self) -> dict[str, str]:
        """The trials whose result.json cannot be used, each with the reason."""
        return self._read()[1]

    def _read(self) -> tuple[dict[str, StoredResult], dict[str, str]]:
        whole: dict[str, StoredResult] = {}
        damaged: dict[str, str] = {}
        groups: dict[str, str | None] = {}
        for folder in sorted(self.trials_folder.glob("[!.]*")):
            found = _IN_GROUP.match(folder.name)
            group = found["group"] if found and self.groups_folder.is_dir() else ""
            try:
                if not (folder.is_dir() and is_inside(folder, self.folder)):
                    raise ValueError("is not a folder of this study")
                document = read_json(folder / "result.json", inside=self.folder)
                if document.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
                    raise ValueError(f"has schema version {printable(str(document['schema_version']), 20)}")
                result = read_result(document, folder.name)
                group = "" if result.group is None else group_name(result.block, result.group)
                whole[folder.name] = result
            except FileNotFoundError:
                damaged[folder.name] = "there is no result.json"
            except OSError as error:
                damaged[folder.name] = f"result.json: {error.strerror}"
            except ValueError as error:
                damaged[folder.name] = f"result.json {clause(error)}"
            if not group:
                continue
            if group not in groups:
                groups[group] = self._group_damage(group)
            if (reason := groups[group]) != "":
                whole.pop(folder.name, None)
                if reason is None:  # of a group that was cut off
                    damaged.pop(folder.name, None)
                else:
                    damaged[folder.name] = reason
        return whole, damaged

    def seconds_of_groups(self, blocks: int) -> dict[tuple[int, int], float]:
        """How long the groups of the first blocks took, by block and number, as far as they say so."""
        found = {}
        for path in sorted(self.groups_folder.glob(f"[!.]*/{GROUP}")):
            with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
                document = read_json(path, inside=self.folder)
                if document["block"] < blocks:
                    found[document["block"], document["group"]] = float(document["seconds"])
        return found

    def _group_damage(self, name: str) -> str | None:
        """Why ``group.json`` of a group cannot be used, "" where it can; None where there is none."""
        try:
            read_json(self.groups_folder / name / GROUP, inside=self.folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{GROUP} of its group {name}: {error.strerror}"
        except ValueError as error:
            return f"{GROUP} of its group {name} {clause(error)}"
        return ""

    def set_aside(self) -> dict[str, str]:
        """Move damaged trials into ``damaged/``, where nothing reads them; returns what :meth:`damaged` said of them.

        Only the holder of the lock may.
        """
        damaged = self.damaged()
        groups = [path for path in self.groups_folder.glob("[!.]*") if self._group_damage(path.name)]
        for path in (*(self.trials_folder / name for name in damaged), *groups):
            self._move_aside(path)
        return damaged

    def set_block_aside(self, block: int) -> None:
        """Move the trials and groups of a block into ``damaged/``. Only the holder of the lock may."""
        names = [name for name, result in self.results().items() if result.block == block]
        groups = self.groups_folder.glob(f"{block:02d}-*")
        for path in (*(self.trials_folder / name for name in names), *groups):
            self._move_aside(path)

    def _move_aside(self, path: Path) -> None:
        aside = self.folder / "damaged"
        if not is_inside(aside, self.folder):
            raise DesignError(f"{aside} is a symbolic link that leaves {self.folder}: remove it")
        aside.mkdir(exist_ok=True)
        free = next(free for n in itertools.count(1) if not os.path.lexists(free := aside / f"{path.name}.{n}"))
        path.rename(free)

    def remove_halves(self) -> None:
        """Remove what a run that was cut off has left: hidden folders, and trials and groups without ``group.json``."""
        for leftover in (*self.trials_folder.glob(".*"), *self.groups_folder.glob(".*")):
            _remove(leftover)
        whole = {path.parent.name for path in self.groups_folder.glob(f"*/{GROUP}")}
        for group in self.groups_folder.glob("*"):
            if group.name not in whole:
                _remove(group)
        for trial in self.trials_folder.glob("*"):
            if (name := self._group_of(trial)) and name not in whole:
                _remove(trial)

    def _group_of(self, trial: Path) -> str:
        """The name of the group that a trial's folder belongs to; "" where it belongs to none."""
        try:
            result = read_json(trial / "result.json", inside=self.folder)
            return "" if result.get("group") is None else group_name(result["block"], result["group"])
        except (OSError, ValueError, LookupError, TypeError):
            found = _IN_GROUP.match(trial.name)
            return found["group"] if found and self.groups_folder.is_dir() else ""

    def require_own_folder(self) -> None:
        """Raise DesignError if what is removed and written in its folders would lie somewhere else."""
        for folder in (self.trials_folder, self.groups_folder):
            if not is_inside(folder, self.folder):
                raise DesignError(f"{folder} is a symbolic link that leaves {self.folder}: remove it")


def group_name(block: int, number: int) -> str:
    """The name of a group, and of its folder."""
    return f"{block:02d}-{number:02d}"


def clause(error: ValueError) -> str:
    """The reason on one line, after a file's name: ``is damaged (...)``."""
    return f"is damaged ({printable(str(error), 200)})"


def _remove(path: Path) -> None:
    """Remove a folder; of a symbolic link or a file only that itself."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
