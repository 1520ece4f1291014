"""Where a study lives: ``results/<study>/``, a folder for each trial, each there whole or not at all.

A trial is written into a hidden folder and renamed when it is complete; a rename is atomic. What was cut off
leaves a hidden folder, which the next run removes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.errors import DesignError

SCHEMA_VERSION = 1
"""Of manifest.json, result.json and verdict.json. 1: first version."""

MUST_AGREE = ("design", "plan", "seed", "identity")
"""Parts of a manifest that must be equal for two runs to be one study."""


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN becomes null."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        json.dump(_plain(value), file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _plain(value: Any) -> Any:
    """JSON's types only, NaN and infinities as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class Store:
    """The folder of one study."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trials_folder = folder / "trials"

    @property
    def name(self) -> str:
        """The study's name, which is its folder's."""
        return self.folder.name

    def manifest(self) -> dict[str, Any] | None:
        """The manifest, or None where there is no study yet. Raises DesignError if it cannot be read."""
        path = self.folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise DesignError(f"{path} is not readable: {error}") from None
        found = manifest.get("schema_version") if isinstance(manifest, dict) else None
        if found != SCHEMA_VERSION:
            raise DesignError(f"{path} has schema version {found}; this grpclab reads version {SCHEMA_VERSION}")
        return dict(manifest)

    def open(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Begin the study, or go on with it; returns the stored manifest.

        Raises DesignError if the folder holds another design, or one measured on another machine or version.
        """
        stored = self.manifest()
        if stored is None:
            self.trials_folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / "manifest.json", manifest)
            stored = self.manifest()
            assert stored is not None
        wanted = _plain(manifest)
        different = [key for key in MUST_AGREE if stored.get(key) != wanted.get(key)]
        if "servers" in stored and stored["servers"] != wanted.get("servers"):  # an earlier version did not say
            different.append("program behind a server's command")
        if different:
            raise DesignError(
                f"{self.folder} holds a study with another {' and '.join(different)}{_example(stored, wanted)}:"
                " give this one a name of its own (study=...), or remove that folder"
            )
        return stored

    def discard(self) -> None:
        """Remove a study that holds no trial; what is not a study's own stays, and its folder with it."""
        shutil.rmtree(self.trials_folder, ignore_errors=True)
        for name in ("manifest.json", ".lock"):
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
        with (self.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DesignError(
                    f"study {self.name!r} is being measured by another process: wait for it, or give another name"
                ) from None
            for leftover in self.trials_folder.glob(".*"):
                shutil.rmtree(leftover, ignore_errors=True)
            yield

    @contextlib.contextmanager
    def writing(self, trial: str) -> Iterator[Path]:
        """A hidden folder to write a trial into; it becomes the trial's folder when the block ends well."""
        hidden = self.trials_folder / f".{trial}"
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        try:
            yield hidden
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        final = self.trials_folder / trial
        shutil.rmtree(final, ignore_errors=True)  # an invalid one that was measured again
        hidden.replace(final)

    def results(self) -> dict[str, dict[str, Any]]:
        """result.json of every trial that is there, by the trial's name."""
        found = {}
        for path in sorted(self.trials_folder.glob("[!.]*/result.json")):
            found[path.parent.name] = json.loads(path.read_text())
        return found

    def frame(self) -> pd.DataFrame:
        """One row a trial: identity, every factor, every metric. See grpclab.study.trial.row."""
        from grpclab.study.trial import row

        rows = [row(result) for result in self.results().values()]
        frame = pd.DataFrame(rows)
        return frame.sort_values(["block", "order"], ignore_index=True) if rows else frame

    def write_frame(self, frame: pd.DataFrame) -> None:
        """Write trials.parquet, whole or not at all."""
        temporary = self.folder / ".trials.parquet"
        frame.to_parquet(temporary, index=False)
        temporary.replace(self.folder / "trials.parquet")


def _example(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """One thing that differs, for the message."""
    for key in ("parameters", "identity"):
        mine, theirs = wanted.get(key) or {}, stored.get(key) or {}
        for name in mine:
            if name != "study" and mine[name] != theirs.get(name):
                return f" (there {name}={theirs.get(name)}, here {name}={mine[name]})"
    return ""
