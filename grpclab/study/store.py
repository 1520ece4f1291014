"""Where a study lives: ``results/<study>/``, a folder for each trial, each there whole or not at all.

A trial is written into a hidden folder and renamed when it is complete; a rename is atomic. A group is written into one
hidden folder, its trials too, and its own folder with ``group.json`` appears last: trials whose group has none do not
count. What was cut off is removed by the next run. A folder may come from somebody else: its files are read within
bounds, and nothing is read or written through a symbolic link that leads out of it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import pandas as pd

from grpclab.analysis.study_plan import PlannedGroup, StudyPlan
from grpclab.errors import DesignError
from grpclab.study.documents import SCHEMA_VERSION, manifest_document, read_json, write_json
from grpclab.study.model import Manifest, StoredResult
from grpclab.study.origin import seal
from grpclab.study.stored_values import read_planned, read_result, written
from grpclab.system.untrusted import is_inside, read_bytes
from grpclab.text import redaction
from grpclab.text.printable import printable
from grpclab.text.redaction import SALT, SALT_BYTES, Redactor, without_digits

MUST_AGREE = ("design", "plan", "seed", "identity")
"""Parts of a manifest that must be equal for two runs to be one study."""
GROUP = "group.json"
"""The file that makes a group whole."""
MEMBERS = "members"
"""The folder of a group's trials while it is measured."""
_IN_GROUP = re.compile(r"(?P<group>\d{2,}-(?:\d{2}|[1-9]\d{2,}))-\d{3,}-")
"""The beginning of the name of a trial in a group."""


class Store:
    """The folder of one study."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials_folder = folder / "trials"
        self.groups_folder = folder / "groups"

    @property
    def name(self) -> str:
        """The study's name, which is its folder's."""
        return self.folder.name

    def manifest(self) -> Manifest | None:
        """The manifest, or None where there is no study yet. Raises DesignError if it cannot be read."""
        path = self.folder / "manifest.json"
        try:
            document = manifest_document(self.folder)
            version = document.get("schema_version")
            if version == SCHEMA_VERSION:
                return read_planned(document)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise DesignError(f"no study in {self.folder}: it is a file") from None
        except OSError as error:
            raise DesignError(f"cannot read {path}: {error.strerror}") from None
        except ValueError as error:
            raise DesignError(f"{path} {_clause(error)}: {self._rescue()}") from None
        number = "no schema version" if version is None else f"schema version {printable(str(version), 20)}"
        raise DesignError(
            f"{path} has {number}; this grpclab reads version {SCHEMA_VERSION}"
            + (f": {self._rescue()}" if version is None else "")
        )

    def _rescue(self) -> str:
        """What of a study whose manifest is damaged can be saved, and how."""
        whole = len(self.results())
        if not whole:
            return "no trial of it is whole, so remove the folder and begin the study again"
        trials = "1 whole trial is" if whole == 1 else f"{whole:,} whole trials are"
        saved = f"its {trials} kept if you remove that file and give the command that began the study again"
        report = self.folder.parent.parent / "reports" / f"{self.name}.html"
        return f"{saved}; {report} still holds the manifest" if report.is_file() else saved

    def open(self, manifest: Manifest) -> Manifest:
        """Begin the study, or go on with it; returns the stored manifest.

        Raises DesignError if the folder holds another design, or one measured on another machine or version, and for a
        plan that is too large.
        """
        stored = self.manifest()
        if stored is None:
            self._require_same_trials(manifest.plan)
            self.trials_folder.mkdir(parents=True, exist_ok=True)
            self._begin_salt()
            clean = self.redactor().manifest(manifest)
            write_json(self.folder / "manifest.json", written(replace(clean, seal=seal(clean.plan) or None)))
            stored = self.manifest()
            assert stored is not None
        begun = stored
        stored, wanted = _to_compare(self._without_secrets(stored), self._without_secrets(manifest))
        different = [key for key in MUST_AGREE if getattr(stored, key) != getattr(wanted, key)]
        if different == ["plan"] and without_digits(stored.plan) == without_digits(wanted.plan):
            raise DesignError(
                f"{self.folder} was begun with another secret (--metadata, --data or a command): give the same one, or"
                " give this study a name of its own (study=...)"
            )
        if stored.servers is not None and stored.servers != wanted.servers:  # an earlier version did not say
            different.append("program behind a server's command")
        if different:
            raise DesignError(
                f"{self.folder} holds a study with another {' and '.join(different)}{_example(stored, wanted)}:"
                " give this one a name of its own (study=...), or remove that folder"
            )
        return self._without_secrets(begun)

    def fix_blocks(self, blocks: int, reason: str, *, counted_s: float | None = None) -> Manifest:
        """Write the number of blocks that the pilot's noise gave into the manifest, once; returns the manifest.

        With `counted_s` the groups' times are scaled, so that the longest of them is that. Only the holder of the lock
        may.
        """
        stored = self.manifest()
        assert stored is not None
        pilot = stored.pilot
        if pilot is None or pilot.fixed:
            return stored
        groups = stored.plan.groups
        if counted_s is not None and groups:
            longest = max(group.counted_s for group in groups)
            groups = tuple(replace(one, counted_s=round(one.counted_s * counted_s / longest, 3)) for one in groups)
        fixed = replace(pilot, fixed=True, reason=reason, counted_s=counted_s)
        changed = replace(stored, plan=replace(stored.plan, blocks=blocks, groups=groups), pilot=fixed)
        write_json(self.folder / "manifest.json", written(changed))
        return changed

    def redactor(self) -> Redactor:
        """What takes the secrets out of a manifest of this study; under a salt of the moment where its own is gone."""
        return Redactor(self._salt() or os.urandom(SALT_BYTES))

    def _salt(self) -> bytes | None:
        try:
            return read_bytes(self.folder / SALT, SALT_BYTES, inside=self.folder)
        except (OSError, ValueError):
            return None

    def _begin_salt(self) -> None:
        temporary = self.folder / f"{SALT}.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(SALT_BYTES))
        temporary.replace(self.folder / SALT)

    def changed_references(self, manifest: Manifest) -> list[str]:
        """The references (``env:NAME``, a file) whose value is another one than when the study was begun."""
        begun = self.manifest()
        if begun is None or self._salt() is None:
            return []
        stored, now = begun.references or {}, self._without_secrets(manifest).references or {}
        return [name for name, value in now.items() if stored.get(name) not in (None, value)]

    def _without_secrets(self, manifest: Manifest) -> Manifest:
        """A manifest without its secrets, which all look the same where the salt is gone."""
        clean = self.redactor().manifest(manifest)
        return clean if self._salt() else without_digits(clean)

    def _require_same_trials(self, plan: StudyPlan) -> None:
        """Raise DesignError if the trials of a study without a manifest were measured by another plan."""
        settings = {row.name: row.settings for row in plan.configurations}
        for name, result in self.results().items():
            planned, factors = settings.get(result.configuration), result.factors
            if planned is None or any(factors.get(key, level) != level for key, level in planned.items()):
                raise DesignError(
                    f"{self.trials_folder} holds a trial of another plan ({name}) and the folder has no manifest.json:"
                    " give this study a name of its own (study=...), or remove that folder"
                )

    def discard(self) -> None:
        """Remove a study that holds no trial; what is not a study's own stays, and its folder with it."""
        shutil.rmtree(self.trials_folder, ignore_errors=True)
        shutil.rmtree(self.groups_folder, ignore_errors=True)
        for name in ("manifest.json", ".lock", SALT):
            (self.folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()
            self.folder.parent.rmdir()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second process from running the same study; ends with this process, however that ends.

        Removes what a run that was cut off has left: only the holder may, since to anyone else the trial being
        written looks the same.
        """
        import fcntl

        self.folder.mkdir(parents=True, exist_ok=True)
        with self._open_lock() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DesignError(
                    f"study {self.name!r} is being measured by another process: wait for it, or give another name"
                ) from None
            self._require_own_folder()
            self._remove_halves()
            yield

    def _remove_halves(self) -> None:
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

    def _open_lock(self) -> IO[bytes]:
        path = self.folder / ".lock"
        if path.is_symlink():
            raise DesignError(f"{path} is a symbolic link: remove it")
        return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "wb")

    def _require_own_folder(self) -> None:
        """Raise DesignError if what is removed and written in its folders would lie somewhere else."""
        for folder in (self.trials_folder, self.groups_folder):
            if not is_inside(folder, self.folder):
                raise DesignError(f"{folder} is a symbolic link out of {self.folder}: remove it")

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
                    raise ValueError("is no folder of this study")
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
                damaged[folder.name] = f"result.json {_clause(error)}"
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
            return f"{GROUP} of its group {name} {_clause(error)}"
        return ""

    def set_aside(self) -> dict[str, str]:
        """Move damaged trials into ``damaged/``, where nothing reads them; returns what :meth:`damaged` said of them.

        Only the holder of the lock may.
        """
        damaged = self.damaged()
        aside = self.folder / "damaged"
        groups = [path for path in self.groups_folder.glob("[!.]*") if self._group_damage(path.name)]
        for path in (*(self.trials_folder / name for name in damaged), *groups):
            if not is_inside(aside, self.folder):
                raise DesignError(f"{aside} is a symbolic link out of {self.folder}: remove it")
            aside.mkdir(exist_ok=True)
            free = next(free for n in itertools.count(1) if not os.path.lexists(free := aside / f"{path.name}.{n}"))
            path.rename(free)
        return damaged

    def write_frame(self, frame: pd.DataFrame) -> None:
        """Write trials.parquet, whole or not at all."""
        temporary = self.folder / ".trials.parquet"
        temporary.unlink(missing_ok=True)  # never through a symbolic link that lay there
        frame.to_parquet(temporary, index=False)
        temporary.replace(self.folder / "trials.parquet")


def group_name(block: int, number: int) -> str:
    """The name of a group, and of its folder."""
    return f"{block:02d}-{number:02d}"


def _to_compare(stored: Manifest, wanted: Manifest) -> tuple[Manifest, Manifest]:
    """Two manifests without what may differ in one study: its groups, and what a pilot has fixed.

    A stored study goes on with its own groups, or without; only what is measured one after the other must agree.
    """
    grouped = bool(stored.plan.groups)
    fitted = bool(stored.pilot and wanted.pilot)

    def comparable(manifest: Manifest) -> Manifest:
        apart = {name for group in manifest.plan.groups if not group.interleaved for name in group.members}
        groups = (PlannedGroup(members=tuple(sorted(apart)), interleaved=False),) if grouped and apart else ()
        blocks = 0 if fitted else manifest.plan.blocks
        return replace(manifest, plan=replace(manifest.plan, groups=groups, blocks=blocks))

    return comparable(stored), comparable(wanted)


def _clause(error: ValueError) -> str:
    """The reason on one line, after a file's name: ``is damaged (...)``."""
    return f"is damaged ({printable(str(error), 200)})"


def _remove(path: Path) -> None:
    """Remove a folder; of a symbolic link or a file only that itself."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)


def _example(stored: Manifest, wanted: Manifest) -> str:
    """One thing that differs, for the message."""
    for before, now in ((stored.parameters, wanted.parameters), (stored.identity, wanted.identity)):
        for name in now:
            if name != "study" and now[name] != before.get(name):
                return f" (there {name}={before.get(name)}, here {name}={now[name]})"
    return ""
