"""Where a calibration lies: ``results/<name>/``, a parquet file an experiment and ``about.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from grpclab.calibration.plan import OWN, Plan
from grpclab.errors import DesignError
from grpclab.study.documents import read_json, write_json
from grpclab.study.stored_values import read
from grpclab.study.trial_result import now_text
from grpclab.system import environment
from grpclab.system.environment import GitState, Machine
from grpclab.system.json_fields import Json, nothing
from grpclab.system.parquet import read_own

SCHEMA_VERSION = 1
"""Of about.json and the frames. 1: first version."""


@dataclass(frozen=True, kw_only=True)
class About:
    """The content of about.json: when, where and with which parameters a calibration was measured.

    `notes` has, by experiment, why there is no frame; `others` the share of the machine that others used meanwhile.
    """

    schema_version: int = SCHEMA_VERSION
    created_at: str
    parameters: Plan
    machine: Machine
    versions: Mapping[str, Json]
    git: GitState
    notes: Mapping[str, str] = nothing()
    others: Mapping[str, float] = nothing()
    load_average_after: tuple[float, ...] | None = None


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
            About(
                created_at=now_text(),
                parameters=plan,
                machine=environment.machine(),
                versions=environment.versions(),
                git=environment.git_state(self.root),
            )
        )

    def put(self, name: str, frame: pd.DataFrame, *, others: float = 0.0) -> None:
        """Store the frame of an experiment, whole or not at all; `others`: what they used of the machine, 0 to 1."""
        temporary = self.folder / f".{name}.parquet"
        frame.to_parquet(temporary, index=False)
        temporary.replace(self.folder / f"{name}.parquet")
        about = self.about()
        load = environment.machine().load_average
        self._write(dataclasses.replace(about, others={**about.others, name: others}, load_average_after=load))

    def note(self, name: str, why: str) -> None:
        """Say why an experiment has no frame."""
        about = self.about()
        self._write(dataclasses.replace(about, notes={**about.notes, name: why}))

    def frame(self, name: str) -> pd.DataFrame | None:
        """The frame of an experiment, or None where there is none."""
        path = self.folder / f"{name}.parquet"
        return read_own(path) if path.exists() else None

    def about(self) -> About:
        """When, where, with which parameters. Raises DesignError where there is no calibration that can be read."""
        path = self.folder / "about.json"
        try:
            document = read_json(path, inside=self.folder)
        except (FileNotFoundError, ValueError):
            raise DesignError(f"no calibration in {self.folder}: run notebooks/calibration.ipynb first") from None
        if (version := document.get("schema_version")) != SCHEMA_VERSION:
            raise DesignError(
                f"{path} has schema version {version}, but this version of grpclab reads only schema version "
                f"{SCHEMA_VERSION}"
            )
        try:
            return read(About, document)
        except ValueError as error:
            raise DesignError(f"{path} cannot be read: {error}") from None

    def _write(self, about: About) -> None:
        write_json(self.folder / "about.json", dataclasses.asdict(about))
