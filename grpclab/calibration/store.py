"""Where a calibration lies: ``results/<name>/``, a parquet file an experiment and ``about.json``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from grpclab.calibration.plan import OWN, Plan
from grpclab.errors import DesignError
from grpclab.study.documents import write_json
from grpclab.study.trial_result import now_text
from grpclab.system import environment
from grpclab.system.parquet import read_own

SCHEMA_VERSION = 1
"""Of about.json and the frames. 1: first version."""


class Results:
    """The results of the calibration `name`, under the project's root."""

    def __init__(self, root: Path, name: str = OWN) -> None:
        self.root = root
        self.folder = root / "results" / name
        self.report = root / "reports" / f"{name}.html"

    def begin(self, plan: Plan) -> None:
        """Begin anew: what an earlier calibration has left is removed, so that no two machines or days mix."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.parquet"):
            path.unlink()
        self._write(
            {
                "schema_version": SCHEMA_VERSION,
                "created_at": now_text(),
                "parameters": dataclasses.asdict(plan),
                "machine": environment.machine(),
                "versions": environment.versions(),
                "git": environment.git_state(self.root),
                "notes": {},
                "others": {},
            }
        )

    def put(self, name: str, frame: pd.DataFrame, *, others: float = 0.0) -> None:
        """Store the frame of an experiment, whole or not at all; `others`: what they used of the machine, 0 to 1."""
        temporary = self.folder / f".{name}.parquet"
        frame.to_parquet(temporary, index=False)
        temporary.replace(self.folder / f"{name}.parquet")
        about = self.about()
        load = environment.machine()["load_average"]
        self._write({**about, "others": {**about["others"], name: others}, "load_average_after": load})

    def note(self, name: str, why: str) -> None:
        """Say why an experiment has no frame."""
        about = self.about()
        self._write({**about, "notes": {**about["notes"], name: why}})

    def frame(self, name: str) -> pd.DataFrame | None:
        """The frame of an experiment, or None where there is none."""
        path = self.folder / f"{name}.parquet"
        return read_own(path) if path.exists() else None

    def about(self) -> dict[str, Any]:
        """When, where, with which parameters. Raises DesignError where there is no calibration that can be read."""
        path = self.folder / "about.json"
        try:
            about = json.loads(path.read_text())
        except (FileNotFoundError, ValueError):
            raise DesignError(f"no calibration in {self.folder}: run notebooks/calibration.ipynb first") from None
        found = about.get("schema_version") if isinstance(about, dict) else None
        if found != SCHEMA_VERSION:
            raise DesignError(f"{path} has schema version {found}; this grpclab reads version {SCHEMA_VERSION}")
        return dict(about)

    def _write(self, about: Mapping[str, Any]) -> None:
        write_json(self.folder / "about.json", about)
