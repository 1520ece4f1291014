"""Asking one's own questions of a study: its frames, out of its folder or out of a report that somebody sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.errors import DesignError
from grpclab.report import data
from grpclab.study.repeat import Original
from grpclab.study.store import Store


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """A finished study. `trials` has one row a trial, as trials.parquet: every factor, every metric, base units."""

    name: str
    manifest: Mapping[str, Any]
    trials: pd.DataFrame
    verdict: Mapping[str, Any]

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        return str(self.verdict.get("sentence") or "There is no verdict.")

    @property
    def comparisons(self) -> pd.DataFrame:
        """One row a comparison, the headline first, the A/A arm last: see verdict.json."""
        aa = self.verdict.get("aa")
        found = [self.verdict["headline"], *self.verdict["comparisons"], *([aa] if aa else [])]
        return pd.DataFrame(found)


def load_study(source: Path | str) -> StoredStudy:
    """The study in a folder ``results/<study>`` or in a report ``reports/<study>.html``.

    Raises DesignError, which names the path and what is wrong with it.
    """
    path = Path(source)
    if not path.is_dir():
        packed = data.read(path)
        manifest, trials, verdict = packed.manifest, packed.trials, packed.verdict
    else:
        try:
            manifest, verdict = (json.loads((path / f"{part}.json").read_text()) for part in ("manifest", "verdict"))
            trials = pd.read_parquet(path / "trials.parquet")
        except (OSError, ValueError) as error:
            raise DesignError(f"{path} holds no finished study: {error}; `grpclab report {path}` finishes it") from None
    return StoredStudy(name=str(manifest.get("study") or path.stem), manifest=manifest, trials=trials, verdict=verdict)


def load_original(source: Path | str) -> Original:
    """The study to repeat: a folder ``results/<study>``, its manifest.json, or a report that holds its study.

    Trials and verdict need not be there. Raises DesignError, which names the path and what is wrong with it.
    """
    path = Path(source)
    if not path.exists():
        raise DesignError(f"no study at {path}: give results/STUDY, its manifest.json, or a report")
    folder = path if path.is_dir() else path.parent
    if path.is_dir() or path.name == "manifest.json":
        manifest = Store(folder).manifest()
        if manifest is None:
            raise DesignError(f"no study in {path}: there is no manifest.json")
        return Original(source=str(path), manifest=manifest, verdict=_verdict(folder))
    try:
        packed = data.read(path)
    except (KeyError, TypeError, AttributeError) as error:
        raise DesignError(f"{path} holds no study that can be read: {error!r}") from None
    if not isinstance(packed.manifest, Mapping) or not isinstance(packed.verdict, Mapping):
        raise DesignError(f"{path} holds no study that can be read")
    return Original(source=str(path), manifest=packed.manifest, verdict=packed.verdict, trusted=False)


def _verdict(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / "verdict.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
