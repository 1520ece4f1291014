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
