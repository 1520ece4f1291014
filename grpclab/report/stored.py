"""A finished study as frames, out of its folder or out of a report that somebody sent, for questions of one's own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from grpclab.analysis import Judgement
from grpclab.errors import DesignError
from grpclab.factors.levels import Level
from grpclab.report import assets, data
from grpclab.report.tidy import tidy
from grpclab.study.documents import manifest_document, read_json
from grpclab.study.repeat import Original
from grpclab.study.store import Store
from grpclab.study.stored_values import read_manifest, read_measurable, read_verdict
from grpclab.system.environment import identity
from grpclab.system.parquet import MOST_BYTES, from_parquet
from grpclab.system.untrusted import JSON_BYTES, json_object, read_bytes
from grpclab.text.printable import printable

T = TypeVar("T")

PARTS = ("manifest.json", "trials.parquet", "verdict.json")
"""The files of a finished study that make up its frames."""


@dataclass(frozen=True, kw_only=True, repr=False)
class StoredStudy:
    """A finished study. `trials` has one row per trial, as in trials.parquet: every factor and every metric, in base
    units."""

    name: str
    manifest: Mapping[str, Any]
    trials: pd.DataFrame
    verdict: Mapping[str, Any]

    @property
    def sentence(self) -> str:
        """The verdict as a sentence."""
        return printable(str(self.verdict.get("sentence") or "There is no verdict."))

    @property
    def valid(self) -> pd.DataFrame:
        """The valid trials, without percentiles that have fewer than 10 calls beyond them. Figures are drawn from
        these."""
        frame = tidy(self.trials)
        return frame[frame["valid"]].reset_index(drop=True)

    @property
    def identity(self) -> Mapping[str, Level]:
        """The machine and versions; absolute figures of two studies are comparable only if these are equal."""
        known = self.manifest.get("identity")
        if known:
            return dict(known)
        manifest = read_manifest(self.manifest)
        return identity(manifest.machine, manifest.versions)

    @property
    def comparisons(self) -> pd.DataFrame:
        """One row per comparison, the headline first and the A/A comparison last; see verdict.json."""
        aa = self.verdict.get("aa")
        headline = self.verdict.get("headline")
        rows = [*([headline] if headline else []), *(self.verdict.get("comparisons") or []), *([aa] if aa else [])]
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"StoredStudy({self.name!r}, {len(self.trials):,} trials)"

    def _repr_html_(self) -> str:
        """Name, verdict and extent, for a notebook."""
        configurations = self.trials["configuration"].nunique() if "configuration" in self.trials else 0
        about = f"{len(self.trials):,} trials of {configurations} configurations"
        shown = assets.rendered("cells/stored_study.html.j2", name=self.name, about=about, sentence=self.sentence)
        return str(shown)


def load_study(source: Path | str) -> StoredStudy:
    """Load the study in a folder ``results/<study>`` or in a report ``reports/<study>.html``.

    Raises DesignError, which names the path and what is wrong with it.
    """
    path = Path(source)
    if not path.is_dir():
        packed = data.read(path)
        manifest, trials, verdict = packed.manifest, packed.trials, packed.verdict
        where = f"{path} does not contain a readable study"
    else:
        where = f"{path} does not contain a finished study"
        try:
            manifest, verdict = (_read(path, part, JSON_BYTES, json_object) for part in (PARTS[0], PARTS[2]))
            trials = _read(path, PARTS[1], MOST_BYTES, from_parquet)
        except (OSError, ValueError) as error:
            reason = f"no {error.filename}" if isinstance(error, FileNotFoundError) else printable(str(error), 300)
            raise DesignError(f"{where}: {reason}; finish the study with `grpclab report {path}`") from None
    try:
        read_manifest(manifest)
        read_verdict(verdict)
    except ValueError as error:
        raise DesignError(f"{where}: {printable(str(error), 300)}") from None
    return StoredStudy(name=str(manifest.get("study") or path.stem), manifest=manifest, trials=trials, verdict=verdict)


def _read(folder: Path, part: str, most: int, reading: Callable[[bytes], T]) -> T:
    """A file of a study, as it is read. Raises OSError, and ValueError that names it."""
    try:
        return reading(read_bytes(folder / part, most, inside=folder))
    except ValueError as error:
        raise ValueError(f"{part} {error}") from None


def load_original(source: Path | str) -> Original:
    """Load the study to repeat: a folder ``results/<study>``, its manifest.json, or a report that contains its study.

    Its trials and its verdict may be missing. Raises DesignError, which names the path and what is wrong with it.
    """
    path = Path(source)
    if not path.exists():
        raise DesignError(f"no study at {path}: expected results/STUDY, its manifest.json, or a report")
    folder = path if path.is_dir() else path.parent
    if path.is_dir() or path.name == "manifest.json":
        manifest = Store(folder).manifest()
        if manifest is None:
            raise DesignError(f"no study in {path}: manifest.json is missing")
        return Original(source=str(path), manifest=manifest, verdict=_verdict(folder))
    packed = data.read(path)
    try:
        verdict = read_verdict(packed.verdict)
    except ValueError as error:
        raise DesignError(f"{path} does not contain a readable study: {printable(str(error), 300)}") from None
    manifest = read_measurable(packed.manifest, path)
    return Original(source=str(path), manifest=manifest, verdict=verdict, trusted=False)


def runs_of(original: Original, results: Path) -> list[Original]:
    """The finished repeats of a study in a folder of results, the oldest first."""
    wanted = original.name, original.manifest.created_at
    runs = []
    for folder in finished_studies(results):
        with contextlib.suppress(DesignError):
            run = load_original(folder)
            repeated = run.manifest.repeats
            if repeated and (repeated.study, repeated.created_at or "") == (wanted[0], wanted[1] or ""):
                runs.append(run)
    return runs[::-1]


def _verdict(folder: Path) -> Judgement:
    try:
        return read_verdict(read_json(folder / PARTS[2], inside=folder))
    except (OSError, ValueError):
        return Judgement()


def finished_studies(results: Path | str) -> list[Path]:
    """The folders of finished studies in a folder of results, most recently started first."""
    folders = []
    for folder in Path(results).glob("*/"):
        try:
            if all((folder / part).is_file() for part in PARTS):
                begun = read_manifest(manifest_document(folder)).created_at
                folders.append((begun, folder.name, folder))
        except (OSError, ValueError):
            continue  # half a study, or somebody else's folder
    return [folder for _, _, folder in sorted(folders, reverse=True)]
